//! The applications at both ends of a flow.

use super::socket::{End, Socket};
use crate::rng::SplitMix64;
use amqp_core::Instant;
use std::time::Duration;

/// Octets that an application writes at once at most.
const PIECE: u64 = 9000;

/// What an application does with its connection.
#[derive(Debug, Clone, Copy)]
pub struct Script {
    /// Octets to send.
    pub octets: u64,
    /// How its direction ends after them.
    pub end: End,
    /// Longest pause between two writes.
    pub pause: Duration,
    /// It sends only after the other application's end.
    pub answers: bool,
    /// It reads nothing for this long.
    pub deaf_for: Duration,
}

/// An application, and what it knows of its connection.
#[derive(Debug)]
pub(super) struct App {
    script: Script,
    /// Tells its octets from others'.
    seed: u64,
    peer_seed: u64,
    rng: SplitMix64,
    pub(super) sent: u64,
    pub(super) received: u64,
    /// How it ended its own direction.
    pub(super) ended: Option<End>,
    /// How the other direction ended.
    pub(super) end_seen: Option<End>,
    write_at: Instant,
    read_at: Instant,
}

// === impl Script ===

impl Script {
    /// Sends some octets in one go, and reads at once.
    #[must_use]
    pub const fn plain(octets: u64) -> Self {
        let (pause, deaf_for) = (Duration::ZERO, Duration::ZERO);
        Self { octets, end: End::Fin, pause, answers: false, deaf_for }
    }
}

// === impl App ===

impl App {
    pub(super) fn new(script: Script, seeds: [u64; 2], now: Instant) -> Self {
        let [seed, peer_seed] = seeds;
        Self {
            script,
            seed,
            peer_seed,
            rng: SplitMix64::new(seed),
            sent: 0,
            received: 0,
            ended: None,
            end_seen: None,
            write_at: now,
            read_at: now + script.deaf_for,
        }
    }

    /// Whether it has nothing more to do or to wait for.
    pub(super) fn is_through(&self) -> bool {
        self.ended == Some(End::Reset)
            || self.end_seen == Some(End::Reset)
            || (self.ended.is_some() && self.end_seen.is_some())
    }

    /// Whether it has received all that another has sent, to an end of the same kind.
    pub(super) fn has_seen_whole(&self, from: &Self) -> bool {
        self.received == from.sent && self.end_seen == from.ended && self.end_seen.is_some_and(End::is_whole)
    }

    /// When it wants to be asked next, if nothing happens before.
    pub(super) fn poll_timeout(&self, socket: &Socket, now: Instant) -> Option<Instant> {
        let writes = self.ended.is_none() && self.may_write() && socket.to_flow.room() > 0;
        let reads = self.end_seen.is_none() && self.read_at > now;
        [writes.then_some(self.write_at), reads.then_some(self.read_at)].into_iter().flatten().min()
    }

    /// Reads and writes what it can now. Returns whether it did anything.
    pub(super) fn turn(&mut self, socket: &mut Socket, now: Instant, faults: &mut Vec<String>) -> bool {
        let mut busy = false;
        if self.ended.is_none() && socket.to_flow.end == Some(End::Reset) {
            self.ended = Some(End::Reset);
            busy = true;
        }
        if self.read_at <= now && self.ended != Some(End::Reset) {
            busy |= self.read(socket, faults);
        }
        while self.ended.is_none() && self.may_write() && self.write_at <= now && self.write(socket, now) {
            busy = true;
        }
        socket.stirred |= busy;
        busy
    }

    fn may_write(&self) -> bool {
        self.end_seen != Some(End::Reset) && (!self.script.answers || self.end_seen.is_some())
    }

    fn read(&mut self, socket: &mut Socket, faults: &mut Vec<String>) -> bool {
        let mut busy = false;
        while let Some(octets) = socket.to_app.pop(usize::MAX) {
            busy = true;
            let from = self.received;
            if octets.iter().zip(from..).any(|(octet, at)| *octet != pattern(self.peer_seed, at)) {
                faults.push(format!("octets {from} and on are not those that were sent"));
            }
            self.received += octets.len() as u64;
        }
        if self.end_seen.is_none() && socket.to_app.end.is_some() {
            self.end_seen = socket.to_app.end;
            busy = true;
        }
        busy
    }

    /// One piece, or the end. Returns whether something was written.
    fn write(&mut self, socket: &mut Socket, now: Instant) -> bool {
        let left = self.script.octets - self.sent;
        if left == 0 {
            self.ended = Some(self.script.end);
            match self.script.end {
                End::Reset => socket.reset_by_app(),
                end => socket.to_flow.finish(end),
            }
            return true;
        }
        let size = (1 + self.rng.below(PIECE)).min(left).min(socket.to_flow.room() as u64);
        if size == 0 {
            return false;
        }
        let from = self.sent;
        socket.to_flow.push((from..from + size).map(|at| pattern(self.seed, at)).collect::<Vec<u8>>().into());
        self.sent += size;
        let pause = self.rng.below(self.script.pause.as_micros() as u64 + 1);
        self.write_at = now + Duration::from_micros(pause);
        true
    }
}

fn pattern(seed: u64, at: u64) -> u8 {
    (seed ^ at ^ (at >> 8).wrapping_mul(31)) as u8
}
