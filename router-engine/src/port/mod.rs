//! The glue between an AMQP connection and the routing core.
//!
//! ```text
//!   octets --receive--> engine --events--> actions --submit--> Router (one lock per batch)
//!   octets <--output--- engine <-operations-- effects, stream notices <-- Mailbox
//! ```
//!
//! Peers inside the process have ports of their own: [`local`].
//!
//! A port is owned by one driver task. Payload does not pass through the core: whole messages
//! travel as shared slices inside a delivery, longer ones through a [`crate::stream::Stream`].

mod annotate;
mod bare;
mod effects;
mod egress;
mod events;
mod ingress;
pub mod limits;
mod link;
mod liveness;
pub mod local;
mod message_log;
mod open;
mod params;
mod policed;
mod report;
mod stalls;
mod weight;
mod wide;

#[cfg(test)]
mod tests;

pub use amqp_core::engine::{Liveness, Output};
pub use amqp_core::sasl::{AuthReply, AuthRequest, Mechanism, PlainCredentials, Secret};
pub use message_log::MessageFields;
pub use open::ACCESS_ID;
pub use params::{OpenParams, PortError, PortParams, PortState, SaslParams, TlsInfo};

use crate::Router;
use crate::core::action::Action;
use crate::core::connection::{ConnHandle, ConnectionRole};
use crate::core::effect::{Effect, PRIORITIES, SessionClass};
use crate::core::traffic::{OpenPeer, PeerTraffic};
use crate::core::{Accepted, Mode};
use amqp_core::Instant;
use amqp_core::engine::{Config, Connection, DeliveryKey, SaslConfig, SessionKey, Status, Violation};
use amqp_core::performative::{Error, Open};
use annotate::AnnotationEncoder;
use bytes::Bytes;
use link::Links;
use policed::Policed;
use stalls::Stalls;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

/// An AMQP connection joined to the routing core. Owned by one driver task.
#[derive(Debug)]
pub struct AmqpPort {
    params: PortParams,
    handle: ConnHandle,
    router: Arc<Router>,
    engine: Connection,
    tls: Option<TlsInfo>,
    /// When the peer's open must have come.
    handshake: Option<Instant>,
    /// The peer's open.
    remote: Option<Box<Open>>,
    auth: Option<AuthRequest>,
    /// The connection is to another router of this network, and open.
    open_peer: Option<OpenPeer>,
    /// Policy restricts what the peer may do, from its open on.
    policed: Option<Box<Policed>>,
    /// Why the connection ended.
    error: Option<PortError>,
    /// The core was told that the connection is gone.
    core_closed: bool,
    /// The last time that was told.
    now: Instant,
    /// Octets since the last turn.
    received: u64,
    /// Peer and router have agreed on wide windows.
    wide: bool,
    /// The same on the mark of bare ends.
    bare_ends: bool,

    links: Links,
    /// Sessions of links that the core attached.
    classes: Vec<(SessionClass, SessionKey)>,
    stalls: Stalls,
    /// Outgoing links with something to do, by priority.
    ready: [VecDeque<u32>; PRIORITIES],
    /// Outgoing links that wait for their session's window.
    blocked: Vec<u32>,
    /// The incoming stream whose delivery is being submitted.
    starting: Option<(DeliveryKey, u32)>,
    annotations: AnnotationEncoder,

    /// To be submitted to the core.
    actions: Vec<Action>,
    // Reused from turn to turn.
    accepted: Vec<Accepted>,
    effects: Vec<Effect>,
    keys: Vec<u64>,
    buffer: VecDeque<Bytes>,
}

// === impl AmqpPort ===

impl AmqpPort {
    /// A port whose connection was announced with [`Router::connect`]. A connector's first octets
    /// are in the output at once.
    #[must_use]
    pub fn new(params: PortParams, handle: ConnHandle, router: Arc<Router>, now: Instant) -> Self {
        let mut engine = Connection::new(engine_config(&params));
        if params.conn.initiator {
            engine.open(open::our_open(&params, router.id(), handle.id));
        }
        // Edge routers, and all routers towards another network, keep their path to themselves.
        let with_path = router.mode() != Mode::Edge && params.conn.role.tells_path();
        Self {
            handshake: params.handshake_timeout.map(|timeout| now + timeout),
            annotations: AnnotationEncoder::new(router.id(), with_path),
            params,
            handle,
            router,
            engine,
            tls: None,
            remote: None,
            auth: None,
            open_peer: None,
            policed: None,
            error: None,
            core_closed: false,
            now,
            received: 0,
            wide: false,
            bare_ends: false,
            links: Links::default(),
            classes: Vec::new(),
            stalls: Stalls::default(),
            ready: std::array::from_fn(|_| VecDeque::new()),
            blocked: Vec::new(),
            starting: None,
            actions: Vec::new(),
            accepted: Vec::new(),
            effects: Vec::new(),
            keys: Vec::new(),
            buffer: VecDeque::new(),
        }
    }

