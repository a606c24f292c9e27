//! What peers can do to an HTTP listener, and what it does then.

mod websocket;

use super::*;
use crate::amqp::testing;
use crate::runtime::Io;
use crate::tcp::capture;
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

const PATIENCE: Duration = Duration::from_secs(20);

fn well() -> Page {
    Page::new("/well", |_| "well\n".to_owned())
}

/// A listener on this executor, with a folder of files.
struct Served {
    io: Io,
    listener: Listener,
    root: PathBuf,
}

/// What came back.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Served {
    fn with(pages: &[Page], max_connections: usize) -> Self {
        Self::having(pages, max_connections, |_| {})
    }

    fn having(pages: &[Page], max_connections: usize, change: impl FnOnce(&mut HttpParams)) -> Self {
        static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("served-{}-{number}", std::process::id()));
        fs::create_dir_all(&root).expect("a folder");
        let io = testing::io();
        let mut params = HttpParams {
            amqp: testing::params("0".to_owned()),
            websockets: true,
            pages: pages.to_vec(),
            documents: None,
            root: Some(root.clone()),
        };
        change(&mut params);
        let owner = io.carrier("listener l".to_owned());
        let listener = Listener::on(owner, params, &io, max_connections).expect("no TLS");
        listener.activate().expect("listens");
        Self { io, listener, root }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.listener.bound()[0]).await.expect("listens")
    }

    /// Answers to requests on one connection, sent in one go.
    async fn ask(&self, requests: &str) -> Vec<Answer> {
        let mut client = self.connect().await;
        client.write_all(requests.as_bytes()).await.expect("sent");
        client.shutdown().await.expect("sent");
        let mut octets = Vec::new();
        timeout(PATIENCE, client.read_to_end(&mut octets)).await.expect("in time").expect("an end");
        answers(&octets)
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(&get(path)).await.remove(0)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.listener.delete();
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")
}

fn answers(mut octets: &[u8]) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !octets.is_empty() {
        let end = octets.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
        let head = String::from_utf8(octets[..end].to_vec()).expect("text");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        let (body, rest) = octets[end..].split_at(length.parse().expect("a number"));
        answers.push(Answer { status, head, body: body.to_vec() });
        octets = rest;
    }
    answers
}

/// Reads to the end; returns after how many seconds it came.
async fn ends_after(client: &mut TcpStream) -> u64 {
    let begun = Instant::now();
    client.read_to_end(&mut Vec::new()).await.expect("an end in order");
    begun.elapsed().as_secs()
}

#[tokio::test(start_paused = true)]
async fn a_head_has_to_be_whole_in_time() {
    let served = Served::with(&[], 10);
    for dribble in ["", "\x16", "G", "GET / HTTP/1.1\r\nhost: a\r\n"] {
        let mut client = served.connect().await;
        client.write_all(dribble.as_bytes()).await.expect("sent");
        assert_eq!(ends_after(&mut client).await, 10, "{dribble:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_ends() {
    let served = Served::with(&[], 10);
    let mut client = served.connect().await;
    client.write_all(get("/missing").as_bytes()).await.expect("sent");
    let mut answer = [0; 12];
    client.read_exact(&mut answer).await.expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 404");
    assert_eq!(ends_after(&mut client).await, 10);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let served = Served::with(&[well()], 10);
    let with_field = |octets: usize| format!("GET /well HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(octets));
    assert_eq!(served.ask(&with_field(15_000)).await[0].status, 200);
    assert_eq!(served.ask(&with_field(17_000)).await[0].status, 431);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_nothing_is_given_up() {
    let served = Served::with(&[], 10);
    // More than sockets buffer.
    File::create(served.root.join("large")).and_then(|file| file.set_len(256 << 20)).expect("written");
    let mut client = served.connect().await;
    client.write_all(get("/large").as_bytes()).await.expect("sent");
    client.readable().await.expect("an answer begins");
    let begun = Instant::now();
    served.listener.delete();
    while !served.listener.has_left() {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let given_up = begun.elapsed().as_secs();
    assert!((30..=32).contains(&given_up), "{given_up}");
}

#[tokio::test]
async fn files_come_whole() {
    let served = Served::with(&[], 10);
    let content: Vec<u8> = (0..1_000_000_u32).map(|at| (at % 251) as u8).collect();
    fs::write(served.root.join("a.json"), &content).expect("written");
    let answer = served.get("/a.json").await;
    assert!(answer.status == 200 && answer.body == content);
    for header in ["content-type: application/json", "cache-control: no-store", "server: skupper-router"] {
        assert!(answer.head.lines().any(|line| line == header), "{header}: {}", answer.head);
    }
    assert!(!answer.head.contains("date:"), "{}", answer.head);
    let etag = answer.head.lines().find_map(|line| line.strip_prefix("etag: ")).expect("an etag");
    let again = format!("GET /a.json HTTP/1.1\r\nhost: a\r\nif-none-match: {etag}\r\n\r\n");
    let mut client = served.connect().await;
    client.write_all(again.as_bytes()).await.expect("sent");
    client.shutdown().await.expect("sent");
    let mut octets = String::new();
    timeout(PATIENCE, client.read_to_string(&mut octets)).await.expect("in time").expect("text");
    assert!(octets.starts_with("HTTP/1.1 304 ") && octets.ends_with("\r\n\r\n"), "{octets}");
}

#[tokio::test]
async fn what_is_not_there_has_a_known_page() {
    let served = Served::with(&[well()], 10);
    fs::write(served.root.join("a"), "a").expect("written");
    let post = "POST /a HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n".to_owned();
    for request in [get("/missing"), get("/wellness"), get("/../a"), post] {
        let answer = served.ask(&request).await.remove(0);
        assert_eq!((answer.status, answer.body.len()), (404, 173), "{request}");
        assert!(answer.head.contains("content-type: text/html\r\n"), "{}", answer.head);
    }
}

#[tokio::test]
async fn pages_are_found_by_their_path_whatever_the_method() {
    let served = Served::with(&[well()], 10);
    for path in ["/well", "/well/", "/well/x", "/well?q=1", "http://a/well"] {
        let answer = served.get(path).await;
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b"well\n"[..]), "{path}");
    }
    let post = "POST /well HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody";
    let statuses: Vec<_> = served.ask(&(post.to_owned() + &get("/well"))).await.iter().map(|a| a.status).collect();
    assert_eq!(statuses, [200, 200], "the body is taken");
}

#[tokio::test]
async fn a_body_that_is_too_large_ends_the_connection() {
    let served = Served::with(&[well()], 10);
    let post = |octets: usize| format!("POST /well HTTP/1.1\r\nhost: a\r\ncontent-length: {octets}\r\n\r\n");
    let fits = post(65_536) + &"x".repeat(65_536);
    assert_eq!(served.ask(&fits).await[0].status, 200);
    let answers = served.ask(&(post(70_000) + &"x".repeat(70_000) + &get("/well"))).await;
    assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [413]);
}

#[tokio::test]
async fn a_core_that_does_not_answer_is_told_of_and_holds_up_no_file() {
    static HELD: parking_lot::Mutex<()> = parking_lot::Mutex::new(());
    fn stuck(_: &Io) -> String {
        drop(HELD.lock());
        "free\n".to_owned()
    }
    let served = Served::with(&[Page::new("/stuck", stuck)], 100);
    fs::write(served.root.join("a"), "a").expect("written");
    let (release, released) = std::sync::mpsc::channel::<()>();
    let (hold, held) = tokio::sync::oneshot::channel();
    let holder = std::thread::spawn(move || {
        let _held = HELD.lock();
        hold.send(()).expect("awaited");
        let _ = released.recv();
    });
    held.await.expect("held");
    let begun = Instant::now();
    let many = async {
        let mut statuses = Vec::new();
        for _ in 0..3 {
            statuses.push(served.get("/stuck").await.status);
        }
        statuses
    };
    let (statuses, file) = tokio::join!(many, served.get("/a"));
    assert_eq!((statuses, file.status), (vec![503; 3], 200));
    assert!(begun.elapsed() >= Duration::from_secs(9), "each had its three seconds");
    assert_eq!(served.io.tasks().live().get("page"), Some(&1), "one thread waits for all");
    release.send(()).expect("it waits");
    holder.join().expect("no panic");
    let answer = served.get("/stuck").await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"free\n"[..]));
}

