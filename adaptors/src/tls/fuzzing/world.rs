//! A session whose peer is played by a script: data, padding, messages in any pieces, alerts, damaged
//! records and plain nonsense, in reads of any size, while the session writes.

use super::super::error::TlsError;
use super::super::record::{Framed, MAX_PLAINTEXT, Protector, content, frame};
use super::super::session::{PeerEnd, Session};
use super::model::{End, Model};
use super::script::Script;
use super::socket::Socket;
use super::{Rules, Suite, seal};
use crate::transport::TransportError;
use std::io::IoSlice;
use std::task::{Context, Poll, Waker};

/// Runs a session with the peer that these octets describe.
pub fn traffic(octets: &[u8]) {
    let mut script = Script::new(octets);
    let mut world = World::new(&mut script);
    while !script.is_over() {
        world.step(&mut script);
    }
    world.finish();
}

/// A session and its peer.
struct World {
    session: Session,
    socket: Socket,
    suite: Suite,
    client: bool,
    peer: Peer,
    model: Model,
    /// Data that came out of the session, and how it ended.
    received: Vec<u8>,
    end: Option<End>,
    /// Data that the session took.
    sent: Vec<u8>,
    shut: bool,
    /// The session failed while its output was blocked: its alert may be lost.
    blocked: bool,
    limit: u64,
}

/// The other end.
struct Peer {
    sealer: Protector,
    opener: Protector,
    /// How often its keys and ours changed.
    generations: [u8; 2],
    /// Handshake octets that are not in a record yet.
    messages: Vec<u8>,
    /// Records that were opened with the key in use.
    opened: u64,
    arrived: Vec<u8>,
    alerts: Vec<Vec<u8>>,
}

// === impl World ===

impl World {
    fn new(script: &mut Script<'_>) -> Self {
        let suite = Suite::numbered(script.octet());
        let setup = script.octet();
        let client = setup & 1 == 0;
        let limit = if suite.tls13 && setup & 2 == 0 { 2 + u64::from(setup >> 4) } else { u64::MAX };
        Self {
            session: Session::established(suite.established(client, Vec::new()), limit).unwrap(),
            socket: Socket { read_max: usize::MAX, room: usize::MAX, ..Socket::default() },
            suite,
            client,
            peer: Peer::new(suite, client),
            model: Model::new(Rules { tls13: suite.tls13, from_server: client }),
            received: Vec::new(),
            end: None,
            sent: Vec::new(),
            shut: false,
            blocked: false,
            limit,
        }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        match script.octet() % 16 {
            0..=2 => {
                let (len, padding) = (script.short() % (MAX_PLAINTEXT + 1), script.octet());
                self.record(content::DATA, &vec![script.octet(); len], usize::from(padding));
            }
            3 => self.record(content::DATA, &[], usize::from(script.octet())),
            4..=6 => self.peer.compose(script),
            7 | 8 => {
                let len = usize::from(script.octet()).min(self.peer.messages.len());
                let text: Vec<u8> = self.peer.messages.drain(..len).collect();
                self.record(content::HANDSHAKE, &text, 0);
            }
            9 => self.record(content::ALERT, script.take(2), 0),
            10 => self.nonsense(script),
            11 | 12 => self.write(script),
            13 => {
                self.socket.read_max = 1 + script.short();
                self.socket.room = script.short();
                self.pump();
            }
            14 => self.pump(),
            _ if script.octet() > 200 => self.shutdown(),
            _ => {}
        }
    }

    /// The peer sends a record.
    fn record(&mut self, content: u8, text: &[u8], padding: usize) {
        let record = seal(&mut self.peer.sealer, content, text, padding);
        self.deliver(&record);
        if self.suite.tls13 && text.len() + padding > MAX_PLAINTEXT {
            self.fails(TlsError::RecordTooLong);
        } else if self.model.record(content, text) {
            self.peer.change_sealer(self.suite, !self.client);
        }
    }

    fn deliver(&mut self, octets: &[u8]) {
        if !self.socket.ended {
            self.socket.input.extend(octets);
        }
    }

    fn fails(&mut self, error: TlsError) {
        self.model.end.get_or_insert(End::Failed(error));
    }

    fn nonsense(&mut self, script: &mut Script<'_>) {
        match script.octet() % 8 {
            0 => {
                let mut record = seal(&mut self.peer.sealer, content::DATA, script.take(100), 0);
                let last = record.len() - 1;
                record[last] ^= 1;
                self.deliver(&record);
                self.fails(TlsError::BadRecord);
            }
            1 => {
                self.deliver(&[20, 3, 3, 0, 1, 1]);
                let error = if self.suite.tls13 { TlsError::UnexpectedMessage } else { TlsError::BadRecord };
                self.fails(error);
            }
            2 => {
                self.deliver(&[23, 3, 3, 0x41, 1]);
                self.fails(TlsError::RecordTooLong);
            }
            3 => {
                self.deliver(b"GET / HTTP/1.1");
                self.fails(TlsError::WrongVersion);
            }
            4 if self.suite.tls13 => self.record(0, &vec![0; script.short() % MAX_PLAINTEXT], 0),
            5 => {
                self.deliver(&[23, 3, 3]);
                self.socket.ended = true;
                self.model.end.get_or_insert(End::Truncated);
            }
            6 => {
                self.socket.ended = true;
                self.model.end.get_or_insert(End::Truncated);
            }
            _ => self.record(24 + script.octet() % 200, script.take(3), 0),
        }
    }

