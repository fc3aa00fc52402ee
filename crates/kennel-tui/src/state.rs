//! What is shown and what was chosen, and how keys, looks and answers change it. Pure: time and answers come in, wishes
//! go out.

use std::collections::{HashMap, HashSet, VecDeque};

use jiff::Timestamp;
use kennel_wire::{Event, ProcessUsage, ServiceStatus};

use crate::action::{Action, Ask};
use crate::order::Order;
use crate::rows::{Choice, Key, Row, rows};
use crate::traffic::Traffic;
use crate::{Look, Words};

/// Points that are kept of each service for its charts, one for each look.
const KEPT: usize = 600;
/// Events that are kept of each service.
const EVENTS: usize = 20;
/// How long an answer is shown, seconds.
const SHOWN_S: i64 = 10;

/// Everything that the picture is made of.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) words: Words,
    pub(crate) instance: String,
    pub(crate) now: Timestamp,
    pub(crate) look: Option<Look>,
    /// Why there are no newer figures.
    pub(crate) gone: Option<String>,
    pub(crate) order: Order,
    pub(crate) reverse: bool,
    pub(crate) filter: String,
    pub(crate) mode: Mode,
    /// None: where there is room for them.
    pub(crate) details: Option<bool>,
    /// Whether there was room for details beside the lines, as it was drawn last.
    pub(crate) details_fit: bool,
    selected: Option<Key>,
    /// Where that was, for when it is gone.
    at: usize,
    /// First line that is shown.
    pub(crate) top: usize,
    /// Lines that there is room for, as it was drawn last.
    pub(crate) room: usize,
    /// Whether services are open unless they were closed.
    open: bool,
    /// Those that are not as `open` says.
    turned: HashSet<String>,
    points: HashMap<String, VecDeque<Point>>,
    traffic: Traffic,
    events: VecDeque<Event>,
    news: Option<News>,
}

/// What keys mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Moving around.
    Browse,
    /// Typing what to look for.
    Filter,
    /// A question waits.
    Confirm(Ask),
    /// The keys are explained.
    Help,
}

/// What a service used at one look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    pub(crate) cpu: f64,
    pub(crate) memory: f64,
}

/// How something went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct News {
    pub(crate) text: String,
    pub(crate) tone: Tone,
    at: Timestamp,
}

/// What news are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Bad,
}

impl State {
    pub(crate) fn new(words: Words, instance: String, order: Order, now: Timestamp) -> Self {
        Self {
            words,
            instance,
            now,
            look: None,
            gone: None,
            order,
            reverse: false,
            filter: String::new(),
            mode: Mode::Browse,
            details: None,
            details_fit: false,
            selected: None,
            at: 0,
            top: 0,
            room: usize::MAX,
            open: true,
            turned: HashSet::new(),
            points: HashMap::new(),
            traffic: Traffic::default(),
            events: VecDeque::new(),
            news: None,
        }
    }

    /// Takes a look.
    pub(crate) fn looked(&mut self, look: Look) {
        for one in &look.usage.services {
            let points = self.points.entry(one.name.clone()).or_default();
            // What was sampled before anybody looked.
            if points.is_empty() {
                let before = one.cpu_recent.iter().rev().skip(1).rev();
                points.extend(before.map(|cpu| Point { cpu: f64::from(*cpu), memory: f64::NAN }));
            }
            #[expect(clippy::cast_precision_loss, reason = "for a chart")]
            let memory = one.usage.memory_bytes.map_or(f64::NAN, |bytes| bytes as f64);
            points.push_back(Point { cpu: one.usage.cpu_percent.unwrap_or(f64::NAN), memory });
            if points.len() > KEPT {
                points.pop_front();
            }
        }
        self.points.retain(|name, _| look.services.iter().any(|one| one.name == *name));
        self.traffic.take(&look);
        let first = self.look.replace(look).is_none();
        self.gone = None;
        if first && self.rows().len() > self.room {
            // Too much for one picture: the services first.
            self.open = false;
        }
        self.settle();
    }

    /// Takes note of an event.
    pub(crate) fn happened(&mut self, event: Event) {
        self.events.push_back(event);
        if self.events.len() > EVENTS * 10 {
            self.events.pop_front();
        }
    }

    /// Says how something went.
    pub(crate) fn say(&mut self, text: String, tone: Tone) {
        self.news = Some(News { text, tone, at: self.now });
    }

