//! Random operations and random octets.

use super::super::*;
use super::pair::{Pair, Raw, encode, messages};
use crate::performative::{DeliveryState, Role};
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::VecDeque;

#[derive(Debug, Clone)]
enum Op {
    Session,
    Attach { sender: bool },
    Detach { server: bool, which: usize },
    End { which: usize },
    Credit { which: usize, credit: u32 },
    Drain { which: usize },
    Send { which: usize, len: usize, settled: bool },
    Abort { which: usize },
    Settle { which: usize, release: bool },
    Hold { which: usize, hold: bool },
    Run,
}

fn op() -> impl Strategy<Value = Op> {
    let which = 0..8_usize;
    prop_oneof![
        1 => Just(Op::Session),
        2 => any::<bool>().prop_map(|sender| Op::Attach { sender }),
        1 => (any::<bool>(), which.clone()).prop_map(|(server, which)| Op::Detach { server, which }),
        1 => which.clone().prop_map(|which| Op::End { which }),
        4 => (which.clone(), 0..20_u32).prop_map(|(which, credit)| Op::Credit { which, credit }),
        2 => which.clone().prop_map(|which| Op::Drain { which }),
        8 => (which.clone(), 0..3000_usize, any::<bool>()).prop_map(|(which, len, settled)| Op::Send { which, len, settled }),
        1 => which.clone().prop_map(|which| Op::Abort { which }),
        4 => (which.clone(), any::<bool>()).prop_map(|(which, release)| Op::Settle { which, release }),
        1 => (which, any::<bool>()).prop_map(|(which, hold)| Op::Hold { which, hold }),
        4 => Just(Op::Run),
    ]
}

#[derive(Default)]
struct World {
    sessions: Vec<SessionKey>,
    links: Vec<(LinkKey, LinkKey)>,
    payload: Vec<VecDeque<Bytes>>,
    names: u32,
}

impl World {
    fn apply(&mut self, pair: &mut Pair, op: &Op) {
        match *op {
            Op::Session => self.sessions.extend(pair.client.begin_session()),
            Op::Attach { sender } => self.attach(pair, sender),
            Op::End { which } => {
                if let Some(s) = self.sessions.get(which) {
                    pair.client.end_session(*s, None);
                }
            }
            Op::Run => pair.run(),
            Op::Settle { which, release } => settle(pair, which, release),
            _ => self.on_link(pair, op),
        }
    }

    fn attach(&mut self, pair: &mut Pair, sender: bool) {
        let Some(&session) = self.sessions.last() else { return };
        pair.run();
        self.names += 1;
        let name = format!("n{}", self.names);
        if pair.client.session_slot(session).is_some() {
            let role = if sender { Role::Sender } else { Role::Receiver };
            self.links.push(pair.link_on(session, role, &name));
            self.payload.push(VecDeque::new());
        }
    }

    fn on_link(&mut self, pair: &mut Pair, op: &Op) {
        let (Op::Detach { which, .. }
        | Op::Credit { which, .. }
        | Op::Drain { which }
        | Op::Send { which, .. }
        | Op::Abort { which }
        | Op::Hold { which, .. }) = *op
        else {
            return;
        };
        let Some(&(ours, theirs)) = self.links.get(which) else { return };
        match *op {
            Op::Detach { server: true, .. } => pair.server.detach(theirs, None),
            Op::Detach { .. } => pair.client.detach(ours, None),
            Op::Credit { credit, .. } => pair.server.grant_credit(theirs, credit),
            Op::Drain { .. } => {
                pair.server.set_drain(theirs, true);
                pair.run();
                pair.client.drained(ours);
            }
            Op::Send { len, settled, .. } => {
                pair.client.start(ours, Outgoing { tag: 1, settled, state: None, token: 1 });
                let payload = &mut self.payload[which];
                payload.push_back(Bytes::from(vec![1; len]));
                let last = (len % 3 != 0).then_some(settled);
                if matches!(pair.client.send(ours, payload, last, 1000), Sent::Done | Sent::Gone) {
                    payload.clear();
                }
            }
            Op::Abort { .. } => {
                pair.client.abort(ours);
                self.payload[which].clear();
            }
            Op::Hold { hold, .. } => {
                if let Some(session) = pair.server.link_session(theirs) {
                    if hold {
                        pair.server.keep(session, 3);
                    } else {
                        pair.server.consume(session, u32::MAX);
                    }
                }
            }
            _ => {}
        }
    }
}

