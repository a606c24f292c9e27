//! The fixture: a router whose network the test makes up.

use super::super::action::{Action, AttachRequest, Deliver, Direction, InToken, PeerOpen, Side};
use super::super::attach::CAP_ROUTER;
use super::super::connection::{
    CONNECTION_TRUNKING, ConnHandle, ConnParams, ConnectionRole, PeerKind, STREAMING_LINKS,
};
use super::super::effect::{AttachOut, Effect, Push};
use super::super::ids::{InId, LinkId};
use super::super::plane::edge::CAP_EDGE_DOWNLINK;
use super::super::routing::{Route, RoutingTable};
use super::super::{Accepted, Core, Mode, Router, RouterConfig};
use crate::annotations::{Annotations, flags};
use crate::index::{NeighbourIndex, NodeIndex, NodeSet};
use crate::stream::{Payload, Stream, StreamLimits};
use amqp_core::Instant;
use amqp_core::performative::{DeliveryState, Source, Target};
use amqp_core::value::Symbol;
use bytes::Bytes;

pub(super) const NOW: Instant = Instant::from_micros(0);

/// The only remote router.
pub(super) const NODE: NodeIndex = NodeIndex::at(1);

/// The connection to it.
const NEIGHBOUR: NeighbourIndex = NeighbourIndex::at(0);

/// A connection to the router.
pub(super) struct Peer<'a> {
    pub(super) router: &'a Router,
    pub(super) conn: ConnHandle,
    token: u64,
    accepted: Vec<Accepted>,
}

pub(super) fn router() -> Router {
    router_of(Mode::Interior)
}

pub(super) fn router_of(mode: Mode) -> Router {
    let config = RouterConfig { id: "R".into(), mode, ..RouterConfig::default() };
    Router::new(config, crate::rng::Seed::from(1), 1, NOW)
}

fn params(role: ConnectionRole) -> ConnParams {
    let between_routers = role != ConnectionRole::Normal;
    let mut params = ConnParams::amqp(role);
    params.initiator = between_routers;
    params.facts.host = "peer".into();
    params.links.capacity = 10;
    params.trunk.correlator = between_routers.then(|| "group".into());
    params
}

/// The parameters of a control connection of some generation.
fn control_params(ordinal: u64) -> ConnParams {
    let mut params = params(ConnectionRole::InterRouter);
    params.trunk.ordinal = Some(ordinal);
    params
}

fn routing(core: &mut Core) -> &mut RoutingTable {
    &mut core.plane.interior_mut().expect("of an interior router").routing
}

/// The way to the remote router, if it is `open`.
fn route(open: bool) -> Route {
    let link = open.then_some(NEIGHBOUR);
    Route { link, cost: 1, valid_origins: NodeSet::from([NodeIndex::OWN]), ..Route::default() }
}

impl<'a> Peer<'a> {
    /// An ordinary client.
    pub(super) fn new(router: &'a Router) -> Self {
        Self::with_role(router, ConnectionRole::Normal)
    }

    /// A flow of the TCP adaptor.
    pub(super) fn flow(router: &'a Router) -> Self {
        Self::open(router, ConnParams { kind: PeerKind::TcpFlow, ..params(ConnectionRole::Normal) }, "")
    }

    /// A consumer inside the process.
    pub(super) fn in_process(router: &'a Router) -> Self {
        Self::open(router, ConnParams { kind: PeerKind::Internal, ..params(ConnectionRole::Normal) }, "")
    }

    /// A control connection of that generation, of the same group as the others. Its control links are not attached.
    pub(super) fn generation(router: &'a Router, ordinal: u64) -> Self {
        Self::open(router, control_params(ordinal), "")
    }

    pub(super) fn with_role(router: &'a Router, role: ConnectionRole) -> Self {
        Self::open(router, params(role), "")
    }

    /// A peer with that container id.
    pub(super) fn named(router: &'a Router, role: ConnectionRole, container: &str) -> Self {
        Self::open(router, params(role), container)
    }

    /// A peer that offers something beyond what all routers do.
    pub(super) fn offering(
        router: &'a Router,
        role: ConnectionRole,
        container: &str,
        capability: &'static str,
    ) -> Self {
        Self::open_with(router, params(role), container, &[CONNECTION_TRUNKING, STREAMING_LINKS, capability])
    }

    fn open(router: &'a Router, params: ConnParams, container: &str) -> Self {
        Self::open_with(router, params, container, &[CONNECTION_TRUNKING, STREAMING_LINKS])
    }

