//! The writing end of one log.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::chunk::{HEADER, Header, Kind};
use crate::segment::{self, Segment};
use crate::writing;

/// How much of a log is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// All segments together, bytes on the disk.
    pub max_size: u64,
    /// How long a closed segment is kept after its last byte.
    pub max_age: Option<Duration>,
    /// Another segment is begun beyond this, bytes.
    pub segment_size: u64,
}

impl Default for Bounds {
    /// 64 MiB in segments of 8 MiB, of any age.
    fn default() -> Self {
        Self { max_size: 64 << 20, max_age: None, segment_size: 8 << 20 }
    }
}

/// Whether there is room for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// There is.
    Free,
    /// There is not, and nothing may be removed for it.
    Full,
}

/// What became of a chunk.
#[derive(Debug, Default)]
pub struct Appended {
    /// Bytes of its payload that are in the file.
    pub kept: usize,
    /// Why the others are not.
    pub error: Option<io::Error>,
    /// The segment before this chunk's is closed: it may be compressed, and budgets be looked at.
    pub closed: bool,
}

/// One log as it is written. Its files are made with the first byte.
#[derive(Debug)]
pub struct Log {
    dir: PathBuf,
    bounds: Bounds,
    live: Option<Live>,
    /// Time of the newest chunk: of two chunks the later one never has the earlier time, unless the clock was set.
    last: i64,
    is_tidy: bool,
    closed: bool,
    /// Of each stream, whether the newest line has no end yet. Unknown until its first chunk: then it may have none.
    is_line_open: [bool; 2],
    /// What may be appended before there can be too much of it, bytes; 0: its directory has to be looked at.
    free: u64,
}

#[derive(Debug)]
struct Live {
    file: File,
    number: u64,
    bytes: u64,
    began: i64,
}

/// A clock that went back less than this was corrected; otherwise it was set.
const CORRECTED: i64 = 10_000_000_000;

impl Log {
    /// The log of this name below `logs`; nothing is made or read yet.
    #[must_use]
    pub fn new(logs: &Path, name: &str, bounds: Bounds) -> Self {
        Self {
            dir: logs.join(name),
            bounds,
            live: None,
            last: 0,
            is_tidy: false,
            closed: false,
            is_line_open: [true; 2],
            free: 0,
        }
    }

