//! The AMQP driver over pipes that hold little, with raw octets on the other end.

#![allow(clippy::disallowed_methods, reason = "tests have tasks of their own")]

use adaptors::amqp::{Authenticator, Driver, Ending};
use adaptors::clock;
use adaptors::sasl::Exchange;
use adaptors::transport::Transport;
use router_engine::Router;
use router_engine::core::connection::{ConnParams, ConnectionRole};
use router_engine::core::ids::ConnId;
use router_engine::core::{Mode, RouterConfig};
use router_engine::port::{AmqpPort, AuthReply, Liveness, Mechanism, PlainCredentials, PortParams, SaslParams};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);
const HEADER: &[u8] = b"AMQP\x00\x01\x00\x00";
/// open with container-id "x".
const OPEN: &[u8] = b"\x00\x00\x00\x11\x02\x00\x00\x00\x00\x53\x10\xc0\x04\x01\xa1\x01x";
const CLOSE: &[u8] = b"\x00\x00\x00\x0c\x02\x00\x00\x00\x00\x53\x18\x45";

fn router(id: &str) -> Arc<Router> {
    let config = RouterConfig { id: id.into(), mode: Mode::Standalone, ..RouterConfig::default() };
    Arc::new(Router::new(config, router_engine::rng::Seed::from(1), 1, clock::now()))
}

fn params(initiator: bool, sasl: SaslParams, idle_timeout: Duration) -> PortParams {
    let conn = ConnParams { initiator, ..ConnParams::amqp(ConnectionRole::Normal) };
    PortParams { idle_timeout, sasl, ..PortParams::new(conn) }
}

fn drive(
    router: &Arc<Router>,
    io: DuplexStream,
    params: PortParams,
    opened: Arc<AtomicBool>,
) -> (ConnId, JoinHandle<Ending>) {
    drive_with(router, io, params, opened, None)
}

fn drive_with(
    router: &Arc<Router>,
    io: DuplexStream,
    params: PortParams,
    opened: Arc<AtomicBool>,
    authenticator: Option<Arc<dyn Authenticator>>,
) -> (ConnId, JoinHandle<Ending>) {
    let handle = router.connect(params.conn.clone(), clock::now());
    let id = handle.id;
    let port = AmqpPort::new(params, handle, Arc::clone(router), clock::now());
    let note = Box::new(move |_: &AmqpPort| opened.store(true, Ordering::SeqCst));
    let driver = Driver::new(Transport::plain(io), port, id).with_on_opened(note);
    let mut driver = driver.with_authenticator(authenticator);
    let task = tokio::spawn(async move {
        let ending = (&mut driver).await;
        if ending.lingers() {
            driver.linger().await;
        }
        ending
    });
    (id, task)
}

fn serve(io: DuplexStream, idle_timeout: Duration) -> (Arc<Router>, JoinHandle<Ending>) {
    let (router, (_, task)) = serve_known(io, idle_timeout);
    (router, task)
}

fn serve_known(io: DuplexStream, idle_timeout: Duration) -> (Arc<Router>, (ConnId, JoinHandle<Ending>)) {
    let router = router("R");
    let sasl = SaslParams::Server { require: false, mechanisms: vec!["ANONYMOUS".into()], external_identity: None };
    let task = drive(&router, io, params(false, sasl, idle_timeout), Arc::default());
    (router, task)
}

async fn frame(io: &mut DuplexStream) -> Vec<u8> {
    let size = timeout(PATIENCE, io.read_u32()).await.expect("in time").expect("a frame") as usize;
    let mut body = vec![0; size - 4];
    io.read_exact(&mut body).await.expect("a whole frame");
    body
}

async fn header(io: &mut DuplexStream) {
    let mut seen = [0; 8];
    timeout(PATIENCE, io.read_exact(&mut seen)).await.expect("in time").expect("a header");
    assert_eq!(seen, HEADER);
}

fn descriptor(frame: &[u8]) -> u8 {
    frame[6]
}

async fn ending(task: JoinHandle<Ending>) -> Ending {
    timeout(PATIENCE, task).await.expect("ends").expect("no panic")
}

