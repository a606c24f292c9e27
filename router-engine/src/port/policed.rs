//! What policy lets the peer of a port do (spec `security-and-policy.md` 11).
//!
//! ```text
//!  open ----> admit --Grant--> Policed      refused: close
//!  begin ---> begin                         refused: end
//!  attach --> attach, counts the link       refused: answered without termini, detached
//!  message -> as Check says of the link     refused: rejected; oversize: the connection ends
//! ```
//!
//! A port without rules has none of this, and links on which messages are not checked are told apart by [`Check`].

use super::AmqpPort;
use super::link::PortLink;
use super::open::session_window_of;
use super::params::PortParams;
use crate::core::action::{Direction, PeerOpen};
use crate::core::ids::{ConnId, LinkId};
use crate::log;
use crate::log::{Level, LogModule, Sparing};
use crate::policy::{Denied, Grant, Settings, Shown, Totals};
use amqp_core::engine::{AttachAnswer, LinkKey, SessionKey};
use amqp_core::performative::{Attach, Error, Open};
use rustc_hash::FxHashSet;
use std::cell::Cell;
use std::fmt::{self, Display, Formatter};
use std::sync::Arc;

const LIMIT: &str = "amqp:resource-limit-exceeded";
const UNAUTHORIZED: &str = "amqp:unauthorized-access";

/// The smallest max-frame-size there is.
const MIN_FRAME_SIZE: u32 = 512;

/// What is to be seen to on messages that come by a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Check {
    /// Nothing.
    #[default]
    Nothing,
    /// Their size.
    Size,
    /// Size, user id, and on links without an address where they go.
    All,
}

/// What the peer may do, and what it does of that.
#[derive(Debug)]
pub(super) struct Policed {
    grant: Box<Grant>,
    totals: Arc<Totals>,
    who: Who,
    /// The router opened the connection.
    initiator: bool,
    /// Sessions that the peer began.
    pub(super) sessions: FxHashSet<SessionKey>,
    /// Links that the peer attached.
    senders: u32,
    receivers: u32,
    /// Lines about what was denied.
    denials: Cell<Sparing>,
}

/// How the log tells of the peer.
#[derive(Debug)]
struct Who {
    conn: ConnId,
    /// Empty is nobody.
    user: String,
    remote_host: String,
    /// What the peer's open says.
    hostname: String,
    /// Its address and port.
    peer: String,
}

impl Display for Who {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (user, hostname) = (Shown(&self.user), Shown(&self.hostname));
        write!(f, "user '{user}', rhost '{}', vhost '{hostname}'", self.remote_host)
    }
}

// === impl Policed ===

impl Policed {
    pub(super) fn new(
        grant: Box<Grant>,
        totals: Arc<Totals>,
        conn: ConnId,
        params: &PortParams,
        peer: &PeerOpen,
    ) -> Self {
        let host = &params.conn.facts.host;
        let who = Who {
            conn,
            user: peer.user.clone().unwrap_or_default(),
            remote_host: host.rsplit_once(':').map_or(host.as_str(), |(host, _)| host).to_owned(),
            hostname: peer.hostname.clone().unwrap_or_default(),
            peer: host.clone(),
        };
        let initiator = params.conn.initiator;
        Self {
            grant,
            totals,
            who,
            initiator,
            sessions: FxHashSet::default(),
            senders: 0,
            receivers: 0,
            denials: Cell::default(),
        }
    }

    /// Logs a decision: those against the peer are of interest.
    fn decided(&self, allowed: bool, what: impl Display) {
        let conn = self.who.conn;
        if allowed {
            log!(LogModule::Policy, Level::Debug, conn = conn, "ALLOW AMQP {what}");
        } else if self.is_denial_told() {
            log!(LogModule::Policy, Level::Info, conn = conn, "DENY AMQP {what}");
        }
    }

    /// Whether the log tells of one more denial.
    fn is_denial_told(&self) -> bool {
        let mut denials = self.denials.get();
        let is_told = denials.tells();
        self.denials.set(denials);
        is_told
    }

    fn settings(&self) -> &Settings {
        self.grant.settings()
    }

    /// What our open is to tell beside what the listener says.
    pub(super) fn shape_open(&self, open: &mut Open) {
        let Settings { max_frame_size, max_sessions, .. } = self.settings();
        if let Some(max) = max_frame_size {
            open.max_frame_size = Some((*max).max(MIN_FRAME_SIZE));
        }
        if let Some(max) = max_sessions {
            open.channel_max = Some(u16::try_from(max - 1).unwrap_or(u16::MAX));
        }
    }

