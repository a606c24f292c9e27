//! Deliveries that come in (spec `amqp-endpoint.md` sections 11 and 16).
//!
//! ```text
//!   one frame, complete --------------------------------> Deliver(One)
//!   first frame of many --> Held --complete-------------> Deliver(Many)
//!                             |---streaming flag or mark,
//!                             |   or too much to hold --> Deliver(Stream), then pushed to it
//!                             '---invalid --------------> rejected, rest discarded
//! ```

use super::limits::{CONTROL_MAX, HOLD_MAX, SECTIONS_MAX, UNBOUNDED_STREAM};
use super::link::{End, Head, Held, InLink, IncomingDelivery, Phase, PortLink};
use super::policed::{Check, Policed};
use super::report;
use super::weight;
use super::wide;
use super::{AmqpPort, MessageFields};
use crate::annotations::{Annotations, Trace, flags};
use crate::core::action::{Action, Deliver, Direction, InToken, Side};
use crate::core::effect::CutThrough;
use crate::core::ids::{ConnId, InId, LinkId};
use crate::log::{Level, LogModule};
use crate::stream::{CHUNK_COST, Notify, Payload, Pressure, Stream, StreamLimits};
use amqp_core::Instant;
use amqp_core::engine::{DeliveryKey, Incoming};
use amqp_core::message::{Depth, PropertiesView, ScanResult, SectionMap, SectionScanner, header};
use amqp_core::performative::{DeliveryState, Error};
use bytes::Bytes;
use std::sync::Arc;

/// Why a message is refused.
struct Refusal {
    condition: &'static str,
    description: String,
}

const SIZE_EXCEEDED: &str = "Message size exceeded";

/// How the first sections of a message are looked at.
#[derive(Clone, Copy)]
struct Reading<'a> {
    /// All of the message is there.
    complete: bool,
    /// Its link has no address.
    anonymous: bool,
    /// Router annotations count.
    annotated: bool,
    logged: MessageFields,
    /// Its user id, and where it goes, is checked.
    policed: Option<&'a Policed>,
}

/// What looking at the first sections came to: nothing yet while they are incomplete.
type Look = Result<Option<Head>, Refusal>;

// === impl AmqpPort ===

impl AmqpPort {
    /// A transfer frame.
    pub(super) fn on_transfer(&mut self, mut frame: Incoming, now: Instant) {
        let finish = self.take_finish(&mut frame);
        let Some(idx) = self.links.by_key(frame.link) else { return };
        let logged = self.params.message_fields;
        let Some(PortLink { id: Some(id), annotations, end: End::In(link), .. }) = self.links.get_mut(idx) else {
            return;
        };
        let (id, annotated) = (*id, *annotations);
        let policed = if link.check == Check::Nothing { None } else { self.policed.as_deref() };
        let octets = frame.payload.len();
        if frame.first && !frame.more && !frame.aborted {
            // The usual case, which touches no state but the delivery's own.
            if policed.is_some_and(|policed| policed.is_oversize(octets as u64)) {
                return self.refuse_oversize(idx, id, frame.delivery, frame.settled);
            }
            let policed = policed.filter(|_| link.check == Check::All);
            let reading = Reading { complete: true, anonymous: link.anonymous, annotated, logged, policed };
            let chunks = [frame.payload];
            let scanned = scan_head(&mut SectionScanner::default(), &chunks, reading);
            if scanned.is_ok() {
                self.log_message(idx, Direction::In, &chunks);
            }
            let [payload] = chunks;
            return match scanned {
                Ok(Some(head)) => {
                    let mut payload = if head.strip == 0 { payload } else { payload.slice(head.strip..) };
                    if weight::counts(payload.len(), frame.settled) {
                        payload = self.weigh(idx, payload.len(), payload);
                    }
                    let payload = head.finished(Payload::One(payload), finish);
                    self.deliver(id, frame.delivery, frame.settled, frame.state, head, payload);
                }
                Ok(None) => self.refuse(id, frame.delivery, frame.settled, invalid_message()),
                Err(refusal) => self.refuse(id, frame.delivery, frame.settled, refusal),
            };
        }
        if frame.first {
            link.current = Some(Box::new(IncomingDelivery {
                delivery: frame.delivery,
                presettled: frame.settled,
                settled: frame.settled,
                state: frame.state,
                finish,
                phase: Phase::Held(Held::default()),
                received: 0,
                oversize: false,
                verdict: None,
            }));
        } else if let Some(current) = &mut link.current {
            current.settled |= frame.settled;
            current.finish = finish;
        }
        if let (Some(policed), Some(current)) = (policed, &mut link.current) {
            current.received = current.received.saturating_add(octets as u64);
            if !current.oversize && policed.is_oversize(current.received) {
                self.discard_oversize(idx, id);
            }
        }
        self.on_piece(idx, id, frame.payload, frame.more, frame.aborted, now);
        self.arrived(octets + CHUNK_COST);
    }

