//! A client inside the router: to the peer that calls itself [`CONTAINER`] it sends requests, as the peer gives credit for
//! them.
//!
//! ```text
//!  peer opens --> two links --both attached, credit--> request --reply--> next request
//!                                                         '------5 s----> timed out, no further one
//! ```

use amqp_core::Instant;
use amqp_core::message::{Header, Message, MessageBuilder, Properties};
use amqp_core::performative::{DeliveryState, Source, Target};
use amqp_core::value::Map;
use bytes::Bytes;
use router_engine::core::PeerAttach;
use router_engine::core::action::Direction;
use router_engine::log::{Level, LogModule};
use router_engine::port::local::{Delivery, Endpoint, Envelope};
use router_engine::stream::Payload;
use router_engine::{ConnId, LinkId};
use std::collections::VecDeque;
use std::time::Duration;

/// Container id of the peer that requests go to.
const CONTAINER: &str = "io.skupper.router.test_core_client";
/// Where requests are sent.
const SERVICE: &str = "test_client_address";
/// Replies on their way at a time.
const REPLIES: u32 = 10;
/// How long a request waits for its reply.
const PATIENCE: Duration = Duration::from_secs(5);

/// The client, with a session while there is a peer.
#[derive(Debug, Default)]
pub(super) struct Client {
    session: Option<Session>,
}

/// The links to a peer.
#[derive(Debug)]
struct Session {
    requests: LinkId,
    replies: LinkId,
    /// The requests may be sent, as far as this link is concerned.
    is_open: bool,
    /// Where the peer lets replies come in.
    reply_to: Option<String>,
    credit: u32,
    /// The peer wants the credit used up.
    drain: bool,
    sent: u64,
    /// Correlation id of each request without a reply, and when it is too late for one. Oldest first.
    pending: VecDeque<(String, Instant)>,
}

// === impl Client ===

impl Client {
    pub(super) fn await_peer(endpoint: &Endpoint) -> Self {
        endpoint.await_container(CONTAINER);
        Self::default()
    }

    /// A peer has come. While there is another one it is of no interest.
    pub(super) fn begin(&mut self, endpoint: &Endpoint, conn: ConnId, now: Instant) {
        if self.session.is_some() {
            return;
        }
        let target = Target { address: Some(SERVICE.to_owned()), ..Target::default() };
        let source = Source { dynamic: true, ..Source::default() };
        let attach = |direction, source, target, credit| {
            let attach = PeerAttach { conn, direction, source: Box::new(source), target: Box::new(target) };
            endpoint.attach_to_peer(attach, credit, now)
        };
        let requests = attach(Direction::Out, Source::default(), target, 0);
        let replies = attach(Direction::In, source, Target::default(), REPLIES);
        self.session = requests.zip(replies).map(|(requests, replies)| Session::new(requests, replies));
    }

    pub(super) fn owns(&self, link: LinkId) -> bool {
        self.session.as_ref().is_some_and(|session| session.replies == link)
    }

    pub(super) fn on_attached(
        &mut self,
        endpoint: &mut Endpoint,
        link: LinkId,
        source: Option<&Source>,
        target: Option<&Target>,
        now: Instant,
    ) {
        let Some(session) = &mut self.session else { return };
        if link == session.requests {
            session.is_open = target.is_some();
        } else if link == session.replies {
            session.reply_to = source.and_then(|source| source.address.clone());
        }
        session.send(endpoint, now);
    }

    pub(super) fn on_credit(&mut self, endpoint: &mut Endpoint, link: LinkId, credit: u32, drain: bool, now: Instant) {
        let Some(session) = self.session.as_mut().filter(|session| session.requests == link) else { return };
        router_engine::log!(
            LogModule::RouterCore,
            Level::Debug,
            "client test on flow c={credit} d={}",
            if drain { 'T' } else { 'F' }
        );
        (session.credit, session.drain) = (credit, drain);
        session.send(endpoint, now);
    }

