//! Tables of core objects: a slab whose ids carry a serial number, and lists threaded through it.
//!
//! A [`Slot`] names a place in the table of one kind of objects and costs no check of its own: whoever keeps one answers
//! for it that the object lives. Ports are given ids instead, which tell a stale place from a live one.

use slab::Slab;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::marker::PhantomData;

/// A place in the table of the objects of type `T`.
pub(crate) struct Slot<T> {
    index: u32,
    of: PhantomData<fn() -> T>,
}

/// Links of an object in a doubly linked list.
#[derive(Debug)]
pub(crate) struct Hook<T> {
    prev: Slot<T>,
    next: Slot<T>,
}

/// The ends and the length of a list.
#[derive(Debug)]
pub(crate) struct List<T> {
    head: Slot<T>,
    tail: Slot<T>,
    len: u32,
}

/// What an object is called outside of its table: its slot, and a serial number that is never used again.
pub(crate) trait Identity<T>: Copy {
    fn new(slot: Slot<T>, number: u32) -> Self;
    fn slot(self) -> Slot<T>;
    fn number(self) -> u32;
}

/// An object that knows what it is called.
pub(crate) trait Entry: Sized {
    type Id: Identity<Self> + PartialEq;

    fn id(&self) -> Self::Id;
}

/// An object with a list hook. An object is in at most one list.
pub(crate) trait Listed: Sized {
    fn hook(&mut self) -> &mut Hook<Self>;
}

/// A slab whose entries are told apart over time by their serial number.
#[derive(Debug)]
pub(crate) struct Table<T> {
    slab: Slab<T>,
    last_number: u32,
}

/// Says what the objects of a type are called.
macro_rules! entry {
    ($type:ident, $id:ident) => {
        impl $crate::core::table::Entry for $type {
            type Id = $id;

            fn id(&self) -> $id {
                self.id
            }
        }
    };
}

/// Says that the objects of a type are in lists.
macro_rules! listed {
    ($type:ident) => {
        impl $crate::core::table::Listed for $type {
            fn hook(&mut self) -> &mut $crate::core::table::Hook<Self> {
                &mut self.hook
            }
        }
    };
}

pub(super) use {entry, listed};

// === impl Slot ===

impl<T> Slot<T> {
    /// End of a list, or not in a list.
    const NONE: Self = Self::at(u32::MAX);

    const fn at(index: u32) -> Self {
        Self { index, of: PhantomData }
    }

    fn some(self) -> Option<Self> {
        (self != Self::NONE).then_some(self)
    }

    const fn index(self) -> usize {
        self.index as usize
    }

    /// The slot as a number that leaves the core and comes back.
    pub(crate) const fn to_bits(self) -> u32 {
        self.index
    }

    /// The reverse of [`Self::to_bits`]. Of other numbers nothing is known.
    pub(crate) const fn from_bits(bits: u32) -> Self {
        Self::at(bits)
    }
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Slot<T> {}

impl<T> PartialEq for Slot<T> {
    fn eq(&self, other: &Self) -> bool {
        self.index == other.index
    }
}

impl<T> Eq for Slot<T> {}

impl<T> PartialOrd for Slot<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Slot<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.index.cmp(&other.index)
    }
}

impl<T> std::hash::Hash for Slot<T> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.index.hash(state);
    }
}

impl<T> fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.index.fmt(f)
    }
}

// === impl Hook ===

impl<T> Hook<T> {
    /// The object after this one.
    pub(crate) fn next(&self) -> Option<Slot<T>> {
        self.next.some()
    }
}

impl<T> Default for Hook<T> {
    fn default() -> Self {
        Self { prev: Slot::NONE, next: Slot::NONE }
    }
}

// === impl List ===

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { head: Slot::NONE, tail: Slot::NONE, len: 0 }
    }
}

impl<T> List<T> {
    pub(crate) fn head(&self) -> Option<Slot<T>> {
        self.head.some()
    }

