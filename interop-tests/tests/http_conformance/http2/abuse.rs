//! What is allowed, but far too much of it. The connection ends, or is held back; others are served meanwhile.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use interop_tests::harness::run;
use interop_tests::http_services::{Front, Version};
use interop_tests::raw_http::frame::{Frame, PREFACE, code::*, flag::*, kind, setting};
use interop_tests::raw_http::hpack::{INDEXED, indexed, literal};
use interop_tests::raw_http::http2::Client;

use super::canary;

/// Frames of a flood.
const MANY: u32 = 20_000;
/// Memory that a flood may take.
const GROWTH_KIB: u64 = 100 * 1024;
/// How long others may wait during a flood.
const CANARY_LIMIT: Duration = Duration::from_secs(5);

/// How a flood went.
struct Flood {
    /// The connection has ended, or took no more.
    is_limited: bool,
    /// Requests that the server behind has got.
    requests: usize,
}

/// Sends what `wave` makes of numbers, looks at what comes back now and then, and at others.
fn flood(count: u32, wave: impl Fn(&Client, u32) -> Vec<u8>) -> Result<Flood> {
    let front = Front::open(Version::Http2)?;
    let before = front.resident_kib()?;
    let mut client = Client::connect(front.entrance, "/flood")?;
    client.handshake().outcome()?;
    let mut highest = before;
    for number in 0..count {
        let octets = wave(&client, number);
        client.raw(&octets).catch_up();
        if client.goaway.is_some() || client.closed || client.blocked {
            break;
        }
        if number % (count / 10).max(1) == 0 {
            let begun = Instant::now();
            canary(&front, &format!("/during-{number}"))?;
            ensure!(begun.elapsed() < CANARY_LIMIT, "others waited for {:?}", begun.elapsed());
            highest = highest.max(front.resident_kib()?);
        }
    }
    // What was sent has arrived, or the connection has ended.
    let _ = client.ping().outcome();
    let is_limited = client.goaway.is_some() || client.closed || client.blocked;
    println!("{}", client.seen());
    let requests = front.server.about("/flood").len();
    drop(client);
    canary(&front, "/afterwards")?;
    highest = highest.max(front.resident_kib()?);
    ensure!(highest - before < GROWTH_KIB, "{} KiB more", highest - before);
    Ok(Flood { is_limited, requests })
}

/// The connection ends, whatever it takes.
fn ends(count: u32, wave: impl Fn(&Client, u32) -> Vec<u8>) -> Result<()> {
    let flood = flood(count, wave)?;
    ensure!(flood.is_limited, "nothing stops it, {} requests behind", flood.requests);
    Ok(())
}

/// The connection ends, or the server behind gets a part only.
fn ends_or_spares_the_server(count: u32, wave: impl Fn(&Client, u32) -> Vec<u8>) -> Result<()> {
    let flood = flood(count, wave)?;
    let most = count as usize / 4;
    ensure!(flood.is_limited || flood.requests < most, "nothing stops it, {} requests behind", flood.requests);
    Ok(())
}

/// Others are served, which is all that is asked.
fn harms_nobody(count: u32, wave: impl Fn(&Client, u32) -> Vec<u8>) -> Result<()> {
    flood(count, wave).map(drop)
}

fn get(client: &Client, stream: u32, flags: u8) -> Vec<u8> {
    Frame::new(kind::HEADERS, flags, stream, client.request_block("GET", &[])).octets()
}

#[test]
fn requests_that_are_reset_at_once() {
    run(|| {
        ends_or_spares_the_server(MANY, |client, number| {
            let stream = 2 * number + 1;
            [get(client, stream, END), Frame::reset(stream, CANCEL).octets()].concat()
        })
    });
}

#[test]
fn open_requests_that_are_reset_at_once() {
    run(|| {
        ends_or_spares_the_server(MANY, |client, number| {
            let stream = 2 * number + 1;
            [get(client, stream, END_HEADERS), Frame::reset(stream, CANCEL).octets()].concat()
        })
    });
}

/// The client makes the server reset them.
#[test]
fn requests_that_have_to_be_reset() {
    run(|| {
        ends_or_spares_the_server(MANY, |client, number| {
            let stream = 2 * number + 1;
            [get(client, stream, END_HEADERS), Frame::window_update(stream, 0).octets()].concat()
        })
    });
}

#[test]
fn malformed_requests() {
    run(|| {
        let flood = flood(MANY, |client, number| {
            let block = client.request_block("GET", &[("Upper", "1")]);
            Frame::new(kind::HEADERS, END, 2 * number + 1, block).octets()
        })?;
        ensure!(flood.requests == 0, "{} requests behind", flood.requests);
        Ok(())
    });
}

#[test]
fn continuation_without_an_end() {
    run(|| {
        ends(4000, |client, number| match number {
            0 => get(client, 1, END_STREAM),
            _ => Frame::new(kind::CONTINUATION, 0, 1, literal(0, "x", "y".repeat(16_000))).octets(),
        })
    });
}

#[test]
fn empty_continuation_without_an_end() {
    run(|| {
        ends(MANY, |client, number| match number {
            0 => get(client, 1, END_STREAM),
            _ => Frame::new(kind::CONTINUATION, 0, 1, []).octets(),
        })
    });
}