    /// The core's id of the connection.
    #[must_use]
    pub const fn id(&self) -> crate::ConnId {
        self.handle.id
    }

    /// Tells what TLS established; before the peer's open.
    pub fn set_tls(&mut self, info: TlsInfo) {
        self.tls = Some(info);
    }

    /// Takes cleartext octets read from the transport. They are processed by [`Self::turn`].
    pub fn receive(&mut self, data: Bytes) {
        self.received += data.len() as u64;
        self.engine.receive(data);
    }

    /// Does a bounded amount of work: mailbox to engine, events to the core, bodies to the output.
    /// True means that more work is ready: call again after flushing the output.
    pub fn turn(&mut self, now: Instant) -> bool {
        self.now = now;
        let unsent = self.engine.output().len();
        self.take_mailbox();
        let more_events = self.run_events(now);
        self.submit(now);
        // What the core answers at once goes out in the same turn.
        self.take_mailbox();
        let more_output = !self.core_closed && self.run_egress();
        self.submit(now);
        self.engine.flush(now);
        self.count_octets(unsent);
        self.check_unread(now);
        if !more_events && !more_output && self.engine.output().is_empty() {
            self.release();
        }
        more_events || more_output
    }

    /// Counts what was received since the last turn and what there is to send since this one began.
    fn count_octets(&mut self, unsent: usize) {
        let received = std::mem::take(&mut self.received);
        if self.params.meter.is_none() && self.open_peer.is_none() {
            return;
        }
        let sent = self.engine.output().len().saturating_sub(unsent) as u64;
        if sent == 0 && received == 0 {
            return;
        }
        if let Some(meter) = &self.params.meter {
            meter.add(sent, received);
        }
        if let Some(peer) = &self.open_peer {
            peer.add(sent, received);
        }
    }

    /// The octets to write.
    pub fn output(&mut self) -> &mut Output {
        self.engine.output()
    }

