//! Incoming streams that are full: what still comes for them counts against their session's window until they tell
//! that they have room again, be their last frame received or not.
//!
//! ```text
//!   push says Full --> stall: window narrowed if the session has one link, each frame kept
//!   stream drained, dropped or discarded --notice--> room: the frames are consumed, the window opens
//! ```

use super::AmqpPort;
use super::limits::{ARRIVING_MAX, STALLED_WINDOW};
use amqp_core::engine::{LinkKey, SessionKey};
use amqp_core::performative::Error;
use rustc_hash::FxHashMap;

/// Marks the notification keys of incoming streams.
const KEY_IN: u64 = 1 << 63;

/// The full streams of a port.
#[derive(Debug)]
pub(super) struct Stalls {
    /// Streams that were given a key so far.
    keys: u64,
    /// Octets of messages in several frames that came since they were last counted.
    uncounted: usize,
    /// The next count is due at so many octets.
    count_at: usize,
    full: FxHashMap<u64, Stall>,
    /// Links of which too much waits, by the key of the notice that it does no longer.
    weighed_down: FxHashMap<u64, LinkKey>,
}

#[derive(Debug)]
struct Stall {
    session: SessionKey,
    link: LinkKey,
    /// Frames that came since the stream was full.
    kept: u32,
}

// === impl Stalls ===

impl Default for Stalls {
    fn default() -> Self {
        Self {
            keys: 0,
            uncounted: 0,
            count_at: ARRIVING_MAX,
            full: FxHashMap::default(),
            weighed_down: FxHashMap::default(),
        }
    }
}

impl Stalls {
    /// The key under which a new stream tells that it has room.
    pub(super) fn new_key(&mut self) -> u64 {
        self.keys += 1;
        self.keys | KEY_IN
    }

    /// Whether a notification key is one of an incoming stream.
    pub(super) const fn is_key(key: u64) -> bool {
        key & KEY_IN != 0
    }

    /// Too much waits of a link, until the notice of that key.
    pub(super) fn weighed_down(&mut self, key: u64, link: LinkKey) {
        self.weighed_down.insert(key, link);
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.full.is_empty() && self.weighed_down.is_empty()
    }
}

// === impl AmqpPort ===

impl AmqpPort {
    /// A frame found the stream full. What the peer has sent already will come, so it is told early to send no more;
    /// but not where that would stop other links.
    pub(super) fn stall(&mut self, key: u64, session: SessionKey, link: LinkKey) {
        let stall = self.stalls.full.entry(key).or_insert(Stall { session, link, kept: 0 });
        stall.kept += 1;
        let first = stall.kept == 1;
        self.engine.keep(session, 1);
        if !self.peer_is_router() {
            self.kept_of(link);
        } else if first && self.engine.session_links(session) == 1 {
            self.engine.narrow_window(session, Some(STALLED_WINDOW / self.params.max_frame_size.max(1)));
        }
    }

    /// A stream that was full has room again, or is gone; or a message has left of a link that was weighed down.
    pub(super) fn on_room(&mut self, key: u64) {
        if let Some(link) = self.stalls.weighed_down.remove(&key) {
            return self.on_departure(link);
        }
        let Some(Stall { session, link, kept }) = self.stalls.full.remove(&key) else { return };
        self.engine.consume(session, kept);
        self.room_of(link, kept);
        if self.peer_is_router() && !self.stalls.full.values().any(|stall| stall.session == session) {
            self.engine.narrow_window(session, None);
        }
    }

    /// Octets of a message in several frames came. An ordinary peer that fills the memory with such is sent away.
    pub(super) fn arrived(&mut self, octets: usize) {
        self.stalls.uncounted += octets;
        if self.stalls.uncounted < self.stalls.count_at || self.peer_is_router() {
            return;
        }
        let kept = usize::try_from(self.engine.kept()).unwrap_or(usize::MAX);
        let held = self.links.held() + kept.saturating_mul(self.params.max_frame_size as usize);
        self.stalls.uncounted = 0;
        self.stalls.count_at = ARRIVING_MAX.saturating_sub(held).max(ARRIVING_MAX / 16);
        if held > ARRIVING_MAX {
            let description = format!("too many octets of unfinished messages: {held}");
            self.close(Some(Box::new(Error::new("amqp:resource-limit-exceeded", description))), false);
        }
    }

    /// Routers are trusted, and keep to a window that is narrowed under way; some clients compute nonsense of it.
    pub(super) const fn peer_is_router(&self) -> bool {
        self.params.conn.role.is_router()
    }
}
