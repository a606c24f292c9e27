//! Read segments that are initialised once and used again.
//!
//! ```text
//!  free list --take--> Segment --(little data)--> copied out, segment kept by the reader
//!      ^                  |
//!      |                  '-----(much data)-----> Bytes views
//!      '------------------ last view dropped <-------'
//! ```
//!
//! A connection takes a segment when its socket is readable and gives it back when nothing is left
//! to read, so an idle one holds none. What is free is bounded in bytes, and [`Pool::trim`] lets go
//! of what was not needed lately.

use bytes::Bytes;
use parking_lot::Mutex;
use router_engine::memory::BUDGET;
use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// Octets of plain data that one read takes at most.
pub const READ_MAX: usize = 64 * 1024;

/// Octets in a data segment: what one read takes, and room for the last decrypted record's type octet.
pub const SEGMENT: usize = READ_MAX + 256;

/// Octets in a segment for TLS records: eight full records (see [`crate::tls`]).
pub const CIPHER_SEGMENT: usize = 8 * (16 * 1024 + 32);

/// Free octets that a pool keeps at most.
const KEEP: usize = 8 * 1024 * 1024;

/// Data that fills less than this part of a segment is copied out: a view may then pin at most four
/// times its own size, whatever the peers' habits.
const COPY_BELOW: usize = SEGMENT / 4;

/// Octets that were copied out of segments are worth a word each time their sum passes a multiple of this.
const STEP: usize = 1024 * 1024;

/// More is held than before.
static GROWN: Notify = Notify::const_new();

/// Segments for plain data.
pub static DATA: Pool = Pool::new(SEGMENT, KEEP);

/// Segments for TLS records, in and out.
pub static CIPHER: Pool = Pool::new(CIPHER_SEGMENT, KEEP);

/// A free list of equal segments.
#[derive(Debug)]
pub struct Pool {
    size: usize,
    keep: usize,
    free: Mutex<Free>,
    /// Octets in segments that are not in the free list.
    in_use: AtomicUsize,
}

#[derive(Debug)]
struct Free {
    segments: Vec<Box<[u8]>>,
    /// The fewest free segments since the last trim: so many were not needed.
    idle: usize,
}

/// A segment that one owner may write to. Goes back to its pool when dropped.
#[derive(Debug)]
pub struct Segment {
    data: Box<[u8]>,
    pool: &'static Pool,
}

/// The owner behind octets that were copied out of a segment.
struct Copied(Box<[u8]>);

/// The owner behind a [`Bytes`] view of a segment.
struct Filled {
    segment: Segment,
    len: usize,
}

// === impl Pool ===

impl Pool {
    /// A pool of segments of `size` octets that keeps at most `keep` octets free.
    #[must_use]
    pub const fn new(size: usize, keep: usize) -> Self {
        Self { size, keep, free: Mutex::new(Free { segments: Vec::new(), idle: 0 }), in_use: AtomicUsize::new(0) }
    }

    /// Takes a segment; its contents are arbitrary.
    #[must_use]
    pub fn take(&'static self) -> Segment {
        let reused = {
            let mut free = self.free.lock();
            let segment = free.segments.pop();
            free.idle = free.idle.min(free.segments.len());
            segment
        };
        self.in_use.fetch_add(self.size, Ordering::Relaxed);
        let data = reused.unwrap_or_else(|| {
            GROWN.notify_one();
            vec![0; self.size].into_boxed_slice()
        });
        Segment { data, pool: self }
    }

    /// Octets in segments that are in use.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.in_use.load(Ordering::Relaxed)
    }

    /// Octets in free segments.
    #[must_use]
    pub fn free(&self) -> usize {
        self.free.lock().segments.len() * self.size
    }

    /// Frees half of the segments (rounded up) that were never needed since the last call.
    pub fn trim(&self) {
        let released = {
            let mut free = self.free.lock();
            let keep = free.segments.len() - free.idle.div_ceil(2).min(free.segments.len());
            let released = free.segments.split_off(keep);
            free.idle = free.segments.len();
            if free.segments.is_empty() {
                free.segments = Vec::new();
            }
            released
        };
        drop(released);
    }

    fn give_back(&self, data: Box<[u8]>) {
        self.in_use.fetch_sub(self.size, Ordering::Relaxed);
        let surplus = {
            let mut free = self.free.lock();
            if (free.segments.len() + 1) * self.size <= self.keep {
                free.segments.push(data);
                None
            } else {
                Some(data)
            }
        };
        drop(surplus);
    }
}

// === impl Segment ===

