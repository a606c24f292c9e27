//! Links: attach, bind to addresses, detach (spec `amqp-endpoint.md` sections 7, 15).

use super::Core;
use super::action::{AttachRequest, Direction};
use super::connection::{ConnParams, LinkPolicy, PeerKind};
use super::effect::{AttachOut, AttachReply, CutThrough, Effect, SessionClass};
use super::ids::{LinkId, OutId};
use super::ingress::IngressHistogram;
use super::objects::{Address, Conn, CoreService, Link, LinkCounters, LinkKind};
use super::plane::edge::{CAP_EDGE_DOWNLINK, CAP_INTER_EDGE};
use super::rate::SettleRate;
use super::report;
use super::table::{Hook, List, Slot};
use crate::address::name::{self, EDGE_UPLINK_KEY};
use crate::forward::Treatment;
use crate::log::{Level, LogModule};
use crate::mode::Mode;
use amqp_core::performative::{Error, Source, Target};
use amqp_core::value::Symbol;
use bytes::Bytes;
use std::sync::Arc;

/// Terminus capability of control links.
pub(super) const CAP_ROUTER: &str = "qd.router";
/// Terminus capability of data links between routers.
pub(super) const CAP_ROUTER_DATA: &str = "qd.router-data";
const CAP_STREAMING: &str = "qd.streaming-deliveries";
const CAP_RESEND: &str = "qd.resend-released";

/// What an attach asks for, once its node-naming terminus is understood.
enum Wanted {
    Anonymous,
    Dynamic,
    Named(String),
}

/// A link that the router attaches.
pub(super) struct OwnLink {
    direction: Direction,
    kind: LinkKind,
    session: SessionClass,
    /// Address of the terminus at the peer.
    address: Option<String>,
    /// Capability of both termini.
    capability: Option<&'static str>,
}

/// An attach that is granted.
struct Grant {
    kind: LinkKind,
    address: Option<Slot<Address>>,
    terminus: Option<Bytes>,
    streaming: bool,
    resend_released: bool,
}

// === impl OwnLink ===

impl OwnLink {
    pub(super) const fn new(direction: Direction, kind: LinkKind, session: SessionClass) -> Self {
        Self { direction, kind, session, address: None, capability: None }
    }

    /// A link of a service of the core at the peer.
    pub(super) fn to_service(direction: Direction, service: CoreService) -> Self {
        Self::new(direction, LinkKind::Service(service), SessionClass::Core).named(service.address())
    }

    /// The peer's terminus has an address.
    pub(super) fn named(self, address: impl Into<String>) -> Self {
        Self { address: Some(address.into()), ..self }
    }

    /// Both termini have a capability.
    pub(super) fn capable(self, capability: impl Into<Option<&'static str>>) -> Self {
        Self { capability: capability.into(), ..self }
    }
}

// === impl Core ===

impl Core {
    pub(super) fn on_attach(&mut self, conn: Slot<Conn>, mut request: AttachRequest) {
        if let Some(server) = self.server_of(&request) {
            return self.ask(server, conn, request);
        }
        let decided = self.decide(conn, &mut request);
        match decided {
            Ok(grant) => self.accept(conn, request, grant),
            Err(error) => self.refuse(conn, &request, error),
        }
    }

