//! The protocol of a router as a source of records: what it sends, to whom and when (spec `vanflow.md` sections 1, 2
//! and 4).

use super::codec::{self, Composer, Subject};
use super::identity::SourceId;
use super::registry::{Change, Registry, Told};
use super::store::{Ended, PACE, SLOT, Store, Tick, WallClock};
use crate::log::{Level, LogModule};
use amqp_core::Instant;
use amqp_core::value::{Map, Value};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Between two times at which something is sent.
const TICK: Duration = Duration::from_millis(200);
/// Between two heartbeats.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// Heartbeats for each beacon.
const BEACON: u32 = 5;
/// Changes for which room is kept.
const CHANGES_KEPT: usize = 1024;
/// Where everybody looks for sources.
const BEACONS: &str = "mc/sfe.all";
/// The version of the protocol.
const VERSION: u32 = 1;

/// An address that a source sends to, as long as somebody listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// That there is a source.
    Beacons,
    /// Heartbeats and records.
    Events,
    /// Records of flows.
    Flows,
    /// Records of log lines.
    Logs,
}

/// A message to be sent, settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Its address.
    pub to: Arc<str>,
    /// The message.
    pub message: Bytes,
}

/// A router as a source. See the module documentation.
///
/// Messages are taken with [`Self::poll_message`] after every call.
#[derive(Debug)]
pub struct Source {
    registry: Arc<Registry>,
    store: Store,
    sender: Sender,
    composer: Composer,
    usable: [bool; Channel::COUNT],
    ticks: u64,
    next_tick: Option<Instant>,
    next_heartbeat: Option<Instant>,
    heartbeats: u32,
    /// Room for what is told next.
    changes: Vec<Change>,
}

/// Numbers and addresses messages.
#[derive(Debug)]
pub(super) struct Sender {
    addresses: [Arc<str>; Channel::COUNT],
    sent: u64,
    messages: VecDeque<Outgoing>,
}

// === impl Channel ===

impl Channel {
    /// How many there are.
    pub const COUNT: usize = 4;

    /// All of them.
    pub const ALL: [Self; Self::COUNT] = [Self::Beacons, Self::Events, Self::Flows, Self::Logs];

    /// The list of records that go there.
    pub(super) const fn list(self) -> usize {
        match self {
            Self::Beacons | Self::Events => 0,
            Self::Flows => 1,
            Self::Logs => 2,
        }
    }

    const fn log_lines(self) -> [&'static str; 2] {
        match self {
            Self::Beacons => {
                ["Event collector lost.  Stop sending beacons.", "Event collector detected.  Begin sending beacons."]
            }
            Self::Events => [
                "Event collector for this router lost.  Stop sending flow events.",
                "Event collector for this router detected.  Begin sending flow events.",
            ],
            Self::Flows => [
                "Event collection for flow events ended",
                "Event collection for flow events detected.  Begin sending flow events.",
            ],
            Self::Logs => [
                "Event collection for log events ended",
                "Event collection for log events detected.  Begin sending log events.",
            ],
        }
    }
}

// === impl Sender ===

impl Sender {
    fn new(own: SourceId) -> Self {
        let source = own.as_str();
        let addresses = [
            BEACONS.into(),
            format!("mc/sfe.{source}:0").into(),
            format!("mc/sfe.{source}:0.flows").into(),
            format!("mc/sfe.{source}:0.logs").into(),
        ];
        Self { addresses, sent: 0, messages: VecDeque::new() }
    }

    pub(super) fn send(&mut self, channel: Channel, compose: impl FnOnce(u64, &str) -> Bytes) {
        self.push(Arc::clone(&self.addresses[channel as usize]), compose);
    }

    /// Sends to another router, which has begun the records.
    pub(super) fn send_to(&mut self, source: SourceId, compose: impl FnOnce(u64, &str) -> Bytes) {
        self.push(updates_address(source).into(), compose);
    }

    fn push(&mut self, to: Arc<str>, compose: impl FnOnce(u64, &str) -> Bytes) {
        let message = compose(self.sent, &to);
        self.sent += 1;
        self.messages.push_back(Outgoing { to, message });
    }
}

fn updates_address(source: SourceId) -> String {
    format!("vfcr.{}:0", source.as_str())
}

// === impl Source ===

impl Source {
    /// The source of all that is told to `registry`.
    #[must_use]
    pub fn new(registry: Arc<Registry>) -> Self {
        let own = registry.source();
        Self {
            registry,
            store: Store::new(own),
            sender: Sender::new(own),
            composer: Composer::default(),
            usable: [false; Channel::COUNT],
            ticks: 0,
            next_tick: None,
            next_heartbeat: None,
            heartbeats: 0,
            changes: Vec::new(),
        }
    }

    /// The address of a channel.
    #[must_use]
    pub const fn address(&self, channel: Channel) -> &Arc<str> {
        &self.sender.addresses[channel as usize]
    }

    /// Where it takes commands.
    #[must_use]
    pub fn commands_address(&self) -> String {
        format!("sfe.{}:0", self.registry.source().as_str())
    }

    /// Where it takes what other routers tell of its flows.
    #[must_use]
    pub fn updates_address(&self) -> String {
        updates_address(self.registry.source())
    }

