//! The line that `syslog(3)` sends: what every program behind `/dev/log` takes.
//!
//! Source: RFC 3164, section 4.1; local programs leave out the name of the host.

use jiff::tz::TimeZone;

use super::told::Told;

/// Where the log daemon listens.
pub(super) const SOCKET: &str = "/dev/log";

/// `LOG_DAEMON` of `syslog(3)`.
const FACILITY: u8 = 3;

/// `<27>Jan  2 03:04:05 kennel[PID]: shop: web: service.failed reason="…"`
pub(super) fn encode(told: &Told) -> Vec<u8> {
    let priority = FACILITY * 8 + told.severity as u8;
    let time = told.time.to_zoned(TimeZone::system()).strftime("%b %e %H:%M:%S").to_string();
    let instance = told.fields.iter().find(|(name, _)| name == "instance").map_or("", |(_, name)| name);
    format!("<{priority}>{time} kennel[{}]: {instance}: {}", std::process::id(), told.message).into_bytes()
}

#[cfg(test)]
mod tests {
    use kennel_wire::EventKind;

    use super::super::told::tests::event;
    use super::*;

    #[test]
    fn a_line() {
        let told = Told::of(&event(EventKind::Failed { reason: "no".into() }), "shop");
        let line = String::from_utf8_lossy(&encode(&told)).into_owned();
        let end = format!(" kennel[{}]: shop: web: service.failed reason=no", std::process::id());
        assert!(line.starts_with("<27>Jan  ") && line.ends_with(&end), "{line}");
        assert_eq!(line.len(), "<27>Jan  2 03:04:05".len() + end.len());
    }
}
