//! The sending end of a link.

use super::batch::Batch;
use super::message::Template;
use super::schedule::Schedule;
use amqp_core::performative::{DeliveryState, Disposition, Flow, Role};
use anyhow::Result;
use serde_json::{Value, json};

/// Sends messages of one link, and counts what became of them. Message 0 is delivery 0 with transfer 0 at first.
#[derive(Debug)]
pub(crate) struct Sender {
    template: Template,
    settled: bool,
    pace: Pace,
    /// Once it is known how large frames may be.
    batch: Option<Batch>,
    sent: u64,
    /// Messages that may be sent yet.
    credit: u32,
    /// Transfer frames that may be sent yet.
    window: u32,
    /// The transfer-id of the next transfer.
    next_transfer: u32,
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
            template,
            settled,
            pace: Pace::Stopped,
            batch: None,
            sent: 0,
            credit: 0,
            window: 0,
            next_transfer: 0,
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

    /// The router takes frames of so many octets.
    pub(crate) fn on_open(&mut self, max_frame: u32) -> Result<()> {
        self.batch = Some(Batch::new(&self.template, max_frame, self.settled)?);
        Ok(())
    }

    /// The router takes so many frames of the session.
    pub(crate) const fn on_begin(&mut self, window: u32) {
        self.window = window;
    }

    pub(crate) fn on_flow(&mut self, flow: &Flow) {
        let used = self.next_transfer.wrapping_sub(flow.next_incoming_id.unwrap_or(0));
        self.window = flow.incoming_window.saturating_sub(used);
        if let (Some(_), Some(credit)) = (flow.handle, flow.link_credit) {
            let used = low(self.sent).wrapping_sub(flow.delivery_count.unwrap_or(0));
            self.credit = credit.saturating_sub(used);
        }
    }

    pub(crate) fn on_disposition(&mut self, disposition: &Disposition) {
        if disposition.role != Role::Receiver || !disposition.settled {
            return;
        }
        let last = disposition.last.unwrap_or(disposition.first);
        let count = u64::from(last.wrapping_sub(disposition.first)) + 1;
        // None of them was sent before there were that many of them.
        let first = self.sent - u64::from(low(self.sent).wrapping_sub(disposition.first));
        let state = disposition.state.as_ref();
        if first < self.counted_from && state != Some(&DeliveryState::Accepted) {
            self.early += count;
        } else {
            self.outcomes.count(state, count);
        }
    }

    /// When the next message is to be sent, if that is a matter of time.
    pub(crate) fn next_time(&self) -> Option<u64> {
        match self.pace {
            Pace::Times(schedule) => Some(schedule.time_of(self.sent)),
            Pace::Stopped | Pace::Credit => None,
        }
    }

    /// Makes ready what may be sent now. False when that is nothing. All that was ready before must have been written.
    pub(crate) fn prepare(&mut self, now: u64) -> bool {
        let Some(batch) = &mut self.batch else { return false };
        let due = match self.pace {
            Pace::Stopped => return false,
            Pace::Credit => u64::MAX,
            Pace::Times(schedule) => schedule.due(now).saturating_sub(self.sent),
        };
        let frames = batch.frames();
        let allowed = due.min(u64::from(self.credit.min(self.window / frames)));
        if allowed == 0 {
            return false;
        }
        let filled = low(batch.fill(self.sent, allowed));
        self.sent += u64::from(filled);
        self.credit -= filled;
        self.window -= filled * frames;
        self.next_transfer = self.next_transfer.wrapping_add(filled * frames);
        true
    }

    /// What was made ready, and not written.
    pub(crate) fn unwritten(&self) -> &[u8] {
        self.batch.as_ref().map_or(&[], Batch::unwritten)
    }

    /// So many octets of it were written.
    pub(crate) const fn advance(&mut self, octets: usize) {
        if let Some(batch) = &mut self.batch {
            batch.advance(octets);
        }
    }

    pub(crate) const fn has_credit(&self) -> bool {
        self.credit > 0
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

    const fn count(&mut self, state: Option<&DeliveryState>, count: u64) {
        *match state {
            Some(DeliveryState::Accepted) => &mut self.accepted,
            Some(DeliveryState::Released) => &mut self.released,
            Some(DeliveryState::Modified(_)) => &mut self.modified,
            Some(DeliveryState::Rejected(_)) => &mut self.rejected,
            Some(DeliveryState::Received { .. } | DeliveryState::Other { .. }) | None => &mut self.none,
        } += count;
    }
}

/// A count as a serial number.
const fn low(count: u64) -> u32 {
    (count & 0xffff_ffff) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(may_be_early: bool) -> Sender {
        let mut sender = Sender::new(Template::new(1000), false, may_be_early);
        sender.on_open(512).unwrap();
        sender.on_begin(100);
        sender.set_pace(Pace::Credit);
        sender
    }

    fn flow(next_incoming_id: u32, incoming_window: u32, delivery_count: u32, credit: u32) -> Flow {
        Flow {
            next_incoming_id: Some(next_incoming_id),
            incoming_window,
            handle: Some(0),
            delivery_count: Some(delivery_count),
            link_credit: Some(credit),
            ..Flow::default()
        }
    }

    fn disposition(first: u32, last: u32, state: DeliveryState) -> Disposition {
        let (last, state) = (Some(last), Some(state));
        Disposition { role: Role::Receiver, first, last, settled: true, state, batchable: false }
    }

    #[test]
    fn no_more_than_credit_and_window_allow() {
        let mut sender = sender(false);
        assert!(!sender.prepare(0));
        sender.on_flow(&flow(0, 100, 0, 5));
        assert!(sender.prepare(0) && !sender.prepare(0));
        assert_eq!((sender.sent(), sender.window), (5, 85));
        sender.on_flow(&flow(9, 9, 3, 50));
        assert_eq!((sender.credit, sender.window), (48, 3));
        assert!(sender.prepare(0) && !sender.prepare(0));
        assert_eq!((sender.sent(), sender.credit, sender.window), (6, 47, 0));
    }

    #[test]
    fn no_sooner_than_it_is_time() {
        let mut sender = sender(false);
        sender.on_flow(&flow(0, 100, 0, 50));
        sender.set_pace(Pace::Times(Schedule::new(0, 1000, 1, 0)));
        assert!(sender.prepare(2_000_000));
        assert_eq!((sender.sent(), sender.next_time()), (3, Some(3_000_000)));
        assert!(!sender.prepare(2_999_999));
    }

    #[test]
    fn what_was_sent_early_may_be_released() {
        let mut sender = sender(true);
        sender.sent = 3;
        sender.on_disposition(&disposition(0, 0, DeliveryState::Released));
        sender.on_reached();
        sender.on_disposition(&disposition(1, 1, DeliveryState::Accepted));
        sender.on_disposition(&disposition(2, 2, DeliveryState::Released));
        assert!(sender.is_told_all());
        sender.sent = 5;
        assert!(!sender.is_told_all());
        sender.on_disposition(&disposition(3, 4, DeliveryState::Released));
        let outcomes = Outcomes { accepted: 1, released: 2, ..Outcomes::default() };
        assert_eq!((sender.early(), sender.outcomes(), sender.is_told_all()), (2, outcomes, true));
    }

    #[test]
    fn with_a_receiver_all_must_be_accepted() {
        let mut sender = sender(false);
        sender.sent = 1 << 33;
        sender.on_disposition(&disposition(u32::MAX - 1, u32::MAX, DeliveryState::Released));
        assert_eq!((sender.early(), sender.outcomes().total()), (0, 2));
    }
}
