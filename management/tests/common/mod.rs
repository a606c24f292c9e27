//! A routing core with management, and clients of it without sockets.

#![allow(dead_code, reason = "no test uses all of it")]

use amqp_core::Value;
use amqp_core::message::{Message, MessageBuilder, Properties};
use amqp_core::performative::{Source, Target};
use amqp_core::value::Map;
use bytes::Bytes;
use management::agent::node::Node;
use management::agent::{Agent, thread};
use management::config::{BootPlan, parse};
use management::runtime::{Runtime, now};
use router_engine::annotations::Annotations;
use router_engine::core::action::{AttachRequest, Direction, PeerOpen};
use router_engine::core::connection::{ConnHandle, ConnParams, ConnectionRole};
use router_engine::core::effect::Push;
use router_engine::policy::Asked;
use router_engine::stream::Payload;
use router_engine::{Action, Deliver, Effect, InId, InToken, LinkId, Router};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(60);

/// A client that has a link to the node and one for replies.
pub(crate) struct Client {
    router: Arc<Router>,
    pub(crate) conn: ConnHandle,
    requests: LinkId,
    pub(crate) replies: LinkId,
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
        };
        let open =
            PeerOpen { hostname: Some(hostname.to_owned()), policy: router.decide(&asked), ..Default::default() };
        Self::open_to(router, open, "$management")
    }

    /// A client that sends to an address.
    pub(crate) fn attach_to(router: &Arc<Router>, address: &str) -> Self {
        Self::open_to(router, PeerOpen::default(), address)
    }

    fn open_to(router: &Arc<Router>, open: PeerOpen, address: &str) -> Self {
        let conn = router.connect(params(), now());
        let attach = |token, direction, source, target| {
            Action::Attach(Box::new(AttachRequest {
                token,
                name: format!("link-{token}"),
                direction,
                source: Some(Box::new(source)),
                target: Some(Box::new(target)),
                settle_on_send: false,
            }))
        };
        let dynamic = Source { dynamic: true, ..Source::default() };
        let node = Target { address: Some(address.to_owned()), ..Target::default() };
        let mut actions = vec![
            Action::Opened(Box::new(open)),
            attach(0, Direction::Out, dynamic, Target::default()),
            attach(1, Direction::In, Source::default(), node),
        ];
        router.submit(conn.id, &mut actions, &mut Vec::new(), now());
        let (mut effects, mut ready) = (Vec::new(), Vec::new());
        conn.mailbox.take(&mut effects, &mut ready);
        let mut links = [None, None];
        let mut reply_to = String::new();
        for effect in effects {
            if let Effect::AttachReply(reply) = effect {
                links[reply.token as usize] = reply.link.ok();
                if reply.token == 0 {
                    reply_to = reply.source.and_then(|s| s.address).expect("a dynamic address");
                }
            }
        }
        let [replies, requests] = links.map(|l| l.expect("attached"));
        let credit = Action::PeerCredit { link: replies, credit: 10, drain: false };
        router.submit(conn.id, &mut vec![credit], &mut Vec::new(), now());
        Self { router: Arc::clone(router), conn, requests, replies, reply_to, sent: 0 }
    }

    pub(crate) fn message(&self, properties: Map, body: Value) -> Bytes {
        let to = Properties {
            reply_to: Some(self.reply_to.clone()),
            correlation_id: Value::Ulong(self.sent),
            ..Properties::default()
        };
        MessageBuilder::new().properties(&to).application_properties(&properties).value(body)
    }

    /// Sends a request. Returns the core's id of it, when it has one.
    pub(crate) fn send(&mut self, settled: bool, payload: Payload) -> Option<InId> {
        self.sent += 1;
        let deliver = Deliver {
            link: self.requests,
            token: InToken(self.sent),
            settled,
            payload,
            to: None,
            annotations: Annotations::default(),
            priority: 4,
            state: None,
        };
        let mut accepted = Vec::new();
        self.router.submit(self.conn.id, &mut vec![Action::Deliver(Box::new(deliver))], &mut accepted, now());
        accepted.first().map(|a| a.id)
    }

    pub(crate) async fn call(&mut self, payload: Payload) -> Message {
        self.send(false, payload);
        self.answer().await
    }

    pub(crate) async fn answer(&self) -> Message {
        let push = timeout(LIMIT, self.reply()).await.expect("an answer in time");
        assert_eq!(push.link, self.replies);
        // Room for the next one.
        let credit = Action::PeerCredit { link: self.replies, credit: 10, drain: false };
        self.router.submit(self.conn.id, &mut vec![credit], &mut Vec::new(), now());
        assert!(push.settled);
        match push.payload {
            Payload::One(bytes) => Message::decode(&[bytes]).expect("a message"),
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

    async fn reply(&self) -> Push {
        self.next(|effect| if let Effect::Push(push) = effect { Some(*push) } else { None }).await
    }

    /// Waits for an effect.
    pub(crate) async fn next<T>(&self, wanted: impl Fn(Effect) -> Option<T>) -> T {
        let (mut effects, mut ready) = (Vec::new(), Vec::new());
        loop {
            let mailbox = &self.conn.mailbox;
            poll_fn(|cx| if mailbox.park(cx.waker()) { Poll::Pending } else { Poll::Ready(()) }).await;
            mailbox.take(&mut effects, &mut ready);
            if let Some(found) = effects.drain(..).find_map(&wanted) {
                return found;
            }
        }
    }
}

fn params() -> ConnParams {
    ConnParams {
        role: ConnectionRole::Normal,
        initiator: false,
        host: "127.0.0.1:1".to_owned(),
        local_socket: None,
        origin_name: String::new(),
        origin_address: String::new(),
        cost: 1,
        link_capacity: 250,
        strip_in: true,
        strip_out: true,
        group_correlator: None,
        group_ordinal: None,
        tls_ordinal: None,
        access_id: None,
        open_properties: Map::new(),
        failover_list: None,
        protocol: "amqp",
        container: String::new(),
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
        let consumer = Client::attach(&router);
        let producer = Client::attach_to(&router, &consumer.reply_to);
        let mut producer = producer;
        producer.send(true, Payload::One(producer.message(Map::new(), Value::Null)));
        consumer.reply().await;
        for conn in [consumer.conn.id, producer.conn.id] {
            router.submit(conn, &mut vec![Action::Closed], &mut Vec::new(), now());
        }
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
