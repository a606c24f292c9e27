//! What clients do that is no use to anybody, and what is counted of them.

use super::super::body::{Broken, Inbound, STREAM_SILENCE_LIMIT};
use super::super::io::ServiceIo;
use super::super::pace::{Pace, Paced, STALL_LIMIT};
use super::super::tally::{Answered, Counters, Direction, HOSTS_MAX, Outcome, Tally};
use super::super::{
    nursery::Jobs,
    requester::{Requester, Wants},
    respond::protocols,
    setup,
};
use super::*;
use crate::transport::Transport;
use bytes::Bytes;
use h2::client;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::{Body, Frame};
use hyper::rt::Write;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use router_engine::port::local::Endpoint;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncReadExt, DuplexStream, duplex};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

/// Both ends of a connection.
async fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let near = TcpStream::connect(listener.local_addr().expect("bound")).await.expect("connected");
    (near, listener.accept().await.expect("accepted").0)
}

/// Writes until that fails; how much was taken, and why it failed.
async fn fill(io: &mut ServiceIo) -> (usize, io::Error) {
    let octets = vec![b'x'; 1 << 20];
    let mut taken = 0;
    loop {
        match poll_fn(|cx| Pin::new(&mut *io).poll_write(cx, &octets)).await {
            Ok(written) => taken += written,
            Err(error) => return (taken, error),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_given_up() {
    let (client, server) = connected().await;
    let mut io = ServiceIo::framed(Transport::plain(server)).limited();
    let begun = Instant::now();
    let (taken, error) = fill(&mut io).await;
    assert!(taken > 0 && io.is_stalled());
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!((STALL_LIMIT..STALL_LIMIT * 2).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    drop(client);
}

/// What is taken late is taken.
#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_is_served() {
    let (mut client, server) = connected().await;
    let mut io = ServiceIo::framed(Transport::plain(server)).limited();
    let begun = Instant::now();
    let reading = async {
        let mut octets = vec![0; 64 << 20];
        for _ in 0..4 {
            sleep(STALL_LIMIT * 9 / 10).await;
            // All that is there.
            while client.try_read(&mut octets).is_ok_and(|read| read > 0) {}
        }
        sleep(STALL_LIMIT * 2).await;
    };
    let (_, error) = tokio::select! {
        () = reading => panic!("never given up"),
        filled = fill(&mut io) => filled,
    };
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(begun.elapsed() > STALL_LIMIT * 4, "{:?}", begun.elapsed());
    let _ = client.read_u8().await;
}

/// Each head has the time of a head, also where what ends one begins the next.
#[tokio::test(start_paused = true)]
async fn each_head_has_a_time_of_its_own() {
    let (mut client, server) = connected().await;
    let mut io = ServiceIo::framed(Transport::plain(server));
    let begun = Instant::now();
    let talk = async {
        client.write_all(b"GET / HTTP/1.1\r\nhost: h\r\n").await.expect("sent");
        sleep(Duration::from_secs(15)).await;
        client.write_all(b"\r\nGET /2 HTTP/1.1\r\nhost: h\r\n").await.expect("sent");
        std::future::pending::<()>().await;
    };
    let read = async {
        loop {
            let mut octets = [0; 1024];
            let mut buffer = hyper::rt::ReadBuf::new(&mut octets);
            let read = poll_fn(|cx| hyper::rt::Read::poll_read(Pin::new(&mut io), cx, buffer.unfilled())).await;
            if let Err(error) = read {
                return error;
            }
        }
    };
    let error = tokio::select! {
        () = talk => unreachable!("it waits"),
        error = read => error,
    };
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(begun.elapsed() >= Duration::from_secs(35), "{:?}", begun.elapsed());
}

/// An answer in so many pieces, and then nothing more, which is no end.
struct Pieces(usize);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(left) = self.0.checked_sub(1) else { return Poll::Pending };
        self.0 = left;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 16 * 1024])))))
    }
}

/// Serves HTTP/2, with an answer of so many pieces for each request.
async fn serve(stream: DuplexStream, pieces: usize, pace: Pace) {
    let jobs = Jobs::default();
    let paced = Paced { nursery: jobs.nursery(), pace: pace.clone() };
    let answer = service_fn(move |_: Request<hyper::body::Incoming>| {
        let body = pace.clone().body(Pieces(pieces));
        async move { Ok::<_, Infallible>(Response::new(body)) }
    });
    run(jobs, http2::Builder::new(paced).serve_connection(hyper_io(stream), answer)).await;
}

