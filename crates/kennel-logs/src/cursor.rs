//! How far lines were read, for another reader that goes on there.

/// How far the lines of some logs were read. They are asked for by time, and several lines may have the same one.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<T> {
    last: Option<T>,
    /// So many lines of that time were seen.
    seen: usize,
    /// So many are to be left out, because they are seen a second time.
    skip: usize,
}

impl<T> Default for Cursor<T> {
    fn default() -> Self {
        Self { last: None, seen: 0, skip: 0 }
    }
}

impl<T: Copy + PartialEq> Cursor<T> {
    /// One that has seen so many lines of this time, and all before it.
    #[must_use]
    pub fn at(last: T, seen: usize) -> Self {
        Self { last: Some(last), seen, skip: 0 }
    }

    /// Time of the last line, and how many lines of that time were seen.
    #[must_use]
    pub fn position(&self) -> Option<(T, usize)> {
        self.last.map(|last| (last, self.seen))
    }

    /// From which time on to ask again.
    pub fn resume(&mut self) -> Option<T> {
        self.skip = self.seen;
        self.last
    }

    /// Whether a line of this time is news.
    pub fn is_new(&mut self, time: T) -> bool {
        if self.last != Some(time) {
            (self.last, self.seen, self.skip) = (Some(time), 0, 0);
        } else if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        self.seen += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_one_time_come_once() {
        let all = [(1, "a"), (2, "b"), (2, "c"), (2, "d"), (3, "e")];
        for cut in 0..=all.len() {
            let mut cursor = Cursor::default();
            let mut shown: Vec<&str> =
                all[..cut].iter().filter(|(time, _)| cursor.is_new(*time)).map(|(_, text)| *text).collect();
            // As it is, and as it comes back from where its position was kept.
            let mut cursor = cursor.position().map_or(cursor, |(last, seen)| Cursor::at(last, seen));
            let since = cursor.resume();
            let again = all.iter().filter(|(time, _)| since.is_none_or(|since| *time >= since));
            shown.extend(again.filter(|(time, _)| cursor.is_new(*time)).map(|(_, text)| *text));
            assert_eq!(shown, ["a", "b", "c", "d", "e"], "cut after {cut}");
        }
    }
}