    /// The incoming-window of sessions, frames, where it is not what the listener says.
    fn session_window(&self, params: &PortParams) -> Option<u32> {
        let Settings { max_frame_size, max_session_window, .. } = self.settings();
        let frame = max_frame_size.unwrap_or(params.max_frame_size).max(MIN_FRAME_SIZE);
        match max_session_window {
            _ if self.initiator => None,
            Some(octets) => Some((octets / frame).max(2)),
            // As many octets as with frames of the listener's size.
            None => max_frame_size.map(|_| session_window_of(params, frame)),
        }
    }

    fn count(&self, what: Denied) {
        self.totals.count(what);
        self.grant.stats().count(what);
    }

    /// The peer has begun a session.
    fn begin(&mut self, session: SessionKey) -> Result<(), Box<Error>> {
        let max = self.settings().max_sessions.filter(|_| !self.initiator);
        let Who { user, remote_host, hostname, .. } = &self.who;
        let (user, hostname) = (Shown(user), Shown(hostname));
        let whose = format_args!("user: {user}, rhost: {remote_host}, vhost: {hostname}");
        if max.is_some_and(|max| self.sessions.len() >= max as usize) {
            self.decided(false, format_args!("Begin Session due to session limit. {whose}"));
            self.count(Denied::Session);
            return Err(Box::new(Error::new(LIMIT, "session disallowed by local policy")));
        }
        self.decided(true, format_args!("Begin Session. {whose}"));
        self.sessions.insert(session);
        Ok(())
    }

    /// The peer attaches a link.
    fn attach(&mut self, direction: Direction, attach: &Attach) -> Result<(), Box<Error>> {
        let (denied, result) = match direction {
            Direction::In => (Denied::Sender, self.check_sender(attach)),
            Direction::Out => (Denied::Receiver, self.check_receiver(attach)),
        };
        match result {
            Ok(()) => {
                *self.links(direction) += 1;
                Ok(())
            }
            Err(condition) => {
                self.count(denied);
                Err(Box::new(Error::new(condition, "link disallowed by local policy")))
            }
        }
    }

    fn links(&mut self, direction: Direction) -> &mut u32 {
        match direction {
            Direction::In => &mut self.senders,
            Direction::Out => &mut self.receivers,
        }
    }

    fn check_sender(&self, attach: &Attach) -> Result<(), &'static str> {
        let (who, settings) = (&self.who, self.settings());
        if settings.max_senders.is_some_and(|max| self.senders >= max) {
            self.decided(false, format_args!("Attach sender for {who} based on maxSenders limit"));
            return Err(LIMIT);
        }
        let target = attach.target.as_ref().and_then(|target| target.address.as_deref()).unwrap_or_default();
        let allowed = if target.is_empty() {
            let allowed = settings.allow_anonymous_sender;
            self.decided(allowed, format_args!("Attach anonymous sender for {who}"));
            allowed
        } else {
            let allowed = settings.targets.admit(&who.user, target);
            let target = Shown(target);
            self.decided(allowed, format_args!("Attach sender link '{target}' for {who} based on link target name"));
            allowed
        };
        if allowed { Ok(()) } else { Err(UNAUTHORIZED) }
    }

    fn check_receiver(&self, attach: &Attach) -> Result<(), &'static str> {
        let (who, settings) = (&self.who, self.settings());
        if settings.max_receivers.is_some_and(|max| self.receivers >= max) {
            self.decided(false, format_args!("Attach receiver for {who} based on maxReceivers limit"));
            return Err(LIMIT);
        }
        let source = attach.source.as_ref();
        let address = source.and_then(|source| source.address.as_deref()).unwrap_or_default();
        let allowed = if source.is_some_and(|source| source.dynamic) {
            // An address beside it is none of the router's making.
            let named = address.is_empty() || settings.sources.admit(&who.user, address);
            let allowed = settings.allow_dynamic_source && named;
            self.decided(allowed, format_args!("Attach receiver dynamic source for {who},"));
            allowed
        } else if address.is_empty() {
            self.decided(false, format_args!("Attach receiver link '' for {who}"));
            false
        } else {
            let allowed = settings.sources.admit(&who.user, address);
            let address = Shown(address);
            self.decided(allowed, format_args!("Attach receiver link '{address}' for {who} based on link source name"));
            allowed
        };
        if allowed { Ok(()) } else { Err(UNAUTHORIZED) }
    }

    /// What is to be seen to on messages of an incoming link. `serves`: it ends in the core, whose services look at no
    /// user ids.
    pub(super) fn check(&self, serves: bool, anonymous: bool) -> Check {
        match self.grant.max_message_size() {
            _ if !serves && (anonymous || !self.settings().allow_user_id_proxy) => Check::All,
            Some(_) => Check::Size,
            None => Check::Nothing,
        }
    }

    /// Whether a message of so many octets is too large.
    #[inline]
    pub(super) fn is_oversize(&self, octets: u64) -> bool {
        self.grant.max_message_size().is_some_and(|max| octets > max)
    }

    /// A message that is still arriving is too large, or one that has come.
    pub(super) fn deny_size(&self, link: LinkId) {
        let conn = self.who.conn;
        if self.is_denial_told() {
            let text = "DENY AMQP Transfer maxMessageSize exceeded";
            log!(LogModule::Policy, Level::Warning, conn = conn, link = link, "{text}");
        }
        self.count(Denied::MessageSize);
    }

    /// Whether the peer may send messages with no user id but its own.
    pub(super) fn checks_user_ids(&self) -> bool {
        !self.settings().allow_user_id_proxy
    }

    /// Whether a user id is the peer's own; none is, too.
    pub(super) fn is_own_user_id(&self, user_id: Option<&[u8]>) -> bool {
        user_id.is_none_or(|id| id.is_empty() || id == self.who.user.as_bytes())
    }

    /// Whether the peer may send a message to an address.
    pub(super) fn admits_target(&self, to: &[u8]) -> bool {
        let who = &self.who;
        // What is no text is no address of anything.
        let to = std::str::from_utf8(to).unwrap_or_default();
        let allowed = self.settings().targets.admit(&who.user, to);
        let to = Shown(to);
        self.decided(allowed, format_args!("message to '{to}' for {who} based on target address"));
        allowed
    }

    /// The connection is over.
    pub(super) fn report_closed(&self) {
        let Self { who, senders, receivers, initiator, .. } = self;
        let [sessions_denied, senders_denied, receivers_denied, messages_denied] = self.grant.stats().denied();
        // The connection is still among those that were accepted.
        let left = self.totals.current().saturating_sub(u64::from(!initiator));
        log!(
            LogModule::Policy,
            Level::Debug,
            conn = who.conn,
            "Connection '{}' closed with resources n_sessions={}, n_senders={senders}, n_receivers={receivers}, \
             sessions_denied={sessions_denied}, senders_denied={senders_denied}, receivers_denied={receivers_denied}, \
             max_message_size_denied:{messages_denied}, nConnections= {left}.",
            who.peer,
            self.sessions.len()
        );
    }
}

