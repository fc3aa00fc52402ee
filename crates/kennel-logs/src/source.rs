//! One log as it is read: from segment to segment, and from chunks to the lines that are wanted.

use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::chunk::{HEADER, Header, Stream};
use crate::lines::{Assembler, Line, Loss, Lost, Seen};
use crate::matcher::Matcher;
use crate::scan::{Packed, Raw};
use crate::segment::{self, Segment};
use crate::writing::Headers;

/// Which lines of a log are wanted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) since: Option<i64>,
    pub(crate) until: Option<i64>,
    pub(crate) stream: Option<Stream>,
    pub(crate) grep: Option<Matcher>,
    /// Nobody writes any more.
    pub(crate) is_over: bool,
}

impl Wanted {
    fn wants(&self, seen: &Seen<'_>) -> bool {
        self.since.is_none_or(|since| seen.time >= since)
            && self.until.is_none_or(|until| seen.time <= until)
            && self.stream.is_none_or(|stream| seen.stream == stream)
            && self.grep.as_ref().is_none_or(|grep| seen.lost.is_none() && grep.matches(seen.bytes))
    }
}

/// Where somebody begins to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Start {
    number: u64,
    at: Within,
    /// There is something before it.
    in_the_middle: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    /// A chunk begins here in the file.
    Place(u64),
    /// The frame with this number.
    Frame(usize),
}

#[derive(Debug)]
enum Open {
    Raw(Raw),
    Packed(Packed),
}

/// A log being read.
#[derive(Debug)]
pub(crate) struct Source {
    dir: PathBuf,
    /// Of the open segment, or the last one that was.
    number: u64,
    open: Option<Open>,
    assembler: Assembler,
    pub(crate) queue: VecDeque<Line>,
    /// No line that is still to come is older.
    pub(crate) reached: i64,
    is_over: bool,
    /// A frame was left out, so that of a line which began in it nothing is known.
    left_out: bool,
}

/// Whether there may be more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// So many bytes were looked at.
    Looked(usize),
    /// At the present end.
    End,
}

impl Source {
    /// From the begin of what there is, or from the first that may be as young as is wanted.
    pub(crate) fn open(dir: &Path, since: Option<i64>) -> Self {
        match since.and_then(|since| start_of(dir, since)) {
            Some(start) => Self::begin(dir, start),
            None => Self::at(dir, 0, Assembler::default()),
        }
    }

    /// The last lines that are wanted, and on from there.
    pub(crate) fn tail(dir: &Path, lines: usize, wanted: &Wanted, with_partial: bool) -> Self {
        let segments = segment::list(dir);
        for start in starts(dir, &segments) {
            let mut source = Self::begin(dir, start);
            let (mut last, mut cuts): (VecDeque<Line>, u32) = (VecDeque::new(), 0);
            loop {
                let step = source.step(wanted);
                if std::mem::replace(&mut cuts, source.assembler.cuts) != source.assembler.cuts {
                    // A line of which the begin was not seen: what came before it does not count.
                    last.clear();
                }
                if step == Step::End && with_partial {
                    source.finish(wanted);
                }
                for line in source.queue.drain(..) {
                    last.push_back(line);
                    if last.len() > lines {
                        last.pop_front();
                    }
                }
                if step == Step::End {
                    break;
                }
            }
            if last.len() >= lines || !start.in_the_middle {
                source.queue = last;
                // What is written meanwhile would be more than was asked for.
                source.is_over = with_partial;
                return source;
            }
        }
        Self::open(dir, wanted.since)
    }

    fn at(dir: &Path, number: u64, assembler: Assembler) -> Self {
        Self {
            dir: dir.to_owned(),
            number,
            open: None,
            assembler,
            queue: VecDeque::new(),
            reached: i64::MIN,
            is_over: false,
            left_out: false,
        }
    }

    fn begin(dir: &Path, start: Start) -> Self {
        let assembler = if start.in_the_middle { Assembler::in_the_middle() } else { Assembler::default() };
        let mut source = Self::at(dir, start.number, assembler);
        source.open = open(dir, start.number).ok();
        match (&mut source.open, start.at) {
            (Some(Open::Raw(raw)), Within::Place(place)) => raw.seek(place),
            (Some(Open::Packed(packed)), Within::Frame(frame)) => packed.seek(frame),
            // Compressed meanwhile: from its begin.
            (Some(_), _) => {}
            (None, _) => source.number = source.number.saturating_sub(1),
        }
        source
    }