#[tokio::test]
async fn opens_and_closes_octet_by_octet() {
    let (io, mut peer) = tokio::io::duplex(7);
    let (router, task) = serve(io, Duration::ZERO);
    let (mut read, mut write) = tokio::io::split(&mut peer);
    let send = async {
        for octet in [HEADER, OPEN].concat() {
            write.write_all(&[octet]).await.expect("sent");
        }
    };
    let mut seen = vec![0; 8 + 4];
    let (_, received) = tokio::join!(send, read.read_exact(&mut seen));
    received.expect("header and the size of the open");
    assert_eq!(&seen[..8], HEADER);
    let size = u32::from_be_bytes([seen[8], seen[9], seen[10], seen[11]]) as usize;
    let mut open = vec![0; size - 4];
    peer.read_exact(&mut open).await.expect("the open");
    assert_eq!(descriptor(&open), 0x10);
    assert_eq!(router.connection_rows(clock::now()).len(), 1);
    let (mut read, mut write) = tokio::io::split(peer);
    let mut rest = Vec::new();
    let close = async {
        write.write_all(CLOSE).await.expect("sent");
        write.shutdown().await.expect("half-closed");
    };
    let (_, received) = tokio::join!(close, timeout(PATIENCE, read.read_to_end(&mut rest)));
    received.expect("in time").expect("the close");
    assert!(rest.ends_with(&CLOSE[4..]), "{rest:?}");
    assert!(matches!(ending(task).await, Ending::Closed));
    assert!(router.connection_rows(clock::now()).is_empty());
}

#[tokio::test]
async fn rubbish_is_answered_with_an_error() {
    let (io, mut peer) = tokio::io::duplex(4096);
    let (_router, task) = serve(io, Duration::ZERO);
    peer.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("sent");
    header(&mut peer).await;
    assert_eq!(descriptor(&frame(&mut peer).await), 0x10);
    let close = frame(&mut peer).await;
    assert_eq!(descriptor(&close), 0x18);
    assert!(String::from_utf8_lossy(&close).contains("amqp:connection:framing-error"));
    peer.shutdown().await.expect("half-closed");
    let Ending::Protocol(error) = ending(task).await else { panic!("a protocol error") };
    assert!(error.description.starts_with("Unknown protocol detected"));
}

#[tokio::test]
async fn a_peer_that_vanishes_is_told_apart() {
    let (io, peer) = tokio::io::duplex(4096);
    let (_router, task) = serve(io, Duration::ZERO);
    drop(peer);
    let failure = ending(task).await.failure("peer").expect("a failure");
    assert_eq!(failure.description, "No protocol header found (connection aborted)");

    let (io, mut peer) = tokio::io::duplex(4096);
    let (router, task) = serve(io, Duration::ZERO);
    peer.write_all(&[HEADER, OPEN].concat()).await.expect("sent");
    header(&mut peer).await;
    drop(peer);
    let failure = ending(task).await.failure("peer").expect("a failure");
    assert_eq!(
        (failure.condition.as_str(), failure.description.as_str()),
        ("amqp:connection:framing-error", "connection aborted")
    );
    assert!(router.connection_rows(clock::now()).is_empty());
}

#[tokio::test]
async fn a_silent_peer_times_out() {
    let (io, mut peer) = tokio::io::duplex(4096);
    let (_router, task) = serve(io, Duration::from_millis(100));
    peer.write_all(&[HEADER, OPEN].concat()).await.expect("sent");
    header(&mut peer).await;
    let mut last = frame(&mut peer).await;
    while descriptor(&last) != 0x18 {
        last = frame(&mut peer).await;
    }
    assert!(String::from_utf8_lossy(&last).contains("local-idle-timeout expired"));
    drop(peer);
    let failure = ending(task).await.failure("peer").expect("a failure");
    assert_eq!(failure.condition, "amqp:resource-limit-exceeded");
}

