//! TCP services in a simulated network: exchanges between sockets in virtual time.
//!
//! ```text
//!  App == Socket == Exchange -- Router -- (network) -- Router -- Exchange == Socket == App
//!  client           requester                                    responder           server
//! ```
//!
//! What a dispatcher does with the requests of a service, and how a flow is driven, follows the TCP adaptor; there the
//! socket is the kernel's.

use super::app::{App, Script};
use super::network::{Flag, Sim};
use super::socket::{End, Socket};
use crate::core::action::{AttachRequest, Direction};
use crate::core::connection::{ConnHandle, ConnParams, PeerKind};
use crate::core::effect::Push;
use crate::exchange::{Exchange, Phase, Request, Role, consume, head, modified, reader_of};
use crate::{Action, Effect, LinkId, Mailbox, Router, Side};
use amqp_core::Instant;
use amqp_core::performative::{Source, Target};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

/// How long a flow that will be reset may make no progress, and its application may take for the rest.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);
/// Capacity of the links of a flow.
const LINK_CAPACITY: u32 = 5;
/// Turns that a flow may take in a row; beyond that it is going in circles.
const MAX_TURNS: usize = 10_000;

/// A server of a service address at a router.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) router: usize,
    pub(super) address: String,
    /// None while it is deleted, or its router is down.
    dispatcher: Option<ConnHandle>,
    /// It comes back then.
    pub(super) back_at: Instant,
}

/// A client's connection, from one application to the other.
#[derive(Debug)]
pub struct FlowRecord {
    /// The service address.
    pub address: String,
    /// Nothing disturbs it: it must be carried whole.
    pub probe: bool,
    reply_to: String,
    server_script: Script,
    pub(super) ends: [Option<FlowEnd>; 2],
}

/// One end of a flow: the application, its socket and, as long as it lives, the exchange.
#[derive(Debug)]
pub(super) struct FlowEnd {
    pub(super) app: App,
    pub(super) socket: Socket,
    pub(super) task: Option<Task>,
}

/// The task of a flow.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) router: usize,
    server: Option<usize>,
    exchange: Exchange,
    flag: Arc<Flag>,
    /// Of a flow that will be reset: when it last got on, and how far it was.
    drain: Option<(Instant, u64)>,
}

/// Why a task stopped running.
enum Pause {
    /// Nothing is to be done for now.
    Asleep,
    /// It goes on and on.
    Circles,
    /// The flow has left the core, and its socket ends in order or not.
    Over { in_order: bool },
}

/// A peer of the core with its links.
struct Joined {
    conn: ConnHandle,
    links: Vec<(LinkId, Option<String>)>,
    rest: Vec<Effect>,
}

fn request(direction: Direction, address: Option<&str>, dynamic: bool) -> AttachRequest {
    let address = address.map(str::to_owned);
    let (source, target) = match direction {
        Direction::In => (Source::default(), Target { address, ..Target::default() }),
        Direction::Out => (Source { address, dynamic, ..Source::default() }, Target::default()),
    };
    AttachRequest {
        token: 0,
        name: "sim".to_owned(),
        direction,
        source: Some(Box::new(source)),
        target: Some(Box::new(target)),
        settle_on_send: false,
    }
}

// === impl FlowRecord ===

impl FlowRecord {
    /// Whether both applications have nothing more to do or to wait for.
    pub(super) fn is_through(&self) -> bool {
        self.ends.iter().flatten().all(|end| end.app.is_through() && end.task.is_none())
    }

