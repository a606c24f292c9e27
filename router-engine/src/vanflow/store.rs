//! The records that exist, what of them is still to be sent, and when (spec `vanflow.md` sections 4.2 to 4.8).
//!
//! ```text
//!  begin, set, counted --> scheduled --slot: once per second--> sent; again with what changed since
//!  end of a flow       --> deferred  --5 s, or its other side is complete--> sent once, gone
//!  end of another      --> scheduled --slot--> sent, gone
//! ```
//!
//! A record that another router has begun is kept apart: it has no life of its own, and what is told of it goes to that
//! router. One that this router has begun takes what is told of its other side.

use super::attribute::{Attribute, Value};
use super::codec::{Composer, RECORDS_MAX, Update};
use super::identity::{Identity, SourceId};
use super::registry::{Attributes, Change, Meter, RecordType};
use super::source::{Channel, Sender};
use crate::log::{Level, LogModule, enabled};
use amqp_core::Instant;
use bytes::{Bytes, BytesMut};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// Ticks in which every record is sent once at most.
pub(super) const SLOT: u64 = 5;
/// How long the end of a flow waits for what the other router tells of it.
const DEFERRED: Duration = Duration::from_secs(5);
/// Log lines in a slot; of more there is but the number.
const LINES_MAX: u32 = 2000;

/// What the router of the connector may tell of a flow.
const OTHER_SIDE: [Attribute; 6] = [
    Attribute::Trace,
    Attribute::Connector,
    Attribute::ProcessLatency,
    Attribute::ProxyHost,
    Attribute::ProxyPort,
    Attribute::ErrorConnectorSide,
];

/// The records of a router.
#[derive(Debug)]
pub(super) struct Store {
    own: SourceId,
    records: BTreeMap<u64, Stored>,
    /// The other sides of flows that began here, and the flows; none of those that are gone.
    sides: FxHashMap<u64, Option<u64>>,
    scheduled: [Vec<u64>; 3],
    shared: Vec<u64>,
    deferred: VecDeque<(Instant, u64)>,
    /// Ended, and nothing more can come.
    complete: Vec<u64>,
    /// Records that have left the store, of those that are limited.
    released: usize,
    lines: u32,
}

#[derive(Debug)]
struct Stored {
    kind: RecordType,
    identity: Value,
    /// By code.
    attributes: Vec<(Attribute, Value)>,
    /// Bits of those that were not sent yet.
    fresh: u128,
    meters: SmallVec<[Counted; 1]>,
    is_scheduled: bool,
    has_ended: bool,
    is_logged: bool,
    /// Whose record it is a part of.
    base: Option<Identity>,
    /// The flow's other side was here, and has ended well.
    is_complete: bool,
    /// The tick before which a part of another router's record is not sent again.
    not_before: u64,
}

#[derive(Debug)]
struct Counted {
    meter: Arc<Meter>,
    attributes: [Option<Attribute>; Meter::COUNT],
    seen: [u64; Meter::COUNT],
}

/// Microseconds since the epoch, from a clock that only goes on.
#[derive(Debug, Clone, Copy)]
pub(super) struct WallClock {
    pub(super) now: Instant,
    pub(super) micros: u64,
}

/// What a tick sends.
pub(super) struct Tick<'a> {
    pub(super) number: u64,
    pub(super) now: Instant,
    /// Whether anybody is there, by channel.
    pub(super) usable: [bool; Channel::COUNT],
    pub(super) sender: &'a mut Sender,
    pub(super) composer: &'a mut Composer,
}

// === impl WallClock ===

impl WallClock {
    fn at(self, at: Instant) -> u64 {
        self.micros.saturating_sub(u64::try_from(self.now.since(at).as_micros()).unwrap_or(u64::MAX))
    }
}

// === impl Stored ===

impl Stored {
    fn new(kind: RecordType, identity: Value, base: Option<Identity>) -> Self {
        Self {
            kind,
            identity,
            attributes: Vec::new(),
            fresh: 0,
            meters: SmallVec::new(),
            is_scheduled: false,
            has_ended: false,
            is_logged: false,
            base,
            is_complete: false,
            not_before: 0,
        }
    }

    /// Sets an attribute. True: it has changed.
    fn set(&mut self, attribute: Attribute, value: Value) -> bool {
        let Some(value) = attribute.admit(value) else { return false };
        match self.attributes.binary_search_by_key(&attribute, |(there, _)| *there) {
            Ok(at) if self.attributes[at].1 == value => return false,
            Ok(at) => self.attributes[at].1 = value,
            Err(at) => self.attributes.insert(at, (attribute, value)),
        }
        self.fresh |= attribute.bit();
        true
    }

