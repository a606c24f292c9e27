//! Rules of the protocol with one router and hand-made messages ([`link_state`], [`mobile`]), and
//! whole networks of routers in virtual time ([`network`], [`convergence`]), compared with what they must come to ([`truth`])
//! and watched on their way there ([`watch`]).

mod convergence;
mod hostile;
mod link_state;
mod mobile;
mod net;
mod network;
mod truth;
mod watch;

use super::*;
use crate::log::capture;
use amqp_core::Value;
use std::time::Duration;

/// How many seeds a test tries; `MESH_SEEDS` asks for more.
#[expect(clippy::disallowed_methods, reason = "whoever runs it chooses by the environment")]
fn seeds(usually: u64) -> u64 {
    std::env::var("MESH_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(usually)
}

/// The first of them; `MESH_FIRST` asks for another one.
#[expect(clippy::disallowed_methods, reason = "whoever runs it chooses by the environment")]
fn first_seed() -> u64 {
    std::env::var("MESH_FIRST").ok().and_then(|first| first.parse().ok()).unwrap_or(0)
}

/// A router under test with hand-made messages from others.
struct Fixture {
    mesh: Mesh,
    now: Instant,
}

impl Fixture {
    fn new() -> Self {
        Self::timed(Timing::default())
    }

    fn timed(timing: Timing) -> Self {
        Self { mesh: Mesh::new("A", 1000, timing), now: Instant::from_micros(5_000_000) }
    }

    /// A tick one second later, and what came out.
    fn tick(&mut self) -> Vec<MeshOutput> {
        capture::start();
        self.act_until(self.now + Duration::from_secs(1));
        self.mesh.tick(self.now);
        self.drain()
    }

    /// What comes out once the changes so far are acted on.
    fn act(&mut self) -> Vec<MeshOutput> {
        capture::start();
        self.act_until(self.now + Timing::default().pace.first);
        self.drain()
    }

    fn act_until(&mut self, end: Instant) {
        while let Some(due) = self.mesh.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.mesh.handle_timeout(self.now);
        }
        self.now = end;
    }

    /// Ticks; what came out is not looked at.
    fn ticks(&mut self, n: usize) {
        for _ in 0..n {
            self.tick();
        }
    }

    fn drain(&mut self) -> Vec<MeshOutput> {
        std::iter::from_fn(|| self.mesh.poll_output()).collect()
    }

    fn receive(&mut self, opcode: &str, body: &Map) -> Vec<MeshOutput> {
        capture::start();
        self.mesh.handle_message(opcode, body, None, self.now);
        self.drain()
    }

    /// A HELLO from `id` that names us, over a connection of cost 1.
    fn hello(&mut self, id: &str, link: usize) -> Vec<MeshOutput> {
        let body = sender(id).with("instance", 7).with("seen", vec![Value::from("A")]);
        capture::start();
        self.mesh.handle_message("HELLO", &body, Some((NeighbourIndex::at(link), 1)), self.now);
        self.drain()
    }

    fn ra(&mut self, id: &str, instance: i32, ls_seq: i32, mobile_seq: i32) -> Vec<MeshOutput> {
        let body = sender(id).with("instance", instance).with("ls_seq", ls_seq).with("mobile_seq", mobile_seq);
        self.receive("RA", &body)
    }

    fn lsu(&mut self, id: &str, ls_seq: i32, peers: &[(&str, i32)]) -> Vec<MeshOutput> {
        let peers: Map = peers.iter().map(|(id, cost)| (*id, *cost)).collect();
        let state = Map::new().with("id", id).with("area", "0").with("ls_seq", ls_seq).with("peers", peers);
        self.receive("LSU", &sender(id).with("instance", 7).with("ls_seq", ls_seq).with("ls", state))
    }

    /// A neighbour with an LSU, after the tick that computed the way to it.
    fn with_neighbour(id: &str) -> Self {
        let mut fixture = Self::new();
        fixture.hello(id, 3);
        fixture.lsu(id, 1, &[("A", 1)]);
        fixture.ra(id, 7, 1, 0);
        fixture.tick();
        fixture
    }

    fn mau(&mut self, id: &str, seq: i64, lists: &[(&'static str, &[&str])]) -> Vec<MeshOutput> {
        let mut body = mobile_sender(id).with("mobile_seq", seq);
        for (name, keys) in lists {
            let keys = keys.iter().map(|key| Value::List(vec![Value::from(*key), Value::Int(3), Value::Int(0)]));
            body.push(*name, keys.collect::<Vec<_>>());
        }
        self.receive("MAU", &body)
    }
}

fn sender(id: &str) -> Map {
    Map::new().with("id", id).with("pv", 1).with("area", "0")
}

fn mobile_sender(id: &str) -> Map {
    Map::new().with("id", id).with("pv", 2_i64).with("area", "0")
}

/// Opcodes and destinations of what is sent.
fn sent(outputs: &[MeshOutput]) -> Vec<(&'static str, &str)> {
    outputs
        .iter()
        .filter_map(|o| match o {
            MeshOutput::Send { to, opcode, .. } => Some((*opcode, to.as_str())),
            _ => None,
        })
        .collect()
}

fn bodies(outputs: &[MeshOutput], wanted: &str) -> Vec<Map> {
    outputs
        .iter()
        .filter_map(|o| match o {
            MeshOutput::Send { opcode, payload, .. } if *opcode == wanted => parse(payload).map(|(_, body)| body),
            _ => None,
        })
        .collect()
}

/// What the action that has just had these outputs logged at level info or above.
fn logs(_: &[MeshOutput]) -> Vec<capture::Line> {
    capture::notable()
}

fn int(body: &Map, key: &str) -> i64 {
    body.get(key).and_then(Value::as_i64).expect("an integer")
}

/// Keys in a list of address descriptors.
fn keys<'a>(body: &'a Map, list: &str) -> Option<Vec<&'a str>> {
    let list = body.get(list)?.as_list()?;
    Some(list.iter().filter_map(|d| d.as_list()?.first()?.as_str()).collect())
}

impl Mesh {
    /// The longest that a change of the topology which is noted now waits until the ways are computed.
    fn pause(&self) -> Duration {
        self.ls.changes.pause()
    }
}
