//! Random histories of several clients: nothing may break, leak, or stay without an outcome.

use super::super::*;
use super::world::{World, message};
use amqp_core::engine::{Event, LinkKey, Outgoing, Sent};
use amqp_core::performative::{DeliveryState, Role};
use proptest::prelude::*;
use std::collections::HashSet;

const CLIENTS: usize = 3;

#[derive(Debug, Clone)]
enum Op {
    Attach { client: usize, sender: bool, address: usize },
    Detach { link: usize },
    Credit { link: usize, credit: u32, drain: bool },
    Send { link: usize, settled: bool, len: usize },
    Piece { link: usize, len: usize, last: bool },
    Abort { link: usize },
    SettleFirst { link: usize },
    Outcomes { client: usize, release: bool },
    Stall { client: usize, stalled: bool },
    Run,
}

fn op() -> impl Strategy<Value = Op> {
    let client = 0..CLIENTS;
    let link = 0..9_usize;
    prop_oneof![
        4 => (client.clone(), any::<bool>(), 0..3_usize)
            .prop_map(|(client, sender, address)| Op::Attach { client, sender, address }),
        2 => link.clone().prop_map(|link| Op::Detach { link }),
        6 => (link.clone(), 0..5_u32, prop::bool::weighted(0.2))
            .prop_map(|(link, credit, drain)| Op::Credit { link, credit, drain }),
        6 => (link.clone(), any::<bool>(), 0..40_000_usize)
            .prop_map(|(link, settled, len)| Op::Send { link, settled, len }),
        10 => (link.clone(), 0..400_000_usize, prop::bool::weighted(0.2))
            .prop_map(|(link, len, last)| Op::Piece { link, len, last }),
        3 => link.clone().prop_map(|link| Op::Abort { link }),
        1 => link.prop_map(|link| Op::SettleFirst { link }),
        4 => (client.clone(), any::<bool>()).prop_map(|(client, release)| Op::Outcomes { client, release }),
        1 => (client, any::<bool>()).prop_map(|(client, stalled)| Op::Stall { client, stalled }),
        8 => Just(Op::Run),
    ]
}

struct Link {
    client: usize,
    key: LinkKey,
    sender: bool,
    anonymous: bool,
    /// What is still to be sent of the delivery in progress, and whether it ends there.
    payload: VecDeque<Bytes>,
    ending: bool,
    /// The delivery in progress was started settled.
    settled: bool,
    up: bool,
}

struct History {
    world: World,
    links: Vec<Link>,
    next_token: u64,
    /// Unsettled deliveries that must get an outcome: client, link, token.
    owed: HashSet<(usize, LinkKey, u64)>,
}

