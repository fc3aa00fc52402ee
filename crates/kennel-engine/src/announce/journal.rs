//! The native protocol of the journal: one datagram of fields.
//!
//! Source: <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>, `systemd.journal-fields(7)`.

use super::told::Told;

/// Where the journal listens.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";

/// The datagram. What is ours begins with `KENNEL_`; the journal adds who sent it and when it came.
pub(super) fn encode(told: &Told) -> Vec<u8> {
    let mut message = Vec::new();
    field(&mut message, "MESSAGE", &told.message);
    field(&mut message, "PRIORITY", &(told.severity as u8).to_string());
    field(&mut message, "SYSLOG_IDENTIFIER", "kennel");
    field(&mut message, "SYSLOG_FACILITY", "3");
    for (name, value) in &told.fields {
        field(&mut message, &format!("KENNEL_{}", name.to_ascii_uppercase()), value);
    }
    message
}

/// `NAME=value` and a line break; with a line break in it, the length as 64 bits, little endian, before the value.
fn field(message: &mut Vec<u8>, name: &str, value: &str) {
    message.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        message.push(b'\n');
        message.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        message.push(b'=');
    }
    message.extend_from_slice(value.as_bytes());
    message.push(b'\n');
}

#[cfg(test)]
mod tests {
    use kennel_wire::EventKind;

    use super::super::told::tests::event;
    use super::*;

    #[test]
    fn fields_of_one_line_and_of_more() {
        let told = Told::of(&event(EventKind::Failed { reason: "no\nway".into() }), "shop");
        let message = encode(&told);
        let begin =
            b"MESSAGE=web: service.failed reason=\"no way\"\nPRIORITY=3\nSYSLOG_IDENTIFIER=kennel\nSYSLOG_FACILITY=3\n\
            KENNEL_INSTANCE=shop\nKENNEL_EVENT=service.failed\nKENNEL_SEQ=12\nKENNEL_TIME=2026-01-02T03:04:05.678Z\n\
            KENNEL_SERVICE=web\nKENNEL_RUN=3\n";
        assert!(message.starts_with(begin), "{}", String::from_utf8_lossy(&message));
        assert!(message.ends_with(b"KENNEL_REASON\n\x06\0\0\0\0\0\0\0no\nway\n"));
    }
}