    /// Whether anybody listens at a channel was told anew.
    pub fn on_watch(&mut self, channel: Channel, usable: bool, now: Instant) {
        if std::mem::replace(&mut self.usable[channel as usize], usable) == usable {
            return;
        }
        crate::log!(LogModule::FlowLog, Level::Info, "{}", channel.log_lines()[usize::from(usable)]);
        self.registry.set_collected(channel, usable);
        if channel == Channel::Beacons {
            self.next_heartbeat = usable.then_some(now);
            self.heartbeats = 0;
        }
        if usable && matches!(channel, Channel::Events | Channel::Flows) {
            // Who has just come may have asked for it before that was known here.
            self.store.ask_refresh();
        }
        self.wake(now);
    }

    /// Takes a command.
    pub fn on_command(&mut self, message: &[Bytes], now: Instant) {
        if codec::is_flush(message) {
            self.store.ask_refresh();
            self.wake(now);
        }
    }

    /// Takes what another router tells of flows, which may have begun here a moment ago only. `micros` is the time since
    /// the epoch at `now`.
    pub fn on_update(&mut self, message: &[Bytes], now: Instant, micros: u64) {
        self.take_changes(now, micros);
        codec::updates(message).into_iter().for_each(|update| self.store.update(update));
        self.wake(now);
    }

    /// There is something to do: the registry was told something, for instance.
    pub fn wake(&mut self, now: Instant) {
        self.next_tick.get_or_insert(now + TICK);
    }

    /// Whether it will look at the registry by itself.
    #[must_use]
    pub const fn is_awake(&self) -> bool {
        self.next_tick.is_some()
    }

    /// When to call [`Self::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_tick.into_iter().chain(self.next_heartbeat).min()
    }

    /// Does what is due. `micros` is the time since the epoch at `now`.
    pub fn handle_timeout(&mut self, now: Instant, micros: u64) {
        if self.next_heartbeat.is_some_and(|at| at <= now) {
            self.next_heartbeat = Some(now + HEARTBEAT);
            self.beat(micros);
        }
        if let Some(due) = self.next_tick.filter(|at| *at <= now) {
            self.take_changes(now, micros);
            self.tick(now);
            // A tick that comes late does not move those that follow, unless it is very late.
            let next = due + TICK;
            let goes_on = !self.store.is_idle() || self.usable[1..].contains(&true);
            self.next_tick = goes_on.then(|| if next > now { next } else { now + TICK });
        }
    }

    /// From now on flows and requests that are over are kept for [`Self::poll_ended`], which is to be called after every
    /// other call.
    pub fn keep_ended(&mut self) {
        self.registry.follow_ends();
        self.store.keep_ended();
    }

    /// The next flow or request that is over.
    pub fn poll_ended(&mut self) -> Option<Ended> {
        self.store.take_ended()
    }

    /// The next message to send.
    pub fn poll_message(&mut self) -> Option<Outgoing> {
        self.sender.messages.pop_front()
    }

    /// The router ends: what was told before goes out at once.
    pub fn finish(&mut self, now: Instant, micros: u64) {
        self.take_changes(now, micros);
        let Self { store, sender, composer, usable, .. } = self;
        let tick = Tick { number: 0, now, usable: *usable, pace: usize::MAX, sender, composer };
        store.finish(tick, WallClock { now, micros });
    }

    fn take_changes(&mut self, now: Instant, micros: u64) {
        let clock = WallClock { now, micros };
        let Told { mut changes, untold } = self.registry.take(std::mem::take(&mut self.changes));
        let room = CHANGES_KEPT.max(changes.len());
        changes.drain(..).for_each(|change| self.store.apply(change, clock));
        // Two lists take turns; the room of a rush goes.
        changes.shrink_to(room);
        self.changes = changes;
        self.store.count_untold(untold);
    }

    fn tick(&mut self, now: Instant) {
        self.ticks += 1;
        let Self { store, sender, composer, usable, ticks, .. } = self;
        store.tick(Tick { number: *ticks, now, usable: *usable, pace: PACE, sender, composer });
        for _ in 0..self.store.take_released() {
            self.registry.release_flow();
        }
        self.registry.set_terse(self.store.is_terse());
        if self.ticks.is_multiple_of(SLOT) {
            let suppressed = self.registry.take_suppressed();
            if suppressed > 0 {
                crate::log!(LogModule::FlowLog, Level::Info, "{suppressed} flows without a record: there are too many");
            }
        }
    }

    fn beat(&mut self, micros: u64) {
        let id = self.registry.router().to_string();
        if self.usable[Channel::Events as usize] {
            let facts = Map::new()
                .with("v", Value::Uint(VERSION))
                .with("now", Value::Ulong(micros))
                .with("id", Value::String(id.clone()));
            self.sender.send(Channel::Events, |number, to| codec::plain(number, to, Subject::Heartbeat, &facts));
        }
        if self.heartbeats.is_multiple_of(BEACON) {
            let text = |text: &str| Value::String(text.to_owned());
            let facts = Map::new()
                .with("v", Value::Uint(VERSION))
                .with("sourceType", text("ROUTER"))
                .with("id", text(&id))
                .with("address", text(self.address(Channel::Events)))
                .with("direct", text(&self.commands_address()));
            self.sender.send(Channel::Beacons, |number, to| codec::plain(number, to, Subject::Beacon, &facts));
        }
        self.heartbeats = self.heartbeats.wrapping_add(1);
    }
}

impl Drop for Source {
    /// What nobody takes is not kept.
    fn drop(&mut self) {
        self.registry.close();
    }
}