    fn decide(&mut self, conn: Slot<Conn>, request: &mut AttachRequest) -> Result<Grant, Error> {
        let incoming = request.direction == Direction::In;
        let (address, dynamic, capabilities) = node_terminus(request);
        let has = |name: &str| capabilities.iter().any(|s| s.0 == name);
        let grant = Grant {
            kind: LinkKind::Endpoint,
            address: None,
            terminus: None,
            streaming: incoming && has(CAP_STREAMING),
            resend_released: incoming && has(CAP_RESEND),
        };
        if has(CAP_ROUTER) || has(CAP_ROUTER_DATA) {
            return self.decide_router_link(conn, request.direction, has(CAP_ROUTER), grant);
        }
        let c = &self.conns[conn];
        if c.role.has_control_links() && c.router.as_ref().is_none_or(|r| r.control_out.is_none()) {
            crate::log!(
                LogModule::RouterCore,
                Level::Error,
                conn = c.id,
                "Endpoint attach forbidden on inter-router connection"
            );
            return Err(Error::new("qd:connection-role", "Link attach forbidden on inter-router connection"));
        }
        if let Some(service) = address.as_deref().and_then(|text| self.decide_service(conn, request.direction, text)) {
            return service.map(|service| Grant { kind: LinkKind::Service(service), ..grant });
        }
        let grant = Grant { kind: self.endpoint_kind(conn, request.direction, has), ..grant };
        if grant.kind == LinkKind::EdgeDownlink {
            return Ok(self.decide_downlink(&address.unwrap_or_default(), grant));
        }
        let wanted = match address {
            _ if dynamic => Wanted::Dynamic,
            Some(text) if !text.is_empty() => Wanted::Named(text),
            _ => Wanted::Anonymous,
        };
        match wanted {
            // The TCP adaptor's out-links take over streams by [`super::action::Action::Move`].
            Wanted::Anonymous if incoming || self.conns[conn].params.kind.is_of_service() => Ok(grant),
            Wanted::Anonymous => Err(no_route()),
            Wanted::Dynamic => Ok(self.decide_dynamic(request, grant)),
            Wanted::Named(text) => self.decide_named(conn, request.direction, &text, grant),
        }
    }

    fn decide_router_link(
        &mut self,
        conn: Slot<Conn>,
        direction: Direction,
        control: bool,
        grant: Grant,
    ) -> Result<Grant, Error> {
        if !self.conns[conn].role.has_control_links() || self.conns[conn].router.is_none() {
            crate::log!(
                LogModule::RouterCore,
                Level::Error,
                conn = self.conns[conn].id,
                "Router attach forbidden on non-inter-router connection"
            );
            return Err(Error::new("qd:forbidden", "Connectivity to the node is forbidden"));
        }
        let kind = if control { LinkKind::Control } else { self.next_data_kind(conn, direction) };
        Ok(Grant { kind, ..grant })
    }

    /// What a link is that carries what belongs to others, by the capabilities of its terminus.
    fn endpoint_kind(&self, conn: Slot<Conn>, direction: Direction, has: impl Fn(&str) -> bool) -> LinkKind {
        let role = self.conns[conn].role;
        let interior = self.config.mode == Mode::Interior;
        if interior && role.is_edge() && direction == Direction::Out && has(CAP_EDGE_DOWNLINK) {
            LinkKind::EdgeDownlink
        } else if role.is_inter_edge() && has(CAP_INTER_EDGE) {
            LinkKind::InterEdge
        } else {
            LinkKind::Endpoint
        }
    }

    /// An edge router wants what is for it, by its id.
    fn decide_downlink(&mut self, id: &str, grant: Grant) -> Grant {
        let address = self.addresses.with_key_or_new(format!("H{id}"));
        Grant { address: Some(address), terminus: Some(Bytes::copy_from_slice(id.as_bytes())), ..grant }
    }

    fn decide_dynamic(&mut self, request: &mut AttachRequest, grant: Grant) -> Grant {
        loop {
            let discriminator = name::discriminator(&mut self.rng);
            let text = match request.direction {
                Direction::Out => self.addresses.names.dynamic_source(self.config.tenant_id.as_deref(), &discriminator),
                Direction::In => name::dynamic_target(&discriminator),
            };
            let key = self.addresses.key_of(&text);
            if self.addresses.with_key(&key).is_some() {
                continue;
            }
            let address = self.addresses.create(key, Treatment::Balanced, None);
            match request.direction {
                Direction::Out => request.source.get_or_insert_default().address = Some(text.clone()),
                Direction::In => request.target.get_or_insert_default().address = Some(text.clone()),
            }
            return Grant { address: Some(address), terminus: Some(Bytes::from(text)), ..grant };
        }
    }

