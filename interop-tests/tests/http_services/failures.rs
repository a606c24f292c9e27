//! Servers that are killed and restarted under load: what can be asked again is, what must not be done twice is not.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use anyhow::{Result, ensure};
use interop_tests::harness::{eventually, run};
use interop_tests::http_services::{Net, Shape, Version};
use interop_tests::raw_http::frame::flag;
use interop_tests::raw_http::{Recorder, http1, http2};

const SERVICE: &str = "shared";
/// Clients that ask at the same time.
const CLIENTS: usize = 8;
/// How often each server is killed, and requests between one event and the next.
const ROUNDS: usize = 3;
const BETWEEN: usize = 150;

/// What clients have seen.
#[derive(Default)]
struct Seen {
    /// Requests that were answered.
    answered: AtomicUsize,
    /// What became of those that were not, by target.
    failed: Mutex<Vec<String>>,
    /// POST requests that succeeded.
    posted: Mutex<Vec<String>>,
    is_over: AtomicBool,
}

/// A client's connection, which is made anew when it has ended.
enum Connection {
    Http1(Option<http1::Client>),
    Http2(Option<(Box<http2::Client>, u32)>),
}

impl Connection {
    fn new(version: Version) -> Self {
        match version {
            Version::Http1 => Self::Http1(None),
            Version::Http2 => Self::Http2(None),
        }
    }

    /// The status of the answer to a request.
    fn ask(&mut self, entrance: SocketAddr, method: &str, target: &str) -> Result<u16> {
        match self {
            Self::Http1(kept) => {
                let mut client = kept.take().map_or_else(|| http1::Client::connect(entrance), Ok)?;
                let length = if method == "POST" { "Content-Length: 4\r\n\r\nbody" } else { "\r\n" };
                client.send(format!("{method} {target} HTTP/1.1\r\nHost: test\r\n{length}"));
                let answer = client.answer(method)?;
                ensure!(answer.status != 200 || answer.body == target.as_bytes(), "the wrong answer: {answer:?}");
                *kept = (!answer.is_last()).then_some(client);
                Ok(answer.status)
            }
            Self::Http2(kept) => {
                let (mut client, stream) = match kept.take() {
                    Some((client, stream)) => (client, stream + 2),
                    None => {
                        let mut client = Box::new(http2::Client::connect(entrance, "")?);
                        client.handshake().outcome()?;
                        (client, 1)
                    }
                };
                let is_told =
                    |client: &http2::Client| client.is_answered(stream) || client.resets.contains_key(&stream);
                if method == "POST" {
                    client.request_at(stream, flag::END_HEADERS, method, target).data(stream, flag::END_STREAM, "body");
                } else {
                    client.request_at(stream, flag::END, method, target);
                }
                client.until("an answer", is_told).outcome()?;
                let answer = client.answers.get(&stream);
                let status = answer.filter(|answer| answer.ended).map_or(0, |answer| answer.status);
                let body = answer.map(|answer| answer.body.as_slice());
                ensure!(status != 200 || body == Some(target.as_bytes()), "the wrong answer: {}", client.seen());
                *kept = client.goaway.is_none().then_some((client, stream));
                Ok(status)
            }
        }
    }
}

/// Asks until it is over, mostly with GET. Each request has a target of its own.
fn client(number: usize, version: Version, entrance: SocketAddr, seen: &Seen) {
    let mut connection = Connection::new(version);
    for count in 0.. {
        if seen.is_over.load(Ordering::Acquire) {
            return;
        }
        let method = if count % 3 == 0 { "POST" } else { "GET" };
        let target = format!("/{method}-{number}-{count}/slow");
        match connection.ask(entrance, method, &target) {
            Ok(200) => {
                if method == "POST" {
                    seen.posted.lock().expect("no panic").push(target);
                }
            }
            outcome => {
                connection = Connection::new(version);
                seen.failed.lock().expect("no panic").push(format!("{target}: {outcome:?}"));
            }
        }
        seen.answered.fetch_add(1, Ordering::Release);
    }
}