    /// A piece of a delivery of several frames.
    fn on_piece(&mut self, idx: u32, id: LinkId, payload: Bytes, more: bool, aborted: bool, now: Instant) {
        let logged = self.params.message_fields;
        let Some(PortLink { key: link_key, session, annotations, end: End::In(link), .. }) = self.links.get_mut(idx)
        else {
            return;
        };
        let policed = if link.check == Check::All { self.policed.as_deref() } else { None };
        let (complete, anonymous, annotated) = (!more, link.anonymous, *annotations);
        let reading = Reading { complete, anonymous, annotated, logged, policed };
        let Some(current) = &mut link.current else { return };
        match &mut current.phase {
            _ if aborted => self.end_piece(idx, true),
            Phase::Held(held) => {
                if !payload.is_empty() {
                    held.octets += payload.len() + CHUNK_COST;
                    held.chunks.push(payload);
                }
                if held.head.is_none() {
                    match scan_head(&mut held.scanner, &held.chunks, reading) {
                        Ok(head) => held.head = head,
                        Err(refusal) => return self.refuse_current(idx, id, more, refusal),
                    }
                }
                let (when, octets) = (link.cut_through, held.octets);
                match &held.head {
                    None if octets > SECTIONS_MAX || !more => self.refuse_current(idx, id, more, invalid_message()),
                    None => {}
                    Some(_) if when == CutThrough::Never && octets > CONTROL_MAX => {
                        self.refuse_current(idx, id, more, oversize_control(self.handle.id));
                    }
                    Some(_) if !more => self.deliver_held(idx, id),
                    Some(head) => {
                        let flagged = annotated && head.annotations.flags & flags::STREAMING != 0;
                        if cuts_through(when, flagged, octets) {
                            self.start_stream(idx, id, now);
                        }
                    }
                }
            }
            Phase::Streaming { stream, key, .. } => {
                if stream.push(payload) == Pressure::Full {
                    let (key, session, link) = (*key, *session, *link_key);
                    self.stall(key, session, link);
                }
                if !more {
                    self.end_piece(idx, false);
                }
            }
            Phase::Discarded => {
                if !more {
                    self.end_piece(idx, false);
                }
            }
        }
    }

    /// The delivery that was held is complete.
    fn deliver_held(&mut self, idx: u32, id: LinkId) {
        let Some(current) = self.take_current(idx) else { return };
        let IncomingDelivery { delivery, settled, state, finish, phase: Phase::Held(held), .. } = *current else {
            return;
        };
        let Some(head) = held.head else { return };
        self.log_message(idx, Direction::In, &held.chunks);
        let mut chunks = strip(held.chunks, head.strip);
        if weight::counts(held.octets, settled)
            && let Some(last) = chunks.pop()
        {
            chunks.push(self.weigh(idx, held.octets, last));
        }
        let payload = head.finished(many(chunks), finish);
        self.deliver(id, delivery, settled, state, head, payload);
    }

