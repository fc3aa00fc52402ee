//! A process that holds one scope together: subreaper for everything the main process starts, or the first process
//! of the scope's PID namespace.
//!
//! It is a copy of the keeper, made by `fork` and never executed anew, and speaks the keeper's own protocol: it is
//! asked by `Signal` and `Kill`, and tells the rest. It ends when its scope is empty, and empties it when the keeper
//! is gone. Only `SIGKILL` and `SIGSTOP` of its own user can disturb it; the keeper repairs both.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use kennel_sys::namespace::{Init, Newborn};
use kennel_sys::process::{self, Nofile};
use kennel_sys::signal::{self, SignalFd};
use kennel_sys::spawn::{Child, Spawner};
use kennel_sys::tag::Tag;
use kennel_sys::{pidfd, wait};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Signal;

use crate::channel::{Channel, Incoming};
use crate::codec;
use crate::contain::{reported, usage};
use crate::dedicated::Dedicated;
use crate::hunt::{self, Hunt, Pass, Still};
use crate::init;
use crate::launch::{Launch, Pipes, stdio};
use crate::proto::{Event, KillStage, Place, Request, ScopeId, Spawn};

/// How long the first pass of a kill has to do it all, before the rest counts as a stage of its own.
const FIRST_LOOK: Duration = Duration::from_millis(20);
/// How long the dead are left as they are at most, see [`Hunt::is_crowded`]: what cannot be ended must not hide them.
const HOLD: Duration = Duration::from_secs(1);
/// Most children reaped before anything else is looked at: a service that makes them faster than they can be reaped
/// must not keep its own end from being heard and done.
const REAPED: usize = 256;
/// Pauses between two signals to a whole namespace: one is enough, unless somebody puts more into it.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// After this much time survivors are worth a report, and again after each such span.
const REPORT: Duration = Duration::from_secs(5);

/// What the copy takes along.
pub(crate) struct Errand<'a> {
    pub(crate) spawn: &'a Spawn,
    pub(crate) pipes: Option<&'a Pipes>,
    pub(crate) null: &'a OwnedFd,
    pub(crate) nofile: Option<Nofile>,
    pub(crate) tag: Tag,
    pub(crate) channel: OwnedFd,
    /// The keeper itself: readable when it has ended.
    pub(crate) keeper: &'a OwnedFd,
    /// Set if this is the first process of a namespace.
    pub(crate) newborn: Option<Newborn>,
    /// Where the main process is born, if there are cgroups.
    pub(crate) cgroup: Option<BorrowedFd<'a>>,
    /// See [`Launch::groups`].
    pub(crate) groups: &'a [CString],
}

/// What the copied process does instead of returning.
pub(crate) fn run(errand: Errand<'_>) -> ! {
    // A panic must not unwind into what is a copy of the keeper's stack.
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| begin(errand)));
    process::exit_now(match result {
        Ok(Ok(())) => 0,
        Ok(Err(_)) => 1,
        Err(_) => 101,
    })
}

