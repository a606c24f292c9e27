//! What `--test-hooks` adds for test suites: addresses with a behaviour of their own, a client that sends requests to the
//! service that asks for it, and watches that can be seen from outside.
//!
//! ```text
//!              .--> nodes:   io.skupper.router.router/test/sink, source, echo, ...
//!  Endpoint <--+--> client:  links to a peer called io.skupper.router.test_core_client
//!              '--> watches: _local/_testhook/address_watch --> _local/_testhook/watch_event
//! ```
//!
//! All of it is one peer inside the process, and one task. Without the flag nothing of it exists.

mod client;
mod nodes;
mod watches;

use adaptors::clock;
use adaptors::runtime::Io;
use amqp_core::Instant;
use client::Client;
use nodes::Nodes;
use router_engine::Router;
use router_engine::core::effect::PeerEvent;
use router_engine::port::local::{Delivery, Endpoint, Event, GatherLimits, Identity};
use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::time::Duration;
use watches::Watches;

/// Deliveries on their way to each link at a time.
const CREDIT: u32 = 250;

/// What of messages that are still arriving is held, in octets.
const ARRIVING: GatherLimits = GatherLimits { message: 1024 * 1024, total: 16 * 1024 * 1024 };

/// How long the router lives on when it is asked to crash, so that the log is written.
const LAST_MOMENTS: Duration = Duration::from_secs(2);

/// How a message to `io.skupper.router.router/test/crash` wants the process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// By the process itself, which has found that it cannot go on.
    Abort,
    /// By an access to memory that there is not.
    Segmentation,
    /// By damage to the heap, once that is noticed.
    Heap,
}

/// The test hooks of a router.
struct Hooks {
    endpoint: Endpoint,
    nodes: Nodes,
    client: Client,
    watches: Watches,
    crash: fn(Fault),
    /// The process is to end then.
    doomed: Option<(Instant, Fault)>,
}

/// Starts the test hooks. `crash` brings the process down.
pub fn start(io: &Io, crash: fn(Fault)) {
    let hooks = Hooks::join(io.router(), crash, clock::now());
    io.spawn("test hooks", hooks.run());
}

// === impl Hooks ===

impl Hooks {
    fn join(router: &Arc<Router>, crash: fn(Fault), now: Instant) -> Self {
        let mut endpoint = Endpoint::join(router, Identity::internal("test-hooks", CREDIT), Default::default(), now);
        endpoint.gather(ARRIVING);
        let nodes = Nodes::serve(&endpoint);
        let client = Client::await_peer(&endpoint);
        let watches = Watches::begin(&mut endpoint, now);
        Self { endpoint, nodes, client, watches, crash, doomed: None }
    }

    async fn run(mut self) {
        loop {
            let busy = self.nodes.step(&mut self.endpoint);
            self.endpoint.submit(clock::now());
            if busy {
                // Sources go on for as long as there is credit: others must have their turn.
                tokio::task::yield_now().await;
                self.endpoint.take();
            } else {
                self.wait().await;
            }
            while let Some(event) = self.endpoint.next_event() {
                self.on_event(event);
            }
            self.on_time(clock::now());
        }
    }

    /// Waits until something happens or is due.
    async fn wait(&mut self) {
        let due = [self.client.due(), self.doomed.map(|(at, _)| at)].into_iter().flatten().min();
        let timer = async {
            match due {
                Some(at) => tokio::time::sleep_until(clock::to_std(at).into()).await,
                None => pending().await,
            }
        };
        let event = tokio::select! {
            event = poll_fn(|cx| self.endpoint.poll_event(cx)) => event,
            () = timer => return,
        };
        self.on_event(event);
    }

    fn on_event(&mut self, event: Event) {
        let Self { endpoint, nodes, client, watches, .. } = self;
        let now = clock::now();
        match event {
            Event::Delivery(delivery) => self.on_delivery(delivery, now),
            Event::Peer(PeerEvent::Opened(conn)) => client.begin(endpoint, conn, now),
            Event::Peer(PeerEvent::Attach { link, attach }) => nodes.on_attach(endpoint, link, attach, now),
            Event::Peer(PeerEvent::Attached { link, source, target }) => {
                client.on_attached(endpoint, link, source.as_deref(), target.as_deref(), now);
                nodes.on_attached(endpoint, link, now);
            }
            Event::Peer(PeerEvent::Credit { link, credit, drain }) => {
                client.on_credit(endpoint, link, credit, drain, now);
                nodes.on_credit(link, credit);
            }
            Event::Update { token, settled: true, .. } => nodes.on_settled(token),
            Event::Watch { key, counts } => watches.on_change(endpoint, key, counts),
            Event::Detached { link, error } => {
                client.on_detached(endpoint, link);
                nodes.on_detached(endpoint, link, error);
            }
            // What is dropped has failed.
            _ => {}
        }
    }

    fn on_delivery(&mut self, delivery: Delivery, now: Instant) {
        if self.client.owns(delivery.link()) {
            self.client.on_reply(&mut self.endpoint, delivery, now);
        } else if self.watches.owns(delivery.link()) {
            self.watches.on_request(&mut self.endpoint, delivery);
        } else if let Some(fault) = self.nodes.on_delivery(&mut self.endpoint, delivery) {
            self.doomed.get_or_insert((now + LAST_MOMENTS, fault));
        }
    }

    fn on_time(&mut self, now: Instant) {
        self.client.on_time(now);
        if let Some((_, fault)) = self.doomed.take_if(|(at, _)| *at <= now) {
            (self.crash)(fault);
        }
    }
}

#[cfg(test)]
mod tests;
