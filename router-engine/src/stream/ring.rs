//! The ring between one producer and its consumers.
//!
//! ```text
//!  producer --push--> [chunk chunk chunk ...] --pull--> reader (one cursor each)
//!     ^                                                    |
//!     '---- Notify when drained below the low mark <-------'
//!           Notify the reader when data comes and it had found none
//! ```
//!
//! A chunk is dropped when every reader has passed it. The slowest reader sets the pressure.
//!
//! A stream may be told to retain what was read, so that another reader can begin anew. It does so up to
//! [`RETAINED_MAX`] octets, and is an ordinary stream from then on: what is retained never stops the producer.

use crate::Mailbox;
use crate::memory::{BUDGET, Level};
use crate::sync::Mutex;
use bytes::Bytes;
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

/// Whom to tell about a change: a port's mailbox and the key that the port uses for this stream.
#[derive(Debug, Clone)]
pub struct Notify {
    /// The port.
    pub mailbox: Arc<Mailbox>,
    /// Handed back through [`Mailbox::ready`].
    pub key: u64,
}

/// Octets that a chunk is counted for beside its own: without it a peer that sends its octets one by one would make
/// a stream hold many times what its limits say.
pub const CHUNK_COST: usize = 64;

/// A stream stops to retain what its readers have passed when that is more than so many octets, [`CHUNK_COST`]
/// included: as much as a message may have that is not forwarded before it is complete.
pub const RETAINED_MAX: usize = 256 * 1024;

/// Byte bounds of a stream.
#[derive(Debug, Clone, Copy)]
pub struct StreamLimits {
    /// The producer is told to stop at this many buffered octets, [`CHUNK_COST`] included.
    pub high: usize,
    /// A stopped producer is told to go on below this many.
    pub low: usize,
}

/// What a push tells the producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pressure {
    /// Go on.
    Open,
    /// Stop; the producer's [`Notify`] fires when there is room.
    Full,
    /// No reader is left, or the stream has ended: what is pushed goes nowhere.
    Discarded,
}

/// How a stream that lacks nothing as far as its producer knows was finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Finish {
    /// In good order, as far as what carried it to the producer can tell.
    #[default]
    Orderly,
    /// By the bare end of a transport whose TLS would have had a closing alert before it: a good end, which must not
    /// become one that TLS vouches for.
    Bare,
}

/// What a pull tells the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pull {
    /// Octets were added to the output.
    Data,
    /// Nothing now; the reader's [`Notify`] fires when there is more, or the end.
    Empty,
    /// All octets were read and the producer has finished so. May come together with octets.
    Done(Finish),
    /// All octets were read, and the producer aborted: there should have been more. Never together with octets.
    Aborted,
}

/// A message body on its way. See the module documentation.
#[derive(Debug)]
pub struct Stream {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    chunks: VecDeque<Bytes>,
    /// Serial number of the first chunk in `chunks`.
    base: u64,
    /// Octets in `chunks`, with what each chunk costs.
    buffered: usize,
    /// Of these, what every reader has passed; zero unless `retain`.
    passed: usize,
    end: Option<End>,
    /// The producer was told `Full` and waits.
    stalled: bool,
    /// Keep all chunks although read, so that a new reader can start from the beginning. `base` is zero meanwhile.
    retain: bool,
    producer: Option<Notify>,
    readers: SmallVec<[Option<Cursor>; 1]>,
    limits: StreamLimits,
    /// Whether a first reader was ever attached; before that nothing counts as discarded.
    attached: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Finished(Finish),
    Aborted,
}

#[derive(Debug)]
struct Cursor {
    next: u64,
    /// Octets before `next`, with what each chunk costs; only counted while the stream retains them.
    passed: usize,
    waiting: bool,
    notify: Option<Notify>,
}

/// A consumer's place in a stream. Dropping it gives up the stream.
#[derive(Debug)]
pub struct Reader {
    stream: Arc<Stream>,
    index: usize,
}

// === impl StreamLimits ===

impl StreamLimits {
    /// Magnitudes of spec `amqp-endpoint.md` 16.1: stop at about 256 KiB, go on below half of it.
    pub const DEFAULT: Self = Self { high: 256 * 1024, low: 128 * 1024 };

    /// What is left of a limit when memory is scarce.
    fn now(self, limit: usize) -> usize {
        if BUDGET.level() >= Level::Slow { limit / 4 } else { limit }
    }
}

// === impl Stream ===

