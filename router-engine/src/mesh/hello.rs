//! Neighbour discovery (spec `inter-router-protocol.md` 6.2).

use super::fields::{Fields, Malformed};
use super::throttle::{Pace, Throttle};
use super::{LINK_STATE_VERSION, Mesh, describe, wire};
use crate::index::{MAX_ROUTERS, NeighbourIndex, NeighbourSet};
use crate::log;
use crate::log::{Level, LogModule};
use amqp_core::{Instant, Value};
use std::collections::BTreeMap;

const HELLO_TO: &str = "amqp:/_local/qdhello";

/// Whom we hear.
#[derive(Debug)]
pub(super) struct Hello {
    /// Routers with the time of their last HELLO; bounded by [`MAX_ROUTERS`].
    heard: BTreeMap<String, Instant>,
    last_sent: Option<Instant>,
    /// HELLOs beside those of the tick: for who does not know us yet, or does not know that we hear it.
    pub(super) greeting: Throttle,
    /// Neighbours that take the link states of others from us, see [`Mesh::link_gained`].
    pub(super) syncing: NeighbourSet,
    duplicate_reported: bool,
}

impl Hello {
    pub(super) fn new(pace: Pace) -> Self {
        Self {
            heard: BTreeMap::new(),
            last_sent: None,
            greeting: Throttle::new(pace),
            syncing: NeighbourSet::EMPTY,
            duplicate_reported: false,
        }
    }
}

impl Mesh {
    pub(super) fn expire_hellos(&mut self, now: Instant) {
        let max_age = self.timing.hello_max_age;
        self.hello.heard.retain(|id, heard| {
            let fresh = now.since(*heard) <= max_age;
            if !fresh {
                log!(LogModule::RouterHello, Level::Debug, "HELLO peer expired: {id}");
            }
            fresh
        });
    }

    pub(super) fn hello_is_due(&self, now: Instant) -> bool {
        self.hello.last_sent.is_none_or(|last| now.since(last) >= self.timing.hello_interval)
    }

    pub(super) fn send_periodic_hello(&mut self, now: Instant) {
        self.hello.last_sent = Some(now);
        self.send_hello();
    }

    pub(super) fn send_hello(&mut self) {
        let seen: Vec<&str> = self.hello.heard.keys().map(String::as_str).collect();
        log!(
            LogModule::RouterHello,
            Level::Debug,
            "SENT: {}",
            describe::hello(&self.id, LINK_STATE_VERSION, self.instance, || seen.iter().copied())
        );
        let body = wire::Body::link_state(&self.id, LINK_STATE_VERSION)
            .number("instance", self.instance)
            .texts("seen", seen.into_iter());
        self.send(HELLO_TO.to_owned(), "HELLO", body);
    }

    pub(super) fn on_hello(
        &mut self,
        fields: Fields<'_>,
        from: Option<(NeighbourIndex, u32)>,
        now: Instant,
    ) -> Result<(), Malformed> {
        let log_here = |malformed: Malformed| malformed.log_to(LogModule::RouterHello);
        let id = fields.id().map_err(log_here)?;
        let version = fields.int_or_zero("pv").map_err(log_here)?;
        let instance = fields.int_or_zero("instance").map_err(log_here)?;
        let seen = fields.list("seen").map_err(log_here)?;
        let seen = seen.ok_or(Malformed { module: LogModule::RouterHello, what: Some("seen") })?;
        if id == self.id {
            self.on_own_id(instance);
            return Ok(());
        }
        if !self.version_is_known("HELLO", id, version, LINK_STATE_VERSION, LogModule::Router) {
            return Ok(());
        }
        let told = describe::hello(id, version, instance, || seen.iter().filter_map(Value::as_str));
        log!(LogModule::RouterHello, Level::Debug, "RCVD: {told}");
        let Some((link, cost)) = from else { return Ok(()) };
        if self.hello.heard.len() >= MAX_ROUTERS && !self.hello.heard.contains_key(id) {
            return Ok(());
        }
        if self.hello.heard.insert(id.to_owned(), now).is_none() {
            self.hello.greeting.note(now);
        }
        if seen.iter().any(|s| Value::as_str(s) == Some(&self.id)) {
            self.refresh_neighbour(id, (link, cost), instance, version, now);
        }
        Ok(())
    }

    fn on_own_id(&mut self, instance: i64) {
        if instance != self.instance && !std::mem::replace(&mut self.hello.duplicate_reported, true) {
            let id = &self.id;
            log!(LogModule::RouterHello, Level::Critical, "Detected Neighbor Router with a Duplicate ID - {id}");
        }
    }

    /// A neighbour hears us (spec 6.6, HELLO refresh).
    fn refresh_neighbour(
        &mut self,
        id: &str,
        (link, cost): (NeighbourIndex, u32),
        instance: i64,
        version: i64,
        now: Instant,
    ) {
        // A control link leads to one router: whoever is there and alive keeps it.
        let max_age = self.timing.hello_max_age;
        let rival =
            self.nodes.iter().any(|n| n.link == Some(link) && n.id() != id && now.since(n.refreshed) <= max_age);
        if rival {
            return;
        }
        let Some(node) = self.node_or_new(id, Some(instance), version) else { return };
        let Some(node) = self.nodes.get_mut(node) else { return };
        // Whoever is there and alive did not start again elsewhere.
        let is_alive = node.link.is_some_and(|known| known != link) && now.since(node.link_heard) <= max_age;
        if is_alive && node.instance.is_some_and(|known| known != instance) {
            return;
        }
        node.refreshed = now;
        let index = node.index();
        match node.link {
            Some(known) if known == link => node.link_heard = now,
            // Of several connections to one router the first is used as long as it is alive;
            // changing with every HELLO would cost an LSR and LSU each (quirk Q1).
            Some(_) if now.since(node.link_heard) <= max_age => {}
            _ => {
                node.link = Some(link);
                node.link_heard = now;
                node.next_hop = None;
                node.need_lsr = true;
                log!(LogModule::Router, Level::Debug, "Node {id} link set: link_id={link} (removed next hop)");
                self.unpublished = true;
                self.want_requests(now);
            }
        }
        if !self.ls.peers.contains_key(id) {
            self.ls.add_peer(id, cost);
            self.neighbour_gained(index, link, now);
            log!(LogModule::RouterHello, Level::Info, "New neighbor router {id} on link_tag={link} with cost {cost}");
        }
        self.check_instance(id, instance, version, now);
    }
}