    fn set_all(&mut self, attributes: impl IntoIterator<Item = (Attribute, Value)>) -> bool {
        attributes.into_iter().fold(false, |changed, (attribute, value)| self.set(attribute, value) | changed)
    }

    /// Reads the meters. True: something has changed.
    fn sample(&mut self) -> bool {
        let mut meters = std::mem::take(&mut self.meters);
        let mut changed = false;
        for counted in &mut meters {
            let now = counted.meter.get();
            for (place, attribute) in counted.attributes.iter().enumerate() {
                if now[place] != std::mem::replace(&mut counted.seen[place], now[place])
                    && let Some(attribute) = attribute
                {
                    changed |= self.set(*attribute, now[place].into());
                }
            }
        }
        self.meters = meters;
        changed
    }

    fn count(&mut self, meter: Arc<Meter>, attributes: [Option<Attribute>; Meter::COUNT]) {
        self.meters.push(Counted { meter, attributes, seen: [0; Meter::COUNT] });
    }

    /// Takes what was not sent yet.
    fn put_fresh(&mut self, composer: &mut Composer, out: &mut BytesMut) {
        let fresh = std::mem::take(&mut self.fresh);
        let attributes = self.attributes.iter().filter(|(attribute, _)| fresh & attribute.bit() != 0);
        composer.put_record(self.kind, &self.identity, attributes.map(|(attribute, value)| (*attribute, value)), out);
    }

    /// Whether its end waits for what the other side tells.
    fn is_deferred(&self) -> bool {
        self.has_ended && self.kind == RecordType::BiflowTport && self.base.is_none()
    }

    fn channel(&self) -> Channel {
        match self.kind {
            RecordType::Log => Channel::Logs,
            kind if kind.is_flow() => Channel::Flows,
            _ => Channel::Events,
        }
    }

    /// The line that tells of it.
    fn line(&mut self) -> String {
        let mut line = format!("{} [{}]", self.kind.name(), self.identity);
        if !std::mem::replace(&mut self.is_logged, true) {
            line.push_str(" BEGIN");
        }
        if self.has_ended {
            line.push_str(" END");
        }
        for (attribute, value) in &self.attributes {
            if !matches!(attribute, Attribute::StartTime | Attribute::EndTime) {
                // Writing to a text cannot fail.
                let _ = write!(line, " {}={value}", attribute.name());
            }
        }
        line
    }
}

// === impl Store: what is told ===

impl Store {
    pub(super) fn new(own: SourceId) -> Self {
        Self {
            own,
            records: BTreeMap::new(),
            sides: FxHashMap::default(),
            scheduled: Default::default(),
            shared: Vec::new(),
            deferred: VecDeque::new(),
            complete: Vec::new(),
            released: 0,
            lines: 0,
        }
    }

    pub(super) fn apply(&mut self, change: Change, clock: WallClock) {
        match change {
            Change::Begin { number, base: Some(base), attributes, meter, .. } => {
                self.join(number, base, attributes, meter);
            }
            Change::Begin { number, kind, name, base: None, at, attributes, meter } => {
                let own = Value::Record(Identity { source: self.own, number });
                let mut record = Stored::new(kind, name.map_or(own, Value::Text), None);
                record.set(Attribute::StartTime, clock.at(at).into());
                if kind == RecordType::Log {
                    record.set(Attribute::EndTime, clock.at(at).into());
                    record.has_ended = true;
                }
                self.begin(number, record, attributes, meter);
            }
            Change::Set { number, attributes } => self.set(number, attributes),
            Change::End { number, at, attributes } => {
                let at = at.unwrap_or(clock.now);
                self.end(number, attributes, at, clock.at(at));
            }
        }
    }

    fn begin(&mut self, number: u64, mut record: Stored, attributes: Attributes, meter: Arc<Meter>) {
        if let Some((_, Value::Record(parent))) = attributes.iter().find(|(a, _)| *a == Attribute::Parent) {
            self.tell_of_parent(*parent);
        }
        let counted = record.kind.meters();
        for attribute in counted.into_iter().flatten().filter(|attribute| *attribute != Attribute::Latency) {
            record.set(attribute, Value::Number(0));
        }
        record.set_all(attributes);
        if counted.iter().any(Option::is_some) {
            record.count(meter, counted);
        }
        self.records.insert(number, record);
        self.schedule(number);
    }

    /// A record is logged when it gets its first child.
    fn tell_of_parent(&mut self, parent: Identity) {
        let parent = (parent.source == self.own).then(|| self.records.get_mut(&parent.number)).flatten();
        if let Some(parent) = parent.filter(|parent| !parent.is_logged) {
            log(&mut self.lines, parent);
        }
    }

