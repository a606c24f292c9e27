//! What waits in the router of an incoming link's messages: beyond a bound its sender is told to stop, although it has
//! credit, until less waits.
//!
//! ```text
//!  whole message --weigh--> last chunk owns its weight --dropped when sent or given up--> Scale --notice--> port
//!  full stream   --stall--> frames kept --------------------------------------------------------room-----> port
//! ```
//!
//! A message that came in one frame of usual size is not weighed: credit bounds those well enough. Nor are settled ones
//! before memory is scarce, nor those of links whose messages are sent again when they are released.

use super::AmqpPort;
use super::limits::{WAITING_MAX, WEIGHED_FROM, WEIGHED_FROM_SCARCE};
use super::link::{InLink, PortLink};
use crate::memory::{BUDGET, Level};
use crate::stream::Notify;
use amqp_core::engine::LinkKey;
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

/// Whole messages of one incoming link that wait in the router.
#[derive(Debug, Default)]
pub(super) struct Scale {
    octets: AtomicUsize,
    /// Messages that have left since the last look.
    left: AtomicU32,
    /// Whether somebody wants to know of the next that leaves.
    armed: AtomicBool,
    alarm: Mutex<Option<Notify>>,
}

/// A chunk that takes the weight of its message off the scale when its last view is gone.
struct Weighed {
    chunk: Bytes,
    weight: usize,
    scale: Arc<Scale>,
}

// === impl Scale ===

impl Scale {
    /// Puts a message on the scale. Returns its last chunk, and what is on the scale now.
    fn put(self: &Arc<Self>, weight: usize, chunk: Bytes) -> (Bytes, usize) {
        let octets = self.octets.fetch_add(weight, Ordering::SeqCst) + weight;
        (Bytes::from_owner(Weighed { chunk, weight, scale: Arc::clone(self) }), octets)
    }

    fn take(&self, weight: usize) {
        self.octets.fetch_sub(weight, Ordering::SeqCst);
        self.left.fetch_add(1, Ordering::SeqCst);
        if self.armed.load(Ordering::SeqCst) {
            self.ring();
        }
    }

    /// Messages that have left since the last look, and octets that are still there.
    fn look(&self) -> (u32, usize) {
        (self.left.swap(0, Ordering::SeqCst), self.octets.load(Ordering::SeqCst))
    }

    /// Has `notify` told once when a message leaves, or has left since the last look.
    fn arm(&self, notify: Notify) {
        *self.alarm.lock() = Some(notify);
        self.armed.store(true, Ordering::SeqCst);
        if self.left.load(Ordering::SeqCst) > 0 {
            self.ring();
        }
    }

    fn ring(&self) {
        let Some(notify) = self.alarm.lock().take() else { return };
        self.armed.store(false, Ordering::SeqCst);
        if let Some(waker) = notify.mailbox.ready(notify.key) {
            waker.wake();
        }
    }
}

impl AsRef<[u8]> for Weighed {
    fn as_ref(&self) -> &[u8] {
        &self.chunk
    }
}

impl Drop for Weighed {
    fn drop(&mut self) {
        self.scale.take(self.weight);
    }
}

// === impl AmqpPort ===

impl AmqpPort {
    /// A whole message of so many octets came in; `last` is its last chunk, to be sent in the place of what is given.
    pub(super) fn weigh(&mut self, idx: u32, weight: usize, last: Bytes) -> Bytes {
        if self.peer_is_router() {
            return last;
        }
        let Some(link) = self.links.get_mut(idx) else { return last };
        let key = link.key;
        // What is kept until it is settled may wait for more to come, as receivers settle when they like.
        let Some(incoming) = link.incoming().filter(|incoming| !incoming.resend_released) else { return last };
        let scale = Arc::clone(incoming.scale.get_or_insert_default());
        let (last, octets) = scale.put(weight, last);
        let high = waiting_max();
        if octets >= high && !incoming.weighed_down {
            incoming.weighed_down = true;
            scale.look();
            self.hold(key);
            self.await_departure(key, &scale);
        }
        last
    }

    fn await_departure(&mut self, key: LinkKey, scale: &Scale) {
        let notice = self.stalls.new_key();
        self.stalls.weighed_down(notice, key);
        scale.arm(Notify { mailbox: Arc::clone(&self.handle.mailbox), key: notice });
    }

