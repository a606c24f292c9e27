//! A flow of a service without its transport: a pair of streams over the mesh, one each way.
//!
//! The requester (a client that a listener accepted) sends the request stream to a service address and reads its client
//! once the reply stream has come. The responder (a server that a connector opened) consumes the request, and sends the
//! reply to the request's reply-to. To both, one stream is [`sending`] and the other [`receiving`]:
//!
//! ```text
//!  transport --read--> sending   --stream--> (mesh)      window: stop at WINDOW unreported octets, or what is granted
//!  transport <-write-- receiving <-stream--- (mesh)      window: report every REPORT_EVERY octets
//!
//!  Sending:    Held --reply came--> Open <--full, room--> Full
//!              Open, Full --end of input--> Finished
//!              Held, Open, Full --anything else--> Aborted
//!
//!  Receiving:  Head --head read--> Open --stream complete--> Rest --all written--> Done, accepted
//!              Open, Rest --transport takes no more--> Broken, modified
//!
//!  Phase:      Open --both directions at their end--> over, in good order
//!              Open --a request failed that nobody had a part of--> Waiting --sent again--> Open
//!              Open --a stream failed at its far end--> Draining --all written--> over, by a reset
//!              Open, Draining, Waiting --transport failed, told to close--> Cut, over by a reset
//!              Waiting --its time is over--> Cut
//!              over --leave--> Left
//! ```
//!
//! Only a stream whose producer saw its peer's end is finished, and ends the transport at the other side in the same
//! way: an end that TLS did not vouch for ([`Finish::Bare`]) is carried as such. Whatever else stops it, its delivery is aborted, and the transport that it is written to is reset: nobody may
//! take a part for the whole. Once an octet was read from the client, who can tell whether it has reached a server? Such
//! a request is never sent again ([`resend`]).

mod grant;
pub mod head;
mod origin;
mod pool;
mod receiving;
mod resend;
mod sending;
#[cfg(test)]
mod tests;
mod transport;
mod window;

pub use origin::Origin;
pub use receiving::{Request, consume, on_data, takes_grants};
pub use transport::{Read, Transport, WriteError};
pub use window::{REPORT_EVERY, ReceiveWindow, SendWindow, WINDOW};

use crate::core::Accepted;
use crate::log::{Level, LogModule};
use crate::port::local::{Attach, Attached, Connection};
use crate::stream::Finish;
use crate::vanflow::Meter;
use crate::{Action, ConnId, Effect, LinkId, Router, Side};
use amqp_core::Instant;
use amqp_core::performative::DeliveryState;
use bytes::Bytes;
use head::{HeadError, RequestHead};
use receiving::{Pulled, Receiving, ReceivingState};
use resend::{Resend, Turn};
use sending::{Sending, SendingState};
use smallvec::SmallVec;
use std::io::IoSlice;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Reads before the other direction gets its turn.
const READS: usize = 4;
/// Slices handed to one write.
const SLICES: usize = 16;
/// Mailbox key: the stream that is sent has room again.
const ROOM: u64 = 0;
/// Mailbox key: the stream that is received has octets.
const DATA: u64 = 1;
/// Mailbox key: who consumes the address of a request that is to be sent again.
const WATCH: u64 = 2;
/// Mailbox key: others need what the stream that is received holds of the memory for wide windows.
const WIDE: u64 = 3;

/// Mailbox key: the flow is given up, as it carries nothing. Whoever says so posts [`Effect::Close`] a little later.
pub const GIVE_UP: u64 = 4;

/// Names of a requester's links.
const REQUEST_LINK: &str = "tcp.lside.in";
const REPLY_LINK: &str = "tcp.lside.out";

/// Why an exchange does not end in good order, where that is not its transport's doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// What it sent has reached nobody.
    Unreachable,
    /// It was told to close.
    Closed,
}

/// Which end of a service an exchange is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The client's: it sends the request.
    Requester,
    /// The server's: it sends the reply.
    Responder,
}

