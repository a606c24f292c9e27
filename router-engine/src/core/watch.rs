//! Those who watch addresses.

use super::effect::{Effect, WatchCounts};
use super::ids::AddressId;
use super::objects::{Address, Watch};
use super::table::Slot;
use super::{Core, Router};
use crate::forward::Treatment;
use crate::stream::Notify;

/// A watch on an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WatchId {
    address: AddressId,
    id: u64,
}

impl Router {
    /// Watches a mobile address: `notify.mailbox` gets [`Effect::Watch`] with `notify.key` at once and at
    /// every change (spec `tcp-adaptor.md` section 3).
    pub fn watch(&self, address: &str, notify: Notify) -> WatchId {
        self.with(|core| core.watch(address, notify, false, None))
    }

    /// As [`Self::watch`]. Where there is no such address yet, it is made with that treatment, whatever is configured.
    pub fn watch_with(&self, address: &str, treatment: Treatment, notify: Notify) -> WatchId {
        self.with(|core| core.watch(address, notify, false, Some(treatment)))
    }

    /// As [`Self::watch`], but producers that come and go are not told of: on the address of a busy service every flow
    /// is one.
    pub fn watch_consumers(&self, address: &str, notify: Notify) -> WatchId {
        self.with(|core| core.watch(address, notify, true, None))
    }

    /// Ends a watch.
    pub fn unwatch(&self, watch: WatchId) {
        self.with(|core| {
            if let Some(slot) = core.addresses.find(watch.address) {
                core.addresses[slot].watches.remove(&watch.id);
                core.proxies_due(slot);
                core.addresses.release(slot);
            }
        });
    }
}

impl Core {
    fn watch(&mut self, address: &str, notify: Notify, consumers_only: bool, treatment: Option<Treatment>) -> WatchId {
        let key = format!("M{address}");
        let slot = match treatment {
            Some(treatment) => {
                let there = self.addresses.with_key(&key);
                there.unwrap_or_else(|| self.addresses.create(key, treatment, None))
            }
            None => self.addresses.with_key_or_new(key),
        };
        self.addresses.last_watch += 1;
        let id = self.addresses.last_watch;
        let counts = self.watch_counts(slot);
        let waker = notify.mailbox.post(Effect::Watch { key: notify.key, counts });
        self.due.wakers.extend(waker);
        let told = consumers_only.then_some(counts);
        self.addresses[slot].watches.insert(id, Watch { notify, told });
        let watch = WatchId { address: self.addresses[slot].id, id };
        self.proxies_due(slot);
        watch
    }

    fn watch_counts(&self, slot: Slot<Address>) -> WatchCounts {
        let a = &self.addresses[slot];
        WatchCounts {
            local: a.consumers.len(),
            in_process: a.subscribers.len() as u32,
            remote: a.remotes.common(&self.plane.routing().reachable) as u32,
            producers: a.producers.len(),
        }
    }

    pub(super) fn notify_watches(&mut self, slot: Slot<Address>) {
        if self.addresses[slot].watches.is_empty() {
            return;
        }
        let counts = self.watch_counts(slot);
        for watch in self.addresses[slot].watches.values_mut() {
            if let Some(told) = &mut watch.told {
                if told.has_consumers_of(&counts) {
                    continue;
                }
                *told = counts;
            }
            let waker = watch.notify.mailbox.post(Effect::Watch { key: watch.notify.key, counts });
            self.due.wakers.extend(waker);
        }
    }
}
