//! Addresses that other routers advertise and that are not to be had here. Nothing tells of them again, so they are
//! remembered until the configuration gives them a treatment.

use super::Core;
use super::table::shrink_map;
use crate::forward::Treatment;
use crate::index::NodeIndex;
use smallvec::SmallVec;
use std::collections::HashMap;

/// Advertised addresses without a record, with index and treatment hint of every router that advertises them.
/// Bounded by what the mesh keeps of other routers' addresses.
#[derive(Debug, Default)]
pub(super) struct Unavailable {
    by_key: HashMap<String, SmallVec<[(NodeIndex, u8); 1]>>,
}

// === impl Unavailable ===

impl Unavailable {
    pub(super) fn add(&mut self, key: String, node: NodeIndex, hint: u8) {
        let routers = self.by_key.entry(key).or_default();
        routers.retain(|(known, _)| *known != node);
        routers.push((node, hint));
    }

    pub(super) fn remove(&mut self, key: &str, node: NodeIndex) {
        if let Some(routers) = self.by_key.get_mut(key) {
            routers.retain(|(known, _)| *known != node);
            if routers.is_empty() {
                self.by_key.remove(key);
            }
        }
    }

    pub(super) fn forget_node(&mut self, node: NodeIndex) {
        self.by_key.retain(|_, routers| {
            routers.retain(|(known, _)| *known != node);
            !routers.is_empty()
        });
    }

    /// Gives unused room back.
    pub(super) fn shrink(&mut self) {
        shrink_map(&mut self.by_key);
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.by_key.capacity()
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
            let (treatment, priority) = self.addresses.configured(&self.addresses[slot].key);
            if treatment != Treatment::Unavailable {
                let address = &mut self.addresses[slot];
                (address.treatment, address.priority) = (treatment, priority);
                self.notify_watches(slot);
            }
        }
        for (key, routers) in std::mem::take(&mut self.addresses.unavailable.by_key) {
            for (node, hint) in routers {
                self.map_address(node, key.clone(), hint);
            }
        }
    }
}
