//! Names of sessions, links and deliveries, and the tables from wire numbers to slots.

use super::limits::DENSE_IDS;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

macro_rules! key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name {
            /// Index into a dense table; reused after the object is gone.
            pub slot: u32,
            /// Serial number; tells a stale key from a live one.
            pub serial: u32,
        }
    };
}

key!(
    /// Names a session of one connection. A stale key is harmless: operations on it do nothing.
    SessionKey
);
key!(
    /// Names a link of one connection. A stale key is harmless: operations on it do nothing.
    LinkKey
);

/// Names a delivery: its session and its delivery-id (part 2, 2.8.9). Valid while the link lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeliveryKey {
    /// The slot of the session.
    pub session: u32,
    /// The delivery-id.
    pub id: u32,
}

// === impl DeliveryKey ===

impl DeliveryKey {
    /// The key as one number.
    #[must_use]
    pub const fn to_u64(self) -> u64 {
        (self.session as u64) << 32 | self.id as u64
    }

    /// The key that [`Self::to_u64`] made a number of.
    #[must_use]
    pub const fn from_u64(raw: u64) -> Self {
        Self { session: (raw >> 32) as u32, id: (raw & 0xffff_ffff) as u32 }
    }
}

/// A map from numbers that the peer chose to slots. Small numbers are found by indexing.
#[derive(Debug, Default)]
pub(super) struct IdMap {
    dense: Vec<u32>,
    sparse: BTreeMap<u32, u32>,
}

const VACANT: u32 = u32::MAX;

// === impl IdMap ===

impl IdMap {
    #[inline]
    pub(super) fn get(&self, id: u32) -> Option<u32> {
        match self.dense.get(id as usize) {
            Some(&VACANT) => None,
            Some(&slot) => Some(slot),
            None if id < DENSE_IDS => None,
            None => self.sparse.get(&id).copied(),
        }
    }

    pub(super) fn insert(&mut self, id: u32, slot: u32) {
        if id < DENSE_IDS {
            let at = id as usize;
            if self.dense.len() <= at {
                self.dense.resize(at + 1, VACANT);
            }
            self.dense[at] = slot;
        } else {
            self.sparse.insert(id, slot);
        }
    }

    pub(super) fn remove(&mut self, id: u32) {
        if let Some(slot) = self.dense.get_mut(id as usize) {
            *slot = VACANT;
        } else {
            self.sparse.remove(&id);
        }
    }
}

/// Hands out the lowest free number and remembers what it stands for.
#[derive(Debug, Default)]
pub(super) struct IdAlloc {
    used: Vec<u32>,
    free: BinaryHeap<Reverse<u32>>,
}

// === impl IdAlloc ===

impl IdAlloc {
    /// Takes the lowest free number, at most `max`, for `slot`.
    pub(super) fn take(&mut self, slot: u32, max: u32) -> Option<u32> {
        if let Some(&Reverse(id)) = self.free.peek() {
            if id > max {
                return None;
            }
            self.free.pop();
            self.used[id as usize] = slot;
            return Some(id);
        }
        let id = u32::try_from(self.used.len()).ok().filter(|&id| id <= max)?;
        self.used.push(slot);
        Some(id)
    }

    /// Gives back a number.
    pub(super) fn release(&mut self, id: u32) {
        let Some(slot) = self.used.get_mut(id as usize) else { return };
        if *slot == VACANT {
            return;
        }
        *slot = VACANT;
        self.free.push(Reverse(id));
        if self.free.len() == self.used.len() {
            *self = Self::default();
        }
    }

    /// The slots in use.
    pub(super) fn slots(&self) -> impl Iterator<Item = u32> + '_ {
        self.used.iter().copied().filter(|&slot| slot != VACANT)
    }
}

/// What is left of a peer's grant of `granted` from its count `theirs` on, now that ours is `ours`. Counts are serial
/// numbers (RFC 1982), the grant is not: it may be any. A count ahead of ours is nonsense and taken for ours.
#[inline]
pub(super) const fn left_of_grant(granted: u32, theirs: u32, ours: u32) -> u32 {
    let used = ours.wrapping_sub(theirs);
    if used < 0x8000_0000 { granted.saturating_sub(used) } else { granted }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lowest_number_first() {
        let mut alloc = IdAlloc::default();
        assert_eq!(
            [alloc.take(9, 2), alloc.take(8, 2), alloc.take(7, 2), alloc.take(6, 2)],
            [Some(0), Some(1), Some(2), None]
        );
        alloc.release(1);
        alloc.release(0);
        alloc.release(0);
        assert_eq!([alloc.take(5, 2), alloc.take(4, 2), alloc.take(3, 2)], [Some(0), Some(1), None]);
        assert_eq!(alloc.slots().collect::<Vec<_>>(), [5, 4, 7]);
    }

    #[test]
    fn large_numbers_take_no_large_table() {
        let mut map = IdMap::default();
        map.insert(0x7fff_ffff, 3);
        map.insert(2, 4);
        assert_eq!((map.get(0x7fff_ffff), map.get(2), map.get(1), map.get(300)), (Some(3), Some(4), None, None));
        map.remove(2);
        map.remove(0x7fff_ffff);
        assert_eq!((map.get(0x7fff_ffff), map.get(2)), (None, None));
        assert!(map.dense.len() <= 3);
    }

    #[test]
    fn grants_are_any_number() {
        assert_eq!([left_of_grant(5, 7, 9), left_of_grant(5, 7, 12), left_of_grant(5, 7, 13)], [3, 0, 0]);
        assert_eq!(left_of_grant(5, u32::MAX - 1, 1), 2);
        assert_eq!([left_of_grant(u32::MAX, 0, 3), left_of_grant(0x8000_0000, 0, 0)], [u32::MAX - 3, 0x8000_0000]);
        assert_eq!([left_of_grant(5, 9, 7), left_of_grant(u32::MAX, 9, 7)], [5, u32::MAX]);
    }
}
