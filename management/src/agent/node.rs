//! The management node: joins the agent to the routing core.
//!
//! The node is an in-process peer of the core: it consumes `$management` in its mobile and local
//! form and the internal address of the general agent, and sends replies on an anonymous link. One
//! task serves one request at a time, on a thread of its own (see [`super::thread`]); what takes long (a query of a
//! large table) is done outside of the core's lock.

use super::{Agent, Backend, Failure, Request, Response};
use crate::log::logger;
use amqp_core::Instant;
use amqp_core::message::MessageError;
use amqp_core::performative::{DeliveryState, Source, Target};
use bytes::Bytes;
use router_engine::annotations::Annotations;
use router_engine::core::action::{AttachRequest, Direction};
use router_engine::core::connection::{ConnFacts, ConnHandle, ConnParams, PeerKind};
use router_engine::core::effect::{AttachReply, Push};
use router_engine::log::{Level, LogModule};
use router_engine::stream::{CHUNK_COST, Notify, Payload, Pull, Reader};
use router_engine::{Action, Deliver, Effect, InToken, LinkId, OutId, Router, Side};
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// What the node consumes; the last goes to the general agent only.
const ADDRESSES: [&str; 3] = ["$management", "_local/$management", "_local/$_management_internal"];

/// Token of the link for replies; those before it are the links of [`ADDRESSES`].
const REPLIES: u32 = 3;

/// Requests on their way to the node at a time, per link.
const CREDIT: u32 = 250;

/// Octets of the largest request.
const MAX_REQUEST: usize = 16 * 1024 * 1024;

/// Octets of all requests that are still arriving.
const MAX_ARRIVING: usize = 4 * MAX_REQUEST;

/// How long an answer waits for the log lines of its request: whoever has the answer may look for them. A log that is
/// slower than this holds nobody up any longer.
const LAST_LINES: Duration = Duration::from_millis(50);

/// Octets pulled from a stream at a time.
const PULL: usize = 64 * 1024;

/// Tells the time; the node is as free of clocks as the core.
pub type Clock = fn() -> Instant;

/// The management node. See the module documentation.
pub struct Node {
    router: Arc<Router>,
    conn: ConnHandle,
    clock: Clock,
    links: HashMap<LinkId, usize>,
    replies: Option<LinkId>,
    /// Requests that are still arriving, by the key of their stream.
    arriving: HashMap<u64, Arriving>,
    /// Octets of all these together.
    arrived: usize,
    next_key: u64,
    next_token: u64,
    actions: Vec<Action>,
}

/// A request that is still arriving.
struct Arriving {
    push: Delivery,
    reader: Reader,
    chunks: VecDeque<Bytes>,
    /// Octets in `chunks`, with what each chunk costs.
    size: usize,
}

/// What is needed of a delivery once its payload is taken.
#[derive(Clone, Copy)]
struct Delivery {
    link: LinkId,
    id: OutId,
    /// Number of the connection that it came in on.
    from: Option<u32>,
    settled: bool,
    /// It came as a stream, so the core wants to know when it was taken.
    stream: bool,
}

// === impl Node ===

impl Node {
    /// Joins the core. From here on requests are queued; [`Self::run`] serves them.
    #[must_use]
    pub fn join(router: Arc<Router>, clock: Clock) -> Self {
        let conn = router.connect(conn_params(), clock());
        let mut node = Self {
            router,
            conn,
            clock,
            links: HashMap::new(),
            replies: None,
            arriving: HashMap::new(),
            arrived: 0,
            next_key: 0,
            next_token: 0,
            actions: Vec::new(),
        };
        node.actions.push(Action::Opened(Box::default()));
        for (token, address) in ADDRESSES.iter().enumerate() {
            node.attach(token as u32, Some(address));
        }
        node.attach(REPLIES, None);
        node.submit();
        node
    }

