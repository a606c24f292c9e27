//! Headers, SASL, open, close and timers.

use super::super::*;
use super::pair::{Pair, Raw, anonymous_client, container, encode, take_all};
use crate::frame::{FrameHeader, HEADER_LEN};
use crate::performative::{Close, Error, Open, Performative};
use crate::sasl::{AuthReply, AuthRequest};
use crate::value::Symbol;
use bytes::Bytes;
use std::time::Duration;

/// The frames in `octets` behind the AMQP header that must come first.
fn frames(octets: &[u8]) -> Vec<Performative> {
    let mut rest = octets.strip_prefix(b"AMQP\0\x01\0\0").expect("header");
    let mut found = Vec::new();
    while !rest.is_empty() {
        let header = FrameHeader::parse(rest, u32::MAX).unwrap().unwrap();
        let body = Bytes::copy_from_slice(&rest[HEADER_LEN..header.size as usize]);
        found.push(Performative::decode(&body).unwrap().0);
        rest = &rest[header.size as usize..];
    }
    found
}

fn server_reaction(input: &[u8]) -> (Connection, Vec<u8>) {
    let mut server = Connection::new(Config::default());
    let now = crate::time::Instant::default();
    for chunk in input.chunks(3) {
        server.receive(Bytes::copy_from_slice(chunk));
        while server.poll_event(now).is_some() {}
    }
    server.flush(now);
    let written = take_all(server.output());
    (server, written)
}

#[test]
fn unknown_protocol_gets_minimal_open_and_close() {
    let (server, written) = server_reaction(b"GET / HTTP/1.1\r\n");
    let frames = frames(&written);
    assert_eq!(frames[0], Performative::Open(Box::default()));
    let Performative::Close(Close { error: Some(error) }) = &frames[1] else { panic!("{frames:?}") };
    assert_eq!(error.condition, "amqp:connection:framing-error");
    assert_eq!(error.description.as_deref(), Some("Unknown protocol detected: 'GET'"));
    assert_eq!(server.status(), Status::Closing);
    assert_eq!(frames.len(), 2);
}

#[test]
fn other_bad_headers() {
    for (input, violation) in [
        (&b"AMQP\0\x01\0\x01"[..], Violation::IncompatibleAmqp("AMQP\\x00\\x01\\x00\\x01".into())),
        (b"AMQP\x02\x01\0\0", Violation::AmqpTlsNotAllowed("AMQP\\x02\\x01\\x00\\x00".into())),
    ] {
        assert_eq!(server_reaction(input).0.failure(), Some(&violation));
    }
    let mut server = Connection::new(Config::default());
    server.receive(Bytes::from_static(b"\x16\x03\x01\0\x05"));
    server.poll_event(crate::time::Instant::default());
    assert_eq!(server.failure(), Some(&Violation::TlsNotAllowed("\\x16\\x03\\x01\\x00\\x05".into())));
}

#[test]
fn nothing_is_written_before_something_is_recognised() {
    let (mut server, written) = server_reaction(b"AMQP");
    assert!(written.is_empty());
    assert_eq!(server.transport_closed(), Some(Violation::NoHeader));
}

/// fe2o3-amqp sends its open only when it has our header.
#[test]
fn header_is_answered_before_the_open() {
    let (mut server, written) = server_reaction(b"AMQP\0\x01\0\0");
    assert_eq!(&written[..], b"AMQP\0\x01\0\0");
    assert_eq!(server.transport_closed(), Some(Violation::Aborted));
}

#[test]
fn sasl_can_be_demanded() {
    let require = |require| SaslConfig::Server {
        require,
        mechanisms: vec!["ANONYMOUS".into(), "PLAIN".into()],
        external_identity: None,
    };
    let mut pair = Pair::new(
        Config { sasl: SaslConfig::BareClient, ..Config::default() },
        Config { sasl: require(true), ..Config::default() },
    );
    pair.client.open(container("c"));
    pair.run();
    assert_eq!(pair.server.status(), Status::Dropped);
    assert_eq!(pair.failures(), [Violation::SkippedAuthentication]);
    assert!(pair.to_client.is_empty());

    let mut pair = Pair::new(
        Config { sasl: SaslConfig::BareClient, ..Config::default() },
        Config { sasl: require(false), ..Config::default() },
    );
    pair.client.open(container("c"));
    pair.run();
    assert!(pair.server.is_open());
    assert_eq!(pair.server.authentication().user, None);
}

