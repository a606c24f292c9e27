//! Deliveries that are stuck and links that are blocked: those for which nothing has happened for long.
//!
//! ```text
//!  every interval:  incoming deliveries --> outgoing deliveries --> links --> wait
//!                   (so many places of a table under one lock, a pause between)
//! ```
//!
//! What was found counts until it ends: a delivery when it is settled, a link when it has credit again. Streams may take
//! their time.

use super::deliveries::{IncomingDelivery, OutgoingDelivery};
use super::objects::Link;
use super::report;
use super::table::Slot;
use super::{Core, Router};
use crate::log::{Level, LogModule};
use amqp_core::Instant;
use std::ops::Range;
use std::time::Duration;

/// Places of a table that are looked at without releasing the lock.
const STEP: u32 = 512;

/// Time for others between two such steps.
const PAUSE: Duration = Duration::from_millis(1);

/// Where a cycle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Incoming,
    Outgoing,
    Links,
}

/// The search for what is stuck.
#[derive(Debug, Clone, Copy)]
pub(super) struct Detection {
    interval: Duration,
    /// What has waited for longer is stuck.
    age: Duration,
    due: Instant,
    stage: Stage,
    /// The next place of that table.
    place: u32,
}

// === impl Router ===

impl Router {
    /// From now on looks for deliveries that have waited, and links that have been without credit, for longer than `age`,
    /// once an interval.
    pub fn detect_stuck(&self, interval: Duration, age: Duration, now: Instant) {
        let (period, limit) = (interval.as_secs(), age.as_secs());
        crate::log!(
            LogModule::RouterCore,
            Level::Info,
            "Stuck delivery detection: Scan interval: {period} seconds, Delivery age threshold: {limit} seconds"
        );
        let due = now + interval;
        self.with(|core| {
            core.timers.detection = Some(Detection { interval, age, due, stage: Stage::Incoming, place: 0 })
        });
    }
}

// === impl Detection ===

impl Detection {
    pub(super) const fn due(&self) -> Instant {
        self.due
    }

    const fn begins_cycle(&self) -> bool {
        matches!(self.stage, Stage::Incoming) && self.place == 0
    }

    /// Moves on behind a step in a table with so many places.
    fn advance(&mut self, places: u32, now: Instant) {
        self.place += STEP;
        self.due = now + PAUSE;
        if self.place < places {
            return;
        }
        self.place = 0;
        self.stage = match self.stage {
            Stage::Incoming => Stage::Outgoing,
            Stage::Outgoing => Stage::Links,
            Stage::Links => {
                self.due = now + self.interval;
                Stage::Incoming
            }
        };
    }
}

// === impl Core ===

impl Core {
    /// Makes the next step of the search, if it is due.
    pub(super) fn detect_stuck(&mut self) {
        let Some(mut detection) = self.timers.detection.filter(|detection| detection.due <= self.now) else { return };
        if detection.begins_cycle() {
            crate::log!(LogModule::RouterCore, Level::Debug, "Stuck Delivery Detection: Starting detection cycle");
        }
        let places = detection.place..detection.place.saturating_add(STEP);
        let end = match detection.stage {
            Stage::Incoming => {
                self.look_at_incoming(places, detection.age);
                self.incoming.places()
            }
            Stage::Outgoing => {
                self.look_at_outgoing(places, detection.age);
                self.outgoing.places()
            }
            Stage::Links => {
                self.look_at_links(places, detection.age);
                self.links.places()
            }
        };
        detection.advance(end, self.now);
        self.timers.detection = Some(detection);
    }

    fn look_at_incoming(&mut self, places: Range<u32>, age: Duration) {
        for place in places {
            let Some(slot) = self.incoming.at(place) else { continue };
            let IncomingDelivery { link, born, stuck, .. } = self.incoming[slot];
            let waits = born.is_some_and(|born| self.now.since(born) > age);
            if waits && !stuck {
                self.incoming[slot].stuck = self.count_stuck(link, age);
            }
        }
    }

    fn look_at_outgoing(&mut self, places: Range<u32>, age: Duration) {
        for place in places {
            let Some(slot) = self.outgoing.at(place) else { continue };
            let OutgoingDelivery { link, born, stream, stuck, .. } = self.outgoing[slot];
            if !stuck && !stream && self.now.since(born) > age {
                self.outgoing[slot].stuck = self.count_stuck(link, age);
            }
        }
    }

    /// One more delivery of a link is stuck. Not so on links of the router's own parts: false.
    fn count_stuck(&mut self, link: Slot<Link>, age: Duration) -> bool {
        let conn = &self.conns[self.links[link].conn];
        if conn.is_internal() {
            return false;
        }
        let link = &mut self.links[link];
        if link.counters.stuck == 0 {
            report::stuck(conn.id, link.id, age);
        }
        link.counters.stuck += 1;
        self.figures.totals.outcomes.stuck += 1;
        true
    }

    /// A delivery of a link ends that counts as `stuck`, or does not.
    pub(super) fn no_longer_stuck(&mut self, link: Slot<Link>, stuck: bool) {
        self.links[link].counters.stuck -= u64::from(stuck);
        self.figures.totals.outcomes.stuck -= u64::from(stuck);
    }

    fn look_at_links(&mut self, places: Range<u32>, age: Duration) {
        for place in places {
            let Some(slot) = self.links.at(place) else { continue };
            let link = &mut self.links[slot];
            let conn = &self.conns[link.conn];
            // Only on those of AMQP is credit that of messages.
            let shows_credit = !conn.is_internal() && !conn.params.kind.is_of_service();
            let since = link.zero_credit_since.map_or(Duration::ZERO, |since| self.now.since(since));
            if shows_credit && !link.blocked && since > age {
                link.blocked = true;
                self.figures.totals.links_blocked += 1;
                report::blocked(conn.id, link.id, since);
            }
        }
    }
}
