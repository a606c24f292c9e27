//! A routing core with management, and clients of it without sockets.

#![allow(dead_code, reason = "no test uses all of it")]

use amqp_core::Value;
use amqp_core::message::{Message, MessageBuilder, Properties};
use amqp_core::value::Map;
use bytes::Bytes;
use management::agent::node::Node;
use management::agent::{Agent, thread};
use management::config::{BootPlan, parse};
use management::runtime::{Runtime, now};
use router_engine::core::action::PeerOpen;
use router_engine::core::connection::ConnectionRole;
use router_engine::policy::Asked;
use router_engine::port::local::{Attach, Attached, Delivery, Endpoint, Envelope, Event, Identity, SendStream};
use router_engine::stream::Payload;
use router_engine::{InToken, LinkId, Router};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(60);

/// A client that has a link to the node and one for replies.
pub(crate) struct Client {
    endpoint: Endpoint,
    requests: LinkId,
    replies: LinkId,
    pub(crate) reply_to: String,
    sent: u64,
}

impl Client {
    /// A client of the management node.
    pub(crate) fn attach(router: &Arc<Router>) -> Self {
        Self::attach_to(router, "$management")
    }

    /// A client of the management node that has asked for a vhost.
    pub(crate) fn attach_as(router: &Arc<Router>, hostname: &str) -> Self {
        let asked = Asked {
            initiator: false,
            role: ConnectionRole::Normal,
            policy_vhost: None,
            hostname: Some(hostname),
            user: None,
            remote_host: None,
            peer: "127.0.0.1:1",
            number: 0,
        };
        let policy = router.admit(&asked, adaptors::clock::now()).decision();
        let open = PeerOpen { hostname: Some(hostname.to_owned()), policy, ..Default::default() };
        Self::open_to(router, open, "$management")
    }

    /// A client that sends to an address.
    pub(crate) fn attach_to(router: &Arc<Router>, address: &str) -> Self {
        Self::open_to(router, PeerOpen::default(), address)
    }

    fn open_to(router: &Arc<Router>, open: PeerOpen, address: &str) -> Self {
        let mut endpoint = Endpoint::join(router, Identity::client("127.0.0.1:1", 250), open, now());
        let links = [Attach::dynamic_receiver("replies").with_credit(10), Attach::sender("requests", address)];
        let [replies, requests] = endpoint.attach(links, now()).map(|answer| answer.expect("attached"));
        let Attached { link: replies, source } = replies;
        let reply_to = source.expect("a dynamic address");
        Self { endpoint, requests: requests.link, replies, reply_to, sent: 0 }
    }

    /// Number of its connection.
    pub(crate) fn number(&self) -> u32 {
        self.endpoint.id().number
    }

    pub(crate) fn message(&self, properties: Map, body: Value) -> Bytes {
        let to = Properties {
            reply_to: Some(self.reply_to.clone()),
            correlation_id: Value::Ulong(self.sent),
            ..Properties::default()
        };
        MessageBuilder::new().properties(&to).application_properties(&properties).value(body)
    }

    /// Sends a request.
    pub(crate) fn send(&mut self, settled: bool, payload: Payload) -> InToken {
        self.sent += 1;
        let envelope = Envelope { settled, ..Envelope::default() };
        let token = self.endpoint.send(self.requests, payload, envelope);
        self.endpoint.submit(now());
        token
    }

    /// Begins a request that comes in parts.
    pub(crate) fn stream(&mut self, settled: bool) -> SendStream {
        self.sent += 1;
        let envelope = Envelope { settled, ..Envelope::default() };
        self.endpoint.send_stream(self.requests, envelope, 0, now())
    }

    pub(crate) async fn call(&mut self, payload: Payload) -> Message {
        self.send(false, payload);
        self.answer().await
    }

    pub(crate) async fn answer(&mut self) -> Message {
        let reply = timeout(LIMIT, self.reply()).await.expect("an answer in time");
        assert_eq!(reply.link(), self.replies);
        assert!(reply.is_settled());
        match reply.message().expect("no stream") {
            [bytes] => Message::decode(std::slice::from_ref(bytes)).expect("a message"),
            other => panic!("a reply in one piece, not {other:?}"),
        }
    }

    /// Sends a request about an entity.
    pub(crate) fn ask(&mut self, operation: &str, ty: &str, name: &str, body: Map) {
        let properties = Map::new().with("operation", operation).with("type", ty).with("name", name);
        let request = self.message(properties, body.into());
        self.send(false, Payload::One(request));
    }

    /// [`Self::ask`], and waits for the answer.
    pub(crate) async fn request(&mut self, operation: &str, ty: &str, name: &str, body: Map) -> Message {
        self.ask(operation, ty, name, body);
        self.answer().await
    }

    /// Creates an entity.
    pub(crate) async fn create(&mut self, ty: &str, name: &str, body: Map) -> Message {
        let reply = self.request("CREATE", ty, name, body).await;
        assert_eq!(status(&reply), 201, "{reply:?}");
        reply
    }

    async fn reply(&mut self) -> Delivery {
        self.next(|event| if let Event::Delivery(delivery) = event { Some(delivery) } else { None }).await
    }

    /// Waits for an event.
    pub(crate) async fn next<T>(&mut self, wanted: impl Fn(Event) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(poll_fn(|cx| self.endpoint.poll_event(cx)).await) {
                return found;
            }
        }
    }
}

/// A router with this configuration, and the node that is to serve its requests.
pub(crate) fn join(executor: &Handle, config: &str) -> (Arc<Router>, Node, Agent<Runtime>) {
    let plan = BootPlan::new(parse(config, false).expect("valid")).expect("no directory is read");
    let mut agent = Agent::new(Runtime::new(executor.clone()));
    agent.load_all(plan.core).expect("accepted");
    agent.refresh();
    let router = Arc::clone(agent.backend().router().expect("started"));
    let node = Node::join(Arc::clone(&router), now);
    agent.load_all(plan.rest).expect("accepted");
    assert!(agent.backend().finish_boot());
    (router, node, agent)
}

/// A router whose management has a thread of its own.
pub(crate) fn start(executor: &Handle, config: &str) -> Arc<Router> {
    let (router, node, agent) = join(executor, config);
    thread::spawn(node, agent, std::future::pending()).expect("a thread");
    router
}

/// Passes a message from one peer of the core to another, on a thread of the executor.
pub(crate) async fn exchange(router: &Arc<Router>) {
    let router = Arc::clone(router);
    let task = tokio::spawn(async move {
        let mut consumer = Client::attach(&router);
        let mut producer = Client::attach_to(&router, &consumer.reply_to);
        producer.send(true, Payload::One(producer.message(Map::new(), Value::Null)));
        consumer.reply().await;
    });
    task.await.expect("no panic");
}

pub(crate) fn field<'a>(message: &'a Message, key: &str) -> &'a Value {
    message.body.as_value().and_then(Value::as_map).and_then(|m| m.get(key)).unwrap_or(&Value::Null)
}

/// The text of the status.
pub(crate) fn description(message: &Message) -> &str {
    message.application_properties.get("statusDescription").and_then(Value::as_str).expect("a description")
}

pub(crate) fn status(message: &Message) -> i64 {
    message.application_properties.get("statusCode").and_then(Value::as_i64).expect("a status")
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port()
}