#[test]
fn plain_is_checked_by_the_caller() {
    for ok in [true, false] {
        let sasl = SaslConfig::Client {
            mechanisms: None,
            username: Some("user@x".into()),
            password: Some("pw".into()),
            external: false,
            hostname: Some("h".into()),
        };
        let server_sasl =
            SaslConfig::Server { require: true, mechanisms: vec!["PLAIN".into()], external_identity: None };
        let mut pair =
            Pair::new(Config { sasl, ..Config::default() }, Config { sasl: server_sasl, ..Config::default() });
        pair.client.open(container("c"));
        pair.chunk = 5;
        pair.run();
        let Some(Event::Auth(AuthRequest::Password(credentials))) = pair.to_server.last() else {
            panic!("{:?}", pair.to_server)
        };
        assert_eq!((&*credentials.username, credentials.password.expose()), ("user@x", "pw"));
        let accepted = AuthReply::Accepted { user: credentials.username.clone(), last: None };
        pair.server.auth_result(if ok { accepted } else { AuthReply::bad_credentials() });
        pair.run();
        assert_eq!(pair.server.is_open(), ok);
        if ok {
            assert_eq!(pair.server.authentication().user.as_deref(), Some("user@x"));
        } else {
            let v = pair.server.failure().unwrap();
            assert_eq!(v.condition(), "amqp:unauthorized-access");
            assert_eq!(v.to_string(), "authentication failure (Failed to authenticate client [mech=PLAIN])");
            assert_eq!(pair.client.failure(), Some(&Violation::AuthenticationFailed { mechanism: "PLAIN".into() }));
            assert_eq!(pair.server.status(), Status::Closing);
        }
    }
}

#[test]
fn client_pipelines_open_after_sasl() {
    let mut client = Connection::new(Config { sasl: anonymous_client(), ..Config::default() });
    client.open(container("c"));
    let mut server = Connection::new(Config::default());
    let now = crate::time::Instant::default();
    server.receive(take_all(client.output()).into());
    while server.poll_event(now).is_some() {}
    client.receive(take_all(server.output()).into());
    while client.poll_event(now).is_some() {}
    server.receive(take_all(client.output()).into());
    while server.poll_event(now).is_some() {}
    // The outcome is out; the server's AMQP header is not.
    client.receive(take_all(server.output()).into());
    while client.poll_event(now).is_some() {}
    let written = take_all(client.output());
    assert!(matches!(&frames(&written)[..], [Performative::Open(open)] if open.container_id == "c"));
}

#[test]
fn open_is_filled_in() {
    let mut pair = Pair::new(
        Config { sasl: anonymous_client(), idle_timeout: Some(Duration::from_secs(16)), ..Config::default() },
        Config { channel_max: u16::MAX, ..Config::default() },
    );
    pair.client.open(container("c"));
    pair.run();
    let Some(Event::RemoteOpen(open)) = pair.to_server.first() else { panic!() };
    assert_eq!((open.max_frame_size, open.channel_max, open.idle_time_out), (Some(16384), Some(32767), Some(8000)));
    let Some(Event::RemoteOpen(open)) = pair.to_client.first() else { panic!() };
    assert_eq!((open.channel_max, open.idle_time_out), (None, None));
}

#[test]
fn close_in_good_order() {
    let mut pair = Pair::opened();
    pair.client.close(Some(Box::new(Error {
        condition: Symbol::from_static("amqp:connection:forced"),
        description: Some("bye".into()),
        info: None,
    })));
    pair.run();
    assert!(matches!(pair.to_server.last(), Some(Event::Closed { error: Some(_) })));
    assert!(matches!(pair.to_client.last(), Some(Event::Closed { error: None })));
    assert_eq!((pair.client.status(), pair.server.status()), (Status::Closing, Status::Closing));
    assert_eq!((pair.client.failure(), pair.server.failure()), (None, None));
    assert_eq!(pair.client.transport_closed(), None);
}

#[test]
fn close_is_not_awaited_forever() {
    let mut raw = Raw::new(Config::default());
    raw.server.close(None);
    raw.server.flush(raw.now);
    assert_eq!(raw.server.status(), Status::Running);
    let due = raw.server.poll_timeout().unwrap();
    raw.server.handle_timeout(due);
    assert_eq!(raw.server.status(), Status::Closing);
}

#[test]
fn idle_peer_is_closed() {
    let mut pair = Pair::opened_with(|client, server| {
        server.idle_timeout = Some(Duration::from_secs(4));
        client.idle_timeout = None;
    });
    // With heartbeats every second the connection lives.
    pair.sleep(Duration::from_secs(60));
    assert_eq!(pair.failures(), []);
    // Without them it does not.
    let start = pair.now;
    let due = pair.server.poll_timeout().unwrap();
    assert!(due > start && due <= start + Duration::from_secs(4));
    pair.server.handle_timeout(due);
    let Some(Event::Failed(v)) = pair.server.poll_event(due) else { panic!() };
    assert_eq!((v.condition(), &*v.to_string()), ("amqp:resource-limit-exceeded", "local-idle-timeout expired"));
    assert_eq!(pair.server.status(), Status::Closing);
    assert_eq!(pair.server.poll_timeout(), None);
}

