//! How many events become one notification.
//!
//! What happens within a second of the first is told together, and then nothing for a while, however much happens: a person who is told
//! of everything reads nothing. Times are milliseconds by any clock that does not go back.

/// For how long more is waited for, milliseconds.
const GATHER: u64 = 1_000;
/// From one notification to the next, milliseconds.
const PAUSE: u64 = 10_000;
/// Most different things that are remembered; of more only the count is told.
const MOST: usize = 50;
/// Most lines of one notification.
const LINES: usize = 5;

/// Something to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Kind of the event.
    pub kind: String,
    /// Service or place that it is about.
    pub about: Option<String>,
    /// What happened: one line.
    pub words: String,
}

/// One notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// One line.
    pub title: String,
    /// A line or several.
    pub body: String,
}

/// What waits to be told.
#[derive(Debug, Clone, Default)]
pub struct Notices {
    /// In the order of the first of each, with how many came of it. The words are those of the newest.
    waiting: Vec<(Notice, u64)>,
    /// Those beyond.
    more: u64,
    due: Option<u64>,
    not_before: u64,
}

impl Notices {
    /// Takes one in.
    pub fn add(&mut self, notice: Notice, now: u64) {
        let known = self.waiting.iter().position(|(one, _)| one.kind == notice.kind && one.about == notice.about);
        match known {
            Some(at) => self.waiting[at] = (notice, self.waiting[at].1 + 1),
            None if self.waiting.len() < MOST => self.waiting.push((notice, 1)),
            None => self.more += 1,
        }
        let due = (now + GATHER).max(self.not_before);
        self.due.get_or_insert(due);
    }

    /// When there is something to tell, if there will be.
    #[must_use]
    pub fn due(&self) -> Option<u64> {
        self.due
    }

    /// What is to be told now, if anything is. `kennel` is the name of the stack.
    pub fn take(&mut self, kennel: &str, now: u64) -> Option<Summary> {
        self.due.filter(|due| *due <= now)?;
        (self.due, self.not_before) = (None, now + PAUSE);
        let (waiting, more) = (std::mem::take(&mut self.waiting), std::mem::take(&mut self.more));
        Some(summary(&waiting, more, kennel))
    }
}

fn summary(waiting: &[(Notice, u64)], more: u64, kennel: &str) -> Summary {
    let times = |count: u64| if count == 1 { String::new() } else { format!(" ({count} times)") };
    let who = |notice: &Notice| notice.about.clone().unwrap_or_else(|| "kennel".to_owned());
    if let [(notice, count)] = waiting
        && more == 0
    {
        let title = format!("{} – {kennel}", who(notice));
        return Summary { title, body: format!("{}{}", notice.words, times(*count)) };
    }
    let all: u64 = waiting.iter().map(|(_, count)| count).sum::<u64>() + more;
    let lines = waiting.iter().take(LINES);
    let mut lines: Vec<String> =
        lines.map(|(notice, count)| format!("{}: {}{}", who(notice), notice.words, times(*count))).collect();
    let left = waiting.iter().skip(LINES).map(|(_, count)| count).sum::<u64>() + more;
    if left > 0 {
        lines.push(format!("and {left} more"));
    }
    Summary { title: format!("{all} events – {kennel}"), body: lines.join("\n") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;

    fn failed(about: &str, words: &str) -> Notice {
        Notice { kind: "service.failed".to_owned(), about: Some(about.to_owned()), words: words.to_owned() }
    }

    #[test]
    fn what_happens_together_is_told_together() {
        let mut notices = Notices::default();
        assert_eq!((notices.due(), notices.take("shop", 0)), (None, None));
        for number in 0..20 {
            notices.add(failed(&format!("web{number}"), "failed: exit code 1"), 100 + number * 40);
        }
        assert_eq!((notices.due(), notices.take("shop", 1099)), (Some(1100), None));
        let told = notices.take("shop", 1100).unwrap();
        assert_eq!(told.title, "20 events – shop");
        assert!(
            told.body.starts_with("web0: failed: exit code 1\nweb1: ") && told.body.ends_with("\nand 15 more"),
            "{}",
            told.body
        );
        assert_eq!((told.body.lines().count(), notices.due()), (6, None));
    }

    #[test]
    fn one_comes_alone_and_the_next_one_later() {
        let mut notices = Notices::default();
        notices.add(failed("web", "failed: exit code 1"), 0);
        let told = notices.take("shop", 1000).unwrap();
        assert_eq!((told.title.as_str(), told.body.as_str()), ("web – shop", "failed: exit code 1"));
        notices.add(failed("web", "failed: exit code 1"), 1001);
        notices.add(failed("web", "failed: exit code 2"), 9000);
        assert_eq!((notices.due(), notices.take("shop", 10_999)), (Some(11_000), None), "not so soon");
        assert_eq!(notices.take("shop", 11_000).unwrap().body, "failed: exit code 2 (2 times)");
    }

    #[test]
    fn a_flood_costs_no_memory() {
        let mut notices = Notices::default();
        (0..100_000).for_each(|number| notices.add(failed(&number.to_string(), "failed"), 0));
        assert_eq!(notices.waiting.len(), MOST);
        let told = notices.take("shop", 1000).unwrap();
        assert!(told.title.starts_with("100000 events") && told.body.ends_with("and 99995 more"), "{told:?}");
        let about_nobody = Notice { kind: "keeper.lost".to_owned(), about: None, words: "keeper lost".to_owned() };
        notices.add(about_nobody, 20_000);
        assert_eq!(notices.take("shop", 21_000).unwrap().title, "kennel – shop");
    }
}