/// How an exchange is going to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Each direction by the end of its stream.
    Open,
    /// Not before its request was sent again, or was given up.
    Waiting,
    /// By a reset of the transport, once what is on its way to it was written.
    Draining,
    /// By a reset now.
    Cut,
    /// It has left the core.
    Left,
}

/// The two streams of a flow. See the module documentation. Dropped before it has left, it breaks off what it sends, and
/// what it receives has failed.
#[derive(Debug)]
pub struct Exchange {
    role: Role,
    connection: Connection,
    phase: Phase,
    /// The transport takes and gives no octets yet.
    connecting: bool,
    sending: Sending,
    receiving: Receiving,
    /// Of a requester.
    resend: Option<Resend>,
    actions: Vec<Action>,
    /// Where octets are counted, when somebody collects that.
    octets: Option<Arc<Meter>>,
    failure: Option<Failure>,
    /// Of a requester whose reply has come: where it is from, until that is asked for.
    origin: Option<Origin>,
}

/// Why reading stopped.
enum ReadEnd {
    /// It was enough for now.
    Enough,
    /// There is no more for now.
    Empty,
    /// The peer has ended its sending half, and how.
    End(Finish),
    Failed,
}

/// Octets that the wide windows of all flows of this process have taken of its memory.
#[must_use]
pub fn wide_windows() -> u64 {
    pool::POOL.taken()
}

/// The outcome of a stream whose transport is gone or never was.
#[must_use]
pub fn modified() -> DeliveryState {
    DeliveryState::failed()
}

// === impl Exchange: beginning and end ===

impl Exchange {
    /// The client's end, which sends a request with the first [`Self::submit`]. `opened` is what the core is told first.
    /// None when the core refuses the links.
    #[must_use]
    pub fn requester(mut connection: Connection, head: RequestHead, opened: Action, now: Instant) -> Option<Self> {
        let mut actions = vec![opened];
        let links = [Attach::sender(REQUEST_LINK, &head.to), Attach::dynamic_receiver(REPLY_LINK)];
        let [Ok(request), Ok(Attached { link: reply, source: Some(reply_to) })] =
            connection.attach(&mut actions, links, now)
        else {
            return None;
        };
        let octets = head::client_head(&head, &reply_to);
        let sending = Sending::new(octets, connection.mailbox(), SendingState::Held);
        let mut exchange = Self::new(Role::Requester, connection, sending, Receiving::awaited());
        exchange.actions = actions;
        exchange.actions.push(exchange.sending.deliver(request.link, None));
        exchange.resend = Some(Resend::new(head, request.link, reply));
        Some(exchange)
    }

    /// The server's end of a request whose head was read; `head` begins the reply.
    #[must_use]
    pub fn responder(connection: Connection, head: Bytes, request: Request) -> Self {
        let sending = Sending::new(head, connection.mailbox(), SendingState::Open);
        Self::new(Role::Responder, connection, sending, Receiving::begun(request))
    }

    fn new(role: Role, connection: Connection, sending: Sending, receiving: Receiving) -> Self {
        Self {
            role,
            connection,
            phase: Phase::Open,
            connecting: false,
            sending,
            receiving,
            resend: None,
            actions: Vec::new(),
            octets: None,
            failure: None,
            origin: None,
        }
    }

    /// Sends the reply on an anonymous link of the connection. `effects` are what the core told of the connection so far.
    pub fn start(&mut self, link: LinkId, reply_to: String, effects: Vec<Effect>) {
        self.actions.push(self.sending.deliver(link, Some(reply_to)));
        for effect in effects {
            self.on_effect(effect);
        }
    }

    /// Counts octets there too.
    pub fn count_octets(&mut self, meter: Arc<Meter>) {
        self.octets = Some(meter);
    }

    /// Adds something to tell the core of the connection.
    pub fn tell(&mut self, action: Action) {
        self.actions.push(action);
    }

