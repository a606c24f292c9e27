//! Joining a flow to the core.

use crate::clock;
use amqp_core::performative::{Source, Target};
use router_engine::core::action::{AttachRequest, Direction, PeerOpen};
use router_engine::core::connection::{ConnFacts, ConnHandle, ConnParams, PeerKind};
use router_engine::{Action, Effect, LinkId, Mailbox, Router};
use std::sync::Arc;

/// A link that was attached for the adaptor.
#[derive(Debug)]
pub(super) struct Attached {
    pub(super) link: LinkId,
    /// The source address, generated when it was asked to be dynamic.
    pub(super) source: Option<String>,
}

/// A peer of the core with two links or fewer. Attaching is answered within the call: the core
/// decides at once and the mailbox is this task's.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) conn: ConnHandle,
    pub(super) links: Vec<Option<Attached>>,
    /// What came besides the answers.
    pub(super) rest: Vec<Effect>,
}

/// Capacity of the adaptor's links, deliveries (spec `tcp-adaptor.md` 2.5).
const LINK_CAPACITY: u32 = 5;

/// What the core is told of a flow of a listener, or (`initiator`) of a connector.
pub(super) fn flow_params(initiator: bool, host: String, local_socket: Option<String>) -> ConnParams {
    let facts = ConnFacts { host, local_socket, ..ConnFacts::default() };
    ConnParams { initiator, facts, ..ConnParams::in_process(PeerKind::TcpFlow, LINK_CAPACITY) }
}

/// What the core is told of the peer that takes the client streams for a connector.
pub(super) fn dispatcher_params(host: &str) -> ConnParams {
    let facts = ConnFacts { host: host.to_owned(), ..ConnFacts::default() };
    ConnParams { initiator: true, facts, ..ConnParams::in_process(PeerKind::TcpDispatcher, LINK_CAPACITY) }
}

/// A link to a service address, into the mesh.
pub(super) fn producer(name: &str, address: Option<&str>) -> AttachRequest {
    let target = Target { address: address.map(str::to_owned), ..Target::default() };
    request(name, Direction::In, Source::default(), target)
}

/// A link out of the mesh: of a service address, or of a generated one (`None`, dynamic), or of none.
pub(super) fn consumer(name: &str, address: Option<&str>, dynamic: bool) -> AttachRequest {
    let source = Source { address: address.map(str::to_owned), dynamic, ..Source::default() };
    request(name, Direction::Out, source, Target::default())
}

fn request(name: &str, direction: Direction, source: Source, target: Target) -> AttachRequest {
    AttachRequest {
        token: 0,
        name: name.to_owned(),
        direction,
        source: Some(Box::new(source)),
        target: Some(Box::new(target)),
        settle_on_send: false,
    }
}

/// Opens a connection in the core and attaches links on it.
pub(super) fn join(
    router: &Router,
    mailbox: Arc<Mailbox>,
    params: ConnParams,
    requests: impl IntoIterator<Item = AttachRequest>,
) -> Joined {
    attach(router, begin(router, mailbox, params), vec![opened()], requests)
}

/// Begins a connection in the core. Management shows it once it is opened.
pub(super) fn begin(router: &Router, mailbox: Arc<Mailbox>, params: ConnParams) -> ConnHandle {
    router.connect_at(params, mailbox, clock::now())
}

/// Opens a connection.
pub(super) fn opened() -> Action {
    Action::Opened(Box::new(PeerOpen {
        container_id: "TcpAdaptor".to_owned(),
        properties: amqp_core::value::Map::new().with("qd.adaptor", "tcp"),
        ..PeerOpen::default()
    }))
}

/// Attaches links, in one batch with the actions before.
pub(super) fn attach(
    router: &Router,
    conn: ConnHandle,
    mut actions: Vec<Action>,
    requests: impl IntoIterator<Item = AttachRequest>,
) -> Joined {
    let before = actions.len();
    for (token, request) in requests.into_iter().enumerate() {
        actions.push(Action::Attach(Box::new(AttachRequest { token: token as u32, ..request })));
    }
    let mut links: Vec<Option<Attached>> = (before..actions.len()).map(|_| None).collect();
    router.submit(conn.id, &mut actions, &mut Vec::new(), clock::now());
    let (mut effects, mut ready) = (Vec::new(), Vec::new());
    conn.mailbox.take(&mut effects, &mut ready);
    let mut rest = Vec::new();
    for effect in effects {
        match effect {
            Effect::AttachReply(reply) => {
                if let (Ok(link), Some(place)) = (reply.link, links.get_mut(reply.token as usize)) {
                    *place = Some(Attached { link, source: reply.source.and_then(|s| s.address) });
                }
            }
            other => rest.push(other),
        }
    }
    Joined { conn, links, rest }
}
