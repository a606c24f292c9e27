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
    /// Messages before this one need not reach anybody.
    counted_from: u64,
    /// How many of them were not accepted.
    early: u64,
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
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcomes {
    accepted: u64,
    released: u64,
    modified: u64,
    rejected: u64,
    none: u64,
}

// === impl Sender ===

impl Sender {
    /// `may_be_early`: the router takes messages before it knows all receivers.
    pub(crate) fn new(template: Template, settled: bool, may_be_early: bool) -> Self {
        Self {
            messages: Messages::new(template),
            payload: VecDeque::new(),
            settled,
            pace: Pace::Stopped,
            sent: 0,
            outcomes: Outcomes::default(),
            counted_from: if may_be_early { u64::MAX } else { 0 },
            early: 0,
        }
    }

    /// All receivers are known to be reached by what is sent from now on.
    pub(crate) fn on_reached(&mut self) {
        self.counted_from = self.counted_from.min(self.sent);
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

    /// Messages that were not accepted, and need not have been.
    pub(crate) const fn early(&self) -> u64 {
        self.early
    }

    /// It was told what became of each message.
    pub(crate) const fn is_told_all(&self) -> bool {
        self.settled || self.outcomes.total() + self.early == self.sent
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

    pub(crate) fn on_update(&mut self, update: &Update) {
        if !update.settled {
            return;
        }
        let is_early = update.token.is_some_and(|number| number < self.counted_from);
        if is_early && update.state != Some(DeliveryState::Accepted) {
            self.early += 1;
        } else {
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

#[cfg(test)]
mod tests {
    use super::*;
    use amqp_core::engine::DeliveryKey;

    fn update(number: u64, state: DeliveryState) -> Update {
        Update {
            incoming: false,
            delivery: DeliveryKey { session: 0, id: 0 },
            link: LinkKey { slot: 0, serial: 0 },
            token: Some(number),
            state: Some(state),
            settled: true,
        }
    }

    #[test]
    fn what_was_sent_early_may_be_released() {
        let mut sender = Sender::new(Template::new(0), false, true);
        sender.on_update(&update(0, DeliveryState::Released));
        sender.sent = 3;
        sender.on_reached();
        sender.on_update(&update(1, DeliveryState::Accepted));
        sender.on_update(&update(2, DeliveryState::Released));
        assert!(sender.is_told_all());
        sender.sent = 4;
        assert!(!sender.is_told_all());
        sender.on_update(&update(3, DeliveryState::Released));
        let outcomes = Outcomes { accepted: 1, released: 1, ..Outcomes::default() };
        assert_eq!((sender.early(), sender.outcomes(), sender.is_told_all()), (2, outcomes, true));
    }

    #[test]
    fn with_a_receiver_all_must_be_accepted() {
        let mut sender = Sender::new(Template::new(0), false, false);
        sender.on_update(&update(0, DeliveryState::Released));
        assert_eq!((sender.early(), sender.outcomes().total()), (0, 1));
    }
}
