//! `allocator`: use of memory by one kind of object.

use super::EntityKind;
use super::column::{self, Column, counter};
use crate::attributes::Attributes;
use crate::runtime::{Runtime, now};
use crate::schema::attribute::{gauge, number, text};
use crate::schema::{EntityDef, Identity, Origin};
use adaptors::pool;
use router_engine::core::snapshot::{ObjectSizes, RouterRow};

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
pub(crate) struct Pool {
    pub(crate) name: &'static str,
    /// Octets of one.
    pub(crate) size: usize,
    /// How many are in use.
    pub(crate) used: usize,
    /// How many there are.
    pub(crate) total: usize,
}

/// Octets that count as one buffer.
const BUFFER: usize = 4096;

const COLUMNS: &[Column<Pool>] = &[
    ("typeName", |pool| pool.name.into()),
    ("typeSize", |pool| counter(pool.size as u64)),
    ("transferBatchSize", |_| counter(64)),
    ("localFreeListMax", |_| counter(128)),
    ("globalFreeListMax", |_| (-1_i64).into()),
    ("totalAllocFromHeap", |pool| counter(pool.total as u64)),
    ("totalFreeToHeap", |_| counter(0)),
    ("heldByThreads", |pool| counter(pool.used as u64)),
    ("batchesRebalancedToThreads", |_| counter(0)),
    ("batchesRebalancedToGlobal", |_| counter(0)),
];

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    fn instances(&self, runtime: &Runtime) -> Vec<Attributes> {
        let row = runtime.router().map(|router| router.router_row(now()));
        row.iter().flat_map(pools).map(|pool| column::shown(COLUMNS, &pool)).collect()
    }
}

/// The use of memory. It is not pooled by type here; what tools expect is shown from the tables of the core. Batches and
/// free lists of threads, which there are none of, have the usual figures: tools and checks for leaks reckon with them.
pub(crate) fn pools(row: &RouterRow) -> Vec<Pool> {
    let sizes = ObjectSizes::OURS;
    let objects = [
        ("qdr_address_t", sizes.address, row.addresses),
        ("qdr_link_t", sizes.link, row.links),
        ("qdr_connection_t", sizes.connection, row.connections),
        // Every peer keeps a list of what the core is to do for it.
        ("qdr_action_t", sizes.action, row.peers),
        ("qdr_delivery_t", sizes.outgoing, row.incoming + row.outgoing),
        ("qd_message_t", sizes.incoming, row.incoming),
    ];
    let objects = objects.map(|(name, size, used)| Pool { name, size, used, total: used });
    let used = pool::held().div_ceil(BUFFER);
    let total = pool::octets().div_ceil(BUFFER).max(used);
    let buffers = Pool { name: "qd_buffer_t", size: BUFFER, used, total };
    objects.into_iter().chain([buffers]).collect()
}
