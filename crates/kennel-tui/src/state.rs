//! What is shown and what was chosen, and how keys, looks and answers change it. Pure: time and answers come in, wishes
//! go out.

use std::collections::{HashMap, HashSet, VecDeque};

use crossterm::event::KeyCode;
use jiff::Timestamp;
use kennel_wire::{Event, ProcessUsage, Receipt, ServiceStatus, UsageHistory};

use crate::action::{Action, Ask, Deed, Proposal};
use crate::mouse::Zones;
use crate::order::Order;
use crate::pane::{Pane, View};
use crate::rows::{Choice, Key, Row, rows};
use crate::span::{Span, spread};
use crate::traffic::Traffic;
use crate::written::Written;
use crate::{Look, Words};

/// Points that are kept of each service for its charts, one for each look.
const KEPT: usize = 600;
/// Events that are kept.
const EVENTS: usize = 1000;
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
    /// The service of that, which is chosen in place of a process that is gone.
    beside: Option<String>,
    /// Where that was, for when both are gone.
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
    /// How far back charts go.
    pub(crate) span: Span,
    /// What was recorded of so much time.
    past: Option<(Span, UsageHistory)>,
    traffic: Traffic,
    /// The youngest last, each once.
    events: VecDeque<Event>,
    news: Option<News>,
    /// What was asked for and has not been answered, with its begin.
    under_way: Vec<(String, Timestamp)>,
    /// What is shown beside or below the lines.
    pub(crate) view: View,
    /// What was written, while it is shown.
    pub(crate) written: Written,
    /// Receipts of the stops that were asked for here, by service.
    receipts: HashMap<String, Receipt>,
    /// Lines of a receipt that has just come, until a key is pressed.
    pub(crate) slip: Option<Vec<String>>,
    /// What runs ends when nobody looks any more.
    pub(crate) holds: bool,
    /// Whether clicks and the wheel are ours; otherwise the terminal's, for example to mark text.
    pub(crate) mouse: bool,
    /// What can be clicked, as it was drawn last.
    pub(crate) zones: Zones,
    /// Services that were named at the start; empty: all.
    pub(crate) services: Vec<String>,
}