    /// The delivery that was held is to be forwarded as it arrives.
    fn start_stream(&mut self, idx: u32, id: LinkId, now: Instant) {
        if let Some(PortLink { end: End::In(InLink { current: Some(current), .. }), .. }) = self.links.get(idx)
            && let Phase::Held(held) = &current.phase
        {
            self.log_message(idx, Direction::In, &held.chunks);
        }
        let Some(PortLink { key: link, session, end: End::In(InLink { current: Some(current), .. }), .. }) =
            self.links.get_mut(idx)
        else {
            return;
        };
        let Phase::Held(held) = &mut current.phase else { return };
        let Some(head) = held.head.take() else { return };
        let unbounded = head.annotations.flags & flags::DISABLE_Q2 != 0;
        let limits = if unbounded { UNBOUNDED_STREAM } else { StreamLimits::DEFAULT };
        let key = self.stalls.new_key();
        let notify = Notify { mailbox: Arc::clone(&self.handle.mailbox), key };
        let stream = Stream::new(limits, Some(notify));
        let mut full = false;
        for chunk in strip(std::mem::take(&mut held.chunks), head.strip) {
            full |= stream.push(chunk) == Pressure::Full;
        }
        let wide = self.wide && head.annotations.flags & flags::WIDE != 0;
        current.phase = Phase::Streaming { stream: Arc::clone(&stream), id: None, key, wide };
        let (delivery, settled, state) = (current.delivery, current.presettled, current.state.take());
        let (session, link) = (*session, *link);
        if full {
            self.stall(key, session, link);
        }
        self.starting = Some((delivery, idx));
        self.deliver(id, delivery, settled, state, head, Payload::Stream(stream));
        // The core's id must be known before the stream can end.
        self.submit(now);
        self.starting = None;
    }

    /// The last frame of a delivery of several frames.
    fn end_piece(&mut self, idx: u32, aborted: bool) {
        let Some(current) = self.take_current(idx) else { return };
        let IncomingDelivery { delivery, presettled, settled, finish, phase, oversize, verdict, .. } = *current;
        if oversize {
            return self.end_oversize(idx, delivery, settled || aborted);
        }
        match phase {
            Phase::Held(_) => {
                // Nobody knew of it: only the credit it used is to be given back.
                if let Some(link) = self.links.get(idx) {
                    self.engine.grant_credit(link.key, 1);
                }
            }
            Phase::Streaming { stream, id: delivery_id, .. } => {
                if aborted {
                    stream.abort();
                } else {
                    stream.finish_as(finish);
                }
                if let Some(delivery) = delivery_id {
                    self.actions.push(Action::Complete { delivery, aborted });
                    if settled && !presettled && !aborted {
                        self.actions.push(Action::Update { delivery: Side::In(delivery), state: None, settled: true });
                    }
                }
            }
            Phase::Discarded => {}
        }
        if let Some(state) = verdict.filter(|_| !aborted && !settled) {
            self.engine.update_in(delivery, state, true);
        }
    }

    /// Tells the core of a delivery.
    fn deliver(
        &mut self,
        link: LinkId,
        delivery: DeliveryKey,
        settled: bool,
        state: Option<DeliveryState>,
        head: Head,
        payload: Payload,
    ) {
        let Head { mut annotations, to, priority, .. } = head;
        annotations.flags = self.known(annotations.flags);
        if !self.params.conn.role.tells_path() {
            // Routers of other networks may have the ids of ours.
            (annotations.ingress, annotations.trace) = (None, Trace::default());
        }
        let token = InToken(delivery.to_u64());
        self.actions.push(Action::Deliver(Box::new(Deliver {
            link,
            token,
            settled,
            payload,
            to,
            annotations,
            priority,
            state,
            unattended: false,
        })));
    }

    /// Refuses a complete delivery.
    fn refuse(&mut self, link: LinkId, delivery: DeliveryKey, settled: bool, refusal: Refusal) {
        report::refused(self.handle.id, link, refusal.condition, &refusal.description);
        if !settled {
            self.engine.update_in(delivery, Some(rejected(refusal)), true);
        }
        self.actions.push(Action::Refused { link });
    }

    /// Refuses the delivery in progress: the outcome at once, settlement after its last frame.
    fn refuse_current(&mut self, idx: u32, id: LinkId, more: bool, refusal: Refusal) {
        if !more {
            if let Some(current) = self.take_current(idx) {
                self.refuse(id, current.delivery, current.settled, refusal);
            }
            return;
        }
        let Some(current) = self.links.get_mut(idx).and_then(PortLink::incoming).and_then(|l| l.current.as_mut())
        else {
            return;
        };
        report::refused(self.handle.id, id, refusal.condition, &refusal.description);
        current.phase = Phase::Discarded;
        if !current.settled {
            let state = rejected(refusal);
            self.engine.update_in(current.delivery, Some(state.clone()), false);
            current.verdict = Some(Some(state));
        }
        self.actions.push(Action::Refused { link: id });
    }

