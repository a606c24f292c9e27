//! Mailboxes and streams under all interleavings of the threads that share them (`make loom`).
//!
//! A thread here does what a port does: it takes what is in its mailbox, and sleeps when there is nothing. Who loses
//! its wake-up sleeps for ever, which `loom` reports as a deadlock.
#![cfg(loom)]

use bytes::Bytes;
use loom::sync::Notify as Signal;
use loom::thread;
use router_engine::stream::{CHUNK_COST, Notify, Pressure, Pull, Reader, Stream, StreamLimits};
use router_engine::{Effect, Mailbox};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Wake, Waker};

/// A stream with these is full with two chunks of an octet, and has room again when it is empty.
const TIGHT: StreamLimits = StreamLimits { high: 2 * CHUNK_COST, low: CHUNK_COST };

/// A thread's sleep.
struct Sleep(Signal);

impl Wake for Sleep {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

/// What a port does with its mailbox.
struct Port {
    mailbox: Arc<Mailbox>,
    sleep: Arc<Sleep>,
}

impl Port {
    fn new() -> Self {
        Self { mailbox: Arc::default(), sleep: Arc::new(Sleep(Signal::new())) }
    }

    fn notify(&self, key: u64) -> Notify {
        Notify { mailbox: Arc::clone(&self.mailbox), key }
    }

    /// Waits until there is work, and returns how many effects there are and for which streams there is news.
    fn wait(&self) -> (usize, Vec<u64>) {
        let waker = Waker::from(Arc::clone(&self.sleep));
        let (mut effects, mut ready) = (Vec::new(), Vec::new());
        loop {
            if self.mailbox.take(&mut effects, &mut ready) {
                return (effects.len(), ready);
            }
            if self.mailbox.park(&waker) {
                self.sleep.0.wait();
            }
        }
    }

    /// Pushes chunks of an octet, pausing when told to. Returns how many were taken.
    fn produce(&self, stream: &Stream, octets: &'static [u8]) -> usize {
        for (sent, octet) in octets.chunks(1).enumerate() {
            match stream.push(Bytes::from_static(octet)) {
                Pressure::Open => {}
                Pressure::Full => assert_eq!(self.wait().1, [PRODUCER]),
                Pressure::Discarded => return sent,
            }
        }
        octets.len()
    }

    /// Reads to the end. Returns what came, and whether that was all.
    fn consume(&self, reader: &Reader) -> (Vec<u8>, bool) {
        let mut out = VecDeque::new();
        loop {
            match reader.pull(1, &mut out) {
                Pull::Data => {}
                Pull::Empty => assert_eq!(self.wait().1, [READER]),
                Pull::Done(_) => return (out.make_contiguous().concat(), true),
                Pull::Aborted => return (out.make_contiguous().concat(), false),
            }
        }
    }
}

/// Keys of streams at their ports.
const PRODUCER: u64 = 1;
const READER: u64 = 2;

/// Tries the interleavings in which a thread is interrupted so many times; `LOOM_MAX_PREEMPTIONS` says otherwise.
fn model(run: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound.get_or_insert(3);
    model.check(run);
}

fn wake(waker: Option<Waker>) {
    waker.into_iter().for_each(Waker::wake);
}

#[test]
fn a_port_learns_of_all_that_is_left_in_its_mailbox() {
    model(|| {
        let port = Port::new();
        let mailbox = Arc::clone(&port.mailbox);
        let streams = thread::spawn(move || {
            wake(mailbox.ready(PRODUCER));
            wake(mailbox.ready(READER));
        });
        let mailbox = Arc::clone(&port.mailbox);
        let core = thread::spawn(move || wake(mailbox.post(Effect::Weigh)));
        let (mut effects, mut ready) = (0, Vec::new());
        while effects < 1 || ready.len() < 2 {
            let (more, news) = port.wait();
            effects += more;
            ready.extend(news);
        }
        assert_eq!((effects, ready), (1, vec![PRODUCER, READER]));
        streams.join().unwrap();
        core.join().unwrap();
    });
}

#[test]
fn a_stream_arrives_whole_and_in_order() {
    model(|| {
        let (producer, consumer) = (Port::new(), Port::new());
        let stream = Stream::new(TIGHT, Some(producer.notify(PRODUCER)));
        let reader = stream.reader(Some(consumer.notify(READER)));
        let sender = thread::spawn(move || {
            assert_eq!(producer.produce(&stream, b"abc"), 3);
            stream.finish();
        });
        assert_eq!(consumer.consume(&reader), (b"abc".to_vec(), true));
        sender.join().unwrap();
    });
}

#[test]
fn an_abort_comes_behind_the_octets_before_it() {
    model(|| {
        let consumer = Port::new();
        let stream = Stream::new(TIGHT, None);
        let reader = stream.reader(Some(consumer.notify(READER)));
        let sender = thread::spawn(move || {
            stream.push(Bytes::from_static(b"a"));
            stream.abort();
        });
        assert_eq!(consumer.consume(&reader), (b"a".to_vec(), false));
        sender.join().unwrap();
    });
}

#[test]
fn a_producer_goes_on_when_its_reader_leaves() {
    model(|| {
        let producer = Port::new();
        let stream = Stream::new(TIGHT, Some(producer.notify(PRODUCER)));
        let reader = stream.reader(None);
        let sender = thread::spawn(move || producer.produce(&stream, b"abcd"));
        reader.pull(1, &mut VecDeque::new());
        drop(reader);
        sender.join().unwrap();
    });
}

#[test]
fn a_producer_goes_on_when_its_stream_is_discarded() {
    model(|| {
        let producer = Port::new();
        let stream = Stream::new(TIGHT, Some(producer.notify(PRODUCER)));
        let _reader = stream.reader(None);
        let discarded = Arc::clone(&stream);
        let sender = thread::spawn(move || producer.produce(&stream, b"abcd"));
        discarded.discard();
        sender.join().unwrap();
        assert_eq!(discarded.push(Bytes::from_static(b"e")), Pressure::Discarded);
    });
}

#[test]
fn the_slower_of_two_readers_sets_the_pace() {
    model(|| {
        let (producer, consumer) = (Port::new(), Port::new());
        let stream = Stream::new(TIGHT, Some(producer.notify(PRODUCER)));
        let reader = stream.reader(Some(consumer.notify(READER)));
        let leaver = stream.reader(None);
        let sender = thread::spawn(move || {
            assert_eq!(producer.produce(&stream, b"abc"), 3);
            stream.finish();
        });
        leaver.pull(1, &mut VecDeque::new());
        drop(leaver);
        assert_eq!(consumer.consume(&reader), (b"abc".to_vec(), true));
        sender.join().unwrap();
    });
}

#[test]
fn who_begins_anew_misses_nothing() {
    model(|| {
        let (first, second) = (Port::new(), Port::new());
        let stream = Stream::new(StreamLimits::DEFAULT, None);
        stream.retain();
        let reader = stream.reader(Some(first.notify(READER)));
        let retained = Arc::clone(&stream);
        let sender = thread::spawn(move || {
            stream.push(Bytes::from_static(b"a"));
            stream.push(Bytes::from_static(b"b"));
            stream.finish();
        });
        reader.pull(1, &mut VecDeque::new());
        drop(reader);
        let anew = retained.reader_anew().expect("all is retained");
        anew.set_notify(second.notify(READER));
        retained.stop_retaining();
        assert_eq!(second.consume(&anew), (b"ab".to_vec(), true));
        assert_eq!(retained.buffered(), 0);
        sender.join().unwrap();
    });
}
