//! A search finds exactly the lines that match, whatever it may leave out.

use kennel_logs::{Matcher, Query, Stream};
use proptest::prelude::*;

use crate::rig::{Rig, write};

fn grep(pattern: &str, invert: bool) -> Query {
    Query { grep: Some(Matcher::new(pattern, invert).unwrap()), ..Query::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn exactly_what_matches(
        chunks in proptest::collection::vec((any::<bool>(), "[a-c \\n]{0,80}"), 1..60),
        pattern in prop_oneof!["[a-c]{1,4}", "[a-c]{2}\\.[a-c]", "\\^[a-c]{1,2}", "[a-c]{1,2}\\+ \\$"],
        packed: bool,
    ) {
        let mut rig = Rig::new(500);
        for (is_err, text) in &chunks {
            let stream = if *is_err { Stream::Err } else { Stream::Out };
            write(&mut rig.log, stream, 1, text.as_bytes());
        }
        // Of what never ends, a reader of the last lines may not have seen the begin.
        write(&mut rig.log, Stream::Out, 1, b"\n");
        write(&mut rig.log, Stream::Err, 1, b"\n");
        if packed {
            rig.pack_all();
        }
        let all = rig.read(Query::default());
        let regex = regex::bytes::Regex::new(&pattern).unwrap();
        for invert in [false, true] {
            let expected: Vec<_> = all.iter().filter(|line| regex.is_match(&line.bytes) != invert).cloned().collect();
            prop_assert!(rig.read(grep(&pattern, invert)) == expected, "all");
            let tail = Query { tail: Some(3), ..grep(&pattern, invert) };
            prop_assert!(rig.read(tail)[..] == expected[expected.len().saturating_sub(3)..], "tail");
        }
    }
}

#[test]
fn a_rare_word_is_found_among_many_frames() {
    let mut rig = Rig::new(6 << 20);
    let line = "2026-11-21 GET /api/items/17 200 in 3 ms from 10.0.0.1 agent curl\n".repeat(1000);
    for number in 0..200 {
        rig.say(&line);
        if number % 60 == 50 {
            rig.say(&format!("panicked at number {number}\n"));
        }
    }
    rig.pack_all();
    let found = rig.texts(grep("panicked at number [0-9]+", false));
    assert_eq!(found, ["panicked at number 50", "panicked at number 110", "panicked at number 170"]);
}
