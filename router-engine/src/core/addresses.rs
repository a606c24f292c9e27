//! The addresses of the router: their records by key, the names that keys are made of, and the patterns that configure
//! them.

use super::action::Direction;
use super::config::{AddressConfig, RouterConfig};
use super::ids::AddressId;
use super::objects::{Address, AddressCounters, ControlAddress, Link};
use super::plane::interior::edges::Consumed;
use super::reach::{Holder, ReachChange};
use super::table::{List, Slot, Table, shrink_map};
use super::unavailable::Unavailable;
use crate::address::name::AddressContext;
use crate::address::pattern::PatternTree;
use crate::forward::Treatment;
use crate::index::{NodeIndex, NodeSet};
use smallvec::SmallVec;
use std::collections::{BTreeMap, HashMap};

/// What is known of addresses.
#[derive(Debug)]
pub(super) struct AddressTable {
    /// Makes keys of textual addresses.
    pub(super) names: AddressContext,
    /// Configurations.
    pub(super) patterns: PatternTree<AddressConfig>,
    /// Of mobile addresses without a configuration.
    default_treatment: Treatment,
    /// What other routers advertise and is not to be had here.
    pub(super) unavailable: Unavailable,
    records: Table<Address>,
    by_key: HashMap<String, Slot<Address>>,
    /// The number of the last watch.
    pub(super) last_watch: u64,
    /// Reused for keys.
    scratch: String,
}

// === impl AddressTable ===

impl AddressTable {
    pub(super) fn new(config: &RouterConfig) -> Self {
        Self {
            names: config.address_context(),
            patterns: PatternTree::default(),
            default_treatment: config.default_treatment,
            unavailable: Unavailable::default(),
            records: Table::default(),
            by_key: HashMap::new(),
            last_watch: 0,
            scratch: String::new(),
        }
    }

    pub(super) const fn records(&self) -> &Table<Address> {
        &self.records
    }

    pub(super) fn slots(&self) -> Vec<Slot<Address>> {
        self.records.slots()
    }

    pub(super) fn get(&self, slot: Slot<Address>) -> Option<&Address> {
        self.records.get(slot)
    }

    pub(super) fn get_mut(&mut self, slot: Slot<Address>) -> Option<&mut Address> {
        self.records.get_mut(slot)
    }

    pub(super) fn find(&self, id: AddressId) -> Option<Slot<Address>> {
        self.records.find(id)
    }

    /// The record with this key.
    pub(super) fn with_key(&self, key: &str) -> Option<Slot<Address>> {
        self.by_key.get(key).copied()
    }

    /// The look-up key of an address text.
    pub(super) fn key_of(&mut self, text: &str) -> String {
        self.names.key_of(text, &mut self.scratch);
        self.scratch.clone()
    }

    /// The record of an address text, without creating one.
    pub(super) fn lookup(&mut self, text: &str) -> Option<Slot<Address>> {
        self.names.key_of(text, &mut self.scratch);
        self.by_key.get(&self.scratch).copied()
    }

    /// The record with this key, which is created as it is configured when there is none.
    pub(super) fn with_key_or_new(&mut self, key: String) -> Slot<Address> {
        self.with_key(&key).unwrap_or_else(|| {
            let (treatment, priority) = self.configured(&key);
            self.create(key, treatment, priority)
        })
    }

    pub(super) fn create(&mut self, key: String, treatment: Treatment, priority: Option<u8>) -> Slot<Address> {
        let name = key.clone();
        let slot = self.records.insert_with(|id| Address {
            id,
            key,
            treatment,
            priority,
            consumers: List::default(),
            producers: List::default(),
            proxied_consumers: 0,
            proxied_producers: 0,
            subscribers: Vec::new(),
            control: None,
            remotes: NodeSet::EMPTY,
            consumed: Consumed::default(),
            last_remote: NodeIndex::OWN,
            outstanding: SmallVec::new(),
            watches: BTreeMap::new(),
            holds: 0,
            counters: AddressCounters::default(),
        });
        self.by_key.insert(name, slot);
        slot
    }

    /// Creates an address whose messages the core itself consumes.
    pub(super) fn create_control(&mut self, key: &str, treatment: Treatment, control: ControlAddress) {
        let slot = self.create(key.to_owned(), treatment, None);
        self.records[slot].control = Some(control);
    }

    /// Removes a record that nothing refers to any more.
    pub(super) fn release(&mut self, slot: Slot<Address>) {
        if self.get(slot).is_some_and(|a| !a.is_used())
            && let Some(address) = self.records.remove(slot)
        {
            self.by_key.remove(&address.key);
        }
    }

    /// Gives unused room back when there is much more of it than addresses.
    pub(super) fn shrink(&mut self) {
        self.records.shrink();
        shrink_map(&mut self.by_key);
        self.unavailable.shrink();
    }
}

/// Treatments.
impl AddressTable {
    /// Treatment and priority of an address by its key; only mobile addresses are configurable.
    pub(super) fn configured(&self, key: &str) -> (Treatment, Option<u8>) {
        match key.as_bytes().first() {
            Some(b'M') => match self.patterns.best_match(&key[1..]) {
                Some(config) => (config.treatment, config.priority),
                None => (self.default_treatment, None),
            },
            Some(b'R') => (Treatment::Closest, None),
            _ => (Treatment::Balanced, None),
        }
    }