fn settle(pair: &mut Pair, which: usize, release: bool) {
    let keys: Vec<_> = pair
        .to_server
        .iter()
        .filter_map(|e| match e {
            Event::Transfer(t) if t.first => Some(t.delivery),
            _ => None,
        })
        .skip(which)
        .step_by(2)
        .collect();
    let state = if release { DeliveryState::Released } else { DeliveryState::Accepted };
    for key in keys {
        pair.server.update_in(key, Some(state.clone()), true);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever two engines do with each other, neither sees a breach of the protocol.
    #[test]
    fn engines_agree(ops in prop::collection::vec(op(), 1..80), chunk in 1..2000_usize) {
        let mut pair = Pair::opened_with(|_, server| {
            server.max_frame_size = 512;
            server.session_window = 4;
        });
        pair.chunk = chunk;
        let mut world = World::default();
        for op in &ops {
            world.apply(&mut pair, op);
        }
        pair.run();
        prop_assert_eq!(pair.failures(), []);
        prop_assert!(pair.client.failure().is_none());
        prop_assert_eq!(pair.client.status(), Status::Running);
        for s in world.sessions {
            pair.client.end_session(s, None);
        }
        pair.run();
        prop_assert_eq!((pair.client.session_count(), pair.server.session_count()), (0, 0));
        prop_assert_eq!((pair.client.link_count(), pair.server.link_count()), (0, 0));
        prop_assert!(pair.client.names.is_empty() && pair.server.names.is_empty());
    }

    /// Messages arrive as they were sent, however the octets are cut.
    #[test]
    fn octets_survive(lens in prop::collection::vec(0..5000_usize, 1..10), chunk in 1..700_usize) {
        let mut pair = Pair::opened_with(|_, server| server.max_frame_size = 600);
        pair.chunk = chunk;
        let (ours, theirs) = pair.link(Role::Sender);
        pair.server.grant_credit(theirs, 100);
        pair.run();
        let bodies: Vec<Vec<u8>> = lens.iter().map(|&len| (0..len).map(|n| (n % 256) as u8).collect()).collect();
        for body in &bodies {
            pair.send_one(ours, 1, true, body);
        }
        pair.run();
        let got: Vec<_> = messages(&pair.to_server).into_iter().map(|m| m.0).collect();
        prop_assert_eq!(got, bodies);
    }

    /// No octets make the engine panic.
    #[test]
    fn random_octets(octets in prop::collection::vec(any::<u8>(), 0..600), bare in any::<bool>()) {
        let mut raw = if bare {
            Raw { server: Connection::new(Config::default()), events: Vec::new(), now: crate::time::Instant::default() }
        } else {
            Raw::new(Config::default())
        };
        for chunk in octets.chunks(50) {
            raw.feed(Bytes::copy_from_slice(chunk));
        }
        let _ = raw.server.transport_closed();
    }

    /// Nor do frames that are damaged a little.
    #[test]
    fn damaged_frames(at in 0..300_usize, with in any::<u8>(), order in prop::collection::vec(0..7_usize, 1..12)) {
        use crate::performative::{Begin, Disposition, End, Flow, Transfer};
        let mut raw = Raw::new(Config { session_window: 6, ..Config::default() });
        let mut octets = Vec::new();
        for n in order {
            let frame = match n {
                0 => encode(1, Begin { incoming_window: 4, ..Begin::default() }),
                1 => encode(0, super::pair::attach("x", 1, Role::Sender)),
                2 => encode(0, super::pair::attach("y", 2, Role::Receiver)),
                3 => encode(0, Transfer { handle: 1, delivery_id: Some(0), ..Transfer::default() }),
                4 => encode(0, Flow { handle: Some(2), link_credit: Some(9), ..Flow::default() }),
                5 => encode(0, Disposition { role: Role::Sender, first: 0, last: Some(9), settled: true, state: None, batchable: false }),
                _ => encode(1, End::default()),
            };
            octets.extend_from_slice(&frame);
        }
        if let Some(octet) = octets.get_mut(at) {
            *octet = with;
        }
        raw.feed(octets);
    }
}
