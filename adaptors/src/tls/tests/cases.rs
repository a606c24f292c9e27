//! Single cases of what a peer may send, and what is answered.

use super::super::error::TlsError;
use super::super::fuzzing::{Socket, Suite, seal};
use super::super::record::{Framed, MAX_PLAINTEXT, Protector, content, frame};
use super::super::session::{PeerEnd, Session};
use super::super::traffic::MAX_CONTROLS;
use crate::transport::TransportError;
use aws_lc_rs::aead::{AES_128_GCM, CHACHA20_POLY1305};
use rustls::AlertDescription;
use std::io::IoSlice;
use std::task::{Context, Poll, Waker};

/// Suites by number: all ciphers with TLS 1.3 and 1.2 in turn.
const TLS13: u8 = 0;
const TLS12: u8 = 1;

const KEY_UPDATE: [u8; 5] = [24, 0, 0, 1, 0];
const KEY_UPDATE_REQUESTED: [u8; 5] = [24, 0, 0, 1, 1];
const TICKET: [u8; 8] = [4, 0, 0, 4, 1, 2, 3, 4];
const HELLO_REQUEST: [u8; 4] = [0, 0, 0, 0];
const CLIENT_HELLO: [u8; 5] = [1, 0, 0, 1, 3];

/// A session and the keys of its peer.
struct Pair {
    session: Session,
    socket: Socket,
    suite: Suite,
    client: bool,
    sealer: Protector,
    opener: Protector,
    generations: [u8; 2],
}

// === impl Pair ===

impl Pair {
    fn new(suite: u8, client: bool) -> Self {
        Self::limited(suite, client, u64::MAX)
    }

    /// Keys change after so many records.
    fn limited(suite: u8, client: bool, limit: u64) -> Self {
        Self::with_rest(suite, client, limit, |_| Vec::new())
    }

    /// The handshake brought these octets of the peer with it.
    fn with_rest(suite: u8, client: bool, limit: u64, rest: impl FnOnce(&mut Protector) -> Vec<u8>) -> Self {
        let suite = Suite::numbered(suite);
        let (mut sealer, opener) = (suite.protector(!client, 0), suite.protector(client, 0));
        let established = suite.established(client, rest(&mut sealer));
        let session = Session::established(established, limit).unwrap();
        let socket = Socket { read_max: usize::MAX, room: usize::MAX, ..Socket::default() };
        Self { session, socket, suite, client, sealer, opener, generations: [0; 2] }
    }

    /// The peer sends a record.
    fn send(&mut self, content: u8, text: &[u8]) {
        self.send_padded(content, text, 0);
    }

    fn send_padded(&mut self, content: u8, text: &[u8], padding: usize) {
        let record = seal(&mut self.sealer, content, text, padding);
        self.socket.input.extend(record);
    }

    /// The peer changes its key.
    fn update(&mut self, message: &[u8]) {
        self.send(content::HANDSHAKE, message);
        self.generations[0] += 1;
        self.sealer = self.suite.protector(!self.client, self.generations[0]);
    }

    /// What the session gives out now.
    fn read(&mut self) -> Poll<Result<Option<Vec<u8>>, TlsError>> {
        self.session.poll_read(&mut cx(), &mut self.socket).map(|result| match result {
            Ok(data) => Ok(data.map(|data| data.to_vec())),
            Err(TransportError::Tls(error)) => Err(error),
            Err(TransportError::Io(error)) => panic!("{error}"),
        })
    }

    fn write(&mut self, data: &[u8]) -> Poll<Result<usize, TransportError>> {
        self.session.poll_write(&mut cx(), &mut self.socket, &[IoSlice::new(data)])
    }

    /// The records that the session sent, opened; key updates are followed.
    fn sent(&mut self) -> Vec<(u8, Vec<u8>)> {
        let mut records = Vec::new();
        while let Ok(Framed::Whole(len)) = frame(&self.socket.output) {
            let record: Vec<u8> = self.socket.output.drain(..len).collect();
            let mut text = vec![0; len];
            let opened = self.opener.open(&record, &mut text).unwrap();
            text.truncate(opened.len);
            if opened.content == content::HANDSHAKE {
                self.generations[1] += 1;
                self.opener = self.suite.protector(self.client, self.generations[1]);
            }
            records.push((opened.content, text));
        }
        records
    }

