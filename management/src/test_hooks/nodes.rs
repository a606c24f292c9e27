//! Addresses that behave in one way each: they take, refuse, make or mirror what comes.

use super::Fault;
use amqp_core::message::{Header, Message, MessageBuilder, Properties};
use amqp_core::performative::{DeliveryState, Error};
use amqp_core::value::Map;
use amqp_core::{Instant, Value};
use bytes::Bytes;
use router_engine::core::PeerAttach;
use router_engine::core::action::Direction;
use router_engine::log::{Level, LogModule};
use router_engine::port::local::{Delivery, Endpoint, Envelope};
use router_engine::stream::Payload;
use router_engine::{InToken, LinkId};
use std::collections::HashMap;

const PREFIX: &str = "io.skupper.router.router/test/";

/// Unsettled messages of a source at a time, whatever credit there is.
const UNSETTLED: usize = 250;

/// What an address does with links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    /// Attaches the same link the other way.
    Echo,
    /// Refuses.
    Deny,
    /// Accepts what comes.
    Sink,
    /// Rejects what comes.
    Discard,
    /// Sends as many messages as there is credit for; settled or not.
    Source { settled: bool },
    /// Logs.
    Log,
    /// Ends the process.
    Crash,
}

const NODES: [(&str, Node); 8] = [
    ("echo", Node::Echo),
    ("deny", Node::Deny),
    ("sink", Node::Sink),
    ("discard", Node::Discard),
    ("source", Node::Source { settled: false }),
    ("source_ps", Node::Source { settled: true }),
    ("log", Node::Log),
    ("crash", Node::Crash),
];

/// The links at these addresses.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    takers: HashMap<LinkId, Node>,
    sources: HashMap<LinkId, Source>,
    /// Each link of a pair that mirror each other, and the other one.
    mirrors: HashMap<LinkId, LinkId>,
    /// Messages of sources that are not settled.
    unsettled: HashMap<InToken, LinkId>,
    /// Messages that sources have made.
    made: u32,
}

/// A link that messages are made for.
#[derive(Debug)]
struct Source {
    settled: bool,
    credit: u32,
}

// === impl Node ===

impl Node {
    fn of(attach: &PeerAttach) -> Option<Self> {
        let address = match attach.direction {
            Direction::In => attach.target.address.as_deref(),
            Direction::Out => attach.source.address.as_deref(),
        };
        let (_, name) = address?.trim_end_matches(['/', '.']).rsplit_once('/')?;
        NODES.iter().find(|(known, _)| *known == name).map(|(_, node)| *node)
    }

    /// Why the node refuses a link in a direction, if it does.
    fn refusal(self, direction: Direction) -> Option<&'static str> {
        let (takes, text) = match self {
            Self::Echo => return None,
            Self::Deny => return Some("Connectivity to the deny node is forbidden"),
            Self::Sink => (Direction::In, "Sink function only accepts incoming links"),
            Self::Discard => (Direction::In, "Discard function only accepts incoming links"),
            Self::Source { .. } => (Direction::Out, "Source function only accepts outgoing links"),
            Self::Log => (Direction::In, "Test log function only accepts incoming links"),
            Self::Crash => (Direction::In, "Test crash function only accepts incoming links"),
        };
        (direction != takes).then_some(text)
    }
}

// === impl Nodes ===

impl Nodes {
    pub(super) fn serve(endpoint: &Endpoint) -> Self {
        NODES.iter().for_each(|(name, _)| endpoint.serve(&format!("{PREFIX}{name}")));
        Self::default()
    }

    pub(super) fn on_attach(&mut self, endpoint: &Endpoint, link: LinkId, attach: PeerAttach, now: Instant) {
        let node = Node::of(&attach).unwrap_or(Node::Deny);
        if let Some(text) = node.refusal(attach.direction) {
            return endpoint.answer_attach(link, Err(Error::new("qd:forbidden", text)), now);
        }
        match node {
            Node::Echo => return self.mirror(endpoint, link, attach, now),
            Node::Source { settled } => {
                self.sources.insert(link, Source { settled, credit: 0 });
            }
            node => {
                self.takers.insert(link, node);
            }
        }
        endpoint.answer_attach(link, Ok(1), now);
    }