    /// Takes one more chunk, and puts the wanted lines of it into the queue.
    pub(crate) fn step(&mut self, wanted: &Wanted) -> Step {
        if self.is_over {
            return Step::End;
        }
        if self.open.is_none() && !self.go_on() {
            return Step::End;
        }
        let looked = match &mut self.open {
            Some(Open::Packed(_)) => self.step_packed(wanted),
            Some(Open::Raw(_)) => self.step_raw(wanted, false),
            None => return Step::End,
        };
        match looked {
            Some(looked) => Step::Looked(looked),
            None if self.is_over => Step::End,
            None if matches!(self.open, Some(Open::Packed(_))) => {
                self.open = None;
                Step::Looked(0)
            }
            None if self.has_followers() => match self.step_raw(wanted, true) {
                // What was written between the look at it and the look for the next one.
                Some(looked) => Step::Looked(looked),
                None => {
                    self.open = None;
                    Step::Looked(0)
                }
            },
            None => {
                // What a crash has torn is shown only where nobody will complete it.
                let torn = if wanted.is_over { self.step_raw(wanted, true) } else { None };
                self.assembler.rest();
                torn.map_or(Step::End, Step::Looked)
            }
        }
    }

    /// The lines without a newline, at the end of all that there is.
    pub(crate) fn finish(&mut self, wanted: &Wanted) {
        let Self { assembler, queue, .. } = self;
        assembler.end(&mut |seen| {
            if wanted.wants(&seen) {
                queue.push_back(seen.to_line());
            }
        });
    }

    /// Bytes of lines that have no end yet.
    pub(crate) fn held(&self) -> u64 {
        self.assembler.held()
    }

    fn step_raw(&mut self, wanted: &Wanted, is_final: bool) -> Option<usize> {
        let Some(Open::Raw(raw)) = &mut self.open else { return None };
        let found = raw.next(is_final).ok().flatten();
        let looked = found.map(|(header, payload)| {
            take(&mut self.assembler, &mut self.queue, wanted, &header, payload, &mut self.reached, &mut self.is_over);
            HEADER + payload.len()
        });
        let damaged = raw.damaged();
        self.tell_damage(damaged, wanted);
        looked
    }

    fn step_packed(&mut self, wanted: &Wanted) -> Option<usize> {
        let Some(Open::Packed(packed)) = &mut self.open else { return None };
        while let Some(frame) = packed.next_frame() {
            let too_old = wanted.since.is_some_and(|since| frame.last < since);
            let without = wanted.grep.as_ref().is_some_and(|grep| !grep.may_be_in(&frame.filter));
            if frame.is_open || !(too_old || without) {
                break;
            }
            self.reached = self.reached.max(frame.last);
            packed.skip();
            self.left_out = true;
        }
        if std::mem::take(&mut self.left_out) {
            // Frames that are not open hold whole lines, so nothing goes on behind them.
            self.assembler = Assembler::default();
        }
        let looked = packed.next().ok().flatten().map(|(header, payload)| {
            take(&mut self.assembler, &mut self.queue, wanted, &header, payload, &mut self.reached, &mut self.is_over);
            HEADER + payload.len()
        });
        let damaged = packed.damaged();
        self.tell_damage(damaged, wanted);
        looked
    }

    fn tell_damage(&mut self, bytes: u64, wanted: &Wanted) {
        if bytes > 0 {
            self.tell(Lost { bytes: Some(bytes), why: Loss::Damaged }, wanted);
        }
    }

    /// Something is missing here.
    fn tell(&mut self, lost: Lost, wanted: &Wanted) {
        let Self { assembler, queue, reached, .. } = self;
        assembler.gap(&mut |seen| {
            if wanted.wants(&seen) {
                queue.push_back(seen.to_line());
            }
        });
        let time = (*reached).max(wanted.since.unwrap_or(0)).max(0);
        if wanted.grep.is_none() {
            queue.push_back(Line { time, stream: Stream::Out, bytes: Vec::new(), complete: true, lost: Some(lost) });
        }
    }

    /// Opens the next segment, if there is one.
    fn go_on(&mut self) -> bool {
        let segments = segment::list(&self.dir);
        let next = segments.iter().find(|one| one.number > self.number);
        let Some(next) = next.copied() else { return false };
        let Ok(opened) = open(&self.dir, next.number) else { return false };
        if self.number != 0 && next.number > self.number + 1 {
            self.tell(Lost { bytes: None, why: Loss::Dropped }, &Wanted::default());
        }
        (self.number, self.open) = (next.number, Some(opened));
        true
    }

    /// Whether the segment at hand is closed, because there is another one.
    fn has_followers(&mut self) -> bool {
        let next = self.number + 1;
        if segment::raw(&self.dir, next).exists() || segment::packed(&self.dir, next).exists() {
            return true;
        }
        let Some(Open::Raw(raw)) = &self.open else { return true };
        let is_there = |meta: std::fs::Metadata| meta.nlink() > 0;
        if raw.file().metadata().is_ok_and(is_there) {
            return false;
        }
        // Removed, with those after it or all of them; or compressed, and then the next one is yet to come.
        let segments = segment::list(&self.dir);
        match segments.last() {
            Some(newest) if newest.number < self.number => {
                self.number = 0;
                true
            }
            Some(newest) => newest.number > self.number,
            None => false,
        }
    }
}

