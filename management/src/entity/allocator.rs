//! `allocator`: use of memory by one kind of object.

use super::EntityKind;
use super::column::{self, Column, counter};
use crate::attributes::Attributes;
use crate::runtime::{Runtime, now};
use crate::schema::attribute::{gauge, number, text};
use crate::schema::{EntityDef, Identity, Origin};

pub(super) static DEF: EntityDef = EntityDef {
    name: "allocator",
    identity: Identity::Attribute("typeName"),
    origin: Origin::Reported { rank: 1 },
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

/// A kind of object.
struct Pool {
    name: &'static str,
    /// Octets of one.
    size: u64,
    /// How many there are.
    used: usize,
}

const COLUMNS: &[Column<Pool>] = &[
    ("typeName", |pool| pool.name.into()),
    ("typeSize", |pool| counter(pool.size)),
    ("transferBatchSize", |_| counter(64)),
    ("localFreeListMax", |_| counter(128)),
    ("globalFreeListMax", |_| (-1_i64).into()),
    ("totalAllocFromHeap", |pool| counter(pool.used as u64)),
    ("totalFreeToHeap", |_| counter(0)),
    ("heldByThreads", |pool| counter(pool.used as u64)),
    ("batchesRebalancedToThreads", |_| counter(0)),
    ("batchesRebalancedToGlobal", |_| counter(0)),
];

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    /// Memory is not pooled by type here; what tools expect is shown from the tables of the core.
    fn instances(&self, runtime: &Runtime) -> Vec<Attributes> {
        let Some(router) = runtime.router() else { return Vec::new() };
        let row = router.router_row(now());
        let pools = [
            Pool { name: "qdr_address_t", size: 400, used: row.addresses },
            Pool { name: "qdr_link_t", size: 300, used: row.links },
            Pool { name: "qdr_connection_t", size: 500, used: row.connections },
            Pool { name: "qd_buffer_t", size: 4096, used: 0 },
        ];
        pools.iter().map(|pool| column::shown(COLUMNS, pool)).collect()
    }
}