    /// Whether everything was carried in both directions, and ended in order.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let [Some(client), Some(server)] = &self.ends else { return false };
        [(&client.app, &server.app), (&server.app, &client.app)]
            .iter()
            .all(|(from, to)| to.end_seen == Some(End::Fin) && from.ended == Some(End::Fin) && to.received == from.sent)
    }

    /// How far both ends are.
    pub(super) fn describe(&self) -> String {
        let end = |end: &FlowEnd| {
            let App { sent, received, ended, end_seen, .. } = &end.app;
            let phase = end.task.as_ref().map(|task| task.exchange.phase());
            format!("sent {sent} then {ended:?}, received {received} then {end_seen:?}, {phase:?}")
        };
        let [client, server] = [0, 1].map(|side| self.ends[side].as_ref().map_or("none".to_owned(), end));
        format!("{}: client {client}; server {server}", self.address)
    }

    /// What must not be.
    pub(super) fn faults(&self) -> Vec<&'static str> {
        let mut faults = Vec::new();
        if !self.is_through() {
            faults.push("is not over");
        }
        if self.probe && !self.is_whole() {
            faults.push("was not carried whole, with nothing in the way");
        }
        let [client, server] = [0, 1].map(|side| self.ends[side].as_ref().map(|end| &end.app));
        for (from, to) in [(client, server), (server, client)] {
            let Some(to) = to else { continue };
            let (sent, ended) = from.map_or((0, None), |from| (from.sent, from.ended));
            if to.received > sent {
                faults.push("has octets that nobody sent");
            }
            if to.end_seen == Some(End::Fin) && (ended != Some(End::Fin) || to.received != sent) {
                faults.push("a part was passed off as the whole");
            }
        }
        faults
    }
}

// === impl Sim: services ===

impl Sim {
    /// Adds a server of a service address at a router and returns its index.
    pub fn add_server(&mut self, router: usize, address: &str) -> usize {
        let server = Server { router, address: address.to_owned(), dispatcher: None, back_at: self.now };
        self.servers.push(server);
        self.servers.len() - 1
    }

    /// A client connects to a service at a router, and both applications follow their scripts. Returns the record's index.
    pub fn open_flow(&mut self, router: usize, address: &str, client: Script, server: Script, probe: bool) -> usize {
        let index = self.flows.len();
        let links = [request(Direction::In, Some(address), false), request(Direction::Out, None, true)];
        let mut joined = self.join_core(router, links);
        let reply_to = joined.links[1].1.take().unwrap_or_default();
        let head = head::client_head(address, &reply_to, None);
        let mut exchange = Exchange::requester(joined.conn, joined.links[0].0, head);
        exchange.start(None, joined.rest);
        let end = self.flow_end(index, Role::Requester, client, Task::new(router, None, exchange));
        let (address, ends) = (address.to_owned(), [Some(end), None]);
        self.flows.push(FlowRecord { address, probe, reply_to, server_script: server, ends });
        index
    }

    /// Management deletes the connection of one end of a flow.
    pub fn delete_flow(&mut self, flow: usize, role: Role) {
        let end = self.flows[flow].ends[role as usize].as_ref();
        if let Some(task) = end.and_then(|end| end.task.as_ref()) {
            self.routers[task.router].router.close_connection(task.exchange.conn().id, None, true);
        }
    }

    /// A server's tcpConnector is deleted with its flows, and comes back after some time.
    pub fn delete_server(&mut self, server: usize, downtime: Duration) {
        let dispatcher = self.servers[server].dispatcher.take();
        self.servers[server].back_at = self.now + downtime;
        let router = &self.routers[self.servers[server].router].router;
        let Some(dispatcher) = dispatcher else { return };
        router.submit(dispatcher.id, &mut vec![Action::Closed], &mut Vec::new(), self.now);
        for end in self.flows.iter().flat_map(|flow| &flow.ends).flatten() {
            if let Some(task) = end.task.as_ref().filter(|task| task.server == Some(server)) {
                router.close_connection(task.exchange.conn().id, None, true);
            }
        }
    }

    /// The process of a router is gone: the kernel resets what it had open.
    pub(super) fn kill_services(&mut self, router: usize) {
        for server in self.servers.iter_mut().filter(|server| server.router == router) {
            server.dispatcher = None;
        }
        for end in self.flows.iter_mut().flat_map(|flow| &mut flow.ends).flatten() {
            if end.task.as_ref().is_some_and(|task| task.router == router) {
                end.task = None;
                end.socket.close(false, true);
            }
        }
    }

    /// Connections that services have in the core of a router.
    pub(super) fn service_connections(&self, router: usize) -> usize {
        let dispatchers = self.servers.iter().filter(|s| s.router == router && s.dispatcher.is_some()).count();
        let tasks = self.flows.iter().flat_map(|flow| &flow.ends).flatten().filter_map(|end| end.task.as_ref());
        dispatchers + tasks.filter(|task| task.router == router).count()
    }