/// A block of a few octets stands for many.
#[test]
fn references_to_a_large_entry() {
    run(|| {
        let flood = flood(100, |client, number| {
            let entry = if number == 0 { literal(INDEXED, "x-bomb", "y".repeat(4000)) } else { Vec::new() };
            let bombs = indexed(62).repeat(12_000);
            let block = [client.request_block("GET", &[]), entry, bombs].concat();
            Frame::new(kind::HEADERS, END, 2 * number + 1, block).octets()
        })?;
        ensure!(flood.requests == 0, "{} requests of 48 megabytes behind", flood.requests);
        Ok(())
    });
}

#[test]
fn fields_that_are_too_many() {
    run(|| {
        let flood = flood(100, |client, number| {
            let block = [client.request_block("GET", &[]), literal(0, "x", "1").repeat(3000)].concat();
            Frame::new(kind::HEADERS, END, 2 * number + 1, block).octets()
        })?;
        ensure!(flood.requests == 0 || flood.requests == 100, "{} requests behind", flood.requests);
        Ok(())
    });
}

#[test]
fn empty_data() {
    run(|| {
        harms_nobody(10 * MANY, |client, number| match number {
            0 => get(client, 1, END_HEADERS),
            _ => Frame::new(kind::DATA, 0, 1, []).octets(),
        })
    });
}

#[test]
fn settings_and_pings() {
    run(|| {
        harms_nobody(5 * MANY, |_, number| match number % 2 {
            0 => Frame::settings(&[(setting::HEADER_TABLE_SIZE, number)]).octets(),
            _ => Frame::new(kind::PING, 0, 0, [0; 8]).octets(),
        })
    });
}

#[test]
fn priorities_and_windows() {
    run(|| {
        harms_nobody(5 * MANY, |_, number| match number % 2 {
            0 => Frame::new(kind::PRIORITY, 0, 2 * number + 1, [0, 0, 0, 0, 1]).octets(),
            _ => Frame::window_update(0, 1).octets(),
        })
    });
}

#[test]
fn unknown_frames() {
    run(|| harms_nobody(5 * MANY, |_, _| Frame::new(0x77, 0xff, 0, [0; 100]).octets()));
}

/// Sends without reading, until nothing more is taken, or all was.
fn deaf(octets: &[u8], count: usize) -> Result<()> {
    let front = Front::open(Version::Http2)?;
    let before = front.resident_kib()?;
    let mut stream = TcpStream::connect(front.entrance)?;
    stream.set_write_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(&[PREFACE, &Frame::settings(&[]).octets()].concat())?;
    let taken = (0..count).take_while(|_| stream.write_all(octets).is_ok()).count();
    println!("{taken} of {count}");
    canary(&front, "/meanwhile")?;
    let growth = front.resident_kib()?.saturating_sub(before);
    ensure!(growth < GROWTH_KIB, "{growth} KiB more for {taken} of {count}");
    Ok(())
}

#[test]
fn pings_of_a_client_that_reads_nothing() {
    run(|| deaf(&Frame::new(kind::PING, 0, 0, [0; 8]).octets().repeat(1000), 10_000));
}

#[test]
fn settings_of_a_client_that_reads_nothing() {
    run(|| deaf(&Frame::settings(&[(setting::MAX_CONCURRENT_STREAMS, 1)]).octets().repeat(1000), 10_000));
}

/// Large answers that their clients do not allow, or do not read. Others get theirs, which are not small.
#[test]
fn answers_that_nobody_reads() {
    run(|| {
        let front = Front::open(Version::Http2)?;
        let before = front.resident_kib()?;
        let mut clients = Vec::new();
        for number in 0..10 {
            let mut client = Client::connect(front.entrance, "/large")?;
            client.keep_credit().handshake();
            // Some would take more, but do not read it.
            if number % 2 == 0 {
                client.allow(0, 1_000_000_000);
            }
            for at in 0..10 {
                client.request_at(2 * at + 1, END, "GET", "/bytes/2000000");
            }
            clients.push(client);
            // So that all of it has gone as far as it can.
            let mut other = Client::connect(front.entrance, "/other")?;
            other
                .handshake()
                .request_at(1, END, "GET", "/bytes/300000")
                .answer(1)
                .outcome()
                .with_context(|| format!("another client, behind {} answers that nobody reads", 10 * clients.len()))?;
        }
        canary(&front, "/meanwhile")?;
        let growth = front.resident_kib()?.saturating_sub(before);
        ensure!(growth < GROWTH_KIB, "{growth} KiB more for 200 MB");
        Ok(())
    });
}

#[test]
fn idle_connections() {
    run(|| {
        let front = Front::open(Version::Http2)?;
        let before = front.resident_kib()?;
        let connect = |octets: &[u8]| -> Result<TcpStream> {
            let mut stream = TcpStream::connect(front.entrance)?;
            stream.write_all(octets)?;
            Ok(stream)
        };
        let greeting = [PREFACE, &Frame::settings(&[]).octets()].concat();
        let idle = (0..900).map(|at| connect(&greeting[..at % greeting.len()])).collect::<Result<Vec<_>>>()?;
        canary(&front, "/meanwhile")?;
        let growth = front.resident_kib()?.saturating_sub(before);
        ensure!(growth < GROWTH_KIB, "{growth} KiB more for {} connections", idle.len());
        Ok(())
    });
}
