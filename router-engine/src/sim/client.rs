//! An AMQP client made of an engine and a plan.

use super::ledger::{Ledger, Outcome};
use crate::rng::SplitMix64;
use amqp_core::Instant;
use amqp_core::engine::{AttachAnswer, AttachParams};
use amqp_core::engine::{
    Config, Connection, DeliveryKey, Event, Incoming, LinkKey, Outgoing, SaslConfig, Sent, SessionKey, Status, Update,
};
use amqp_core::performative::{Open, Role, Source, Target};
use amqp_core::value::Symbol;
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// What a client has on a connection.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Its links; they are attached again after each loss of the connection.
    pub links: Vec<LinkSpec>,
}

/// One link of a client.
#[derive(Debug, Clone)]
pub enum LinkSpec {
    /// Sends to one address, or to any address when `None`.
    Sender(Option<String>),
    /// Sends to an address what is to be sent to somebody else when it is released.
    ResendSender(String),
    /// Receives from an address.
    Receiver {
        /// The address.
        address: String,
        /// Credit that is kept up.
        window: u32,
        /// Answers anything but accepted now and then.
        moody: bool,
        /// Longest time from arrival to answer.
        think: Duration,
    },
}

/// A client. Its connection comes and goes; its plan stays.
#[derive(Debug)]
pub(super) struct Client {
    index: usize,
    /// The router it connects to.
    pub(super) router: usize,
    pub(super) plan: Plan,
    pub(super) engine: Option<Connection>,
    session: Option<SessionKey>,
    links: Vec<Live>,
    /// Answers that are due later.
    due: Vec<Due>,
    /// Grants no credit and answers nothing.
    pub(super) stalled: bool,
    /// It closed for good.
    pub(super) retired: bool,
    /// It was told to close, or the network broke its connection.
    pub(super) disturbed: bool,
    rng: SplitMix64,
}

/// The state of a link.
#[derive(Debug, Default)]
struct Live {
    key: Option<LinkKey>,
    /// Messages to send, and the octets left of the one in progress.
    queue: VecDeque<u64>,
    current: Option<(u64, VecDeque<Bytes>)>,
    /// Unsettled messages.
    open: Vec<u64>,
    /// Deliveries that are arriving.
    partial: HashMap<DeliveryKey, Vec<u8>>,
    /// Credit that the peer has.
    credit: u32,
}

#[derive(Debug)]
struct Due {
    at: Instant,
    link: usize,
    delivery: DeliveryKey,
    id: u64,
    verdict: Outcome,
}

// === impl Client ===

impl Client {
    pub(super) fn new(index: usize, router: usize, plan: Plan, seed: u64) -> Self {
        Self {
            index,
            router,
            plan,
            engine: None,
            session: None,
            links: Vec::new(),
            due: Vec::new(),
            stalled: false,
            retired: false,
            disturbed: false,
            rng: SplitMix64::new(seed),
        }
    }

    /// Begins a new connection; the octets are in the engine's output.
    pub(super) fn connect(&mut self) {
        let sasl =
            SaslConfig::Client { mechanisms: None, username: None, password: None, external: false, hostname: None };
        let mut engine = Connection::new(Config { sasl, session_window: 64, ..Config::default() });
        engine.open(Open { container_id: format!("client{}", self.index), ..Open::default() });
        self.engine = Some(engine);
        self.session = None;
        let queues = std::mem::take(&mut self.links).into_iter().map(|live| live.queue);
        self.links = queues.map(|queue| Live { queue, ..Live::default() }).collect();
        self.links.resize_with(self.plan.links.len(), Live::default);
    }

    /// The transport is gone.
    pub(super) fn disconnected(&mut self, ledger: &mut Ledger) {
        if let Some(mut engine) = self.engine.take() {
            engine.transport_closed();
        }
        self.due.clear();
        for link in 0..self.links.len() {
            self.link_lost(link, ledger);
        }
    }

    /// Queues a message for a sending link.
    pub(super) fn enqueue(&mut self, link: usize, id: u64) {
        if let Some(live) = self.links.get_mut(link) {
            live.queue.push_back(id);
        }
    }

    /// Messages that were not sent yet are forgotten.
    pub(super) fn drop_queues(&mut self) {
        self.links.iter_mut().for_each(|live| live.queue.clear());
    }

