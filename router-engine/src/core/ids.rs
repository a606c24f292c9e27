//! Identifiers of core objects: a slot to find the object and a number that is never reused.

use super::deliveries::{IncomingDelivery, OutgoingDelivery};
use super::objects::{Address, Conn, Link};
use super::plane::edge::EdgePeer;
use super::table::{Identity, Slot};

macro_rules! id {
    ($(#[$doc:meta])* $visibility:vis $name:ident of $object:ty) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        $visibility struct $name {
            /// Serial number, from 1, never reused within a process; tells a stale id from a live one.
            pub number: u32,
            /// The place in the table that holds the object.
            slot: Slot<$object>,
        }

        impl Identity<$object> for $name {
            fn new(slot: Slot<$object>, number: u32) -> Self {
                Self { number, slot }
            }

            fn slot(self) -> Slot<$object> {
                self.slot
            }

            fn number(self) -> u32 {
                self.number
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.number.fmt(f)
            }
        }

        impl From<$name> for u64 {
            fn from(id: $name) -> Self {
                id.number.into()
            }
        }
    };
}

id!(
    /// A connection; its number is what logs show as `[C<n>]` and what `qd.conn-id` carries.
    pub ConnId of Conn
);
id!(
    /// A link; its number is what logs show as `[L<n>]`.
    pub LinkId of Link
);
id!(
    /// An edge router that an edge router is connected to.
    pub(crate) EdgePeerId of EdgePeer
);
id!(
    /// An address record.
    pub(crate) AddressId of Address
);
id!(
    /// A delivery that came in on a link.
    pub InId of IncomingDelivery
);
id!(
    /// A delivery that goes out on a link: one copy of an incoming delivery.
    pub OutId of OutgoingDelivery
);

#[cfg(test)]
impl ConnId {
    /// An id of no connection.
    pub(crate) const fn made_up(number: u32) -> Self {
        Self { number, slot: Slot::from_bits(0) }
    }
}

#[cfg(test)]
impl LinkId {
    /// An id of no link.
    pub(crate) const fn made_up(number: u32) -> Self {
        Self { number, slot: Slot::from_bits(number) }
    }
}

macro_rules! token {
    ($name:ident) => {
        impl $name {
            /// The id as one number, for who keeps it and gives it back.
            pub(crate) const fn to_bits(self) -> u64 {
                (self.slot.to_bits() as u64) << 32 | self.number as u64
            }

            /// The reverse of [`Self::to_bits`].
            pub(crate) const fn from_bits(bits: u64) -> Self {
                Self { slot: Slot::from_bits((bits >> 32) as u32), number: (bits & 0xffff_ffff) as u32 }
            }
        }
    };
}

token!(InId);
token!(OutId);

// === impl OutId ===

impl OutId {
    /// Whether this was numbered after `number` was, when `last` is the newest number. Numbers begin anew after four
    /// thousand million.
    pub(crate) const fn is_after(self, number: u32, last: u32) -> bool {
        last.wrapping_sub(self.number) < last.wrapping_sub(number)
    }
}
