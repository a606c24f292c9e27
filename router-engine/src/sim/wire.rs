//! A byte pipe in both directions, like a TCP connection.

use amqp_core::Instant;
use amqp_core::engine::Output;
use bytes::Bytes;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::time::Duration;

/// Octets that usually fit in one direction: socket buffers and what is under way.
pub(super) const ROOM: usize = 48 * 1024;
/// Octets that travel together at most; small enough that frames are cut in the middle.
const SEGMENT: usize = 5000;

/// One of the two ends: an index into the network's table of ends.
pub(super) type EndId = usize;

/// A byte pipe in both directions.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) ends: [EndId; 2],
    lanes: [Lane; 2],
    delay: Duration,
    /// Octets that fit in one direction.
    room: usize,
}

/// One direction; index 0 leads away from the first end.
#[derive(Debug, Default)]
struct Lane {
    segments: VecDeque<(Instant, Bytes)>,
    octets: usize,
    /// Segments arrive in the order in which they were sent.
    latest: Instant,
    closed: Option<Instant>,
    /// Octets vanish without a trace.
    mute: bool,
}

/// What the far end finds.
#[derive(Debug)]
pub(super) enum Arrival {
    Octets(Bytes),
    /// The near end closed, and everything before that was read.
    End,
    Nothing,
}

// === impl Wire ===

impl Wire {
    pub(super) fn new(ends: [EndId; 2], delay: Duration, room: usize) -> Self {
        Self { ends, lanes: [Lane::default(), Lane::default()], delay, room }
    }

    /// The end at the other side of `end`.
    pub(super) fn other(&self, end: EndId) -> EndId {
        if self.ends[0] == end { self.ends[1] } else { self.ends[0] }
    }

    fn lane_from(&mut self, end: EndId) -> &mut Lane {
        &mut self.lanes[usize::from(self.ends[0] != end)]
    }

    fn lane_to(&self, end: EndId) -> &Lane {
        &self.lanes[usize::from(self.ends[0] == end)]
    }

    /// Takes from the output of `end` as much as there is room for. Returns whether it took anything.
    pub(super) fn send(&mut self, end: EndId, output: &mut Output, now: Instant) -> bool {
        let (delay, room) = (self.delay, self.room);
        let lane = self.lane_from(end);
        let mut took = false;
        while lane.octets < room && !output.is_empty() {
            let segment = take(output, SEGMENT.min(room - lane.octets));
            took = true;
            if lane.mute || lane.closed.is_some() {
                continue;
            }
            lane.latest = lane.latest.max(now + delay);
            lane.octets += segment.len();
            lane.segments.push_back((lane.latest, segment));
        }
        took
    }

    /// Takes what has arrived at `end`.
    pub(super) fn receive(&mut self, end: EndId, now: Instant) -> Arrival {
        let other = self.other(end);
        let lane = self.lane_from(other);
        match lane.segments.front() {
            Some((at, _)) if *at > now => Arrival::Nothing,
            Some(_) => {
                let segment = lane.segments.pop_front().map(|(_, segment)| segment).unwrap_or_default();
                lane.octets -= segment.len();
                Arrival::Octets(segment)
            }
            None if lane.closed.is_some_and(|at| at <= now) => Arrival::End,
            None => Arrival::Nothing,
        }
    }

    /// When there will be something for `end`.
    pub(super) fn next_arrival(&self, end: EndId) -> Option<Instant> {
        let lane = self.lane_to(end);
        lane.segments.front().map(|(at, _)| *at).or(lane.closed)
    }

    /// When the far end of `end` closed, even if octets are still there to read.
    pub(super) fn end(&self, end: EndId) -> Option<Instant> {
        self.lane_to(end).closed
    }

    /// `end` closes its side: what it sent before still arrives.
    pub(super) fn close(&mut self, end: EndId, now: Instant) {
        let at = now + self.delay;
        let lane = self.lane_from(end);
        lane.closed.get_or_insert(at.max(lane.latest));
    }

    /// Both directions end; what is under way is lost.
    pub(super) fn cut(&mut self, now: Instant) {
        for lane in &mut self.lanes {
            lane.segments.clear();
            lane.octets = 0;
            lane.closed.get_or_insert(now + self.delay);
        }
    }

    /// Nothing arrives before `until`, and everything then.
    pub(super) fn stall(&mut self, until: Instant) {
        for lane in &mut self.lanes {
            lane.latest = lane.latest.max(until);
            for (at, _) in &mut lane.segments {
                *at = until.max(*at);
            }
            lane.closed = lane.closed.map(|at| at.max(lane.latest));
        }
    }

    /// Octets vanish in both directions from now on.
    pub(super) fn mute(&mut self) {
        for lane in &mut self.lanes {
            lane.mute = true;
            lane.segments.clear();
            lane.octets = 0;
        }
    }
}

/// Takes up to `max` octets out of an output.
fn take(output: &mut Output, max: usize) -> Bytes {
    let mut slices = [IoSlice::new(&[]); 16];
    let count = output.fill_slices(&mut slices);
    let mut octets = Vec::with_capacity(max);
    for slice in &slices[..count] {
        let room = max - octets.len();
        octets.extend_from_slice(&slice[..slice.len().min(room)]);
    }
    output.advance(octets.len());
    octets.into()
}