    /// The session refuses what came, with this alert.
    fn fails(mut self, alert: AlertDescription, what: &str) {
        match self.read() {
            Poll::Ready(Err(error)) => assert_eq!(error.alert(), u8::from(alert), "{what}: {error}"),
            other => panic!("{what}: {other:?}"),
        }
        assert_eq!(self.sent(), [(content::ALERT, vec![2, u8::from(alert)])], "{what}");
        assert!(matches!(self.read(), Poll::Ready(Err(_))), "{what}");
        assert!(matches!(self.write(b"x"), Poll::Ready(Err(_))), "{what}");
        assert!(matches!(self.session.poll_shutdown(&mut cx(), &mut self.socket), Poll::Ready(Ok(()))));
        assert_eq!(self.sent(), [], "no closing alert behind a fatal one");
    }
}

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn fails(suite: u8, client: bool, records: &[(u8, &[u8])], alert: AlertDescription, what: &str) {
    let mut pair = Pair::new(suite, client);
    for (content, text) in records {
        pair.send(*content, text);
    }
    pair.fails(alert, what);
}

#[test]
fn messages_that_have_no_place_get_the_right_alert() {
    use AlertDescription::{DecodeError, IllegalParameter, UnexpectedMessage};
    let (client, server) = (true, false);
    for (suite, role, message, alert, what) in [
        (TLS13, client, &[24, 0, 0, 1, 2][..], IllegalParameter, "key update of a third form"),
        (TLS13, client, &[24, 0, 0, 2, 0, 0], DecodeError, "long key update"),
        (TLS13, client, &[24, 0, 0, 0], DecodeError, "short key update"),
        (TLS13, server, &TICKET, UnexpectedMessage, "ticket from a client"),
        (TLS13, client, &[13, 0, 0, 3, 0, 0, 0], UnexpectedMessage, "certificate request that was not offered"),
        (TLS13, client, &[13, 0, 0, 3], UnexpectedMessage, "its header"),
        (TLS13, client, &HELLO_REQUEST, UnexpectedMessage, "hello request in TLS 1.3"),
        (TLS13, server, &CLIENT_HELLO, UnexpectedMessage, "client hello in TLS 1.3"),
        (TLS13, server, &[20, 0, 0, 1, 0], UnexpectedMessage, "finished"),
        (TLS13, client, &[], UnexpectedMessage, "empty handshake record"),
        (TLS13, client, &[24, 0, 0, 1, 0, 24, 0, 0, 1, 0], UnexpectedMessage, "key update before another"),
        (TLS13, client, &[24, 0, 0, 1, 0, 4], UnexpectedMessage, "key update before a part of a ticket"),
        (TLS12, client, &KEY_UPDATE, UnexpectedMessage, "key update in TLS 1.2"),
        (TLS12, client, &TICKET, UnexpectedMessage, "ticket in TLS 1.2"),
        (TLS12, server, &HELLO_REQUEST, UnexpectedMessage, "hello request from a client"),
        (TLS12, client, &CLIENT_HELLO, UnexpectedMessage, "client hello from a server"),
        (TLS12, client, &[0, 0, 0, 1, 0], DecodeError, "long hello request"),
        (TLS12, client, &[], UnexpectedMessage, "empty handshake record"),
    ] {
        fails(suite, role, &[(content::HANDSHAKE, message)], alert, what);
    }
}

#[test]
fn records_that_have_no_place_get_the_right_alert() {
    use AlertDescription::{BadRecordMac, ProtocolVersion, RecordOverflow, UnexpectedMessage};
    for suite in [TLS13, TLS12] {
        fails(suite, true, &[(20, &[1])], UnexpectedMessage, "protected change of ciphers");
        fails(suite, true, &[(24, &[1])], UnexpectedMessage, "heartbeat");
        fails(suite, true, &[(content::ALERT, &[])], UnexpectedMessage, "empty alert");
        fails(suite, true, &[(content::ALERT, &[1, 0, 1, 0])], UnexpectedMessage, "two alerts in a record");
        let part: (u8, &[u8]) = (content::HANDSHAKE, if suite == TLS13 { &TICKET[..6] } else { &HELLO_REQUEST[..2] });
        fails(suite, true, &[part, (content::DATA, b"x")], UnexpectedMessage, "data within a message");
        fails(suite, true, &[part, (content::DATA, b"")], UnexpectedMessage, "nothing within a message");
        fails(suite, true, &[part, (content::ALERT, &[1, 0])], UnexpectedMessage, "close within a message");
        for (octets, alert) in [
            (&[23, 3, 3, 0x41, 1][..], RecordOverflow),
            (&[23, 3, 3, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], BadRecordMac),
            (&[23, 3, 3, 0, 0], BadRecordMac),
            (&[23, 2, 0, 0, 1, 1], ProtocolVersion),
        ] {
            let mut pair = Pair::new(suite, true);
            pair.socket.input.extend(octets);
            pair.fails(alert, "octets that are no record");
        }
        let mut pair = Pair::new(suite, true);
        pair.send(content::DATA, &vec![7; MAX_PLAINTEXT + 1]);
        pair.fails(RecordOverflow, "text longer than a record may hold");
    }
    let mut pair = Pair::new(TLS13, true);
    pair.socket.input.extend([20, 3, 3, 0, 1, 1]);
    pair.fails(UnexpectedMessage, "change of ciphers after the handshake");
    let mut pair = Pair::new(TLS13, true);
    pair.send_padded(content::DATA, &vec![7; MAX_PLAINTEXT], 1);
    pair.fails(RecordOverflow, "text and padding longer than a record may hold");
    fails(TLS13, true, &[(0, &[0; 100])], UnexpectedMessage, "nothing but padding");
}

