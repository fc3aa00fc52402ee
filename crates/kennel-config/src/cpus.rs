//! Lists of CPUs: `0-3,6`.

/// Highest number of a CPU that the kernel can be built for.
const HIGHEST: u32 = 8191;

/// The numbers that a list names, ascending and each once. Empty items and ranges that run backwards are refused.
///
/// Source: "List format" of `cpuset(7)`, without strides.
pub(crate) fn parse(text: &str) -> Result<Vec<u32>, String> {
    let mut found = Vec::new();
    for item in text.split(',').map(str::trim) {
        let (first, last) = match item.split_once('-') {
            Some((first, last)) => (number(first, item)?, number(last, item)?),
            None => (number(item, item)?, number(item, item)?),
        };
        if first > last {
            return Err(format!("`{item}` runs backwards"));
        }
        found.extend(first..=last);
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn number(text: &str, item: &str) -> Result<u32, String> {
    let text = text.trim();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("`{item}` is neither the number of a CPU nor a range of them"));
    }
    let number = text.parse().ok().filter(|number| *number <= HIGHEST);
    number.ok_or_else(|| format!("no CPU has the number {text}; the highest possible is {HIGHEST}"))
}

/// As [`parse`] reads it, in its shortest form.
pub(crate) fn format(cpus: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for cpu in cpus {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *cpu => *last = *cpu,
            _ => ranges.push((*cpu, *cpu)),
        }
    }
    let item = |(first, last): &(u32, u32)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    ranges.iter().map(item).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists_and_ranges() {
        assert_eq!(parse("0-3,6"), Ok(vec![0, 1, 2, 3, 6]));
        assert_eq!(parse(" 7 , 5 - 6,6 "), Ok(vec![5, 6, 7]));
        assert_eq!(format(&[0, 1, 2, 3, 6]), "0-3,6");
        for wrong in ["", "a", "1,", ",1", "3-1", "-1", "1-", "1-2-3", "+1", "8192", "99999999999", "0x1", "1.5", "١"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        /// Any set comes back, however it is written: as single numbers or in ranges, in any order, more than once.
        #[test]
        fn a_set_of_cpus_comes_back(cpus in prop::collection::btree_set(0_u32..=HIGHEST, 1..40), order in any::<u64>()) {
            let sorted: Vec<u32> = cpus.iter().copied().collect();
            prop_assert_eq!(parse(&format(&sorted)), Ok(sorted.clone()));
            let mut items: Vec<String> = sorted.iter().chain(&sorted).map(u32::to_string).collect();
            let length = items.len();
            items.rotate_left(usize::try_from(order).unwrap_or(0) % length);
            items.reverse();
            prop_assert_eq!(parse(&items.join(", ")), Ok(sorted));
        }

        /// Nothing else is let through: what is accepted means the same once it is printed.
        #[test]
        fn what_is_accepted_is_ascending(text in "[0-9, -]{0,12}") {
            if let Ok(cpus) = parse(&text) {
                prop_assert!(!cpus.is_empty());
                prop_assert_eq!(&cpus, &cpus.iter().copied().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>());
                prop_assert_eq!(parse(&format(&cpus)), Ok(cpus));
            }
        }
    }
}
