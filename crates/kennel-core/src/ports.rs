//! Ports that kennel chooses: where one is looked for, and where its number stands in a service once it is known.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::liveness::Check;
use crate::model::{ProbeKind, Service, StopStep, WatchAction};

/// The number of a port that kennel chooses, in a declaration.
pub const AUTO: u16 = 0;

/// How many ports are tried before none is left.
const TRIES: u16 = 2000;

/// Ports to try, in this order, for one named port of one place.
///
/// Where it begins follows from the names alone, so that the same port comes back after everything was down, and two copies of a
/// project have different ones. `below` is where the range begins that the kernel hands out to everybody who connects; ports are chosen
/// below that, where nobody gets one by chance.
pub fn candidates(directory: &str, place: &str, port: &str, below: u16) -> impl Iterator<Item = u16> {
    let range = range(below);
    let size = range.end - range.start;
    let begin = hash([directory, place, port]) % u64::from(size);
    (0..TRIES.min(size)).map(move |step| {
        let offset = (begin + u64::from(step)) % u64::from(size);
        range.start + u16::try_from(offset).unwrap_or(0)
    })
}

fn range(below: u16) -> Range<u16> {
    match below {
        // Most of what people give by hand lies below.
        20_000.. => below.saturating_sub(12_000).max(10_240)..below,
        _ => 20_000..32_768,
    }
}

/// FNV-1a, 64 bits, over parts that cannot run into each other.
fn hash<'a>(parts: impl IntoIterator<Item = &'a str>) -> u64 {
    let bytes = parts.into_iter().flat_map(|part| part.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// What a reference in a text stands for: `${ports.NAME}` of the service itself, `${ports.SERVICE.NAME}` of another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference<'t> {
    /// None: the service in which it stands.
    pub service: Option<&'t str>,
    /// Name of the port.
    pub port: &'t str,
}

/// Reads what stands between `${ports.` and `}`.
#[must_use]
pub fn reference(inside: &str) -> Option<Reference<'_>> {
    let good = |name: &str| {
        !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-')
    };
    let (service, port) = match inside.split_once('.') {
        Some((service, port)) => (Some(service), port),
        None => (None, inside),
    };
    (good(port) && service.is_none_or(good)).then_some(Reference { service, port })
}

/// A text with the numbers of its ports; those that nobody knows stay as they are.
#[must_use]
pub fn filled(text: &str, number: &impl Fn(Reference<'_>) -> Option<u16>) -> String {
    const BEGIN: &str = "${ports.";
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(BEGIN) {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let inside = after.get(BEGIN.len()..).unwrap_or_default();
        let found = inside.find('}').and_then(|end| Some((end, number(reference(inside.get(..end)?)?)?)));
        match found {
            Some((end, port)) => {
                out.push_str(&port.to_string());
                rest = inside.get(end + 1..).unwrap_or_default();
            }
            None => {
                out.push_str(BEGIN);
                rest = inside;
            }
        }
    }
    out.push_str(rest);
    out
}

/// The service with its chosen ports, and with the numbers of ports wherever they are meant; none if it says nothing of either.
#[must_use]
pub fn resolved(
    service: &Service,
    own: &BTreeMap<String, u16>,
    number: &impl Fn(Reference<'_>) -> Option<u16>,
) -> Option<Service> {
    let mut new = service.clone();
    for (name, port) in new.ports.iter_mut().filter(|(_, port)| **port == AUTO) {
        *port = own.get(name).copied().unwrap_or(AUTO);
    }
    let fill = |text: &mut String| {
        if text.contains("${ports.") {
            *text = filled(text, number);
        }
    };
    new.command.iter_mut().for_each(fill);
    new.environment.values_mut().for_each(fill);
    for probe in new.readiness.iter_mut() {
        fill_probe(&mut probe.kind, own, &fill);
    }
    if let Some(Check::Ask(kind)) = new.liveness.as_mut().map(|liveness| &mut liveness.check) {
        fill_probe(kind, own, &fill);
    }
    for stage in &mut new.stop {
        match &mut stage.step {
            StopStep::Command(command) => command.iter_mut().for_each(fill),
            StopStep::Signal { .. } => {}
        }
    }
    if let Some(WatchAction::Run(command)) = new.watch.as_mut().map(|watch| &mut watch.action) {
        command.iter_mut().for_each(fill);
    }
    (new != *service).then_some(new)
}

fn fill_probe(kind: &mut ProbeKind, own: &BTreeMap<String, u16>, fill: &impl Fn(&mut String)) {
    // By its name, in place of the number.
    let known = |auto: &Option<String>| auto.as_ref().and_then(|name| own.get(name)).copied();
    match kind {
        ProbeKind::Exec(command) => command.iter_mut().for_each(fill),
        ProbeKind::HttpGet { port, path, auto, .. } => {
            fill(path);
            *port = known(auto).unwrap_or(*port);
        }
        ProbeKind::Tcp { port, auto, .. } => *port = known(auto).unwrap_or(*port),
        ProbeKind::LogLine(_) | ProbeKind::Notify | ProbeKind::File(_) => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn number(reference: Reference<'_>) -> Option<u16> {
        match (reference.service, reference.port) {
            (None, "http") => Some(8080),
            (Some("db"), "pg") => Some(5432),
            _ => None,
        }
    }

    #[test]
    fn numbers_stand_where_they_are_meant() {
        let fill = |text: &str| filled(text, &number);
        assert_eq!(fill("http://localhost:${ports.http}/x"), "http://localhost:8080/x");
        assert_eq!(fill("${ports.db.pg}${ports.http}"), "54328080");
        for text in ["${ports.nope}", "${ports.", "${ports.}", "$ports.http", "${ports.a b}", "${ports.db.pg.x}"] {
            assert_eq!(fill(text), text);
        }
        let mut service = Service::plain(vec!["serve".into(), "--port=${ports.http}".into()], "/".into());
        assert_eq!(resolved(&Service::plain(vec!["serve".into()], "/".into()), &BTreeMap::new(), &number), None);
        service.ports.insert("http".into(), AUTO);
        service.ports.insert("fixed".into(), 70);
        let own = BTreeMap::from([("http".to_owned(), 8080)]);
        let new = resolved(&service, &own, &number).unwrap();
        assert_eq!((new.command[1].as_str(), new.ports["http"], new.ports["fixed"]), ("--port=8080", 8080, 70));
    }

    proptest! {
        #[test]
        fn candidates_are_distinct_below_the_range_and_the_same_again(
            directory in "/[a-z]{0,8}", place in "[a-z.0-9]{1,8}", port in "[a-z]{1,8}", below in any::<u16>(),
        ) {
            let all: Vec<u16> = candidates(&directory, &place, &port, below).collect();
            prop_assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
            prop_assert_eq!(all.len(), usize::from(TRIES));
            prop_assert!(all.iter().all(|one| *one >= 10_240 && (below < 20_000 || *one < below)));
            prop_assert_eq!(candidates(&directory, &place, &port, below).collect::<Vec<_>>(), all);
        }

        #[test]
        fn filling_never_panics_and_leaves_other_texts_alone(text in "[a-z${}.]{0,24}") {
            let filled = filled(&text, &number);
            if !text.contains("${ports.") {
                prop_assert_eq!(filled, text);
            }
        }
    }
}
