//! An event as the journal has it.

use super::told::Told;
use crate::journal::field;

/// The datagram. What is ours begins with `KENNEL_`; the journal adds who sent it and when it came.
pub(super) fn encode(told: &Told) -> Vec<u8> {
    let mut message = Vec::new();
    field(&mut message, "MESSAGE", told.message.as_bytes());
    field(&mut message, "PRIORITY", (told.severity as u8).to_string().as_bytes());
    field(&mut message, "SYSLOG_IDENTIFIER", b"kennel");
    field(&mut message, "SYSLOG_FACILITY", b"3");
    for (name, value) in &told.fields {
        field(&mut message, &format!("KENNEL_{}", name.to_ascii_uppercase()), value.as_bytes());
    }
    message
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