impl Stream {
    /// An empty stream. `producer` is told when room returns after [`Pressure::Full`].
    #[must_use]
    pub fn new(limits: StreamLimits, producer: Option<Notify>) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(Inner {
                chunks: VecDeque::new(),
                base: 0,
                buffered: 0,
                passed: 0,
                end: None,
                stalled: false,
                retain: false,
                producer,
                readers: SmallVec::new(),
                limits,
                attached: false,
            }),
        })
    }

    /// Appends octets. Wakes readers that found nothing before.
    pub fn push(&self, chunk: Bytes) -> Pressure {
        self.push_all([chunk])
    }

    /// Appends several chunks; readers are woken once.
    pub fn push_all(&self, chunks: impl IntoIterator<Item = Bytes>) -> Pressure {
        let mut wakers = SmallVec::<[Waker; 2]>::new();
        let pressure = {
            let mut inner = self.inner.lock();
            if inner.end.is_some() || inner.discards() {
                return Pressure::Discarded;
            }
            for chunk in chunks.into_iter().filter(|chunk| !chunk.is_empty()) {
                inner.buffered += chunk.len() + CHUNK_COST;
                inner.chunks.push_back(chunk);
                inner.wake_readers(&mut wakers);
            }
            if inner.buffered - inner.passed >= inner.limits.now(inner.limits.high) {
                inner.stalled = true;
                Pressure::Full
            } else {
                Pressure::Open
            }
        };
        wakers.into_iter().for_each(Waker::wake);
        pressure
    }

    /// No more octets will come, in good order.
    pub fn finish(&self) {
        self.finish_as(Finish::Orderly);
    }

    /// No more octets will come.
    pub fn finish_as(&self, finish: Finish) {
        self.end(End::Finished(finish));
    }

    /// The message will never be complete.
    pub fn abort(&self) {
        self.end(End::Aborted);
    }

    fn end(&self, end: End) {
        let mut wakers = SmallVec::<[Waker; 2]>::new();
        {
            let mut inner = self.inner.lock();
            if inner.end.is_none() {
                inner.end = Some(end);
                inner.wake_readers(&mut wakers);
            }
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Whether the producer has finished (not aborted) this stream.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self.inner.lock().end, Some(End::Finished(_)))
    }

    /// Whether the producer has aborted this stream.
    #[must_use]
    pub fn is_aborted(&self) -> bool {
        self.inner.lock().end == Some(End::Aborted)
    }

    /// Octets held now, with [`CHUNK_COST`] for each chunk.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.inner.lock().buffered
    }

    /// Keeps octets that all readers have passed, up to [`RETAINED_MAX`]. Nothing may have been read yet.
    pub fn retain(&self) {
        let mut inner = self.inner.lock();
        debug_assert_eq!(inner.base, 0, "what is gone cannot be retained");
        inner.retain = inner.base == 0;
    }

    /// Stops keeping octets that all readers have passed.
    pub fn stop_retaining(&self) {
        let waker = {
            let mut inner = self.inner.lock();
            inner.retain = false;
            inner.passed = 0;
            inner.trim()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// Changes its bounds.
    pub fn set_limits(&self, limits: StreamLimits) {
        let waker = {
            let mut inner = self.inner.lock();
            inner.limits = limits;
            inner.trim()
        };
        waker.into_iter().for_each(Waker::wake);
    }

    /// Attaches a reader that begins anew, if everything is still retained.
    #[must_use]
    pub fn reader_anew(self: &Arc<Self>) -> Option<Reader> {
        let mut inner = self.inner.lock();
        let index = inner.retain.then(|| inner.attach(None))?;
        drop(inner);
        Some(Reader { stream: Arc::clone(self), index })
    }

    /// Throws away what is held and what will come; the producer is never stalled again. To those who still read it the
    /// stream is aborted.
    pub fn discard(&self) {
        let mut wakers = SmallVec::<[Waker; 2]>::new();
        {
            let mut inner = self.inner.lock();
            // Also when it was finished: what is thrown away is missing.
            inner.end = Some(End::Aborted);
            inner.chunks.clear();
            inner.buffered = 0;
            inner.passed = 0;
            inner.retain = false;
            wakers.extend(inner.unstall());
            inner.wake_readers(&mut wakers);
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Attaches a reader at the beginning of what is held. `notify` may be set later.
    #[must_use]
    pub fn reader(self: &Arc<Self>, notify: Option<Notify>) -> Reader {
        let index = self.inner.lock().attach(notify);
        Reader { stream: Arc::clone(self), index }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Nobody has read it to the end: the producer must not wait for room that will not come.
        if let Some(waker) = self.inner.get_mut().unstall() {
            waker.wake();
        }
    }
}

// === impl Inner ===

impl Inner {
    /// Makes room for a reader at the beginning of what is held.
    fn attach(&mut self, notify: Option<Notify>) -> usize {
        let cursor = Some(Cursor { next: self.base, passed: 0, waiting: false, notify });
        self.attached = true;
        self.passed = 0;
        if let Some(free) = self.readers.iter().position(Option::is_none) {
            self.readers[free] = cursor;
            return free;
        }
        self.readers.push(cursor);
        self.readers.len() - 1
    }

    fn discards(&self) -> bool {
        self.attached && !self.retain && self.readers.iter().all(Option::is_none)
    }

    fn wake_readers(&mut self, wakers: &mut SmallVec<[Waker; 2]>) {
        for cursor in self.readers.iter_mut().flatten() {
            if cursor.waiting {
                cursor.waiting = false;
                if let Some(notify) = &cursor.notify {
                    wakers.extend(notify.mailbox.ready(notify.key));
                }
            }
        }
    }

    /// Weighs what is retained, and ends that when it is too much.
    fn weigh_retained(&mut self) {
        let passed = self.readers.iter().flatten().map(|c| c.passed).min().unwrap_or(0);
        self.retain &= passed <= RETAINED_MAX;
        self.passed = if self.retain { passed } else { 0 };
    }

    /// Drops chunks that every reader has passed and un-stalls the producer below the low mark.
    fn trim(&mut self) -> Option<Waker> {
        if self.retain {
            self.weigh_retained();
        }
        if !self.retain {
            let passed = self.readers.iter().flatten().map(|c| c.next).min();
            let keep_from = match passed {
                Some(next) => next,
                None if self.attached => self.base + self.chunks.len() as u64,
                None => self.base,
            };
            while self.base < keep_from {
                let Some(chunk) = self.chunks.pop_front() else { break };
                self.buffered -= chunk.len() + CHUNK_COST;
                self.base += 1;
            }
        }
        if self.buffered - self.passed < self.limits.now(self.limits.low) { self.unstall() } else { None }
    }

    fn unstall(&mut self) -> Option<Waker> {
        if !std::mem::take(&mut self.stalled) {
            return None;
        }
        self.producer.as_ref().and_then(|n| n.mailbox.ready(n.key))
    }
}

// === impl Reader ===

impl Reader {
    /// The stream that this reads.
    #[must_use]
    pub fn stream(&self) -> &Arc<Stream> {
        &self.stream
    }

    /// Names whom to tell when data comes after [`Pull::Empty`].
    pub fn set_notify(&self, notify: Notify) {
        let mut inner = self.stream.inner.lock();
        if let Some(cursor) = inner.readers[self.index].as_mut() {
            cursor.notify = Some(notify);
        }
    }

    /// Moves chunks to `out` until at least `max` octets were moved or nothing is left.
    /// Chunks are never split, so one more chunk than asked for may come.
    pub fn pull(&self, max: usize, out: &mut VecDeque<Bytes>) -> Pull {
        let (pull, waker) = {
            let mut guard = self.stream.inner.lock();
            let inner = &mut *guard;
            let only = inner.readers.len() == 1 && !inner.retain;
            let end = inner.end;
            let Some(cursor) = inner.readers[self.index].as_mut() else { return Pull::Aborted };
            let mut moved = 0;
            if only {
                while moved < max {
                    let Some(chunk) = inner.chunks.pop_front() else { break };
                    moved += chunk.len();
                    inner.base += 1;
                    inner.buffered -= chunk.len() + CHUNK_COST;
                    out.push_back(chunk);
                }
                cursor.next = inner.base;
            } else {
                while moved < max {
                    let at = usize::try_from(cursor.next.saturating_sub(inner.base)).unwrap_or(usize::MAX);
                    let Some(chunk) = inner.chunks.get(at) else { break };
                    moved += chunk.len();
                    cursor.next += 1;
                    cursor.passed += chunk.len() + CHUNK_COST;
                    out.push_back(chunk.clone());
                }
            }
            let exhausted = cursor.next >= inner.base + inner.chunks.len() as u64;
            let pull = match end {
                Some(End::Finished(finish)) if exhausted => Pull::Done(finish),
                // What came before the abort is good.
                Some(End::Aborted) if moved == 0 => Pull::Aborted,
                _ if moved > 0 => Pull::Data,
                _ => {
                    cursor.waiting = true;
                    Pull::Empty
                }
            };
            (pull, inner.trim())
        };
        waker.into_iter().for_each(Waker::wake);
        pull
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let waker = {
            let mut inner = self.stream.inner.lock();
            inner.readers[self.index] = None;
            let waker = inner.trim();
            // With nobody left to read, a producer that waits must learn that it can go on.
            if inner.discards() { waker.or_else(|| inner.unstall()) } else { waker }
        };
        waker.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests;
