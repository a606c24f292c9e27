//! Auto-links: links that the router attaches whenever a certain peer is connected (spec `amqp-endpoint.md` section 9).
//!
//! ```text
//!                          the peer attaches, naming its node
//!  connected --> Attaching -----------------------------------> Active
//!                 ^     |                                         |
//!         2 s,    |     '------------ the peer detaches ----------'
//!       then 5 s  |                          v
//!                 '----------------------- Failed
//! ```
//!
//! An auto-link has such a state on each connection it is meant for. It ends with the connection, or with the auto-link.

mod life;

use super::Router;
use super::action::Direction;
use super::ids::{ConnId, LinkId};
use super::objects::{Address, Conn};
use super::table::Slot;
use crate::address::name::bare;
use crate::log::{Level, LogModule};
use amqp_core::Instant;
use amqp_core::performative::{Source, Target};
use amqp_core::value::Symbol;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// From the first time that a peer detaches an auto-link to the next attempt.
const FIRST_RETRY: Duration = Duration::from_secs(2);
/// The same, later times.
const LATER_RETRY: Duration = Duration::from_secs(5);

/// An auto-link as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutoLinkConfig {
    /// The name, when one was given.
    pub name: Option<String>,
    /// The direction.
    pub direction: Direction,
    /// The address inside the network. What comes in without one is routed by its `to`.
    pub address: Option<String>,
    /// The address at the peer, when another.
    pub external_address: Option<String>,
    /// Which connections are meant; none are, without.
    pub peer: Option<AutoLinkPeer>,
}

/// What makes a connection one that an auto-link is meant for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AutoLinkPeer {
    /// The name of its listener or connector.
    Connection(String),
    /// The container id of its peer.
    Container(String),
}

/// How an auto-link stands; of several connections on the one where it stands best.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AutoLinkStatus {
    /// The number of the link, from its attach to its detach.
    pub link: Option<u32>,
    /// The state.
    pub state: AutoLinkState,
    /// Why the peer detached last, if it said so.
    pub last_error: Option<String>,
}

/// The state of an auto-link, the worst first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum AutoLinkState {
    /// Nothing is to be attached.
    #[default]
    Inactive,
    /// The peer has detached it.
    Failed,
    /// The attach is sent.
    Attaching,
    /// Both attaches are exchanged.
    Active,
}

/// All auto-links.
#[derive(Debug, Default)]
pub(super) struct AutoLinks {
    /// By number, oldest first.
    all: BTreeMap<u64, AutoLink>,
    by_link: HashMap<LinkId, u64>,
    /// When to attach which ones again.
    retries: BTreeSet<(Instant, u64, ConnId)>,
    /// Those that bring in under one name what has another one at the peer, by connection and that name.
    renamed: HashMap<ConnId, HashMap<Box<str>, BTreeSet<u64>>>,
}

#[derive(Debug)]
struct AutoLink {
    config: AutoLinkConfig,
    /// The record of the address inside the network, held for as long as the auto-link exists.
    address: Option<Slot<Address>>,
    last_error: Option<String>,
    activations: BTreeMap<ConnId, Activation>,
}

/// An auto-link on one connection.
#[derive(Debug, Default)]
struct Activation {
    phase: Phase,
    has_failed: bool,
}

/// See [`AutoLinkState`].
#[derive(Debug, Clone, Copy, Default)]
enum Phase {
    /// It has no address to attach to.
    #[default]
    Inactive,
    Attaching(LinkId),
    Active(LinkId),
    /// Until the next attempt.
    Failed(Instant),
}

// === impl AutoLinks ===

impl AutoLinks {
    /// When the next one is to be attached again.
    pub(super) fn next_retry(&self) -> Option<Instant> {
        self.retries.first().map(|&(at, ..)| at)
    }

    fn activation(&mut self, number: u64, conn: ConnId) -> Option<&mut Activation> {
        self.all.get_mut(&number)?.activations.get_mut(&conn)
    }

    /// What a peer has under that name, as an auto-link brings it in: the address inside the network, and its text.
    pub(super) fn named_outside(&self, conn: ConnId, name: &str) -> Option<(Slot<Address>, Bytes)> {
        if self.renamed.is_empty() {
            return None;
        }
        let number = self.renamed.get(&conn)?.get(bare(name))?.first()?;
        let AutoLink { address, config, .. } = self.all.get(number)?;
        Some(((*address)?, Bytes::copy_from_slice(config.address.as_deref()?.as_bytes())))
    }

    /// The name at the peer of what goes out on a link, if it is an auto-link and has another one there.
    pub(super) fn external_name(&self, link: LinkId) -> Option<&str> {
        let config = &self.all.get(self.by_link.get(&link)?)?.config;
        config.renames().filter(|_| config.direction == Direction::Out)
    }

    /// An auto-link is attached on a connection.
    fn begin_renaming(&mut self, number: u64, conn: ConnId) {
        let config = self.all.get(&number).map(|auto_link| &auto_link.config);
        let incoming = config.filter(|config| config.direction == Direction::In);
        if let Some(name) = incoming.and_then(AutoLinkConfig::renames) {
            self.renamed.entry(conn).or_default().entry(bare(name).into()).or_default().insert(number);
        }
    }

