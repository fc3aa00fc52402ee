//! A look at the picture from `kennel up`, whose log goes on afterwards.

use std::collections::VecDeque;
use std::time::Duration;

use kennel_tui::Typing;
use tokio::sync::mpsc::unbounded_channel;

use super::follow::rests;
use super::{End, Session};
use crate::command::top;

/// What opens the picture.
pub(super) const KEY: char = 't';
/// Most news that are told after it.
const NEWS: usize = 200;

impl Session<'_> {
    /// Takes keys where somebody sits at a terminal and looks at the log.
    pub(super) fn listen_to_keys(&mut self) {
        let is_watched = self.context.screen.interactive() && !self.context.global.json;
        // Without one there is nobody to press any.
        self.typing = is_watched.then(|| Typing::begin().ok()).flatten();
    }

    /// Shows the picture until somebody leaves it; then the log goes on behind what it showed last. Answers with why the stack
    /// is to end, if it is.
    pub(super) async fn visit(&mut self) -> Option<End> {
        // The picture has keys of its own.
        self.typing = None;
        let (_nobody, notices) = unbounded_channel();
        let shown = kennel_tui::live(self.daemon.clone(), self.options(false), top::WORDS, notices);
        let mut missed = VecDeque::new();
        let end = tokio::select! {
            biased;
            left = shown => left.err().map(|_gone| End::Asked),
            end = self.heed(&mut missed) => Some(end),
        };
        for note in missed {
            if self.context.screen.out(&note).is_err() {
                return Some(End::Asked);
            }
        }
        // A signal ends the picture, too, and is heard by both.
        if tokio::time::timeout(Duration::ZERO, self.signals.next()).await.is_ok() {
            return Some(End::Asked);
        }
        match end {
            // Says who has failed, which nobody could read before.
            Some(End::Over { .. }) => return self.all_over().await,
            Some(end) => return Some(end),
            None => {}
        }
        if self.resume_logs().await.is_err() {
            return Some(End::Lost);
        }
        self.listen_to_keys();
        None
    }

    /// Keeps up with the stack while the picture shows it, from daemon to daemon, until there is nothing to show any more.
    async fn heed(&mut self, missed: &mut VecDeque<String>) -> End {
        loop {
            let Some(events) = &mut self.events else { return End::Lost };
            let event = match events.next().await {
                Ok(Some(event)) => event,
                Ok(None) | Err(_) if self.go_on().await => continue,
                Ok(None) | Err(_) => return End::Lost,
            };
            let heard = match self.hear(&event) {
                Ok(heard) => heard,
                Err(end) => return end,
            };
            missed.extend(heard.line);
            missed.drain(..missed.len().saturating_sub(NEWS));
            if heard.over && self.all_rest().await {
                return End::Over { failed: false };
            }
        }
    }

    async fn all_rest(&self) -> bool {
        self.daemon.services().await.is_ok_and(|services| services.iter().all(|one| rests(one.state)))
    }
}