    /// Begins the other side of a flow.
    fn join(&mut self, number: u64, base: Identity, attributes: Attributes, meter: Arc<Meter>) {
        let counted = [None, None, Some(Attribute::ProcessLatency)];
        if base.source != self.own {
            let mut record = Stored::new(RecordType::BiflowTport, Value::Record(base), Some(base));
            record.set_all(attributes);
            record.count(meter, counted);
            self.records.insert(number, record);
            return self.schedule(number);
        }
        let flow = self.records.get_mut(&base.number).filter(|flow| flow.kind == RecordType::BiflowTport);
        self.sides.insert(number, flow.is_some().then_some(base.number));
        if let Some(flow) = flow {
            flow.count(meter, counted);
            flow.set_all(attributes);
            self.schedule(base.number);
        }
    }

    fn set(&mut self, number: u64, attributes: Attributes) {
        let number = self.sides.get(&number).copied().unwrap_or(Some(number));
        let Some(number) = number else { return };
        if self.records.get_mut(&number).is_some_and(|record| record.set_all(attributes)) {
            self.schedule(number);
        }
    }

    fn end(&mut self, number: u64, attributes: Attributes, at: Instant, micros: u64) {
        if let Some(flow) = self.sides.remove(&number) {
            self.released += 1;
            return self.end_side(flow, attributes);
        }
        let Some(record) = self.records.get_mut(&number) else { return };
        record.sample();
        record.meters.clear();
        record.set_all(attributes);
        record.has_ended = true;
        record.attributes.shrink_to_fit();
        if record.base.is_none() {
            record.set(Attribute::EndTime, micros.into());
        }
        if !record.is_deferred() {
            self.schedule(number);
        } else if record.is_complete {
            self.complete.push(number);
        } else {
            self.deferred.push_back((at + DEFERRED, number));
        }
    }

    /// The other side of a flow that began here has ended.
    fn end_side(&mut self, flow: Option<u64>, attributes: Attributes) {
        let Some((number, record)) = flow.and_then(|flow| Some((flow, self.records.get_mut(&flow)?))) else { return };
        record.sample();
        // An attempt that failed may have been followed by another one, at another router.
        record.is_complete = !attributes.iter().any(|(a, _)| *a == Attribute::ErrorConnectorSide);
        record.set_all(attributes);
        if record.is_complete && record.has_ended {
            self.complete.push(number);
        } else {
            self.schedule(number);
        }
    }

    /// Takes what another router tells of a record of this one.
    pub(super) fn update(&mut self, Update { kind, identity, attributes }: Update) {
        let Some(identity) = Identity::parse(&identity).filter(|identity| identity.source == self.own) else { return };
        let record = self.records.get_mut(&identity.number).filter(|r| r.kind == kind && r.base.is_none());
        let allowed = attributes.into_iter().filter(|(attribute, _)| OTHER_SIDE.contains(attribute));
        if kind == RecordType::BiflowTport && record.is_some_and(|record| record.set_all(allowed)) {
            self.schedule(identity.number);
        }
    }

    /// Everything is to be sent once more.
    pub(super) fn refresh(&mut self) {
        let own = self.records.iter_mut().filter(|(_, record)| record.base.is_none() && !record.has_ended);
        let numbers: Vec<u64> = own
            .map(|(number, record)| {
                record.fresh = u128::MAX;
                *number
            })
            .collect();
        numbers.into_iter().for_each(|number| self.schedule(number));
    }

    fn schedule(&mut self, number: u64) {
        let Some(record) = self.records.get_mut(&number) else { return };
        if record.is_deferred() || std::mem::replace(&mut record.is_scheduled, true) {
            return;
        }
        match record.base {
            Some(_) => self.shared.push(number),
            None => self.scheduled[record.channel().list()].push(number),
        }
    }
}

// === impl Store: what is sent ===

impl Store {
    /// Whether nothing waits.
    pub(super) fn is_idle(&self) -> bool {
        self.scheduled.iter().all(Vec::is_empty)
            && self.shared.is_empty()
            && self.deferred.is_empty()
            && self.complete.is_empty()
    }

    /// Limited records that are gone since this was asked.
    pub(super) fn take_released(&mut self) -> usize {
        std::mem::take(&mut self.released)
    }

    /// Sends what is due.
    pub(super) fn tick(&mut self, mut tick: Tick<'_>) {
        let slot = tick.number.is_multiple_of(SLOT);
        if tick.usable.iter().any(|usable| *usable) && slot {
            self.sample();
        }
        self.send_shared(&mut tick);
        if slot {
            for channel in [Channel::Events, Channel::Flows, Channel::Logs] {
                let mut numbers = std::mem::take(&mut self.scheduled[channel.list()]);
                // What has ended meanwhile is told once, with its end.
                numbers.retain(|number| self.records.get(number).is_some_and(|record| !record.is_deferred()));
                self.send(channel, &numbers, &mut tick);
            }
            self.tell_lost_lines();
        }
        let mut over = std::mem::take(&mut self.complete);
        while self.deferred.front().is_some_and(|(due, _)| *due <= tick.now) {
            over.extend(self.deferred.pop_front().map(|(_, number)| number));
        }
        over.retain(|number| self.records.contains_key(number));
        over.sort_unstable();
        over.dedup();
        self.send(Channel::Flows, &over, &mut tick);
    }

