//! A crash or a bad disk costs what it hit, and no more.

use std::fs;
use std::os::unix::fs::FileExt;

use kennel_logs::{Beside, Loss, Query, Stream};
use proptest::prelude::*;

use crate::rig::{Rig, bytes_of};

fn damage_of(lines: &[kennel_logs::Line]) -> usize {
    lines.iter().filter(|line| line.lost.is_some_and(|lost| lost.why == Loss::Damaged)).count()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Wherever the file was torn, everything before is there, and what is written afterwards follows.
    #[test]
    fn a_torn_end_is_cut(cut in 1..1400_usize) {
        let mut rig = Rig::new(1 << 20);
        let mut text = Vec::new();
        for number in 0..40 {
            let line = format!("line {number}\n");
            rig.say(&line);
            text.extend(line.bytes());
        }
        let path = rig.log.dir().join("00000001.log");
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        let length = file.metadata().unwrap().len() as usize;
        file.set_len((length - cut.min(length)) as u64).unwrap();
        // Who reads before there is another daemon sees what that will keep, from both ends.
        let nobody = || Query { beside: Beside::Nobody, ..Query::default() };
        let alone = rig.read(nobody());
        prop_assert_eq!(damage_of(&alone), 0);
        prop_assert_eq!(rig.read(Query { tail: Some(3), ..nobody() }), &alone[alone.len().saturating_sub(3)..]);
        rig.reopen();
        rig.say("\nafter\n");
        let lines = rig.read(Query::default());
        let seen = bytes_of(&lines, Stream::Out);
        let kept = seen.strip_suffix(b"\nafter\n").unwrap();
        prop_assert!(text.starts_with(kept));
        prop_assert_eq!(bytes_of(&alone, Stream::Out), kept);
        prop_assert!(text.len() - kept.len() <= cut);
        prop_assert_eq!(damage_of(&lines), 0);
    }

    /// Bytes that were turned over in the middle cost the chunks that they are in.
    #[test]
    fn a_damaged_chunk_is_skipped_and_said(at in 0..1300_u64, packed: bool) {
        let mut rig = Rig::new(2000);
        for number in 0..100 {
            rig.say(&format!("line {number:04}\n"));
        }
        if packed {
            rig.pack_all();
        }
        let path = rig.log.dir().join(if packed { "00000001.zst" } else { "00000001.log" });
        let file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let length = file.metadata().unwrap().len();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at % length).unwrap();
        file.write_all_at(&[byte[0] ^ 0x55], at % length).unwrap();
        let lines = rig.read(Query::default());
        let texts: Vec<&[u8]> = lines.iter().filter(|line| line.lost.is_none()).map(|line| &line.bytes[..]).collect();
        // What is shown after the damage is right.
        prop_assert_eq!(*texts.last().unwrap(), b"line 0099");
        let segment = 2000 / 34;
        prop_assert!(texts.len() >= if packed { 100 - segment - 2 } else { 96 }, "{} lines", texts.len());
    }
}

#[test]
fn a_compression_that_was_cut_short_costs_nothing() {
    let mut rig = Rig::new(200);
    for number in 0..50 {
        rig.say(&format!("line {number}\n"));
    }
    let before = rig.texts(Query::default());
    let dir = rig.log.dir().to_owned();
    // Killed while it was written, and killed between the two steps that end it.
    fs::write(dir.join("00000001.tmp"), b"half").unwrap();
    let second = fs::read(dir.join("00000002.log")).unwrap();
    kennel_logs::pack(&dir, 2).unwrap();
    fs::write(dir.join("00000002.log"), second).unwrap();
    assert_eq!(rig.texts(Query::default()), before);
    rig.reopen();
    rig.say("more\n");
    assert!(!dir.join("00000001.tmp").exists() && !dir.join("00000002.log").exists());
    assert_eq!(rig.texts(Query::default())[..50], before[..]);
}

#[test]
fn what_is_removed_while_it_is_compressed_stays_removed() {
    let mut rig = Rig::new(200);
    for number in 0..50 {
        rig.say(&format!("line {number}\n"));
    }
    fs::remove_file(rig.log.dir().join("00000001.log")).unwrap();
    assert_eq!(kennel_logs::pack(rig.log.dir(), 1).unwrap_err().kind(), std::io::ErrorKind::NotFound);
    assert!(!rig.files().iter().any(|file| file.starts_with("00000001")));
}