#[tokio::test]
async fn a_page_that_cannot_be_made_costs_its_request_only() {
    let broken = Page::new("/broken", |_| panic!("on purpose"));
    let served = Served::with(&[broken, well()], 10);
    assert_eq!(served.get("/broken").await.status, 503);
    assert_eq!(served.get("/well").await.status, 200);
}

#[tokio::test]
async fn too_many_connections_make_room() {
    let served = Served::with(&[well()], 2);
    let mut idle = [served.connect().await, served.connect().await];
    // Connections are taken in their order.
    for client in &mut idle {
        client.write_all(get("/well").as_bytes()).await.expect("sent");
        client.readable().await.expect("an answer");
    }
    assert_eq!(served.get("/well").await.status, 200);
    let [first, second] = &mut idle;
    assert!(timeout(PATIENCE, ends_after(first)).await.expect("in time") <= 1, "the oldest had to go");
    second.write_all(get("/well").as_bytes()).await.expect("sent");
    let mut octets = [0; 12];
    second.read_exact(&mut octets).await.expect("it lives");
}

#[tokio::test]
async fn a_deleted_listener_lets_idle_connections_go() {
    let served = Served::with(&[well()], 10);
    let mut client = served.connect().await;
    client.write_all(get("/well").as_bytes()).await.expect("sent");
    client.readable().await.expect("an answer");
    served.listener.delete();
    assert!(timeout(PATIENCE, ends_after(&mut client)).await.expect("in time") <= 1);
    TcpStream::connect(client.peer_addr().expect("connected")).await.expect_err("closed");
}

/// One document.
#[derive(Debug)]
struct Shelf;

impl Documents for Shelf {
    fn find(&self, path: &str) -> Option<Document> {
        let body = bytes::Bytes::from_static(b"read me");
        let document = Document { body, content_type: "text/html; charset=utf-8", version: None, policy: None };
        (path == "/").then_some(document)
    }
}

#[tokio::test]
async fn documents_are_where_no_files_are() {
    let shelf = |params: &mut HttpParams| params.documents = Some(std::sync::Arc::new(Shelf));
    let served = Served::having(&[well()], 10, |params| {
        shelf(params);
        params.root = None;
    });
    let answer = served.get("/?x=1").await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"read me"[..]));
    assert!(answer.head.contains("content-type: text/html; charset=utf-8\r\n"), "{}", answer.head);
    assert_eq!(served.get("/missing").await.status, 404);
    assert_eq!(served.get("/well").await.body, b"well\n");
    let with_files = Served::having(&[well()], 10, shelf);
    assert_eq!(with_files.get("/").await.status, 404);
}