    pub(super) fn on_reply(&mut self, endpoint: &mut Endpoint, delivery: Delivery, now: Instant) {
        let reply = Message::decode(delivery.message().unwrap_or_default());
        let id = reply.ok().and_then(|reply| reply.properties.correlation_id.as_str().map(str::to_owned));
        let Some(session) = &mut self.session else { return };
        let outcome = if id.is_some() { DeliveryState::Accepted } else { DeliveryState::Rejected(None) };
        endpoint.settle(delivery, outcome);
        session.conclude(id.as_deref());
        session.send(endpoint, now);
    }

    /// One of the links is gone: the session is over, and another peer may come.
    pub(super) fn on_detached(&mut self, endpoint: &mut Endpoint, link: LinkId) {
        let ends = |session: &mut Session| [session.requests, session.replies].contains(&link);
        let Some(session) = self.session.take_if(ends) else { return };
        [session.requests, session.replies].into_iter().filter(|l| *l != link).for_each(|l| endpoint.detach(l, None));
        session.pending.iter().for_each(|_| report(Some("link detached")));
    }

    /// When [`Self::on_time`] wants to be called.
    pub(super) fn due(&self) -> Option<Instant> {
        self.session.as_ref()?.pending.front().map(|(_, late)| *late)
    }

    /// Gives up what has waited for too long.
    pub(super) fn on_time(&mut self, now: Instant) {
        let Some(session) = &mut self.session else { return };
        while session.pending.pop_front_if(|(_, late)| *late <= now).is_some() {
            report(Some("Timed out"));
        }
    }
}

// === impl Session ===

impl Session {
    const fn new(requests: LinkId, replies: LinkId) -> Self {
        Self {
            requests,
            replies,
            is_open: false,
            reply_to: None,
            credit: 0,
            drain: false,
            sent: 0,
            pending: VecDeque::new(),
        }
    }

    /// Sends one request if none waits for its reply, or all that there is credit for when the peer drains it.
    fn send(&mut self, endpoint: &mut Endpoint, now: Instant) {
        let Some(reply_to) = self.reply_to.clone().filter(|_| self.is_open) else { return };
        while self.credit > 0 && (self.drain || self.pending.is_empty()) {
            let id = format!("client-{:016x}{:08x}", now.as_micros(), self.sent);
            let message = request(&reply_to, &id, self.sent);
            endpoint.send(self.requests, Payload::One(message), Envelope::default());
            self.credit -= 1;
            self.sent += 1;
            self.pending.push_back((id, now + PATIENCE));
            let (sent, credit) = (self.sent, self.credit);
            router_engine::log!(
                LogModule::RouterCore,
                Level::Debug,
                "client test message sent id={sent} credit={credit}"
            );
        }
    }

    /// A reply has come to the request with that correlation id.
    fn conclude(&mut self, id: Option<&str>) {
        let Some(id) = id else {
            let complaint = "Invalid core client reply message: no correlation-id";
            return router_engine::log!(LogModule::RouterCore, Level::Error, "{complaint}");
        };
        match self.pending.iter().position(|(pending, _)| pending == id) {
            Some(at) => {
                self.pending.remove(at);
                report(None);
            }
            None => {
                let complaint = "Core client reply message dropped: no matching correlation-id";
                router_engine::log!(LogModule::RouterCore, Level::Warning, "{complaint}");
            }
        }
    }
}

/// A request is over.
fn report(error: Option<&str>) {
    let level = if error.is_some() { Level::Error } else { Level::Debug };
    let error = error.unwrap_or("None");
    router_engine::log!(LogModule::RouterCore, level, "client test request done error={error}");
}

fn request(reply_to: &str, id: &str, counter: u64) -> Bytes {
    let properties =
        Properties { reply_to: Some(reply_to.to_owned()), correlation_id: id.into(), ..Properties::default() };
    let counter = i64::try_from(counter).unwrap_or(i64::MAX);
    MessageBuilder::new()
        .header(&Header::default())
        .properties(&properties)
        .application_properties(&Map::new().with("action", "echo").with("counter", counter))
        .value("HI THERE")
}