    /// Tells the core what there is to tell. The exchange's own share is told at its ends and once in a window of octets.
    pub fn submit(&mut self, now: impl FnOnce() -> Instant) {
        if self.actions.is_empty() && !self.receiving.is_report_due() {
            return;
        }
        let now = now();
        self.receiving.report(now, self.connection.mailbox(), &mut self.actions);
        // Both lists go: there is rarely something in them.
        let (mut actions, mut accepted) = (std::mem::take(&mut self.actions), Vec::<Accepted>::new());
        self.connection.submit(&mut actions, &mut accepted, now);
        if let Some(accepted) = accepted.first() {
            self.sending.delivery = Some(accepted.id);
        }
    }

    /// Ends both streams as they stand (spec `tcp-adaptor.md` 8.4) and leaves the core.
    pub fn leave(&mut self) {
        self.phase = Phase::Left;
        self.end_sending(SendingState::Aborted);
        if !self.receiving.is_done() {
            self.receiving.finish(modified(), &mut self.actions);
        }
        self.actions.push(Action::Closed);
    }

    /// The transport has failed.
    pub fn cut(&mut self) {
        if self.phase != Phase::Left {
            self.phase = Phase::Cut;
        }
    }

    /// The flow ends here, as if it had been told to close. A request that brought nothing would be sent again for that, to
    /// the same end: its sender is told first that it is refused, and breaks off itself.
    fn give_up(&mut self) {
        self.failure.get_or_insert(Failure::Closed);
        let may_be_sent_again = self.role == Role::Responder && self.octets() == (0, 0);
        if !(may_be_sent_again && self.receiving.refuse(&mut self.actions)) {
            self.cut();
        }
    }

    /// One of the streams has failed at its far end, so the other is of no use either. What is on its way to the
    /// transport may be all that the far end had to say.
    fn refuse(&mut self) {
        if self.phase != Phase::Open {
            return;
        }
        self.end_sending(SendingState::Aborted);
        self.phase = if self.connecting || self.receiving.brings_nothing() { Phase::Cut } else { Phase::Draining };
    }

    fn end_sending(&mut self, end: SendingState) {
        self.sending.end(end, &mut self.actions);
    }
}

// === impl Exchange: sending a request again ===

impl Exchange {
    /// One of the streams has failed at its far end. True: nobody had a part of the flow yet, so it goes on with another
    /// attempt.
    fn withdraw(&mut self) -> bool {
        if self.router().stream_retry().is_zero() || self.resend.is_none() {
            return false;
        }
        let Some(answered) = self.untouched() else { return false };
        let Some(resend) = self.resend.as_mut().filter(|resend| resend.may_fail(answered)) else { return false };
        let reply = resend.on_failure(answered);
        self.phase = Phase::Waiting;
        self.end_sending(SendingState::Aborted);
        std::mem::replace(&mut self.receiving, Receiving::awaited()).finish(modified(), &mut self.actions);
        self.actions.extend(reply.map(|link| Action::Detached { link, error: None, unsent: Vec::new() }));
        true
    }

    /// Whether nothing has passed in either direction; then, whether a server has answered.
    fn untouched(&mut self) -> Option<bool> {
        if self.phase != Phase::Open || !self.sending.is_unread() {
            return None;
        }
        // What is here is for the client, and may be all that the server had to say.
        if self.receiving.is_hungry() && self.receiving.pull().is_err() {
            return None;
        }
        self.receiving.is_untouched().then_some(self.receiving.state == ReceivingState::Open)
    }

    /// Sends the request again if it is time, or gives up. Returns when to be asked again while [`Phase::Waiting`], if
    /// there is no mail before.
    pub fn resend(&mut self, now: Instant) -> Option<Instant> {
        let limit = self.connection.router().stream_retry();
        let resend = self.resend.as_mut().filter(|_| self.phase == Phase::Waiting)?;
        match resend.turn(&self.connection, limit, now) {
            Turn::Wait(until) => return Some(until),
            Turn::Send if self.send_again(now).is_some() => self.phase = Phase::Open,
            Turn::Send | Turn::GiveUp => {
                self.failure = Some(Failure::Unreachable);
                self.phase = Phase::Cut;
            }
        }
        None
    }