/// Waits until there were so many more requests.
fn more(seen: &Seen) -> Result<()> {
    let before = seen.answered.load(Ordering::Acquire);
    eventually("there is more traffic", || {
        let now = seen.answered.load(Ordering::Acquire);
        ensure!(now >= before + BETWEEN, "{} requests", now - before);
        Ok(())
    })
}

/// Kills each server in turn, and restarts it.
fn kill_in_turn(servers: &mut [Recorder], seen: &Seen) -> Result<()> {
    for _ in 0..ROUNDS {
        for server in servers.iter_mut() {
            more(seen)?;
            server.kill();
            more(seen)?;
            server.restart()?;
            let before = server.count();
            eventually("the server is used again", || {
                ensure!(server.count() > before, "it gets nothing");
                Ok(())
            })?;
        }
    }
    more(seen)
}

fn check(version: Version) -> Result<()> {
    let mut net = Net::start(Shape::Two)?;
    let mut servers = ["a", "b", "c", "d"].map(Recorder::start).into_iter().collect::<Result<Vec<_>>>()?;
    let entrance = net.listen(0, SERVICE, version, &[])?;
    for (number, server) in servers.iter().enumerate() {
        net.connect(number / 2, SERVICE, version, server.address(), &[])?;
    }
    [0, 1].into_iter().try_for_each(|site| net.wait_for_servers(site, SERVICE, 2, 1))?;
    let seen = Seen::default();
    let outcome = thread::scope(|scope| {
        for number in 0..CLIENTS {
            let seen = &seen;
            scope.spawn(move || client(number, version, entrance, seen));
        }
        let outcome = kill_in_turn(&mut servers, &seen);
        seen.is_over.store(true, Ordering::Release);
        outcome
    });
    let failed = seen.failed.lock().expect("no panic");
    println!("{} requests, {} not answered", seen.answered.load(Ordering::Acquire), failed.len());
    outcome?;
    let lost: Vec<_> = failed.iter().filter(|failure| failure.starts_with("/GET")).collect();
    ensure!(lost.is_empty(), "{} GET requests failed: {:?}", lost.len(), &lost[..lost.len().min(10)]);

    let mut done = BTreeMap::<String, usize>::new();
    let records = servers.iter().flat_map(|server| server.about("/POST"));
    records.filter(|record| record.is_whole).for_each(|record| *done.entry(record.target).or_default() += 1);
    let twice: Vec<_> = done.iter().filter(|(_, count)| **count > 1).collect();
    ensure!(twice.is_empty(), "carried out more than once: {twice:?}");
    let posted = seen.posted.lock().expect("no panic");
    let missing: Vec<_> = posted.iter().filter(|target| !done.contains_key(*target)).collect();
    ensure!(missing.is_empty(), "answered, but not carried out: {missing:?}");
    let faults: Vec<_> = servers.iter().flat_map(|server| server.about("")).filter_map(|record| record.fault).collect();
    ensure!(faults.is_empty(), "{faults:?}");
    Ok(())
}

#[test]
fn http1_servers_are_killed_in_turn() {
    run(|| check(Version::Http1));
}

#[test]
fn http2_servers_are_killed_in_turn() {
    run(|| check(Version::Http2));
}

/// While there is none, clients are turned away; they are served again once it is back.
fn only_server(version: Version) -> Result<()> {
    let mut net = Net::start(Shape::Two)?;
    let mut server = Recorder::start("only")?;
    let entrance = net.serve(version, server.address())?;
    let ask = || Connection::new(version).ask(entrance, "GET", "/page");
    ensure!(ask()? == 200);
    for _ in 0..2 {
        server.kill();
        // Nobody listens, or somebody who says that nobody serves.
        if let Ok(Ok(status)) = TcpStream::connect(entrance).map(|_| ask()) {
            ensure!(status == 0 || status >= 500, "answered {status}");
        }
        server.restart()?;
        eventually("requests are served again", || {
            let status = ask()?;
            ensure!(status == 200, "answered {status}");
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn the_only_http1_server_is_killed() {
    run(|| only_server(Version::Http1));
}

#[test]
fn the_only_http2_server_is_killed() {
    run(|| only_server(Version::Http2));
}
