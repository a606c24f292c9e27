//! The service addresses of a tcpListener and the choice among them (spec `tcp-adaptor.md` section 4).

use router_engine::core::WatchId;
use router_engine::vanflow::{Identity, Record};
use std::sync::Arc;

/// How a listener chooses among its addresses; the attribute `multiAddressStrategy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// There is one address only.
    #[default]
    None,
    /// The reachable address of the highest value.
    Priority,
    /// A reachable address at random, by value.
    Weighted,
}

/// Whether anybody consumes one of a listener's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Somebody does.
    Somebody,
    /// Nobody any more, and the address that the last one consumed is still there.
    Lost,
    /// Nobody.
    Nobody,
}

/// One address of a listener.
#[derive(Debug, Clone)]
pub struct AddressEntry {
    /// The name of the listenerAddress.
    pub name: String,
    /// The service address.
    pub address: String,
    /// Priority or weight.
    pub value: i64,
    /// Connections made to it.
    pub opened: u64,
    /// There is a consumer somewhere.
    pub reachable: bool,
    pub(crate) key: u64,
    pub(crate) watch: Option<WatchId>,
    pub(crate) record: Option<Arc<Record>>,
}

/// What was chosen for a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// The service address.
    pub(crate) address: String,
    /// The record of the listener for it.
    pub(crate) record: Option<Identity>,
}

/// The addresses of a listener, by decreasing value.
#[derive(Debug, Default)]
pub(crate) struct AddressSet {
    strategy: Strategy,
    entries: Vec<AddressEntry>,
    next_key: u64,
    /// The entry in use by strategy `priority`; while none can be reached the last one that could.
    best: Option<u64>,
}

// === impl AddressSet ===

impl AddressSet {
    pub(crate) fn new(strategy: Strategy) -> Self {
        Self { strategy, ..Self::default() }
    }

    /// Adds an address, in front of those of equal value. Returns the key that its watch shall use.
    pub(crate) fn insert(&mut self, name: &str, address: &str, value: i64, record: Option<Record>) -> u64 {
        let key = self.next_key;
        self.next_key += 1;
        let at = self.entries.partition_point(|e| e.value > value);
        let entry = AddressEntry {
            name: name.to_owned(),
            address: address.to_owned(),
            value,
            opened: 0,
            reachable: false,
            key,
            watch: None,
            record: record.map(Arc::new),
        };
        self.entries.insert(at, entry);
        key
    }

    pub(crate) fn set_watch(&mut self, key: u64, watch: WatchId) {
        if let Some(entry) = self.entries.iter_mut().find(|e| e.key == key) {
            entry.watch = Some(watch);
        }
    }

    /// Removes an address by the name of its listenerAddress.
    pub(crate) fn remove(&mut self, name: &str) -> Option<AddressEntry> {
        let at = self.entries.iter().position(|e| e.name == name)?;
        let entry = self.entries.remove(at);
        self.reconsider();
        Some(entry)
    }

    /// What is watched so far, and will not be any more. The records end.
    pub(crate) fn take_watches(&mut self) -> Vec<WatchId> {
        self.entries.iter_mut().for_each(|entry| entry.record = None);
        self.entries.iter_mut().filter_map(|entry| entry.watch.take()).collect()
    }

    pub(crate) fn entries(&self) -> &[AddressEntry] {
        &self.entries
    }

    /// Notes whether an address can be reached.
    pub(crate) fn set_reachable(&mut self, key: u64, reachable: bool) {
        if let Some(entry) = self.entries.iter_mut().find(|e| e.key == key) {
            entry.reachable = reachable;
        }
        self.reconsider();
    }

    pub(crate) fn reach(&self) -> Reach {
        if self.entries.iter().any(|e| e.reachable) {
            Reach::Somebody
        } else if self.position(self.best).is_some() {
            Reach::Lost
        } else {
            Reach::Nobody
        }
    }

