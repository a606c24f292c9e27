//! The receiving end of a link.

use super::message::{Number, Template};
use super::schedule::Schedule;
use super::tally::Tally;
use super::wire::{WINDOW, put};
use amqp_core::performative::{DeliveryState, Disposition, Flow, Role, Transfer};
use anyhow::{Context, Result};
use bytes::BytesMut;
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
    /// What is granted again and again.
    credit: u32,
    /// Credit used since it was granted.
    used: u32,
    /// Deliveries begun, by the router's count.
    delivery_count: u32,
    /// The transfer-id of the next transfer.
    next_transfer: u32,
    tally: Tally,
    /// Messages that were not as they had been sent.
    altered: u64,
    aborted: u64,
    progress: Option<Progress>,
    /// First and last of the deliveries to accept.
    accept: Option<(u32, u32)>,
    /// When its messages are meant to be sent.
    schedule: Option<Schedule>,
}

/// A message of which some has come.
#[derive(Debug, Clone, Copy)]
struct Progress {
    delivery: u32,
    settled: bool,
    number: Number,
    octets: usize,
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
            delivery_count: 0,
            next_transfer: 0,
            tally: Tally::new(),
            altered: 0,
            aborted: 0,
            progress: None,
            accept: None,
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

    /// The router counts transfers from here.
    pub(crate) const fn on_begin(&mut self, next_outgoing_id: u32) {
        self.next_transfer = next_outgoing_id;
    }

    /// The router counts deliveries from here.
    pub(crate) fn on_attach(&mut self, delivery_count: u32, out: &mut BytesMut) {
        self.delivery_count = delivery_count;
        self.grant(out);
    }

    pub(crate) fn on_transfer(
        &mut self,
        transfer: &Transfer,
        payload: &[u8],
        now: u64,
        latency: Option<&mut Latency>,
        out: &mut BytesMut,
    ) -> Result<()> {
        self.next_transfer = self.next_transfer.wrapping_add(1);
        let mut progress = match self.progress.take() {
            Some(progress) => progress,
            None => {
                self.delivery_count = self.delivery_count.wrapping_add(1);
                self.used += 1;
                let delivery = transfer.delivery_id.context("a delivery without delivery-id")?;
                Progress { delivery, settled: false, number: self.template.number(payload), octets: 0 }
            }
        };
        progress.octets += payload.len();
        progress.settled |= transfer.settled == Some(true);
        if transfer.aborted {
            self.aborted += 1;
        } else if transfer.more {
            self.progress = Some(progress);
        } else {
            self.on_message(progress, now, latency, out);
        }
        Ok(())
    }

    /// Settles what has come, and grants again what was used, once that is worth a frame.
    pub(crate) fn answer(&mut self, out: &mut BytesMut) {
        self.settle(out);
        if self.used * 2 >= self.credit {
            self.grant(out);
        }
    }

    fn on_message(&mut self, progress: Progress, now: u64, latency: Option<&mut Latency>, out: &mut BytesMut) {
        if !progress.settled {
            match &mut self.accept {
                Some((_, last)) if last.wrapping_add(1) == progress.delivery => *last = progress.delivery,
                _ => {
                    self.settle(out);
                    self.accept = Some((progress.delivery, progress.delivery));
                }
            }
        }
        let number = match progress.number {
            _ if progress.octets != self.template.message().len() => return self.altered += 1,
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

    fn settle(&mut self, out: &mut BytesMut) {
        let Some((first, last)) = self.accept.take() else { return };
        let (last, state) = ((last != first).then_some(last), Some(DeliveryState::Accepted));
        put(out, Disposition { role: Role::Receiver, first, last, settled: true, state, batchable: false });
    }

    fn grant(&mut self, out: &mut BytesMut) {
        self.used = 0;
        let flow = Flow {
            next_incoming_id: Some(self.next_transfer),
            incoming_window: WINDOW,
            next_outgoing_id: 0,
            outgoing_window: WINDOW,
            handle: Some(0),
            delivery_count: Some(self.delivery_count),
            link_credit: Some(self.credit),
            ..Flow::default()
        };
        put(out, flow);
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
