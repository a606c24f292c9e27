//! `allocator`: use of memory by one kind of object.

use super::{EntityKind, identity};
use crate::attributes::Attributes;
use crate::schema::EntityDef;
use crate::schema::attribute::{gauge, number, text};

static DEF: EntityDef = EntityDef {
    name: "allocator",
    description: "Use of memory by one kind of object.",
    attributes: &[
        text("typeName", "The kind of object."),
        number("typeSize", "Octets per object."),
        number("transferBatchSize", "Objects moved at a time."),
        gauge("localFreeListMax", "Free objects that a thread keeps at most."),
        gauge("globalFreeListMax", "Free objects that are kept at most in all."),
        gauge("totalAllocFromHeap", "Objects allocated so far."),
        gauge("totalFreeToHeap", "Objects freed so far."),
        gauge("heldByThreads", "Objects in use or kept by threads."),
        gauge("batchesRebalancedToThreads", "Batches moved to threads."),
        gauge("batchesRebalancedToGlobal", "Batches moved from threads."),
    ],
    ..EntityDef::OPERATIONAL
};

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    fn def(&self) -> &'static EntityDef {
        &DEF
    }

    fn own_id(&self, attributes: &Attributes) -> Option<String> {
        Some(identity::of(attributes, "typeName"))
    }
}
