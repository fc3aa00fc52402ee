//! A check for what SQLite does not check: a flipped bit in a text or a number.

/// FNV-1a, 64 bits, over parts that are told apart.
pub(crate) fn of<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut take = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    for (at, part) in parts.into_iter().enumerate() {
        if at > 0 {
            // No UTF-8 text has it.
            take(0xff);
        }
        part.iter().copied().for_each(&mut take);
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart() {
        let of = |parts: &[&str]| of(parts.iter().map(|part| part.as_bytes()));
        assert_eq!(of(&["a"]), 0xaf63_dc4c_8601_ec8c, "the published value");
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["ab", ""]), of(&["ab"]));
    }
}
