//! Dead peers are noticed, live ones and our own pauses are not mistaken for them.

use super::super::*;
use super::pair::{Pair, Raw, take_all};
use crate::frame::Preface;
use crate::performative::Role;
use crate::time::Instant;
use bytes::Bytes;
use std::time::Duration;

const INTERVAL: Duration = Duration::from_millis(100);
const DETECTION: Duration = Duration::from_millis(300);
const WATCH: Liveness = Liveness { interval: INTERVAL, multiplier: 3 };
const HEARTBEAT: &[u8] = &[0, 0, 0, 8, 2, 0, 0, 0];

/// An engine that watches its peer and has heard from it.
fn watching(watch: Liveness) -> Raw {
    let mut raw = Raw::new(Config { idle_timeout: Some(Duration::from_secs(16)), ..Config::default() });
    raw.server.watch(watch);
    raw.feed(HEARTBEAT);
    take_all(raw.server.output());
    raw
}

/// Lets time pass without a word from the peer; returns how often a heartbeat was sent, and when it was given up.
fn endure(raw: &mut Raw, time: Duration) -> (usize, Option<Instant>) {
    let (end, mut beats) = (raw.now + time, 0);
    while let Some(due) = raw.server.poll_timeout().filter(|due| *due <= end) {
        raw.now = due;
        raw.server.handle_timeout(due);
        while raw.server.poll_event(due).is_some() {}
        raw.server.flush(due);
        if raw.server.status() != Status::Running {
            return (beats, Some(due));
        }
        beats += usize::from(take_all(raw.server.output()) == HEARTBEAT);
    }
    raw.now = end;
    (beats, None)
}

#[test]
fn the_more_patient_wins() {
    let other = Liveness { interval: Duration::from_millis(20), multiplier: 5 };
    let agreed = Liveness { interval: INTERVAL, multiplier: 5 };
    assert_eq!([WATCH.agreed(other), other.agreed(WATCH)], [agreed, agreed]);
    assert_eq!(WATCH.agreed(WATCH), WATCH);
    assert_eq!(WATCH.detection_time(), DETECTION);
    let endless = Liveness { interval: Duration::MAX, multiplier: u32::MAX };
    assert_eq!(WATCH.agreed(endless).detection_time(), Duration::MAX);
}

#[test]
fn a_silent_peer_is_given_up_after_the_detection_time() {
    let mut raw = watching(WATCH);
    let heard = raw.now;
    assert_eq!(endure(&mut raw, Duration::from_secs(5)), (2, Some(heard + DETECTION)));
    let failure = raw.failure().unwrap();
    assert_eq!(failure, &Violation::Liveness(DETECTION));
    assert_eq!(failure.to_string(), "liveness expired: nothing received for 300 ms");
    assert_eq!(failure.condition(), "amqp:resource-limit-exceeded");
    assert_eq!((raw.server.status(), raw.server.poll_timeout()), (Status::Closing, None));
    assert!(!raw.server.output().is_empty(), "a close tells the peer why");
}

#[test]
fn any_octet_is_a_sign_of_life() {
    let mut raw = watching(WATCH);
    for octet in HEARTBEAT.iter().cycle().take(80) {
        assert_eq!(endure(&mut raw, Duration::from_millis(290)).1, None);
        raw.feed(Bytes::copy_from_slice(&[*octet]));
    }
    assert_eq!(endure(&mut raw, DETECTION).1, Some(raw.now));
}

#[test]
fn two_ends_that_watch_keep_each_other() {
    let mut pair = Pair::opened();
    pair.client.watch(WATCH);
    pair.server.watch(WATCH);
    pair.run();
    pair.sleep(Duration::from_secs(60));
    assert!(pair.client.is_open() && pair.failures().is_empty());
    assert_eq!((pair.client.status(), pair.server.status()), (Status::Running, Status::Running));
}

#[test]
fn who_sends_anyway_sends_no_heartbeats() {
    let mut raw = watching(WATCH);
    for _ in 0..100 {
        let next = raw.now + Duration::from_millis(90);
        raw.server.begin_session();
        raw.feed(HEARTBEAT);
        assert_ne!(take_all(raw.server.output()), b"");
        assert_eq!(raw.server.poll_timeout(), Some(raw.now + INTERVAL));
        raw.now = next;
    }
}

/// A socket that takes nothing must not gather heartbeats.
#[test]
fn heartbeats_do_not_pile_up() {
    let mut raw = watching(WATCH);
    raw.server.begin_session();
    raw.server.flush(raw.now);
    let waiting = raw.server.output().len();
    for _ in 0..100 {
        raw.now = raw.server.poll_timeout().unwrap();
        raw.server.receive(Bytes::from_static(HEARTBEAT));
        raw.server.handle_timeout(raw.now);
        raw.server.flush(raw.now);
    }
    assert_eq!(raw.server.output().len(), waiting);
}

/// Only what the other end has promised for idle connections is sent without an agreement.
#[test]
fn without_agreement_nothing_is_sent_and_nobody_is_given_up() {
    let mut raw = Raw::new(Config { idle_timeout: Some(Duration::from_secs(16)), ..Config::default() });
    take_all(raw.server.output());
    let heard = raw.now;
    assert_eq!(raw.server.poll_timeout(), Some(heard + Duration::from_secs(16)));
    assert_eq!(endure(&mut raw, Duration::from_secs(20)), (0, Some(heard + Duration::from_secs(16))));
    assert_eq!(raw.failure(), Some(&Violation::IdleTimeout));
}

