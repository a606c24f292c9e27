//! Clients that leave large answers unread, and servers that leave large bodies unread, hold up nobody else, whoever shares
//! what with them.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop_tests::apps::Encryption;
use interop_tests::http_services::{Net, Shape, Version};
use interop_tests::raw_http::frame::{Frame, flag, kind};
use interop_tests::raw_http::{Recorder, http1, http2, pattern};

use crate::through;

/// Clients that do not read, and octets of what they have asked for.
const CLIENTS: usize = 12;
const HELD: &str = "/bytes/5000000";
/// Octets that others ask for.
const OTHER: usize = 1_000_000;

fn check<C>(
    shape: Shape,
    version: Version,
    hold: impl Fn(std::net::SocketAddr) -> Result<C>,
    ask: impl Fn(std::net::SocketAddr) -> Result<Vec<u8>>,
) -> Result<()> {
    let (mut net, server) = (Net::start(shape)?, Recorder::start("server")?);
    let entrance = net.serve(version, server.address())?;
    let mut held = Vec::new();
    for number in 0..CLIENTS {
        held.push(hold(entrance).with_context(|| format!("the head of an answer behind {number} that nobody reads"))?);
        let body = ask(entrance).with_context(|| format!("an answer behind {} that nobody reads", held.len()))?;
        ensure!(body == pattern(OTHER), "{} octets", body.len());
    }
    net.expect_no_errors()
}

fn http1(shape: Shape, _: Encryption) -> Result<()> {
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n");
    let hold = |entrance| {
        let mut client = http1::Client::connect(entrance)?;
        client.send(get(HELD)).head()?;
        Ok(client)
    };
    let ask = |entrance| {
        let mut client = http1::Client::connect(entrance)?;
        let answer = client.send(get(&format!("/bytes/{OTHER}"))).answer("GET")?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(answer.body)
    };
    check(shape, Version::Http1, hold, ask)
}

fn http2(shape: Shape, _: Encryption) -> Result<()> {
    let hold = |entrance| {
        let mut client = http2::Client::connect(entrance, HELD)?;
        client.keep_credit().handshake().request_at(1, flag::END, "GET", "");
        client.until("the head of an answer", |client| client.answers.contains_key(&1)).outcome()?;
        Ok(client)
    };
    let ask = |entrance| {
        let mut client = http2::Client::connect(entrance, &format!("/bytes/{OTHER}"))?;
        client.handshake().get(1).answer(1).outcome()?;
        Ok(std::mem::take(&mut client.answers.entry(1).or_default().body))
    };
    check(shape, Version::Http2, hold, ask)
}

/// Octets of a body that its server does not read.
const UNREAD: usize = 5_000_000;

fn http1_bodies(shape: Shape, _: Encryption) -> Result<()> {
    let post =
        |path: &str, octets: usize| format!("POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {octets}\r\n\r\n");
    let hold = |entrance| {
        let mut stream = TcpStream::connect(entrance)?;
        stream.write_all(post("/stall", UNREAD).as_bytes())?;
        // As much as is taken.
        stream.set_write_timeout(Some(Duration::from_millis(300)))?;
        while stream.write_all(&[0; 10_000]).is_ok() {}
        Ok(stream)
    };
    let ask = |entrance| {
        let mut client = http1::Client::connect(entrance)?;
        let answer = client.send(post(&format!("/bytes/{OTHER}"), OTHER)).send(pattern(OTHER)).answer("POST")?;
        ensure!(answer.status == 200, "{answer:?}");
        Ok(answer.body)
    };
    check(shape, Version::Http1, hold, ask)
}

fn http2_bodies(shape: Shape, _: Encryption) -> Result<()> {
    let hold = |entrance| {
        let mut client = http2::Client::connect(entrance, "/stall")?;
        client.handshake().post(1);
        // As much as is taken.
        for _ in 0..UNREAD / 10_000 {
            if client.room(1) < 10_000 {
                break;
            }
            client.allowed(&Frame::new(kind::DATA, 0, 1, [0; 10_000])).ping().catch_up();
        }
        client.outcome()?;
        Ok(client)
    };
    let ask = |entrance| {
        let mut client = http2::Client::connect(entrance, &format!("/bytes/{OTHER}"))?;
        client.handshake().post(1).body(1, &pattern(OTHER)).answer(1).outcome()?;
        Ok(std::mem::take(&mut client.answers.entry(1).or_default().body))
    };
    check(shape, Version::Http2, hold, ask)
}

through! { http1_bodies;
    http1_bodies_one_router: One, Plain;
    http1_bodies_two_routers: Two, Plain;
    http1_bodies_clients_at_an_edge: EdgeClients, Plain;
}

through! { http2_bodies;
    http2_bodies_one_router: One, Plain;
    http2_bodies_two_routers: Two, Plain;
    http2_bodies_servers_at_an_edge: EdgeServers, Plain;
}

through! { http1;
    http1_one_router: One, Plain;
    http1_two_routers: Two, Plain;
    http1_clients_at_an_edge: EdgeClients, Plain;
    http1_servers_at_an_edge: EdgeServers, Plain;
}

through! { http2;
    http2_one_router: One, Plain;
    http2_two_routers: Two, Plain;
    http2_clients_at_an_edge: EdgeClients, Plain;
    http2_servers_at_an_edge: EdgeServers, Plain;
}