    /// Whether messages were begun that have no outcome yet.
    pub(super) fn is_busy(&self) -> bool {
        self.links.iter().any(|live| live.current.is_some() || !live.open.is_empty()) || !self.due.is_empty()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let engine = self.engine.as_ref().and_then(Connection::poll_timeout);
        let due = self.due.iter().filter(|_| !self.stalled).map(|d| d.at).min();
        [engine, due].into_iter().flatten().min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let Some(engine) = &mut self.engine {
            engine.handle_timeout(now);
        }
    }

    /// Does everything that can be done now. Returns false when the connection is at its end.
    pub(super) fn turn(&mut self, ledger: &mut Ledger, now: Instant) -> bool {
        while let Some(event) = self.engine.as_mut().and_then(|e| e.poll_event(now)) {
            self.on_event(event, ledger, now);
        }
        self.attach_links();
        self.answer(ledger, now);
        for link in 0..if self.retired { 0 } else { self.links.len() } {
            self.grant(link);
            self.send(link, ledger);
        }
        let Some(engine) = &mut self.engine else { return false };
        engine.flush(now);
        engine.status() == Status::Running
    }

    /// Closes the connection in good order and for good.
    pub(super) fn close(&mut self) {
        self.retired = true;
        self.disturbed = true;
        self.stalled = false;
        if let Some(engine) = &mut self.engine {
            engine.close(None);
        }
    }

    fn on_event(&mut self, event: Event, ledger: &mut Ledger, now: Instant) {
        match event {
            Event::Attach { link, .. } => {
                // The router attaches links of its own only to routers and containers that ask for it.
                ledger.faults.push(format!("client {} was attached a link", self.index));
                if let Some(engine) = &mut self.engine {
                    engine.answer_attach(link, AttachAnswer { source: None, target: None });
                }
            }
            Event::Transfer(transfer) => self.on_transfer(transfer, ledger, now),
            Event::Update(update) => self.on_update(update, ledger),
            Event::Detached { link, error } => {
                if let Some(index) = self.links.iter().position(|l| l.key == Some(link)) {
                    if !self.disturbed {
                        ledger.faults.push(format!("client {}: link {index} was detached: {error:?}", self.index));
                    }
                    self.link_lost(index, ledger);
                }
            }
            Event::Failed(violation) if !self.disturbed => {
                ledger.faults.push(format!("client {}: {violation}", self.index));
            }
            Event::Closed { error } if !self.disturbed => {
                ledger.faults.push(format!("client {} was closed: {error:?}", self.index));
            }
            _ => {}
        }
    }

    fn on_transfer(&mut self, transfer: Incoming, ledger: &mut Ledger, now: Instant) {
        let Some(link) = self.links.iter().position(|l| l.key == Some(transfer.link)) else { return };
        let live = &mut self.links[link];
        if transfer.first {
            live.credit = live.credit.saturating_sub(1);
        }
        if transfer.aborted {
            live.partial.remove(&transfer.delivery);
            return;
        }
        live.partial.entry(transfer.delivery).or_default().extend_from_slice(&transfer.payload);
        if transfer.more {
            return;
        }
        let octets = live.partial.remove(&transfer.delivery).unwrap_or_default();
        let Some(id) = ledger.arrived(&octets, (self.index, link)) else { return };
        let LinkSpec::Receiver { moody, think, .. } = self.plan.links[link] else { return };
        let probe = ledger.records()[id as usize].probe;
        let verdict = match self.rng.below(20) {
            0 if moody && !probe => Outcome::Rejected,
            1 if moody && !probe => Outcome::Released,
            2 if moody && !probe => Outcome::Modified,
            _ => Outcome::Accepted,
        };
        if transfer.settled {
            ledger.answered(id, (self.index, link), Outcome::Accepted);
            return;
        }
        let wait = Duration::from_micros(self.rng.below(u64::try_from(think.as_micros()).unwrap_or(0) + 1));
        self.due.push(Due { at: now + wait, link, delivery: transfer.delivery, id, verdict });
    }

    fn on_update(&mut self, update: Update, ledger: &mut Ledger) {
        if update.incoming {
            // Settled by the router before we answered: the delivery ended otherwise.
            if update.settled {
                if let Some(engine) = &mut self.engine {
                    engine.forget_in(update.delivery);
                }
                self.due.retain(|d| d.delivery != update.delivery);
            }
            return;
        }
        let Some(id) = update.token else { return };
        let outcome = update.state.as_ref().and_then(Outcome::of);
        if outcome.is_none() && !update.settled {
            return;
        }
        ledger.ended(id, outcome);
        let Some(live) = self.links.iter_mut().find(|l| l.key == Some(update.link)) else { return };
        live.open.retain(|open| *open != id);
        if live.current.as_ref().is_some_and(|(current, _)| *current == id) {
            // Settled half way: the rest goes nowhere, so it is not worth sending.
            live.current = None;
            if let Some(engine) = &mut self.engine {
                engine.abort(update.link);
            }
        }
        if !update.settled
            && let Some(engine) = &mut self.engine
        {
            engine.update_out(update.link, id, None, true);
        }
    }