#[test]
fn records_are_as_long_as_they_may_be() {
    for suite in 0..6 {
        let mut pair = Pair::new(suite, true);
        pair.send(content::DATA, &vec![7; MAX_PLAINTEXT]);
        pair.send_padded(content::DATA, &vec![7; MAX_PLAINTEXT - 200], 200);
        assert_eq!(pair.read(), Poll::Ready(Ok(Some(vec![7; 2 * MAX_PLAINTEXT - 200]))));
    }
}

#[test]
fn alerts_mean_what_their_version_says() {
    let (warning, fatal) = (1, 2);
    let user_canceled = u8::from(AlertDescription::UserCanceled);
    let other = u8::from(AlertDescription::BadCertificate);
    for (suite, alert, ignored) in [
        (TLS13, [warning, user_canceled], true),
        (TLS13, [warning, other], false),
        (TLS13, [fatal, other], false),
        (TLS13, [warning, 250], false),
        (TLS12, [warning, user_canceled], true),
        (TLS12, [warning, other], true),
        (TLS12, [fatal, other], false),
        (TLS12, [fatal, user_canceled], false),
    ] {
        let mut pair = Pair::new(suite, true);
        pair.send(content::ALERT, &alert);
        pair.send(content::DATA, b"more");
        let expected =
            if ignored { Ok(Some(b"more".to_vec())) } else { Err(TlsError::Alert(AlertDescription::from(alert[1]))) };
        assert_eq!(pair.read(), Poll::Ready(expected), "{suite} {alert:?}");
        assert_eq!(pair.sent(), [], "an alert is not answered");
    }
}

#[test]
fn too_many_records_without_data_end_the_connection() {
    let closes = |send: &dyn Fn(&mut Pair), suite: u8, what: &str| {
        let mut pair = Pair::new(suite, true);
        (0..MAX_CONTROLS).for_each(|_| send(&mut pair));
        pair.send(content::DATA, b"x");
        assert_eq!(pair.read(), Poll::Ready(Ok(Some(b"x".to_vec()))), "{what}");
        (0..=MAX_CONTROLS).for_each(|_| send(&mut pair));
        assert_eq!(pair.read(), Poll::Ready(Err(TlsError::TooManyControls)), "{what}");
        let alert = vec![2, u8::from(AlertDescription::UnexpectedMessage)];
        assert_eq!(pair.sent().last(), Some(&(content::ALERT, alert)), "{what}");
    };
    closes(&|pair| pair.update(&KEY_UPDATE), TLS13, "key updates");
    closes(&|pair| pair.update(&KEY_UPDATE_REQUESTED), TLS13, "requested key updates");
    closes(&|pair| pair.send(content::HANDSHAKE, &TICKET), TLS13, "tickets");
    closes(&|pair| pair.send(content::DATA, b""), TLS13, "empty records");
    closes(&|pair| pair.send(content::DATA, b""), TLS12, "empty records");
    closes(&|pair| pair.send(content::ALERT, &[1, 90]), TLS13, "alerts");
    closes(&|pair| pair.send(content::ALERT, &[1, 90]), TLS12, "warnings");
    closes(&|pair| pair.send(content::HANDSHAKE, &HELLO_REQUEST), TLS12, "hello requests");
    // Messages count, however they are packed.
    fails(TLS13, true, &[(content::HANDSHAKE, &TICKET.repeat(65))], AlertDescription::UnexpectedMessage, "in one");
}

