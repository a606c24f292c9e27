//! The stream that an exchange receives: from the mesh to the transport.

use super::DATA;
use super::grant::{Grant, Progress};
use super::head::{self, HeadError};
use super::modified;
use super::pool::{POOL, Share};
use super::window::ReceiveWindow;
use crate::annotations::{Annotations, flags};
use crate::stream::{Finish, Notify, Pull, Reader};
use crate::{Action, Mailbox, OutId, Side};
use amqp_core::Instant;
use amqp_core::performative::DeliveryState;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;

/// Octets pulled from a stream at once.
const PULL: usize = 256 * 1024;

/// Where a stream that is received stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReceivingState {
    /// It, or the rest of its head, is still to come.
    Head,
    /// Octets come.
    Open,
    /// Nothing more comes; what is there is still to be written.
    Rest,
    /// Everything was written, and the outcome told.
    Done,
    /// The transport takes nothing more, and that was told.
    Broken,
}

/// A request whose head was read.
#[derive(Debug)]
pub struct Request {
    /// The delivery.
    pub delivery: OutId,
    /// The place after what was read.
    pub reader: Reader,
    /// What was read beyond the head.
    pub pending: VecDeque<Bytes>,
    /// Its sender takes a window as wide as is granted ([`takes_grants`]).
    pub wide: bool,
}

/// A stream that is received.
#[derive(Debug)]
pub(super) struct Receiving {
    pub(super) state: ReceivingState,
    pub(super) delivery: Option<OutId>,
    pub(super) reader: Option<Reader>,
    /// What is to be written.
    pub(super) pending: VecDeque<Bytes>,
    /// How it was finished, once it was.
    pub(super) finish: Finish,
    /// The reader said that it would tell when there is more.
    pub(super) dry: bool,
    pub(super) window: ReceiveWindow,
    /// A report is due.
    due: bool,
    /// The sender takes a window as wide as is granted.
    pub(super) wide: bool,
    /// Of a wide one whose first report was due.
    grant: Option<Box<Grant>>,
    /// The outcome is of no use to anybody any more.
    pub(super) settled: bool,
}

/// What pulling brought.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pulled {
    Nothing,
    /// Octets, the end, or both.
    Octets,
    /// The stream was broken off.
    Aborted,
}

/// Whether the sender of a stream, and all routers on its way, take a window of the receiver's choice.
#[must_use]
pub const fn takes_grants(annotations: &Annotations) -> bool {
    annotations.flags & flags::WIDE != 0
}

/// Whom the stream that is received tells of octets.
#[must_use]
pub fn on_data(mailbox: &Arc<Mailbox>) -> Notify {
    Notify { mailbox: Arc::clone(mailbox), key: DATA }
}

// === impl Receiving ===

impl Receiving {
    /// A stream that is still to come.
    pub(super) const fn awaited() -> Self {
        Self {
            state: ReceivingState::Head,
            delivery: None,
            reader: None,
            pending: VecDeque::new(),
            finish: Finish::Orderly,
            dry: false,
            window: ReceiveWindow::new(),
            due: false,
            wide: false,
            grant: None,
            settled: false,
        }
    }

    /// A stream whose head was read.
    pub(super) fn begun(Request { delivery, reader, pending, wide }: Request) -> Self {
        let (delivery, reader) = (Some(delivery), Some(reader));
        Self { state: ReceivingState::Open, delivery, reader, pending, wide, ..Self::awaited() }
    }

    /// Whether nothing more is written.
    pub(super) const fn is_done(&self) -> bool {
        matches!(self.state, ReceivingState::Done | ReceivingState::Broken)
    }

    /// Whether there is nothing to write although the stream may hold something.
    pub(super) fn is_hungry(&self) -> bool {
        let wants = match self.state {
            ReceivingState::Head => true,
            ReceivingState::Open => self.pending.is_empty(),
            ReceivingState::Rest | ReceivingState::Done | ReceivingState::Broken => false,
        };
        wants && !self.dry
    }

    /// Whether nothing was written, and nothing waits for it.
    pub(super) fn is_untouched(&self) -> bool {
        match self.state {
            ReceivingState::Head => true,
            ReceivingState::Open => self.window.written() == 0 && self.pending.is_empty(),
            ReceivingState::Rest | ReceivingState::Done | ReceivingState::Broken => false,
        }
    }

    /// Whether nothing has come that could be written.
    pub(super) const fn brings_nothing(&self) -> bool {
        self.delivery.is_none() || matches!(self.state, ReceivingState::Broken)
    }

    /// Octets that wait for the transport.
    pub(super) fn weight(&self) -> usize {
        let pending: usize = self.pending.iter().map(Bytes::len).sum();
        pending + self.reader.as_ref().map_or(0, |reader| reader.stream().buffered())
    }

