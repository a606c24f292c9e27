//! TLS on TCP services, both sides, on one router.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]
#![allow(clippy::disallowed_methods, reason = "tests have tasks of their own")]

mod common;

use adaptors::clock;
use adaptors::runtime::Io;
use adaptors::tcp::{Strategy, TcpConnector, TcpConnectorParams, TcpListener, TcpListenerParams};
use adaptors::tls::{ClientOptions, Consumer, PeerEnd, ServerOptions, TlsClient, TlsProfile, TlsServer};
use adaptors::transport::{Transport, TransportError};
use common::Certs;
use router_engine::Router;
use router_engine::core::{Mode, RouterConfig};
use router_engine::rng::Seed;
use router_engine::vanflow::{Attributes, Channel, Registry, Source, SourceId};
use std::future::poll_fn;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

async fn connect(port: u16) -> TcpStream {
    timeout(PATIENCE, async {
        loop {
            match TcpStream::connect(("127.0.0.1", port)).await {
                Ok(stream) => return stream,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    })
    .await
    .expect("the listener opens")
}

/// A TLS echo server that tells which ALPN each connection negotiated.
async fn server(certs: &Certs) -> (u16, tokio::sync::mpsc::UnboundedReceiver<Option<Vec<u8>>>) {
    let options = ServerOptions { authenticate_peer: true, alpn: vec![b"h2".to_vec(), b"http/1.1".to_vec()] };
    let tls = TlsServer::load(&certs.profile(), Consumer::Tcp, &options).expect("server profile");
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a server");
    let port = socket.local_addr().expect("bound").port();
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            let session = tls.session(&[]).expect("a session");
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut t = Transport::tls(stream, session);
                if poll_fn(|cx| t.poll_handshake(cx)).await.is_err() {
                    return;
                }
                let _ = tell.send(t.info().and_then(|i| i.alpn.clone()));
                while let Ok(Some(mut data)) = poll_fn(|cx| t.poll_read(cx)).await {
                    while !data.is_empty() {
                        let n = poll_fn(|cx| t.poll_write(cx, &[IoSlice::new(&data)])).await.expect("written");
                        let _ = data.split_to(n);
                    }
                    poll_fn(|cx| t.poll_flush(cx)).await.expect("flushed");
                }
                let _ = poll_fn(|cx| t.poll_shutdown(cx)).await;
            });
        }
    });
    (port, told)
}

async fn until(holds: impl Fn() -> bool) {
    let waited = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, waited).await.expect("in time");
}

type Tls = Transport<TcpStream>;

/// The server's side of the next connection, after its handshake.
async fn accept(socket: &tokio::net::TcpListener, certs: &Certs) -> Tls {
    let options = ServerOptions { authenticate_peer: true, alpn: Vec::new() };
    let tls = TlsServer::load(&certs.profile(), Consumer::Tcp, &options).expect("server profile");
    let (stream, _) = timeout(PATIENCE, socket.accept()).await.expect("in time").expect("accepted");
    let mut t = Transport::tls(stream, tls.session(&[]).expect("a session"));
    timeout(PATIENCE, poll_fn(|cx| t.poll_handshake(cx))).await.expect("in time").expect("handshake");
    t
}

async fn send(t: &mut Tls, octets: &[u8]) {
    let n = poll_fn(|cx| t.poll_write(cx, &[IoSlice::new(octets)])).await.expect("written");
    assert_eq!(n, octets.len());
    poll_fn(|cx| t.poll_flush(cx)).await.expect("flushed");
}

async fn receive(t: &mut Tls) -> Result<Option<Vec<u8>>, TransportError> {
    let read = timeout(PATIENCE, poll_fn(|cx| t.poll_read(cx))).await.expect("in time");
    read.map(|octets| octets.map(|octets| octets.to_vec()))
}

/// Nothing more comes, and no closing alert.
async fn expect_reset(t: &mut Tls) {
    match receive(t).await {
        Err(TransportError::Io(error)) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        other => panic!("{other:?} instead of a reset"),
    }
}

async fn expect_close_notify(t: &mut Tls) {
    assert_eq!(receive(t).await.expect("an end"), None);
    assert_eq!(t.tls_end(), Some(PeerEnd::CloseNotify));
}

async fn expect_bare_end(t: &mut Tls) {
    assert_eq!(receive(t).await.expect("an end"), None);
    assert_eq!(t.tls_end(), Some(PeerEnd::Bare), "TLS vouches for an end that nobody vouched for");
}