/// The peer's open told of the agreement; whether ours has arrived is known only when more comes.
#[test]
fn a_peer_that_was_not_heard_yet_has_more_time() {
    let mut raw = Raw::new(Config::default());
    raw.server.watch(WATCH);
    raw.server.flush(raw.now);
    take_all(raw.server.output());
    assert_eq!(endure(&mut raw, Duration::from_secs(2)), (20, None));
    raw.feed(HEARTBEAT);
    let heard = raw.now;
    assert_eq!(endure(&mut raw, Duration::from_secs(2)).1, Some(heard + DETECTION));
    let mut raw = Raw::new(Config::default());
    let agreed = raw.now;
    raw.server.watch(WATCH);
    raw.server.flush(raw.now);
    let limit = DETECTION + Duration::from_secs(3);
    assert_eq!(endure(&mut raw, Duration::from_secs(5)).1, Some(agreed + limit), "it may have died right then");
    assert_eq!(raw.failure(), Some(&Violation::Liveness(limit)));
}

#[test]
fn the_shorter_of_idle_time_out_and_interval_makes_the_heartbeat() {
    for (interval, beats) in [(100, 100), (20_000, 2)] {
        let mut pair = Pair::opened_with(|_, server| server.idle_timeout = Some(Duration::from_secs(20)));
        // The server wants to hear something every 5 s.
        pair.client.watch(Liveness { interval: Duration::from_millis(interval), multiplier: 1_000 });
        pair.client.flush(pair.now);
        take_all(pair.client.output());
        let mut sent = 0;
        let end = pair.now + Duration::from_millis(10_000);
        while let Some(due) = pair.client.poll_timeout().filter(|due| *due <= end) {
            pair.client.handle_timeout(due);
            pair.client.flush(due);
            sent += usize::from(take_all(pair.client.output()) == HEARTBEAT);
        }
        assert_eq!(sent, beats, "{interval} ms");
    }
}

/// What came while we were stopped is read before anything is decided.
#[test]
fn after_a_pause_of_our_own_what_was_received_counts() {
    let mut raw = watching(WATCH);
    raw.now = raw.now + Duration::from_secs(10);
    raw.server.receive(Bytes::from_static(HEARTBEAT));
    raw.server.handle_timeout(raw.now);
    let woken = raw.now;
    assert_eq!(raw.server.status(), Status::Running);
    assert_eq!(endure(&mut raw, Duration::from_secs(5)).1, Some(woken + DETECTION));
}

#[test]
fn a_pause_of_our_own_is_no_silence_of_the_peer() {
    for pause in [150, 250, 350, 1_000, 10_000].map(Duration::from_millis) {
        let mut raw = watching(WATCH);
        let heard = raw.now;
        let expected = raw.server.poll_timeout().unwrap();
        raw.now = heard + pause;
        raw.server.handle_timeout(raw.now);
        raw.server.flush(raw.now);
        assert_eq!(raw.server.status(), Status::Running, "{pause:?}");
        // A dead peer is found nevertheless: all but the time that was slept through counts.
        let due = heard + DETECTION + (raw.now - expected);
        assert_eq!(due, raw.now + 2 * INTERVAL, "{pause:?}");
        assert_eq!(endure(&mut raw, Duration::from_secs(5)).1, Some(due), "{pause:?}");
    }
}

#[test]
fn a_process_that_always_wakes_late_finds_a_dead_peer_later() {
    let mut raw = watching(WATCH);
    let heard = raw.now;
    let late = Duration::from_millis(60);
    while raw.server.status() == Status::Running {
        raw.now = raw.server.poll_timeout().unwrap() + late;
        raw.server.handle_timeout(raw.now);
        raw.server.flush(raw.now);
        take_all(raw.server.output());
        assert!(raw.now - heard < Duration::from_secs(1));
    }
    assert!(raw.now - heard > DETECTION);
}

#[test]
fn an_interval_without_end_is_none() {
    let mut raw = watching(Liveness { interval: Duration::MAX, multiplier: u32::MAX });
    let heard = raw.now;
    assert_eq!(endure(&mut raw, Duration::from_secs(60)).1, Some(heard + Duration::from_secs(16)));
    assert_eq!(raw.failure(), Some(&Violation::IdleTimeout));
}

#[test]
fn a_close_ends_the_watch() {
    let mut pair = Pair::opened();
    pair.client.watch(WATCH);
    pair.server.watch(WATCH);
    pair.link(Role::Sender);
    pair.client.close(None);
    pair.run();
    assert_eq!((pair.client.poll_timeout(), pair.server.poll_timeout()), (None, None));
    assert_eq!((pair.client.failure(), pair.server.failure()), (None, None));
    let mut silent = Connection::new(Config { sasl: SaslConfig::BareClient, ..Config::default() });
    silent.watch(WATCH);
    silent.receive(Bytes::from_static(Preface::Amqp.octets()));
    silent.close(None);
    silent.flush(Instant::default());
    assert!(silent.poll_timeout().is_some());
}