    /// Servers that stand: their routers and addresses.
    pub(super) fn standing_servers(&self) -> impl Iterator<Item = (usize, &str)> {
        self.servers.iter().filter(|s| s.dispatcher.is_some()).map(|s| (s.router, s.address.as_str()))
    }

    /// When something happens to services by itself.
    pub(super) fn services_timeout(&self) -> Option<Instant> {
        let back = self
            .servers
            .iter()
            .filter(|server| server.dispatcher.is_none())
            .map(|server| server.back_at.max(self.routers[server.router].start));
        let ends = self.flows.iter().flat_map(|flow| &flow.ends).flatten().filter_map(|end| {
            let drain = end.task.as_ref().and_then(|task| Some(task.drain?.0 + DRAIN_LIMIT));
            end.app.poll_timeout(&end.socket, self.now).into_iter().chain(drain).min()
        });
        back.chain(ends).min()
    }

    /// Lets servers, flows and applications do what they can. Returns whether anything moved.
    pub(super) fn step_services(&mut self) -> bool {
        let mut moved = false;
        for server in 0..self.servers.len() {
            moved |= self.step_server(server);
        }
        for flow in 0..self.flows.len() {
            for side in 0..2 {
                moved |= self.step_flow_end(flow, side);
            }
        }
        moved
    }

    fn step_server(&mut self, index: usize) -> bool {
        let server = &self.servers[index];
        let up = server.back_at <= self.now && self.routers[server.router].start <= self.now;
        let Some(dispatcher) = server.dispatcher.clone() else {
            if up {
                let links = [request(Direction::Out, Some(&server.address.clone()), false)];
                let joined = self.join_core(self.servers[index].router, links);
                self.servers[index].dispatcher = Some(joined.conn);
            }
            return up;
        };
        let (mut effects, mut ready) = (Vec::new(), Vec::new());
        let taken = dispatcher.mailbox.take(&mut effects, &mut ready);
        for effect in effects {
            if let Effect::Push(push) = effect {
                self.serve(index, &dispatcher, *push);
            }
        }
        taken
    }

    /// A request has come to a server: its connection is opened, as the request's head was sent with it.
    fn serve(&mut self, server: usize, dispatcher: &ConnHandle, mut push: Push) {
        let router = self.servers[server].router;
        let mut pending = VecDeque::new();
        let mailbox = Arc::new(Mailbox::default());
        let reader = reader_of(&mut push, &mailbox);
        reader.pull(usize::MAX, &mut pending);
        let head = head::parse(pending.make_contiguous(), false).ok().flatten();
        let reply_to = head.as_ref().and_then(|head| head.reply_to.clone());
        let record = self.flows.iter().position(|flow| Some(&flow.reply_to) == reply_to.as_ref());
        let (Some(head), Some(reply_to), Some(record)) = (head, reply_to, record) else {
            // It was broken off before its head had come this far.
            let refused = [
                Action::Sent { delivery: push.id },
                Action::Update { delivery: Side::Out(push.id), state: Some(modified()), settled: true },
            ];
            self.submit(router, dispatcher, refused.into());
            return;
        };
        consume(&mut pending, head.len);
        let links = [request(Direction::In, None, false), request(Direction::Out, None, false)];
        let joined = self.join_core_at(router, links, mailbox);
        self.submit(router, &joined.conn, vec![Action::Move { delivery: push.id, link: joined.links[1].0 }]);
        let request = Request { delivery: push.id, reader, pending };
        let mut exchange = Exchange::responder(joined.conn, joined.links[0].0, head::server_head(&reply_to), request);
        exchange.start(Some(reply_to), joined.rest);
        if self.flows[record].ends[1].is_some() {
            self.ledger.faults.push(format!("flow {record} came to two servers"));
        }
        let script = self.flows[record].server_script;
        let end = self.flow_end(record, Role::Responder, script, Task::new(router, Some(server), exchange));
        self.flows[record].ends[1] = Some(end);
    }