/// A driver of a router that watches its peers, for a pipe to one that does so too.
fn watching(id: &str, io: DuplexStream, initiator: bool) -> (Arc<Router>, Driver<DuplexStream>) {
    let config = RouterConfig { id: id.into(), mode: Mode::Interior, ..RouterConfig::default() };
    let router = Arc::new(Router::new(config, router_engine::rng::Seed::from(1), 1, clock::now()));
    let conn = ConnParams { initiator, ..ConnParams::amqp(ConnectionRole::InterRouter) };
    let liveness = Some(Liveness { interval: Duration::from_millis(50), multiplier: 3 });
    let params = PortParams { liveness, sasl: SaslParams::None, ..PortParams::new(conn) };
    let handle = router.connect(params.conn.clone(), clock::now());
    let id = handle.id;
    let port = AmqpPort::new(params, handle, Arc::clone(&router), clock::now());
    (router, Driver::new(Transport::plain(io), port, id))
}

#[tokio::test]
async fn nobody_waits_for_a_dead_peer_to_take_last_words() {
    // Little enough for a few heartbeats to fill it once nobody reads.
    let (near, far) = tokio::io::duplex(16);
    let (_near_router, mut near) = watching("A", near, true);
    let (_far_router, mut far) = watching("B", far, false);
    let opened = Arc::new(Notify::new());
    let on_opened = Arc::clone(&opened);
    near = near.with_on_opened(Box::new(move |_| on_opened.notify_one()));
    tokio::select! {
        ending = &mut near => panic!("{ending:?}"),
        ending = &mut far => panic!("{ending:?}"),
        () = opened.notified() => {}
    }
    let muted = Instant::now();
    let ending = timeout(PATIENCE, &mut near).await.expect("ends");
    assert!(!ending.lingers());
    let failure = ending.failure("peer").expect("a failure");
    assert!(failure.description.starts_with("liveness expired"), "{failure:?}");
    // It may have died before it heard of the agreement, for which it has 3 s.
    assert!(muted.elapsed() < Duration::from_secs(4), "{:?}", muted.elapsed());
}

