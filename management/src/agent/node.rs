//! The management node: joins the agent to the routing core.
//!
//! The node is an in-process peer of the core: it consumes `$management` in its mobile and local
//! form and the internal address of the general agent, and sends replies on an anonymous link. One
//! task serves one request at a time, on a thread of its own (see [`super::thread`]); what takes long (a query of a
//! large table) is done outside of the core's lock.

use super::{Agent, Backend, Failure, Reloaded, Request, Response};
use crate::config::Change;
use crate::log::logger;
use amqp_core::Instant;
use amqp_core::message::MessageError;
use amqp_core::performative::DeliveryState;
use router_engine::log::{Level, LogModule};
use router_engine::port::local::{
    Attach, Attached, Delivery, Endpoint, Envelope, Event, Excess, GatherLimits, Identity,
};
use router_engine::stream::Payload;
use router_engine::{LinkId, Router};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::{MissedTickBehavior, interval};

/// What the node consumes; the last goes to the general agent only.
const ADDRESSES: [&str; 3] = ["$management", "_local/$management", "_local/$_management_internal"];

/// Requests on their way to the node at a time, per link.
const CREDIT: u32 = 250;

/// Octets of the largest request.
const MAX_REQUEST: usize = 16 * 1024 * 1024;

/// What of requests that are still arriving is held.
const ARRIVING: GatherLimits = GatherLimits { message: MAX_REQUEST, total: 4 * MAX_REQUEST };

/// How long an answer waits for the log lines of its request: whoever has the answer may look for them. A log that is
/// slower than this holds nobody up any longer.
const LAST_LINES: Duration = Duration::from_millis(50);

/// How often it is looked whether what entities wait for is there.
const RETRY: Duration = Duration::from_secs(1);

/// Tells the time; the node is as free of clocks as the core.
pub type Clock = fn() -> Instant;

/// The management node. See the module documentation.
pub struct Node {
    endpoint: Endpoint,
    clock: Clock,
    /// Where requests come in that are for the general agent only.
    general: Option<LinkId>,
    replies: Option<LinkId>,
    /// What changed configurations say.
    plans: Receiver<Change>,
}

// === impl Node ===

impl Node {
    /// Joins the core. From here on requests are queued; [`Self::run`] serves them.
    #[must_use]
    pub fn join(router: Arc<Router>, clock: Clock) -> Self {
        let mut endpoint =
            Endpoint::join(&router, Identity::internal("management", CREDIT), Default::default(), clock());
        endpoint.gather(ARRIVING);
        let requests = endpoint.attach(ADDRESSES.map(|at| Attach::receiver(at, at).with_credit(CREDIT)), clock());
        let [replies] = endpoint.attach([Attach::anonymous_sender("management-replies")], clock());
        let [.., general] = requests.map(attached);
        // Nobody tells of any.
        let (_, plans) = channel(1);
        Self { endpoint, clock, general, replies: attached(replies), plans }
    }

    /// The node that applies changed configurations, too.
    #[must_use]
    pub fn reloading(self, plans: Receiver<Change>) -> Self {
        Self { plans, ..self }
    }

    /// Serves requests, and applies changed configurations, for as long as it is polled.
    pub async fn run<B: Backend>(mut self, mut agent: Agent<B>) {
        let mut waits = agent.backend().retry();
        // Not begun anew by each request: many of them must not keep it from its turn.
        let mut retries = interval(RETRY);
        retries.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let mut event = tokio::select! {
                event = poll_fn(|cx| self.endpoint.poll_event(cx)) => Some(event),
                Some(change) = self.plans.recv() => {
                    reload(&mut agent, change);
                    None
                }
                _ = retries.tick(), if waits => {
                    waits = agent.backend().retry();
                    None
                }
            };
            while let Some(next) = event {
                self.on_event(next, &mut agent);
                event = self.endpoint.next_event();
            }
            self.submit();
            // Many requests must not keep what else runs here from its turn.
            tokio::task::yield_now().await;
        }
    }

    fn submit(&mut self) {
        self.endpoint.submit((self.clock)());
    }

    fn on_event<B: Backend>(&mut self, event: Event, agent: &mut Agent<B>) {
        match event {
            Event::Delivery(delivery) => self.serve(delivery, agent),
            Event::Oversized(delivery, Excess::Message) => {
                self.endpoint.settle(delivery, rejected("amqp:link:message-size-exceeded", "Request too large"));
            }
            Event::Oversized(delivery, Excess::Total) => {
                self.endpoint.settle(delivery, rejected("amqp:resource-limit-exceeded", "Too many large requests"));
            }
            // Replies go out whatever the credit, and nothing is heard of them.
            _ => {}
        }
    }

    fn serve<B: Backend>(&mut self, delivery: Delivery, agent: &mut Agent<B>) {
        let request = match Request::decode(delivery.message().unwrap_or_default()) {
            Ok(request) => Request { requester: delivery.from(), ..request },
            Err(error) => return self.refuse(delivery, &error),
        };
        let general_only = Some(delivery.link()) == self.general;
        self.endpoint.settle(delivery, DeliveryState::Accepted);
        // Whoever waits for settlement need not wait for the answer.
        self.submit();
        let response = answer(agent, &request, general_only);
        let (Some(response), Some(reply_to)) = (response, &request.reply_to) else { return };
        logger().flush_within(LAST_LINES);
        let Some(replies) = self.replies else { return };
        let reply = Payload::One(response.encode(reply_to, &request.correlation_id));
        self.endpoint.send(replies, reply, Envelope::to(reply_to).settled());
    }

    fn refuse(&mut self, delivery: Delivery, error: &MessageError) {
        router_engine::log!(LogModule::Agent, Level::Error, "Cannot read a management request: {error}");
        self.endpoint.settle(delivery, rejected("amqp:decode-error", "Parse error in message content"));
    }
}

/// A fault in it must not cost the management thread, either.
fn reload<B: Backend>(agent: &mut Agent<B>, Change { plan, outcome }: Change) {
    let tell = |became: Result<(), String>| outcome.into_iter().for_each(|outcome| drop(outcome.send(became.clone())));
    let told = match catch_unwind(AssertUnwindSafe(|| agent.reload(plan))) {
        Ok(Ok(done)) => {
            for what in &done.pending {
                let text = "takes effect at the next start";
                router_engine::log!(LogModule::Agent, Level::Warning, "Reload: {what} {text}");
            }
            let Reloaded { created, updated, replaced, deleted, .. } = done;
            let text = format!("{created} created, {updated} updated, {replaced} replaced, {deleted} deleted");
            router_engine::log!(LogModule::Agent, Level::Info, "Configuration reloaded: {text}");
            tell(Ok(()));
            return;
        }
        Ok(Err(failure)) => failure.text,
        Err(_) => "a fault of the router".to_owned(),
    };
    router_engine::log!(LogModule::Agent, Level::Error, "Configuration not reloaded, nothing has changed: {told}");
    tell(Err(told));
}

fn attached<E>(answer: Result<Attached, E>) -> Option<LinkId> {
    if answer.is_err() {
        router_engine::log!(LogModule::Agent, Level::Error, "Cannot attach the management node");
    }
    answer.ok().map(|attached| attached.link)
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
