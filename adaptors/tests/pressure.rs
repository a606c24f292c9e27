//! TCP services while memory is short. The level is the process's, so that this has a program of its own.

use adaptors::clock;
use adaptors::runtime::Io;
use adaptors::tcp::{TcpConnector, TcpConnectorParams};
use amqp_core::performative::DeliveryState;
use bytes::Bytes;
use router_engine::core::{Mode, RouterConfig};
use router_engine::memory::{BUDGET, Level};
use router_engine::port::local::{Attach, Endpoint, Envelope, Event, Identity};
use router_engine::{LinkId, Router};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

/// A peer that sends client streams, as another router does.
struct Sender {
    endpoint: Endpoint,
    link: LinkId,
}

impl Sender {
    fn attach(router: &Arc<Router>) -> Self {
        let mut endpoint =
            Endpoint::join(router, Identity::client("127.0.0.1:1", 250), Default::default(), clock::now());
        let [attached] = endpoint.attach([Attach::sender("streams", "svc")], clock::now());
        Self { endpoint, link: attached.expect("attached").link }
    }

    /// Begins a client stream with these octets, and waits for its outcome.
    async fn outcome(&mut self, head: &'static [u8]) -> Option<DeliveryState> {
        let stream = self.endpoint.send_stream(self.link, Envelope::default(), 0, clock::now());
        stream.push(Bytes::from_static(head));
        let outcome = async {
            loop {
                let event = poll_fn(|cx| self.endpoint.poll_event(cx)).await;
                if let Event::Update { state, .. } = event {
                    return state;
                }
            }
        };
        timeout(PATIENCE, outcome).await.expect("in time")
    }
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
        process_id: None,
        ..TcpConnectorParams::default()
    };
    let io = Io::new(Arc::clone(&router), tokio::runtime::Handle::current(), 1);
    TcpConnector::create(connector, &io).expect("no TLS").activate();
    let mut sender = Sender::attach(&router);
    BUDGET.set_ceiling(1000);
    assert_eq!(BUDGET.judge(600, 0).1, Level::Refuse);
    assert_eq!(sender.outcome(b"").await, Some(DeliveryState::Released));
    assert_eq!(BUDGET.refused(), 1);
    // Once there is memory again a stream is read, and this one is refused for what it says.
    assert_eq!(BUDGET.judge(0, 0).1, Level::Calm);
    assert_eq!(sender.outcome(b"no message").await, Some(DeliveryState::Rejected(None)));
    assert_eq!(BUDGET.refused(), 1);
}