    /// Serves requests for as long as it is polled.
    pub async fn run<B: Backend>(mut self, mut agent: Agent<B>) {
        let (mut effects, mut ready) = (Vec::new(), Vec::new());
        loop {
            let mailbox = Arc::clone(&self.conn.mailbox);
            poll_fn(|cx| if mailbox.park(cx.waker()) { Poll::Pending } else { Poll::Ready(()) }).await;
            mailbox.take(&mut effects, &mut ready);
            for effect in effects.drain(..) {
                self.on_effect(effect, &mut agent);
            }
            for key in ready.drain(..) {
                self.pull(key, &mut agent);
            }
            self.submit();
            // Many requests must not keep what else runs here from its turn.
            tokio::task::yield_now().await;
        }
    }

    fn attach(&mut self, token: u32, address: Option<&str>) {
        let (direction, name) = match address {
            Some(address) => (Direction::Out, address),
            None => (Direction::In, "management-replies"),
        };
        let source = Source { address: address.map(str::to_owned), ..Source::default() };
        self.actions.push(Action::Attach(Box::new(AttachRequest {
            token,
            name: name.to_owned(),
            direction,
            source: Some(Box::new(source)),
            target: Some(Box::new(Target::default())),
            settle_on_send: false,
        })));
    }

    fn submit(&mut self) {
        if !self.actions.is_empty() {
            // Replies are pre-settled and complete, so the core hands out no ids for them.
            self.router.submit(self.conn.id, &mut self.actions, &mut Vec::new(), (self.clock)());
        }
    }

    fn on_effect<B: Backend>(&mut self, effect: Effect, agent: &mut Agent<B>) {
        match effect {
            Effect::AttachReply(reply) => self.on_attached(&reply),
            Effect::Push(push) => self.on_push(*push, agent),
            Effect::AbortOut { id, .. } => {
                let key = self.arriving.iter().find(|(_, a)| a.push.id == id).map(|(key, _)| *key);
                key.and_then(|key| self.take_arriving(key));
            }
            Effect::Detach { link, .. } => {
                self.links.remove(&link);
            }
            // Replies go out whatever the credit; the rest concerns peers with sockets.
            _ => {}
        }
    }

    fn on_attached(&mut self, reply: &AttachReply) {
        let Ok(link) = reply.link else {
            router_engine::log!(LogModule::Agent, Level::Error, "Cannot attach the management node");
            return;
        };
        if reply.token == REPLIES {
            self.replies = Some(link);
        } else {
            self.links.insert(link, reply.token as usize);
            self.actions.push(Action::PeerCredit { link, credit: CREDIT, drain: false });
        }
    }

    fn on_push<B: Backend>(&mut self, push: Push, agent: &mut Agent<B>) {
        let delivery =
            |stream| Delivery { link: push.link, id: push.id, from: push.from, settled: push.settled, stream };
        match push.payload {
            Payload::One(bytes) => self.serve(delivery(false), &[bytes], agent),
            Payload::Many(chunks) => self.serve(delivery(false), &chunks, agent),
            Payload::Stream(stream) => {
                let key = self.next_key;
                self.next_key += 1;
                let notify = Notify { mailbox: Arc::clone(&self.conn.mailbox), key };
                let reader = match push.reader {
                    Some(reader) => {
                        reader.set_notify(notify);
                        reader
                    }
                    None => stream.reader(Some(notify)),
                };
                let arriving = Arriving { push: delivery(true), reader, chunks: VecDeque::new(), size: 0 };
                self.arriving.insert(key, arriving);
                self.pull(key, agent);
            }
        }
    }

