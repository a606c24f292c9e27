//! Unsettled deliveries of one direction of a session, found by delivery-id.
//!
//! Ids are handed out in sequence and mostly settled in sequence, so a ring indexed by
//! `id - base` holds them. A few old deliveries that stay unsettled while many newer ones come and
//! go would make the ring long; these stragglers move to a tree.

use super::ids::LinkKey;
use super::limits::COMPACT_AT;
use rustc_hash::FxHashMap;
use std::collections::{BTreeMap, VecDeque};

/// The token of a delivery that the caller has not named.
pub(super) const NO_TOKEN: u64 = u64::MAX;

/// From this many deliveries on, [`Deliveries::find`] keeps an index instead of searching.
const INDEX_AT: usize = 64;

/// What is kept of a delivery.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) link: LinkKey,
    pub(super) token: u64,
}

/// The table. See the module documentation.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    base: u32,
    ring: VecDeque<Entry>,
    /// Occupied positions of the ring.
    live: usize,
    strays: BTreeMap<u32, Entry>,
    /// From tokens to ids, once it was worth it.
    index: Option<FxHashMap<u64, u32>>,
}

const VACANT: Entry = Entry { link: LinkKey { slot: u32::MAX, serial: 0 }, token: NO_TOKEN };

// === impl Entry ===

impl Entry {
    const fn is_vacant(&self) -> bool {
        self.link.slot == u32::MAX
    }
}

// === impl Deliveries ===

