//! The records that exist, what of them is still to be sent, and when (spec `vanflow.md` sections 4.2 to 4.8).
//!
//! ```text
//!  begin, set, counted --> scheduled --slot: once per second--> due --pace--> sent; again with what changed since
//!  end of a flow       --> deferred  --5 s, or its other side is complete--> over --pace--> sent once, gone
//!  end of another      --> scheduled --slot--> due --pace--> sent, gone
//! ```
//!
//! The pace is what links to collectors take at a time; where nobody listens there is none.
//!
//! A record that another router has begun is kept apart: it has no life of its own, and what is told of it goes to that
//! router. One that this router has begun takes what is told of its other side.

mod sending;

use super::attribute::{Attribute, Value};
use super::codec::{Composer, RECORDS_MAX, Update};
use super::identity::{Identity, SourceId};
use super::registry::{Attributes, Begin, Change, Meter, RecordType};
use super::source::{Channel, Sender};
use crate::log::{Level, LogModule, enabled};
use amqp_core::Instant;
use bytes::BytesMut;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// Ticks in which every record is sent once at most.
pub(super) const SLOT: u64 = 5;
/// Records of a channel, or for other routers, that a tick sends. A link keeps 250 settled messages of 50 records for a
/// peer that takes its time, and drops what comes beyond that.
pub(super) const PACE: usize = 100 * RECORDS_MAX;
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
    sides: FxHashMap<u64, Side>,
    /// For the next slot.
    scheduled: [Vec<u64>; 3],
    /// For as soon as the pace allows.
    due: [VecDeque<u64>; 3],
    shared: Vec<u64>,
    deferred: VecDeque<(Instant, u64)>,
    /// Flows that have ended, and nothing more is waited for.
    over: VecDeque<u64>,
    /// Everything is to be sent once more, in the next slot.
    refreshes: bool,
    /// Records that have left the store, of those that are limited.
    released: usize,
    lines: u32,
    /// Flows and requests that are over, where somebody wants to know; none: nobody does.
    ended: Option<VecDeque<Ended>>,
}

/// A flow, this router's part of one, or a request that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// What it was.
    pub kind: RecordType,
    /// Its record at this router.
    pub identity: Identity,
    /// The flow that another router has begun, where this is a part of it.
    pub base: Option<Identity>,
    /// When it began and ended, in microseconds since the epoch.
    pub times: [u64; 2],
    /// What is known of it, by code.
    pub attributes: Vec<(Attribute, Value)>,
    /// Name and address of the listener or connector of a flow, as far as they are known.
    pub service: [Option<Value>; 2],
}

/// What is kept of a part of another router's flow beside its attributes, which are for that router.
#[derive(Debug)]
struct Part {
    times: [u64; 2],
    octets: [u64; 2],
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
    /// The flow's other side was here, and nothing more can come of another one.
    is_complete: bool,
    /// It has ended, and nothing more is waited for.
    is_over: bool,
    /// The tick before which a part of another router's record is not sent again.
    not_before: u64,
    /// Of a part of another router's record, where somebody wants to know of its end.
    part: Option<Box<Part>>,
}

#[derive(Debug)]
struct Counted {
    meter: Arc<Meter>,
    attributes: [Option<Attribute>; Meter::COUNT],
    seen: [u64; Meter::COUNT],
}

/// The other side of a flow that began here.
#[derive(Debug)]
struct Side {
    /// None: it was gone already.
    flow: Option<u64>,
    meter: Arc<Meter>,
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
    /// Records that are sent to each channel, and to other routers, at most.
    pub(super) pace: usize,
    pub(super) sender: &'a mut Sender,
    pub(super) composer: &'a mut Composer,
}

// === impl WallClock ===

impl WallClock {
    fn at(self, at: Instant) -> u64 {
        self.micros.saturating_sub(u64::try_from(self.now.since(at).as_micros()).unwrap_or(u64::MAX))
    }
}

// === impl Tick ===

