//! Addresses that other routers advertise and that are not to be had here. Nothing tells of them again, so they are
//! remembered until the configuration gives them a treatment.

use super::Core;
use crate::forward::Treatment;
use smallvec::SmallVec;
use std::collections::HashMap;

/// Advertised addresses without a record, with node bit and treatment hint of every router that advertises them.
/// Bounded by what the mesh keeps of other routers' addresses.
#[derive(Debug, Default)]
pub(super) struct Unavailable {
    by_key: HashMap<String, SmallVec<[(u8, u8); 1]>>,
}

// === impl Unavailable ===

impl Unavailable {
    pub(super) fn add(&mut self, key: String, bit: u8, hint: u8) {
        let routers = self.by_key.entry(key).or_default();
        routers.retain(|(known, _)| *known != bit);
        routers.push((bit, hint));
    }

    pub(super) fn remove(&mut self, key: &str, bit: u8) {
        if let Some(routers) = self.by_key.get_mut(key) {
            routers.retain(|(known, _)| *known != bit);
            if routers.is_empty() {
                self.by_key.remove(key);
            }
        }
    }

    pub(super) fn forget_node(&mut self, bit: u8) {
        self.by_key.retain(|_, routers| {
            routers.retain(|(known, _)| *known != bit);
            !routers.is_empty()
        });
    }
}

// === impl Core ===

impl Core {
    /// Address configurations have changed: what was unavailable may be so no more. Other addresses keep the treatment
    /// that they were created with.
    pub(super) fn reconsider_unavailable(&mut self) {
        for slot in self.addresses.slots() {
            if self.addresses[slot].treatment != Treatment::Unavailable {
                continue;
            }
            let (treatment, priority) = self.configured(&self.addresses[slot].key);
            if treatment != Treatment::Unavailable {
                let address = &mut self.addresses[slot];
                (address.treatment, address.priority) = (treatment, priority);
                self.notify_watches(slot);
            }
        }
        for (key, routers) in std::mem::take(&mut self.unavailable.by_key) {
            for (bit, hint) in routers {
                self.map_address(bit, key.clone(), hint);
            }
        }
    }
}