    /// False: do not read from the transport now.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        let most = if self.engine.waits_for_auth() { limits::INPUT_BEFORE_AUTH } else { limits::INPUT_MAX };
        self.engine.status() == Status::Running && self.engine.buffered() < most
    }

    /// Arms the wake-up by the core and by streams. False: there is work, call [`Self::turn`].
    #[must_use]
    pub fn park(&self, waker: &Waker) -> bool {
        self.handle.mailbox.park(waker)
    }

    /// When [`Self::handle_timeout`] wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let engine = self.engine.poll_timeout();
        match (engine, self.handshake) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// Runs timers that are due; [`Self::turn`] must follow.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.engine.handle_timeout(now);
        if self.handshake.take_if(|at| *at <= now).is_some() {
            self.engine.drop_transport();
            self.error.get_or_insert_with(|| PortError {
                condition: "amqp:not-allowed".to_owned(),
                description: "Timeout waiting for initial handshake".to_owned(),
            });
            self.end(now);
        }
    }

    /// Where the port is in its life.
    #[must_use]
    pub fn state(&self) -> PortState {
        match self.engine.status() {
            Status::Running => PortState::Running,
            Status::Closing => PortState::Closing(self.error.clone()),
            Status::Dropped => PortState::Dropped(self.error.clone()),
        }
    }

    /// Whether the peer was given up because it missed its signs of life: it takes no last words.
    #[must_use]
    pub fn peer_is_dead(&self) -> bool {
        matches!(self.engine.failure(), Some(Violation::Liveness(_)))
    }

    /// The transport ended or failed. Everything is detached in the core.
    pub fn transport_closed(&mut self, now: Instant) {
        // What was received completely before the end still counts.
        while self.run_events(now) {}
        if let Some(violation) = self.engine.transport_closed() {
            self.error.get_or_insert_with(|| PortError::violation(&violation));
        }
        self.end(now);
    }

    /// Takes the lines of the frame trace, without their `[C<n>]:FRAME: ` prefix.
    pub fn take_trace(&mut self) -> Vec<String> {
        self.engine.take_trace()
    }

    /// Turns the frame trace on or off.
    pub fn set_trace(&mut self, on: bool) {
        self.engine.set_trace(on);
    }

    /// The peer's container id once its open has come.
    #[must_use]
    pub fn remote_container(&self) -> Option<&str> {
        self.remote.as_ref().map(|open| open.container_id.as_str())
    }

    /// Whether the router opened the connection.
    #[must_use]
    pub const fn is_initiator(&self) -> bool {
        self.params.conn.initiator
    }

    /// Whether both opens are exchanged, and the peer was let in.
    #[must_use]
    pub fn opened(&self) -> bool {
        self.engine.is_open() && self.remote.is_some()
    }

    /// The peer's open once it has come, for failover lists.
    #[must_use]
    pub fn remote_open(&self) -> Option<&Open> {
        self.remote.as_deref()
    }

    /// Whether it carries streams only; known once the peer's open has come.
    #[must_use]
    pub fn is_data_only(&self) -> bool {
        let role = self.remote.as_ref().and_then(|open| open.properties.as_ref()?.get(open::ROLE)?.as_i64());
        self.params.conn.role.is_data_only() || role == Some(open::ROLE_DATA.into())
    }

    /// The role of the connection, as the peer's open made it.
    #[must_use]
    pub fn role(&self) -> ConnectionRole {
        if self.is_data_only() { ConnectionRole::InterRouterData } else { self.params.conn.role }
    }

    /// What is counted of the connections to the router at the other end, while this one is open and within the network.
    #[must_use]
    pub fn peer_traffic(&self) -> Option<&Arc<PeerTraffic>> {
        self.open_peer.as_ref().map(OpenPeer::traffic)
    }

    /// The router that it belongs to.
    #[must_use]
    pub const fn router(&self) -> &Arc<Router> {
        &self.router
    }

    /// The user that the peer authenticated as, and the mechanism.
    #[must_use]
    pub fn authentication(&self) -> &amqp_core::engine::Authentication {
        self.engine.authentication()
    }

    /// Takes a pending question of authentication; to be answered by [`Self::auth_result`].
    pub fn take_auth_request(&mut self) -> Option<AuthRequest> {
        self.auth.take()
    }

    /// Answers [`Self::take_auth_request`]; [`Self::turn`] must follow.
    pub fn auth_result(&mut self, reply: AuthReply) {
        self.engine.auth_result(reply);
    }

    /// How many links the port has.
    #[must_use]
    pub fn link_count(&self) -> usize {
        self.links.len()
    }

    /// Sends an ordinary peer away that makes work and does not read what comes of it.
    fn check_unread(&mut self, now: Instant) {
        let unread = self.engine.output().unshared();
        if unread > limits::UNREAD_MAX && !self.core_closed && !self.peer_is_router() {
            let description = format!("too many octets that are not read: {unread}");
            self.close(Some(Box::new(Error::new("amqp:resource-limit-exceeded", description))), false);
            self.submit(now);
            self.engine.flush(now);
        }
    }

    /// Ends the connection in the core, and lets go of what the core left for it.
    fn end(&mut self, now: Instant) {
        self.close_core();
        self.submit(now);
        self.take_mailbox();
    }

    /// Gives the gathered actions to the core.
    fn submit(&mut self, now: Instant) {
        if self.actions.is_empty() {
            return;
        }
        let mut accepted = std::mem::take(&mut self.accepted);
        self.router.submit(self.handle.id, &mut self.actions, &mut accepted, now);
        for Accepted { token, id } in accepted.drain(..) {
            self.on_accepted(token, id);
        }
        self.accepted = accepted;
    }

    /// Gives back memory that only a busy port needs.
    fn release(&mut self) {
        if self.actions.capacity() > 0 {
            self.actions = Vec::new();
            self.accepted = Vec::new();
            self.effects = Vec::new();
            self.keys = Vec::new();
            self.buffer = VecDeque::new();
            self.annotations.release();
        }
    }
}

impl Drop for AmqpPort {
    /// A driver that ends otherwise than by [`Self::transport_closed`] must not leave its connection in the core. What
    /// a panic has interrupted may have lost the batch with the end in it; to end twice does no harm.
    fn drop(&mut self) {
        // What made a driver panic may do so again here, and would end the process then.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            self.close_core();
            self.actions.push(Action::Closed);
            self.router.submit(self.handle.id, &mut self.actions, &mut Vec::new(), self.now);
        }));
    }
}

fn engine_config(params: &PortParams) -> Config {
    Config {
        max_frame_size: params.max_frame_size,
        channel_max: open::channel_max(params),
        session_window: open::session_window(params),
        idle_timeout: Some(params.idle_timeout).filter(|t| *t > Duration::ZERO),
        sasl: sasl_config(params),
    }
}

fn sasl_config(params: &PortParams) -> SaslConfig {
    match params.sasl.clone() {
        SaslParams::Server { require, mechanisms, external_identity } => {
            SaslConfig::Server { require, mechanisms, external_identity }
        }
        SaslParams::Client { mechanisms, username, password, external } => {
            SaslConfig::Client { mechanisms, username, password, external, hostname: params.open.hostname.clone() }
        }
        SaslParams::None if params.conn.initiator => SaslConfig::BareClient,
        SaslParams::None => SaslConfig::Server { require: false, mechanisms: Vec::new(), external_identity: None },
    }
}