impl Tick<'_> {
    fn pace(&self, channel: Channel) -> usize {
        if self.usable[channel as usize] { self.pace } else { usize::MAX }
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
            is_over: false,
            not_before: 0,
            part: None,
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

    /// Sets the time of its end, which is after its start even if the clock was set back meanwhile.
    fn end_at(&mut self, micros: u64) {
        let start = self.attributes.iter().find(|(attribute, _)| *attribute == Attribute::StartTime);
        let least = if let Some((_, Value::Number(start))) = start { start.saturating_add(1) } else { 0 };
        self.set(Attribute::EndTime, micros.max(least).into());
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
            due: Default::default(),
            shared: Vec::new(),
            deferred: VecDeque::new(),
            over: VecDeque::new(),
            refreshes: false,
            released: 0,
            lines: 0,
            ended: None,
        }
    }

    /// From now on what is over is kept until it is taken.
    pub(super) fn keep_ended(&mut self) {
        self.ended.get_or_insert_default();
    }

    pub(super) fn take_ended(&mut self) -> Option<Ended> {
        self.ended.as_mut()?.pop_front()
    }

    pub(super) fn apply(&mut self, change: Change, clock: WallClock) {
        match change {
            Change::Begin(begin) => self.take(begin, clock),
            Change::Set { number, attributes } => self.set(number, attributes),
            Change::End { number, at, attributes } => {
                let at = at.unwrap_or(clock.now);
                self.end(number, attributes, at, clock.at(at));
            }
            Change::Untold => {}
        }
    }

    fn take(&mut self, begin: Begin, clock: WallClock) {
        let Begin { number, kind, name, base, at, attributes, meter, end } = begin;
        if let Some(base) = base {
            self.join(number, base, attributes, meter);
            if let Some(record) = self.records.get_mut(&number).filter(|_| self.ended.is_some()) {
                record.part = Some(Box::new(Part { times: [clock.at(at); 2], octets: [0; 2] }));
            }
        } else {
            let own = Value::Record(Identity { source: self.own, number });
            let mut record = Stored::new(kind, name.map_or(own, Value::Text), None);
            record.set(Attribute::StartTime, clock.at(at).into());
            if kind == RecordType::Log {
                record.set(Attribute::EndTime, clock.at(at).into());
                record.has_ended = true;
            }
            self.begin(number, record, attributes, meter);
        }
        if let Some(at) = end {
            let at = at.unwrap_or(clock.now);
            self.end(number, Attributes::new(), at, clock.at(at));
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
        let side = Side { flow: flow.is_some().then_some(base.number), meter: Arc::clone(&meter) };
        self.sides.insert(number, side);
        if let Some(flow) = flow {
            // An attempt before this one is over.
            flow.meters.retain(|counting| counting.attributes != counted);
            flow.count(meter, counted);
            flow.set_all(attributes);
            self.schedule(base.number);
        }
    }

    fn set(&mut self, number: u64, attributes: Attributes) {
        let Some(number) = self.sides.get(&number).map_or(Some(number), |side| side.flow) else { return };
        if self.records.get_mut(&number).is_some_and(|record| record.set_all(attributes)) {
            self.schedule(number);
        }
    }

    fn end(&mut self, number: u64, attributes: Attributes, at: Instant, micros: u64) {
        if let Some(side) = self.sides.remove(&number) {
            self.released += 1;
            return self.end_side(&side, attributes);
        }
        let Some(record) = self.records.get_mut(&number) else { return };
        record.sample();
        if let Some(part) = &mut record.part {
            let octets = record.meters.first().map_or([0; Meter::COUNT], |counted| counted.seen);
            (part.times[1], part.octets) = (micros.max(part.times[0]), [octets[0], octets[1]]);
        }
        record.meters.clear();
        record.set_all(attributes);
        record.has_ended = true;
        record.attributes.shrink_to_fit();
        if record.base.is_none() {
            record.end_at(micros);
        }
        if !record.is_deferred() {
            self.schedule(number);
        } else if record.is_complete {
            self.conclude(number);
        } else {
            self.deferred.push_back((at + DEFERRED, number));
        }
    }

    /// The other side of a flow that began here has ended.
    fn end_side(&mut self, side: &Side, attributes: Attributes) {
        let found = side.flow.and_then(|flow| Some((flow, self.records.get_mut(&flow)?)));
        let Some((number, record)) = found else { return };
        record.sample();
        // After an attempt that failed, or was not answered, there may be another one, at another router.
        let has_failed = attributes.iter().any(|(attribute, _)| *attribute == Attribute::ErrorConnectorSide);
        let [answered, ..] = side.meter.get();
        record.is_complete = answered > 0 && !has_failed;
        record.set_all(attributes);
        if record.is_complete && record.has_ended {
            self.conclude(number);
        } else {
            self.schedule(number);
        }
    }

    /// A flow that has ended is told of as soon as possible.
    fn conclude(&mut self, number: u64) {
        let record = self.records.get_mut(&number);
        if record.is_some_and(|record| !std::mem::replace(&mut record.is_over, true)) {
            self.over.push_back(number);
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

    /// Everything is to be sent once more, however often that is asked before it happens.
    pub(super) const fn ask_refresh(&mut self) {
        self.refreshes = true;
    }

    fn refresh(&mut self) {
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
