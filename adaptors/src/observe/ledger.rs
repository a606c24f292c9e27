//! Records for tests: what was told of every request, and conversations to tell it of.

use super::{Fact, Mode, Observer, Off, Records, RequestHead, Side};
use amqp_core::Instant;
use std::time::Duration;

/// What one side says before the other does.
pub(super) type Turn<'a> = (Side, &'a [u8]);

/// All that is known of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) protocol: &'static str,
    pub(super) method: String,
    pub(super) stream: Option<u32>,
    pub(super) source_host: Option<String>,
    pub(super) latency: Option<Duration>,
    pub(super) status: Option<u16>,
    pub(super) reason: Option<String>,
    pub(super) request_octets: Option<u64>,
    pub(super) response_octets: Option<u64>,
    pub(super) begun: Instant,
    pub(super) ended: Option<Instant>,
}

/// The records of a connection.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) entries: Vec<Entry>,
    /// Nobody collects records.
    pub(super) refuses: bool,
}

/// What became of a conversation.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) entries: Vec<Entry>,
    /// Why the observer ended, and in which turn.
    pub(super) off: Option<(usize, Off)>,
}

// === impl Ledger ===

impl Records for Ledger {
    type Slot = usize;

    fn are_wanted(&self) -> bool {
        !self.refuses
    }

    fn begin(&mut self, request: &RequestHead<'_>, now: Instant) -> Option<usize> {
        if self.refuses {
            return None;
        }
        self.entries.push(Entry {
            protocol: request.protocol.as_str(),
            method: request.method().into_owned(),
            stream: request.stream,
            begun: now,
            ..Entry::default()
        });
        Some(self.entries.len() - 1)
    }

    fn update(&mut self, slot: &mut usize, fact: Fact<'_>) {
        let entry = &mut self.entries[*slot];
        assert_eq!(entry.ended, None, "{fact:?} after the end");
        match fact {
            Fact::SourceHost(host) => assert_eq!(entry.source_host.replace(host.into_owned()), None, "two hosts"),
            Fact::Latency(latency) => assert_eq!(entry.latency.replace(latency), None, "two latencies"),
            Fact::Result { status, reason } => {
                entry.status = Some(status);
                entry.reason = reason.map(std::borrow::Cow::into_owned);
            }
            Fact::RequestOctets(octets) => assert!(entry.request_octets.replace(octets) <= Some(octets)),
            Fact::ResponseOctets(octets) => assert!(entry.response_octets.replace(octets) <= Some(octets)),
        }
    }

    fn end(&mut self, slot: usize, now: Instant) {
        assert_eq!(self.entries[slot].ended.replace(now), None, "two ends");
    }
}

/// The time of a turn: a millisecond each.
pub(super) fn time(turn: usize) -> Instant {
    Instant::from_micros(turn as u64 * 1000)
}

/// Watches a conversation whose turns come in pieces of the lengths that `piece` gives, and the end of the connection.
/// Records are wanted from a turn on.
pub(super) fn watch(
    mode: Mode,
    turns: &[Turn<'_>],
    wanted: usize,
    mut piece: impl FnMut() -> usize,
    mut check: impl FnMut(&Observer<usize>),
) -> Outcome {
    let mut ledger = Ledger::default();
    let (mut observer, mut off) = (Observer::new(mode), None);
    for (turn, (side, octets)) in turns.iter().enumerate() {
        ledger.refuses = turn < wanted;
        let mut left = *octets;
        while !left.is_empty() {
            let (octets, rest) = left.split_at(piece().clamp(1, left.len()));
            let told = match side {
                side if observer.rests(*side, &ledger) => None,
                Side::Client => observer.on_client(octets, time(turn), &mut ledger),
                Side::Server => observer.on_server(octets, time(turn), &mut ledger),
            };
            assert!(told.is_none() || off.is_none(), "told twice");
            off = off.or(told.map(|told| (turn, told)));
            assert_eq!(observer.is_off(), off.is_some());
            check(&observer);
            left = rest;
        }
    }
    observer.end(time(turns.len()), &mut ledger);
    assert!(ledger.entries.iter().all(|entry| entry.ended.is_some()), "a record has no end");
    Outcome { entries: ledger.entries, off }
}

/// Watches a conversation whole, and in pieces of several lengths, which has to make no difference.
#[cfg(test)]
pub(super) fn outcome(mode: Mode, turns: &[Turn<'_>]) -> Outcome {
    let whole = watch(mode, turns, 0, || usize::MAX, |_| {});
    for length in [1, 2, 3, 7, 19] {
        assert_eq!(watch(mode, turns, 0, || length, |_| {}), whole, "in pieces of {length}");
    }
    check_blind(&watch(mode, turns, usize::MAX, || usize::MAX, |_| {}), &whole);
    whole
}

/// Whoever gives no record does not learn that HTTP/1 is malformed, and learns everything else.
pub(super) fn check_blind(blind: &Outcome, whole: &Outcome) {
    assert_eq!(blind.entries, []);
    match whole.off {
        Some((_, Off::Http1(_) | Off::NotHttp1(_) | Off::Tunnel)) => assert_eq!(blind.off, None),
        off => assert_eq!(blind.off, off),
    }
}
