//! Amounts as people read them.

/// From milliseconds: `12 ms`, `1.2 s`, `42 s`, `3 min 5 s`, `2 h 5 min`, `3 d 4 h`.
pub(crate) fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    match seconds {
        _ if ms < 100 => format!("{ms} ms"),
        0..10 => format!("{}.{} s", seconds, ms % 1000 / 100),
        10..60 => format!("{seconds} s"),
        60..3600 => pair(seconds, 60, "min", "s"),
        3600..86_400 => pair(seconds / 60, 60, "h", "min"),
        _ => pair(seconds / 3600, 24, "d", "h"),
    }
}

fn pair(amount: u64, base: u64, large: &str, small: &str) -> String {
    match amount % base {
        0 => format!("{} {large}", amount / base),
        rest => format!("{} {large} {rest} {small}", amount / base),
    }
}

/// From bytes: `812 B`, `4.0 KiB`, `12.3 MiB`, `115 MiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut amount = bytes as f64;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(amount < 99.95);
    format!("{amount:.digits$} {}", UNITS[unit])
}

/// From percent of one core: `0.0%`, `3.1%`, `215%`.
pub(crate) fn percent(percent: f64) -> String {
    let digits = usize::from(percent < 99.95);
    format!("{percent:.digits$}%")
}

/// `1 process`, `3 processes`.
pub(crate) fn processes(count: usize) -> String {
    if count == 1 { "1 process".to_owned() } else { format!("{count} processes") }
}

/// `1 zombie`
pub(crate) fn zombies(count: u32) -> String {
    if count == 1 { "1 zombie".to_owned() } else { format!("{count} zombies") }
}

/// `next at 2026-01-02T03:04:05Z`
pub(crate) fn next_time(at: Option<jiff::Timestamp>) -> String {
    at.map_or_else(|| "no time is left".to_owned(), |at| format!("next at {}", at.strftime("%Y-%m-%dT%H:%M:%SZ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let shown = [0, 99, 100, 1_249, 9_999, 10_000, 59_999, 60_000, 185_000, 7_500_000, 273_600_000].map(duration);
        let expected =
            ["0 ms", "99 ms", "0.1 s", "1.2 s", "9.9 s", "10 s", "59 s", "1 min", "3 min 5 s", "2 h 5 min", "3 d 4 h"];
        assert_eq!(shown, expected);
    }

    #[test]
    fn sizes() {
        let shown = [0, 1023, 4096, 12_897_484, 120_586_240, 1 << 40].map(bytes);
        assert_eq!(shown, ["0 B", "1023 B", "4.0 KiB", "12.3 MiB", "115 MiB", "1.0 TiB"]);
    }

    #[test]
    fn shares() {
        assert_eq!([0.0, 3.12, 99.96, 215.4].map(percent), ["0.0%", "3.1%", "100%", "215%"]);
    }
}