    fn attach_links(&mut self) {
        let Some(engine) = self.engine.as_mut().filter(|e| e.is_open()) else { return };
        if self.session.is_some() || self.disturbed {
            return;
        }
        let Some(session) = engine.begin_session() else { return };
        self.session = Some(session);
        for (index, (spec, live)) in self.plan.links.iter().zip(&mut self.links).enumerate() {
            let (mut source, mut target) = (Source::default(), Target::default());
            let role = match spec {
                LinkSpec::Sender(address) => {
                    target.address.clone_from(address);
                    Role::Sender
                }
                LinkSpec::ResendSender(address) => {
                    target.address = Some(address.clone());
                    target.capabilities = vec![Symbol::from_static("qd.resend-released")];
                    Role::Sender
                }
                LinkSpec::Receiver { address, .. } => {
                    source.address = Some(address.clone());
                    Role::Receiver
                }
            };
            let (source, target) = (Some(Box::new(source)), Some(Box::new(target)));
            let params = AttachParams { name: format!("link{index}"), role, source, target, snd_settle_mode: 2 };
            live.key = engine.attach(session, params);
        }
    }

    /// Gives the answers that are due.
    fn answer(&mut self, ledger: &mut Ledger, now: Instant) {
        let Some(engine) = self.engine.as_mut().filter(|_| !self.stalled) else { return };
        for Due { link, delivery, id, verdict, .. } in self.due.extract_if(.., |d| d.at <= now) {
            engine.update_in(delivery, Some(verdict.state()), true);
            ledger.answered(id, (self.index, link), verdict);
        }
    }

    /// Keeps up the credit of a receiving link; what waits for an answer counts as used.
    fn grant(&mut self, link: usize) {
        let (Some(engine), LinkSpec::Receiver { window, .. }) = (&mut self.engine, &self.plan.links[link]) else {
            return;
        };
        let unanswered = self.due.iter().filter(|d| d.link == link).count();
        let live = &mut self.links[link];
        let Some(key) = live.key.filter(|key| engine.is_attached(*key) && !self.stalled) else { return };
        let used = live.credit as usize + unanswered + live.partial.len();
        let missing = (*window as usize).saturating_sub(used) as u32;
        live.credit += missing;
        engine.grant_credit(key, missing);
    }

    fn send(&mut self, link: usize, ledger: &mut Ledger) {
        let Some(engine) = &mut self.engine else { return };
        let anonymous = match &self.plan.links[link] {
            LinkSpec::Sender(address) => address.is_none(),
            LinkSpec::ResendSender(_) => false,
            LinkSpec::Receiver { .. } => return,
        };
        let live = &mut self.links[link];
        let Some(key) = live.key else { return };
        loop {
            if live.current.is_none() {
                let Some(&id) = live.queue.front().filter(|_| engine.can_start(key)) else { return };
                live.queue.pop_front();
                let Some(record) = ledger.get_mut(id) else { continue };
                record.started = true;
                let settled = record.settled;
                engine.start(key, Outgoing { tag: id, settled, state: None, token: id });
                if !settled {
                    live.open.push(id);
                }
                live.current = Some((id, VecDeque::from([ledger.message(id, anonymous)])));
            }
            let Some((id, payload)) = &mut live.current else { return };
            let settled = ledger.get_mut(*id).is_some_and(|r| r.settled);
            match engine.send(key, payload, Some(settled), usize::MAX) {
                Sent::Done => live.current = None,
                Sent::NoCredit | Sent::NoWindow | Sent::Limit | Sent::Hungry => return,
                Sent::Gone => {
                    ledger.faults.push(format!("client {}: delivery {id} is gone", self.index));
                    live.current = None;
                }
            }
        }
    }

    fn link_lost(&mut self, link: usize, ledger: &mut Ledger) {
        let Some(live) = self.links.get_mut(link) else { return };
        live.key = None;
        live.current = None;
        live.partial.clear();
        live.credit = 0;
        for id in live.open.drain(..) {
            if let Some(record) = ledger.get_mut(id) {
                record.lost = true;
            }
        }
        self.due.retain(|d| d.link != link);
    }
}