#[tokio::test]
async fn two_drivers_open_through_a_narrow_pipe_with_sasl() {
    let (a, b) = tokio::io::duplex(11);
    let (server, client) = (router("A"), router("B"));
    let (server_open, client_open) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
    let offered =
        SaslParams::Server { require: true, mechanisms: vec!["EXTERNAL".into()], external_identity: Some("me".into()) };
    let used = SaslParams::Client { mechanisms: None, username: None, password: None, external: true };
    let idle = Duration::from_secs(8);
    let (_, first) = drive(&server, a, params(false, offered, idle), Arc::clone(&server_open));
    let (id, second) = drive(&client, b, params(true, used, idle), Arc::clone(&client_open));
    timeout(PATIENCE, async {
        while !(server_open.load(Ordering::SeqCst) && client_open.load(Ordering::SeqCst)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("both open");
    client.close_connection(id, None, false);
    assert!(matches!(ending(second).await, Ending::Closed));
    assert!(matches!(ending(first).await, Ending::Closed));
}

#[tokio::test]
async fn a_connection_is_cut_without_a_word() {
    let (io, mut peer) = tokio::io::duplex(4096);
    let (router, (id, task)) = serve_known(io, Duration::ZERO);
    peer.write_all(&[HEADER, OPEN].concat()).await.expect("sent");
    header(&mut peer).await;
    assert_eq!(descriptor(&frame(&mut peer).await), 0x10);
    router.close_connection(id, None, true);
    let mut rest = Vec::new();
    timeout(PATIENCE, peer.read_to_end(&mut rest)).await.expect("in time").expect("an end");
    assert!(rest.is_empty());
    drop(peer);
    assert!(matches!(ending(task).await, Ending::Dropped(None)));
}

/// Reads its users slowly: it answers when it is told to.
struct SlowUsers {
    asked: mpsc::Sender<String>,
    answers: Mutex<mpsc::Receiver<bool>>,
}

impl Authenticator for SlowUsers {
    fn check(&self, credentials: &PlainCredentials) -> bool {
        let _ = self.asked.send(credentials.username.clone());
        self.answers.lock().expect("unpoisoned").recv().expect("the test says when")
    }
}

/// The only thread that runs tasks goes on while a password is checked.
#[tokio::test]
async fn a_check_of_a_password_holds_nobody_up() {
    for good in [true, false] {
        let (asked, asks) = mpsc::channel();
        let (answer, answers) = mpsc::channel();
        let users = Arc::new(SlowUsers { asked, answers: Mutex::new(answers) });
        let (near, far) = tokio::io::duplex(1000);
        let (server, client) = (router("S"), router("C"));
        let plain = || vec!["PLAIN".to_owned()];
        let sasl = SaslParams::Server { require: true, mechanisms: plain(), external_identity: None };
        let (_, serving) = drive_with(&server, near, params(false, sasl, Duration::ZERO), Arc::default(), Some(users));
        let (username, password) = (Some("u".to_owned()), Some("p".into()));
        let sasl = SaslParams::Client { mechanisms: Some(plain()), username, password, external: false };
        let opened = Arc::new(AtomicBool::new(false));
        let (_, calling) = drive(&client, far, params(true, sasl, Duration::ZERO), Arc::clone(&opened));
        let asks = tokio::task::spawn_blocking(move || asks.recv_timeout(PATIENCE).expect("asked"));
        assert_eq!(asks.await.expect("no panic"), "u");
        // Another connection opens and closes meanwhile.
        let (io, mut peer) = tokio::io::duplex(1000);
        let (_, other) = serve(io, Duration::ZERO);
        peer.write_all(&[HEADER, OPEN, CLOSE].concat()).await.expect("sent");
        assert!(matches!(ending(other).await, Ending::Closed));
        assert!(!opened.load(Ordering::SeqCst), "not before the answer");
        answer.send(good).expect("awaited");
        if good {
            while !opened.load(Ordering::SeqCst) {
                tokio::task::yield_now().await;
            }
            calling.abort();
        } else {
            assert!(!matches!(ending(calling).await, Ending::Closed));
        }
        timeout(PATIENCE, serving).await.expect("ends").expect("no panic");
    }
}

/// A login of two messages, each of which is good.
struct TwoMessages(bool);

impl Exchange for TwoMessages {
    fn step(&mut self, _: &[u8]) -> AuthReply {
        if std::mem::replace(&mut self.0, true) {
            AuthReply::Accepted { user: "u".to_owned(), last: None }
        } else {
            AuthReply::Message(b"go on"[..].into())
        }
    }
}

struct AnyUser;

impl Authenticator for AnyUser {
    fn check(&self, _: &PlainCredentials) -> bool {
        false
    }

    fn begin(&self, _: Mechanism) -> Option<Box<dyn Exchange>> {
        Some(Box::new(TwoMessages(false)))
    }
}

/// A SASL frame with a list of one or two fields.
fn sasl_frame(descriptor: u8, count: u8, fields: &[u8]) -> Vec<u8> {
    let list = [&[0xc0, fields.len() as u8 + 1, count], fields].concat();
    let body = [&[2, 1, 0, 0, 0, 0x53, descriptor], &*list].concat();
    [&(body.len() as u32 + 4).to_be_bytes()[..], &body].concat()
}

/// Whoever says all at once, and then nothing, is answered all the same; and one that has gone is noticed, whatever it has
/// left behind.
#[tokio::test]
async fn a_login_whose_messages_come_together_goes_on() {
    for junk in [0, 1 << 20] {
        let (near, mut peer) = tokio::io::duplex(2 << 20);
        let server = router("S");
        let mechanisms = vec!["SCRAM-SHA-256".to_owned()];
        let sasl = SaslParams::Server { require: true, mechanisms, external_identity: None };
        let users: Arc<dyn Authenticator> = Arc::new(AnyUser);
        let (_, serving) = drive_with(&server, near, params(false, sasl, Duration::ZERO), Arc::default(), Some(users));
        let init = sasl_frame(0x41, 2, b"\xa3\x0dSCRAM-SHA-256\xa0\x01a");
        let response = sasl_frame(0x43, 1, b"\xa0\x01b");
        let all = [b"AMQP\x03\x01\x00\x00", &*init, &*response, &*vec![0xff; junk]].concat();
        peer.write_all(&all).await.expect("sent");
        let mut seen = [0; 8];
        timeout(PATIENCE, peer.read_exact(&mut seen)).await.expect("in time").expect("a header");
        for expected in [0x40, 0x42, 0x44] {
            assert_eq!(descriptor(&frame(&mut peer).await), expected, "with {junk} octets behind");
        }
        drop(peer);
        ending(serving).await;
    }
}