    /// None when the core refuses another reply address.
    fn send_again(&mut self, now: Instant) -> Option<()> {
        let resend = self.resend.as_mut()?;
        let [reply] = self.connection.attach(&mut self.actions, [Attach::dynamic_receiver(REPLY_LINK)], now);
        let Attached { link, source } = reply.ok()?;
        resend.reply = Some(link);
        let head = head::client_head(&resend.head, &source?);
        self.sending.replace(head, self.connection.mailbox());
        self.receiving = Receiving::awaited();
        self.actions.push(self.sending.deliver(resend.into, None));
        let text = "Client stream failed before it reached a server: sent again";
        crate::log!(LogModule::TcpAdaptor, Level::Debug, conn = self.connection.id(), "{text}");
        Some(())
    }
}

// === impl Exchange: state ===

impl Exchange {
    /// Which end it is.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Its connection in the core.
    #[must_use]
    pub const fn id(&self) -> ConnId {
        self.connection.id()
    }

    /// The router that it belongs to.
    #[must_use]
    pub fn router(&self) -> &Router {
        self.connection.router()
    }

    /// How it is going to end.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// The transport is still on its way to its peer (or is ready now): nothing is read from it or written to it.
    pub const fn set_connecting(&mut self, connecting: bool) {
        self.connecting = connecting;
    }

    /// Whether the transport is still on its way to its peer.
    #[must_use]
    pub const fn is_connecting(&self) -> bool {
        self.connecting
    }

    /// Whether it is time to leave.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let both_ended = self.sending.is_ended() && self.receiving.is_done();
        self.phase == Phase::Cut || (self.phase == Phase::Open && both_ended)
    }

    /// Whether nothing is left to write to a transport that will be reset.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.phase == Phase::Draining && self.receiving.is_done()
    }

    /// Whether both streams are complete and only the end of the transport's sending half is missing.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        let written = self.receiving.state == ReceivingState::Rest && self.receiving.pending.is_empty();
        self.phase == Phase::Open && self.sending.is_ended() && written
    }

    /// Whether one direction has ended and the other has not.
    #[must_use]
    pub fn is_half_closed(&self) -> bool {
        self.sending.is_ended() != self.receiving.is_done()
    }

    /// Whether a reset must be looked out for, as nothing is read that would tell of it. What a server has sent before
    /// its reset is still to be read, when there is room.
    #[must_use]
    pub fn watches_for_reset(&self) -> bool {
        let reply_waits = self.role == Role::Responder && !self.sending.is_ended();
        !(self.connecting || self.sending.reads() || reply_waits || self.is_broken())
    }

    /// Whether the transport takes nothing more.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.receiving.state == ReceivingState::Broken
    }

    /// Why it does not end in good order, if that is known.
    #[must_use]
    pub const fn failure(&self) -> Option<Failure> {
        self.failure
    }

    /// Where the reply to a requester has come from, once for each reply.
    pub const fn take_origin(&mut self) -> Option<Origin> {
        self.origin.take()
    }

    /// Octets read from the transport and written to it.
    #[must_use]
    pub const fn octets(&self) -> (u64, u64) {
        (self.sending.window.produced(), self.receiving.window.written())
    }
}

// === impl Exchange: what the core tells ===

impl Exchange {
    /// Takes what the core and the streams tell.
    pub fn take_mail(&mut self) {
        let (mut effects, mut ready) = (Vec::new(), Vec::new());
        if !self.connection.mailbox().take(&mut effects, &mut ready) {
            return;
        }
        for key in ready {
            match key {
                ROOM => self.sending.on_room(),
                DATA => self.receiving.dry = false,
                WIDE => self.receiving.on_visit(),
                GIVE_UP => self.give_up(),
                _ => {}
            }
        }
        for effect in effects {
            self.on_effect(effect);
        }
    }

    /// Goes to sleep until the core or a stream tells something. False: it has already.
    pub fn park(&self, waker: &Waker) -> bool {
        self.connection.mailbox().park(waker)
    }