fn take(
    assembler: &mut Assembler,
    queue: &mut VecDeque<Line>,
    wanted: &Wanted,
    header: &Header,
    payload: &[u8],
    reached: &mut i64,
    is_over: &mut bool,
) {
    *reached = header.time;
    *is_over = wanted.until.is_some_and(|until| header.time > until);
    let mut see = |seen: Seen<'_>| {
        if wanted.wants(&seen) {
            queue.push_back(seen.to_line());
        }
    };
    let without = wanted.grep.as_ref().is_some_and(|grep| !grep.may_be_among(payload));
    match without {
        // Only its first line may match, with what it began with before.
        true => assembler.take_ends(header, payload, &mut see),
        false => assembler.take(header, payload, &mut see),
    }
}

fn open(dir: &Path, number: u64) -> io::Result<Open> {
    match Raw::open(&segment::raw(dir, number)) {
        Ok(raw) => Ok(Open::Raw(raw)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Packed::open(&segment::packed(dir, number)).map(Open::Packed)
        }
        Err(error) => Err(error),
    }
}

/// The time of the first chunk of a segment.
fn first_time(dir: &Path, number: u64) -> Option<i64> {
    match open(dir, number).ok()? {
        Open::Raw(mut raw) => raw.next(true).ok().flatten().map(|(header, _)| header.time),
        Open::Packed(packed) => packed.frames().first().map(|frame| frame.first),
    }
}

/// The last place before everything that was written since this time.
fn start_of(dir: &Path, since: i64) -> Option<Start> {
    let segments = segment::list(dir);
    let at = segments.iter().rposition(|one| first_time(dir, one.number).is_some_and(|first| first < since))?;
    let number = segments.get(at)?.number;
    let is_oldest = at == 0;
    let before = at.checked_sub(1).and_then(|at| segments.get(at)).map(|one| one.number);
    let (at, is_first) = match open(dir, number).ok()? {
        Open::Raw(raw) => {
            let places = places(&raw, 64 << 10, Some(since));
            // The one before the last: in it the line may have begun that ends first.
            let place = places.iter().rev().nth(1).copied().unwrap_or(0);
            (Within::Place(place), place == 0)
        }
        Open::Packed(packed) => {
            let frame = packed.frames().iter().position(|frame| frame.last >= since).unwrap_or(packed.frames().len());
            (Within::Frame(frame), frame == 0)
        }
    };
    // At the very begin of a segment: its first line may have begun in the one before.
    if let Some(start) = before.filter(|_| is_first).and_then(|before| last_of(dir, before)) {
        return Some(start);
    }
    Some(Start { number, at, in_the_middle: !(is_oldest && is_first) })
}

/// The last place of a segment at which somebody may begin.
fn last_of(dir: &Path, number: u64) -> Option<Start> {
    let at = match open(dir, number).ok()? {
        Open::Raw(raw) => Within::Place(places(&raw, 64 << 10, None).last().copied().unwrap_or(0)),
        Open::Packed(packed) => Within::Frame(packed.frames().len().saturating_sub(1)),
    };
    Some(Start { number, at, in_the_middle: true })
}

/// Places at which chunks begin, about so many bytes apart, as far as they are older.
fn places(raw: &Raw, apart: u64, older_than: Option<i64>) -> Vec<u64> {
    let mut headers = Headers::new(raw.file(), 0);
    let mut places: Vec<u64> = Vec::new();
    while let Ok(Some((place, header))) = headers.next() {
        if older_than.is_some_and(|time| header.time >= time) {
            break;
        }
        if places.last().is_none_or(|last| place >= last + apart) {
            places.push(place);
        }
    }
    places
}

/// Where to begin to look for the last lines: close to the end first, then ever farther away.
fn starts(dir: &Path, segments: &[Segment]) -> Vec<Start> {
    let Some(newest) = segments.last() else { return Vec::new() };
    let is_only = segments.len() == 1;
    let mut starts = Vec::new();
    if let Ok(Open::Raw(raw)) = open(dir, newest.number) {
        let places = places(&raw, 64 << 10, None);
        for back in [2, 16] {
            if let Some(place) =
                places.len().checked_sub(back).and_then(|at| places.get(at)).filter(|place| **place > 0)
            {
                starts.push(Start { number: newest.number, at: Within::Place(*place), in_the_middle: true });
            }
        }
    } else if let Ok(Open::Packed(packed)) = open(dir, newest.number)
        && let Some(frame) = packed.frames().len().checked_sub(2).filter(|frame| *frame > 0)
    {
        starts.push(Start { number: newest.number, at: Within::Frame(frame), in_the_middle: true });
    }
    let mut back = 1;
    loop {
        let at = segments.len().saturating_sub(back);
        let Some(segment) = segments.get(at) else { break };
        let within = if segment.is_packed { Within::Frame(0) } else { Within::Place(0) };
        starts.push(Start { number: segment.number, at: within, in_the_middle: at > 0 && !is_only });
        if at == 0 {
            break;
        }
        back *= 2;
    }
    starts
}
