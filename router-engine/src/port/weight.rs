//! What waits in the router of an incoming link's messages: beyond a bound its sender is told to stop, although it has
//! credit, until less waits.
//!
//! ```text
//!  whole message --weigh--> last chunk owns its weight --dropped when sent or given up--> Scale --notice--> port
//!  full stream   --stall--> frames kept --------------------------------------------------------room-----> port
//! ```
//!
//! A message that came in one frame of usual size is not weighed: credit bounds those well enough. Nor are those of links
//! whose messages are sent again when they are released.

use super::AmqpPort;
use super::limits::WAITING_MAX;
use super::link::{InLink, PortLink};
use crate::memory::{BUDGET, Level};
use crate::stream::Notify;
use amqp_core::engine::LinkKey;
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Octets of the whole messages of one incoming link that wait in the router.
#[derive(Debug, Default)]
pub(super) struct Scale {
    octets: AtomicUsize,
    /// Below so many octets the alarm goes off; 0 when there is none.
    low: AtomicUsize,
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
        let octets = self.octets.fetch_sub(weight, Ordering::SeqCst) - weight;
        if octets < self.low.load(Ordering::SeqCst) {
            self.ring();
        }
    }

    /// Has `notify` told once when less than `low` octets are left, which may be now.
    fn arm(&self, low: usize, notify: Notify) {
        *self.alarm.lock() = Some(notify);
        self.low.store(low, Ordering::SeqCst);
        if self.octets.load(Ordering::SeqCst) < low {
            self.ring();
        }
    }

    fn ring(&self) {
        let Some(notify) = self.alarm.lock().take() else { return };
        self.low.store(0, Ordering::SeqCst);
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
            let notice = self.stalls.new_key();
            self.stalls.weighed_down(notice, key);
            self.hold(key);
            scale.arm(high / 2, Notify { mailbox: Arc::clone(&self.handle.mailbox), key: notice });
        }
        last
    }

    /// Little waits of the whole messages of a link.
    pub(super) fn on_lightened(&mut self, key: LinkKey) {
        if let Some(incoming) = self.incoming(key)
            && std::mem::take(&mut incoming.weighed_down)
        {
            self.release_hold(key);
        }
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
    fn the_alarm_goes_off_once_when_little_is_left() {
        let mailbox = Arc::<Mailbox>::default();
        let scale = Arc::<Scale>::default();
        let notices = || {
            let (mut effects, mut keys) = (Vec::new(), Vec::new());
            mailbox.take(&mut effects, &mut keys);
            keys
        };
        let mut messages: Vec<Bytes> = (0..4).map(|_| scale.put(10, Bytes::from_static(b"x")).0).collect();
        assert_eq!(messages[0], b"x"[..]);
        scale.arm(20, Notify { mailbox: Arc::clone(&mailbox), key: 7 });
        let view = messages[0].slice(..0);
        messages.drain(..2);
        drop(view);
        assert_eq!(notices(), [0_u64; 0], "twenty are left");
        messages.pop();
        assert_eq!(notices(), [7]);
        messages.pop();
        assert_eq!(notices(), [0_u64; 0]);
        scale.arm(20, Notify { mailbox: Arc::clone(&mailbox), key: 8 });
        assert_eq!(notices(), [8], "it was so already");
    }
}
