//! What is kept is bounded, and who falls behind is told.

use std::time::Duration;

use kennel_logs::{Beside, Bounds, Log, Loss, Query, Reader, Room, Trimmed, keep_within, usage};

use crate::rig::{NAME, Rig, rest, write};

fn fill(rig: &mut Rig, lines: usize) {
    for number in 0..lines {
        if rig.log.has_closed() || number == 0 {
            rig.log.make_room(true).unwrap();
        }
        let appended = rig.write(kennel_logs::Stream::Out, format!("line {number}\n").as_bytes());
        if appended.closed {
            rig.log.make_room(true).unwrap();
        }
    }
}

// covers: B9
#[test]
fn the_oldest_goes_first_and_the_end_is_kept() {
    let mut rig = Rig::new(1000);
    rig.log.set_bounds(Bounds { max_size: 5000, segment_size: 1000, max_age: None });
    fill(&mut rig, 1000);
    let used = usage(rig.dir.path());
    assert!((3000..=5100).contains(&used[0].bytes), "{used:?}");
    let texts = rig.texts(Query::default());
    assert_eq!(texts.last().unwrap(), "line 999");
    let first: usize = texts[0].strip_prefix("line ").unwrap().parse().unwrap();
    assert_eq!(texts.len(), 1000 - first, "no line is missing in between");
}

#[test]
fn nothing_is_removed_where_that_is_not_wanted() {
    let mut rig = Rig::new(1000);
    rig.log.set_bounds(Bounds { max_size: 3000, segment_size: 1000, max_age: None });
    let mut written = 0;
    while rig.log.make_room(false).unwrap() == Room::Free {
        rig.say("0123456789\n");
        written += 1;
        assert!(written < 1000);
    }
    assert_eq!(rig.texts(Query::default()).len(), written);
}

#[test]
fn what_is_too_old_goes() {
    let mut rig = Rig::new(100);
    rig.log.set_bounds(Bounds { max_size: 1 << 30, segment_size: 100, max_age: Some(Duration::ZERO) });
    for _ in 0..20 {
        rig.say("0123456789\n");
        rig.log.make_room(true).unwrap();
    }
    assert!(rig.files().len() <= 2, "{:?}", rig.files());
}

#[test]
fn who_falls_behind_is_told_and_goes_on() {
    let mut rig = Rig::new(1000);
    rig.log.set_bounds(Bounds { max_size: 3000, segment_size: 1000, max_age: None });
    rig.say("first\n");
    let mut reader =
        Reader::new(rig.dir.path(), Query { names: vec![NAME.into()], beside: Beside::Followed, ..Query::default() });
    assert_eq!(rest(&mut reader).len(), 1);
    fill(&mut rig, 1000);
    let lines = rest(&mut reader);
    let lost: Vec<_> = lines.iter().filter_map(|line| line.lost).collect();
    assert_eq!(lost.len(), 1, "{lost:?}");
    assert_eq!(lost[0].why, Loss::Dropped);
    assert_eq!(lines.last().unwrap().bytes, b"line 999");
}

#[test]
fn all_logs_together_are_bounded() {
    let mut rig = Rig::new(500);
    for _ in 0..200 {
        rig.say("0123456789\n");
    }
    let mut small = Log::new(rig.dir.path(), "small", rig.bounds);
    write(&mut small, kennel_logs::Stream::Err, 1, b"here\n");
    let Trimmed { gone, left } = keep_within(rig.dir.path(), 3000).unwrap();
    assert!(gone.iter().all(|(name, bytes)| name == NAME && *bytes > 0) && !gone.is_empty());
    let used = usage(rig.dir.path());
    assert!(left <= 3000, "{used:?}");
    assert_eq!(used.iter().map(|log| log.bytes).sum::<u64>(), left);
    assert_eq!(used[0].name, "small");
    assert!(used[0].bytes > 0);
}

#[test]
fn what_was_removed_begins_anew_and_is_followed() {
    let mut rig = Rig::new(100);
    fill(&mut rig, 50);
    let mut reader =
        Reader::new(rig.dir.path(), Query { names: vec![NAME.into()], beside: Beside::Followed, ..Query::default() });
    rest(&mut reader);
    rig.log.remove().unwrap();
    assert!(rig.files().is_empty());
    rig.say("again\n");
    let lines = rest(&mut reader);
    assert_eq!(lines.last().map(|line| &line.bytes[..]), Some(&b"again"[..]));
}