    fn on_effect(&mut self, effect: Effect) {
        match effect {
            Effect::Push(push) if self.receiving.delivery.is_some() => {
                let delivery = Side::Out(push.id);
                self.actions.push(Action::Update { delivery, state: Some(DeliveryState::Released), settled: true });
            }
            // An answer to a request that was given up; its link was detached meanwhile.
            Effect::Push(push) if self.resend.as_ref().is_some_and(|resend| resend.reply != Some(push.link)) => {}
            Effect::Push(mut push) => {
                self.receiving.delivery = Some(push.id);
                self.receiving.wide = takes_grants(&push.annotations);
                self.origin = Some(Origin::of(&push.annotations, push.from_kind));
                self.receiving.reader = Some(push.take_reader(on_data(self.connection.mailbox())));
            }
            Effect::UpdateIn { token, state, settled, .. } if token == self.sending.token => {
                self.on_receiver_update(state, settled);
            }
            // Somebody else may have sent a message here, which was released, and speak of that.
            Effect::UpdateOut { id, .. } | Effect::AbortOut { id, .. } if self.receiving.delivery != Some(id) => {}
            Effect::UpdateOut { settled: true, .. } => self.receiving.settled = true,
            Effect::Weigh => self.connection.mailbox().set_load(self.receiving.weight()),
            Effect::AbortOut { .. } if self.withdraw() => {}
            Effect::AbortOut { .. } => self.cut(),
            Effect::Close { .. } => {
                self.failure.get_or_insert(Failure::Closed);
                self.cut();
            }
            Effect::Watch { counts, .. } => self.resend.iter_mut().for_each(|resend| resend.on_watch(counts)),
            _ => {}
        }
    }

    /// The far end reports on the stream that is sent.
    fn on_receiver_update(&mut self, state: Option<DeliveryState>, settled: bool) {
        match state {
            Some(DeliveryState::Received { section_number, section_offset }) => {
                self.sending.window.on_report(section_offset, section_number);
            }
            Some(DeliveryState::Accepted) | None => {}
            // A request that has been sent to its end is done with; the reply may still be coming.
            Some(_) if self.sending.is_ended() && self.role == Role::Requester => {}
            // What was understood, and refused, is no better elsewhere.
            Some(state) if matches!(state, DeliveryState::Rejected(_)) || !self.withdraw() => {
                // A client whose reply has reached nobody sends nothing: there is nothing to wait for.
                if state == DeliveryState::Released && self.role == Role::Responder && self.phase == Phase::Open {
                    self.receiving.tell_failure(&mut self.actions);
                }
                self.failure.get_or_insert(Failure::Unreachable);
                self.refuse();
            }
            Some(_) => {}
        }
        if settled {
            self.sending.window.lift();
        }
    }
}

// === impl Exchange: copying ===

impl Exchange {
    /// Does what can be done in both directions. True: there may be more to do right away.
    pub fn copy<T: Transport>(&mut self, cx: &mut Context<'_>, transport: &mut T) -> bool {
        let mut busy = false;
        if self.phase != Phase::Cut && !self.connecting {
            busy |= self.read(cx, transport);
        }
        if self.phase != Phase::Cut {
            busy |= self.write(cx, transport);
        }
        busy
    }

    /// Reads the transport into the stream that is sent. True: there may be more to read right away.
    fn read<T: Transport>(&mut self, cx: &mut Context<'_>, transport: &mut T) -> bool {
        if !self.sending.reads() {
            return false;
        }
        // The stream is told once: its reader, woken by less, would write in smaller pieces.
        let mut read = SmallVec::<[Bytes; READS]>::new();
        let end = self.read_some(cx, transport, &mut read);
        if !read.is_empty() {
            self.sending.push(read);
            if let Some(octets) = &self.octets {
                octets.set_read(self.sending.window.produced());
            }
        }
        match end {
            ReadEnd::Enough => self.sending.reads(),
            ReadEnd::Empty => false,
            ReadEnd::End(finish) => {
                self.end_sending(SendingState::Finished(finish));
                false
            }
            ReadEnd::Failed => {
                self.cut();
                true
            }
        }
    }

