//! The connection: what holds the parts together, and the order in which they run.

use super::config::{Config, SaslConfig};
use super::disposition::DispositionCursor;
use super::error::Violation;
use super::event::{Event, Status};
use super::ids::{IdAlloc, IdMap, LinkKey};
use super::input::Input;
use super::layer::{Authentication, Layer};
use super::limits::MAX_FRAME_BEFORE_OPEN;
use super::link::Link;
use super::liveness::Watch;
use super::output::Output;
use super::session::Session;
use super::timer::{Timer, Timers};
use super::wire::Wire;
use crate::frame::FrameType;
use crate::performative::{FrameBody, Open, Performative};
use crate::time::Instant;
use bytes::{Buf, Bytes};
use slab::Slab;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// An AMQP connection without sockets and clock.
///
/// ```text
///   receive(octets) -> poll_event(now) until None -> operations -> flush(now) -> output()
///                                  ^                                               |
///                   handle_timeout(now) when poll_timeout() is due        write, advance
/// ```
///
/// [`Connection::flush`] ends a turn: it writes what was gathered (credit, windows, dispositions).
#[derive(Debug)]
pub struct Connection {
    pub(super) config: Config,
    pub(super) input: Input,
    pub(super) wire: Wire,
    pub(super) layer: Layer,
    pub(super) authentication: Authentication,
    pub(super) ends: Ends,
    pub(super) status: Status,
    pub(super) failure: Option<Violation>,
    pub(super) timers: Timers,
    /// Octets came in since the timers that wait for some were set.
    received_since: bool,
    /// What [`Output::total`] was when the heartbeat timer was set.
    written_at: u64,
    /// How long we may be silent.
    pub(super) heartbeat: Option<Duration>,
    /// What was agreed with the peer.
    pub(super) watch: Option<Watch>,
    pub(super) peer_max_frame: u32,
    pub(super) peer_channel_max: u16,
    pub(super) sessions: Slab<Box<Session>>,
    pub(super) links: Slab<Link>,
    pub(super) channels_in: IdMap,
    pub(super) channels_out: IdAlloc,
    /// Links by session, direction (we are the sender) and name.
    pub(super) names: HashMap<(u32, bool, Arc<str>), u32>,
    /// Links that are over here, while the peer has not said so.
    pub(super) unanswered: usize,
    /// Events that came in company.
    pub(super) events: VecDeque<Event>,
    pub(super) cursor: Option<DispositionCursor>,
    pub(super) dirty_sessions: Vec<u32>,
    pub(super) dirty_links: Vec<LinkKey>,
    serial: u32,
    /// What our attaches of links on which we receive tell; zero is no limit.
    pub(super) max_message_size: u64,
}

/// Which of the frames that begin and end a connection were exchanged.
#[derive(Debug, Default)]
pub(super) struct Ends {
    pub(super) header_sent: bool,
    pub(super) open_sent: bool,
    pub(super) open_received: bool,
    pub(super) close_sent: bool,
    pub(super) close_received: bool,
    /// Our open, given before the layer was ready for it.
    pub(super) waiting_open: Option<Box<Open>>,
}

/// What reading one frame came to.
pub(super) enum Step {
    Event(Event),
    /// Nothing to tell.
    Again,
    /// More octets are needed.
    Starved,
}

// === impl Connection ===

