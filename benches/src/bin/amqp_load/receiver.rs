//! The receiving end.

use super::message::{Number, Template};
use super::schedule::Schedule;
use super::tally::Tally;
use amqp_core::engine::{Connection, Incoming, LinkKey};
use amqp_core::performative::DeliveryState;
use hdrhistogram::Histogram;
use std::ops::Range;

/// Latencies above this count as this, nanoseconds.
const LATENCY_MAX: u64 = 600_000_000_000;
/// Decimal digits that are kept of a latency.
const DIGITS: u8 = 3;

/// Receives and settles messages of one link, and counts them.
#[derive(Debug)]
pub(crate) struct Receiver {
    template: Template,
    /// Messages may have been sent before this receiver was known.
    may_be_late: bool,
    /// What is kept granted, by and large.
    credit: u32,
    /// Credit used since the last grant.
    used: u32,
    tally: Tally,
    /// Messages that were not as they had been sent.
    altered: u64,
    aborted: u64,
    number: Number,
    /// Octets of the message in progress.
    octets: usize,
    /// When its messages are meant to be sent.
    schedule: Option<Schedule>,
}

/// How long messages took that were meant to be sent within a time, from then until they were read.
#[derive(Debug)]
pub(crate) struct Latency {
    pub(crate) histogram: Histogram<u64>,
    /// The time, nanoseconds.
    window: Range<u64>,
}

// === impl Receiver ===

impl Receiver {
    pub(crate) const fn new(template: Template, credit: u32, may_be_late: bool) -> Self {
        Self {
            template,
            may_be_late,
            credit,
            used: 0,
            tally: Tally::new(),
            altered: 0,
            aborted: 0,
            number: Number::None,
            octets: 0,
            schedule: None,
        }
    }

    pub(crate) const fn set_schedule(&mut self, schedule: Option<Schedule>) {
        self.schedule = schedule;
    }

    pub(crate) const fn tally(&self) -> Tally {
        self.tally
    }

    /// Messages that came otherwise than they were sent, and those that were given up on the way.
    pub(crate) const fn faults(&self) -> (u64, u64) {
        (self.altered, self.aborted)
    }

    pub(crate) fn on_attached(&self, engine: &mut Connection, link: LinkKey) {
        engine.grant_credit(link, self.credit);
    }

    pub(crate) fn on_transfer(
        &mut self,
        engine: &mut Connection,
        transfer: &Incoming,
        now: u64,
        latency: Option<&mut Latency>,
    ) {
        if transfer.first {
            self.number = self.template.number(&transfer.payload);
            self.octets = 0;
        }
        self.octets += transfer.payload.len();
        if transfer.more {
            return;
        }
        self.used += 1;
        if transfer.aborted {
            self.aborted += 1;
            return;
        }
        if !transfer.settled {
            engine.update_in(transfer.delivery, Some(DeliveryState::Accepted), true);
        }
        let number = match self.number {
            _ if self.octets != self.template.len() => return self.altered += 1,
            Number::Wrong => return self.altered += 1,
            Number::Is(number) => {
                self.tally.count(number, self.may_be_late);
                number
            }
            Number::None => {
                self.tally.count_one();
                self.tally.received - 1
            }
        };
        if let (Some(latency), Some(schedule)) = (latency, &self.schedule) {
            latency.record(schedule.time_of(number), now);
        }
    }

    /// Grants again what was used, once that is worth a frame.
    pub(crate) fn grant(&mut self, engine: &mut Connection, link: LinkKey) {
        if self.used * 2 >= self.credit {
            engine.grant_credit(link, self.used);
            self.used = 0;
        }
    }
}

// === impl Latency ===

impl Latency {
    /// Of messages that are meant to be sent in `window`, nanoseconds.
    pub(crate) fn new(window: Range<u64>) -> anyhow::Result<Self> {
        Ok(Self { histogram: Histogram::new_with_max(LATENCY_MAX, DIGITS)?, window })
    }

    fn record(&mut self, meant: u64, now: u64) {
        if self.window.contains(&meant) {
            self.histogram.saturating_record(now.saturating_sub(meant));
        }
    }
}
