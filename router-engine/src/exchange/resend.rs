//! A request that is sent again: when, and for how long.
//!
//! A request that failed before either peer had a part of the flow left no trace: nothing was read from the client, and
//! nothing that came was written to it. It is sent again, with a new reply address, as an answer to the one before may
//! still be on its way. The first time that is at once, then after growing pauses, for as long as the router is told to
//! ([`Router::stream_retry`]) since the first failure. While nobody consumes the address it waits for somebody to come. The
//! core sends each attempt to somebody who has not refused one before, until all have (`core::resend`).

use super::WATCH;
use super::head::RequestHead;
use crate::LinkId;
use crate::core::effect::WatchCounts;
use crate::core::{Router, WatchId};
use crate::port::local::Connection;
use crate::stream::Notify;
use amqp_core::Instant;
use std::sync::Arc;
use std::time::Duration;

/// The first pause between two attempts. A network that has lost a link knows its ways again in about that time.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest one: a server that refuses is not asked more often.
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// What it takes to send a request, the first time or again.
#[derive(Debug)]
pub(super) struct Resend {
    pub(super) head: RequestHead,
    /// Takes requests.
    pub(super) into: LinkId,
    /// Brings the reply; none while the request waits.
    pub(super) reply: Option<LinkId>,
    trial: Option<Box<Trial>>,
}

/// What there is to know of a request that has failed.
#[derive(Debug, Default)]
struct Trial {
    /// When its time is over; set at the first failure.
    until: Option<Instant>,
    /// When it is sent again; none before that was decided.
    due: Option<Instant>,
    /// The next pause.
    pause: Duration,
    watch: Option<Watch>,
    /// Whether the address has consumers, as far as that was told.
    reachable: Option<bool>,
    /// Somebody has come to consume the address.
    news: bool,
    /// A server has answered once, and something else cut the flow before it carried anything.
    answered: bool,
}

/// What is to be done with a request that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It waits until then, or until there is mail.
    Wait(Instant),
    /// It is sent.
    Send,
    /// Its time is over.
    GiveUp,
}

/// A watch on an address; ends when dropped.
#[derive(Debug)]
struct Watch {
    router: Arc<Router>,
    id: WatchId,
}

// === impl Resend ===

impl Resend {
    pub(super) const fn new(head: RequestHead, into: LinkId, reply: LinkId) -> Self {
        Self { head, into, reply: Some(reply), trial: None }
    }

    /// Whether a request that fails is sent again: a server that answers and breaks off without a word gets one more
    /// chance only.
    pub(super) fn may_fail(&self, answered: bool) -> bool {
        !(answered && self.trial.as_ref().is_some_and(|trial| trial.answered))
    }

    /// The request has failed. Returns the link that is of no use any more.
    pub(super) fn on_failure(&mut self, answered: bool) -> Option<LinkId> {
        let trial = self.trial.get_or_insert_default();
        trial.answered |= answered;
        (trial.due, trial.news) = (None, false);
        self.reply.take()
    }

    /// A server has answered: nothing is waited for.
    pub(super) fn on_reply(&mut self) {
        if let Some(trial) = &mut self.trial {
            trial.watch = None;
        }
    }

    /// What consumes the address has changed, or is told for the first time.
    pub(super) fn on_watch(&mut self, counts: WatchCounts) {
        let Some(trial) = &mut self.trial else { return };
        let known = trial.reachable.replace(counts.reachable()).is_some();
        trial.news |= known && counts.reachable();
    }

    /// What is to be done with a request that has failed, and may be sent again for `limit`.
    pub(super) fn turn(&mut self, connection: &Connection, limit: Duration, now: Instant) -> Turn {
        let trial = self.trial.get_or_insert_default();
        let until = *trial.until.get_or_insert(now + limit);
        if now >= until {
            return Turn::GiveUp;
        }
        let due = match trial.due {
            Some(due) => due,
            None => trial.pause(connection, &self.head.to, now),
        };
        if trial.news || (now >= due && trial.reachable != Some(false)) {
            return Turn::Send;
        }
        Turn::Wait(if trial.reachable == Some(false) { until } else { due.min(until) })
    }
}

// === impl Trial ===

impl Trial {
    /// Decides when to send again. What failed at once a second time has the address watched.
    fn pause(&mut self, connection: &Connection, address: &str, now: Instant) -> Instant {
        if !self.pause.is_zero() && self.watch.is_none() {
            self.reachable = None;
            self.watch = Some(Watch::begin(connection, address));
        }
        let due = now + self.pause;
        self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        *self.due.insert(due)
    }
}

// === impl Watch ===

impl Watch {
    fn begin(connection: &Connection, address: &str) -> Self {
        let router = Arc::clone(connection.router());
        let notify = Notify { mailbox: Arc::clone(connection.mailbox()), key: WATCH };
        let id = router.watch_consumers(address, notify);
        Self { router, id }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.router.unwatch(self.id);
    }
}
