//! The sending end.

use super::message::{Messages, Template};
use super::schedule::Schedule;
use amqp_core::engine::{Connection, LinkKey, Outgoing, Sent, Update};
use amqp_core::performative::DeliveryState;
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::VecDeque;

/// Octets that may wait for the socket before no further message is begun.
const OUTPUT_MAX: usize = 256 * 1024;

/// Sends messages of one link, and counts what became of them.
#[derive(Debug)]
pub(crate) struct Sender {
    messages: Messages,
    /// What is left of the message being sent.
    payload: VecDeque<Bytes>,
    settled: bool,
    pace: Pace,
    /// Messages begun.
    sent: u64,
    outcomes: Outcomes,
}

/// When messages are sent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// None any more, or none yet.
    Stopped,
    /// As soon as there is credit.
    Credit,
    /// At these times, or as soon as there is credit if there was none.
    Times(Schedule),
}

/// What receivers made of messages, as far as it was told.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Outcomes {
    accepted: u64,
    released: u64,
    modified: u64,
    rejected: u64,
    none: u64,
}

// === impl Sender ===

impl Sender {
    pub(crate) fn new(template: Template, settled: bool) -> Self {
        Self {
            messages: Messages::new(template),
            payload: VecDeque::new(),
            settled,
            pace: Pace::Stopped,
            sent: 0,
            outcomes: Outcomes::default(),
        }
    }

    pub(crate) const fn set_pace(&mut self, pace: Pace) {
        self.pace = pace;
    }

    pub(crate) const fn sent(&self) -> u64 {
        self.sent
    }

    pub(crate) const fn outcomes(&self) -> Outcomes {
        self.outcomes
    }

    /// When the next message is to be sent, if that is a matter of time.
    pub(crate) fn next_time(&self) -> Option<u64> {
        match self.pace {
            Pace::Times(schedule) => Some(schedule.time_of(self.sent)),
            Pace::Stopped | Pace::Credit => None,
        }
    }

    /// Sends what may be sent now. True when there is more, once the output has room again.
    pub(crate) fn send(&mut self, engine: &mut Connection, link: LinkKey, now: u64) -> bool {
        let allowed = match self.pace {
            Pace::Stopped => self.sent,
            Pace::Credit => u64::MAX,
            Pace::Times(schedule) => schedule.due(now),
        };
        loop {
            if self.payload.is_empty() {
                if self.sent >= allowed || !engine.can_start(link) {
                    return false;
                }
                if engine.output().len() >= OUTPUT_MAX {
                    return true;
                }
                let delivery = Outgoing { tag: self.sent, settled: self.settled, state: None, token: self.sent };
                engine.start(link, delivery);
                self.messages.put_next(&mut self.payload);
                self.sent += 1;
            }
            if engine.send(link, &mut self.payload, Some(self.settled), usize::MAX) != Sent::Done {
                return false;
            }
        }
    }

    pub(crate) const fn on_update(&mut self, update: &Update) {
        if update.settled {
            self.outcomes.count(update.state.as_ref());
        }
    }
}

// === impl Outcomes ===

impl Outcomes {
    pub(crate) const fn total(&self) -> u64 {
        self.accepted + self.released + self.modified + self.rejected + self.none
    }

    pub(crate) const fn accepted(&self) -> u64 {
        self.accepted
    }

    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            accepted: self.accepted + other.accepted,
            released: self.released + other.released,
            modified: self.modified + other.modified,
            rejected: self.rejected + other.rejected,
            none: self.none + other.none,
        }
    }

    /// For the report.
    pub(crate) fn to_json(self) -> Value {
        let Self { accepted, released, modified, rejected, none } = self;
        json!({"accepted": accepted, "released": released, "modified": modified, "rejected": rejected, "none": none})
    }

    const fn count(&mut self, state: Option<&DeliveryState>) {
        *match state {
            Some(DeliveryState::Accepted) => &mut self.accepted,
            Some(DeliveryState::Released) => &mut self.released,
            Some(DeliveryState::Modified(_)) => &mut self.modified,
            Some(DeliveryState::Rejected(_)) => &mut self.rejected,
            Some(DeliveryState::Received { .. } | DeliveryState::Other { .. }) | None => &mut self.none,
        } += 1;
    }
}
