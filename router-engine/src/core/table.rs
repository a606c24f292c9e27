//! Tables of core objects: a slab whose ids carry a serial number, and lists threaded through it.

use slab::Slab;

/// End of a list, or not in a list.
pub(crate) const NONE: u32 = u32::MAX;

/// Links of an object in a doubly linked list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hook {
    prev: u32,
    next: u32,
}

/// The ends and the length of a list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct List {
    head: u32,
    tail: u32,
    len: u32,
}

/// An object that knows its serial number.
pub(crate) trait Entry {
    fn serial(&self) -> u32;
}

/// An object with a list hook. An object is in at most one list.
pub(crate) trait Listed {
    fn hook(&mut self) -> &mut Hook;
}

/// A slab whose entries are told apart over time by their serial number.
#[derive(Debug)]
pub(crate) struct Table<T> {
    slab: Slab<T>,
    last_number: u32,
}

// === impl Hook ===

impl Hook {
    /// The object after this one.
    pub(crate) fn next(self) -> Option<u32> {
        (self.next != NONE).then_some(self.next)
    }
}

impl Default for Hook {
    fn default() -> Self {
        Self { prev: NONE, next: NONE }
    }
}

// === impl List ===

impl Default for List {
    fn default() -> Self {
        Self { head: NONE, tail: NONE, len: 0 }
    }
}

impl List {
    pub(crate) fn head(&self) -> Option<u32> {
        (self.head != NONE).then_some(self.head)
    }

    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn push_back<T: Listed>(&mut self, table: &mut Table<T>, slot: u32) {
        *table.hook(slot) = Hook { prev: self.tail, next: NONE };
        if self.tail == NONE {
            self.head = slot;
        } else {
            table.hook(self.tail).next = slot;
        }
        self.tail = slot;
        self.len += 1;
    }

    /// Takes `slot` out; it must be in this list.
    pub(crate) fn remove<T: Listed>(&mut self, table: &mut Table<T>, slot: u32) {
        let Hook { prev, next } = std::mem::take(table.hook(slot));
        if prev == NONE {
            self.head = next
        } else {
            table.hook(prev).next = next
        }
        if next == NONE {
            self.tail = prev
        } else {
            table.hook(next).prev = prev
        }
        self.len -= 1;
    }
}

// === impl Table ===

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { slab: Slab::new(), last_number: 0 }
    }
}

impl<T> Table<T> {
    /// Stores what `make` builds from the slot and the new serial number.
    pub(crate) fn insert_with(&mut self, make: impl FnOnce(u32, u32) -> T) -> u32 {
        // Serial numbers wrap after four thousand million objects; zero stays unused.
        self.last_number = self.last_number.checked_add(1).unwrap_or(1);
        let entry = self.slab.vacant_entry();
        let slot = entry.key() as u32;
        entry.insert(make(slot, self.last_number));
        slot
    }

    pub(crate) fn remove(&mut self, slot: u32) -> Option<T> {
        self.slab.try_remove(slot as usize)
    }

    /// The serial number that was given last.
    pub(crate) fn last_number(&self) -> u32 {
        self.last_number
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slab.iter().map(|(_, t)| t)
    }

    /// The objects with their slots.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (u32, &T)> {
        self.slab.iter().map(|(slot, t)| (slot as u32, t))
    }

    pub(crate) fn slots(&self) -> Vec<u32> {
        self.slab.iter().map(|(slot, _)| slot as u32).collect()
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&T> {
        self.slab.get(slot as usize)
    }

    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.slab.get_mut(slot as usize)
    }

    /// Gives unused room back when the table has become much larger than its content.
    pub(crate) fn shrink(&mut self) {
        if self.slab.capacity() > 256 && self.slab.len() < self.slab.capacity() / 4 {
            self.slab.shrink_to_fit();
        }
    }
}

impl<T: Entry> Table<T> {
    /// The slot of the live object with this slot and number, if it still lives.
    pub(crate) fn find(&self, slot: u32, number: u32) -> Option<u32> {
        self.slab.get(slot as usize).filter(|t| t.serial() == number).map(|_| slot)
    }
}

impl<T: Listed> Table<T> {
    fn hook(&mut self, slot: u32) -> &mut Hook {
        self.slab[slot as usize].hook()
    }
}

impl<T> std::ops::Index<u32> for Table<T> {
    type Output = T;

    fn index(&self, slot: u32) -> &T {
        &self.slab[slot as usize]
    }
}

impl<T> std::ops::IndexMut<u32> for Table<T> {
    fn index_mut(&mut self, slot: u32) -> &mut T {
        &mut self.slab[slot as usize]
    }
}