#[test]
fn a_client_gives_up_on_a_silent_server() {
    let now = crate::time::Instant::default();
    let idle_timeout = Some(Duration::from_secs(4));
    // Without any answer, and with nothing behind the header.
    for answer in [b"".as_slice(), b"AMQP\x03\x01\0\0"] {
        let mut client = Connection::new(Config { sasl: anonymous_client(), idle_timeout, ..Config::default() });
        client.open(container("c"));
        client.receive(Bytes::from_static(answer));
        while client.poll_event(now).is_some() {}
        client.flush(now);
        let due = now + Duration::from_secs(4);
        assert_eq!(client.poll_timeout(), Some(due));
        client.handle_timeout(due);
        let Some(Event::Failed(v)) = client.poll_event(due) else { panic!() };
        assert_eq!(v.to_string(), "local-idle-timeout expired");
        assert_eq!(client.status(), Status::Closing);
    }
    // A server leaves it to its caller.
    let mut server = Connection::new(Config { idle_timeout, ..Config::default() });
    server.flush(now);
    assert_eq!(server.poll_timeout(), None);
}

#[test]
fn heartbeats_fill_silence_only() {
    let mut server = Connection::new(Config::default());
    let mut now = crate::time::Instant::default();
    server.receive(Bytes::from_static(b"AMQP\0\x01\0\0"));
    server.receive(encode(0, Open { idle_time_out: Some(8000), ..container("c") }));
    while server.poll_event(now).is_some() {}
    server.open(container("s"));
    server.flush(now);
    take_all(server.output());
    let mut beats = 0;
    for _ in 0..10 {
        let due = server.poll_timeout().unwrap();
        assert_eq!(due - now, Duration::from_secs(4));
        now = due;
        server.handle_timeout(now);
        server.flush(now);
        assert_eq!(take_all(server.output()), [0, 0, 0, 8, 2, 0, 0, 0]);
        beats += 1;
    }
    assert_eq!(beats, 10);
    now = now + Duration::from_secs(3);
    server.begin_session();
    server.flush(now);
    assert_eq!(server.poll_timeout(), Some(now + Duration::from_secs(4)));
    server.close(None);
    server.flush(now);
    take_all(server.output());
    while server.status() == Status::Running {
        now = server.poll_timeout().unwrap();
        server.handle_timeout(now);
        server.flush(now);
        assert!(server.output().is_empty());
    }
}

#[test]
fn a_client_that_closes_before_its_header_ends_without_frames() {
    let mut client = Connection::new(Config { sasl: anonymous_client(), ..Config::default() });
    client.open(container("c"));
    client.close(None);
    client.flush(crate::time::Instant::default());
    assert_eq!((client.status(), client.failure()), (Status::Closing, None));
    assert_eq!(take_all(client.output()), b"AMQP\x03\x01\0\0");
}

#[test]
fn trace_shows_frames_and_hides_passwords() {
    let sasl = SaslConfig::Client {
        mechanisms: None,
        username: Some("user".into()),
        password: Some("secret".into()),
        external: false,
        hostname: None,
    };
    let mut client = Connection::new(Config { sasl, ..Config::default() });
    let mut server = Connection::new(Config {
        sasl: SaslConfig::Server { require: true, mechanisms: vec!["PLAIN".into()], external_identity: None },
        ..Config::default()
    });
    let now = crate::time::Instant::default();
    server.set_trace(true);
    server.receive(take_all(client.output()).into());
    while server.poll_event(now).is_some() {}
    client.receive(take_all(server.output()).into());
    while client.poll_event(now).is_some() {}
    server.receive(take_all(client.output()).into());
    while server.poll_event(now).is_some() {}
    server.auth_result(AuthReply::Accepted { user: "user".into(), last: None });
    let lines = server.take_trace();
    assert_eq!(lines[0], "  <- SASL");
    assert_eq!(lines[1], "  -> SASL");
    assert_eq!(lines[2], "0 -> @sasl-mechanisms(64) [sasl-server-mechanisms=@<symbol>[:PLAIN]]");
    assert!(lines[3].starts_with("0 <- @sasl-init(65) [mechanism=:PLAIN"), "{}", lines[3]);
    assert!(lines.iter().all(|l| !l.contains("secret")));
    assert_eq!(lines[4], "0 -> @sasl-outcome(68) [code=0x0]");
}
