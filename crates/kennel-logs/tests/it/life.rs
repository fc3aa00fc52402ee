//! Whatever happens to a log, each stream comes back byte for byte, once and in order.

use kennel_logs::{Beside, Log, Query, Reader, Stream};
use proptest::prelude::*;

use crate::rig::{NAME, Rig, bytes_of, rest, write};

#[derive(Debug, Clone)]
enum Step {
    Write(bool, Vec<u8>),
    Reopen,
    Pack,
    Read,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let bytes = proptest::collection::vec(prop_oneof![1 => Just(b'\n'), 6 => any::<u8>()], 1..60);
    let step = prop_oneof![
        12 => (any::<bool>(), bytes).prop_map(|(is_err, bytes)| Step::Write(is_err, bytes)),
        1 => Just(Step::Reopen),
        2 => Just(Step::Pack),
        3 => Just(Step::Read),
    ];
    proptest::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    // covers: B9
    #[test]
    fn every_byte_comes_back_once_and_in_order(steps in steps(), segment_size in 60..700_u64) {
        let mut rig = Rig::new(segment_size);
        let mut written = [Vec::new(), Vec::new()];
        let mut follower = Reader::new(rig.dir.path(), Query { names: vec![NAME.into()], beside: Beside::Followed, ..Query::default() });
        let mut followed = Vec::new();
        for step in steps {
            match step {
                Step::Write(is_err, bytes) => {
                    let stream = if is_err { Stream::Err } else { Stream::Out };
                    let appended = rig.write(stream, &bytes);
                    prop_assert_eq!(appended.kept, bytes.len());
                    written[stream.index()].extend(bytes);
                }
                Step::Reopen => rig.reopen(),
                Step::Pack => rig.pack_all(),
                Step::Read => followed.extend(rest(&mut follower)),
            }
        }
        followed.extend(rest(&mut follower));
        let lines = rig.read(Query::default());
        prop_assert!(lines.windows(2).all(|pair| pair[0].time <= pair[1].time));
        for stream in [Stream::Out, Stream::Err] {
            let written = &written[stream.index()];
            prop_assert_eq!(&bytes_of(&lines, stream), written);
            // Who follows has all that has ended.
            let whole = written.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            prop_assert_eq!(&bytes_of(&followed, stream)[..], &written[..whole]);
        }
        // Of what never ends, a reader of the last lines may not have seen the begin.
        rig.write(Stream::Out, b"\n");
        rig.write(Stream::Err, b"\n");
        let lines = rig.read(Query::default());
        // From the middle and from the end it is the same lines, whatever form they are in by then.
        let only = Query { stream: Some(Stream::Out), ..Query::default() };
        let all = rig.read(only.clone());
        for tail in [0, 1, 3, 1000] {
            let last = rig.read(Query { tail: Some(tail), ..only.clone() });
            prop_assert!(last[..] == all[all.len().saturating_sub(tail)..], "tail {}", tail);
        }
        if let Some(middle) = lines.get(lines.len() / 2) {
            let since = rig.read(Query { since: Some(middle.time), ..Query::default() });
            let expected: Vec<_> = lines.iter().filter(|line| line.time >= middle.time).cloned().collect();
            // Of a line that began far before, nothing may be shown.
            let missing = expected.len() - since.len();
            let (mut left, mut found) = (expected.iter(), 0);
            prop_assert!(since.iter().all(|line| left.any(|one| { found += 1; one == line })), "since: {} of {}", found, expected.len());
            prop_assert!(missing <= 2, "{} missing", missing);
            let until = rig.read(Query { until: Some(middle.time), ..Query::default() });
            // A line that goes on after that has not ended by then.
            let is_whole = |line: &&kennel_logs::Line| line.time <= middle.time && line.complete;
            let expected: Vec<_> = lines.iter().filter(is_whole).cloned().collect();
            prop_assert!(until.into_iter().filter(|line| line.complete).collect::<Vec<_>>() == expected, "until");
        }
    }
}

#[test]
fn several_logs_are_merged_in_the_order_of_time() {
    let rig = Rig::new(1 << 20);
    let mut logs: Vec<Log> = ["a", "b", "c"].iter().map(|name| Log::new(rig.dir.path(), name, rig.bounds)).collect();
    let mut reader = Reader::new(rig.dir.path(), Query { beside: Beside::Followed, ..Query::default() });
    for number in 0..30 {
        write(&mut logs[number * 7 % 3], Stream::Out, 1, format!("{number}\n").as_bytes());
    }
    let texts: Vec<String> = rest(&mut reader).into_iter().map(|line| String::from_utf8(line.bytes).unwrap()).collect();
    assert_eq!(texts, (0..30).map(|number| number.to_string()).collect::<Vec<_>>());
    // One that comes later is followed as well.
    write(&mut Log::new(rig.dir.path(), "later", rig.bounds), Stream::Out, 1, b"new\n");
    assert_eq!(rest(&mut reader).len(), 1);
    assert_eq!(reader.names(), ["a", "b", "c", "later"]);
}

#[test]
fn a_line_of_ten_megabytes_comes_in_parts_and_whole() {
    let mut rig = Rig::new(1 << 20);
    let long: Vec<u8> = (0..10 << 20).map(|at: u32| (at % 251) as u8 | 0x80).collect();
    for chunk in long.chunks(65_536) {
        rig.write(Stream::Out, chunk);
    }
    rig.say("\nshort\n");
    for _ in 0..2 {
        let lines = rig.read(Query::default());
        let expected: Vec<u8> = long.iter().copied().chain(*b"\nshort\n").collect();
        assert!(bytes_of(&lines, Stream::Out) == expected);
        assert_eq!(rig.texts(Query { tail: Some(1), ..Query::default() }), ["short"]);
        rig.pack_all();
    }
}
