//! Live attributes of configuration entities, and entities that come and go by themselves.

use super::{Runtime, now};
use crate::attributes::Attributes;
use crate::entity::vhost::Known;
use amqp_core::Value;
use amqp_core::value::Map;
use router_engine::core::Mode;
use router_engine::core::nodes::NodeRow;
use std::time::{SystemTime, UNIX_EPOCH};

fn counter(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

// === impl Runtime ===

impl Runtime {
    /// As with the policy: nothing is counted yet.
    pub(super) fn vhost_stats(&self) -> Vec<Attributes> {
        let row = |name: &String| {
            let mut attributes = Attributes::new().with("hostname", name.as_str());
            for counter in ["connectionsApproved", "connectionsDenied", "connectionsCurrent"] {
                attributes.set(counter, 0_i64);
            }
            for state in ["perUserState", "perHostState"] {
                attributes.set(state, Map::new());
            }
            for counter in ["sessionDenied", "senderDenied", "receiverDenied", "maxMessageSizeDenied"] {
                attributes.set(counter, 0_i64);
            }
            attributes
        };
        self.objects.get::<Known>("").into_iter().flat_map(|known| &known.0).map(row).collect()
    }

    pub(super) fn nodes(&self) -> Vec<Attributes> {
        if self.mode() != Mode::Interior {
            return Vec::new();
        }
        let rows = self.router().map(|r| r.node_rows(now())).unwrap_or_default();
        rows.into_iter().map(node).collect()
    }

    /// Memory is not pooled by type here; what tools expect is shown from the tables of the core.
    pub(super) fn allocators(&self) -> Vec<Attributes> {
        let Some(router) = self.router() else { return Vec::new() };
        let row = router.router_row(now());
        let pools = [
            ("qdr_address_t", 400, row.addresses),
            ("qdr_link_t", 300, row.links),
            ("qdr_connection_t", 500, row.connections),
            ("qd_buffer_t", 4096, 0),
        ];
        pools.into_iter().map(|(name, size, used)| pool(name, size, counter(used as u64))).collect()
    }
}

fn node(row: NodeRow) -> Attributes {
    let own = row.bit == 0;
    let list = |ids: Vec<String>| Value::List(ids.into_iter().map(Value::from).collect());
    let address = format!("amqp:/_topo/0/{}", row.id);
    let attributes = Attributes::new()
        .with("id", row.id)
        .with("index", i64::from(row.bit))
        .with("protocolVersion", row.version)
        .with("instance", row.instance.unwrap_or(0))
        .with("linkState", list(row.peers))
        .with("nextHop", if own { Some("(self)".to_owned()) } else { row.next_hop })
        .with("validOrigins", list(row.valid_origins))
        .with("address", address);
    if own {
        return attributes.with("lastTopoChange", row.since_change.map_or(0, epoch_before));
    }
    let attributes = attributes.with("routerLink", row.link.map(i64::from));
    attributes.with("cost", i64::from(row.cost))
}

/// The time so long ago, in seconds since the Unix epoch.
fn epoch_before(ago: std::time::Duration) -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    counter(since_epoch.saturating_sub(ago).as_secs())
}

fn pool(name: &str, size: i64, used: i64) -> Attributes {
    Attributes::new()
        .with("typeName", name)
        .with("typeSize", size)
        .with("transferBatchSize", 64_i64)
        .with("localFreeListMax", 128_i64)
        .with("globalFreeListMax", -1_i64)
        .with("totalAllocFromHeap", used)
        .with("totalFreeToHeap", 0_i64)
        .with("heldByThreads", used)
        .with("batchesRebalancedToThreads", 0_i64)
        .with("batchesRebalancedToGlobal", 0_i64)
}
