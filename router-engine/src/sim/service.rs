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
use super::network::{Flag, STREAM_RETRY, Sim};
use super::socket::{End, Socket};
use crate::core::connection::PeerKind;
use crate::exchange::head::{self, Head, RequestHead};
use crate::exchange::{Exchange, Phase, Request, Role, consume, modified, on_data, takes_grants};
use crate::port::local::{Attach, Connection, Delivery, Endpoint, Event, Identity};
use crate::{Action, Mailbox};
use amqp_core::Instant;
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
    dispatcher: Option<Endpoint>,
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
    /// When the client connected.
    begun: Instant,
    /// Its client end was deleted, or its router was: that may end it at any time.
    felled: bool,
    server_script: Script,
    pub(super) client: FlowEnd,
    /// Those that its request came to, of which it may have been sent again to the next. An earlier request may come
    /// later.
    pub(super) servers: Vec<FlowEnd>,
}

/// One end of a flow: the application, its socket and, as long as it lives, the exchange.
#[derive(Debug)]
pub(super) struct FlowEnd {
    pub(super) app: App,
    pub(super) socket: Socket,
    pub(super) task: Option<Task>,
    /// When its task ended.
    over_at: Option<Instant>,
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
    /// When its request is sent again.
    resend: Option<Instant>,
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

fn identity(kind: PeerKind) -> Identity {
    Identity { kind, initiator: false, host: "sim".to_owned(), local_socket: None, capacity: LINK_CAPACITY }
}

// === impl FlowRecord ===

impl FlowRecord {
    /// Whether both applications have nothing more to do or to wait for.
    pub(super) fn is_through(&self) -> bool {
        self.ends().all(|end| end.app.is_through() && end.task.is_none())
    }

    pub(super) fn ends(&self) -> impl Iterator<Item = &FlowEnd> {
        std::iter::once(&self.client).chain(&self.servers)
    }

    fn ends_mut(&mut self) -> impl Iterator<Item = &mut FlowEnd> {
        std::iter::once(&mut self.client).chain(&mut self.servers)
    }

    /// The server that the flow goes to, rather than one that only saw it begin.
    pub(super) fn server(&self) -> Option<&FlowEnd> {
        self.servers.iter().max_by_key(|end| (end.app.received, end.app.end_seen.is_some_and(End::is_whole)))
    }

    /// Whether the client heard of a failure, not caused by itself, before its request was tried for long enough.
    fn is_given_up_early(&self) -> bool {
        let FlowEnd { app, over_at, .. } = &self.client;
        let failed = app.ended != Some(End::Reset) && app.end_seen == Some(End::Reset);
        let in_time = over_at.is_some_and(|at| at - self.begun < STREAM_RETRY);
        failed && in_time && self.servers.is_empty() && !self.felled
    }

    /// Whether everything was carried in both directions, and ended as it was sent.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let (client, Some(server)) = (&self.client, self.server()) else { return false };
        [(&client.app, &server.app), (&server.app, &client.app)].iter().all(|(from, to)| to.has_seen_whole(from))
    }

    /// How the server's application saw the client's direction end, and the client's the server's.
    #[must_use]
    pub fn ends_seen(&self) -> [Option<End>; 2] {
        [self.server().and_then(|end| end.app.end_seen), self.client.app.end_seen]
    }

