//! Where the core and body streams leave work for a port.

use crate::core::effect::{AttachReply, Effect};
use crate::sync::{AtomicUsize, Mutex};
use std::sync::atomic::Ordering;
use std::task::Waker;

/// The inbox of one port. Filled by the core (under the core's lock) and by streams; emptied by
/// the port's driver. Bounded by what the core may have in flight to one port: link credit and
/// queued deliveries are bounded there.
#[derive(Debug, Default)]
pub struct Mailbox {
    inner: Mutex<Inner>,
    /// Octets held for the peer when that was last asked for.
    load: AtomicUsize,
}

#[derive(Debug, Default)]
struct Inner {
    effects: Vec<Effect>,
    ready: Vec<u64>,
    waker: Option<Waker>,
    /// The port sleeps: while it is at work, nothing that is posted needs to wake it.
    parked: bool,
    /// The mark of the last batch that was posted, and of the last that was taken.
    posted: u32,
    taken: u32,
}

// === impl Mailbox ===

impl Mailbox {
    /// Adds an effect and returns the waker to call once no lock is held, when the port sleeps.
    #[must_use = "wake the port after releasing locks"]
    pub fn post(&self, effect: Effect) -> Option<Waker> {
        let mut inner = self.inner.lock();
        inner.effects.push(effect);
        inner.wake()
    }

    /// Adds a batch of effects, draining it, and returns the waker to call once no lock is held. [`Self::taken`] tells
    /// `mark` when they have been taken. A port that sleeps may go on with that unless it `wakes`.
    #[must_use = "wake the port after releasing locks"]
    pub(crate) fn post_all(&self, effects: &mut Vec<Effect>, mark: u32, wakes: bool) -> Option<Waker> {
        let mut inner = self.inner.lock();
        inner.posted = mark;
        if inner.effects.is_empty() {
            std::mem::swap(&mut inner.effects, effects);
        } else {
            inner.effects.append(effects);
        }
        if wakes { inner.wake() } else { None }
    }

    /// The mark of the last batch that the port has taken.
    pub(crate) fn taken(&self) -> u32 {
        self.inner.lock().taken
    }

    /// Notes that the stream named `key` has data or room, and returns the waker to call.
    #[must_use = "wake the port after releasing locks"]
    pub fn ready(&self, key: u64) -> Option<Waker> {
        let mut inner = self.inner.lock();
        inner.ready.push(key);
        inner.wake()
    }

    /// Answers [`Effect::Weigh`]: how many octets are held for the peer.
    pub fn set_load(&self, octets: usize) {
        self.load.store(octets, Ordering::Relaxed);
    }

    /// What [`Self::set_load`] told last.
    #[must_use]
    pub(crate) fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }

    /// Moves everything out by swapping with the given empty vectors. Returns whether there was anything. Whoever has begun to
    /// take goes on until it can [`Self::park`].
    pub fn take(&self, effects: &mut Vec<Effect>, ready: &mut Vec<u64>) -> bool {
        let mut inner = self.inner.lock();
        inner.taken = inner.posted;
        inner.parked = false;
        if effects.is_empty() {
            std::mem::swap(&mut inner.effects, effects);
        } else {
            effects.append(&mut inner.effects);
        }
        if ready.is_empty() {
            std::mem::swap(&mut inner.ready, ready);
        } else {
            ready.append(&mut inner.ready);
        }
        !(effects.is_empty() && ready.is_empty())
    }

    /// Moves the answers to attaches out. What is left does not count as taken while there are deliveries in it.
    pub(crate) fn take_answers(&self, mut answered: impl FnMut(AttachReply)) {
        let mut inner = self.inner.lock();
        for effect in inner.effects.extract_if(.., |effect| matches!(effect, Effect::AttachReply(_))) {
            if let Effect::AttachReply(answer) = effect {
                answered(*answer);
            }
        }
        if !inner.effects.iter().any(|effect| matches!(effect, Effect::Push(_))) {
            inner.taken = inner.posted;
        }
    }

    /// Arms the wake-up: the next post calls `waker`. Returns false when there is work already,
    /// in which case the port must not sleep.
    #[must_use]
    pub fn park(&self, waker: &Waker) -> bool {
        let mut inner = self.inner.lock();
        if !(inner.effects.is_empty() && inner.ready.is_empty()) {
            return false;
        }
        inner.parked = true;
        if !inner.waker.as_ref().is_some_and(|w| w.will_wake(waker)) {
            inner.waker = Some(waker.clone());
        }
        true
    }
}

// === impl Inner ===

impl Inner {
    /// The waker of a port that sleeps, once.
    fn wake(&mut self) -> Option<Waker> {
        if std::mem::take(&mut self.parked) { self.waker.clone() } else { None }
    }
}