    fn decide_named(
        &mut self,
        conn: Slot<Conn>,
        direction: Direction,
        text: &str,
        grant: Grant,
    ) -> Result<Grant, Error> {
        let key = self.addresses.key_of(text);
        // What is for another router is not for others to take.
        let elsewhere = matches!(key.as_bytes().first(), Some(b'R' | b'A' | b'H')) || key == EDGE_UPLINK_KEY;
        if direction == Direction::Out && elsewhere {
            return Err(no_route());
        }
        let (treatment, priority) = self.addresses.configured(&key);
        let address = match self.addresses.with_key(&key) {
            // Somebody only waits for it to become available.
            Some(slot)
                if self.addresses[slot].treatment == Treatment::Unavailable && !self.conns[conn].is_internal() =>
            {
                return Err(not_found());
            }
            Some(slot) => {
                self.addresses[slot].priority = priority;
                slot
            }
            // What the router itself consumes is there whatever the configuration says of addresses.
            None if treatment == Treatment::Unavailable && self.conns[conn].is_internal() => {
                self.addresses.create(key, Treatment::Closest, priority)
            }
            None if treatment == Treatment::Unavailable => return Err(not_found()),
            None => self.addresses.create(key, treatment, priority),
        };
        Ok(Grant { address: Some(address), terminus: Some(Bytes::copy_from_slice(text.as_bytes())), ..grant })
    }

    fn accept(&mut self, conn: Slot<Conn>, request: AttachRequest, grant: Grant) {
        let slot = self.insert_link(conn, request.name.clone(), request.direction, grant.kind);
        self.accept_as(slot, request, grant);
    }

    /// Accepts the attach of a link of a pair.
    pub(super) fn accept_pair(&mut self, slot: Slot<Link>, request: AttachRequest) {
        let terminus = node_terminus(&request).0.map(Bytes::from);
        let kind = self.links[slot].kind;
        self.accept_as(
            slot,
            request,
            Grant { kind, address: None, terminus, streaming: false, resend_released: false },
        );
    }

    /// Accepts an attach as a link that is there already.
    fn accept_as(&mut self, slot: Slot<Link>, request: AttachRequest, grant: Grant) {
        let AttachRequest { token, direction, source, target, settle_on_send, .. } = request;
        let link = &mut self.links[slot];
        let conn = link.conn;
        link.up = true;
        link.terminus = grant.terminus;
        link.settle_on_send = settle_on_send;
        link.streaming = grant.streaming;
        link.resend_released = grant.resend_released;
        let (id, gauge, paired) = (link.id, link.gauge.clone(), link.partner.is_some());
        report::attached(self.conns[conn].id, id, direction, source.as_deref(), target.as_deref());
        let targeted = matches!(grant.kind, LinkKind::Service(_)) || grant.address.is_some() || paired;
        let anonymous = direction == Direction::In && !targeted;
        let reply = AttachReply {
            token,
            link: Ok(id),
            source: Some(with_expiry(source)),
            target: Some(with_expiry_target(target)),
            anonymous,
            cut_through: if grant.streaming { CutThrough::Always } else { grant.kind.cut_through() },
            annotations: self.conns[conn].carries_annotations(direction),
            priority: grant.kind.priority(),
            resend_released: grant.resend_released,
            gauge,
        };
        self.stage(conn, Effect::AttachReply(Box::new(reply)));
        if let Some(address) = grant.address {
            self.bind(slot, address);
        }
        if direction == Direction::In {
            self.grant_initial(slot);
        }
        self.link_up(slot);
    }

    /// A link is attached on both sides.
    fn link_up(&mut self, slot: Slot<Link>) {
        match self.links[slot].kind {
            LinkKind::Control | LinkKind::Data(_) | LinkKind::Streaming => self.router_link_up(slot),
            LinkKind::Service(service) => self.service_link_up(slot, service),
            LinkKind::Endpoint | LinkKind::EdgeDownlink | LinkKind::InterEdge => self.track(slot),
        }
    }