    /// Directory of its segments.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What holds from now on.
    pub fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
        self.free = 0;
    }

    /// What holds.
    #[must_use]
    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// Number of the segment being written.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        self.live.as_ref().map(|live| live.number)
    }

    /// Makes ready for one more chunk: another segment if the present one is long or old enough. Gives the segment's number and the place
    /// of the chunk in it.
    ///
    /// # Errors
    /// What the system says when the file cannot be made.
    pub fn begin(&mut self) -> io::Result<(u64, u64)> {
        let now = self.now();
        let bounds = self.bounds;
        if self.live.is_none() {
            self.open()?;
        }
        if let Some(live) = &self.live
            && live.bytes > 0
            && (live.bytes >= bounds.segment_size || is_old(live.began, now, &bounds))
        {
            let number = live.number + 1;
            self.live = None;
            self.live = Some(create(&self.dir, number)?);
            self.closed = true;
        }
        match &mut self.live {
            Some(live) => {
                if live.bytes == 0 {
                    live.began = now;
                }
                Ok((live.number, live.bytes))
            }
            None => Err(io::Error::from(io::ErrorKind::NotFound)),
        }
    }

    /// Whether a segment was closed since this was asked last.
    pub fn has_closed(&mut self) -> bool {
        std::mem::take(&mut self.closed)
    }

    /// Now, by the clock that chunks have.
    pub fn now(&mut self) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        let went_back = self.last.saturating_sub(now);
        self.last = if (0..CORRECTED).contains(&went_back) { self.last } else { now };
        self.last
    }

    /// Appends one chunk, whose payload stands in `buffer` from [`HEADER`] on; the room before it is written over.
    ///
    /// With a full disk what fits is kept, and the chunk is as long as that.
    pub fn append(&mut self, buffer: &mut [u8], mut header: Header) -> Appended {
        let begun = self.begin();
        let mut appended = Appended { closed: self.has_closed(), ..Appended::default() };
        header.time = self.now();
        let place = match begun {
            Ok((_, place)) => place,
            Err(error) => return Appended { error: Some(error), ..appended },
        };
        let is_fresh = self.is_fresh(&header);
        let Some(live) = &mut self.live else { return appended };
        match buffer.get_mut(..header.whole()) {
            Some(chunk) => {
                header.is_fresh = is_fresh;
                chunk[..HEADER].copy_from_slice(&header.encode());
                let (kept, error) = writing::write(&live.file, place, chunk, header);
                live.bytes = place + kept.map_or(0, |kept| (HEADER + kept) as u64);
                (appended.kept, appended.error) = (kept.unwrap_or(0), error);
                let is_open = chunk.last().is_some_and(|last| *last != b'\n');
                self.ends(&header, &appended, is_open);
            }
            None => appended.error = Some(io::ErrorKind::InvalidInput.into()),
        }
        appended
    }

    /// Appends one chunk at the place that [`Log::begin`] gave, whose payload is moved out of a pipe. What cannot be written stays there.
    pub fn append_from(&mut self, pipe: impl std::os::fd::AsFd, place: u64, mut header: Header) -> Appended {
        header.time = self.now();
        let mut appended = Appended { closed: self.has_closed(), ..Appended::default() };
        header.is_fresh = self.is_fresh(&header);
        let Some(live) = &mut self.live else { return appended };
        let (kept, error) = writing::splice(pipe.as_fd(), &live.file, place, header, 0);
        live.bytes = place + kept.map_or(0, |kept| (HEADER + kept) as u64);
        (appended.kept, appended.error) = (kept.unwrap_or(0), error);
        let is_open = writing::is_open(&live.file, live.bytes);
        self.ends(&header, &appended, is_open);
        appended
    }

    /// Goes on with a chunk that somebody before had begun at this place, and of which `rest` bytes are still in the pipe:
    /// the others are in the file. Where that segment is gone, the rest is a chunk of its own.
    pub fn finish_from(
        &mut self,
        pipe: impl std::os::fd::AsFd,
        at: (u64, u64),
        mut header: Header,
        rest: usize,
    ) -> Appended {
        let (number, place) = at;
        let mut appended = Appended::default();
        if self.live.is_none() {
            // As it is: a chunk that looks torn is the one to go on with.
            let opened = OpenOptions::new().read(true).write(true).open(segment::raw(&self.dir, number));
            self.live = opened.ok().map(|file| Live { file, number, bytes: place, began: 0 });
        }
        header.time = self.now();
        let Some(live) = self.live.as_mut().filter(|live| live.number == number) else {
            return match self.begin() {
                Ok((_, place)) => {
                    let length = u32::try_from(rest).unwrap_or(u32::MAX);
                    self.append_from(pipe, place, Header { length, ..header })
                }
                Err(error) => Appended { error: Some(error), ..appended },
            };
        };
        let length = live.file.metadata().map_or(0, |meta| meta.len());
        let done = usize::try_from(length.saturating_sub(place + HEADER as u64)).unwrap_or(0);
        header.is_fresh = false;
        header.length = u32::try_from(done + rest).unwrap_or(u32::MAX);
        let (kept, error) = writing::splice(pipe.as_fd(), &live.file, place, header, done);
        live.bytes = place + kept.map_or(0, |kept| (HEADER + kept) as u64);
        (appended.kept, appended.error) = (kept.unwrap_or(0), error);
        appended
    }

    /// Whether the newest line of a stream has no end yet, as far as that is known.
    #[must_use]
    pub fn is_line_open(&self, stream: crate::Stream) -> bool {
        self.is_line_open.get(stream.index()).is_some_and(|is_open| *is_open)
    }

    fn is_fresh(&self, header: &Header) -> bool {
        self.is_line_open.get(header.stream.index()).is_some_and(|is_open| !is_open)
    }

    /// Takes note of how a stream ends now. Of a chunk of which something is missing the next one is no continuation.
    fn ends(&mut self, header: &Header, appended: &Appended, is_open: bool) {
        self.free = self.free.saturating_sub((HEADER + appended.kept) as u64);
        if let Some(of_stream) = self.is_line_open.get_mut(header.stream.index()) {
            *of_stream = header.kind == Kind::Data && appended.error.is_none() && is_open;
        }
    }

    /// Whether there is room for another segment, after the oldest ones were removed if `trims`. To be asked when a segment was
    /// closed, and before the first byte.
    ///
    /// # Errors
    /// What the system says when a file cannot be removed.
    pub fn make_room(&mut self, trims: bool) -> io::Result<Room> {
        // Of a large log a look at every segment for each that is closed would cost more than the writing.
        if self.free > 0 && self.bounds.max_age.is_none() {
            return Ok(Room::Free);
        }
        let segments = segment::list(&self.dir);
        let mut total: u64 = segments.iter().map(|one| one.bytes).sum();
        let live = self.live.as_ref();
        // What the present segment may still become counts as taken.
        let growth = live.map_or(0, |live| self.bounds.segment_size.saturating_sub(live.bytes));
        for (at, one) in segments.iter().enumerate() {
            let is_live = live.map_or(at + 1 == segments.len(), |live| live.number == one.number);
            if is_live || !trims {
                continue;
            }
            let too_old = self.bounds.max_age.is_some_and(|age| age_of(&one.path(&self.dir)) > Some(age));
            if total + growth > self.bounds.max_size || too_old {
                remove(&self.dir, one)?;
                total -= one.bytes;
            }
        }
        self.free = self.bounds.max_size.saturating_sub(total + growth);
        Ok(if total >= self.bounds.max_size { Room::Full } else { Room::Free })
    }

    /// Removes all of it; with the next chunk it is there again.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove(&mut self) -> io::Result<()> {
        self.live = None;
        match fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Closes the file; the next chunk opens it again.
    pub fn close(&mut self) {
        self.live = None;
    }

    /// Numbers of closed segments that are not compressed.
    #[must_use]
    pub fn unpacked(&self) -> Vec<u64> {
        let live = self.number();
        let mut found = segment::list(&self.dir);
        if live.is_none() {
            found.pop();
        }
        found.iter().filter(|one| !one.is_packed && Some(one.number) != live).map(|one| one.number).collect()
    }

    fn open(&mut self) -> io::Result<()> {
        if !std::mem::replace(&mut self.is_tidy, true) {
            segment::tidy(&self.dir);
        }
        match segment::list(&self.dir).last() {
            Some(newest) if !newest.is_packed => self.open_at(newest.number),
            newest => {
                let number = newest.map_or(1, |newest| newest.number + 1);
                self.is_line_open = [newest.is_some(); 2];
                self.live = Some(create(&self.dir, number)?);
                Ok(())
            }
        }
    }

    /// Goes on with a segment, behind its last whole chunk.
    fn open_at(&mut self, number: u64) -> io::Result<()> {
        let file = OpenOptions::new().read(true).write(true).open(segment::raw(&self.dir, number))?;
        let found = writing::end_of(&file)?;
        let end = writing::mend(&file, found.end)?;
        self.last = self.last.max(found.last);
        for (is_line_open, end) in self.is_line_open.iter_mut().zip(found.ends) {
            *is_line_open = end == 0 || writing::is_open(&file, end);
        }
        self.live = Some(Live { file, number, bytes: end, began: found.first });
        Ok(())
    }
}

fn create(dir: &Path, number: u64) -> io::Result<Live> {
    let path = segment::raw(dir, number);
    let open = || OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&path);
    let file = match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
            open()?
        }
        other => other?,
    };
    Ok(Live { file, number, bytes: 0, began: 0 })
}

/// A segment spans a part of the age only, so that what is too old can go in time.
fn is_old(began: i64, now: i64, bounds: &Bounds) -> bool {
    let Some(age) = bounds.max_age else { return false };
    now.saturating_sub(began) > i64::try_from((age / 8).as_nanos()).unwrap_or(i64::MAX)
}

fn age_of(path: &Path) -> Option<Duration> {
    fs::metadata(path).ok()?.modified().ok()?.elapsed().ok()
}

/// Removes a segment in whichever form it is there; it may be compressed just now.
pub(crate) fn remove(dir: &Path, one: &Segment) -> io::Result<()> {
    segment::remove(&segment::unfinished(dir, one.number))?;
    segment::remove(&segment::raw(dir, one.number))?;
    segment::remove(&segment::packed(dir, one.number))
}
