//! Who listens where: what services declare and what the kernel tells, put together.

use std::collections::{HashMap, HashSet};

use kennel_keeper::proto::Place;
use kennel_sys::listening::{self, Listening, Protocol};
use kennel_sys::{proc, user};
use kennel_wire::{Code, PortHolder, PortState, PortStatus, Problem};

use crate::driver::Input;
use crate::handle::Handle;
use crate::receipt::members;

/// Longest command that is told, characters.
const COMMAND: usize = 200;

/// What the driver knows of the ports of one slot.
#[derive(Debug)]
pub(crate) struct Ported {
    /// Name in `ps`.
    pub(crate) name: String,
    /// Where its processes are, if it runs.
    pub(crate) place: Option<Place>,
    pub(crate) declared: Vec<Declared>,
}

/// A declared port.
#[derive(Debug)]
pub(crate) struct Declared {
    pub(crate) name: String,
    pub(crate) port: u16,
    /// By kennel.
    pub(crate) chosen: bool,
    /// Kept for it.
    pub(crate) held: bool,
}

impl Handle {
    /// Every port that a service declares or listens on, in the order of `ps`.
    ///
    /// # Errors
    /// `internal` if the kernel cannot be asked, `shutting_down`.
    pub async fn ports(&self) -> Result<Vec<PortStatus>, Problem> {
        let ported = self.ask(Input::Ports).await?;
        let looked = tokio::task::spawn_blocking(move || look(&ported)).await;
        let internal = |error: String| Problem::new(Code::Internal, format!("cannot ask who listens: {error}"));
        looked.map_err(|error| internal(error.to_string()))?.map_err(|error| internal(error.to_string()))
    }
}

/// Reads who listens, and who of ours that is.
fn look(ported: &[Ported]) -> std::io::Result<Vec<PortStatus>> {
    let sockets = listening::listening(&[Protocol::Tcp, Protocol::Udp])?;
    let inodes: HashSet<u64> = sockets.iter().map(|socket| socket.inode).collect();
    let ours: Vec<HashMap<u64, Vec<u32>>> = ported
        .iter()
        .map(|one| listening::holders(one.place.as_ref().map(members).unwrap_or_default(), &inodes))
        .collect();
    let known: HashSet<u64> = ours.iter().flat_map(HashMap::keys).copied().collect();
    let declared: HashSet<u16> = ported.iter().flat_map(|one| &one.declared).map(|declared| declared.port).collect();
    // All processes are looked at only if a stranger has a port that one of ours should have.
    let is_strange = |socket: &&Listening| declared.contains(&socket.port) && !known.contains(&socket.inode);
    let strange: HashSet<u64> = sockets.iter().filter(is_strange).map(|socket| socket.inode).collect();
    let strangers = match strange.is_empty() {
        true => HashMap::new(),
        false => listening::holders(proc::all().iter().map(|stat| stat.pid), &strange),
    };
    Ok(join(ported, &sockets, &ours, &strangers))
}

/// Puts together what is declared, which sockets there are, and who has them.
fn join(
    ported: &[Ported],
    sockets: &[Listening],
    ours: &[HashMap<u64, Vec<u32>>],
    strangers: &HashMap<u64, Vec<u32>>,
) -> Vec<PortStatus> {
    let mut all = Vec::new();
    for (one, own) in ported.iter().zip(ours) {
        let mut listens: Vec<(u16, Protocol)> =
            sockets.iter().filter(|it| own.contains_key(&it.inode)).map(|it| (it.port, it.protocol)).collect();
        listens.dedup();
        for declared in &one.declared {
            let mine: Vec<&Listening> = sockets.iter().filter(|it| it.port == declared.port).collect();
            let protocol = match mine.iter().find(|it| own.contains_key(&it.inode)) {
                Some(socket) => socket.protocol,
                None => Protocol::Tcp,
            };
            let mine: Vec<&Listening> = mine.into_iter().filter(|it| it.protocol == protocol).collect();
            listens.retain(|it| *it != (declared.port, protocol));
            let (own_sockets, others): (Vec<_>, Vec<_>) = mine.into_iter().partition(|it| own.contains_key(&it.inode));
            let (state, shown) = match (own_sockets.is_empty(), others.is_empty()) {
                (false, _) => (PortState::Listening, own_sockets),
                (true, false) => (PortState::Taken, others),
                (true, true) if declared.held => (PortState::Held, Vec::new()),
                (true, true) => (PortState::Free, Vec::new()),
            };
            let holders = shown.iter().flat_map(|it| holders(it, ported, ours, strangers)).collect();
            all.push(status(one, Some(declared), declared.port, protocol, state, &shown, holders));
        }
        for (port, protocol) in listens {
            let shown =
                sockets.iter().filter(|it| it.port == port && it.protocol == protocol && own.contains_key(&it.inode));
            let shown: Vec<&Listening> = shown.collect();
            let holders = shown.iter().flat_map(|it| holders(it, ported, ours, strangers)).collect();
            all.push(status(one, None, port, protocol, PortState::Listening, &shown, holders));
        }
    }
    all
}

