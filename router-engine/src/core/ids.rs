//! Identifiers of core objects: a slot to find the object and a number that is never reused.

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name {
            /// Index into the table that holds the object.
            pub slot: u32,
            /// Serial number, from 1, never reused within a process; tells a stale id from a live one.
            pub number: u32,
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
    ConnId
);
id!(
    /// A link; its number is what logs show as `[L<n>]`.
    LinkId
);
id!(
    /// A delivery that came in on a link.
    InId
);
id!(
    /// A delivery that goes out on a link: one copy of an incoming delivery.
    OutId
);

// === impl OutId ===

impl OutId {
    /// Whether this was numbered after `number` was, when `last` is the newest number. Numbers begin anew after four
    /// thousand million.
    pub(crate) const fn is_after(self, number: u32, last: u32) -> bool {
        last.wrapping_sub(self.number) < last.wrapping_sub(number)
    }
}