    /// Octets that the client's application has sent.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.client.app.sent
    }

    /// How far both ends are.
    pub(super) fn describe(&self) -> String {
        let end = |end: &FlowEnd| {
            let App { sent, received, ended, end_seen, .. } = &end.app;
            let phase = end.task.as_ref().map(|task| task.exchange.phase());
            format!("sent {sent} then {ended:?}, received {received} then {end_seen:?}, {phase:?}")
        };
        let servers: Vec<String> = self.servers.iter().map(end).collect();
        format!("{}: client {}; servers {servers:?}", self.address, end(&self.client))
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
        if self.servers.iter().filter(|end| end.app.received > 0).count() > 1 {
            faults.push("has octets that came to two servers");
        }
        if self.is_given_up_early() {
            faults.push("failed before it came to a server, and before it was tried long enough");
        }
        let (client, server) = (Some(&self.client.app), self.server().map(|end| &end.app));
        for (from, to) in [(client, server), (server, client)] {
            let Some(to) = to else { continue };
            if to.received > from.map_or(0, |from| from.sent) {
                faults.push("has octets that nobody sent");
            }
            if to.end_seen.is_some_and(End::is_whole) && !from.is_some_and(|from| to.has_seen_whole(from)) {
                faults.push("a part was passed off as the whole, or its end as another");
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
        let connection = self.join_core(router, Arc::default());
        let opened = Action::Opened(Box::default());
        let head = RequestHead { alpn: Some(index.to_string()), ..RequestHead::new(address) };
        let exchange = Exchange::requester(connection, head, opened, self.now);
        let mut exchange = exchange.expect("attached");
        exchange.submit(|| self.now);
        let end = self.flow_end(index, Role::Requester, client, Task::new(router, None, exchange));
        self.flows.push(FlowRecord {
            address: address.to_owned(),
            probe,
            begun: self.now,
            felled: false,
            server_script: server,
            client: end,
            servers: Vec::new(),
        });
        index
    }

    /// The record with that index.
    #[must_use]
    pub fn flow(&self, index: usize) -> &FlowRecord {
        &self.flows[index]
    }

    /// Management deletes the connection of one end of a flow.
    pub fn delete_flow(&mut self, flow: usize, role: Role) {
        self.flows[flow].felled |= role == Role::Requester;
        let end = match role {
            Role::Requester => Some(&self.flows[flow].client),
            Role::Responder => self.flows[flow].servers.last(),
        };
        if let Some(task) = end.and_then(|end| end.task.as_ref()) {
            self.routers[task.router].router.close_connection(task.exchange.id(), None, true);
        }
    }

    /// A server's tcpConnector is deleted with its flows, and comes back after some time.
    pub fn delete_server(&mut self, server: usize, downtime: Duration) {
        let dispatcher = self.servers[server].dispatcher.take();
        self.servers[server].back_at = self.now + downtime;
        let Some(dispatcher) = dispatcher else { return };
        dispatcher.close(self.now);
        let router = &self.routers[self.servers[server].router].router;
        for end in self.flows.iter().flat_map(FlowRecord::ends) {
            if let Some(task) = end.task.as_ref().filter(|task| task.server == Some(server)) {
                router.close_connection(task.exchange.id(), None, true);
            }
        }
    }

    /// The process of a router is gone: the kernel resets what it had open.
    pub(super) fn kill_services(&mut self, router: usize) {
        for server in self.servers.iter_mut().filter(|server| server.router == router) {
            server.dispatcher = None;
        }
        for flow in &mut self.flows {
            let at_router = |end: &FlowEnd| end.task.as_ref().is_some_and(|task| task.router == router);
            flow.felled |= at_router(&flow.client);
            for end in flow.ends_mut().filter(|end| at_router(end)) {
                end.task = None;
                end.socket.close(false, true);
            }
        }
    }

    /// Connections that services have in the core of a router.
    pub(super) fn service_connections(&self, router: usize) -> usize {
        let dispatchers = self.servers.iter().filter(|s| s.router == router && s.dispatcher.is_some()).count();
        let tasks = self.flows.iter().flat_map(FlowRecord::ends).filter_map(|end| end.task.as_ref());
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
        let ends = self.flows.iter().flat_map(FlowRecord::ends).filter_map(|end| {
            let task = end.task.as_ref().and_then(Task::poll_timeout);
            end.app.poll_timeout(&end.socket, self.now).into_iter().chain(task).min()
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
            for place in 0..self.flows[flow].ends().count() {
                moved |= self.step_flow_end(flow, place);
            }
        }
        moved
    }

    fn step_server(&mut self, index: usize) -> bool {
        let (now, server) = (self.now, &mut self.servers[index]);
        let router = &self.routers[server.router];
        let Some(dispatcher) = &mut server.dispatcher else {
            let up = server.back_at <= now && router.start <= now;
            if up {
                let peer = identity(PeerKind::TcpDispatcher);
                let mut endpoint = Endpoint::join(&router.router, peer, Default::default(), now);
                let [attached] = endpoint.attach([Attach::receiver("requests", &server.address)], now);
                attached.expect("attached");
                server.dispatcher = Some(endpoint);
            }
            return up;
        };
        let taken = dispatcher.take();
        let events: Vec<Event> = std::iter::from_fn(|| dispatcher.next_event()).collect();
        for event in events {
            if let Event::Delivery(delivery) = event {
                self.serve(index, delivery);
            }
        }
        taken
    }

    /// A request has come to a server: its connection is opened, as the request's head was sent with it.
    fn serve(&mut self, server: usize, mut delivery: Delivery) {
        let router = self.servers[server].router;
        let mut pending = VecDeque::new();
        let mailbox = Arc::default();
        let reader = delivery.take_reader(on_data(&mailbox));
        reader.pull(usize::MAX, &mut pending);
        let head = head::parse(pending.make_contiguous(), false).ok().flatten();
        let Some(Head { len, reply_to: Some(reply_to), alpn: Some(flow), .. }) = head else {
            // It was broken off before its head had come this far.
            return delivery.settle(modified(), self.now);
        };
        let record: usize = flow.parse().expect("the name of a flow");
        consume(&mut pending, len);
        let mut connection = self.join_core(router, mailbox);
        let links = [Attach::anonymous_sender("reply"), Attach::unbound_receiver("request")];
        let opened = &mut vec![Action::Opened(Box::default())];
        let [into, out_of] = connection.attach(opened, links, self.now).map(|answer| answer.expect("attached").link);
        let wide = takes_grants(delivery.annotations());
        let delivery = delivery.move_to(&mut connection, out_of, self.now);
        let request = Request { delivery, reader, pending, wide };
        let mut exchange = Exchange::responder(connection, head::server_head(&reply_to), request);
        exchange.start(into, reply_to, Vec::new());
        exchange.submit(|| self.now);
        let script = self.flows[record].server_script;
        let end = self.flow_end(record, Role::Responder, script, Task::new(router, Some(server), exchange));
        self.flows[record].servers.push(end);
    }

    /// `place` is the index in [`FlowRecord::ends`].
    fn step_flow_end(&mut self, flow: usize, place: usize) -> bool {
        let now = self.now;
        let overtakes = self.rng.below(2) == 0;
        let end = self.flows[flow].ends_mut().nth(place);
        let Some(FlowEnd { app, socket, task, over_at }) = end else { return false };
        let mut moved = app.turn(socket, now, &mut self.ledger.faults);
        let due = |task: &Task| task.poll_timeout().is_some_and(|at| at <= now);
        let asked = std::mem::take(&mut socket.stirred);
        if let Some(running) = task.as_mut().filter(|task| asked || task.is_woken() || due(task)) {
            moved = true;
            match running.run(socket, now) {
                Pause::Asleep => {}
                Pause::Circles => self.ledger.faults.push(format!("flow {flow} goes in circles at {now:?}")),
                Pause::Over { in_order } => {
                    (*task, *over_at) = (None, Some(now));
                    socket.close(in_order, overtakes);
                }
            }
        }
        moved
    }

    fn flow_end(&self, flow: usize, role: Role, script: Script, task: Task) -> FlowEnd {
        let seeds = [2 * flow as u64 + 1, 2 * flow as u64 + 2];
        let seeds = if role == Role::Requester { seeds } else { [seeds[1], seeds[0]] };
        FlowEnd { app: App::new(script, seeds, self.now), socket: Socket::default(), task: Some(task), over_at: None }
    }

    fn join_core(&self, router: usize, mailbox: Arc<Mailbox>) -> Connection {
        Connection::join(&self.routers[router].router, identity(PeerKind::TcpFlow), mailbox, self.now)
    }
}

// === impl Task ===

impl Task {
    fn new(router: usize, server: Option<usize>, exchange: Exchange) -> Self {
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        Self { router, server, exchange, flag, drain: None, resend: None }
    }

    fn is_woken(&self) -> bool {
        self.flag.0.load(Ordering::Relaxed)
    }

    /// When something happens to it by itself.
    fn poll_timeout(&self) -> Option<Instant> {
        self.drain.map(|(at, _)| at + DRAIN_LIMIT).into_iter().chain(self.resend).min()
    }

    /// Does what can be done now.
    fn run(&mut self, socket: &mut Socket, now: Instant) -> Pause {
        let waker = Waker::from(Arc::clone(&self.flag));
        let mut cx = Context::from_waker(&waker);
        for _ in 0..MAX_TURNS {
            self.flag.0.store(false, Ordering::Relaxed);
            self.exchange.take_mail();
            self.resend = self.exchange.resend(now);
            let busy = self.exchange.copy(&mut cx, socket);
            if self.exchange.is_over() {
                let in_order = self.exchange.phase() == Phase::Open && !self.exchange.is_broken();
                self.exchange.leave();
                self.exchange.submit(|| now);
                return Pause::Over { in_order };
            }
            self.exchange.submit(|| now);
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
