//! What the flows of one tcpListener or tcpConnector share.

use parking_lot::Mutex;
use router_engine::core::connection::{ConnParams, ConnectionRole};
use router_engine::{Effect, Mailbox};
use slab::Slab;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Capacity of the adaptor's links (spec `tcp-adaptor.md` 2.5).
const LINK_CAPACITY: u32 = 5;

/// Counters and live flows of one tcpListener or tcpConnector.
#[derive(Debug, Default)]
pub struct Service {
    opened: AtomicU64,
    closed: AtomicU64,
    flows: Mutex<Slab<Arc<Mailbox>>>,
}

/// A flow's membership; ends when dropped.
#[derive(Debug)]
pub(super) struct Member {
    service: Arc<Service>,
    key: usize,
}

// === impl Service ===

impl Service {
    /// Flows begun.
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Flows ended.
    pub fn closed(&self) -> u64 {
        self.closed.load(Ordering::Relaxed)
    }

    pub(super) fn count_opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn join(self: &Arc<Self>, mailbox: &Arc<Mailbox>) -> Member {
        self.count_opened();
        let key = self.flows.lock().insert(Arc::clone(mailbox));
        Member { service: Arc::clone(self), key }
    }

    /// Closes every live flow.
    pub fn close_all(&self) {
        // Wakers run outside of the lock: a flow that ends at once takes the lock to leave.
        let wakers: Vec<_> = {
            let flows = self.flows.lock();
            flows.iter().filter_map(|(_, m)| m.post(Effect::Close { error: None, hard: true })).collect()
        };
        wakers.into_iter().for_each(std::task::Waker::wake);
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.service.closed.fetch_add(1, Ordering::Relaxed);
        let mut flows = self.service.flows.lock();
        flows.try_remove(self.key);
        if flows.is_empty() {
            *flows = Slab::new();
        }
    }
}

/// The core's view of one of the adaptor's peers (spec `tcp-adaptor.md` 2.5).
pub(super) fn conn_params(initiator: bool, host: String, local_socket: Option<String>, name: &str) -> ConnParams {
    ConnParams {
        role: ConnectionRole::Normal,
        initiator,
        host,
        local_socket,
        origin_name: name.to_owned(),
        origin_address: String::new(),
        cost: 1,
        link_capacity: LINK_CAPACITY,
        strip_in: false,
        strip_out: false,
        group_correlator: None,
        group_ordinal: None,
        tls_ordinal: None,
        access_id: None,
        open_properties: amqp_core::value::Map::default(),
        failover_list: None,
        protocol: "tcp",
        container: "TcpAdaptor".to_owned(),
    }
}