    /// What was said last, while it is new.
    pub(crate) fn news(&self) -> Option<&News> {
        self.news.as_ref().filter(|news| self.now.duration_since(news.at).as_secs() < SHOWN_S)
    }

    /// Events of a service, or of everything; the youngest last.
    pub(crate) fn events(&self, service: Option<&str>) -> impl DoubleEndedIterator<Item = &Event> {
        self.events.iter().filter(move |event| service.is_none() || event.service.as_deref() == service)
    }

    /// What a service used at the looks so far, the youngest last.
    pub(crate) fn points(&self, service: &str) -> impl Iterator<Item = Point> {
        self.points.get(service).into_iter().flatten().copied()
    }

    /// What a process reads and writes, bytes a second; absent until it was seen twice.
    pub(crate) fn traffic(&self, process: &ProcessUsage) -> (Option<f64>, Option<f64>) {
        self.traffic.of(process)
    }

    /// Whether anybody sees processes.
    pub(crate) fn wants_processes(&self) -> bool {
        self.open || !self.turned.is_empty() || !self.filter.is_empty()
    }

    /// All lines.
    pub(crate) fn rows(&self) -> Vec<Row<'_>> {
        let Some(look) = &self.look else { return Vec::new() };
        let filter = self.filter.to_lowercase();
        let is_open = |name: &str| self.open != self.turned.contains(name);
        rows(look, &Choice { order: self.order, reverse: self.reverse, filter: &filter, is_open: &is_open })
    }

    /// The number of the chosen line.
    pub(crate) fn selected(&self) -> usize {
        self.at
    }

    /// Moves the choice by so many lines.
    pub(crate) fn step(&mut self, by: isize) {
        self.select(self.at.saturating_add_signed(by));
    }

    /// Chooses a line by its number.
    pub(crate) fn select(&mut self, at: usize) {
        let (at, key) = {
            let rows = self.rows();
            let at = at.min(rows.len().saturating_sub(1));
            (at, rows.get(at).map(Row::key))
        };
        (self.at, self.selected) = (at, key);
        self.scroll();
    }

    /// Finds what was chosen among the lines of now; where it is gone, what stands in its place.
    pub(crate) fn settle(&mut self) {
        let at = self.selected.as_ref().and_then(|key| self.rows().iter().position(|row| row.key() == *key));
        self.select(at.unwrap_or(self.at));
    }

    /// Sees to it that the chosen line is shown, and no room is left empty.
    pub(crate) fn scroll(&mut self) {
        let rows = self.rows().len();
        let room = self.room.max(1);
        self.top = self.top.min(self.at).max(self.at.saturating_sub(room - 1)).min(rows.saturating_sub(room));
    }

    /// The service of the chosen line.
    pub(crate) fn service(&self) -> Option<&ServiceStatus> {
        let name = self.rows().get(self.at).map(|row| row.service().name.clone())?;
        self.look.as_ref()?.services.iter().find(|one| one.name == name)
    }

    /// Opens or closes the service of the chosen line.
    pub(crate) fn fold(&mut self, open: Option<bool>) {
        let Some(name) = self.service().map(|one| one.name.clone()) else { return };
        let is_open = self.open != self.turned.contains(&name);
        if open.is_none_or(|open| open != is_open) {
            if !self.turned.remove(&name) {
                self.turned.insert(name.clone());
            }
            // Of a closed service only its own line is left.
            if is_open {
                self.selected = Some(Key::Service(name));
            }
        }
        self.settle();
    }

    /// Opens or closes all services.
    pub(crate) fn fold_all(&mut self) {
        let name = self.service().map(|one| one.name.clone());
        (self.open, self.turned) = (!self.open, HashSet::new());
        if let Some(name) = name.filter(|_| !self.open) {
            self.selected = Some(Key::Service(name));
        }
        self.settle();
    }

    /// Asks before it is done; says why where it cannot be.
    pub(crate) fn propose(&mut self, action: Action) {
        let rows = self.rows();
        let asked = rows.get(self.at).map(|row| Ask::about(action, row));
        drop(rows);
        match asked {
            Some(Ok(ask)) => self.mode = Mode::Confirm(ask),
            Some(Err(why)) => self.say(why, Tone::Bad),
            None => {}
        }
    }
}