    /// Moves what the stream holds to what is to be written, without the head.
    ///
    /// # Errors
    /// When the stream begins with no head.
    pub(super) fn pull(&mut self) -> Result<Pulled, HeadError> {
        let Some(reader) = &self.reader else { return Ok(Pulled::Nothing) };
        let pull = reader.pull(PULL, &mut self.pending);
        match pull {
            Pull::Empty => {
                self.dry = true;
                return Ok(Pulled::Nothing);
            }
            Pull::Aborted => return Ok(Pulled::Aborted),
            Pull::Data => {}
            Pull::Done(finish) => self.finish = finish,
        }
        let done = matches!(pull, Pull::Done(_));
        if self.state == ReceivingState::Head {
            let Some(head) = head::parse(self.pending.make_contiguous(), done)? else {
                return Ok(Pulled::Octets);
            };
            consume(&mut self.pending, head.len);
            self.state = ReceivingState::Open;
        }
        if done {
            self.state = ReceivingState::Rest;
        }
        Ok(Pulled::Octets)
    }

    /// The transport has taken octets.
    pub(super) fn on_written(&mut self, octets: usize) {
        consume(&mut self.pending, octets);
        self.due |= self.window.write(octets);
    }

    /// Whether there is something for [`Self::report`].
    pub(super) fn is_report_due(&self) -> bool {
        self.due && self.state == ReceivingState::Open && !self.settled
    }

    /// Reports what was written, if that is due, with the window that the sender may have.
    pub(super) fn report(&mut self, now: Instant, mailbox: &Arc<Mailbox>, actions: &mut Vec<Action>) {
        let Some(delivery) = self.delivery.filter(|_| self.is_report_due()) else { return };
        self.due = false;
        let progress = self.progress();
        let section_number = if self.wide {
            let begin = || Box::new(Grant::new(Share::none(&POOL, mailbox), progress.total, now));
            self.grant.get_or_insert_with(begin).report(progress, now)
        } else {
            0
        };
        let state = DeliveryState::Received { section_number, section_offset: progress.total };
        actions.push(Action::Update { delivery: Side::Out(delivery), state: Some(state), settled: false });
    }

    /// Others need what this stream holds of the memory for wide windows.
    pub(super) fn on_visit(&mut self) {
        let progress = self.progress();
        self.due |= self.grant.as_mut().is_some_and(|grant| grant.visit(progress));
    }

    fn progress(&self) -> Progress {
        Progress { total: self.window.written(), waiting: self.weight() as u64 }
    }

    /// The other stream has failed, so this one will. Of one that has brought nothing yet its sender, who may have heard of
    /// nothing, is told at once.
    pub(super) fn tell_failure(&self, actions: &mut Vec<Action>) {
        let brought = self.window.written() > 0 || self.weight() > 0;
        if let Some(delivery) = self.delivery.filter(|_| !(self.settled || brought)) {
            actions.push(Action::Update { delivery: Side::Out(delivery), state: Some(modified()), settled: false });
        }
    }

    /// Tells its sender that it is of no use here or elsewhere. False: its outcome was told.
    pub(super) fn refuse(&mut self, actions: &mut Vec<Action>) -> bool {
        let Some(delivery) = self.delivery.filter(|_| !self.settled) else { return false };
        self.settled = true;
        let state = Some(DeliveryState::Rejected(None));
        actions.push(Action::Update { delivery: Side::Out(delivery), state, settled: true });
        true
    }

    /// Nothing more is written.
    pub(super) fn finish(&mut self, outcome: DeliveryState, actions: &mut Vec<Action>) {
        self.state = ReceivingState::Done;
        self.settle(outcome, actions);
    }

    /// The transport takes nothing more.
    pub(super) fn break_off(&mut self, actions: &mut Vec<Action>) {
        self.pending.clear();
        self.state = ReceivingState::Broken;
        self.settle(modified(), actions);
    }

    fn settle(&mut self, outcome: DeliveryState, actions: &mut Vec<Action>) {
        let Some(delivery) = self.delivery else { return };
        self.reader = None;
        self.grant = None;
        actions.push(Action::Sent { delivery });
        if !std::mem::replace(&mut self.settled, true) {
            actions.push(Action::Update { delivery: Side::Out(delivery), state: Some(outcome), settled: true });
        }
    }
}

/// Takes octets off the front of chunks.
pub fn consume(chunks: &mut VecDeque<Bytes>, mut octets: usize) {
    while octets > 0 {
        let Some(front) = chunks.front_mut() else { return };
        if front.len() > octets {
            *front = front.slice(octets..);
            return;
        }
        octets -= front.len();
        chunks.pop_front();
    }
}
