//! Another daemon in this one's place, while every service runs on.
//!
//! The keeper starts the other one, which looks whether it could go on and says hello. Only then does this one let go: it
//! records everything, closes the store, and answers whoever waits that another one will. Until then nothing has changed, so that
//! a successor that does not come up costs nothing.

use std::os::fd::OwnedFd;

use kennel_keeper::proto::{self, Request, Successor};
use kennel_wire::{Code, EventKind, Problem};

use super::waiters::WaitsFor;
use super::{Driver, Reply};
use crate::handle::handed_over;

/// How far a hand-over is.
#[derive(Debug)]
pub(super) enum HandOver {
    /// None is under way.
    None,
    /// The keeper was asked for another daemon.
    Asked(Reply<Result<(), Problem>>),
    /// The other one is ready: this one lets go at the end of the turn.
    Ready(Reply<Result<(), Problem>>),
    /// This one has let go.
    LetGo,
    /// The keeper needs this one no more.
    Over,
}

impl HandOver {
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Over)
    }

    pub(super) fn has_let_go(&self) -> bool {
        matches!(self, Self::LetGo | Self::Over)
    }
}

impl Driver {
    pub(super) fn succeed(&mut self, program: Option<OwnedFd>, reply: Reply<Result<(), Problem>>) {
        let refused = match self.handover {
            HandOver::None => self.refuse_while_ending(),
            _ => Some(Problem::new(Code::Conflict, "the daemon is being replaced already")),
        };
        if let Some(problem) = refused {
            return drop(reply.send(Err(problem)));
        }
        tracing::info!("another daemon is started to take over");
        self.handover = HandOver::Asked(reply);
        self.link.send(Request::Succeed { program });
    }

    pub(super) fn successor(&mut self, news: Successor) {
        match (std::mem::replace(&mut self.handover, HandOver::None), news) {
            (HandOver::Asked(reply), Successor::Ready) => self.handover = HandOver::Ready(reply),
            (HandOver::Asked(reply), Successor::Failed { why }) => {
                tracing::error!(why, "the other daemon cannot take over; this one goes on");
                self.events.publish(None, None, EventKind::HandoverFailed { reason: why.clone() });
                let problem = Problem::new(Code::HandoverFailed, format!("the other daemon cannot take over: {why}"));
                let hint = "nothing has changed; its last words are in `kennel.log` of the state directory";
                drop(reply.send(Err(problem.hint(hint))));
            }
            (HandOver::LetGo, Successor::Failed { why }) => {
                // The keeper starts one of its own program in our place.
                tracing::error!(why, "the other daemon was lost while it took over");
                self.handover = HandOver::Over;
            }
            (HandOver::LetGo, Successor::Done) => self.handover = HandOver::Over,
            (state, news) => {
                tracing::warn!(?news, "unexpected news of a successor");
                self.handover = state;
            }
        }
    }

    /// Lets go, if that is due: everything is recorded, and nothing more is.
    pub(super) async fn let_go(&mut self) {
        if !matches!(self.handover, HandOver::Ready(_)) {
            return;
        }
        let HandOver::Ready(reply) = std::mem::replace(&mut self.handover, HandOver::LetGo) else { return };
        // Whoever asked hears of the end of the old daemon as everybody else does, and asks the new one.
        drop(reply.send(Ok(())));
        self.send_on();
        self.let_all_ports_go();
        // The other one reads on where this one has stopped.
        self.recorder.stop().await;
        self.commit();
        self.events.close();
        kennel_sys::crash_point!("daemon.let-go");
        self.finished.send_replace(Some(super::End::HandedOver));
        self.link.send(Request::HandOver);
        self.link.flush();
    }

    /// Keeps what was asked for meanwhile from being begun by nobody, until the other daemon has taken over or failed.
    pub(super) async fn await_successor(&mut self) {
        let mut events = Vec::new();
        while !self.handover.is_over() {
            let heard = tokio::select! {
                heard = self.link.receive(&mut events) => heard,
                // Whoever asked is told so by the end of the answer's channel.
                Some(_unanswered) = self.inbox.recv() => Ok(()),
            };
            if let Err(error) = heard {
                // Without a keeper the other one sees to everything, or nobody can.
                tracing::error!(%error, "the keeper is lost during the hand-over");
                self.handover = HandOver::Over;
            }
            for event in events.drain(..) {
                if let proto::Event::Successor(news) = event {
                    self.successor(news);
                }
            }
        }
    }

    /// Tells whoever waits to ask the other daemon.
    fn send_on(&mut self) {
        let problem = handed_over;
        for waiter in std::mem::take(&mut self.waiters) {
            match waiter.waits_for {
                WaitsFor::Up { reply, .. } => drop(reply.send(Err(problem()))),
                WaitsFor::Rest(reply) => drop(reply.send(Err(problem()))),
                WaitsFor::Restart(reply) => drop(reply.send(Err(problem()))),
                WaitsFor::Reload { reply, .. } => drop(reply.send(Err(problem()))),
                WaitsFor::Begun { reply, .. } => drop(reply.send(Err(problem()))),
                WaitsFor::Cleaned { reply, .. } => drop(reply.send(Err(problem()))),
                WaitsFor::Frozen { reply, .. } => drop(reply.send(Err(problem()))),
                // Its answer has no room for a problem; the channel's end says the same.
                WaitsFor::Down { reply, .. } => drop(reply),
                WaitsFor::Cleared(reply) => drop(reply),
            }
        }
        self.send_callers_on(problem);
    }

    pub(super) fn replace_keeper(&mut self, program: OwnedFd, reply: Reply<Result<(), Problem>>) {
        let busy = || Problem::new(Code::Conflict, "the keeper is being replaced already");
        match self.refuse_while_ending().or_else(|| self.keeper_change.is_some().then(busy)) {
            Some(problem) => drop(reply.send(Err(problem))),
            None => {
                self.keeper_change = Some(reply);
                self.link.send(Request::Exec { program });
            }
        }
    }

    pub(super) fn executed(&mut self, version: u16, refused: Option<String>) {
        let answer = match refused {
            None => {
                tracing::info!(version, "the keeper runs another program now");
                Ok(())
            }
            Some(why) => {
                tracing::error!(why, "the keeper goes on with its own program");
                let problem =
                    Problem::new(Code::HandoverFailed, format!("the keeper goes on with its own program: {why}"));
                Err(problem.hint("it serves a newer daemon as well; services are not touched"))
            }
        };
        if let Some(reply) = self.keeper_change.take() {
            // Whoever asked may have gone.
            let _unheard = reply.send(answer);
        }
    }
}