    /// Has the port attach a link.
    pub(super) fn attach_own(&mut self, conn: Slot<Conn>, of: OwnLink) -> Slot<Link> {
        let OwnLink { direction, kind, session, address, capability } = of;
        let name = name::link_name(&mut self.rng);
        let slot = self.insert_link(conn, name, direction, kind);
        let expiry = || Some(Symbol::from_static("link-detach"));
        let capabilities = || capability.map(Symbol::from_static).into_iter().collect::<Vec<_>>();
        let mut source = Source { expiry_policy: expiry(), capabilities: capabilities(), ..Source::default() };
        let mut target = Target { expiry_policy: expiry(), capabilities: capabilities(), ..Target::default() };
        self.links[slot].terminus = address.as_ref().map(|text| Bytes::copy_from_slice(text.as_bytes()));
        let targeted = matches!(kind, LinkKind::Service(_)) || kind == LinkKind::Endpoint && address.is_some();
        match direction {
            Direction::In => source.address = address,
            Direction::Out => target.address = address,
        }
        self.stage_attach(slot, source, target, session, direction == Direction::In && !targeted);
        slot
    }

    pub(super) fn refuse(&mut self, conn: Slot<Conn>, request: &AttachRequest, error: Error) {
        let incoming = request.direction == Direction::In;
        let addressed = request.source.as_ref().filter(|s| s.address.is_some() || s.dynamic);
        let reply = AttachReply {
            token: request.token,
            link: Err(Box::new(error)),
            source: if incoming { addressed.cloned() } else { None },
            target: if incoming { None } else { request.target.clone().or_else(|| Some(Box::default())) },
            anonymous: false,
            cut_through: CutThrough::default(),
            annotations: false,
            priority: 0,
            resend_released: false,
            gauge: None,
        };
        self.stage(conn, Effect::AttachReply(Box::new(reply)));
    }

    /// Creates a link record on a connection.
    pub(super) fn insert_link(
        &mut self,
        conn: Slot<Conn>,
        name: String,
        direction: Direction,
        kind: LinkKind,
    ) -> Slot<Link> {
        let ConnParams { kind: peer, links: LinkPolicy { capacity, .. }, .. } = self.conns[conn].params;
        // Whole messages are for AMQP peers; nobody is shown the links of in-process ones.
        let gauge = (direction == Direction::Out && peer == PeerKind::Amqp).then(Arc::default);
        let at = self.conns[conn].links.len() as u32;
        let misled = self.conns[conn].edge.as_ref().is_some_and(|edge| edge.misled);
        let slot = self.links.insert_with(|id| Link {
            id,
            conn,
            at,
            hook: Hook::default(),
            name,
            direction,
            kind,
            address: None,
            terminus: None,
            up: false,
            capacity,
            settle_on_send: false,
            streaming: false,
            resend_released: false,
            incoming: List::default(),
            outgoing: List::default(),
            undelivered: 0,
            moved_streams: 0,
            idle: false,
            partner: None,
            moved_from: None,
            credit_withheld: 0,
            credit_due: 0,
            credit_queued: false,
            draining: false,
            peer_credit: 0,
            zero_credit_since: Some(self.now),
            told_reachable: (!misled).then_some(false),
            retiring: false,
            blocked: false,
            settle_rate: SettleRate::default(),
            ingress: IngressHistogram::default(),
            counters: LinkCounters::default(),
            queued_whole: 0,
            gauge,
        });
        self.conns[conn].links.push(slot);
        self.figures.attached(&self.conns[conn]);
        slot
    }

    /// Has the port attach a link that the router initiates.
    pub(super) fn stage_attach(
        &mut self,
        slot: Slot<Link>,
        source: Source,
        target: Target,
        session: SessionClass,
        anonymous: bool,
    ) {
        let link = &self.links[slot];
        let attach = AttachOut {
            link: link.id,
            name: link.name.clone(),
            direction: link.direction,
            source: Box::new(source),
            target: Box::new(target),
            session,
            anonymous,
            cut_through: link.kind.cut_through(),
            priority: link.kind.priority(),
            gauge: link.gauge.clone(),
        };
        self.stage(link.conn, Effect::Attach(Box::new(attach)));
    }

    pub(super) fn on_attached(
        &mut self,
        link: LinkId,
        source: Option<Box<Source>>,
        target: Option<Box<Target>>,
        settle_on_send: bool,
    ) {
        let Some(slot) = self.links.find(link) else { return };
        let link = &mut self.links[slot];
        if link.up {
            return;
        }
        link.up = true;
        link.settle_on_send = settle_on_send;
        if !self.confirm_auto_link(slot, source.as_deref(), target.as_deref()) {
            return;
        }
        if self.links[slot].direction == Direction::In {
            self.grant_initial(slot);
        }
        self.link_up(slot);
        if let Some(own) = self.links[slot].partner {
            self.tell_peer_attached(own, source, target);
        }
    }