    /// Refuses a complete message for its size, and with it the connection.
    fn refuse_oversize(&mut self, idx: u32, link: LinkId, delivery: DeliveryKey, settled: bool) {
        if let Some(policed) = &self.policed {
            policed.deny_size(link);
        }
        self.actions.push(Action::Refused { link });
        self.end_oversize(idx, delivery, settled);
    }

    /// The delivery in progress is too large: what was forwarded of it is aborted, what is still to come goes nowhere.
    fn discard_oversize(&mut self, idx: u32, link: LinkId) {
        if let Some(policed) = &self.policed {
            policed.deny_size(link);
        }
        let Some(current) = self.links.get_mut(idx).and_then(PortLink::incoming).and_then(|l| l.current.as_mut())
        else {
            return;
        };
        current.oversize = true;
        match std::mem::replace(&mut current.phase, Phase::Discarded) {
            Phase::Held(_) => self.actions.push(Action::Refused { link }),
            Phase::Streaming { stream, id, .. } => {
                stream.abort();
                self.actions.extend(id.map(|delivery| Action::Complete { delivery, aborted: true }));
            }
            Phase::Discarded => {}
        }
    }

    /// All of a message that is too large has come. Nothing more is taken from its sender.
    fn end_oversize(&mut self, idx: u32, delivery: DeliveryKey, settled: bool) {
        if !settled {
            let state = rejected(refusal("amqp:link:message-size-exceeded", SIZE_EXCEEDED));
            self.engine.update_in(delivery, Some(state), true);
        }
        if let Some(link) = self.links.get(idx) {
            self.engine.detach(link.key, None);
        }
        self.dismiss_oversize();
    }

    /// Sends a peer away for a message that is too large, whether it has sent all of that or given it up.
    pub(super) fn dismiss_oversize(&mut self) {
        self.dismiss(Box::new(Error::new("amqp:connection:forced", SIZE_EXCEEDED)));
    }

    /// State or settlement for the delivery in progress. False when it is not in progress.
    pub(super) fn update_current(
        &mut self,
        idx: u32,
        token: InToken,
        state: Option<&DeliveryState>,
        settled: bool,
        discard: bool,
    ) -> bool {
        let Some(PortLink { end: End::In(InLink { current: Some(current), .. }), .. }) = self.links.get_mut(idx) else {
            return false;
        };
        if current.delivery.to_u64() != token.0 {
            return false;
        }
        if let (Some(&DeliveryState::Received { section_number, .. }), Phase::Streaming { stream, wide: true, .. }) =
            (state, &current.phase)
        {
            stream.set_limits(wide::limits(section_number));
        }
        if state.is_some() && !current.settled {
            self.engine.update_in(current.delivery, state.cloned(), false);
        }
        if settled {
            current.verdict = Some(state.cloned());
        }
        if discard {
            let phase = std::mem::replace(&mut current.phase, Phase::Discarded);
            if let Phase::Streaming { stream, .. } = phase {
                stream.discard();
            }
        }
        true
    }

    /// The core's name of an incoming delivery.
    pub(super) fn on_accepted(&mut self, token: InToken, id: InId) {
        let delivery = DeliveryKey::from_u64(token.0);
        self.engine.set_token(delivery, pack(id));
        if let Some((starting, idx)) = self.starting
            && starting == delivery
            && let Some(current) = self.links.get_mut(idx).and_then(PortLink::incoming).and_then(|l| l.current.as_mut())
            && let Phase::Streaming { id: known, .. } = &mut current.phase
        {
            *known = Some(id);
        }
    }

    fn take_current(&mut self, idx: u32) -> Option<Box<IncomingDelivery>> {
        self.links.get_mut(idx)?.incoming()?.current.take()
    }
}

/// Gives up the delivery in progress because the link is lost.
pub(super) fn lose_current(link: &mut PortLink) {
    let Some(current) = link.incoming().and_then(|l| l.current.take()) else { return };
    if let Phase::Streaming { stream, .. } = current.phase {
        stream.abort();
    }
}

/// The core's id as the engine's token.
pub(super) const fn pack(id: InId) -> u64 {
    id.to_bits()
}

/// The core's id in the engine's token.
pub(super) const fn unpack(token: u64) -> InId {
    InId::from_bits(token)
}