    /// An auto-link is not attached on a connection any more.
    fn end_renaming(&mut self, number: u64, conn: ConnId) {
        let Some(names) = self.renamed.get_mut(&conn) else { return };
        names.retain(|_, numbers| {
            numbers.remove(&number);
            !numbers.is_empty()
        });
        if names.is_empty() {
            self.renamed.remove(&conn);
        }
    }

    /// Nothing is kept of any connection.
    #[cfg(test)]
    pub(super) fn is_idle(&self) -> bool {
        let attached = !self.by_link.is_empty() || !self.renamed.is_empty();
        !attached && self.retries.is_empty() && self.all.values().all(|a| a.activations.is_empty())
    }
}

// === impl Router ===

impl Router {
    /// Adds an auto-link under a number that was not used before, and attaches it to the connections that are there.
    pub fn add_auto_link(&self, number: u64, config: AutoLinkConfig) {
        self.with(|core| core.add_auto_link(number, config));
    }

    /// Removes an auto-link, and detaches its links.
    pub fn remove_auto_link(&self, number: u64) {
        self.with(|core| core.remove_auto_link(number));
    }

    /// How the auto-link with that number stands.
    #[must_use]
    pub fn auto_link_status(&self, number: u64) -> AutoLinkStatus {
        self.core.lock().auto_links.all.get(&number).map(AutoLink::status).unwrap_or_default()
    }
}

// === impl AutoLinkConfig ===

impl AutoLinkConfig {
    /// Whether links are to be attached on the connection.
    fn is_meant_for(&self, conn: &Conn) -> bool {
        let Some(open) = conn.peer.as_ref().filter(|_| conn.role.takes_auto_links()) else { return false };
        match &self.peer {
            Some(AutoLinkPeer::Connection(name)) => conn.params.label.as_deref() == Some(name),
            Some(AutoLinkPeer::Container(id)) => open.container_id == *id,
            None => false,
        }
    }

    /// The termini of a link. Only the peer's names a node.
    fn termini(&self) -> Option<(Source, Target)> {
        let node = self.external_address.clone().or_else(|| self.address.clone());
        node.as_ref()?;
        let (source, target) = match self.direction {
            Direction::In => (node, None),
            Direction::Out => (None, node),
        };
        let expiry_policy = Some(Symbol::from_static("link-detach"));
        let source = Source { address: source, expiry_policy: expiry_policy.clone(), ..Source::default() };
        Some((source, Target { address: target, expiry_policy, ..Target::default() }))
    }

    /// The name at the peer of what has another one inside the network.
    fn renames(&self) -> Option<&str> {
        let inside = bare(self.address.as_deref()?);
        self.external_address.as_deref().filter(|name| bare(name) != inside)
    }

    /// Whether the peer's attach names its node: it refuses the link otherwise.
    fn is_confirmed(&self, source: Option<&Source>, target: Option<&Target>) -> bool {
        match self.direction {
            Direction::In => source.is_some_and(|source| source.address.is_some()),
            Direction::Out => target.is_some_and(|target| target.address.is_some()),
        }
    }
}

// === impl AutoLink ===

impl AutoLink {
    fn status(&self) -> AutoLinkStatus {
        let best = self.activations.values().map(|a| a.phase).max_by_key(|phase| phase.state()).unwrap_or_default();
        AutoLinkStatus {
            link: best.link().map(|link| link.number),
            state: best.state(),
            last_error: self.last_error.clone(),
        }
    }

    /// Tells operators what has become of it on a connection.
    fn report(&self, number: u64, conn: &Conn, what: &str) {
        let number = number.to_string();
        let name = self.config.name.as_ref().unwrap_or(&number);
        let container = conn.peer.as_ref().map_or("", |open| &open.container_id);
        let (kind, key) = conn.params.label.as_deref().map_or(("container", container), |label| ("connection", label));
        crate::log!(LogModule::RouterCore, Level::Info, "Auto Link {what} '{name}' on {kind} {key}");
    }
}

// === impl Activation ===

impl Activation {
    /// The peer has detached it. When to try again.
    fn fail(&mut self, now: Instant) -> Instant {
        let retry = now + if self.has_failed { LATER_RETRY } else { FIRST_RETRY };
        *self = Self { phase: Phase::Failed(retry), has_failed: true };
        retry
    }
}

// === impl Phase ===

impl Phase {
    const fn state(self) -> AutoLinkState {
        match self {
            Self::Inactive => AutoLinkState::Inactive,
            Self::Attaching(_) => AutoLinkState::Attaching,
            Self::Active(_) => AutoLinkState::Active,
            Self::Failed(_) => AutoLinkState::Failed,
        }
    }

    const fn link(self) -> Option<LinkId> {
        match self {
            Self::Attaching(link) | Self::Active(link) => Some(link),
            Self::Inactive | Self::Failed(_) => None,
        }
    }
}