    pub(super) fn on_detached(&mut self, link: LinkId, error: Option<&Error>, unsent: &[OutId]) {
        let Some(slot) = self.links.find(link) else { return };
        self.auto_link_detached(link, self.links[slot].conn, error);
        let withdrawn = self.withdrawn_uplink(slot, error);
        self.part(slot, error);
        self.leave_connection(slot);
        self.drop_link(slot, unsent, "Link closed");
        if let Some(conn) = withdrawn {
            self.uplink_withdrawn(conn);
        }
    }

    /// Detaches a link from our side.
    pub(super) fn detach_link(&mut self, slot: Slot<Link>, error: Option<Error>) {
        let (conn, link) = (self.links[slot].conn, self.links[slot].id);
        self.leave_connection(slot);
        report::detaching(self.conns[conn].id, link);
        self.stage(conn, Effect::Detach { link, error: error.map(Box::new) });
        self.drop_link(slot, &[], "Link closed");
    }

    /// Takes a link out of its connection's list.
    fn leave_connection(&mut self, slot: Slot<Link>) {
        let Link { conn, at, .. } = self.links[slot];
        let links = &mut self.conns[conn].links;
        links.swap_remove(at as usize);
        if let Some(&moved) = links.get(at as usize) {
            self.links[moved].at = at;
        }
    }

    /// Unbinds a link, settles what was outstanding on it, and forgets it. `how` it went is for the log.
    pub(super) fn drop_link(&mut self, slot: Slot<Link>, unsent: &[OutId], how: &str) {
        if self.links.get(slot).is_none() {
            return;
        }
        // Nobody takes it from the pool any more.
        self.links[slot].idle = true;
        self.edge_link_lost(slot);
        self.part(slot, None);
        self.unbind(slot);
        match self.links[slot].kind {
            LinkKind::Control | LinkKind::Data(_) | LinkKind::Streaming => self.router_link_lost(slot),
            LinkKind::Service(_) => self.service_link_lost(slot),
            LinkKind::Endpoint | LinkKind::EdgeDownlink | LinkKind::InterEdge => {}
        }
        match self.links[slot].direction {
            Direction::Out => self.settle_lost_outgoing(slot, unsent),
            Direction::In => self.settle_lost_incoming(slot),
        }
        self.stream_moved_back(slot);
        if let Some(link) = self.links.remove(slot) {
            self.figures.totals.links_blocked -= u32::from(link.blocked);
            self.figures.detached(&self.conns[link.conn]);
            report::closed(self.conns[link.conn].id, &link, how);
        }
    }
}

/// The terminus that names the node: the target of an incoming link, the source of an outgoing one.
pub(super) fn node_terminus(request: &AttachRequest) -> (Option<String>, bool, Vec<Symbol>) {
    match request.direction {
        Direction::In => request
            .target
            .as_ref()
            .map_or((None, false, Vec::new()), |t| (t.address.clone(), t.dynamic, t.capabilities.clone())),
        Direction::Out => request
            .source
            .as_ref()
            .map_or((None, false, Vec::new()), |s| (s.address.clone(), s.dynamic, s.capabilities.clone())),
    }
}

fn not_found() -> Error {
    Error::new("amqp:not-found", "Node not found")
}

fn no_route() -> Error {
    Error::new("qd:no-route-to-dest", "No route to the destination node")
}

fn with_expiry(source: Option<Box<Source>>) -> Box<Source> {
    let mut source = source.unwrap_or_default();
    source.address.take_if(|address| address.is_empty());
    source.expiry_policy.get_or_insert(Symbol::from_static("session-end"));
    source
}

fn with_expiry_target(target: Option<Box<Target>>) -> Box<Target> {
    let mut target = target.unwrap_or_default();
    target.address.take_if(|address| address.is_empty());
    target.expiry_policy.get_or_insert(Symbol::from_static("session-end"));
    // There is no transaction support: a coordinator is answered by an ordinary target.
    target.coordinator = false;
    target
}
