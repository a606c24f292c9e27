//! The fixture: a client and a server joined back to back.

use super::super::*;
use crate::performative::{Attach, DeliveryState, Open, Performative, Role, Source, Target};
use crate::time::Instant;
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::time::Duration;

pub(super) struct Pair {
    pub(super) client: Connection,
    pub(super) server: Connection,
    pub(super) now: Instant,
    pub(super) to_client: Vec<Event>,
    pub(super) to_server: Vec<Event>,
    /// Octets handed over at a time.
    pub(super) chunk: usize,
    /// Answer attaches and keep deliveries named.
    pub(super) answer: bool,
}

/// Takes up to `max` octets from an output.
pub(super) fn take(output: &mut Output, max: usize) -> Vec<u8> {
    let mut slices = [IoSlice::new(&[]); 16];
    let n = output.fill_slices(&mut slices);
    let mut taken: Vec<u8> = slices[..n].iter().flat_map(|s| s.iter().copied()).collect();
    taken.truncate(max);
    output.advance(taken.len());
    taken
}

pub(super) fn take_all(output: &mut Output) -> Vec<u8> {
    let mut all = Vec::new();
    while !output.is_empty() {
        all.extend(take(output, usize::MAX));
    }
    all
}

/// A frame as a peer would write it.
pub(super) fn encode(channel: u16, performative: impl Into<Performative>) -> Bytes {
    let mut out = BytesMut::new();
    let open = crate::frame::start_frame(&mut out, crate::frame::FrameType::Amqp, channel);
    performative.into().encode(&mut out);
    crate::frame::finish_frame(&mut out, open, 0);
    out.freeze()
}

pub(super) fn container(id: &str) -> Open {
    Open { container_id: id.to_owned(), ..Open::default() }
}

pub(super) fn anonymous_client() -> SaslConfig {
    SaslConfig::Client { mechanisms: None, username: None, password: None, external: false, hostname: None }
}

impl Pair {
    pub(super) fn new(client: Config, server: Config) -> Self {
        let now = Instant::from_micros(1_000_000);
        Self {
            client: Connection::new(client),
            server: Connection::new(server),
            now,
            to_client: Vec::new(),
            to_server: Vec::new(),
            chunk: 4096,
            answer: true,
        }
    }

    /// Both sides open with default parameters.
    pub(super) fn opened() -> Self {
        Self::opened_with(|_, _| {})
    }

    pub(super) fn opened_with(change: impl FnOnce(&mut Config, &mut Config)) -> Self {
        let mut client = Config { sasl: anonymous_client(), ..Config::default() };
        let mut server = Config::default();
        change(&mut client, &mut server);
        let mut pair = Self::new(client, server);
        pair.client.open(container("client"));
        pair.run();
        assert!(pair.client.is_open() && pair.server.is_open());
        pair.to_client.clear();
        pair.to_server.clear();
        pair
    }

    /// Runs both sides until nothing moves.
    pub(super) fn run(&mut self) {
        for _ in 0..100_000 {
            self.client_events();
            self.server_events();
            self.client.flush(self.now);
            self.server.flush(self.now);
            let up = take(self.client.output(), self.chunk);
            let down = take(self.server.output(), self.chunk);
            if up.is_empty() && down.is_empty() {
                return;
            }
            self.server.receive(up.into());
            self.client.receive(down.into());
        }
        panic!("the pair does not come to rest");
    }

    fn client_events(&mut self) {
        while let Some(event) = self.client.poll_event(self.now) {
            if let Event::Transfer(t) = &event
                && t.first
            {
                self.client.set_token(t.delivery, u64::from(t.delivery.id) + 1000);
            }
            self.to_client.push(event);
        }
    }

    fn server_events(&mut self) {
        while let Some(event) = self.server.poll_event(self.now) {
            match &event {
                Event::RemoteOpen(_) => self.server.open(container("server")),
                Event::Attach { link, attach } if self.answer => {
                    let answer = AttachAnswer { source: attach.source.clone(), target: attach.target.clone() };
                    self.server.answer_attach(*link, answer);
                }
                Event::Transfer(t) if t.first => {
                    self.server.set_token(t.delivery, u64::from(t.delivery.id) + 1000);
                }
                _ => {}
            }
            self.to_server.push(event);
        }
    }