    /// The first link is answered once the peer has answered its mirror image.
    fn mirror(&mut self, endpoint: &Endpoint, link: LinkId, attach: PeerAttach, now: Instant) {
        let image = PeerAttach { direction: attach.direction.reverse(), ..attach };
        let Some(image) = endpoint.attach_to_peer(image, 0, now) else { return };
        self.mirrors.extend([(link, image), (image, link)]);
    }

    pub(super) fn on_attached(&self, endpoint: &Endpoint, link: LinkId, now: Instant) {
        if let Some(&first) = self.mirrors.get(&link) {
            endpoint.answer_attach(first, Ok(0), now);
        }
    }

    pub(super) fn on_credit(&mut self, link: LinkId, credit: u32) {
        if let Some(source) = self.sources.get_mut(&link) {
            source.credit = credit;
        }
    }

    pub(super) fn on_settled(&mut self, token: InToken) {
        self.unsettled.remove(&token);
    }

    pub(super) fn on_detached(&mut self, endpoint: &mut Endpoint, link: LinkId, error: Option<Box<Error>>) {
        self.takers.remove(&link);
        if self.sources.remove(&link).is_some() {
            self.unsettled.retain(|_, source| *source != link);
        }
        if let Some(image) = self.mirrors.remove(&link) {
            self.mirrors.remove(&image);
            endpoint.detach(image, error);
        }
    }

    /// Makes a message for each link with credit. Whether there was one.
    pub(super) fn step(&mut self, endpoint: &mut Endpoint) -> bool {
        let mut any = false;
        for (&link, source) in self.sources.iter_mut().filter(|(_, source)| source.credit > 0) {
            if !source.settled && self.unsettled.len() >= UNSETTLED {
                continue;
            }
            source.credit -= 1;
            let envelope = Envelope { settled: source.settled, ..Envelope::default() };
            let token = endpoint.send(link, Payload::One(numbered(self.made)), envelope);
            if !source.settled {
                self.unsettled.insert(token, link);
            }
            self.made = self.made.wrapping_add(1);
            any = true;
        }
        any
    }

    /// Takes a delivery. How the process is to end, if that was asked for.
    pub(super) fn on_delivery(&self, endpoint: &mut Endpoint, delivery: Delivery) -> Option<Fault> {
        let node = *self.takers.get(&delivery.link())?;
        let subject = || Message::decode(delivery.message().unwrap_or_default()).ok()?.properties.subject;
        let (outcome, fault) = match node {
            Node::Discard => (DeliveryState::Rejected(None), None),
            Node::Log => {
                log_at(subject().as_deref());
                (DeliveryState::Accepted, None)
            }
            Node::Crash => (DeliveryState::Accepted, crash(subject().as_deref())),
            _ => (DeliveryState::Accepted, None),
        };
        endpoint.settle(delivery, outcome);
        fault
    }
}

/// The message that a source sends.
fn numbered(number: u32) -> Bytes {
    MessageBuilder::new()
        .header(&Header::default())
        .properties(&Properties::default())
        .application_properties(&Map::new().with(Value::symbol("sequence"), Value::Uint(number)))
        .value(format!("Sequence: {number}"))
}

fn log_at(subject: Option<&str>) {
    let level = match subject {
        Some("INFO") => Level::Info,
        Some("WARNING") => Level::Warning,
        Some("ERROR") => Level::Error,
        Some("CRITICAL") => Level::Critical,
        _ => Level::Debug,
    };
    router_engine::log!(LogModule::Router, level, "This is a test log message.");
}

fn crash(subject: Option<&str>) -> Option<Fault> {
    router_engine::log!(LogModule::Router, Level::Critical, "Forced Router CRASH via Test Hooks");
    match subject {
        Some("ABORT") => Some(Fault::Abort),
        Some("SEGV") => Some(Fault::Segmentation),
        Some("HEAP") => Some(Fault::Heap),
        _ => None,
    }
}
