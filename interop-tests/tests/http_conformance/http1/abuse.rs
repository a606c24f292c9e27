//! What is allowed, but far too much of it. The connection ends, or is held back; others are served meanwhile.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use interop_tests::harness::run;
use interop_tests::http_services::{Front, Version};
use interop_tests::raw_http::http1::Client;
use interop_tests::tcp::connect;

use super::canary;

/// Memory that a flood may take.
const GROWTH_KIB: u64 = 100 * 1024;
/// How long others may wait during a flood.
const CANARY_LIMIT: Duration = Duration::from_secs(5);

/// Sends a head, and then the same octets again and again without reading, until nothing more is taken.
fn deaf(head: &str, octets: &[u8], count: usize) -> Result<()> {
    let front = Front::open(Version::Http1)?;
    let before = front.resident_kib()?;
    let mut stream = TcpStream::connect(front.entrance)?;
    stream.set_write_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(head.as_bytes())?;
    let mut taken = 0;
    while taken < count && stream.write_all(octets).is_ok() {
        taken += 1;
        if taken % (count / 5).max(1) == 0 {
            quick(&front)?;
        }
    }
    println!("{taken} of {count}");
    quick(&front)?;
    let growth = front.resident_kib()?.saturating_sub(before);
    ensure!(growth < GROWTH_KIB, "{growth} KiB more for {taken} of {count}");
    Ok(())
}

fn quick(front: &Front) -> Result<()> {
    let begun = Instant::now();
    canary(front, "/meanwhile")?;
    ensure!(begun.elapsed() < CANARY_LIMIT, "others waited for {:?}", begun.elapsed());
    Ok(())
}

#[test]
fn pipelined_requests_of_a_client_that_reads_nothing() {
    let request = "GET /flood/bytes/1000 HTTP/1.1\r\nHost: test\r\n\r\n";
    run(|| deaf("", request.repeat(1000).as_bytes(), 200));
}

#[test]
fn a_body_that_nobody_reads() {
    run(|| deaf("POST /stall HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000000\r\n\r\n", &[b'x'; 1 << 20], 500));
}

#[test]
fn a_body_without_an_end() {
    let chunk = [b"100000\r\n", &[b'x'; 1 << 20][..], b"\r\n"].concat();
    run(move || deaf("POST /stall HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n", &chunk, 500));
}

#[test]
fn a_head_without_an_end() {
    run(|| deaf("GET /flood HTTP/1.1\r\n", "X-A: 1\r\n".repeat(1000).as_bytes(), 10_000));
}

#[test]
fn answers_that_nobody_reads() {
    run(|| {
        let front = Front::open(Version::Http1)?;
        let before = front.resident_kib()?;
        let ask = |number: usize| -> Result<TcpStream> {
            let mut stream = connect(front.entrance)?;
            stream.write_all(b"GET /large/bytes/5000000 HTTP/1.1\r\nHost: test\r\n\r\n")?;
            // So that it has begun.
            stream
                .read_exact(&mut [0; 1000])
                .with_context(|| format!("an answer behind {number} that nobody reads"))?;
            Ok(stream)
        };
        let clients = (0..50).map(ask).collect::<Result<Vec<_>>>()?;
        quick(&front)?;
        let growth = front.resident_kib()?.saturating_sub(before);
        ensure!(growth < GROWTH_KIB, "{growth} KiB more for {} clients", clients.len());
        Ok(())
    });
}

#[test]
fn idle_connections_and_half_heads() {
    run(|| {
        let front = Front::open(Version::Http1)?;
        let before = front.resident_kib()?;
        let head = b"GET /half HTTP/1.1\r\nHost: ";
        let begun = |octets: &[u8]| -> Result<TcpStream> {
            let mut stream = TcpStream::connect(front.entrance)?;
            stream.write_all(octets)?;
            Ok(stream)
        };
        let idle = (0..900).map(|at| begun(&head[..at % head.len()])).collect::<Result<Vec<_>>>()?;
        quick(&front)?;
        let growth = front.resident_kib()?.saturating_sub(before);
        ensure!(growth < GROWTH_KIB, "{growth} KiB more for {} connections", idle.len());
        ensure!(front.server.about("/half").is_empty(), "half a head was passed on");
        Ok(())
    });
}

/// The one that is cut off is the slow one.
#[test]
#[ignore = "takes as long as slow heads are borne"]
fn heads_that_take_too_long() {
    run(|| {
        let front = Front::open(Version::Http1)?;
        let begun = Instant::now();
        let mut stream = TcpStream::connect(front.entrance)?;
        stream.set_read_timeout(Some(Duration::from_secs(90)))?;
        stream.write_all(b"GET /slow HTTP/1.1\r\nHost: ")?;
        stream.read_to_end(&mut Vec::new()).context("it is borne for too long")?;
        println!("{:?}", begun.elapsed());
        canary(&front, "/afterwards")
    });
}

/// One octet after the other.
#[test]
fn requests_in_tiny_pieces() {
    run(|| {
        let front = Front::open(Version::Http1)?;
        let mut client = Client::connect(front.entrance)?;
        let request = b"POST /tiny HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n";
        for _ in 0..3 {
            request.chunks(1).for_each(|octet| {
                client.send(octet);
            });
            let answer = client.answer("POST")?;
            ensure!(answer.status == 200 && answer.body == b"/tiny", "{answer:?}");
        }
        ensure!(front.server.about("/tiny").iter().all(|record| record.body == b"body" && record.fault.is_none()));
        Ok(())
    });
}
