//! How the routers of a network and the neighbours among them are numbered, and sets of such numbers.
//!
//! The mesh gives the numbers out; who is told of a router is told its number, and what is kept per router is kept by
//! it. How many there can be, and how a set of them is stored, is known here alone.

use std::marker::PhantomData;

/// Routers that can be told apart, this one included; neighbours that can be; at most. The C router's limit is
/// [`LISTED_ROUTERS`].
pub const MAX_ROUTERS: usize = 1024;

/// Lists that have a place for each router, as management shows them, have at least so many, as the C router's have.
pub const LISTED_ROUTERS: usize = 128;

/// A place in one of the numberings.
pub trait Index: Copy + Eq {
    /// The place with this number, if it is below [`MAX_ROUTERS`].
    fn new(number: usize) -> Option<Self>;

    /// Its number, below [`MAX_ROUTERS`].
    fn get(self) -> usize;
}

/// A router of the network, as this router numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct NodeIndex(u16);

/// A neighbour router, as this router numbers the control connections to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NeighbourIndex(u16);

/// A set of places in a numbering. One without places from [`LOW`] on has no memory of its own.
#[derive(Clone, PartialEq, Eq)]
pub struct IndexSet<I> {
    low: u128,
    /// Places from [`LOW`] on; the last word is not zero.
    high: Option<Box<[u64]>>,
    of: PhantomData<I>,
}

/// Places that a set has room for in itself.
const LOW: usize = 128;
/// Places in a word of those above.
const WORD: usize = 64;

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
                if number < MAX_ROUTERS { Some(Self(number as u16)) } else { None }
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
    pub const EMPTY: Self = Self { low: 0, high: None, of: PhantomData };

    /// Adds an index.
    pub fn insert(&mut self, index: I) {
        match place(index) {
            Place::Low(bit) => self.low |= bit,
            Place::High(word, bit) => {
                let high = self.high.get_or_insert_default();
                if high.len() <= word {
                    let mut longer = std::mem::take(high).into_vec();
                    longer.resize(word + 1, 0);
                    *high = longer.into();
                }
                high[word] |= bit;
            }
        }
    }

    /// Takes an index out.
    pub fn remove(&mut self, index: I) {
        match place(index) {
            Place::Low(bit) => self.low &= !bit,
            Place::High(word, bit) => {
                let Some(at) = self.high.as_mut().and_then(|high| high.get_mut(word)) else { return };
                *at &= !bit;
                self.trim();
            }
        }
    }

    fn trim(&mut self) {
        let high = self.high();
        let used = high.iter().rposition(|word| *word != 0).map_or(0, |last| last + 1);
        if used < high.len() {
            self.high = (used > 0).then(|| high[..used].into());
        }
    }

    /// Adds an index, or takes it out.
    pub fn set(&mut self, index: I, present: bool) {
        if present { self.insert(index) } else { self.remove(index) }
    }

    /// Whether the index is in the set.
    #[must_use]
    pub fn contains(&self, index: I) -> bool {
        match place(index) {
            Place::Low(bit) => self.low & bit != 0,
            Place::High(word, bit) => self.high().get(word).is_some_and(|at| at & bit != 0),
        }
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.low == 0 && self.high.is_none()
    }

    /// How many are in the set.
    #[must_use]
    pub fn len(&self) -> usize {
        let high: u32 = self.high().iter().map(|word| word.count_ones()).sum();
        (self.low.count_ones() + high) as usize
    }

    /// How many are in both sets.
    #[must_use]
    pub fn common(&self, other: &Self) -> usize {
        let high: u32 = self.high().iter().zip(other.high()).map(|(a, b)| (a & b).count_ones()).sum();
        ((self.low & other.low).count_ones() + high) as usize
    }

    /// The only member, if there is exactly one.
    #[must_use]
    pub fn sole(&self) -> Option<I> {
        self.iter().next().filter(|_| self.len() == 1)
    }

    /// The lowest index that is not in the set, if there is one.
    #[must_use]
    pub fn first_absent(&self) -> Option<I> {
        if self.low != u128::MAX {
            return I::new(self.low.trailing_ones() as usize);
        }
        let word = self.high().iter().position(|word| *word != u64::MAX).unwrap_or(self.high().len());
        let within = self.high().get(word).map_or(0, |word| word.trailing_ones() as usize);
        I::new(LOW + word * WORD + within)
    }

    /// The members in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = I> + use<'_, I> {
        let high = self.high().iter().enumerate().flat_map(|(at, word)| bits((*word).into(), LOW + at * WORD));
        bits(self.low, 0).chain(high).filter_map(I::new)
    }

    fn high(&self) -> &[u64] {
        self.high.as_deref().unwrap_or_default()
    }
}

/// Where a place is in a set.
enum Place {
    /// A bit of the low word.
    Low(u128),
    /// Which of the words above, and which bit of it.
    High(usize, u64),
}

fn place<I: Index>(index: I) -> Place {
    match index.get().checked_sub(LOW) {
        None => Place::Low(1 << index.get()),
        Some(above) => Place::High(above / WORD, 1 << (above % WORD)),
    }
}

/// The numbers of the bits that are set, from `base` on.
fn bits(mut word: u128, base: usize) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = (word != 0).then(|| word.trailing_zeros() as usize)?;
        word &= word - 1;
        Some(base + lowest)
    })
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
    use std::collections::BTreeSet;

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
    fn sets_are_equal_whatever_they_once_had() {
        let mut set: NodeSet = [at(1), at(LOW), at(LOW + WORD), at(MAX_ROUTERS - 1)].into();
        set.remove(at(MAX_ROUTERS - 1));
        assert_eq!(set, [at(LOW + WORD), at(LOW), at(1)].into());
        set.remove(at(LOW));
        assert_eq!(set, [at(LOW + WORD), at(1)].into());
        set.remove(at(LOW + WORD));
        set.remove(at(LOW + WORD));
        assert_eq!((set.sole(), set.is_empty()), (Some(at(1)), false));
        set.remove(at(1));
        assert!(set.is_empty());
        assert_eq!(set, NodeSet::EMPTY);
    }

    #[test]
    fn sets_do_as_sets_of_numbers_do() {
        let mut rng = crate::rng::SplitMix64::new(7);
        let (mut sets, mut plain) = ([NodeSet::EMPTY, NodeSet::EMPTY], [BTreeSet::new(), BTreeSet::new()]);
        for _ in 0..5000 {
            let (which, number) = (rng.below(2) as usize, rng.below(MAX_ROUTERS as u64) as usize);
            let present = rng.below(3) > 0;
            sets[which].set(at(number), present);
            if present {
                plain[which].insert(number)
            } else {
                plain[which].remove(&number)
            };
            assert!(sets[which].iter().map(NodeIndex::get).eq(plain[which].iter().copied()));
            assert_eq!(sets[which].len(), plain[which].len());
            assert_eq!(sets[which].contains(at(number)), present);
            assert_eq!(sets[0].common(&sets[1]), plain[0].intersection(&plain[1]).count());
            let absent = (0..).find(|number| !plain[which].contains(number)).and_then(NodeIndex::new);
            assert_eq!(sets[which].first_absent(), absent);
        }
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