/// A connection, and the work on it.
async fn run<T>(mut jobs: Jobs, conn: impl Future<Output = T>) {
    let mut conn = pin!(conn);
    poll_fn(|cx| {
        loop {
            jobs.poll(cx);
            if conn.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            if !jobs.poll(cx) {
                return Poll::Pending;
            }
        }
    })
    .await;
}

/// Asks once, over windows of 64 KiB, and reads nothing; whether the stream was reset within so long.
async fn is_reset(pieces: usize, within: Duration) -> bool {
    let (near, far) = duplex(1 << 20);
    let pace = Pace::default();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(serve(far, pieces, pace.clone()));
    let (requests, connection) = client::handshake(near).await.expect("HTTP/2");
    tasks.spawn(async move { connection.await.unwrap_or_default() });
    let mut requests = requests.ready().await.expect("ready");
    let request = Request::builder().uri("http://h/").body(()).expect("a request");
    let (response, _) = requests.send_request(request, true).expect("sent");
    let mut body = response.await.expect("an answer").into_body();
    sleep(within).await;
    let reset = loop {
        match timeout(Duration::from_secs(1), body.data()).await {
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(error))) => break error.reason() == Some(h2::Reason::CANCEL),
            Ok(None) | Err(_) => break false,
        }
    };
    assert_eq!(pace.has_given_up(), reset);
    reset
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_http2_whose_window_stays_closed_is_reset() {
    assert!(!is_reset(100, STALL_LIMIT - Duration::from_secs(1)).await);
    assert!(is_reset(100, STALL_LIMIT + Duration::from_secs(1)).await);
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_http2_whose_server_is_silent_is_not() {
    assert!(!is_reset(2, STALL_LIMIT * 3).await);
}

/// How long the body of a request is waited for that does not go on; no end, if its answer has begun, or it has not told how
/// long it is.
async fn silence(announced: bool, answered: bool) -> Option<Duration> {
    let (near, far) = duplex(1 << 20);
    let begun = Instant::now();
    let heard = Arc::<parking_lot::Mutex<Option<Duration>>>::default();
    let listening = Arc::clone(&heard);
    let answer = service_fn(move |request: Request<hyper::body::Incoming>| {
        let heard = Arc::clone(&listening);
        async move {
            let mut body = Inbound::request(request.into_body(), HttpVersion::Http2);
            body.note_answered_by(&Arc::new(AtomicBool::new(answered)));
            let frame = poll_fn(|cx| body.poll_frame(cx)).await;
            assert!(matches!(frame, Some(Ok(_))), "the first piece");
            let frame = poll_fn(|cx| body.poll_frame(cx)).await;
            assert!(matches!(frame, Some(Err(Broken))), "and no other");
            *heard.lock() = Some(begun.elapsed());
            Ok::<_, Infallible>(Response::new(Pieces(0)))
        }
    });
    let jobs = Jobs::default();
    let paced = Paced { nursery: jobs.nursery(), pace: Pace::default() };
    let conn = http2::Builder::new(paced).serve_connection(hyper_io(far), answer);
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(run(jobs, conn));
    let (requests, connection) = client::handshake(near).await.expect("HTTP/2");
    tasks.spawn(async move { connection.await.unwrap_or_default() });
    let mut requests = requests.ready().await.expect("ready");
    let mut request = Request::builder().method("POST").uri("http://h/").body(()).expect("a request");
    if announced {
        request.headers_mut().insert("content-length", 1000.into());
    }
    let (_response, mut body) = requests.send_request(request, false).expect("sent");
    body.send_data(Bytes::from_static(b"begun"), false).expect("sent");
    sleep(STREAM_SILENCE_LIMIT * 3).await;
    heard.lock().take()
}

#[tokio::test(start_paused = true)]
async fn an_upload_of_http2_that_does_not_go_on_is_given_up_unless_its_answer_has_begun() {
    let waited = silence(true, false).await.expect("given up");
    assert!((STREAM_SILENCE_LIMIT..STREAM_SILENCE_LIMIT * 2).contains(&waited), "{waited:?}");
    assert_eq!(silence(true, true).await, None);
    assert_eq!(silence(false, false).await, None, "a call may last");
}

/// A socket for hyper.
fn hyper_io(stream: DuplexStream) -> impl hyper::rt::Read + Write + Unpin {
    Hyper(stream)
}

struct Hyper(DuplexStream);

impl hyper::rt::Read for Hyper {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut octets = [0; 4096];
        let most = octets.len().min(buf.remaining());
        let mut read = tokio::io::ReadBuf::new(&mut octets[..most]);
        std::task::ready!(tokio::io::AsyncRead::poll_read(Pin::new(&mut self.0), cx, &mut read))?;
        buf.put_slice(read.filled());
        Poll::Ready(Ok(()))
    }
}