fn status(
    one: &Ported,
    declared: Option<&Declared>,
    port: u16,
    protocol: Protocol,
    state: PortState,
    sockets: &[&Listening],
    mut holders: Vec<PortHolder>,
) -> PortStatus {
    holders.sort_by_key(|holder| holder.pid);
    holders.dedup();
    let mut addresses: Vec<String> = sockets.iter().map(|socket| address(socket)).collect();
    addresses.dedup();
    PortStatus {
        service: one.name.clone(),
        name: declared.map(|declared| declared.name.clone()),
        port,
        protocol: protocol.as_str().to_owned(),
        chosen: declared.is_some_and(|declared| declared.chosen),
        state,
        addresses,
        holders,
    }
}

/// `127.0.0.1`; `*` for everywhere.
fn address(socket: &Listening) -> String {
    match (socket.address.is_unspecified(), socket.address.is_ipv6(), socket.v6_only) {
        (true, true, true) => "[::]".to_owned(),
        (true, true, false) => "*".to_owned(),
        (true, false, _) => "0.0.0.0".to_owned(),
        (false, true, _) => format!("[{}]", socket.address),
        (false, false, _) => socket.address.to_string(),
    }
}

fn holders(
    socket: &Listening,
    ported: &[Ported],
    ours: &[HashMap<u64, Vec<u32>>],
    strangers: &HashMap<u64, Vec<u32>>,
) -> Vec<PortHolder> {
    let holder = |pid: Option<u32>, service: Option<&str>| PortHolder {
        pid,
        command: pid.and_then(|pid| proc::command(pid, COMMAND)),
        user: user::name(socket.uid),
        service: service.map(str::to_owned),
    };
    let of_ours = ported.iter().zip(ours).flat_map(|(one, own)| {
        let pids = own.get(&socket.inode).into_iter().flatten();
        pids.map(|pid| holder(Some(*pid), Some(&one.name)))
    });
    let mut found: Vec<PortHolder> = of_ours.collect();
    found.extend(strangers.get(&socket.inode).into_iter().flatten().map(|pid| holder(Some(*pid), None)));
    if found.is_empty() {
        // Another user's process, which we may not look at.
        found.push(holder(None, None));
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may")]
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    fn socket(port: u16, inode: u64) -> Listening {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Listening { protocol: Protocol::Tcp, port, address, v6_only: false, uid: 0, inode }
    }

    fn slot(name: &str, ports: &[(&str, u16, bool)]) -> Ported {
        let declared = ports.iter().map(|(name, port, held)| Declared {
            name: (*name).to_owned(),
            port: *port,
            chosen: *held,
            held: *held,
        });
        Ported { name: name.to_owned(), place: None, declared: declared.collect() }
    }

    // covers: B8
    #[test]
    fn each_port_is_said_once_and_by_whom() {
        let web = slot("web", &[("http", 80, false), ("taken", 81, false), ("free", 82, false), ("held", 83, true)]);
        let ported = [web, slot("db", &[])];
        let sockets = [socket(80, 1), socket(81, 2), socket(90, 3), socket(91, 4)];
        // The first has its port and another one, a stranger has the second, the third is of the other service.
        let ours = [HashMap::from([(1, vec![7]), (3, vec![7])]), HashMap::from([(4, vec![8])])];
        let strangers = HashMap::from([(2, vec![9])]);
        let told = join(&ported, &sockets, &ours, &strangers);
        let seen: Vec<_> = told
            .iter()
            .map(|one| {
                let holder = one.holders.first();
                (
                    one.service.as_str(),
                    one.port,
                    one.state,
                    holder.and_then(|it| it.pid),
                    holder.and_then(|it| it.service.as_deref()),
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("web", 80, PortState::Listening, Some(7), Some("web")),
                ("web", 81, PortState::Taken, Some(9), None),
                ("web", 82, PortState::Free, None, None),
                ("web", 83, PortState::Held, None, None),
                ("web", 90, PortState::Listening, Some(7), Some("web")),
                ("db", 91, PortState::Listening, Some(8), Some("db")),
            ]
        );
        assert_eq!((told[4].name.as_deref(), told[0].name.as_deref()), (None, Some("http")));
    }
}