    /// Whole messages of a link that was weighed down have left. As long as much waits, one may come for each that leaves:
    /// what waits for a receiver that stands still does not stop those that go on.
    pub(super) fn on_departure(&mut self, key: LinkKey) {
        let Some(incoming) = self.incoming(key).filter(|incoming| incoming.weighed_down) else { return };
        let Some(scale) = incoming.scale.clone() else { return };
        let (left, octets) = scale.look();
        if octets < waiting_max() / 2 {
            incoming.weighed_down = false;
            return self.release_hold(key);
        }
        self.engine.allow_held(key, left);
        self.await_departure(key, &scale);
    }

    /// One more frame of a link is kept for a full stream.
    pub(super) fn kept_of(&mut self, key: LinkKey) {
        let high = u32::try_from(waiting_max()).unwrap_or(u32::MAX) / self.params.max_frame_size.max(1);
        let Some(incoming) = self.incoming(key) else { return };
        incoming.kept += 1;
        if incoming.kept > high && !incoming.stalled {
            incoming.stalled = true;
            self.hold(key);
        }
    }

    /// So many frames of a link are kept no longer.
    pub(super) fn room_of(&mut self, key: LinkKey, frames: u32) {
        let high = u32::try_from(waiting_max()).unwrap_or(u32::MAX) / self.params.max_frame_size.max(1);
        let Some(incoming) = self.incoming(key) else { return };
        incoming.kept = incoming.kept.saturating_sub(frames);
        if incoming.kept <= high / 2 && std::mem::take(&mut incoming.stalled) {
            self.release_hold(key);
        }
    }

    /// Tells what the peer makes the process hold: what it does not read, and what it began and did not finish. A stream
    /// weighs on its reader.
    pub(super) fn weigh_peer(&mut self) {
        let octets = self.engine.output().len() + self.engine.buffered() + self.links.weight();
        self.handle.mailbox.set_load(octets);
    }

    fn incoming(&mut self, key: LinkKey) -> Option<&mut InLink> {
        let idx = self.links.by_key(key)?;
        self.links.get_mut(idx).and_then(PortLink::incoming)
    }

    fn hold(&mut self, key: LinkKey) {
        self.engine.hold_credit(key, true);
    }

    fn release_hold(&mut self, key: LinkKey) {
        if self.incoming(key).is_some_and(|incoming| !incoming.weighed_down && !incoming.stalled) {
            self.engine.hold_credit(key, false);
        }
    }
}

/// Whether a message of so many octets counts. Settled ones are dropped where too many wait, and slow nobody down before
/// memory is scarce.
pub(super) fn counts(octets: usize, settled: bool) -> bool {
    (octets > WEIGHED_FROM && !settled) || (octets > WEIGHED_FROM_SCARCE && is_scarce())
}

/// Octets of a link's messages that may wait.
fn waiting_max() -> usize {
    if is_scarce() { WAITING_MAX / 8 } else { WAITING_MAX }
}

/// Whether senders have to be slowed down for the whole process's sake.
pub(super) fn is_scarce() -> bool {
    BUDGET.level() >= Level::Slow
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Mailbox;

    #[test]
    fn each_look_tells_what_has_left_and_the_alarm_goes_off_once() {
        let mailbox = Arc::<Mailbox>::default();
        let scale = Arc::<Scale>::default();
        let notices = || {
            let (mut effects, mut keys) = (Vec::new(), Vec::new());
            mailbox.take(&mut effects, &mut keys);
            keys
        };
        let arm = |key| scale.arm(Notify { mailbox: Arc::clone(&mailbox), key });
        let mut messages: Vec<Bytes> = (0..4).map(|_| scale.put(10, Bytes::from_static(b"x")).0).collect();
        assert_eq!(messages[0], b"x"[..]);
        arm(7);
        let view = messages[0].slice(..0);
        messages.remove(0);
        drop(view);
        assert_eq!(notices(), [7], "a view of no octets is none");
        messages.pop();
        assert_eq!(notices(), [0_u64; 0], "told once");
        assert_eq!(scale.look(), (2, 20));
        messages.pop();
        arm(8);
        assert_eq!(notices(), [8], "one had left before");
        assert_eq!(scale.look(), (1, 10));
        arm(9);
        assert_eq!(notices(), [0_u64; 0]);
        let view = messages[0].slice(..1);
        messages.clear();
        assert_eq!(notices(), [0_u64; 0], "a view is left");
        drop(view);
        assert_eq!(notices(), [9]);
        assert_eq!(scale.look(), (1, 0));
    }
}