impl Write for Hyper {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        tokio::io::AsyncWrite::poll_write(Pin::new(&mut self.0), cx, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        tokio::io::AsyncWrite::poll_flush(Pin::new(&mut self.0), cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        tokio::io::AsyncWrite::poll_shutdown(Pin::new(&mut self.0), cx)
    }
}

#[tokio::test]
async fn clients_are_asked_by_tcp_whether_they_are_there() {
    let world = World::new();
    let server = Server::new("one").await;
    let _connector = world.connect(&server);
    let client = world.client().await;
    let near = client.stream.local_addr().expect("bound").port();
    // The kernel tells of each socket which timer runs: 02 is keep-alive.
    let rows = eventually(async || {
        let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
        let ends = format!(":{:04X} 0100007F:{near:04X} 01 ", world.port);
        table.lines().find(|line| line.contains(&ends)).map(str::to_owned)
    });
    let row = rows.await;
    assert_eq!(row.split_whitespace().nth(5).and_then(|timer| timer.split(':').next()), Some("02"), "{row}");
}

#[test]
fn http2_is_no_protocol_to_change_to() {
    let of = |lists: &[&str]| protocols(lists.iter().copied());
    assert_eq!(of(&["websocket"]).as_deref(), Some("websocket"));
    assert_eq!(of(&["h2c, x"]).as_deref(), Some("x"));
    assert_eq!(of(&["x ,H2C/1.0", "y"]).as_deref(), Some("x, y"));
    for none in [&["h2c"][..], &[" h2c , H2c"], &[""], &[", ,"], &[]] {
        assert_eq!(of(none), None, "{none:?}");
    }
}

#[tokio::test]
async fn what_concerns_http2_is_not_told_to_servers() {
    let world = World::new();
    let server = Server::new("one").await;
    let _connector = world.connect(&server);
    let mut client = world.client().await;
    let upgrade = "connection: upgrade, http2-settings\r\nupgrade: h2c, echo\r\nhttp2-settings: AAMAAABk\r\n\r\n";
    client.send(format!("GET /switch HTTP/1.1\r\nhost: h\r\n{upgrade}").as_bytes()).await;
    assert_eq!(client.answer(true).await.expect("an answer").status, 101);
    let head = server.last_head();
    assert!(head.contains("\r\nupgrade: echo\r\n") && !head.contains("h2c") && !head.contains("http2-"), "{head}");
    let mut client = world.client().await;
    client.send(b"GET / HTTP/1.1\r\nhost: h\r\nhttp2-settings: AAMAAABk\r\n\r\n").await;
    assert_eq!(client.answer(false).await.expect("an answer").status, 200);
    assert!(!server.last_head().contains("http2-"), "{}", server.last_head());
}

/// What the listener has counted: answers, failures of servers, clients that left; and requests that are under way.
fn counted(world: &World) -> (u64, u64, u64, u64) {
    let (_, counters) = world.listener.service().http().expect("of HTTP");
    let answers = counters.answers().into_iter().map(|(.., count)| count).sum();
    let failures = &counters.failures;
    let [server, client] = [&failures.server_failed, &failures.cancelled].map(|count| count.load(Ordering::Relaxed));
    (answers, server, client, counters.under_way())
}

#[tokio::test]
async fn an_answer_that_is_cut_is_none() {
    let world = World::new();
    let server = Server::new("one").await;
    let connector = world.connect(&server);
    is_up(&connector, true).await;
    let mut client = world.client().await;
    client.send(b"GET /stall HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert_eq!(client.answer(true).await.expect("a head").status, 200);
    assert_eq!(counted(&world), (0, 0, 0, 1), "it goes on");
    server.go_on();
    eventually(async || (counted(&world) == (0, 1, 0, 0)).then_some(())).await;
}

#[tokio::test]
async fn clients_that_leave_are_counted_as_such() {
    let world = World::new();
    let server = Server::new("one").await;
    let connector = world.connect(&server);
    is_up(&connector, true).await;
    for (n, path) in (1..).zip(["/wait", "/stall"]) {
        let mut client = world.client().await;
        client.send(format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n").as_bytes()).await;
        server.until(|server| server.requests().len() == n).await;
        if path == "/stall" {
            assert_eq!(client.answer(true).await.expect("a head").status, 200);
        }
        drop(client);
        eventually(async || (counted(&world) == (0, 0, n as u64, 0)).then_some(())).await;
    }
    let mut client = world.client().await;
    assert_eq!(client.get("/").await.status, 200);
    eventually(async || (counted(&world) == (1, 0, 2, 0)).then_some(())).await;
}

#[tokio::test]
async fn of_many_answers_none_is_lost() {
    const SERVERS: usize = 80;
    let params = HttpListenerParams { aggregation: Some(Aggregation::Json), ..Default::default() };
    let world = World::with("multicast/svc", params);
    let server = Server::new("one").await;
    let params = || HttpConnectorParams { aggregates: true, ..Default::default() };
    let connectors: Vec<_> = (0..SERVERS).map(|_| world.connect_with(&server, params())).collect();
    for connector in &connectors {
        is_up(connector, true).await;
    }
    let mut client = world.client().await;
    client.send(b"GET /in-turn HTTP/1.1\r\nhost: h\r\n\r\n").await;
    server.until(|server| server.requests().len() == SERVERS).await;
    server.go_on();
    server.until(|server| server.requests().len() == SERVERS * 2 - 1).await;
    let mut answering = pin!(client.answer(false));
    let answer = loop {
        server.go_on();
        if let Ok(answer) = timeout(Duration::from_millis(20), answering.as_mut()).await {
            break answer.expect("an answer");
        }
    };
    assert_eq!((answer.status, answer.body.matches("\":status\"").count()), (200, SERVERS));
}

#[tokio::test]
async fn too_much_to_be_put_together_is_an_error() {
    let params = HttpListenerParams { aggregation: Some(Aggregation::Json), ..Default::default() };
    let world = World::with("multicast/svc", params);
    let server = Server::new("one").await;
    let params = || HttpConnectorParams { aggregates: true, ..Default::default() };
    let connectors: Vec<_> = (0..10).map(|_| world.connect_with(&server, params())).collect();
    for connector in &connectors {
        is_up(connector, true).await;
    }
    let mut client = world.client().await;
    let answer = client.post("/echo", &"x".repeat(1 << 20)).await;
    assert_eq!((answer.status, answer.body.as_str()), (502, "bad answer: more than 8 MiB to be put together\n"));
}

/// Only where every answer has told whose it is, nothing that comes late can be taken for another's.
#[tokio::test]
async fn an_address_for_answers_is_used_again_only_if_all_were_numbered() {
    let world = World::new();
    let version = HttpVersion::Http1;
    let identity = setup::identity(version, false, "h".to_owned(), None);
    let endpoint =
        Endpoint::join_with(&world.router, identity, setup::open(version), Arc::default(), crate::clock::now());
    let requester = Arc::new(Requester::new(endpoint, "svc").expect("an address"));
    let exchange = |numbers: &[bool]| {
        let mut exchange = requester.open(Wants::One).expect("open");
        numbers.iter().for_each(|numbered| exchange.note_number(*numbered));
        exchange.settled();
        exchange.reply_to().expect("an address").to_owned()
    };
    let first = exchange(&[true, true]);
    assert_eq!(exchange(&[true, false]), first);
    let second = exchange(&[false, true]);
    let third = exchange(&[]);
    let fourth = exchange(&[true]);
    assert!(first != second && second != third && third != fourth, "{first} {second} {third} {fourth}");
}

#[tokio::test]
async fn a_trailer_is_no_place_for_framing() {
    let world = World::new();
    let server = Server::new("one").await;
    let _connector = world.connect(&server);
    let mut client = world.client().await;
    client
        .send(b"POST /trailers HTTP/1.1\r\nhost: h\r\nte: trailers\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
        .await;
    client.send(b"0\r\ncontent-length: 7\r\nhost: evil\r\nauthorization: x\r\nx-sum: 3\r\n\r\n").await;
    let answer = client.answer(true).await.expect("an answer");
    assert!(answer.head.contains("trailer: x-sum"), "{}", answer.head);
    assert!(!answer.head.contains("trailer: content-length"), "{}", answer.head);
    let rest = eventually(async || {
        let mut octets = vec![0; 1024];
        let read = client.stream.try_read(&mut octets).unwrap_or(0);
        client.buffer.extend_from_slice(&octets[..read]);
        client.buffer.ends_with(b"\r\n\r\n").then(|| String::from_utf8_lossy(&client.buffer).to_lowercase())
    });
    assert_eq!(rest.await, "2\r\nab\r\n0\r\nx-sum: 3\r\n\r\n");
}

fn answered(tally: &Tally, site: Option<&str>, status: u16) {
    let status = StatusCode::from_u16(status).expect("a status");
    let latency = Duration::from_millis(2);
    tally.answered(&Answered { method: &Method::GET, status, site, bytes_in: 1, bytes_out: 2, latency });
}

#[test]
fn hosts_are_told_apart_up_to_a_bound() {
    let counters = Arc::new(Counters::new(Direction::In, "a"));
    let first = Tally::new(&counters, "h");
    for site in [None, Some("s"), None] {
        answered(&first, site, 200);
        answered(&Tally::new(&counters, "h"), site, 404);
    }
    let mut rows = counters.rows();
    rows.sort_by_key(|row| row.requests);
    assert_eq!(
        rows.iter().map(|row| (row.site.as_deref(), row.requests)).collect::<Vec<_>>(),
        [(Some("s"), 2), (None, 4)]
    );
    assert_eq!(rows[1].details, [("GET:200".to_owned(), 2), ("GET:404".to_owned(), 2)]);
    assert_eq!((rows[1].bytes_in, rows[1].bytes_out, rows[1].max_latency), (4, 8, Duration::from_millis(2)));
    for n in 0..HOSTS_MAX * 2 {
        answered(&Tally::new(&counters, &n.to_string()), None, 200);
    }
    // A host that is known may have more sites; these are not told apart any more either.
    answered(&first, Some("another"), 200);
    let rows = counters.rows();
    assert_eq!(rows.len(), HOSTS_MAX + 1);
    let rest = rows.iter().find(|row| row.host == "other").expect("the rest");
    assert_eq!((rest.requests, rest.site.as_deref()), (HOSTS_MAX as u64 + 3, None));
    assert_eq!(rows.iter().map(|row| row.requests).sum::<u64>(), 6 + HOSTS_MAX as u64 * 2 + 1);
}

#[test]
fn a_request_that_is_dropped_was_cancelled() {
    let counters = Arc::new(Counters::new(Direction::In, "a"));
    let tally = Tally::new(&counters, "h");
    drop(tally.open());
    tally.open().failed(Outcome::Refused);
    let mut open = tally.open();
    assert_eq!(counters.under_way(), 1);
    let status = StatusCode::OK;
    let latency = Duration::ZERO;
    open.answered(&Answered { method: &Method::GET, status, site: None, bytes_in: 0, bytes_out: 0, latency });
    drop(open);
    let failures = &counters.failures;
    let counts = [&failures.cancelled, &failures.refused, &failures.server_failed].map(|n| n.load(Ordering::Relaxed));
    assert_eq!((counts, counters.under_way(), counters.rows()[0].requests), ([1, 1, 0], 0, 1));
}

#[test]
fn trailers_that_may_not_be_are_left_out() {
    let map = |names: &[&'static str]| -> HeaderMap {
        names.iter().map(|name| (http::HeaderName::from_static(name), http::HeaderValue::from_static("1"))).collect()
    };
    let bad = ["content-length", "transfer-encoding", "host", "connection", "set-cookie", "if-match", "trailer"];
    assert_eq!(super::super::message::proper_trailers(map(&bad)), None);
    let mixed = [&bad[..], &["grpc-status", "x"]].concat();
    assert_eq!(super::super::message::proper_trailers(map(&mixed)), Some(map(&["grpc-status", "x"])));
}

#[tokio::test]
async fn an_answer_that_was_given_whole_counts_as_such() {
    let world = World::new();
    let server = Server::new("one").await;
    let connector = world.connect(&server);
    is_up(&connector, true).await;
    let mut client = world.client().await;
    for (n, path) in ["/large", "/large-chunks", "/large"].into_iter().enumerate() {
        assert_eq!(client.get(path).await.body.len(), 100_000, "{path}");
        eventually(async || (counted(&world) == (n as u64 + 1, 0, 0, 0)).then_some(())).await;
    }
    let (_, servers) = connector.service().http().expect("of HTTP");
    let count = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
    assert_eq!((count(&servers.failures.cancelled), count(&servers.failures.server_failed)), (0, 0));
    assert_eq!(server.connections(), 1);
}
