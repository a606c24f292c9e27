//! Address records and those who watch them.

use super::effect::{Effect, WatchCounts};
use super::ids::AddressId;
use super::objects::{Address, AddressCounters, ControlAddress, Watch};
use super::table::{List, Slot};
use super::{Core, Router};
use crate::forward::Treatment;
use crate::index::{NodeIndex, NodeSet};
use crate::stream::Notify;
use smallvec::SmallVec;

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
        self.with(|core| {
            core.scratch.clear();
            core.scratch.push('M');
            core.scratch.push_str(address);
            let key = core.scratch.clone();
            let slot = match core.by_key.get(&key) {
                Some(&slot) => slot,
                None => {
                    let (treatment, priority) = core.configured(&key);
                    core.create_address(key, treatment, priority)
                }
            };
            core.next_watch += 1;
            let id = core.next_watch;
            let counts = core.watch_counts(slot);
            let waker = notify.mailbox.post(Effect::Watch { key: notify.key, counts });
            core.wakers.extend(waker);
            core.addresses[slot].watches.push(Watch { id, notify });
            WatchId { address: core.addresses[slot].id, id }
        })
    }

    /// Ends a watch.
    pub fn unwatch(&self, watch: WatchId) {
        self.with(|core| {
            if let Some(slot) = core.addresses.find(watch.address) {
                core.addresses[slot].watches.retain(|w| w.id != watch.id);
                core.release_address(slot);
            }
        });
    }
}

impl Core {
    pub(super) fn create_address(&mut self, key: String, treatment: Treatment, priority: Option<u8>) -> Slot<Address> {
        let name = key.clone();
        let slot = self.addresses.insert_with(|id| Address {
            id,
            key,
            treatment,
            priority,
            consumers: List::default(),
            producers: List::default(),
            subscribers: Vec::new(),
            control: None,
            remotes: NodeSet::EMPTY,
            last_remote: NodeIndex::OWN,
            outstanding: SmallVec::new(),
            watches: Vec::new(),
            holds: 0,
            counters: AddressCounters::default(),
        });
        self.by_key.insert(name, slot);
        slot
    }

    pub(super) fn create_control_addresses(&mut self) {
        use ControlAddress::{Hello, Router};
        if self.mesh.is_none() {
            return;
        }
        for (key, treatment, control) in [
            ("Lqdhello", Treatment::Flood, Hello),
            ("Lqdrouter", Treatment::Flood, Router),
            ("Tqdrouter", Treatment::Flood, Router),
            ("Lqdrouter.ma", Treatment::Multicast, Router),
            ("Tqdrouter.ma", Treatment::Multicast, Router),
        ] {
            let slot = self.create_address(key.to_owned(), treatment, None);
            self.addresses[slot].control = Some(control);
        }
    }

    /// Removes an address record that nothing refers to any more.
    pub(super) fn release_address(&mut self, slot: Slot<Address>) {
        let Some(a) = self.addresses.get(slot) else { return };
        let used = a.paths() > 0
            || !a.producers.is_empty()
            || !a.watches.is_empty()
            || a.holds > 0
            || !a.outstanding.is_empty();
        if !used && let Some(address) = self.addresses.remove(slot) {
            self.by_key.remove(&address.key);
        }
    }

    /// The look-up key of an address text.
    pub(super) fn key_of(&mut self, text: &str) -> String {
        self.scratch.clear();
        self.names.key_of(text, &mut self.scratch);
        self.scratch.clone()
    }

    /// The record of an address text, without creating one.
    pub(super) fn lookup(&mut self, text: &str) -> Option<Slot<Address>> {
        self.scratch.clear();
        self.names.key_of(text, &mut self.scratch);
        self.by_key.get(&self.scratch).copied()
    }

    fn watch_counts(&self, slot: Slot<Address>) -> WatchCounts {
        let a = &self.addresses[slot];
        WatchCounts {
            local: a.consumers.len(),
            in_process: a.subscribers.len() as u32,
            remote: a.remotes.common(&self.routing.reachable) as u32,
            producers: a.producers.len(),
        }
    }

    pub(super) fn notify_watches(&mut self, slot: Slot<Address>) {
        if self.addresses[slot].watches.is_empty() {
            return;
        }
        let counts = self.watch_counts(slot);
        for watch in &self.addresses[slot].watches {
            let waker = watch.notify.mailbox.post(Effect::Watch { key: watch.notify.key, counts });
            self.wakers.extend(waker);
        }
    }
}
