//! What is kept for the daemon after this one, and how it comes.

use std::os::fd::OwnedFd;

use kennel_store::Change;
use kennel_wire::Problem;

use super::Handle;
use crate::driver::Input;

impl Handle {
    /// Has a small fact recorded for the daemon after this one; none: forgotten. It is forgotten with the end of the stack as well.
    pub fn remember(&self, key: &'static str, fact: Option<serde_json::Value>) {
        let _ended_already = self.inbox.send(Input::Remember(key, fact));
    }

    /// What the daemon before this one had recorded so.
    #[must_use]
    pub fn remembered(&self, key: &str) -> Option<&serde_json::Value> {
        self.facts.get(key)
    }

    /// Has recorded who asked for what, and how it went. Nothing is any more once the engine has ended.
    pub fn audit(&self, actor: String, action: String, subject: String, outcome: String) {
        let _ended_already = self.inbox.send(Input::Audit(Change::Audit { actor, action, subject, outcome }));
    }

    /// Says that requests are answered from now on, so that a daemon before this one may go.
    pub fn serving(&self) {
        let _ended_already = self.inbox.send(Input::Serving);
    }

    /// Has the keeper keep a descriptor for the daemon after this one.
    pub fn hold(&self, name: &str, fd: OwnedFd) {
        let _ended_already = self.inbox.send(Input::Hold(name.to_owned(), fd));
    }

    /// Has the keeper keep it no longer.
    pub fn release(&self, name: &str) {
        let _ended_already = self.inbox.send(Input::Release(name.to_owned()));
    }

    /// Has another daemon take this one's place: of `program`, or of the keeper's own. Answers when it is about to.
    ///
    /// # Errors
    /// `handover_failed`: nothing has changed. `conflict` while another is under way, `shutting_down`.
    pub async fn succeed(&self, program: Option<OwnedFd>) -> Result<(), Problem> {
        self.ask(|reply| Input::Succeed(program, reply)).await?
    }

    /// Has the keeper run `program` from now on, in the same process, with all that it holds.
    ///
    /// # Errors
    /// `handover_failed`: it goes on as it was. `conflict`, `shutting_down`.
    pub async fn replace_keeper(&self, program: OwnedFd) -> Result<(), Problem> {
        self.ask(|reply| Input::ReplaceKeeper(program, reply)).await?
    }
}
