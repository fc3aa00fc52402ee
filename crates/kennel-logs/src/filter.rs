//! Which sequences of three bytes occur in a frame, roughly: a Bloom filter with one hash, without regard to case.
//!
//! A search asks whether all those of a word may be there. "No" is certain, "yes" is a reason to look.

/// Bits of a filter that is being made.
const BITS: u32 = 1 << 17;
/// A filter is folded to half its size while no more of its bits than this would be set, percent.
const FOLD_UNDER: usize = 30;
/// Beyond this it would say yes to nearly everything, percent.
const USELESS: usize = 70;

/// Being made.
#[derive(Debug)]
pub(crate) struct Filter {
    bits: Vec<u64>,
}

impl Filter {
    pub(crate) fn new() -> Self {
        Self { bits: vec![0; BITS as usize / 64] }
    }

    /// Takes in every sequence of a payload.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        let mut last = 0_u32;
        for (at, byte) in bytes.iter().enumerate() {
            last = (last << 8 | u32::from(byte.to_ascii_lowercase())) & 0x00ff_ffff;
            if at >= 2 {
                let bit = hash(last) as usize;
                if let Some(word) = self.bits.get_mut(bit / 64) {
                    *word |= 1 << (bit % 64);
                }
            }
        }
    }

    /// As small as it may be, and begins anew. Empty: everything may be there.
    pub(crate) fn finish(&mut self) -> Vec<u8> {
        let mut bits = std::mem::replace(&mut self.bits, vec![0; BITS as usize / 64]);
        loop {
            let half = bits.len() / 2;
            let (low, high) = bits.split_at(half);
            let folded: Vec<u64> = low.iter().zip(high).map(|(low, high)| low | high).collect();
            if folded.len() < 8 || set(&folded) * 100 > folded.len() * 64 * FOLD_UNDER {
                break;
            }
            bits = folded;
        }
        if set(&bits) * 100 > bits.len() * 64 * USELESS {
            return Vec::new();
        }
        bits.iter().flat_map(|word| word.to_le_bytes()).collect()
    }
}

fn set(bits: &[u64]) -> usize {
    bits.iter().map(|word| word.count_ones() as usize).sum()
}

/// Whether all sequences of this word may be in what the filter was made of.
pub(crate) fn may_hold(filter: &[u8], word: &[u8]) -> bool {
    let bits = filter.len() * 8;
    if bits == 0 {
        return true;
    }
    word.windows(3).all(|three| {
        let key = three.iter().fold(0, |key, byte| key << 8 | u32::from(byte.to_ascii_lowercase()));
        let bit = hash(key) as usize % bits;
        filter.get(bit / 8).is_none_or(|byte| byte & (1 << (bit % 8)) != 0)
    })
}

/// 17 bits; the lower ones of it are as good as all, so a filter may be folded.
fn hash(key: u32) -> u32 {
    key.wrapping_mul(0x9e37_79b1) >> 15
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_there_is_never_denied(texts in proptest::collection::vec("[a-zA-Z0-9 ]{0,200}", 1..20), pick: prop::sample::Index, from: prop::sample::Index) {
            let mut filter = Filter::new();
            texts.iter().for_each(|text| filter.add(text.as_bytes()));
            let filter = filter.finish();
            let text = texts[pick.index(texts.len())].as_bytes();
            let word = &text[from.index(text.len() + 1)..];
            prop_assert!(may_hold(&filter, word));
            prop_assert!(may_hold(&filter, &word.to_ascii_uppercase()));
        }
    }

    #[test]
    fn most_of_what_is_not_there_is_denied_and_little_is_small() {
        let mut filter = Filter::new();
        for number in 0..2000 {
            filter.add(format!("GET /api/items/{number} 200 in 17 ms").as_bytes());
        }
        let filter = filter.finish();
        assert!(filter.len() <= 1024, "{}", filter.len());
        let words = ["timeout", "refused", "panicked", "deadlock", "segfault", "no such file"];
        let passed = words.iter().filter(|word| may_hold(&filter, word.as_bytes())).count();
        assert!(passed <= 1, "{passed}");
    }

    #[test]
    fn noise_has_no_filter() {
        let mut filter = Filter::new();
        let noise: Vec<u8> = (0_u32..1 << 20).map(|at| (at.wrapping_mul(0x9e37_79b1) >> 13) as u8).collect();
        filter.add(&noise);
        let mixed: Vec<u8> =
            (0_u64..1 << 20).map(|at| (at.wrapping_mul(0xd134_2543_de82_ef95).rotate_left(23) >> 11) as u8).collect();
        filter.add(&mixed);
        assert!(filter.finish().len() != 8);
    }
}