    fn open_with(router: &'a Router, params: ConnParams, container: &str, offered: &[&'static str]) -> Self {
        let conn = router.connect(params, NOW);
        let mut peer = Self { router, conn, token: 0, accepted: Vec::new() };
        let offered_capabilities = offered.iter().copied().map(Symbol::from_static).collect();
        let container_id = container.to_owned();
        peer.submit(Action::Opened(Box::new(PeerOpen { container_id, offered_capabilities, ..PeerOpen::default() })));
        peer
    }

    /// A control connection with credentials of some generation; its links are not attached yet.
    pub(super) fn control(router: &'a Router, ordinal: u64) -> Self {
        Self::open(router, control_params(ordinal), "")
    }

    /// A data connection that ends at some router.
    pub(super) fn data_of(router: &'a Router, container: &str) -> Self {
        Self::open(router, params(ConnectionRole::InterRouterData), container)
    }

    /// A connection to another router of an edge router, or of one to it, with credentials of some generation.
    pub(super) fn of_edge(router: &'a Router, role: ConnectionRole, container: &str, ordinal: Option<u64>) -> Self {
        let mut params = params(role);
        params.facts.tls_ordinal = ordinal;
        Self::open(router, params, container)
    }

    /// Answers the attaches that the router has sent, and returns them.
    pub(super) fn answer_attaches(&mut self) -> Vec<AttachOut> {
        let of = |e| if let Effect::Attach(attach) = e { Some(*attach) } else { None };
        let attaches: Vec<AttachOut> = self.effects().into_iter().filter_map(of).collect();
        for attach in &attaches {
            self.submit(Action::Attached { link: attach.link, source: None, target: None, settle_on_send: false });
        }
        attaches
    }

    /// A container that auto-links may be meant for, at a listener of that name.
    pub(super) fn container(router: &'a Router, listener: Option<&str>, container: &str) -> Self {
        let label = listener.map(str::to_owned);
        Self::open(router, ConnParams { label, ..params(ConnectionRole::RouteContainer) }, container)
    }

    /// The control connection of the neighbour, which advertises `address`.
    pub(super) fn neighbour(router: &'a Router, address: &str) -> Self {
        let mut peer = Self::with_role(router, ConnectionRole::InterRouter);
        peer.attach_all();
        router.with(|core| {
            let routing = routing(core);
            routing.add_node(NODE, "B");
            routing.set_route(NODE, route(true));
            let key = core.addresses.key_of(address);
            let slot = core.addresses.with_key_or_new(key);
            core.addresses[slot].remotes.insert(NODE);
        });
        peer
    }

    /// Whether the neighbour of a control connection can be reached.
    pub(super) fn way(&self, open: bool) {
        self.router.with(|core| routing(core).set_route(NODE, route(open)));
    }

    /// A data connection of the neighbour.
    pub(super) fn data(router: &'a Router) -> Self {
        Self::with_role(router, ConnectionRole::InterRouterData)
    }

    /// The links that the router has attached, oldest first: the control links come first.
    pub(super) fn links(&self) -> Vec<LinkId> {
        self.router.with(|core| {
            let conn = core.conns.find(self.conn.id).expect("open");
            core.conns[conn].links.iter().map(|&l| core.links[l].id).collect()
        })
    }

    pub(super) fn submit(&mut self, action: Action) {
        self.submit_at(action, NOW);
    }

    pub(super) fn submit_at(&mut self, action: Action, now: Instant) {
        self.router.submit(self.conn.id, &mut vec![action], &mut self.accepted, now);
    }

    /// Answers the attaches that the router has sent, and returns their links.
    pub(super) fn attach_all(&mut self) -> Vec<LinkId> {
        let links: Vec<_> =
            self.effects().iter().filter_map(|e| if let Effect::Attach(a) = e { Some(a.link) } else { None }).collect();
        for &link in &links {
            self.submit(Action::Attached { link, source: None, target: None, settle_on_send: false });
        }
        links
    }

    pub(super) fn effects(&self) -> Vec<Effect> {
        let (mut effects, mut ready) = (Vec::new(), Vec::new());
        self.conn.mailbox.take(&mut effects, &mut ready);
        effects
    }

    pub(super) fn pushes(&self) -> Vec<Push> {
        self.effects().into_iter().filter_map(|e| if let Effect::Push(p) = e { Some(*p) } else { None }).collect()
    }

    /// The only delivery that came for this peer.
    pub(super) fn push(&self) -> Push {
        let mut pushes = self.pushes();
        assert_eq!(pushes.len(), 1, "{pushes:?}");
        pushes.remove(0)
    }

    /// Attaches a link; the answer stays in the mailbox.
    pub(super) fn attach_unanswered(&mut self, direction: Direction, address: Option<&str>) {
        self.request(direction, address, Vec::new());
    }

    /// Attaches a control link, as the routers that connect do.
    pub(super) fn attach_control(&mut self, direction: Direction) -> LinkId {
        self.request(direction, None, vec![Symbol::from_static(CAP_ROUTER)]);
        self.attached()
    }

    /// Attaches the link on which an edge router gets what is for it.
    pub(super) fn attach_downlink(&mut self, edge: &str) -> LinkId {
        self.request(Direction::Out, Some(edge), vec![Symbol::from_static(CAP_EDGE_DOWNLINK)]);
        self.attached()
    }

    /// Attaches a link with a capability; the answer stays in the mailbox.
    pub(super) fn attach_capable(&mut self, direction: Direction, capability: &'static str) {
        self.request(direction, None, vec![Symbol::from_static(capability)]);
    }

    fn request(&mut self, direction: Direction, address: Option<&str>, capabilities: Vec<Symbol>) {
        self.token += 1;
        let address = address.map(str::to_owned);
        let (mut source, mut target) = (Source::default(), Target::default());
        match direction {
            Direction::In => (target.address, target.capabilities) = (address, capabilities),
            Direction::Out => (source.address, source.capabilities) = (address, capabilities),
        }
        self.submit(Action::Attach(Box::new(AttachRequest {
            token: 0,
            name: format!("link{}", self.token),
            direction,
            source: Some(Box::new(source)),
            target: Some(Box::new(target)),
            settle_on_send: false,
        })));
    }

    pub(super) fn attach(&mut self, direction: Direction, address: Option<&str>) -> LinkId {
        self.attach_unanswered(direction, address);
        self.attached()
    }

    /// The link that was asked for last.
    fn attached(&self) -> LinkId {
        let reply = self.effects().into_iter().find_map(|e| match e {
            Effect::AttachReply(reply) => Some(*reply),
            _ => None,
        });
        reply.expect("a reply").link.expect("accepted")
    }

    pub(super) fn receiver(&mut self, address: &str) -> LinkId {
        self.attach(Direction::Out, Some(address))
    }

    pub(super) fn sender(&mut self, address: &str) -> LinkId {
        self.attach(Direction::In, Some(address))
    }

    pub(super) fn detached(&mut self, link: LinkId) {
        self.submit(Action::Detached { link, error: None, unsent: Vec::new() });
    }

    /// Sends an unsettled message that is to be sent again when it is released.
    pub(super) fn send_resend(&mut self, link: LinkId, to: &str, payload: Payload) -> InId {
        let annotations = Annotations { flags: flags::RESEND_RELEASED, ..Annotations::default() };
        self.deliver(link, Some(to), payload, annotations, false).expect("remembered")
    }

    /// Sends an unsettled message.
    pub(super) fn send(&mut self, link: LinkId) -> Option<InId> {
        self.deliver(link, None, message(), Annotations::default(), false)
    }

    pub(super) fn deliver(
        &mut self,
        link: LinkId,
        to: Option<&str>,
        payload: Payload,
        annotations: Annotations,
        settled: bool,
    ) -> Option<InId> {
        self.token += 1;
        self.submit(Action::Deliver(Box::new(Deliver {
            link,
            token: InToken(self.token),
            settled,
            payload,
            to: to.map(|to| Bytes::copy_from_slice(to.as_bytes())),
            annotations,
            priority: 4,
            state: None,
            unattended: false,
        })));
        self.accepted.drain(..).next().map(|a| a.id)
    }

    pub(super) fn answer(&mut self, push: &Push, state: DeliveryState, settled: bool) {
        self.submit(Action::Update { delivery: Side::Out(push.id), state: Some(state), settled });
    }

    /// State and settlement of the updates to deliveries of this peer.
    pub(super) fn outcomes(&self) -> Vec<(Option<DeliveryState>, bool)> {
        self.effects()
            .into_iter()
            .filter_map(|e| if let Effect::UpdateIn { state, settled, .. } = e { Some((state, settled)) } else { None })
            .collect()
    }
}

pub(super) fn message() -> Payload {
    Payload::One(Bytes::from_static(b"m"))
}

/// A message that is still arriving.
pub(super) fn stream() -> Payload {
    Payload::Stream(Stream::new(StreamLimits::DEFAULT, None))
}
