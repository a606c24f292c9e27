//! The loop that runs a network.

use super::network::{EndBody, Sim, Trunk};
use super::wire::{Arrival, EndId};
use crate::port::{AmqpPort, PortState};
use amqp_core::Instant;
use amqp_core::engine::Connection;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::Duration;

/// How long a connector or a client waits before it connects again.
const RETRY: Duration = Duration::from_millis(700);

/// How long the last octets of a port that closes may wait for room.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Turns that an end may take in a row; beyond that it is going in circles.
const MAX_TURNS: usize = 10_000;

/// What an end wants from its wire.
enum Interest {
    Octets,
    /// It only waits for the far end to close.
    End,
    Nothing,
}

// === impl Sim ===

impl Sim {
    /// Runs for some time.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.reconnect();
            self.settle();
            match self.next_event() {
                Some(at) if at <= end => self.now = self.now.max(at),
                _ => break,
            }
            self.fire();
        }
        self.now = end;
    }

    /// The next time at which something happens by itself.
    fn next_event(&self) -> Option<Instant> {
        let routers = self.routers.iter().map(|r| r.router.poll_timeout());
        let down = self.trunks.iter().filter(|t| t.enabled && t.wire.is_none());
        let retries = down.map(|t| self.next_attempt(t));
        let starts = self.routers.iter().map(|r| r.start).filter(|&start| start > self.now);
        let ends = self.ends.iter().flat_map(|(id, e)| {
            let (timer, interest) = match &e.body {
                EndBody::Port { port, .. } => (port.poll_timeout(), interest(port)),
                EndBody::Client(client) => (self.clients[*client].poll_timeout(), Interest::Octets),
            };
            let arrival = match interest {
                Interest::Octets => self.wires[e.wire].next_arrival(id),
                Interest::End => self.wires[e.wire].end(id),
                Interest::Nothing => None,
            };
            [timer, arrival, e.give_up].into_iter().flatten()
        });
        routers.chain(retries).chain(starts).chain(ends).chain(self.services_timeout()).min()
    }

    /// Does what is due by time.
    fn fire(&mut self) {
        let now = self.now;
        for router in &self.routers {
            if router.router.poll_timeout() <= now {
                router.router.handle_timeout(now);
            }
        }
        for id in self.end_ids() {
            let Some(end) = self.ends.get_mut(id) else { continue };
            if end.give_up.is_some_and(|at| at <= now) {
                self.finish(id);
                continue;
            }
            match &mut end.body {
                EndBody::Port { port, flag, .. } => {
                    if port.poll_timeout().is_some_and(|at| at <= now) {
                        port.handle_timeout(now);
                        flag.0.store(true, Ordering::Relaxed);
                    }
                }
                EndBody::Client(client) => {
                    let client = &mut self.clients[*client];
                    if client.poll_timeout().is_some_and(|at| at <= now) {
                        client.handle_timeout(now);
                        self.step(id);
                    }
                }
            }
        }
    }

    /// Lets all ends work until nothing moves at this time.
    fn settle(&mut self) {
        for round in 0.. {
            let mut moved = false;
            let ids = self.end_ids();
            let offset = self.rng.below(ids.len().max(1) as u64) as usize;
            for i in 0..ids.len() {
                moved |= self.read(ids[(i + offset) % ids.len()]);
            }
            moved |= self.step_services();
            if !moved {
                return;
            }
            if round > MAX_TURNS {
                self.ledger.faults.push(format!("the network does not come to rest at {:?}", self.now));
                return;
            }
        }
    }

    /// Reads what has arrived and runs the end if it has anything to do. Returns whether it had.
    fn read(&mut self, id: EndId) -> bool {
        let Some(end) = self.ends.get_mut(id) else { return false };
        let interest = match &end.body {
            EndBody::Port { port, .. } => interest(port),
            EndBody::Client(_) => Interest::Octets,
        };
        let arrival = match interest {
            Interest::Octets => self.wires[end.wire].receive(id, self.now),
            Interest::End if self.wires[end.wire].end(id).is_some_and(|at| at <= self.now) => Arrival::End,
            Interest::End | Interest::Nothing => Arrival::Nothing,
        };
        match (&mut end.body, arrival) {
            (EndBody::Port { port, flag, .. }, Arrival::Octets(octets)) => {
                port.receive(octets);
                flag.0.store(true, Ordering::Relaxed);
                if self.rng.below(2) == 0 && self.next_is_there(id) {
                    // Several reads in one turn.
                    return true;
                }
            }
            (EndBody::Client(client), Arrival::Octets(octets)) => {
                if let Some(engine) = &mut self.clients[*client].engine {
                    engine.receive(octets);
                }
            }
            (_, Arrival::End) => {
                self.finish(id);
                return true;
            }
            (EndBody::Port { port, flag, .. }, Arrival::Nothing) => {
                // Octets that found no room may find some now.
                let woken = flag.0.load(Ordering::Relaxed);
                if !woken && !self.wires[end.wire].send(id, port.output(), self.now) {
                    return false;
                }
            }
            (EndBody::Client(client), Arrival::Nothing) => {
                let output = self.clients[*client].engine.as_mut().map(Connection::output);
                return output.is_some_and(|output| self.wires[end.wire].send(id, output, self.now));
            }
        }
        self.step(id);
        true
    }

    /// Whether more octets have arrived at an end, which it would read.
    fn next_is_there(&self, id: EndId) -> bool {
        self.ends.get(id).is_some_and(|end| {
            let wants = matches!(&end.body, EndBody::Port { port, .. } if matches!(interest(port), Interest::Octets));
            let wire = &self.wires[end.wire];
            wants && wire.end(id).is_none() && wire.next_arrival(id).is_some_and(|at| at <= self.now)
        })
    }

    /// Runs an end until it sleeps.
    pub(super) fn step(&mut self, id: EndId) {
        for _ in 0..MAX_TURNS {
            let Some(end) = self.ends.get_mut(id) else { return };
            let wire = &mut self.wires[end.wire];
            let alive = match &mut end.body {
                EndBody::Port { port, flag, .. } => {
                    flag.0.store(false, Ordering::Relaxed);
                    let more = port.turn(self.now);
                    let moved = wire.send(id, port.output(), self.now);
                    match port.state() {
                        PortState::Running if moved => continue,
                        PortState::Running => {
                            // With a full wire the port waits for room, whatever else there is to do.
                            let blocked = !port.output().is_empty();
                            let waker = Waker::from(Arc::clone(flag));
                            if (more || !port.park(&waker)) && !blocked {
                                continue;
                            }
                            true
                        }
                        PortState::Closing(_) => {
                            end.give_up.get_or_insert(self.now + LAST_WORDS);
                            !port.output().is_empty()
                        }
                        PortState::Dropped(_) => false,
                    }
                }
                EndBody::Client(client) => {
                    let client = &mut self.clients[*client];
                    let running = client.turn(&mut self.ledger, self.now);
                    let Some(engine) = &mut client.engine else { return };
                    if wire.send(id, engine.output(), self.now) {
                        continue;
                    }
                    running || !engine.output().is_empty()
                }
            };
            if !alive {
                self.finish(id);
            }
            return;
        }
        self.ledger.faults.push(format!("end {id} goes in circles at {:?}", self.now));
    }

    /// An end is through: the far end closed, or it closed by itself.
    fn finish(&mut self, id: EndId) {
        let Some(mut end) = self.ends.try_remove(id) else { return };
        self.wires[end.wire].close(id, self.now);
        match &mut end.body {
            EndBody::Port { port, router, .. } => {
                if let PortState::Closing(Some(error)) | PortState::Dropped(Some(error)) = port.state() {
                    let text = format!("a port of router {router} failed: {} {}", error.condition, error.description);
                    // These follow from a connection that went mute.
                    let due = ["local-idle-timeout", "liveness", "Timeout waiting for initial handshake"];
                    if !due.iter().any(|words| error.description.starts_with(words)) {
                        self.ledger.faults.push(text);
                    }
                }
                port.transport_closed(self.now);
                // Nobody reads what it still says.
                port.turn(self.now);
            }
            EndBody::Client(client) => {
                let client = &mut self.clients[*client];
                if !client.disturbed {
                    self.ledger.faults.push(format!("a client of router {} lost its connection", client.router));
                }
                client.turn(&mut self.ledger, self.now);
                client.disconnected(&mut self.ledger);
            }
        }
        let other = self.wires[end.wire].other(id);
        self.release_wire(end.wire, other);
    }

    /// Removes a wire when its last end is gone too.
    pub(super) fn release_wire(&mut self, wire: usize, last: EndId) {
        if self.ends.get(last).is_some_and(|e| e.wire == wire) {
            return;
        }
        self.wires.remove(wire);
        for trunk in self.trunks.iter_mut().filter(|t| t.wire == Some(wire)) {
            trunk.wire = None;
            trunk.retry = self.now + RETRY;
        }
    }

    /// Connects what is not connected.
    fn reconnect(&mut self) {
        for trunk in 0..self.trunks.len() {
            let t = &self.trunks[trunk];
            if t.enabled && t.wire.is_none() && self.next_attempt(t) <= self.now {
                self.connect_trunk(trunk);
            }
        }
        for client in 0..self.clients.len() {
            let c = &mut self.clients[client];
            let gone = !self.ends.iter().any(|(_, e)| matches!(e.body, EndBody::Client(i) if i == client));
            if gone && c.engine.is_none() && !c.retired && self.routers[c.router].start <= self.now {
                c.disturbed = false;
                self.connect_client(client);
            }
        }
    }

    /// When a connector that is not connected tries next.
    fn next_attempt(&self, trunk: &Trunk) -> Instant {
        let starts = trunk.spec.ends.map(|router| self.routers[router].start);
        starts.into_iter().fold(trunk.retry, Instant::max)
    }

    fn end_ids(&self) -> Vec<EndId> {
        self.ends.iter().map(|(id, _)| id).collect()
    }
}

fn interest(port: &AmqpPort) -> Interest {
    match port.state() {
        PortState::Running if port.wants_input() => Interest::Octets,
        PortState::Running => Interest::Nothing,
        PortState::Closing(_) | PortState::Dropped(_) => Interest::End,
    }
}