impl History {
    fn new() -> Self {
        let mut world = World::new();
        for _ in 0..CLIENTS {
            world.narrow_client();
        }
        let mut history = Self { world, links: Vec::new(), next_token: 0, owed: HashSet::new() };
        // Something to begin with, or most histories would be empty.
        for (client, sender, address) in
            [(0, true, 0), (1, false, 0), (2, false, 1), (0, true, 1), (1, true, 2), (2, false, 0), (1, true, 0)]
        {
            history.apply(&Op::Attach { client, sender, address });
            let link = history.links.len() - 1;
            history.apply(&Op::Credit { link, credit: 5, drain: false });
        }
        history.world.run();
        history
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Attach { client, sender, address } => {
                let role = if sender { Role::Sender } else { Role::Receiver };
                let address = ["q0", "q1"].get(address).copied().or((!sender).then_some("q1"));
                let key = self.world.attach(client, role, address);
                let anonymous = address.is_none();
                let payload = VecDeque::new();
                self.links.push(Link {
                    client,
                    key,
                    sender,
                    anonymous,
                    payload,
                    ending: false,
                    settled: false,
                    up: true,
                });
            }
            Op::Outcomes { client, release } => self.outcomes(client, release),
            Op::Stall { client, stalled } => self.world.at(client).stalled = stalled,
            Op::Run => self.run(),
            _ => self.on_link(op),
        }
    }

    fn run(&mut self) {
        self.world.run();
        for n in 0..self.links.len() {
            self.feed(n);
        }
        self.world.run();
    }

    fn on_link(&mut self, op: &Op) {
        let (Op::Detach { link: n }
        | Op::Credit { link: n, .. }
        | Op::Send { link: n, .. }
        | Op::Piece { link: n, .. }
        | Op::Abort { link: n }
        | Op::SettleFirst { link: n }) = *op
        else {
            return;
        };
        let Some(link) = self.links.get_mut(n).filter(|l| l.up) else { return };
        let (client, key, sender) = (link.client, link.key, link.sender);
        let engine = &mut self.world.clients[client].engine;
        match *op {
            Op::Detach { .. } => {
                link.up = false;
                engine.detach(key, None);
                self.owed.retain(|o| (o.0, o.1) != (client, key));
            }
            Op::Credit { credit, drain, .. } if !sender => {
                engine.set_drain(key, drain);
                engine.grant_credit(key, credit);
            }
            Op::Send { settled, len, .. } if sender => {
                self.start(n, settled, len, true);
            }
            Op::Piece { len, last, .. } if sender => self.piece(n, len, last),
            Op::Abort { .. } if sender && engine.is_sending(key) => {
                engine.abort(key);
                link.payload.clear();
                // Only the newest delivery of a link can be in progress.
                let of_link = self.owed.iter().filter(|o| (o.0, o.1) == (client, key));
                if let Some(newest) = of_link.max_by_key(|o| o.2).copied().filter(|_| !link.settled) {
                    self.owed.remove(&newest);
                }
            }
            Op::SettleFirst { .. } if sender => {
                let first = self.owed.iter().filter(|o| (o.0, o.1) == (client, key)).map(|o| o.2).min();
                if let Some(token) = first
                    && engine.update_out(key, token, None, true)
                {
                    self.owed.remove(&(client, key, token));
                }
            }
            _ => {}
        }
    }

    /// Starts a delivery, or adds to the one in progress.
    fn piece(&mut self, n: usize, len: usize, last: bool) {
        if !self.start(n, len.is_multiple_of(2), len, last) && !self.links[n].ending {
            self.links[n].payload.push_back(Bytes::from(vec![7; len]));
            self.links[n].ending = last;
            self.feed(n);
        }
    }

    fn start(&mut self, n: usize, settled: bool, len: usize, last: bool) -> bool {
        let link = &mut self.links[n];
        let engine = &mut self.world.clients[link.client].engine;
        self.next_token += 1;
        let token = self.next_token;
        if !engine.start(link.key, Outgoing { tag: token, settled, state: None, token }) {
            return false;
        }
        let to = link.anonymous.then_some(if len.is_multiple_of(3) { "nobody" } else { "q0" });
        link.payload = VecDeque::from([message(to, len)]);
        link.ending = last;
        link.settled = settled;
        if !settled {
            self.owed.insert((link.client, link.key, token));
        }
        self.feed(n);
        true
    }

    fn feed(&mut self, n: usize) {
        let link = &mut self.links[n];
        let engine = &mut self.world.clients[link.client].engine;
        if engine.is_sending(link.key) {
            let last = link.ending.then_some(false);
            let sent = engine.send(link.key, &mut link.payload, last, usize::MAX);
            assert!(sent != Sent::Done || link.payload.is_empty());
        }
    }

    /// A client settles what it has received completely.
    fn outcomes(&mut self, client: usize, release: bool) {
        let client = self.world.at(client);
        for d in client.deliveries().into_iter().filter(|d| d.complete && !d.settled) {
            let state = if release { DeliveryState::Released } else { DeliveryState::Accepted };
            client.engine.update_in(d.key, Some(state), true);
        }
    }

    /// Brings everything to its end and checks that nothing is left.
    fn finish(mut self) {
        for client in 0..CLIENTS {
            self.world.at(client).stalled = false;
        }
        for n in 0..self.links.len() {
            self.links[n].ending = true;
        }
        for _ in 0..400 {
            self.run();
            for link in self.links.iter().filter(|l| !l.sender && l.up) {
                let engine = &mut self.world.clients[link.client].engine;
                engine.set_drain(link.key, false);
                if engine.credit(link.key) < 5 {
                    engine.grant_credit(link.key, 20);
                }
            }
            for client in 0..CLIENTS {
                self.outcomes(client, false);
            }
        }
        self.run();
        let settled: HashSet<(usize, LinkKey, u64)> = (0..CLIENTS)
            .flat_map(|c| self.world.clients[c].events.iter().map(move |e| (c, e)))
            .filter_map(|(c, e)| match e {
                Event::Update(u) if !u.incoming && u.settled => Some((c, u.link, u.token?)),
                _ => None,
            })
            .collect();
        // Without a consumer a targeted message is released, so every one gets its outcome.
        let missing: Vec<_> = self.owed.difference(&settled).collect();
        assert!(missing.is_empty(), "no outcome for {missing:?}");
        for (n, client) in self.world.clients.iter().enumerate() {
            assert_eq!(client.engine.failure(), None, "client {n}");
            assert_eq!(client.port.state(), PortState::Running);
            assert_eq!(client.port.engine.kept(), 0, "client {n} holds a window");
            assert!(client.port.blocked.is_empty());
            assert!(client.deliveries().iter().all(|d| d.complete || d.aborted || !self.is_up(n)), "client {n}");
        }
        for link in &self.links {
            self.world.clients[link.client].engine.detach(link.key, None);
        }
        self.world.run();
        for client in &self.world.clients {
            assert_eq!(client.port.link_count(), 0);
            assert_eq!(client.engine.link_count(), 0);
        }
    }

    /// No receiver of the client was detached, so that all it began to receive must end.
    fn is_up(&self, client: usize) -> bool {
        self.links.iter().filter(|l| l.client == client && !l.sender).all(|l| l.up)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn histories_end_well(ops in prop::collection::vec(op(), 10..120)) {
        let mut history = History::new();
        for op in &ops {
            history.apply(op);
        }
        history.finish();
    }
}