    fn write(&mut self, script: &mut Script<'_>) {
        self.pump();
        let data = vec![script.octet(); script.short() * 4];
        let (a, b) = data.split_at(usize::from(script.octet()).min(data.len()));
        let answer_first = self.model.answer_due && !self.session.wants_flush();
        let slices = [IoSlice::new(a), IoSlice::new(&[]), IoSlice::new(b)];
        match self.session.poll_write(&mut cx(), &mut self.socket, &slices) {
            Poll::Ready(Ok(n)) => {
                assert!(!self.shut && !matches!(self.end, Some(End::Failed(_))));
                self.sent.extend_from_slice(&data[..n]);
                let before = self.peer.generations[1];
                self.open();
                if n > 0 {
                    let seen = self.peer.generations[1] != before || self.session.wants_flush();
                    assert!(!answer_first || seen, "data before the answer");
                    self.model.wrote();
                }
            }
            Poll::Ready(Err(_)) => assert!(self.shut || self.end.is_some()),
            Poll::Pending => assert_eq!(self.socket.room, 0),
        }
    }

    /// Reads all that came, and lets the peer read.
    fn pump(&mut self) {
        let blocked = self.session.wants_flush();
        while self.end.is_none() {
            match self.session.poll_read(&mut cx(), &mut self.socket) {
                Poll::Pending => break,
                Poll::Ready(Ok(Some(data))) => self.received.extend_from_slice(&data),
                Poll::Ready(Ok(None)) => {
                    self.end = Some(match self.session.peer_end().unwrap() {
                        PeerEnd::CloseNotify => End::Closed,
                        PeerEnd::Bare | PeerEnd::Truncated => End::Truncated,
                    });
                }
                Poll::Ready(Err(TransportError::Tls(error))) => {
                    self.blocked = blocked || self.session.wants_flush();
                    self.end = Some(End::Failed(error));
                }
                Poll::Ready(Err(TransportError::Io(error))) => panic!("{error}"),
            }
        }
        self.open();
    }

    /// The peer opens what came.
    fn open(&mut self) {
        let before = self.peer.generations[1];
        let mut from = 0;
        while let Ok(Framed::Whole(len)) = frame(&self.socket.output[from..]) {
            self.peer.open(&self.socket.output[from..from + len], self.suite, self.client);
            from += len;
            assert!(self.peer.opened <= self.limit.saturating_add(16), "key used too long");
        }
        self.socket.output.drain(..from);
        // A key that changed with a request of ours is an answer too.
        self.model.answer_due &= self.peer.generations[1] == before;
    }

    fn shutdown(&mut self) {
        self.pump();
        if let Poll::Ready(result) = self.session.poll_shutdown(&mut cx(), &mut self.socket) {
            result.unwrap();
            self.shut = true;
        }
    }

    fn finish(mut self) {
        (self.socket.read_max, self.socket.room) = (usize::MAX, usize::MAX);
        self.pump();
        assert!(matches!(self.session.poll_flush(&mut cx(), &mut self.socket), Poll::Ready(Ok(()))));
        self.open();
        assert_eq!(self.end, self.model.end);
        assert_eq!(self.received, self.model.data);
        assert_eq!(self.peer.arrived, self.sent);
        let fatal = match &self.end {
            Some(End::Failed(error)) if !matches!(error, TlsError::Alert(_)) => vec![2, error.alert()],
            _ => vec![1, 0],
        };
        let last = self.peer.alerts.last();
        if self.shut && !matches!(self.end, Some(End::Failed(_))) {
            assert_eq!(last, Some(&vec![1, 0]));
        } else if fatal[0] == 2 && !self.blocked && !self.shut {
            assert_eq!(last, Some(&fatal));
        }
    }
}

// === impl Peer ===

impl Peer {
    fn new(suite: Suite, client: bool) -> Self {
        Self {
            sealer: suite.protector(!client, 0),
            opener: suite.protector(client, 0),
            generations: [0; 2],
            messages: Vec::new(),
            opened: 0,
            arrived: Vec::new(),
            alerts: Vec::new(),
        }
    }

    fn change_sealer(&mut self, suite: Suite, from_client: bool) {
        self.generations[0] = self.generations[0].wrapping_add(1);
        self.sealer = suite.protector(from_client, self.generations[0]);
    }

    /// Puts a handshake message behind those that wait.
    fn compose(&mut self, script: &mut Script<'_>) {
        let len = script.octet();
        let body = vec![len; usize::from(len)];
        let ticket = [&[4, 0, 0, len], body.as_slice()].concat();
        let hello = [&[1, 0, 0, len], body.as_slice()].concat();
        self.messages.extend_from_slice(match script.octet() % 8 {
            0 | 1 => &[24, 0, 0, 1, 0],
            2 | 3 => &[24, 0, 0, 1, 1],
            4 => &ticket,
            5 => &hello,
            6 => &[0, 0, 0, 0],
            _ => script.take(5),
        });
    }

    fn open(&mut self, record: &[u8], suite: Suite, from_client: bool) {
        let mut text = vec![0; record.len()];
        let opened = self.opener.open(record, &mut text).unwrap();
        text.truncate(opened.len);
        self.opened += 1;
        match opened.content {
            content::DATA => self.arrived.extend_from_slice(&text),
            content::ALERT => self.alerts.push(text),
            _ => {
                assert_eq!((opened.content, &text[..4]), (content::HANDSHAKE, &[24, 0, 0, 1][..]));
                assert!(text.len() == 5 && text[4] < 2);
                self.generations[1] = self.generations[1].wrapping_add(1);
                self.opener = suite.protector(from_client, self.generations[1]);
                self.opened = 0;
            }
        }
    }
}

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}