/// Looks at the first sections as far as routing needs them (spec `amqp-endpoint.md` 11, steps 4 to 10).
fn scan_head(scanner: &mut SectionScanner, chunks: &[Bytes], reading: Reading<'_>) -> Look {
    let Reading { complete, anonymous, annotated, logged, policed } = reading;
    let has_properties = anonymous || policed.is_some();
    let depth = logged.depth(if has_properties { Depth::Properties } else { Depth::RouterAnnotations });
    let map = match scanner.scan(chunks, complete, depth) {
        ScanResult::Ok(map) => map,
        ScanResult::Incomplete => return Ok(None),
        ScanResult::Invalid(_) => return Err(invalid_message()),
    };
    if let Some(policed) = policed.filter(|policed| policed.checks_user_ids()) {
        // What cannot be read here others may read.
        if scanner.ends_opaquely() && map.properties.is_none() {
            return Err(invalid_message());
        }
        let value = map.properties.map(|section| section.value(chunks));
        let user_id = value.as_ref().map_or(Ok(None), |value| PropertiesView::new(value).user_id());
        if !user_id.is_ok_and(|id| policed.is_own_user_id(id)) {
            return Err(refusal("amqp:unauthorized-access", "user_id proxy violation"));
        }
    }
    let annotations = match map.router_annotations.filter(|_| annotated) {
        None => Annotations::default(),
        Some(section) => match Annotations::parse(&section.value(chunks)) {
            Ok(annotations) => annotations,
            Err(error) => return Err(refusal("amqp:invalid-field", error)),
        },
    };
    let to = if anonymous { annotations.to_override.clone().or_else(|| properties_to(&map, chunks)) } else { None };
    if anonymous && to.is_none() {
        return Err(refusal("amqp:precondition-failed", "Routing failure: no address present"));
    }
    if let (Some(policed), Some(to)) = (policed, &to)
        && !policed.admits_target(to)
    {
        return Err(refusal("amqp:unauthorized-access", "policy violation on target"));
    }
    // The header is not needed for anything but the priority: one that is damaged has none.
    let header = match map.header {
        Some(header) => Some(header),
        None if has_properties || !logged.is_empty() => None,
        None => match scanner.scan(chunks, complete, Depth::Header) {
            ScanResult::Ok(map) => map.header,
            ScanResult::Incomplete => return Ok(None),
            ScanResult::Invalid(_) => None,
        },
    };
    let priority = header.map_or(header::DEFAULT_PRIORITY, |h| header::priority(&h.value(chunks)));
    let strip = map.router_annotations.map_or(0, |section| section.end);
    Ok(Some(Head { annotations, to, priority, strip }))
}

fn properties_to(map: &SectionMap, chunks: &[Bytes]) -> Option<Bytes> {
    let value = map.properties?.value(chunks);
    let to = PropertiesView::new(&value).to()?;
    Some(value.slice_ref(to.as_bytes()))
}

fn refusal(condition: &'static str, description: impl ToString) -> Refusal {
    Refusal { condition, description: description.to_string() }
}

fn invalid_message() -> Refusal {
    refusal("amqp:decode-error", "invalid message format")
}

/// What refuses a routing protocol message, which is also logged: its sender looks at no outcome.
fn oversize_control(conn: ConnId) -> Refusal {
    crate::log!(
        LogModule::Router,
        Level::Error,
        conn = conn,
        "Received a routing message of more than {CONTROL_MAX} octets"
    );
    refusal("amqp:link:message-size-exceeded", "routing protocol message too large")
}

fn rejected(refusal: Refusal) -> DeliveryState {
    DeliveryState::rejected(refusal.condition, refusal.description)
}

/// Whether a delivery of which so many octets are held is forwarded before it is complete.
const fn cuts_through(when: CutThrough, marked: bool, held: usize) -> bool {
    match when {
        CutThrough::Large => marked || held >= HOLD_MAX,
        CutThrough::Always => true,
        CutThrough::Never => false,
    }
}

/// Drops the first `n` octets.
fn strip(mut chunks: Vec<Bytes>, mut n: usize) -> Vec<Bytes> {
    let mut whole = 0;
    for chunk in &mut chunks {
        if n < chunk.len() {
            let _ = chunk.split_to(n);
            break;
        }
        n -= chunk.len();
        whole += 1;
    }
    chunks.drain(..whole);
    chunks
}

fn many(mut chunks: Vec<Bytes>) -> Payload {
    if chunks.len() == 1
        && let Some(only) = chunks.pop()
    {
        return Payload::One(only);
    }
    Payload::Many(chunks.into())
}