impl Segment {
    /// The first `len` octets as shared bytes, and the segment itself when they were copied out.
    #[must_use]
    pub fn share(self, len: usize) -> (Bytes, Option<Self>) {
        if len < COPY_BELOW {
            (Bytes::from_owner(Copied::new(&self[..len])), Some(self))
        } else {
            (Bytes::from_owner(Filled { segment: self, len }), None)
        }
    }
}

impl Deref for Segment {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.data
    }
}

impl DerefMut for Segment {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.data
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        self.pool.give_back(std::mem::take(&mut self.data));
    }
}

// === impl Copied ===

impl Copied {
    fn new(data: &[u8]) -> Self {
        let before = BUDGET.add(data.len());
        if before / STEP != before.wrapping_add(data.len()) / STEP {
            GROWN.notify_one();
        }
        Self(data.into())
    }
}

impl AsRef<[u8]> for Copied {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        BUDGET.sub(self.0.len());
    }
}

// === impl Filled ===

impl AsRef<[u8]> for Filled {
    fn as_ref(&self) -> &[u8] {
        &self.segment[..self.len]
    }
}

thread_local! {
    /// A data segment at hand: most reads bring little, and need the segment for a moment only.
    static SPARE: Cell<Option<Segment>> = const { Cell::new(None) };
}

/// A data segment, preferably the one that this thread had in hand before.
#[must_use]
pub(crate) fn take_spare() -> Segment {
    SPARE.take().unwrap_or_else(|| DATA.take())
}

/// The first `len` octets of a data segment, if any. It stays at hand for this thread's next read unless they need it.
#[must_use]
pub(crate) fn share(segment: Segment, len: usize) -> Option<Bytes> {
    let (data, kept) = if len == 0 {
        (None, Some(segment))
    } else {
        let (data, kept) = segment.share(len);
        (Some(data), kept)
    };
    if kept.is_some() {
        SPARE.set(kept);
    }
    data
}

/// Octets that peers make this process hold: in segments, and copied out of them.
#[must_use]
pub fn held() -> usize {
    DATA.in_use() + CIPHER.in_use() + BUDGET.copied()
}

/// Octets in all segments, used and free.
#[must_use]
pub fn octets() -> usize {
    [&DATA, &CIPHER].map(|pool| pool.in_use() + pool.free()).iter().sum()
}

/// Ready when [`held`] has grown by something that counts since this was last ready. For one task at a time.
pub async fn grown() {
    GROWN.notified().await;
}

/// Trims the pools of this process; to be called about once a second.
pub fn trim() {
    DATA.trim();
    CIPHER.trim();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(keep: usize) -> &'static Pool {
        Box::leak(Box::new(Pool::new(SEGMENT, keep * SEGMENT)))
    }

    #[test]
    fn views_return_their_segment() {
        let pool = pool(4);
        let mut segment = pool.take();
        segment[..3].copy_from_slice(b"abc");
        let (bytes, kept) = segment.share(READ_MAX);
        assert!(kept.is_none());
        let view = bytes.slice(..3);
        drop(bytes);
        assert_eq!((pool.in_use(), pool.free()), (SEGMENT, 0));
        assert_eq!(&view[..], b"abc");
        drop(view);
        assert_eq!((pool.in_use(), pool.free()), (0, SEGMENT));
    }

    #[test]
    fn little_data_does_not_pin_a_segment() {
        let pool = pool(4);
        let (bytes, kept) = pool.take().share(2000);
        assert!(kept.is_some());
        drop(kept);
        assert_eq!(pool.in_use(), 0);
        assert_eq!(bytes.len(), 2000);
    }

    #[tokio::test]
    async fn growth_is_told() {
        let pool = pool(4);
        drop(pool.take());
        grown().await;
        // Always the same segment, and more and more copies.
        let copies: Vec<_> = (0..=STEP / COPY_BELOW + 1).map(|_| pool.take().share(COPY_BELOW - 1).0).collect();
        grown().await;
        drop(copies);
    }

    #[test]
    fn free_list_is_capped_and_trims_itself() {
        let pool = pool(4);
        let all: Vec<_> = (0..10).map(|_| pool.take()).collect();
        assert_eq!(pool.in_use(), 10 * SEGMENT);
        drop(all);
        assert_eq!(pool.free(), 4 * SEGMENT);
        pool.trim();
        // One was in use again and again: it stays.
        for expected in [2, 1, 1] {
            drop(pool.take());
            pool.trim();
            assert!(pool.free() >= expected * SEGMENT, "{}", pool.free() / SEGMENT);
        }
        for _ in 0..4 {
            pool.trim();
        }
        assert_eq!(pool.free(), 0);
    }
}