/// What keys mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Moving around.
    Browse,
    /// Typing what to look for among the lines.
    Filter,
    /// Typing what to look for in the log.
    Search,
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
            beside: None,
            at: 0,
            top: 0,
            room: usize::MAX,
            open: true,
            turned: HashSet::new(),
            points: HashMap::new(),
            span: Span::default(),
            past: None,
            traffic: Traffic::default(),
            events: VecDeque::new(),
            news: None,
            under_way: Vec::new(),
            view: View::default(),
            written: Written::new(words.tame),
            receipts: HashMap::new(),
            slip: None,
            holds: false,
            mouse: true,
            zones: Zones::default(),
            services: Vec::new(),
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

    /// Takes note of an event; nothing happens twice.
    pub(crate) fn happened(&mut self, event: Event) {
        if event.seq > 0 && event.seq <= self.last_event() {
            return;
        }
        // What is read stays where it is.
        if self.view.pane == Pane::Events && self.view.scrolled > 0 {
            let of = self.events_of();
            self.view.scrolled += usize::from(of.is_none() || of == event.service);
        }
        self.events.push_back(event);
        if self.events.len() > EVENTS {
            self.events.pop_front();
        }
    }

    /// The number of the last event; 0: none has come.
    pub(crate) fn last_event(&self) -> u64 {
        self.events.back().map_or(0, |event| event.seq)
    }

    /// Takes note of something that was asked for.
    pub(crate) fn begun(&mut self, what: String) {
        self.under_way.push((what, self.now));
        self.news = None;
    }

    /// Takes note of the answer, and shows what it says of stops.
    pub(crate) fn done(&mut self, what: &str, text: String, tone: Tone, receipts: Vec<Receipt>) {
        if let Some(at) = self.under_way.iter().position(|(one, _)| one == what) {
            self.under_way.remove(at);
        }
        self.say(text, tone);
        if !receipts.is_empty() {
            self.slip = Some(receipts.iter().flat_map(self.words.receipt).collect());
        }
        self.receipts.extend(receipts.into_iter().map(|receipt| (receipt.service.clone(), receipt)));
    }

    /// What has no answer yet, and for how many seconds; of several the one that began last.
    pub(crate) fn under_way(&self) -> Option<(&str, i64)> {
        self.under_way.last().map(|(what, begin)| (&**what, self.now.duration_since(*begin).as_secs()))
    }

    /// The receipt of the last stop of the chosen service, if it was stopped.
    pub(crate) fn receipt(&self) -> Option<&Receipt> {
        let status = self.service()?;
        let (ours, told) = (self.receipts.get(&status.name), status.last_receipt.as_ref());
        ours.into_iter().chain(told).max_by_key(|receipt| receipt.instance)
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

    /// Takes what was recorded of a time.
    pub(crate) fn recalled(&mut self, span: Span, history: UsageHistory) {
        self.past = Some((span, history));
    }

    /// What a service used over the time that charts show, at most `width` values, the youngest last; NaN where that is not known.
    pub(crate) fn trend(&self, service: &str, width: usize) -> Vec<Point> {
        let Some(seconds) = self.span.seconds() else {
            let points = self.points.get(service).into_iter().flatten();
            let before = self.points.get(service).map_or(0, |points| points.len().saturating_sub(width));
            return points.skip(before).copied().collect();
        };
        // Until the answer is there the charts are empty, and not those of another time.
        let past = self.past.iter().filter(|(span, _)| *span == self.span).map(|(_, history)| history).next();
        let series = past.and_then(|history| history.series.iter().find(|series| series.name == service));
        #[expect(clippy::cast_precision_loss, reason = "for a chart")]
        let step = past.map_or(0.0, |history| history.step_ms as f64 / 1000.0);
        spread(series.map_or(&[], |series| &series.points), step, self.now, seconds, width)
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
        let (at, key, service) = {
            let rows = self.rows();
            if rows.is_empty() {
                // A daemon that has just begun knows nobody yet: what was chosen is chosen again when it is there.
                return;
            }
            let at = at.min(rows.len() - 1);
            let row = rows.get(at);
            (at, row.map(Row::key), row.map(|row| row.service().name.clone()))
        };
        (self.at, self.selected, self.beside) = (at, key, service);
        self.scroll();
    }

    /// Finds what was chosen among the lines of now; where it is gone, its service or what stands in its place.
    pub(crate) fn settle(&mut self) {
        let rows = self.rows();
        let place = |key: &Key| rows.iter().position(|row| row.key() == *key);
        let at = self.selected.as_ref().and_then(place);
        let at = at.or_else(|| place(&Key::Service(self.beside.clone()?)));
        drop(rows);
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

    /// Shows only lines that have this in their name or command.
    pub(crate) fn seek(&mut self, text: String) {
        self.filter = text;
        self.settle();
    }

    /// Takes note of a key among others that are typed; answers with true.
    pub(crate) fn typed(&mut self, code: KeyCode) -> bool {
        if matches!(code, KeyCode::Esc | KeyCode::Enter) {
            self.mode = Mode::Browse;
        }
        true
    }

    /// Orders lines by this.
    pub(crate) fn sort(&mut self, order: Order) {
        (self.order, self.reverse) = (order, false);
        self.settle();
    }

    /// Turns the order of lines round.
    pub(crate) fn turn_order(&mut self) {
        self.reverse = !self.reverse;
        self.settle();
    }

    /// Asks before it is done; says why where it cannot be. Answers with what needs no question.
    pub(crate) fn propose(&mut self, action: Action) -> Option<Deed> {
        let rows = self.rows();
        let proposal = rows.get(self.at).map(|row| Proposal::about(action, row));
        drop(rows);
        match proposal? {
            Ok(Proposal::Ask(ask)) => self.mode = Mode::Confirm(ask),
            Ok(Proposal::Do(deed)) => return Some(deed),
            Err(why) => self.say(why, Tone::Bad),
        }
        None
    }
}
