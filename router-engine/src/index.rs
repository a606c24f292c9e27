//! How the routers of a network and the neighbours among them are numbered, and sets of such numbers.
//!
//! The mesh gives the numbers out; who is told of a router is told its number, and what is kept per router is kept by
//! it. How many there can be, and how a set of them is stored, is known here alone.

use std::marker::PhantomData;

/// Routers that can be told apart, this one included; neighbours that can be; at most.
pub const MAX_ROUTERS: usize = 128;

/// A place in one of the numberings.
pub trait Index: Copy + Eq {
    /// The place with this number, if it is below [`MAX_ROUTERS`].
    fn new(number: usize) -> Option<Self>;

    /// Its number, below [`MAX_ROUTERS`].
    fn get(self) -> usize;
}

/// A router of the network, as this router numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct NodeIndex(u8);

/// A neighbour router, as this router numbers the control connections to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NeighbourIndex(u8);

/// A set of places in a numbering.
#[derive(Clone, PartialEq, Eq)]
pub struct IndexSet<I> {
    bits: u128,
    of: PhantomData<I>,
}

/// A set of routers.
pub type NodeSet = IndexSet<NodeIndex>;

/// A set of neighbours.
pub type NeighbourSet = IndexSet<NeighbourIndex>;

macro_rules! index {
    ($name:ident) => {
        impl $name {
            /// The place with this number, if it is below [`MAX_ROUTERS`].
            #[must_use]
            pub const fn new(number: usize) -> Option<Self> {
                if number < MAX_ROUTERS { Some(Self(number as u8)) } else { None }
            }

            /// Its number, below [`MAX_ROUTERS`].
            #[must_use]
            pub const fn get(self) -> usize {
                self.0 as usize
            }
        }

        #[cfg(test)]
        impl $name {
            /// The place with this number, which must be below [`MAX_ROUTERS`].
            pub(crate) const fn at(number: usize) -> Self {
                Self::new(number).expect("below the limit")
            }
        }

        impl Index for $name {
            fn new(number: usize) -> Option<Self> {
                Self::new(number)
            }

            fn get(self) -> usize {
                self.get()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

index!(NodeIndex);
index!(NeighbourIndex);

// === impl NodeIndex ===

impl NodeIndex {
    /// This router.
    pub const OWN: Self = Self(0);
}

// === impl IndexSet ===

impl<I: Index> IndexSet<I> {
    /// The empty set.
    pub const EMPTY: Self = Self { bits: 0, of: PhantomData };

    /// Adds an index.
    pub fn insert(&mut self, index: I) {
        self.bits |= bit(index);
    }

    /// Takes an index out.
    pub fn remove(&mut self, index: I) {
        self.bits &= !bit(index);
    }

    /// Adds an index, or takes it out.
    pub fn set(&mut self, index: I, present: bool) {
        if present { self.insert(index) } else { self.remove(index) }
    }

    /// Whether the index is in the set.
    #[must_use]
    pub fn contains(&self, index: I) -> bool {
        self.bits & bit(index) != 0
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bits == 0
    }

    /// How many are in the set.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bits.count_ones() as usize
    }

    /// How many are in both sets.
    #[must_use]
    pub const fn common(&self, other: &Self) -> usize {
        (self.bits & other.bits).count_ones() as usize
    }

    /// The only member, if there is exactly one.
    #[must_use]
    pub fn sole(&self) -> Option<I> {
        self.iter().next().filter(|_| self.len() == 1)
    }

    /// The lowest index that is not in the set, if there is one.
    #[must_use]
    pub fn first_absent(&self) -> Option<I> {
        I::new(self.bits.trailing_ones() as usize)
    }

    /// The members in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = I> + use<I> {
        let mut bits = self.bits;
        std::iter::from_fn(move || {
            let lowest = I::new(bits.trailing_zeros() as usize)?;
            bits &= bits - 1;
            Some(lowest)
        })
    }
}

fn bit<I: Index>(index: I) -> u128 {
    1 << index.get()
}

impl<I: Index> Default for IndexSet<I> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<I: Index> FromIterator<I> for IndexSet<I> {
    fn from_iter<T: IntoIterator<Item = I>>(members: T) -> Self {
        let mut set = Self::EMPTY;
        members.into_iter().for_each(|index| set.insert(index));
        set
    }
}

impl<I: Index, const N: usize> From<[I; N]> for IndexSet<I> {
    fn from(members: [I; N]) -> Self {
        members.into_iter().collect()
    }
}

impl<I: Index + std::fmt::Debug> std::fmt::Debug for IndexSet<I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(number: usize) -> NodeIndex {
        NodeIndex::at(number)
    }

    #[test]
    fn numbers_end_at_the_limit() {
        assert_eq!(NodeIndex::new(MAX_ROUTERS), None);
        assert_eq!(at(MAX_ROUTERS - 1).get(), MAX_ROUTERS - 1);
    }

    #[test]
    fn sets_have_what_was_put_in() {
        let mut set: NodeSet = [at(5), at(0), at(MAX_ROUTERS - 1)].into();
        assert_eq!(set.iter().map(NodeIndex::get).collect::<Vec<_>>(), [0, 5, MAX_ROUTERS - 1]);
        assert_eq!((set.len(), set.contains(at(5)), set.contains(at(6)), set.sole()), (3, true, false, None));
        assert_eq!(set.common(&[at(5), at(6)].into()), 1);
        set.remove(at(0));
        set.set(at(5), false);
        assert_eq!(set.sole(), Some(at(MAX_ROUTERS - 1)));
        set.remove(at(MAX_ROUTERS - 1));
        assert!(set.is_empty() && set.sole().is_none());
    }

    #[test]
    fn a_full_set_has_no_place_left() {
        let mut set = NeighbourSet::EMPTY;
        for number in 0..MAX_ROUTERS {
            let free = set.first_absent().expect("a place");
            assert_eq!(free.get(), number);
            set.insert(free);
        }
        assert_eq!(set.first_absent(), None);
        assert_eq!(set.iter().count(), MAX_ROUTERS);
    }
}