fn begin(errand: Errand<'_>) -> io::Result<()> {
    kennel_sys::crash_point!("reaper.forked");
    if let Some(newborn) = &errand.newborn {
        newborn.end_with(errand.keeper)?;
    }
    let io = stdio(errand.spawn, errand.pipes, errand.null);
    let [input, output, errors] = io;
    let (null, keeper) = (errand.null.as_fd(), errand.keeper.as_fd());
    let keep = [input, output, errors, null, errand.channel.as_fd(), keeper, errand.cgroup.unwrap_or(null)];
    process::close_all_but(&keep)?;
    process::new_session()?;
    let mut channel = Channel::new(errand.channel);
    let scope = errand.spawn.scope;
    // By it a later keeper finds this process, too, should it be stopped when nobody is left to continue it.
    errand.tag.take_on()?;
    // Only for eyes, in `ps` and `top`.
    let name = if errand.newborn.is_some() { c"kennel-init" } else { c"kennel-reaper" };
    let _unnamed = rustix::thread::set_name(name);
    let init = match errand.newborn.map(|newborn| init::settle(newborn, errand.spawn.isolation)).transpose() {
        Ok(init) => init,
        Err(error) => {
            tell(&mut channel, &Event::SpawnFailed { scope, error });
            return Reaper::deliver(&mut channel, errand.keeper);
        }
    };
    if init.is_none() {
        process::become_subreaper()?;
        // What becomes another user could not be killed from here.
        rustix::thread::set_no_new_privs(true)?;
    }
    let signals = SignalFd::all()?;
    let launch = Launch {
        spawn: errand.spawn,
        stdio: io,
        nofile: errand.nofile,
        tag: Some(errand.tag),
        no_new_privs: init.is_none(),
        cgroup: errand.cgroup,
        groups: errand.groups,
    };
    kennel_sys::crash_point!("reaper.ready");
    let main = match launch.run(&mut Spawner::new()?) {
        Ok(main) => main,
        Err(error) => {
            tell(&mut channel, &Event::SpawnFailed { scope, error });
            return Reaper::deliver(&mut channel, errand.keeper);
        }
    };
    kennel_sys::crash_point!("reaper.main-started");
    let identity = match &init {
        // Without its number outside nobody could do anything with it: leaving ends it.
        Some(init) => init::identity(init, &main)?,
        None => crate::contain::identity(main.pid, &main.pidfd),
    };
    // Where the members are is what the keeper knows better.
    let place = Place::Reaper(std::process::id());
    tell(&mut channel, &Event::Spawned { scope, pid: identity.pid, identity, place, pipes: None, inodes: None });
    kennel_sys::crash_point!("reaper.told");
    // The service alone has its ends from here on: a reader must see the end when the service closes them.
    let outside = init.as_ref().map_or(channel.as_fd(), AsFd::as_fd);
    process::close_all_but(&[channel.as_fd(), errand.keeper.as_fd(), signals.as_fd(), main.pidfd.as_fd(), outside])?;
    let dedicated = Dedicated::user_of(errand.spawn, errand.tag);
    Reaper {
        scope,
        main,
        main_lives: true,
        channel,
        signals,
        keeper: errand.keeper,
        init,
        dedicated,
        frozen: Frozen::No,
    }
    .watch()
}

fn tell(channel: &mut Channel, event: &Event) {
    let (bytes, fds) = codec::encode_event(event);
    // No descriptors are in these events, so there is nothing that could be short.
    let _sent = channel.queue(&bytes, &fds);
}

struct Reaper<'a> {
    scope: ScopeId,
    main: Child,
    main_lives: bool,
    channel: Channel,
    signals: SignalFd,
    keeper: &'a OwnedFd,
    init: Option<Init>,
    dedicated: Option<Dedicated>,
    frozen: Frozen,
}

/// Whether the scope stands still.
enum Frozen {
    No,
    /// It is to, and some may still move.
    Freezing(Still),
    Yes,
}