    /// Chooses the address of a new connection and counts it: while none can be reached the last one that could. `random`
    /// decides where chance is asked for.
    pub(crate) fn choose(&mut self, random: u64) -> Option<Chosen> {
        let drawn = if self.strategy == Strategy::Weighted { self.draw(random) } else { None };
        let at = drawn.or_else(|| self.position(self.best));
        let entry = self.entries.get_mut(at.unwrap_or(0))?;
        entry.opened += 1;
        let record = entry.record.as_deref().map(|record| {
            record.meter().count();
            record.identity()
        });
        Some(Chosen { address: entry.address.clone(), record })
    }

    fn position(&self, key: Option<u64>) -> Option<usize> {
        self.entries.iter().position(|e| Some(e.key) == key)
    }

    /// Keeps the best entry unless it is unreachable or one of strictly larger value is reachable.
    fn reconsider(&mut self) {
        let Some(first) = self.entries.iter().find(|e| e.reachable) else { return };
        let current = self.position(self.best).map(|at| &self.entries[at]).filter(|e| e.reachable);
        if current.is_none_or(|current| first.value > current.value) {
            self.best = Some(first.key);
        }
    }

    fn draw(&self, random: u64) -> Option<usize> {
        let weight = |e: &AddressEntry| u64::try_from(e.value).unwrap_or(0);
        let reachable = || self.entries.iter().enumerate().filter(|(_, e)| e.reachable);
        let total: u64 = reachable().map(|(_, e)| weight(e)).sum();
        let mut left = random.checked_rem(total)?;
        // From the smallest value to the largest.
        for (at, entry) in reachable().collect::<Vec<_>>().into_iter().rev() {
            if left < weight(entry) {
                return Some(at);
            }
            left -= weight(entry);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(strategy: Strategy, values: &[(&str, i64)]) -> AddressSet {
        let mut set = AddressSet::new(strategy);
        for (name, value) in values {
            set.insert(name, name, *value, None);
        }
        set
    }

    fn choose(set: &mut AddressSet, random: u64) -> Option<String> {
        set.choose(random).map(|chosen| chosen.address)
    }

    #[test]
    fn priority_keeps_the_current_one_among_equals() {
        let mut set = set(Strategy::Priority, &[("a", 5), ("b", 5), ("c", 9)]);
        assert_eq!(set.entries().iter().map(|e| e.name.as_str()).collect::<String>(), "cba");
        assert_eq!(set.reach(), Reach::Nobody);
        assert_eq!(choose(&mut set, 0).as_deref(), Some("c"), "nothing reachable: the head of the list");
        set.set_reachable(0, true);
        assert_eq!(choose(&mut set, 0).as_deref(), Some("a"));
        set.set_reachable(1, true);
        assert_eq!(choose(&mut set, 0).as_deref(), Some("a"));
        set.set_reachable(2, true);
        assert_eq!(choose(&mut set, 0).as_deref(), Some("c"));
        set.set_reachable(2, false);
        assert_eq!(choose(&mut set, 0).as_deref(), Some("b"), "the first reachable one takes over");
        assert!(set.remove("b").is_some());
        assert_eq!(choose(&mut set, 0).as_deref(), Some("a"));
        set.set_reachable(0, false);
        assert_eq!((set.reach(), choose(&mut set, 0).as_deref()), (Reach::Lost, Some("a")), "it may come back");
        let opened: Vec<_> = set.entries().iter().map(|e| e.opened).collect();
        assert_eq!(opened, [2, 4]);
        assert!(set.remove("a").is_some());
        assert_eq!(set.reach(), Reach::Nobody, "c was lost before");
    }

    #[test]
    fn weights_share_by_value_among_the_reachable() {
        let mut set = set(Strategy::Weighted, &[("small", 1), ("large", 3), ("gone", 100)]);
        set.set_reachable(0, true);
        set.set_reachable(1, true);
        let drawn: Vec<_> = (0..4).map(|random| choose(&mut set, random).unwrap()).collect();
        assert_eq!(drawn, ["small", "large", "large", "large"]);
        set.set_reachable(0, false);
        set.set_reachable(1, false);
        assert_eq!(choose(&mut set, 7).as_deref(), Some("large"), "nothing reachable: what was so last");
    }
}