    /// Lets time pass up to `end`, running timers as they become due.
    pub(super) fn sleep(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let next = [self.client.poll_timeout(), self.server.poll_timeout()].into_iter().flatten().min();
            let Some(next) = next.filter(|n| *n <= end) else { break };
            self.now = next.max(self.now);
            self.client.handle_timeout(self.now);
            self.server.handle_timeout(self.now);
            self.run();
        }
        self.now = end;
        self.run();
    }

    /// A link on which the client sends; its keys at the client and at the server.
    pub(super) fn link(&mut self, role: Role) -> (LinkKey, LinkKey) {
        let session = self.client.begin_session().expect("session");
        self.link_on(session, role, "link")
    }

    pub(super) fn link_on(&mut self, session: SessionKey, role: Role, name: &str) -> (LinkKey, LinkKey) {
        let params = AttachParams {
            name: name.to_owned(),
            role,
            source: Some(Box::new(Source::default())),
            target: Some(Box::new(Target::default())),
            snd_settle_mode: 2,
        };
        let ours = self.client.attach(session, params).expect("link");
        self.run();
        let theirs = self
            .to_server
            .iter()
            .rev()
            .find_map(|e| match e {
                Event::Attach { link, attach } if attach.name == name => Some(*link),
                _ => None,
            })
            .expect("attach");
        (ours, theirs)
    }

    pub(super) fn send_one(&mut self, link: LinkKey, token: u64, settled: bool, payload: &[u8]) -> Sent {
        assert!(self.client.start(link, Outgoing { tag: token, settled, state: None, token }));
        let mut payload = VecDeque::from([Bytes::copy_from_slice(payload)]);
        self.client.send(link, &mut payload, Some(settled), usize::MAX)
    }

    pub(super) fn failures(&self) -> Vec<Violation> {
        self.to_server
            .iter()
            .filter_map(|e| match e {
                Event::Failed(v) => Some(v.clone()),
                _ => None,
            })
            .collect()
    }

    pub(super) fn client_updates(&self) -> Vec<(u64, Option<DeliveryState>, bool)> {
        updates(&self.to_client)
    }
}

pub(super) fn updates(events: &[Event]) -> Vec<(u64, Option<DeliveryState>, bool)> {
    events
        .iter()
        .filter_map(|e| match e {
            Event::Update(u) => Some((u.token.expect("token"), u.state.clone(), u.settled)),
            _ => None,
        })
        .collect()
}

/// The messages in a list of events: their octets, and whether they were settled or aborted.
pub(super) fn messages(events: &[Event]) -> Vec<(Vec<u8>, bool, bool)> {
    let mut open: Vec<(DeliveryKey, Vec<u8>, bool)> = Vec::new();
    let mut done = Vec::new();
    for event in events {
        let Event::Transfer(t) = event else { continue };
        if t.first {
            open.push((t.delivery, Vec::new(), false));
        }
        let at = open.iter().position(|o| o.0 == t.delivery).expect("first frame");
        open[at].1.extend_from_slice(&t.payload);
        open[at].2 |= t.settled;
        if !t.more {
            let (_, octets, settled) = open.remove(at);
            done.push((octets, settled, t.aborted));
        }
    }
    done
}

/// A server that has read an open and begun a session on channel 0, and takes raw frames.
pub(super) struct Raw {
    pub(super) server: Connection,
    pub(super) events: Vec<Event>,
    pub(super) now: Instant,
}

impl Raw {
    pub(super) fn new(config: Config) -> Self {
        let mut raw = Self { server: Connection::new(config), events: Vec::new(), now: Instant::from_micros(5) };
        raw.feed(&b"AMQP\0\x01\0\0"[..]);
        raw.feed(encode(0, container("raw")));
        raw.feed(encode(0, crate::performative::Begin { incoming_window: 100, ..Default::default() }));
        raw
    }

    pub(super) fn feed(&mut self, data: impl Into<Bytes>) {
        self.server.receive(data.into());
        while let Some(event) = self.server.poll_event(self.now) {
            if matches!(event, Event::RemoteOpen(_)) {
                self.server.open(container("server"));
            }
            if let Event::Attach { link, .. } = &event {
                self.server.answer_attach(*link, AttachAnswer::default());
                self.server.grant_credit(*link, 10);
            }
            self.events.push(event);
        }
        self.server.flush(self.now);
    }

    pub(super) fn failure(&self) -> Option<&Violation> {
        self.server.failure()
    }
}

pub(super) fn attach(name: &str, handle: u32, role: Role) -> Attach {
    Attach {
        name: name.to_owned(),
        handle,
        role,
        snd_settle_mode: None,
        rcv_settle_mode: None,
        source: None,
        target: None,
        unsettled: None,
        incomplete_unsettled: false,
        initial_delivery_count: Some(0),
        max_message_size: None,
        offered_capabilities: Vec::new(),
        desired_capabilities: Vec::new(),
        properties: None,
    }
}