    /// Ends what has not ended yet, and sends everything.
    pub(super) fn finish(&mut self, mut tick: Tick<'_>, clock: WallClock) {
        let live = self.records.iter().filter(|(_, record)| !record.has_ended);
        let live: Vec<u64> = live.map(|(number, _)| *number).collect();
        live.into_iter().for_each(|number| self.end(number, Attributes::new(), clock.now, clock.micros));
        self.complete.extend(self.deferred.drain(..).map(|(_, number)| number));
        tick.number = 0;
        self.tick(tick);
    }

    fn sample(&mut self) {
        let changed: Vec<u64> = self
            .records
            .iter_mut()
            .filter_map(|(number, record)| (!record.meters.is_empty() && record.sample()).then_some(*number))
            .collect();
        changed.into_iter().for_each(|number| self.schedule(number));
    }

    /// Sends records of a channel, if anybody is there; those that have ended are gone then.
    fn send(&mut self, channel: Channel, numbers: &[u64], tick: &mut Tick<'_>) {
        for chunk in numbers.chunks(RECORDS_MAX) {
            if tick.usable[channel as usize] {
                tick.sender.send(channel, |id, to| self.compose(id, to, chunk, tick.composer));
            }
            chunk.iter().for_each(|number| self.sent(*number, tick.number));
        }
    }

    fn compose(&mut self, id: u64, to: &str, numbers: &[u64], composer: &mut Composer) -> Bytes {
        composer.message(id, to, numbers, |composer, number, out| {
            if let Some(record) = self.records.get_mut(number) {
                record.put_fresh(composer, out);
            }
        })
    }

    fn sent(&mut self, number: u64, tick: u64) {
        let Some(record) = self.records.get_mut(&number) else { return };
        record.is_scheduled = false;
        record.fresh = 0;
        record.not_before = tick + SLOT;
        if record.has_ended {
            self.forget(number);
        }
    }

    fn forget(&mut self, number: u64) {
        let Some(mut record) = self.records.remove(&number) else { return };
        self.released += usize::from(record.kind.is_flow());
        if record.base.is_none() && record.kind != RecordType::Log {
            log(&mut self.lines, &mut record);
        }
    }

    /// Tells other routers what became of their records here.
    fn send_shared(&mut self, tick: &mut Tick<'_>) {
        let mut due = Vec::<(SourceId, u64)>::new();
        self.shared.retain(|number| {
            let Some(record) = self.records.get_mut(number) else { return false };
            record.sample();
            let is_due = record.not_before <= tick.number || record.has_ended;
            if let Some(base) = record.base.filter(|_| is_due) {
                due.push((base.source, *number));
            }
            !is_due
        });
        due.sort_by_key(|(source, number)| (source.as_str().to_owned(), *number));
        for group in due.chunk_by(|a, b| a.0 == b.0) {
            for chunk in group.chunks(RECORDS_MAX) {
                self.send_to(chunk, tick);
            }
        }
    }

    fn send_to(&mut self, chunk: &[(SourceId, u64)], tick: &mut Tick<'_>) {
        let numbers = chunk.iter().map(|(_, number)| *number);
        let has_news = |number: &u64| self.records.get(number).is_some_and(|record| record.fresh != 0);
        let fresh: Vec<u64> = numbers.clone().filter(has_news).collect();
        if let (Some((source, _)), false) = (chunk.first(), fresh.is_empty()) {
            tick.sender.send_to(*source, |id, to| self.compose(id, to, &fresh, tick.composer));
        }
        numbers.for_each(|number| self.sent(number, tick.number));
    }

    fn tell_lost_lines(&mut self) {
        let lost = std::mem::take(&mut self.lines).saturating_sub(LINES_MAX);
        if lost > 0 {
            crate::log!(LogModule::FlowLog, Level::Info, "{lost} more records ended");
        }
    }
}

/// Logs what is told of a record, unless there were too many such lines.
fn log(lines: &mut u32, record: &mut Stored) {
    if !enabled(LogModule::FlowLog, Level::Info) {
        return;
    }
    *lines += 1;
    if *lines <= LINES_MAX {
        crate::log!(LogModule::FlowLog, Level::Info, "{}", record.line());
    }
}
