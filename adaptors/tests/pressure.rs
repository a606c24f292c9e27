//! TCP services while memory is short. The level is the process's, so that this has a program of its own.

use adaptors::clock;
use adaptors::runtime::Io;
use adaptors::tcp::{TcpConnector, TcpConnectorParams};
use amqp_core::performative::{DeliveryState, Target};
use bytes::Bytes;
use router_engine::annotations::Annotations;
use router_engine::core::action::{AttachRequest, Direction};
use router_engine::core::connection::{ConnHandle, ConnParams, ConnectionRole};
use router_engine::core::{Mode, RouterConfig};
use router_engine::memory::{BUDGET, Level};
use router_engine::stream::{Payload, Stream, StreamLimits};
use router_engine::{Action, Deliver, Effect, InToken, LinkId, Router};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

/// A peer that sends client streams, as another router does.
struct Sender {
    router: Arc<Router>,
    conn: ConnHandle,
    link: LinkId,
}

impl Sender {
    async fn attach(router: &Arc<Router>) -> Self {
        let conn = router.connect(ConnParams::amqp(ConnectionRole::Normal), clock::now());
        let target = Target { address: Some("svc".to_owned()), ..Target::default() };
        let attach = AttachRequest {
            token: 0,
            name: "streams".to_owned(),
            direction: Direction::In,
            source: Some(Box::default()),
            target: Some(Box::new(target)),
            settle_on_send: false,
        };
        let mut actions = vec![Action::Opened(Box::default()), Action::Attach(Box::new(attach))];
        router.submit(conn.id, &mut actions, &mut Vec::new(), clock::now());
        let attached = |effect| if let Effect::AttachReply(reply) = effect { Some(reply.link) } else { None };
        let link = next(&conn, attached).await.expect("attached");
        Self { router: Arc::clone(router), conn, link }
    }

    /// Begins a client stream with these octets, and waits for its outcome.
    async fn outcome(&self, head: &'static [u8]) -> Option<DeliveryState> {
        let stream = Stream::new(StreamLimits::DEFAULT, None);
        let deliver = Deliver {
            link: self.link,
            token: InToken(1),
            settled: false,
            payload: Payload::Stream(Arc::clone(&stream)),
            to: None,
            annotations: Annotations::default(),
            priority: 4,
            state: None,
        };
        let mut actions = vec![Action::Deliver(Box::new(deliver))];
        self.router.submit(self.conn.id, &mut actions, &mut Vec::new(), clock::now());
        stream.push(Bytes::from_static(head));
        let outcome = |effect| if let Effect::UpdateIn { state, .. } = effect { Some(state) } else { None };
        next(&self.conn, outcome).await
    }
}

async fn next<T>(conn: &ConnHandle, mut wanted: impl FnMut(Effect) -> Option<T>) -> T {
    let (mut effects, mut ready) = (Vec::new(), Vec::new());
    let found = poll_fn(|cx| {
        loop {
            conn.mailbox.take(&mut effects, &mut ready);
            ready.clear();
            if let Some(found) = effects.drain(..).find_map(&mut wanted) {
                return Poll::Ready(found);
            }
            if conn.mailbox.park(cx.waker()) {
                return Poll::Pending;
            }
        }
    });
    timeout(PATIENCE, found).await.expect("in time")
}

#[tokio::test]
async fn a_connector_releases_new_flows_while_memory_is_short() {
    let config = RouterConfig { id: "R".into(), mode: Mode::Standalone, ..RouterConfig::default() };
    let router = Arc::new(Router::new(config, router_engine::rng::Seed::from(1), 1, clock::now()));
    let connector = TcpConnectorParams {
        name: "c".into(),
        address: "svc".into(),
        host: "127.0.0.1".into(),
        port: "1".into(),
        tls: None,
        verify_hostname: true,
    };
    let io = Io::new(Arc::clone(&router), tokio::runtime::Handle::current(), 1);
    TcpConnector::create(connector, &io).expect("no TLS").activate();
    let sender = Sender::attach(&router).await;
    BUDGET.set_ceiling(1000);
    assert_eq!(BUDGET.judge(600, 0).1, Level::Refuse);
    assert_eq!(sender.outcome(b"").await, Some(DeliveryState::Released));
    assert_eq!(BUDGET.refused(), 1);
    // Once there is memory again a stream is read, and this one is refused for what it says.
    assert_eq!(BUDGET.judge(0, 0).1, Level::Calm);
    assert_eq!(sender.outcome(b"no message").await, Some(DeliveryState::Rejected(None)));
    assert_eq!(BUDGET.refused(), 1);
}