#[test]
fn a_receiver_may_update_its_key_as_often_as_we_send() {
    let mut pair = Pair::new(TLS13, true);
    for _ in 0..3 * MAX_CONTROLS {
        pair.update(&KEY_UPDATE_REQUESTED);
        assert_eq!(pair.read(), Poll::Pending);
        assert!(matches!(pair.write(b"data"), Poll::Ready(Ok(4))));
        let answer = (content::HANDSHAKE, KEY_UPDATE.to_vec());
        assert_eq!(pair.sent(), [answer, (content::DATA, b"data".to_vec())]);
    }
}

#[test]
fn many_requests_have_one_answer() {
    let mut pair = Pair::new(TLS13, false);
    (0..10).for_each(|_| pair.update(&KEY_UPDATE_REQUESTED));
    pair.send(content::DATA, b"x");
    assert_eq!(pair.read(), Poll::Ready(Ok(Some(b"x".to_vec()))));
    for data in [b"one", b"two"] {
        assert!(matches!(pair.write(data), Poll::Ready(Ok(3))));
    }
    let kinds: Vec<u8> = pair.sent().iter().map(|(content, _)| *content).collect();
    assert_eq!(kinds, [content::HANDSHAKE, content::DATA, content::DATA]);
}

#[test]
fn messages_come_in_any_pieces() {
    for piece in 1..20 {
        let mut pair = Pair::new(TLS13, true);
        let messages = [TICKET.as_slice(), &TICKET, &KEY_UPDATE].concat();
        for part in messages.chunks(piece) {
            pair.send(content::HANDSHAKE, part);
        }
        pair.sealer = pair.suite.protector(false, 1);
        pair.send(content::DATA, b"under the next key");
        pair.socket.read_max = piece;
        let data = loop {
            match pair.read() {
                Poll::Ready(Ok(Some(data))) => break data,
                Poll::Pending => {}
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(data, b"under the next key");
    }
}

#[test]
fn renegotiation_is_declined_and_the_connection_goes_on() {
    for (client, message) in [(true, HELLO_REQUEST.as_slice()), (false, &CLIENT_HELLO)] {
        let mut pair = Pair::new(TLS12, client);
        pair.send(content::HANDSHAKE, message);
        assert_eq!(pair.read(), Poll::Pending);
        assert_eq!(pair.sent(), [(content::ALERT, vec![1, u8::from(AlertDescription::NoRenegotiation)])]);
        pair.send(content::DATA, b"on");
        assert_eq!(pair.read(), Poll::Ready(Ok(Some(b"on".to_vec()))));
        assert!(matches!(pair.write(b"on"), Poll::Ready(Ok(2))));
    }
}

#[test]
fn keys_change_before_they_are_worn_and_the_peer_is_asked_to_change_its_own() {
    for suite in [0, 2, 4] {
        let mut pair = Pair::limited(suite, true, 3);
        for n in 0..10_u8 {
            assert!(matches!(pair.write(&[n]), Poll::Ready(Ok(1))));
        }
        let sent = pair.sent();
        assert_eq!(sent.iter().filter(|r| **r == (content::HANDSHAKE, KEY_UPDATE.to_vec())).count(), 3);
        assert!(sent.iter().filter(|r| r.0 == content::DATA).map(|r| r.1[0]).eq(0..10));
        // The peer is asked once for each of its keys, also when we have nothing to send.
        for _ in 0..2 {
            (0..8).for_each(|_| pair.send(content::DATA, b"x"));
            assert_eq!(pair.read(), Poll::Ready(Ok(Some(vec![b'x'; 8]))));
            assert_eq!(pair.sent(), [(content::HANDSHAKE, KEY_UPDATE_REQUESTED.to_vec())]);
            pair.send(content::DATA, b"y");
            assert_eq!(pair.read(), Poll::Ready(Ok(Some(b"y".to_vec()))));
            assert_eq!(pair.sent(), []);
            pair.update(&KEY_UPDATE);
            assert_eq!(pair.read(), Poll::Pending);
        }
    }
}

#[test]
fn a_request_waits_behind_data_that_the_socket_does_not_take() {
    let mut pair = Pair::limited(TLS13, true, 3);
    pair.socket.room = 10;
    assert!(matches!(pair.write(&[1; 100]), Poll::Ready(Ok(100))));
    (0..4).for_each(|_| pair.send(content::DATA, b"x"));
    assert_eq!(pair.read(), Poll::Ready(Ok(Some(vec![b'x'; 4]))));
    pair.socket.room = usize::MAX;
    assert!(matches!(pair.write(&[2]), Poll::Ready(Ok(1))));
    let sent = pair.sent();
    assert_eq!(sent[1], (content::HANDSHAKE, KEY_UPDATE_REQUESTED.to_vec()));
    assert_eq!(sent[2], (content::DATA, vec![2]));
}

#[test]
fn a_worn_key_of_tls12_ends_the_connection_with_an_error() {
    // By what was protected, not by the number of records.
    let mut pair = Pair::limited(TLS12, true, 2);
    for _ in 0..1000 {
        assert!(matches!(pair.write(b"x"), Poll::Ready(Ok(1))));
    }
    pair.sent();
    assert!(matches!(pair.write(&[0; MAX_PLAINTEXT]), Poll::Ready(Ok(_))));
    assert!(matches!(pair.write(b"x"), Poll::Ready(Err(TransportError::Tls(TlsError::KeyWorn)))));
    let sent = pair.sent();
    let alert = vec![2, u8::from(AlertDescription::InternalError)];
    assert_eq!(sent.last(), Some(&(content::ALERT, alert)));
    assert!(matches!(pair.write(b"x"), Poll::Ready(Err(TransportError::Tls(TlsError::KeyWorn)))));
}

#[test]
fn ciphers_have_their_own_limits() {
    let worn = |tls13, cipher, sequence| {
        Protector::with_key(tls13, sequence, cipher, &vec![0; cipher.key_len()], &[0; 12]).unwrap().is_worn()
    };
    // RFC 8446 5.5: 2^24.5 full records at most.
    assert!(!worn(true, &AES_128_GCM, (1 << 23) - 1));
    assert!(worn(true, &AES_128_GCM, 1 << 23));
    assert!(!worn(false, &AES_128_GCM, (1025 << 24) - 1));
    assert!(worn(false, &AES_128_GCM, 1025 << 24));
    for tls13 in [true, false] {
        assert!(!worn(tls13, &CHACHA20_POLY1305, 1 << 48));
        assert!(worn(tls13, &CHACHA20_POLY1305, u64::MAX - 1));
    }
}

#[test]
fn the_end_of_the_peers_octets_is_told_apart() {
    for suite in [TLS13, TLS12] {
        let mut pair = Pair::new(suite, true);
        pair.send(content::DATA, b"all");
        pair.send(content::ALERT, &[1, 0]);
        pair.send(content::DATA, b"behind the end");
        assert_eq!(pair.read(), Poll::Ready(Ok(Some(b"all".to_vec()))));
        assert_eq!(pair.read(), Poll::Ready(Ok(None)));
        assert_eq!(pair.session.peer_end(), Some(PeerEnd::CloseNotify));
        // Half closed: we may go on.
        assert!(matches!(pair.write(b"more"), Poll::Ready(Ok(4))));
        assert!(matches!(pair.session.poll_shutdown(&mut cx(), &mut pair.socket), Poll::Ready(Ok(()))));
        assert_eq!(pair.sent(), [(content::DATA, b"more".to_vec()), (content::ALERT, vec![1, 0])]);
        assert!(pair.socket.shut);
        assert!(matches!(pair.write(b"x"), Poll::Ready(Err(TransportError::Io(_)))));

        for cut in [0, 3, 20] {
            let mut pair = Pair::new(suite, true);
            pair.send(content::DATA, b"some");
            let next = seal(&mut pair.sealer, content::DATA, b"lost", 0);
            pair.socket.input.extend(&next[..cut]);
            pair.socket.ended = true;
            assert_eq!(pair.read(), Poll::Ready(Ok(Some(b"some".to_vec()))));
            assert_eq!(pair.read(), Poll::Ready(Ok(None)));
            let expected = if cut == 0 { PeerEnd::Bare } else { PeerEnd::Truncated };
            assert_eq!(pair.session.peer_end(), Some(expected));
        }

        let mut pair = Pair::new(suite, true);
        pair.send(content::DATA, b"some");
        pair.send(content::ALERT, &[2, 80]);
        assert_eq!(pair.read(), Poll::Ready(Ok(Some(b"some".to_vec()))));
        assert_eq!(pair.read(), Poll::Ready(Err(TlsError::Alert(AlertDescription::InternalError))));
        assert_eq!(pair.session.peer_end(), None);
    }
}

#[test]
fn octets_that_came_with_the_handshake_are_the_first() {
    for cut in 0..2 {
        let mut pair = Pair::with_rest(TLS13, false, u64::MAX, |sealer| {
            let mut rest = seal(sealer, content::DATA, b"early", 0);
            rest.extend(seal(sealer, content::HANDSHAKE, &KEY_UPDATE, 0));
            rest.truncate(rest.len() - cut);
            rest
        });
        assert_eq!(pair.read(), Poll::Ready(Ok(Some(b"early".to_vec()))));
        assert_eq!(pair.read(), Poll::Pending);
    }
}