impl Deliveries {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.live + self.strays.len()
    }

    /// Adds a delivery; `id` follows all ids added before.
    #[inline]
    pub(super) fn insert(&mut self, id: u32, entry: Entry) {
        if self.ring.is_empty() {
            self.base = id;
        }
        let gap = (id.wrapping_sub(self.base) as usize).saturating_sub(self.ring.len());
        if gap > COMPACT_AT {
            self.spill();
            self.base = id;
        } else {
            self.ring.extend(std::iter::repeat_n(VACANT, gap));
        }
        self.ring.push_back(entry);
        self.live += 1;
        self.thin_out();
        if let Some(index) = &mut self.index {
            index.insert(entry.token, id);
        }
    }

    #[inline]
    pub(super) fn get(&self, id: u32) -> Option<Entry> {
        match self.ring.get(id.wrapping_sub(self.base) as usize) {
            Some(entry) => (!entry.is_vacant()).then_some(*entry),
            None => self.strays.get(&id).copied(),
        }
    }

    /// Names a delivery. False when it is not there.
    #[inline]
    pub(super) fn set_token(&mut self, id: u32, token: u64) -> bool {
        let entry = match self.ring.get_mut(id.wrapping_sub(self.base) as usize) {
            Some(entry) => Some(entry).filter(|e| !e.is_vacant()),
            None => self.strays.get_mut(&id),
        };
        let Some(entry) = entry else { return false };
        entry.token = token;
        if let Some(index) = &mut self.index {
            index.insert(token, id);
        }
        true
    }

    #[inline]
    pub(super) fn remove(&mut self, id: u32) -> Option<Entry> {
        let removed = match self.ring.get_mut(id.wrapping_sub(self.base) as usize) {
            Some(entry) if entry.is_vacant() => None,
            Some(entry) => {
                let removed = std::mem::replace(entry, VACANT);
                self.live -= 1;
                self.compact();
                Some(removed)
            }
            None => self.strays.remove(&id),
        }?;
        if let Some(index) = &mut self.index {
            index.remove(&removed.token);
            if self.live == 0 && self.strays.is_empty() {
                self.index = None;
            }
        }
        Some(removed)
    }

    /// The first delivery with an id in `from..=last`. The work is bounded by what is outstanding.
    #[inline]
    pub(super) fn first_in(&self, from: u32, last: u32) -> Option<(u32, Entry)> {
        let span = last.wrapping_sub(from);
        if span > 0x7fff_ffff {
            return None;
        }
        if let Some(found) = self.first_stray(from, last) {
            return Some(found);
        }
        let ahead = from.wrapping_sub(self.base);
        let start = if ahead > 0x7fff_ffff { 0 } else { ahead as usize };
        for (at, entry) in self.ring.iter().enumerate().skip(start) {
            let id = self.base.wrapping_add(u32::try_from(at).ok()?);
            if id.wrapping_sub(from) > span {
                return None;
            }
            if !entry.is_vacant() {
                return Some((id, *entry));
            }
        }
        None
    }

    fn first_stray(&self, from: u32, last: u32) -> Option<(u32, Entry)> {
        if self.strays.is_empty() {
            return None;
        }
        let found = if from <= last {
            self.strays.range(from..=last).next()
        } else {
            self.strays.range(from..).next().or_else(|| self.strays.range(..=last).next())
        };
        found.map(|(id, entry)| (*id, *entry))
    }

    /// The id of the delivery of a link that the caller named `token`.
    pub(super) fn find(&mut self, link: LinkKey, token: u64) -> Option<u32> {
        let matches = |e: &Entry| e.token == token && e.link == link;
        if let Some(index) = &self.index {
            let id = *index.get(&token)?;
            return self.get(id).filter(matches).map(|_| id);
        }
        if let Some((id, _)) = self.strays.iter().take(INDEX_AT).find(|(_, e)| matches(e)) {
            return Some(*id);
        }
        if let Some(at) = self.ring.iter().take(INDEX_AT).position(matches) {
            return Some(self.base.wrapping_add(u32::try_from(at).ok()?));
        }
        if self.ring.len().max(self.strays.len()) <= INDEX_AT {
            return None;
        }
        self.build_index();
        self.find(link, token)
    }

    fn build_index(&mut self) {
        let mut index: FxHashMap<u64, u32> = self.strays.iter().map(|(id, e)| (e.token, *id)).collect();
        let mut id = self.base;
        for entry in &self.ring {
            if !entry.is_vacant() {
                index.insert(entry.token, id);
            }
            id = id.wrapping_add(1);
        }
        self.index = Some(index);
    }

    /// Forgets the deliveries of a link that is gone.
    pub(super) fn purge(&mut self, link: LinkKey) {
        for entry in &mut self.ring {
            if entry.link == link {
                *entry = VACANT;
                self.live -= 1;
            }
        }
        self.strays.retain(|_, e| e.link != link);
        self.index = None;
        self.compact();
    }

    fn spill(&mut self) {
        while !self.ring.is_empty() {
            self.pop_to_strays();
        }
    }

    fn pop_to_strays(&mut self) {
        if let Some(entry) = self.ring.pop_front() {
            if !entry.is_vacant() {
                self.live -= 1;
                self.strays.insert(self.base, entry);
            }
            self.base = self.base.wrapping_add(1);
        }
    }

    /// Keeps the ring short: no vacancies in front, and no long ring with few deliveries.
    #[inline]
    fn compact(&mut self) {
        while self.ring.front().is_some_and(Entry::is_vacant) {
            self.ring.pop_front();
            self.base = self.base.wrapping_add(1);
        }
        if self.ring.is_empty() {
            if self.ring.capacity() > COMPACT_AT {
                self.ring = VecDeque::new();
            }
        } else {
            self.thin_out();
        }
    }

    /// Shortens a long ring with few deliveries.
    #[inline]
    fn thin_out(&mut self) {
        if self.ring.len() >= COMPACT_AT && self.live * 8 < self.ring.len() {
            while self.ring.len() >= COMPACT_AT / 2 && self.live * 8 < self.ring.len() {
                self.pop_to_strays();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: LinkKey = LinkKey { slot: 1, serial: 1 };

    fn entry(token: u64) -> Entry {
        Entry { link: LINK, token }
    }

    #[test]
    fn stragglers_do_not_make_the_ring_long() {
        let mut table = Deliveries::default();
        let first = u32::MAX - 10;
        for n in 0..100_000_u32 {
            table.insert(first.wrapping_add(n), entry(u64::from(n)));
            if n % 1000 != 0 {
                table.remove(first.wrapping_add(n));
            }
            assert!(table.ring.len() <= 2048);
        }
        assert_eq!(table.len(), 100);
        let mut at = first;
        let mut seen = 0;
        while let Some((id, e)) = table.first_in(at, first.wrapping_add(100_000)) {
            assert_eq!(u64::from(id.wrapping_sub(first)), e.token);
            seen += 1;
            at = id.wrapping_add(1);
        }
        assert_eq!(seen, 100);
        assert_eq!(table.find(LINK, 5000), Some(first.wrapping_add(5000)));
        table.purge(LINK);
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn gaps_of_settled_deliveries_cost_nothing() {
        let mut table = Deliveries::default();
        table.insert(0, entry(1));
        table.insert(1_000_000, entry(2));
        assert_eq!(table.ring.len(), 1);
        assert_eq!(table.get(0).map(|e| e.token), Some(1));
        assert_eq!(table.remove(1_000_000).map(|e| e.token), Some(2));
        assert_eq!(table.remove(0).map(|e| e.token), Some(1));
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn rare_deliveries_among_settled_ones_do_not_make_the_ring_long() {
        let mut table = Deliveries::default();
        for n in 0..10_000 {
            table.insert(n * 256, entry(u64::from(n)));
            assert!(table.ring.len() <= 2 * COMPACT_AT, "{}", table.ring.len());
        }
        assert_eq!((table.len(), table.ring.capacity() <= 4 * COMPACT_AT), (10_000, true));
        assert_eq!(table.find(LINK, 77), Some(77 * 256));
        assert!((0..10_000).all(|n| table.remove(n * 256).is_some()));
    }

    #[test]
    fn index_is_used_and_dropped() {
        let mut table = Deliveries::default();
        for n in 0..1000 {
            table.insert(n, entry(u64::from(n)));
        }
        assert_eq!(table.find(LINK, 900), Some(900));
        assert!(table.index.is_some());
        table.insert(1000, entry(1000));
        assert_eq!(table.find(LINK, 1000), Some(1000));
        for n in 0..=1000 {
            table.remove(n);
        }
        assert!(table.index.is_none());
        assert_eq!(table.find(LINK, 900), None);
    }

    #[test]
    fn hostile_ranges() {
        let mut table = Deliveries::default();
        table.insert(5, entry(5));
        assert!(table.first_in(6, 5).is_none());
        assert_eq!(table.first_in(0, 0x7fff_ffff).map(|f| f.0), Some(5));
        assert!(table.first_in(6, u32::MAX / 2).is_none());
    }
}
