//! What the core does for messages, without frames.

use super::Path;
use amqp_core::Instant;
use amqp_core::performative::{DeliveryState, Source, Target};
use bytes::Bytes;
use router_engine::annotations::Annotations;
use router_engine::core::action::{AttachRequest, Direction};
use router_engine::core::connection::{ConnHandle, ConnParams, ConnectionRole};
use router_engine::core::{Accepted, Mode, RouterConfig};
use router_engine::stream::Payload;
use router_engine::{Action, Deliver, Effect, InToken, LinkId, Router, Side};

const NOW: Instant = Instant::from_micros(0);
/// Messages per batch: what one read of a socket gives under load.
pub const BATCH: u64 = 64;

fn attach(router: &Router, direction: Direction) -> (ConnHandle, LinkId) {
    let conn = router.connect(ConnParams::amqp(ConnectionRole::Normal), NOW);
    let address = Some("q".to_owned());
    let (source, target) = match direction {
        Direction::In => (Source::default(), Target { address, ..Target::default() }),
        Direction::Out => (Source { address, ..Source::default() }, Target::default()),
    };
    let request = AttachRequest {
        token: 0,
        name: String::new(),
        direction,
        source: Some(Box::new(source)),
        target: Some(Box::new(target)),
        settle_on_send: false,
    };
    let mut actions = vec![Action::Opened(Box::default()), Action::Attach(Box::new(request))];
    router.submit(conn.id, &mut actions, &mut Vec::new(), NOW);
    let mut effects = Vec::new();
    conn.mailbox.take(&mut effects, &mut Vec::new());
    let link = effects.iter().find_map(|e| if let Effect::AttachReply(r) = e { r.link.as_ref().ok() } else { None });
    (conn, *link.expect("attached"))
}

/// A batch of messages is delivered, forwarded and settled.
#[must_use]
pub fn unsettled_batch() -> Path {
    let config = RouterConfig { id: "R".into(), mode: Mode::Standalone, ..RouterConfig::default() };
    let router = Router::new(config, router_engine::rng::Seed::from(1), 1, NOW);
    let (receiver, _) = attach(&router, Direction::Out);
    let (sender, link) = attach(&router, Direction::In);
    let (mut actions, mut accepted) = (Vec::new(), Vec::<Accepted>::new());
    let (mut effects, mut keys) = (Vec::new(), Vec::new());
    let payload = Bytes::from_static(b"message");
    Box::new(move |times| {
        for _ in 0..times {
            actions.extend((0..BATCH).map(|token| {
                Action::Deliver(Box::new(Deliver {
                    link,
                    token: InToken(token),
                    settled: false,
                    payload: Payload::One(payload.clone()),
                    to: None,
                    annotations: Annotations::default(),
                    priority: 4,
                    state: None,
                    unattended: false,
                }))
            }));
            router.submit(sender.id, &mut actions, &mut accepted, NOW);
            accepted.clear();
            receiver.mailbox.take(&mut effects, &mut keys);
            for effect in effects.drain(..) {
                if let Effect::Push(push) = effect {
                    let delivery = Side::Out(push.id);
                    actions.push(Action::Update { delivery, state: Some(DeliveryState::Accepted), settled: true });
                }
            }
            router.submit(receiver.id, &mut actions, &mut accepted, NOW);
            sender.mailbox.take(&mut effects, &mut keys);
            effects.clear();
        }
    })
}