// === impl AmqpPort ===

impl AmqpPort {
    /// From now on the peer is bound by what it was granted. What our open is to tell comes of it.
    pub(super) fn police(&mut self, grant: Box<Grant>, peer: &PeerOpen, our_open: &mut Open) {
        let totals = Arc::clone(self.router.policy_totals());
        let policed = Policed::new(grant, totals, self.handle.id, &self.params, peer);
        policed.shape_open(our_open);
        if let Some(window) = policed.session_window(&self.params) {
            self.engine.set_session_window(window);
        }
        self.engine.set_max_message_size(policed.grant.max_message_size().unwrap_or(0));
        self.policed = Some(Box::new(policed));
    }

    /// The peer may not be there: it hears so after our open.
    pub(super) fn refuse_peer(&mut self, our_open: Open) {
        let error = Box::new(Error::new(LIMIT, "connection disallowed by local policy"));
        if self.params.conn.initiator {
            // The connector shows why it has no connection.
            return self.close(Some(error), false);
        }
        self.engine.open(our_open);
        self.dismiss(error);
    }

    /// Closes the connection for a reason that the log knows already.
    pub(super) fn dismiss(&mut self, error: Box<Error>) {
        self.engine.close(Some(error));
        self.close_core();
    }

    /// The peer has begun a session, which is ended again if that is one too many.
    pub(super) fn on_begun(&mut self, session: SessionKey) {
        let Some(policed) = &mut self.policed else { return };
        if let Err(error) = policed.begin(session) {
            self.engine.end_session(session, Some(error));
        }
    }

    /// A session is over.
    pub(super) fn forget_session(&mut self, session: SessionKey) {
        if let Some(policed) = &mut self.policed {
            policed.sessions.remove(&session);
        }
    }

    /// Whether the peer may attach a link. If not, it has been told.
    pub(super) fn admits_link(&mut self, key: LinkKey, direction: Direction, attach: &Attach) -> bool {
        let Some(policed) = &mut self.policed else { return true };
        let Err(error) = policed.attach(direction, attach) else { return true };
        let answer = AttachAnswer { source: Some(Box::default()), target: Some(Box::default()) };
        self.engine.answer_attach(key, answer);
        self.refuse_link(key, error);
        false
    }

    /// A link of the peer's is over, and another may take its place.
    pub(super) fn release_place(policed: &mut Option<Box<Policed>>, link: &mut PortLink) {
        if std::mem::take(&mut link.counted)
            && let Some(policed) = policed
        {
            let links = policed.links(link.direction());
            *links = links.saturating_sub(1);
        }
    }
}