    /// Whether the address with this text is unavailable by configuration.
    pub(super) fn is_unavailable(&mut self, text: &str) -> bool {
        let key = self.key_of(text);
        self.configured(&key).0 == Treatment::Unavailable
    }

    /// The record of an address that another router advertises with a hint at its treatment. `None` when it is
    /// unavailable here; then it is remembered.
    pub(super) fn advertised(&mut self, key: String, node: NodeIndex, hint: u8) -> Option<Slot<Address>> {
        let known = self.with_key(&key);
        if let Some(slot) = known.filter(|&slot| self.records[slot].treatment != Treatment::Unavailable) {
            return Some(slot);
        }
        let Some(treatment) = self.treatment_of_remote(&key, hint) else {
            self.unavailable.add(key, node, hint);
            return None;
        };
        let (_, priority) = self.configured(&key);
        Some(match known {
            Some(slot) => {
                (self.records[slot].treatment, self.records[slot].priority) = (treatment, priority);
                slot
            }
            None => self.create(key, treatment, priority),
        })
    }

    /// Treatment of an address that another router advertised; none when it is unavailable here (8.4).
    fn treatment_of_remote(&self, key: &str, hint: u8) -> Option<Treatment> {
        let configured = key.strip_prefix('M').and_then(|text| self.patterns.best_match(text)).map(|c| c.treatment);
        let treatment = configured.or(Treatment::from_code(hint)).unwrap_or(match self.default_treatment {
            Treatment::Unavailable => Treatment::Balanced,
            treatment => treatment,
        });
        (treatment != Treatment::Unavailable).then_some(treatment)
    }
}

/// Changes of reach.
impl AddressTable {
    /// Makes a link a consumer or producer of an address.
    pub(super) fn bind(
        &mut self,
        slot: Slot<Address>,
        links: &mut Table<Link>,
        link: Slot<Link>,
        holder: Holder,
    ) -> ReachChange {
        links[link].address = Some(slot);
        let direction = links[link].direction;
        self.change(slot, |a| match (direction, holder) {
            (Direction::In, _) => {
                a.producers.push_back(links, link);
                a.proxied_producers += u32::from(holder == Holder::Proxy);
            }
            (Direction::Out, Holder::InProcess) => {
                // In-process consumers come first, which only closest knows (spec `amqp-endpoint.md` 12.2).
                if !a.treatment.is_multicast() {
                    a.treatment = Treatment::Closest;
                }
                a.subscribers.push(link);
            }
            (Direction::Out, _) => {
                a.consumers.push_back(links, link);
                a.proxied_consumers += u32::from(holder == Holder::Proxy);
            }
        })
    }

    /// The reverse of [`Self::bind`], if the link is bound.
    pub(super) fn unbind(&mut self, links: &mut Table<Link>, link: Slot<Link>, holder: Holder) -> Option<ReachChange> {
        let slot = links[link].address.take()?;
        let direction = links[link].direction;
        Some(self.change(slot, |a| match (direction, holder) {
            (Direction::In, _) => {
                a.producers.remove(links, link);
                a.proxied_producers -= u32::from(holder == Holder::Proxy);
            }
            (Direction::Out, Holder::InProcess) => a.subscribers.retain(|&l| l != link),
            (Direction::Out, _) => {
                a.consumers.remove(links, link);
                a.proxied_consumers -= u32::from(holder == Holder::Proxy);
            }
        }))
    }

    /// A remote router advertises an address, or (not `present`) no longer does.
    pub(super) fn map_remote(&mut self, slot: Slot<Address>, node: NodeIndex, present: bool) -> ReachChange {
        self.change(slot, |a| a.remotes.set(node, present))
    }

    fn change(&mut self, slot: Slot<Address>, change: impl FnOnce(&mut Address)) -> ReachChange {
        let address = &mut self.records[slot];
        let before = address.reach();
        change(address);
        ReachChange { address: slot, before, after: address.reach() }
    }
}

impl std::ops::Index<Slot<Address>> for AddressTable {
    type Output = Address;

    fn index(&self, slot: Slot<Address>) -> &Address {
        &self.records[slot]
    }
}

impl std::ops::IndexMut<Slot<Address>> for AddressTable {
    fn index_mut(&mut self, slot: Slot<Address>) -> &mut Address {
        &mut self.records[slot]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_came_and_went_leave_no_room_behind() {
        let mut table = AddressTable::new(&RouterConfig::default());
        let stays = table.with_key_or_new("Mstays".into());
        table[stays].holds = 1;
        for n in 0..10_000 {
            table.with_key_or_new(format!("M{n}"));
            table.unavailable.add(format!("M{n}"), NodeIndex::at(1), 0);
        }
        table.slots().into_iter().for_each(|slot| table.release(slot));
        table.unavailable.forget_node(NodeIndex::at(1));
        table.shrink();
        assert_eq!(table.with_key("Mstays"), Some(stays));
        let room = [table.records.capacity(), table.by_key.capacity(), table.unavailable.capacity()];
        assert!(room.iter().all(|&room| room < 256), "{room:?}");
    }
}