/// How one side of a flow leaves.
#[derive(Debug, Clone, Copy)]
enum Leaving {
    /// FIN without a closing alert.
    Bare,
    /// The same, amid a record.
    Amid,
    Reset,
}

fn leave(t: Tls, how: Leaving) {
    let socket = socket2::SockRef::from(t.socket());
    match how {
        Leaving::Bare => {}
        Leaving::Amid => assert_eq!(socket.send(b"\x17\x03\x03\x00\x20octets").expect("sent"), 11),
        Leaving::Reset => socket.set_linger(Some(Duration::ZERO)).expect("linger"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_as_tls_says() {
    let certs = Certs::new();
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a server");
    let bed = bed(&certs, socket.local_addr().expect("bound").port(), false, "localhost");
    let open = async || {
        let session = client(&certs, false).session("localhost", None).expect("a session");
        let mut near = Transport::tls(connect(bed.port).await, session);
        timeout(PATIENCE, poll_fn(|cx| near.poll_handshake(cx))).await.expect("in time").expect("handshake");
        let mut far = accept(&socket, &certs).await;
        send(&mut near, b"question").await;
        assert_eq!(receive(&mut far).await.expect("no error").as_deref(), Some(&b"question"[..]));
        send(&mut far, b"answer").await;
        assert_eq!(receive(&mut near).await.expect("no error").as_deref(), Some(&b"answer"[..]));
        (near, far)
    };
    for how in [Leaving::Bare, Leaving::Amid, Leaving::Reset] {
        for half_closed in [false, true] {
            for swapped in [false, true] {
                let (mut leaving, mut staying) = open().await;
                if swapped {
                    (leaving, staying) = (staying, leaving);
                }
                if half_closed {
                    poll_fn(|cx| staying.poll_shutdown(cx)).await.expect("shut down");
                    expect_close_notify(&mut leaving).await;
                }
                leave(leaving, how);
                match how {
                    Leaving::Bare => expect_bare_end(&mut staying).await,
                    Leaving::Amid | Leaving::Reset => expect_reset(&mut staying).await,
                }
                drop(staying);
                until(|| bed.router.connection_rows(clock::now()).len() == 1).await;
            }
        }
    }
    // The other direction goes on after a bare end.
    for swapped in [false, true] {
        let (mut ending, mut answering) = open().await;
        if swapped {
            (ending, answering) = (answering, ending);
        }
        poll_fn(|cx| ending.poll_shutdown_bare(cx)).await.expect("shut down");
        expect_bare_end(&mut answering).await;
        send(&mut answering, b"the last word").await;
        assert_eq!(receive(&mut ending).await.expect("no error").as_deref(), Some(&b"the last word"[..]));
        poll_fn(|cx| answering.poll_shutdown(cx)).await.expect("shut down");
        expect_close_notify(&mut ending).await;
    }
    let (mut near, mut far) = open().await;
    poll_fn(|cx| near.poll_shutdown(cx)).await.expect("shut down");
    expect_close_notify(&mut far).await;
    poll_fn(|cx| far.poll_shutdown(cx)).await.expect("shut down");
    expect_close_notify(&mut near).await;
    until(|| bed.router.connection_rows(clock::now()).len() == 1).await;
}

struct Bed {
    router: Arc<Router>,
    records: Source,
    listener: TcpListener,
    connector: TcpConnector,
    port: u16,
}

fn bed(certs: &Certs, server: u16, authenticate_peer: bool, host: &str) -> Bed {
    let config = RouterConfig { id: "R".into(), mode: Mode::Standalone, ..RouterConfig::default() };
    let router = Arc::new(Router::new(config, Seed::from(1), 1, clock::now()));
    let registry = Registry::new(SourceId::new(None, Seed::from(1)), Attributes::new(), clock::now());
    assert!(router.set_records(Arc::clone(&registry)));
    let mut records = Source::new(registry);
    records.on_watch(Channel::Flows, true, clock::now());
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
    let listener = TcpListenerParams {
        name: "l".into(),
        address: "svc".into(),
        strategy: Strategy::None,
        host: "127.0.0.1".into(),
        port: port.to_string(),
        backlog: 0,
        tls: Some(certs.profile()),
        authenticate_peer,
        observer: None,
        ..TcpListenerParams::default()
    };
    let connector = TcpConnectorParams {
        name: "c".into(),
        address: "svc".into(),
        host: host.into(),
        port: server.to_string(),
        tls: Some(certs.profile()),
        verify_hostname: true,
        process_id: None,
        ..TcpConnectorParams::default()
    };
    let io = Io::new(Arc::clone(&router), tokio::runtime::Handle::current(), 1);
    let listener = TcpListener::create(listener, &io).expect("listener");
    listener.activate();
    let connector = TcpConnector::create(connector, &io).expect("connector");
    connector.activate();
    Bed { listener, connector, router, records, port }
}

/// Whether records of flows that are over tell that.
fn is_recorded(mut records: Source, text: &str) -> bool {
    records.finish(clock::now(), 0);
    let mut messages = std::iter::from_fn(|| records.poll_message());
    messages.any(|sent| String::from_utf8_lossy(&sent.message).contains(text))
}

fn client(certs: &Certs, with_certificate: bool) -> TlsClient {
    let mut profile: TlsProfile = certs.profile();
    if !with_certificate {
        (profile.cert_file, profile.private_key_file) = (None, None);
    }
    TlsClient::load(&profile, Consumer::Tcp, &ClientOptions { verify_hostname: true }).expect("client profile")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn octets_and_alpn_go_end_to_end() {
    let certs = Certs::new();
    let (server, mut told) = server(&certs).await;
    let bed = bed(&certs, server, true, "localhost");
    let data: Vec<u8> = (0..700_000_u32).map(|i| (i % 253) as u8).collect();
    for alpn in [Some(&b"h2"[..]), Some(b"http/1.1"), None] {
        let session = client(&certs, true).session("localhost", alpn).expect("a session");
        let mut t = Transport::tls(connect(bed.port).await, session);
        timeout(PATIENCE, poll_fn(|cx| t.poll_handshake(cx))).await.expect("in time").expect("handshake");
        assert_eq!(t.info().and_then(|i| i.alpn.as_deref()), alpn);
        let (mut sent, mut back) = (0, Vec::new());
        timeout(PATIENCE, async {
            while back.len() < data.len() {
                poll_fn(|cx| {
                    while sent < data.len()
                        && let std::task::Poll::Ready(n) = t.poll_write(cx, &[IoSlice::new(&data[sent..])])
                    {
                        sent += n.expect("written");
                    }
                    let _ = t.poll_flush(cx);
                    t.poll_read(cx).map(|r| back.extend_from_slice(&r.expect("read").expect("data")))
                })
                .await;
            }
        })
        .await
        .expect("echoed in time");
        assert!(back == data);
        poll_fn(|cx| t.poll_shutdown(cx)).await.expect("shut down");
        assert_eq!(timeout(PATIENCE, poll_fn(|cx| t.poll_read(cx))).await.expect("in time").expect("an end"), None);
        assert_eq!(told.recv().await.expect("a connection").as_deref(), alpn);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_without_certificate_make_no_stream() {
    let certs = Certs::new();
    let (server, _told) = server(&certs).await;
    let bed = bed(&certs, server, true, "localhost");
    let session = client(&certs, false).session("localhost", None).expect("a session");
    let mut t = Transport::tls(connect(bed.port).await, session);
    let refused = timeout(PATIENCE, async {
        poll_fn(|cx| t.poll_handshake(cx)).await?;
        poll_fn(|cx| t.poll_read(cx)).await
    });
    assert!(refused.await.expect("in time").is_err());
    assert_eq!(bed.connector.service().opened(), 1, "only the dispatcher");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_of_another_name_ends_the_flow() {
    let certs = Certs::new();
    let (server, _told) = server(&certs).await;
    // The certificate names localhost, not the literal address.
    let bed = bed(&certs, server, false, "127.0.0.1");
    let session = client(&certs, false).session("localhost", None).expect("a session");
    let mut t = Transport::tls(connect(bed.port).await, session);
    timeout(PATIENCE, poll_fn(|cx| t.poll_handshake(cx))).await.expect("in time").expect("the listener is fine");
    expect_reset(&mut t).await;
    until(|| bed.router.connection_rows(clock::now()).len() == 1).await;
    until(|| bed.connector.service().closed() == 1).await;
    assert!(is_recorded(bed.records, "TLS-connection-failed (Code: "));
}

#[tokio::test]
async fn a_deleted_listener_closes_clients_amid_their_handshake() {
    let certs = Certs::new();
    let (server, _told) = server(&certs).await;
    let bed = bed(&certs, server, false, "localhost");
    let client = connect(bed.port).await;
    let service = Arc::clone(bed.listener.service());
    until(|| service.opened() == 1).await;
    bed.listener.delete(true);
    timeout(PATIENCE, client.readable()).await.expect("closed").expect("readable");
    assert_eq!(client.try_read(&mut [0]).expect_err("no end").kind(), std::io::ErrorKind::ConnectionReset);
    until(|| service.closed() == 1).await;
}

#[tokio::test]
async fn clients_that_fail_their_handshake_are_counted() {
    let certs = Certs::new();
    let (server, _told) = server(&certs).await;
    let bed = bed(&certs, server, false, "localhost");
    let mut client = connect(bed.port).await;
    tokio::io::AsyncWriteExt::write_all(&mut client, b"GET / HTTP/1.1\r\n\r\n").await.expect("sent");
    let service = bed.listener.service();
    until(|| (service.opened(), service.closed()) == (1, 1)).await;
    assert_eq!(bed.connector.service().opened(), 1, "only the dispatcher");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_to_the_server_is_shown() {
    let certs = Certs::new();
    let (server, mut told) = server(&certs).await;
    let bed = bed(&certs, server, false, "localhost");
    let session = client(&certs, false).session("localhost", None).expect("a session");
    let mut t = Transport::tls(connect(bed.port).await, session);
    timeout(PATIENCE, poll_fn(|cx| t.poll_handshake(cx))).await.expect("in time").expect("handshake");
    told.recv().await.expect("a connection");
    let rows = || bed.router.connection_rows(clock::now());
    let encrypted = || rows().into_iter().find(|row| row.peer.as_ref().is_some_and(|peer| peer.tls_protocol.is_some()));
    until(|| encrypted().is_some()).await;
    let row = encrypted().expect("there");
    assert_eq!(row.params.facts.host, format!("localhost:{server}"));
    assert!(row.params.facts.local_socket.is_some_and(|local| local.starts_with("127.0.0.1:")));
    assert_eq!(row.params.facts.tls_ordinal, Some(0));
    let peer = row.peer.expect("open");
    assert_eq!(peer.tls_protocol.as_deref(), Some("TLSv1.3"));
    assert_eq!((peer.tls_cipher.as_deref(), peer.tls_ssf), (Some("TLS_AES_256_GCM_SHA384"), 256));
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_hangs_is_cut() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let certs = Certs::new();
    let bed = bed(&certs, 1, false, "localhost");
    for dribble in [&b""[..], b"\x16\x03\x01\x00"] {
        let mut client = connect(bed.port).await;
        client.write_all(dribble).await.expect("sent");
        let begun = tokio::time::Instant::now();
        let ended = client.read(&mut [0]).await;
        assert!(ended.is_err() || ended.is_ok_and(|n| n == 0), "cut");
        assert_eq!(begun.elapsed().as_secs(), 60);
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_hangs_at_the_server_is_cut() {
    use tokio::io::AsyncWriteExt;
    let certs = Certs::new();
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a server");
    let bed = bed(&certs, socket.local_addr().expect("bound").port(), false, "127.0.0.1");
    let open = async |dribble: &[u8]| {
        let session = client(&certs, false).session("localhost", None).expect("a session");
        let mut near = Transport::tls(connect(bed.port).await, session);
        poll_fn(|cx| near.poll_handshake(cx)).await.expect("handshake");
        let (mut server, _) = socket.accept().await.expect("accepted");
        server.write_all(dribble).await.expect("sent");
        (near, server, tokio::time::Instant::now())
    };
    let reset = async |near: &mut Tls| match poll_fn(|cx| near.poll_read(cx)).await {
        Err(TransportError::Io(error)) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        other => panic!("{other:?} instead of a reset"),
    };
    for dribble in [&b""[..], b"\x16\x03\x03\x00"] {
        let (mut near, _server, begun) = open(dribble).await;
        reset(&mut near).await;
        assert_eq!(begun.elapsed().as_secs(), 60);
        until(|| bed.router.connection_rows(clock::now()).len() == 1).await;
    }
    let (mut near, _server, begun) = open(b"\x16").await;
    let (router, connector) = (Arc::clone(&bed.router), bed.connector);
    connector.delete(true);
    reset(&mut near).await;
    assert_eq!(begun.elapsed().as_secs(), 0);
    until(|| router.connection_rows(clock::now()).is_empty()).await;
}