    fn read_some<T: Transport>(
        &mut self,
        cx: &mut Context<'_>,
        transport: &mut T,
        read: &mut SmallVec<[Bytes; READS]>,
    ) -> ReadEnd {
        let window = &mut self.sending.window;
        while read.len() < READS && !window.is_closed() {
            match transport.poll_read(cx) {
                Poll::Pending => return ReadEnd::Empty,
                Poll::Ready(Read::Data(data)) => {
                    window.produce(data.len());
                    read.push(data);
                }
                Poll::Ready(Read::End(finish)) => return ReadEnd::End(finish),
                Poll::Ready(Read::Failed) => return ReadEnd::Failed,
            }
        }
        ReadEnd::Enough
    }

    /// Writes the stream that is received to the transport. True: something was done.
    fn write<T: Transport>(&mut self, cx: &mut Context<'_>, transport: &mut T) -> bool {
        if self.receiving.is_done() {
            return false;
        }
        let pulled = self.receiving.is_hungry() && self.pull();
        if self.receiving.state == ReceivingState::Head || self.phase == Phase::Cut || self.connecting {
            return pulled;
        }
        if !self.receiving.pending.is_empty() {
            return self.write_pending(cx, transport) || pulled;
        }
        if transport.wants_flush() {
            match transport.poll_flush(cx) {
                Poll::Pending => return pulled,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    self.on_write_error(error);
                    return true;
                }
            }
        }
        if self.receiving.state == ReceivingState::Rest {
            return self.end_writing(cx, transport) || pulled;
        }
        pulled
    }

    /// Moves what the stream holds to what is to be written, without the head. True: something came.
    fn pull(&mut self) -> bool {
        match self.receiving.pull() {
            Ok(Pulled::Nothing) => return false,
            Ok(Pulled::Octets) if self.receiving.state == ReceivingState::Head => {}
            Ok(Pulled::Octets) => self.on_reply(),
            Ok(Pulled::Aborted) => self.on_receiving_aborted(),
            Err(error) => {
                if error == HeadError::WrongEncapsulation {
                    crate::log!(LogModule::TcpAdaptor, Level::Error, conn = self.connection.id(), "{error}");
                }
                self.receiving.finish(DeliveryState::Rejected(None), &mut self.actions);
                self.cut();
            }
        }
        true
    }

    /// Octets have come, and with the first of them the head of the reply.
    fn on_reply(&mut self) {
        if self.sending.release() {
            self.resend.iter_mut().for_each(Resend::on_reply);
        }
    }

    fn on_receiving_aborted(&mut self) {
        if self.withdraw() {
            return;
        }
        if self.receiving.state == ReceivingState::Head {
            return self.cut();
        }
        self.receiving.state = ReceivingState::Rest;
        self.refuse();
    }

    fn write_pending<T: Transport>(&mut self, cx: &mut Context<'_>, transport: &mut T) -> bool {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let pending = self.receiving.pending.iter();
        let count = pending.zip(&mut slices).map(|(data, slice)| *slice = IoSlice::new(data)).count();
        match transport.poll_write(cx, &slices[..count]) {
            Poll::Pending => return false,
            Poll::Ready(Ok(octets)) => {
                self.receiving.on_written(octets);
                if let Some(octets) = &self.octets {
                    octets.set_written(self.receiving.window.written());
                }
            }
            Poll::Ready(Err(error)) => self.on_write_error(error),
        }
        true
    }

    /// Everything was written: ends the transport's sending half as the stream ended. True: something was done.
    fn end_writing<T: Transport>(&mut self, cx: &mut Context<'_>, transport: &mut T) -> bool {
        let outcome = if self.phase == Phase::Open {
            if transport.poll_shutdown(cx, self.receiving.finish, self.sending.is_ended()).is_pending() {
                return false;
            }
            DeliveryState::Accepted
        } else {
            modified()
        };
        self.receiving.finish(outcome, &mut self.actions);
        true
    }

    fn on_write_error(&mut self, error: WriteError) {
        match error {
            // What the peer has sent before, to its end maybe, is still to be read.
            WriteError::Broken if !self.sending.is_ended() => self.receiving.break_off(&mut self.actions),
            WriteError::Broken | WriteError::Failed => self.cut(),
        }
    }
}