impl Connection {
    /// A connection on which nothing has been exchanged. A client's first octets are in the output
    /// at once.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let mut connection = Self {
            layer: Layer::Header,
            config,
            input: Input::default(),
            wire: Wire::default(),
            authentication: Authentication::default(),
            ends: Ends::default(),
            status: Status::Running,
            failure: None,
            timers: Timers::default(),
            received_since: false,
            written_at: 0,
            heartbeat: None,
            watch: None,
            peer_max_frame: MAX_FRAME_BEFORE_OPEN,
            peer_channel_max: u16::MAX,
            sessions: Slab::new(),
            links: Slab::new(),
            channels_in: IdMap::default(),
            channels_out: IdAlloc::default(),
            names: HashMap::new(),
            unanswered: 0,
            events: VecDeque::new(),
            cursor: None,
            dirty_sessions: Vec::new(),
            dirty_links: Vec::new(),
            serial: 0,
            max_message_size: 0,
        };
        connection.start_layer();
        connection
    }

    /// Takes octets from the transport. They are looked at by [`Self::poll_event`].
    pub fn receive(&mut self, data: Bytes) {
        if self.status == Status::Running && !data.is_empty() {
            self.received_since = true;
            self.input.push(data);
        }
    }

    /// Octets received that were not looked at yet.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.input.len()
    }

    /// The next thing that happened, if any. Reads one frame at a time.
    pub fn poll_event(&mut self, now: Instant) -> Option<Event> {
        self.note_received(now);
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if self.cursor.is_some()
                && let Some(event) = self.next_update()
            {
                return Some(event);
            }
            if self.status != Status::Running || self.waits_for_caller() {
                return None;
            }
            match self.step() {
                Ok(Step::Event(event)) => return Some(event),
                Ok(Step::Again) => {}
                Ok(Step::Starved) => return None,
                Err(violation) => return Some(self.fail(violation)),
            }
        }
    }

    /// Ends a turn: writes the gathered dispositions, credit and windows, and sets timers.
    pub fn flush(&mut self, now: Instant) {
        if self.status == Status::Running && !self.ends.close_sent {
            self.flush_gathered();
        }
        if self.ends.close_sent && self.status == Status::Running && !self.timers.is_set(Timer::Close) {
            self.timers.set(Timer::Close, now + super::limits::CLOSE_TIMEOUT);
        }
        if !self.timers.is_set(Timer::Idle) {
            self.set_idle_timer(now);
        }
        if !self.timers.is_set(Timer::Liveness) && !self.ends.close_sent {
            self.set_liveness_timer(now);
        }
        if let Some(heartbeat) = self.heartbeat
            && self.status == Status::Running
            && !self.ends.close_sent
            && (self.written_at != self.wire.output.total() || !self.timers.is_set(Timer::Heartbeat))
        {
            self.written_at = self.wire.output.total();
            self.timers.set(Timer::Heartbeat, now + heartbeat);
        }
    }

    /// When [`Self::handle_timeout`] wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Runs the timers that are due; [`Self::poll_event`] and [`Self::flush`] must follow. What the transport has
    /// received belongs to [`Self::receive`] before, so that it is not missed.
    pub fn handle_timeout(&mut self, now: Instant) {
        // While we did not run, the peer was not silent: we did not listen.
        self.timers.postpone(Timer::Liveness, self.timers.lateness(now));
        // Octets that came but were not looked at yet count.
        self.note_received(now);
        while let Some(timer) = self.timers.take_due(now) {
            match timer {
                Timer::Idle => self.give_up(Violation::IdleTimeout),
                Timer::Liveness => self.give_up(self.liveness_violation()),
                Timer::Heartbeat => self.beat(),
                Timer::Close => {
                    self.status = Status::Closing;
                    self.failure.get_or_insert(Violation::CloseTimeout);
                    self.timers.clear();
                }
            }
        }
    }

    /// The octets to write.
    pub const fn output(&mut self) -> &mut Output {
        &mut self.wire.output
    }

    /// From now on sessions begin with this incoming-window, frames.
    pub const fn set_session_window(&mut self, frames: u32) {
        self.config.session_window = frames;
    }

    /// From now on links on which we receive are attached with this max-message-size, octets; zero is no limit. It is told,
    /// not enforced.
    pub const fn set_max_message_size(&mut self, octets: u64) {
        self.max_message_size = octets;
    }

    /// Where the connection is in its life.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.status
    }

    /// What ended the connection, unless it was closed in good order.
    #[must_use]
    pub const fn failure(&self) -> Option<&Violation> {
        self.failure.as_ref()
    }

    /// Whether both opens are exchanged.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.ends.open_sent && self.ends.open_received
    }

    /// The mechanism and user that the peer (of a server) or we (of a client) authenticated with.
    #[must_use]
    pub const fn authentication(&self) -> &Authentication {
        &self.authentication
    }

    /// Turns the frame trace on or off.
    pub const fn set_trace(&mut self, on: bool) {
        self.wire.set_trace(on);
    }

    /// Takes the lines of the trace, without their `[C<n>]:FRAME: ` prefix.
    pub fn take_trace(&mut self) -> Vec<String> {
        self.wire.take_lines()
    }

    /// The transport ended. Returns what is wrong about it, if it was not due.
    pub fn transport_closed(&mut self) -> Option<Violation> {
        let expected = self.status != Status::Running;
        self.status = Status::Dropped;
        self.timers.clear();
        self.input.clear();
        self.wire.trace(|| "  <- EOS".to_owned());
        if expected {
            return None;
        }
        let violation = if self.layer.is_header() { Violation::NoHeader } else { Violation::Aborted };
        self.failure.get_or_insert(violation.clone());
        Some(violation)
    }

    /// Sessions and links can be made and used.
    pub(super) fn can_operate(&self) -> bool {
        self.status == Status::Running && self.ends.open_sent && !self.ends.close_sent
    }

    pub(super) const fn next_serial(&mut self) -> u32 {
        self.serial = self.serial.wrapping_add(1);
        self.serial
    }

    /// The highest channel that either side may use.
    pub(super) fn channel_max(&self) -> u16 {
        self.config.channel_max.min(self.peer_channel_max)
    }

    pub(super) const fn is_server(&self) -> bool {
        matches!(self.config.sasl, SaslConfig::Server { .. })
    }

    fn waits_for_caller(&self) -> bool {
        self.layer.waits_for_caller() || (self.ends.open_received && !self.ends.open_sent)
    }

    /// A client waits for no answer longer than the idle timeout; how long a server waits for its peer's open is
    /// for the caller to say.
    fn set_idle_timer(&mut self, now: Instant) {
        if let Some(timeout) = self.config.idle_timeout
            && self.status == Status::Running
            && (self.layer == Layer::Amqp || !self.is_server())
        {
            self.timers.set(Timer::Idle, now + timeout);
        }
    }

    fn note_received(&mut self, now: Instant) {
        if std::mem::take(&mut self.received_since) {
            self.set_idle_timer(now);
            self.note_alive(now);
        }
    }

    /// Ends the connection with a silent peer.
    fn give_up(&mut self, violation: Violation) {
        let event = self.fail(violation);
        self.events.push_back(event);
    }

    /// Tells the peer that we are alive, unless something else does. Nothing may follow a close.
    fn beat(&mut self) {
        let output = &self.wire.output;
        if output.is_empty() && output.total() == self.written_at && !self.ends.close_sent {
            self.wire.empty();
        }
    }

    fn flush_gathered(&mut self) {
        let mut links = std::mem::take(&mut self.dirty_links);
        let mut sessions = std::mem::take(&mut self.dirty_sessions);
        for &slot in &sessions {
            self.flush_dispositions(slot);
        }
        for &link in &links {
            self.flush_link(link);
        }
        for &slot in &sessions {
            self.flush_session(slot);
        }
        // Keep the allocations of a busy connection, not those of an outlier.
        if links.capacity() <= 64 {
            links.clear();
            self.dirty_links = links;
        }
        if sessions.capacity() <= 64 {
            sessions.clear();
            self.dirty_sessions = sessions;
        }
    }

    /// Writes what a session has gathered, but for its links' flows.
    pub(super) fn flush_session(&mut self, slot: u32) {
        self.flush_dispositions(slot);
        let Some(s) = self.sessions.get_mut(slot as usize) else { return };
        s.dirty = false;
        if s.ended || !(s.flow_due || s.windows.wants_flow()) {
            return;
        }
        // Named with a link: routers on Proton look for what they held back when a flow tells of one of the session's links,
        // and do not when it tells of the session alone.
        if let Some(link) = s.receiving {
            self.flush_link(link);
        }
        if self.sessions.get(slot as usize).is_some_and(|s| s.flow_due || s.windows.wants_flow()) {
            self.session_flow(slot);
        }
    }

    fn step(&mut self) -> Result<Step, Violation> {
        if self.layer != Layer::Amqp {
            return self.layer_step();
        }
        let Some((header, body)) =
            self.input.next_frame(self.config.max_frame_size).map_err(|_| Violation::MalformedFrame)?
        else {
            return Ok(Step::Starved);
        };
        if header.frame_type != FrameType::Amqp {
            return Err(Violation::MalformedFrame);
        }
        if self.wire.tracing() {
            self.wire.trace(|| format!("{} <- {}", header.channel, FrameBody(&body)));
        }
        if body.is_empty() {
            return Ok(Step::Again);
        }
        Ok(self.dispatch(header.channel, body)?.map_or(Step::Again, Step::Event))
    }

    fn dispatch(&mut self, channel: u16, mut body: Bytes) -> Result<Option<Event>, Violation> {
        let (performative, used) = Performative::decode(&body)?;
        if self.ends.close_sent {
            // Nothing but the answer matters any more.
            return Ok(if let Performative::Close(close) = performative { self.on_close(close.error) } else { None });
        }
        if !self.ends.open_received {
            return match performative {
                Performative::Open(open) => self.on_open(open).map(Some),
                Performative::Close(close) => Ok(self.on_close(close.error)),
                _ => Err(Violation::Unexpected(name_of(&performative))),
            };
        }
        match performative {
            Performative::Transfer(transfer) => {
                body.advance(used);
                self.on_transfer(channel, transfer, body)
            }
            Performative::Disposition(disposition) => self.on_disposition(channel, disposition),
            Performative::Flow(flow) => self.on_flow(channel, &flow),
            Performative::Attach(attach) => self.on_attach(channel, attach),
            Performative::Detach(detach) => self.on_detach(channel, detach),
            Performative::Begin(begin) => self.on_begin(channel, &begin),
            Performative::End(end) => self.on_end(channel, end.error),
            Performative::Close(close) => Ok(self.on_close(close.error)),
            Performative::Open(_) => Err(Violation::Unexpected("open")),
        }
    }
}

const fn name_of(performative: &Performative) -> &'static str {
    match performative {
        Performative::Open(_) => "open",
        Performative::Begin(_) => "begin",
        Performative::Attach(_) => "attach",
        Performative::Flow(_) => "flow",
        Performative::Transfer(_) => "transfer",
        Performative::Disposition(_) => "disposition",
        Performative::Detach(_) => "detach",
        Performative::End(_) => "end",
        Performative::Close(_) => "close",
    }
}
