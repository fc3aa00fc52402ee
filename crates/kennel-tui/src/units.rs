//! Amounts in few columns. `K`, `M` and `G` are KiB, MiB and GiB.

/// From bytes, at most five columns: `812`, `4.0K`, `12.3M`, `115M`, `1023M`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["K", "M", "G", "T", "P"];
    if bytes < 1024 {
        return bytes.to_string();
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut amount = bytes as f64 / 1024.0;
    let mut unit = 0;
    // As shown: what would be rounded to 1024 belongs to the next unit.
    while amount >= 1023.5 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(amount < 99.95);
    format!("{amount:.digits$}{}", UNITS[unit])
}

/// From bytes a second, as [`bytes`]. Nothing and next to nothing are `0`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is positive and far below 2⁶³")]
pub(crate) fn rate(rate: f64) -> String {
    bytes(rate.max(0.0).round() as u64)
}

/// From percent of one CPU, at most five columns: `0.0`, `3.1`, `215`.
pub(crate) fn percent(percent: f64) -> String {
    let digits = usize::from(percent < 99.95);
    format!("{percent:.digits$}")
}

/// From milliseconds, at most six columns: `45s`, `12m05`, `3h12m`, `2d04h`, `120d`.
pub(crate) fn duration(ms: u64) -> String {
    let seconds = ms / 1000;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m{:02}", seconds % 60),
        3600..86_400 => format!("{hours}h{:02}m", minutes % 60),
        86_400..8_640_000 => format!("{days}d{:02}h", hours % 24),
        _ => format!("{days}d"),
    }
}

/// From bytes, in words: `812 B`, `4.0 KiB`, `115 MiB`.
pub(crate) fn size(amount: u64) -> String {
    let text = bytes(amount);
    match text.strip_suffix(|unit: char| unit.is_ascii_uppercase()) {
        Some(number) => format!("{number} {}iB", &text[number.len()..]),
        None => format!("{text} B"),
    }
}

/// `1 process`, `3 processes`.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_at_most_five_columns() {
        let shown = [0, 1023, 1024, 12_897_484, 120_586_240, (1 << 30) - 1, 1 << 40, u64::MAX].map(bytes);
        assert_eq!(shown, ["0", "1023", "1.0K", "12.3M", "115M", "1.0G", "1.0T", "16384P"]);
        for power in 0..60 {
            let text = bytes((1 << power) - 1);
            assert!(text.len() <= 5, "{text}");
        }
        assert_eq!([0.0, 0.4, 1500.0].map(rate), ["0", "0", "1.5K"]);
        assert_eq!([0.0, 3.12, 99.96, 1600.0].map(percent), ["0.0", "3.1", "100", "1600"]);
    }

    #[test]
    fn times_have_at_most_six_columns() {
        let shown = [0, 45_999, 725_000, 11_520_000, 187_200_000, 10_368_000_000].map(duration);
        assert_eq!(shown, ["0s", "45s", "12m05", "3h12m", "2d04h", "120d"]);
    }

    #[test]
    fn words() {
        assert_eq!([812, 4096, 120_586_240].map(size), ["812 B", "4.0 KiB", "115 MiB"]);
        assert_eq!([1, 3].map(|count| counted(count, "process", "processes")), ["1 process", "3 processes"]);
    }
}
