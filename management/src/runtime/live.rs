//! Live attributes of configuration entities, and entities that come and go by themselves.

use super::entities::key;
use super::{Runtime, now};
use crate::attributes::Attributes;
use crate::config::EntityConfig;
use crate::schema::EntityType;
use amqp_core::Value;
use amqp_core::value::Map;
use router_engine::core::Mode;
use router_engine::core::nodes::NodeRow;
use router_engine::index::NodeIndex;
use std::time::{SystemTime, UNIX_EPOCH};

/// Counters that are kept for compatibility only.
fn bytes_not_counted(attributes: Attributes) -> Attributes {
    attributes.with("bytesIn", 0_i64).with("bytesOut", 0_i64)
}

fn counter(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

// === impl Runtime ===

impl Runtime {
    pub(super) fn live_attributes(&self, entity: &EntityConfig) -> Attributes {
        match entity.ty {
            EntityType::Router => Attributes::new().with("hostName", host_name()),
            EntityType::Connector => self.live_connector(entity),
            EntityType::TcpListener => self.live_tcp_listener(entity),
            EntityType::TcpConnector => self.live_tcp_connector(entity),
            EntityType::ListenerAddress => self.live_listener_address(entity),
            EntityType::Policy => self.live_policy(),
            _ => Attributes::new(),
        }
    }

    fn live_connector(&self, entity: &EntityConfig) -> Attributes {
        let Some(open) = self.entities.connectors.get(&key(entity)) else { return Attributes::new() };
        let status = open.connector.status();
        Attributes::new()
            .with("failoverUrls", status.failover_urls)
            .with("connectionStatus", status.state.name())
            .with("connectionMsg", status.message)
    }

    fn live_tcp_listener(&self, entity: &EntityConfig) -> Attributes {
        let Some(open) = self.entities.tcp_listeners.get(&key(entity)) else { return Attributes::new() };
        let service = open.listener.service();
        let (up, message) = open.listener.status();
        bytes_not_counted(Attributes::new())
            .with("connectionsOpened", counter(service.opened()))
            .with("connectionsClosed", counter(service.closed()))
            .with("operStatus", if up { "up" } else { "down" })
            .with("connectionMsg", message)
    }

    fn live_tcp_connector(&self, entity: &EntityConfig) -> Attributes {
        let Some(open) = self.entities.tcp_connectors.get(&key(entity)) else { return Attributes::new() };
        let service = open.connector.service();
        bytes_not_counted(Attributes::new())
            .with("connectionsOpened", counter(service.opened()))
            .with("connectionsClosed", counter(service.closed()))
    }

    fn live_listener_address(&self, entity: &EntityConfig) -> Attributes {
        let params = self.entities.listener_addresses.get(&key(entity));
        let opened = params.and_then(|params| {
            let open = self.entities.tcp_listeners.values().find(|l| l.params.name == params.listener)?;
            let entry = open.listener.addresses().into_iter().find(|e| e.name == params.name)?;
            Some(entry.opened)
        });
        Attributes::new().with("connectionsOpened", counter(opened.unwrap_or(0)))
    }

    /// Policy refuses and counts nothing yet.
    fn live_policy(&self) -> Attributes {
        let connections = self.router().map_or(0, |r| r.router_row(now()).connections as u64);
        Attributes::new()
            .with("connectionsProcessed", counter(connections))
            .with("connectionsDenied", 0_i64)
            .with("connectionsCurrent", counter(connections))
            .with("linksDenied", 0_i64)
            .with("maxMessageSizeDenied", 0_i64)
            .with("totalDenials", 0_i64)
    }

    /// As [`Self::live_policy`]: nothing is counted yet.
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
        self.entities.vhosts.iter().map(row).collect()
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
    let own = row.index == NodeIndex::OWN;
    let list = |ids: Vec<String>| Value::List(ids.into_iter().map(Value::from).collect());
    let address = format!("amqp:/_topo/0/{}", row.id);
    let attributes = Attributes::new()
        .with("id", row.id)
        .with("index", counter(row.index.get() as u64))
        .with("protocolVersion", row.version)
        .with("instance", row.instance.unwrap_or(0))
        .with("linkState", list(row.peers))
        .with("nextHop", if own { Some("(self)".to_owned()) } else { row.next_hop })
        .with("validOrigins", list(row.valid_origins))
        .with("address", address);
    if own {
        return attributes.with("lastTopoChange", row.since_change.map_or(0, epoch_before));
    }
    let attributes = attributes.with("routerLink", row.link.map(|link| counter(link.get() as u64)));
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

fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()).unwrap_or_default()
}
