//! Ports that kennel chooses: which number each has, and that nobody else gets it while nothing runs.
//!
//! A number is chosen when a slot is made, and stays: over restarts, another daemon, and, as it follows from names, also when everything was forgotten. While nothing
//! runs the port is held by a socket that does not listen. It is let go right before the start, so that the service can have it, and taken again
//! when nothing is left of that.

use std::collections::{BTreeMap, HashSet};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use indexmap::IndexMap;
use kennel_core::model::Service;
use kennel_core::ports::{self, AUTO, Reference};
use kennel_sys::listening;

use super::Driver;
use super::slots::Slot;
use crate::ports::{Declared, Ported};

/// The numbers of a slot's ports, as far as kennel chose them.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    pub(super) numbers: BTreeMap<String, u16>,
    /// Those of them that are held now.
    held: Vec<(u16, Vec<OwnedFd>)>,
}

impl Chosen {
    pub(super) fn restored(numbers: BTreeMap<String, u16>) -> Self {
        Self { numbers, held: Vec::new() }
    }

    fn is_held(&self, port: u16) -> bool {
        self.held.iter().any(|(held, _)| *held == port)
    }
}

impl Slot {
    /// Its ports with the numbers that were chosen; those that were not are left out.
    pub(super) fn ports(&self) -> IndexMap<String, u16> {
        let number =
            |name: &String, port: u16| if port == AUTO { self.chosen.numbers.get(name).copied() } else { Some(port) };
        self.service.ports.iter().filter_map(|(name, port)| Some((name.clone(), number(name, *port)?))).collect()
    }

    fn chooses(&self) -> impl Iterator<Item = &String> {
        self.service.ports.iter().filter(|(_, port)| **port == AUTO).map(|(name, _)| name)
    }
}

impl Driver {
    /// Chooses what has no number yet, and holds what is not in use.
    ///
    /// # Errors
    /// The name of a port for which none is free.
    pub(super) fn choose_ports(&mut self, name: &str) -> Result<(), String> {
        let Some(slot) = self.slots.get_mut(name) else { return Ok(()) };
        let wanted: Vec<String> = slot.chooses().cloned().collect();
        if wanted.is_empty() && slot.chosen.numbers.is_empty() {
            return Ok(());
        }
        slot.chosen.numbers.retain(|port, _| wanted.contains(port));
        let numbers: HashSet<u16> = slot.chosen.numbers.values().copied().collect();
        slot.chosen.held.retain(|(port, _)| numbers.contains(port));
        if slot.run.is_some_and(|id| self.runs.contains_key(&id)) {
            return Ok(());
        }
        for port_name in wanted {
            self.choose_port(name, &port_name)?;
        }
        Ok(())
    }

    fn choose_port(&mut self, name: &str, port_name: &str) -> Result<(), String> {
        let Some(slot) = self.slots.get_mut(name) else { return Ok(()) };
        if let Some(port) = slot.chosen.numbers.get(port_name).copied() {
            if slot.chosen.is_held(port) {
                return Ok(());
            }
            if let Ok(sockets) = listening::reserve(port) {
                slot.chosen.held.push((port, sockets));
                return Ok(());
            }
            tracing::warn!(
                service = name,
                port_name,
                port,
                "somebody else has the port meanwhile, another one is chosen"
            );
        }
        let taken: HashSet<u16> = self.slots.values().flat_map(|slot| slot.ports().into_values()).collect();
        let directory = self.loaded.as_ref().map(|loaded| loaded.project.directory.to_string_lossy().into_owned());
        let directory = directory.unwrap_or_default();
        let mut free = ports::candidates(&directory, name, port_name, ephemeral()).filter(|port| !taken.contains(port));
        let found = free.find_map(|port| Some((port, listening::reserve(port).ok()?)));
        let Some((port, sockets)) = found else {
            return Err(format!("no port is free for `{port_name}`"));
        };
        if let Some(slot) = self.slots.get_mut(name) {
            slot.chosen.numbers.insert(port_name.to_owned(), port);
            slot.chosen.held.push((port, sockets));
            self.dirty.slot(name);
        }
        Ok(())
    }

    /// The same for every slot; what cannot be had now is tried again when it is started.
    pub(super) fn choose_all_ports(&mut self) {
        let names: Vec<String> = self.slots.keys().cloned().collect();
        for name in names {
            if let Err(error) = self.choose_ports(&name) {
                tracing::warn!(error, service = name, "cannot choose a port");
            }
        }
    }

    /// Lets go what a start is about to use.
    pub(super) fn let_ports_go(&mut self, name: &str) {
        if let Some(slot) = self.slots.get_mut(name) {
            slot.chosen.held.clear();
        }
    }

    /// Lets go everything, for a daemon that takes over.
    pub(super) fn let_all_ports_go(&mut self) {
        self.slots.values_mut().for_each(|slot| slot.chosen.held.clear());
    }

    /// What is started in a slot: the declaration with the numbers of its ports.
    pub(super) fn with_ports(&self, name: &str, service: &Arc<Service>) -> Arc<Service> {
        let Some(slot) = self.slots.get(name) else { return Arc::clone(service) };
        let number = |reference: Reference<'_>| match reference.service {
            None => slot.ports().get(reference.port).copied(),
            Some(of) => {
                let other = self.slots.values().find(|slot| slot.service_name == of)?;
                other.ports().get(reference.port).copied()
            }
        };
        ports::resolved(service, &slot.chosen.numbers, &number).map_or_else(|| Arc::clone(service), Arc::new)
    }

    /// What there is to say about ports, for whoever looks at the sockets.
    pub(super) fn ported(&self) -> Vec<Ported> {
        let one = |(name, slot): (&String, &Slot)| {
            let run = slot.run.and_then(|id| self.runs.get(&id));
            let is_auto = |port: &String| slot.service.ports.get(port) == Some(&AUTO);
            let declared = slot.ports().into_iter().map(|(port_name, port)| Declared {
                chosen: is_auto(&port_name),
                held: slot.chosen.is_held(port),
                name: port_name,
                port,
            });
            Ported { name: name.clone(), place: run.and_then(|run| run.place.clone()), declared: declared.collect() }
        };
        self.slots.iter().map(one).collect()
    }
}

/// Where the range begins that the kernel hands out by itself. Source: `ip(7)`.
fn ephemeral() -> u16 {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    text.split_ascii_whitespace().next().and_then(|low| low.parse().ok()).unwrap_or(32_768)
}