    fn step_flow_end(&mut self, flow: usize, side: usize) -> bool {
        let now = self.now;
        let overtakes = self.rng.below(2) == 0;
        let Some(FlowEnd { app, socket, task }) = &mut self.flows[flow].ends[side] else { return false };
        let mut moved = app.turn(socket, now, &mut self.ledger.faults);
        let due = |task: &Task| task.drain.is_some_and(|(at, _)| at + DRAIN_LIMIT <= now);
        let asked = std::mem::take(&mut socket.stirred);
        if let Some(running) = task.as_mut().filter(|task| asked || task.is_woken() || due(task)) {
            moved = true;
            let router = &self.routers[running.router].router;
            match running.run(router, socket, now) {
                Pause::Asleep => {}
                Pause::Circles => self.ledger.faults.push(format!("flow {flow} goes in circles at {now:?}")),
                Pause::Over { in_order } => {
                    *task = None;
                    socket.close(in_order, overtakes);
                }
            }
        }
        moved
    }

    fn flow_end(&self, flow: usize, role: Role, script: Script, task: Task) -> FlowEnd {
        let seeds = [2 * flow as u64 + 1, 2 * flow as u64 + 2];
        let seeds = if role == Role::Requester { seeds } else { [seeds[1], seeds[0]] };
        FlowEnd { app: App::new(script, seeds, self.now), socket: Socket::default(), task: Some(task) }
    }

    fn submit(&self, router: usize, conn: &ConnHandle, mut actions: Vec<Action>) {
        self.routers[router].router.submit(conn.id, &mut actions, &mut Vec::new(), self.now);
    }

    fn join_core(&self, router: usize, links: impl IntoIterator<Item = AttachRequest>) -> Joined {
        self.join_core_at(router, links, Arc::default())
    }

    fn join_core_at(
        &self,
        router: usize,
        links: impl IntoIterator<Item = AttachRequest>,
        mailbox: Arc<Mailbox>,
    ) -> Joined {
        let params = ConnParams::in_process(PeerKind::TcpFlow, LINK_CAPACITY);
        let conn = self.routers[router].router.connect_at(params, mailbox, self.now);
        let mut actions = vec![Action::Opened(Box::default())];
        actions.extend(links.into_iter().map(|link| Action::Attach(Box::new(link))));
        self.submit(router, &conn, actions);
        let (mut effects, mut ready) = (Vec::new(), Vec::new());
        conn.mailbox.take(&mut effects, &mut ready);
        let (mut links, mut rest) = (Vec::new(), Vec::new());
        for effect in effects {
            match effect {
                Effect::AttachReply(reply) => {
                    links.push((reply.link.expect("attached"), reply.source.and_then(|source| source.address)));
                }
                other => rest.push(other),
            }
        }
        Joined { conn, links, rest }
    }
}

// === impl Task ===

impl Task {
    fn new(router: usize, server: Option<usize>, exchange: Exchange) -> Self {
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        Self { router, server, exchange, flag, drain: None }
    }

    fn is_woken(&self) -> bool {
        self.flag.0.load(Ordering::Relaxed)
    }

    /// Does what can be done now.
    fn run(&mut self, router: &Router, socket: &mut Socket, now: Instant) -> Pause {
        let waker = Waker::from(Arc::clone(&self.flag));
        let mut cx = Context::from_waker(&waker);
        for _ in 0..MAX_TURNS {
            self.flag.0.store(false, Ordering::Relaxed);
            self.exchange.take_mail();
            let busy = self.exchange.copy(&mut cx, socket);
            if self.exchange.is_over() {
                let in_order = self.exchange.phase() == Phase::Open && !self.exchange.is_broken();
                self.exchange.leave();
                self.exchange.submit(router, || now);
                return Pause::Over { in_order };
            }
            self.exchange.submit(router, || now);
            let unread_reset = self.exchange.watches_for_reset() && socket.is_reset_by_app();
            if unread_reset || self.is_drain_over(socket, now) {
                self.exchange.cut();
            } else if !busy && self.exchange.park(&waker) {
                return Pause::Asleep;
            }
        }
        Pause::Circles
    }

    /// Whether a transport that will be reset has got all that it will get.
    fn is_drain_over(&mut self, socket: &Socket, now: Instant) -> bool {
        if self.exchange.phase() != Phase::Draining {
            return false;
        }
        let written = self.exchange.octets().1;
        let (since, _) = *self.drain.insert(match self.drain {
            Some((since, before)) if before == written => (since, before),
            _ => (now, written),
        });
        (self.exchange.is_drained() && socket.to_app.is_empty()) || since + DRAIN_LIMIT <= now
    }
}
