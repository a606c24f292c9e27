//! What of the records is sent, and when (spec `vanflow.md` sections 4.3 to 4.8).

use super::{Ended, LINES_MAX, SLOT, Store, Stored, Tick, WallClock, log};
use crate::log::{Level, LogModule, enabled};
use crate::vanflow::attribute::{Attribute, Value};
use crate::vanflow::codec::{Composer, RECORDS_MAX};
use crate::vanflow::identity::{Identity, SourceId};
use crate::vanflow::registry::{Attributes, RecordType};
use crate::vanflow::source::Channel;
use bytes::Bytes;
use std::collections::VecDeque;

impl Store {
    /// Whether nothing waits.
    pub(in crate::vanflow) fn is_idle(&self) -> bool {
        self.scheduled.iter().all(Vec::is_empty)
            && self.due.iter().all(VecDeque::is_empty)
            && self.shared.is_empty()
            && self.deferred.is_empty()
            && self.over.is_empty()
            && !self.refreshes
    }

    /// Limited records that are gone since this was asked.
    pub(in crate::vanflow) fn take_released(&mut self) -> usize {
        std::mem::take(&mut self.released)
    }

    /// Sends what is due.
    pub(in crate::vanflow) fn tick(&mut self, mut tick: Tick<'_>) {
        if tick.number.is_multiple_of(SLOT) {
            self.begin_slot(&tick);
        }
        self.send_shared(&mut tick);
        let ended = self.take_over(&tick);
        self.send(Channel::Flows, &ended, &mut tick);
        for channel in [Channel::Events, Channel::Flows, Channel::Logs] {
            let taken = if channel == Channel::Flows { ended.len() } else { 0 };
            let pace = tick.pace(channel).saturating_sub(taken);
            let mut numbers = take_some(&mut self.due[channel.list()], pace);
            // What has ended meanwhile is told once, with its end.
            numbers.retain(|number| self.records.get(number).is_some_and(|record| !record.is_deferred()));
            self.send(channel, &numbers, &mut tick);
        }
    }

    fn begin_slot(&mut self, tick: &Tick<'_>) {
        if std::mem::take(&mut self.refreshes) {
            self.refresh();
        }
        if tick.usable.contains(&true) {
            self.sample();
        }
        for (due, scheduled) in self.due.iter_mut().zip(&mut self.scheduled) {
            due.extend(std::mem::take(scheduled));
        }
        self.tell_lost_lines();
    }

    /// Flows whose end is told now.
    fn take_over(&mut self, tick: &Tick<'_>) -> Vec<u64> {
        while let Some((_, number)) = self.deferred.pop_front_if(|(due, _)| *due <= tick.now) {
            self.conclude(number);
        }
        take_some(&mut self.over, tick.pace(Channel::Flows))
    }

    /// Ends what has not ended yet, and sends everything.
    pub(in crate::vanflow) fn finish(&mut self, tick: Tick<'_>, clock: WallClock) {
        let live = self.records.iter().filter(|(_, record)| !record.has_ended);
        let live: Vec<u64> = live.map(|(number, _)| *number).collect();
        live.into_iter().for_each(|number| self.end(number, Attributes::new(), clock.now, clock.micros));
        std::mem::take(&mut self.deferred).into_iter().for_each(|(_, number)| self.conclude(number));
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
        self.keep(number, &record);
        if record.base.is_none() && record.kind != RecordType::Log {
            log(&mut self.lines, &mut record);
        }
    }

    /// Keeps what is over, where somebody wants to know.
    fn keep(&mut self, number: u64, record: &Stored) {
        if self.ended.is_none() || !record.kind.is_flow() {
            return;
        }
        let of = |wanted| {
            let found = record.attributes.iter().find(|(attribute, _)| *attribute == wanted);
            found.map(|(_, value)| value)
        };
        let number_of = |wanted| if let Some(Value::Number(number)) = of(wanted) { *number } else { 0 };
        let parent = if record.base.is_some() { Attribute::Connector } else { Attribute::Parent };
        let parent = if let Some(Value::Record(parent)) = of(parent) { self.records.get(&parent.number) } else { None };
        let parent_has = |wanted| {
            let found = parent?.attributes.iter().find(|(attribute, _)| *attribute == wanted);
            found.map(|(_, value)| value.clone())
        };
        let mut attributes = record.attributes.clone();
        let times = match &record.part {
            Some(part) => {
                let octets = [Attribute::Octets, Attribute::OctetsReverse].into_iter().zip(part.octets);
                attributes.extend(octets.map(|(attribute, octets)| (attribute, Value::Number(octets))));
                part.times
            }
            None => [Attribute::StartTime, Attribute::EndTime].map(number_of),
        };
        let ended = Ended {
            kind: record.kind,
            identity: Identity { source: self.own, number },
            base: record.base,
            times,
            attributes,
            service: [Attribute::Name, Attribute::VanAddress].map(parent_has),
        };
        if let Some(all) = &mut self.ended {
            all.push_back(ended);
        }
    }

    /// Tells other routers what became of their records here.
    fn send_shared(&mut self, tick: &mut Tick<'_>) {
        let mut due = Vec::<(SourceId, u64)>::new();
        self.shared.retain(|number| {
            let Some(record) = self.records.get_mut(number) else { return false };
            record.sample();
            let is_due = due.len() < tick.pace && (record.not_before <= tick.number || record.has_ended);
            if let Some(base) = record.base.filter(|_| is_due) {
                due.push((base.source, *number));
            }
            !is_due
        });
        due.sort_unstable();
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

    /// Whether there are no more lines about records in this slot.
    pub(in crate::vanflow) const fn is_terse(&self) -> bool {
        self.lines >= LINES_MAX
    }

    /// Flows have ended without a line, as there were so many.
    pub(in crate::vanflow) fn count_untold(&mut self, flows: u32) {
        if enabled(LogModule::FlowLog, Level::Info) {
            self.lines = self.lines.saturating_add(flows);
        }
    }

    fn tell_lost_lines(&mut self) {
        let lost = std::mem::take(&mut self.lines).saturating_sub(LINES_MAX);
        if lost > 0 {
            crate::log!(LogModule::FlowLog, Level::Info, "{lost} more records ended");
        }
    }
}

/// Takes the first of a queue, and gives back the room of one that is empty then.
fn take_some(queue: &mut VecDeque<u64>, count: usize) -> Vec<u64> {
    if queue.len() <= count { std::mem::take(queue).into() } else { queue.drain(..count).collect() }
}