    pub(crate) const fn len(&self) -> u32 {
        self.len
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<T: Listed> List<T> {
    pub(crate) fn push_back(&mut self, table: &mut Table<T>, slot: Slot<T>) {
        *table[slot].hook() = Hook { prev: self.tail, next: Slot::NONE };
        match self.tail.some() {
            Some(tail) => table[tail].hook().next = slot,
            None => self.head = slot,
        }
        self.tail = slot;
        self.len += 1;
    }

    /// Takes `slot` out; it must be in this list.
    pub(crate) fn remove(&mut self, table: &mut Table<T>, slot: Slot<T>) {
        let Hook { prev, next } = std::mem::take(table[slot].hook());
        match prev.some() {
            Some(prev) => table[prev].hook().next = next,
            None => self.head = next,
        }
        match next.some() {
            Some(next) => table[next].hook().prev = prev,
            None => self.tail = prev,
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
    pub(crate) fn remove(&mut self, slot: Slot<T>) -> Option<T> {
        self.slab.try_remove(slot.index())
    }

    /// The serial number that was given last.
    pub(crate) const fn last_number(&self) -> u32 {
        self.last_number
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slab.iter().map(|(_, t)| t)
    }

    /// The objects with their slots.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (Slot<T>, &T)> {
        self.slab.iter().map(|(index, t)| (Slot::at(index as u32), t))
    }

    /// The object at a place, one of [`Self::places`].
    pub(crate) fn at(&self, place: u32) -> Option<Slot<T>> {
        self.slab.contains(place as usize).then(|| Slot::at(place))
    }

    /// Places that objects may be at.
    pub(crate) fn places(&self) -> u32 {
        self.slab.capacity() as u32
    }

    pub(crate) fn slots(&self) -> Vec<Slot<T>> {
        self.entries().map(|(slot, _)| slot).collect()
    }

    pub(crate) fn get(&self, slot: Slot<T>) -> Option<&T> {
        self.slab.get(slot.index())
    }

    pub(crate) fn get_mut(&mut self, slot: Slot<T>) -> Option<&mut T> {
        self.slab.get_mut(slot.index())
    }

    /// Gives unused room back when the table has become much larger than its content, as far as it is at the end.
    pub(crate) fn shrink(&mut self) {
        if is_mostly_empty(self.slab.len(), self.slab.capacity()) {
            self.slab.shrink_to_fit();
        }
    }

    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.slab.capacity()
    }
}

impl<T: Entry> Table<T> {
    /// Stores what `make` builds of its id.
    pub(crate) fn insert_with(&mut self, make: impl FnOnce(T::Id) -> T) -> Slot<T> {
        // Serial numbers wrap after four thousand million objects; zero stays unused.
        self.last_number = self.last_number.checked_add(1).unwrap_or(1);
        let entry = self.slab.vacant_entry();
        let slot = Slot::at(entry.key() as u32);
        entry.insert(make(T::Id::new(slot, self.last_number)));
        slot
    }

    /// The slot of the object with this id, if it still lives.
    pub(crate) fn find(&self, id: T::Id) -> Option<Slot<T>> {
        let slot = id.slot();
        self.get(slot).filter(|t| t.id().number() == id.number()).map(|_| slot)
    }
}

impl<T> std::ops::Index<Slot<T>> for Table<T> {
    type Output = T;

    fn index(&self, slot: Slot<T>) -> &T {
        &self.slab[slot.index()]
    }
}

impl<T> std::ops::IndexMut<Slot<T>> for Table<T> {
    fn index_mut(&mut self, slot: Slot<T>) -> &mut T {
        &mut self.slab[slot.index()]
    }
}

/// Gives unused room back when a map has become much larger than its content.
pub(super) fn shrink_map<K: Eq + Hash, V, S: BuildHasher>(map: &mut HashMap<K, V, S>) {
    if is_mostly_empty(map.len(), map.capacity()) {
        map.shrink_to_fit();
    }
}

const fn is_mostly_empty(len: usize, capacity: usize) -> bool {
    capacity > 256 && len < capacity / 4
}