impl Reaper<'_> {
    /// Until the scope is empty.
    fn watch(mut self) -> io::Result<()> {
        loop {
            let limit = match self.reap()? {
                Children::None => break,
                Children::Left => self.go_on_freezing(),
                Children::More => Some(Duration::ZERO),
            };
            // It is gone, then the loop below notices.
            let _gone = self.channel.flush();
            self.wait(limit)?;
            self.signals.take()?;
            let orders = self.orders();
            if orders == Orders::Kill {
                if self.init.is_some() { self.kill_namespace()? } else { self.kill()? }
            }
        }
        kennel_sys::crash_point!("reaper.emptied");
        let scope = self.scope;
        tell(&mut self.channel, &Event::Emptied { scope });
        Self::deliver(&mut self.channel, self.keeper)
    }

    /// Waits for news of any kind.
    fn wait(&mut self, limit: Option<Duration>) -> io::Result<()> {
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        let mut flags = PollFlags::IN;
        if self.channel.is_waiting() {
            flags |= PollFlags::OUT;
        }
        let mut fds = [
            PollFd::new(&self.signals, PollFlags::IN),
            PollFd::new(&self.channel, flags),
            PollFd::new(self.keeper, PollFlags::IN),
        ];
        // While a kill goes on, the end of the keeper is no news and must not make this a busy loop.
        let count = if limit.is_some() { 1 } else { fds.len() };
        match rustix::event::poll(fds.get_mut(..count).unwrap_or_default(), limit.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Does what the keeper asks; its end is the order to kill.
    fn orders(&mut self) -> Orders {
        if pidfd::has_exited(self.keeper).unwrap_or(true) {
            return Orders::Kill;
        }
        let mut orders = Orders::None;
        loop {
            match self.channel.receive() {
                Ok(Incoming::Message(bytes, fds)) => match codec::decode_request(&bytes, fds) {
                    Ok(Request::Signal { signal, everyone, .. }) => self.signal(signal, everyone),
                    Ok(Request::Freeze { frozen: true, .. }) => self.freeze(),
                    Ok(Request::Freeze { frozen: false, .. }) => self.thaw(),
                    Ok(Request::Kill { .. }) => orders = Orders::Kill,
                    // Nothing else is ever sent here.
                    Ok(_) | Err(_) => {}
                },
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return orders,
                Ok(Incoming::Closed) | Err(_) => return Orders::Kill,
            }
        }
    }

    fn signal(&mut self, number: i32, everyone: bool) {
        let send = |number: i32| {
            if everyone {
                match &self.init {
                    // Fails only where there is nobody.
                    Some(init) => drop(init.signal_all(number)),
                    None => drop(hunt::signal_all(number)),
                }
            } else if self.main_lives {
                // Ours and not reaped, so it is there; it may be another user's by now.
                let _refused = pidfd::send_signal(&self.main.pidfd, number);
            }
        };
        send(number);
        if number != Signal::KILL.as_raw() && !signal::stops(number) {
            if matches!(self.frozen, Frozen::No) {
                send(Signal::CONT.as_raw());
            } else {
                self.thaw();
            }
        }
    }

    /// Has every member stand still. Those of a namespace get the one signal at the same moment, whoever is just being born
    /// included; others are stopped until none is seen to move.
    fn freeze(&mut self) {
        if !matches!(self.frozen, Frozen::No) {
            return self.tell_frozen();
        }
        match &self.init {
            Some(init) => {
                // Fails only where there is nobody.
                let _nobody = init.signal_all(Signal::STOP.as_raw());
                self.frozen = Frozen::Yes;
                self.tell_frozen();
            }
            None => self.frozen = Frozen::Freezing(Still::new(Instant::now())),
        }
    }

    fn thaw(&mut self) {
        match &self.init {
            Some(init) => drop(init.signal_all(Signal::CONT.as_raw())),
            None => drop(hunt::signal_all(Signal::CONT.as_raw())),
        }
        self.frozen = Frozen::No;
        self.tell_frozen();
    }

    /// Stops who still moves; answers with the time until that is due again.
    fn go_on_freezing(&mut self) -> Option<Duration> {
        let Frozen::Freezing(still) = &mut self.frozen else { return None };
        if still.due() <= Instant::now() && still.pass() {
            self.frozen = Frozen::Yes;
            self.tell_frozen();
            return None;
        }
        Some(still.due().saturating_duration_since(Instant::now()))
    }

    /// Not yet while it is being frozen.
    fn tell_frozen(&mut self) {
        let frozen = match self.frozen {
            Frozen::No => false,
            Frozen::Freezing(_) => return,
            Frozen::Yes => true,
        };
        let scope = self.scope;
        tell(&mut self.channel, &Event::Frozen { scope, frozen });
    }

    /// Reaps some of what has ended.
    fn reap(&mut self) -> io::Result<Children> {
        let scope = self.scope;
        for _ in 0..REAPED {
            let pid = match wait::peek(false) {
                Ok(Some((pid, _))) => pid,
                Ok(None) => return Ok(Children::Left),
                Err(error) if error.raw_os_error() == Some(rustix::io::Errno::CHILD.raw_os_error()) => {
                    return Ok(Children::None);
                }
                Err(error) => return Err(error),
            };
            // Asked while it is a zombie, for it has no number afterwards.
            let outside = match &self.init {
                Some(init) => init::outside(init, pid),
                None => Some(pid),
            };
            let Some(reaped) = wait::reap(pid, false)? else { return Ok(Children::Left) };
            let exit = reaped.exit.into();
            if self.main_lives && pid == self.main.pid {
                self.main_lives = false;
                tell(&mut self.channel, &Event::MainExited { scope, exit, usage: usage(&reaped) });
            } else if let Some(pid) = outside {
                tell(&mut self.channel, &Event::Reaped { scope, pid, exit });
            }
        }
        Ok(Children::More)
    }

    /// Until no child is left, however long that takes.
    fn kill(&mut self) -> io::Result<()> {
        kennel_sys::crash_point!("reaper.kill-begun");
        let begin = Instant::now();
        let mut hunt = Hunt::new(begin);
        let mut swept = false;
        let _hunted = self.dedicated.is_some_and(Dedicated::kill_all);
        let (mut hold, mut report) = (begin + HOLD, begin + REPORT);
        loop {
            let now = Instant::now();
            let mut more = false;
            if !hunt.is_crowded() || now >= hold {
                match self.reap()? {
                    Children::None => return Ok(()),
                    Children::Left => hold = now + HOLD,
                    Children::More => more = true,
                }
            }
            let scope = self.scope;
            // The first pass kills all that it finds; what is there for longer takes more than that.
            if !swept && begin.elapsed() >= FIRST_LOOK {
                swept = true;
                tell(&mut self.channel, &Event::Stage { scope, stage: KillStage::Sweep });
            }
            // Woken by each death, but looking at the whole tree only now and then.
            let pass = (hunt.due() <= Instant::now()).then(|| hunt.pass(|_| false));
            let left = match pass {
                Some(Pass::Stuck(pids)) => pids,
                // Dead, and held by a tracer outside: ours to reap only when that lets go.
                Some(Pass::Gone) if now >= report => process::children().unwrap_or_default(),
                Some(Pass::Gone | Pass::Again) | None => Vec::new(),
            };
            if !left.is_empty() {
                report = now + REPORT;
                let survivors = reported(&left);
                tell(&mut self.channel, &Event::Stuck { scope, survivors });
            }
            let _gone = self.channel.flush();
            let next = if more { Duration::ZERO } else { hunt.due().saturating_duration_since(Instant::now()) };
            self.wait(Some(next))?;
            self.signals.take()?;
            // Read, so that the keeper can always write; there is nothing more to ask for.
            while let Ok(Incoming::Message(..)) = self.channel.receive() {}
        }
    }

    /// The same in a namespace, where one signal reaches all. It is repeated for what somebody may put in from
    /// outside; who is left is found out by the keeper, whose numbers are those that count.
    fn kill_namespace(&mut self) -> io::Result<()> {
        kennel_sys::crash_point!("reaper.kill-begun");
        let begin = Instant::now();
        let (mut pause, mut next, mut report) = (FIRST_PAUSE, begin, begin + REPORT);
        loop {
            let children = self.reap()?;
            if children == Children::None {
                return Ok(());
            }
            let now = Instant::now();
            if now >= next {
                // Refused is only what is not ours: put in from outside, and ended by the kernel when this process ends.
                let _refused = self.init.as_ref().map(|init| init.signal_all(Signal::KILL.as_raw()));
                next = now + pause;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            if now >= report {
                report = now + REPORT;
                let scope = self.scope;
                tell(&mut self.channel, &Event::Stuck { scope, survivors: Vec::new() });
            }
            let _gone = self.channel.flush();
            let due = if children == Children::More { now } else { next.min(report) };
            self.wait(Some(due.saturating_duration_since(now)))?;
            self.signals.take()?;
            while let Ok(Incoming::Message(..)) = self.channel.receive() {}
        }
    }

    /// Sends what is queued, as long as there is somebody to read it.
    fn deliver(channel: &mut Channel, keeper: &OwnedFd) -> io::Result<()> {
        while channel.flush()? {
            let mut fds = [PollFd::new(&*channel, PollFlags::OUT), PollFd::new(keeper, PollFlags::IN)];
            match rustix::event::poll(&mut fds, None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            if pidfd::has_exited(keeper)? {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Who is there after some were reaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Children {
    None,
    /// Nobody that could be reaped right now.
    Left,
    /// There may be more to reap, and no signal will say so again.
    More,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Orders {
    None,
    Kill,
}