    /// Takes what there is of an arriving request, and serves it when it is complete.
    fn pull<B: Backend>(&mut self, key: u64, agent: &mut Agent<B>) {
        let Some(arriving) = self.arriving.get_mut(&key) else { return };
        let end = loop {
            let known = arriving.chunks.len();
            let pull = arriving.reader.pull(PULL, &mut arriving.chunks);
            let more: usize = arriving.chunks.range(known..).map(|chunk| chunk.len() + CHUNK_COST).sum();
            arriving.size += more;
            self.arrived += more;
            if arriving.size > MAX_REQUEST || self.arrived > MAX_ARRIVING || !matches!(pull, Pull::Data) {
                break pull;
            }
        };
        let (too_large, too_many) = (arriving.size > MAX_REQUEST, self.arrived > MAX_ARRIVING);
        if end == Pull::Empty && !(too_large || too_many) {
            return;
        }
        let Some(Arriving { push, chunks, .. }) = self.take_arriving(key) else { return };
        match end {
            // The core waits to hear that nothing more is read.
            Pull::Aborted => self.actions.push(Action::Sent { delivery: push.id }),
            _ if too_large => self.settle(push, rejected("amqp:link:message-size-exceeded", "Request too large")),
            _ if too_many => self.settle(push, rejected("amqp:resource-limit-exceeded", "Too many large requests")),
            _ => self.serve(push, &Vec::from(chunks), agent),
        }
    }

    fn take_arriving(&mut self, key: u64) -> Option<Arriving> {
        let arriving = self.arriving.remove(&key)?;
        self.arrived -= arriving.size;
        Some(arriving)
    }

    fn serve<B: Backend>(&mut self, delivery: Delivery, message: &[Bytes], agent: &mut Agent<B>) {
        let request = match Request::decode(message) {
            Ok(request) => Request { requester: delivery.from, ..request },
            Err(error) => return self.refuse(delivery, &error),
        };
        self.settle(delivery, DeliveryState::Accepted);
        // Whoever waits for settlement need not wait for the answer.
        self.submit();
        let general_only = self.links.get(&delivery.link) == Some(&(ADDRESSES.len() - 1));
        let response = answer(agent, &request, general_only);
        let (Some(response), Some(reply_to)) = (response, &request.reply_to) else { return };
        logger().flush_within(LAST_LINES);
        self.reply(reply_to, response.encode(reply_to, &request.correlation_id));
    }

    fn refuse(&mut self, delivery: Delivery, error: &MessageError) {
        router_engine::log!(LogModule::Agent, Level::Error, "Cannot read a management request: {error}");
        self.settle(delivery, rejected("amqp:decode-error", "Parse error in message content"));
    }

    fn settle(&mut self, delivery: Delivery, state: DeliveryState) {
        let Delivery { link, id, settled, stream, .. } = delivery;
        if settled || stream {
            self.actions.push(Action::Sent { delivery: id });
        }
        if !settled {
            self.actions.push(Action::Update { delivery: Side::Out(id), state: Some(state), settled: true });
        }
        self.actions.push(Action::PeerCredit { link, credit: CREDIT, drain: false });
    }

    fn reply(&mut self, to: &str, message: Bytes) {
        let Some(link) = self.replies else { return };
        let token = InToken(self.next_token);
        self.next_token += 1;
        self.actions.push(Action::Deliver(Box::new(Deliver {
            link,
            token,
            settled: true,
            payload: Payload::One(message),
            to: Some(Bytes::copy_from_slice(to.as_bytes())),
            annotations: Annotations::default(),
            priority: amqp_core::message::header::DEFAULT_PRIORITY,
            state: None,
        })));
    }
}

/// The agent's answer. A request that makes it panic costs the requester an answer that says more, and nobody else
/// anything: without its thread the router could not be managed any more.
pub(super) fn answer<B: Backend>(agent: &mut Agent<B>, request: &Request, general_only: bool) -> Option<Response> {
    let handle = || if general_only { agent.handle_internal(request) } else { agent.handle(request) };
    catch_unwind(AssertUnwindSafe(handle)).unwrap_or_else(|_| {
        let operation = request.text("operation").unwrap_or_default();
        let failure = Failure::internal("RuntimeError", "the request could not be served");
        let text = failure.description();
        router_engine::log!(LogModule::Agent, Level::Error, "Error performing {operation}: {text}");
        Some(failure.into())
    })
}

fn rejected(condition: &'static str, description: &str) -> DeliveryState {
    DeliveryState::rejected(condition, description)
}

fn conn_params() -> ConnParams {
    let facts = ConnFacts { host: "management".to_owned(), ..ConnFacts::default() };
    ConnParams { facts, ..ConnParams::in_process(PeerKind::Internal, CREDIT) }
}
