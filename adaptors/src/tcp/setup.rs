//! Joining a flow to the core.

use super::service::conn_params;
use crate::clock;
use amqp_core::performative::{Source, Target};
use router_engine::core::action::{AttachRequest, Direction, PeerOpen};
use router_engine::core::connection::ConnHandle;
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

/// How a peer of the core shows itself.
#[derive(Debug)]
pub(super) struct Identity<'a> {
    pub(super) initiator: bool,
    pub(super) host: String,
    pub(super) local_socket: Option<String>,
    pub(super) name: &'a str,
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

/// Opens a connection in the core and attaches links on it, in one batch.
pub(super) fn join(
    router: &Router,
    mailbox: Arc<Mailbox>,
    identity: Identity<'_>,
    requests: impl IntoIterator<Item = AttachRequest>,
) -> Joined {
    let now = clock::now();
    let Identity { initiator, host, local_socket, name } = identity;
    let conn = router.connect_at(conn_params(initiator, host, local_socket, name), mailbox, now);
    let peer = PeerOpen {
        container_id: "TcpAdaptor".to_owned(),
        properties: amqp_core::value::Map::new().with("qd.adaptor", "tcp"),
        ..PeerOpen::default()
    };
    let mut actions = vec![Action::Opened(Box::new(peer))];
    for (token, request) in requests.into_iter().enumerate() {
        actions.push(Action::Attach(Box::new(AttachRequest { token: token as u32, ..request })));
    }
    let mut links: Vec<Option<Attached>> = (1..actions.len()).map(|_| None).collect();
    router.submit(conn.id, &mut actions, &mut Vec::new(), now);
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
