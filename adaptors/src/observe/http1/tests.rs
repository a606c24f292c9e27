//! Conversations, and what is seen of them.

use super::Error;
use crate::observe::ledger::{Entry, Outcome, Turn, outcome, time, watch};
use crate::observe::{Mode, Off, Side, fuzzing};
use proptest::prelude::*;
use std::time::Duration;

const fn client(octets: &str) -> Turn<'_> {
    (Side::Client, octets.as_bytes())
}

const fn server(octets: &str) -> Turn<'_> {
    (Side::Server, octets.as_bytes())
}

/// What is seen of requests: method, status, reason, octets of the request and of the answer.
type Seen<'a> = (&'a str, Option<u16>, Option<&'a str>, u64, u64);

fn seen(entry: &Entry) -> Seen<'_> {
    let octets = |count: Option<u64>| count.expect("counted from the beginning");
    let (request, response) = (octets(entry.request_octets), octets(entry.response_octets));
    (&entry.method, entry.status, entry.reason.as_deref(), request, response)
}

#[track_caller]
fn check(turns: &[Turn<'_>], expected: &[Seen<'_>]) -> Outcome {
    let outcome = outcome(Mode::Auto, turns);
    assert_eq!(outcome.off, None);
    assert_eq!(outcome.entries.iter().map(seen).collect::<Vec<_>>(), expected);
    outcome
}

/// What makes an observer end, after a request when there is one under way.
#[track_caller]
fn check_off(turns: &[Turn<'_>], off: Off) -> Outcome {
    let outcome = outcome(Mode::Auto, turns);
    assert_eq!(outcome.off, Some((turns.len() - 1, off)));
    outcome
}

const GET: Turn<'static> = client("GET / HTTP/1.1\r\nHost: x\r\n\r\n");

const OK: Turn<'static> = server("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");

#[test]
fn a_request_and_its_answer() {
    let outcome = check(&[GET, OK], &[("GET", Some(200), Some("OK"), 0, 2)]);
    let expected = Entry {
        protocol: "HTTP/1.1",
        method: "GET".to_owned(),
        latency: Some(Duration::from_millis(1)),
        status: Some(200),
        reason: Some("OK".to_owned()),
        request_octets: Some(0),
        response_octets: Some(2),
        ended: Some(time(1)),
        ..Entry::default()
    };
    assert_eq!(outcome.entries, [expected]);
}

#[test]
fn versions_are_those_of_requests() {
    let turns = [client("GET / HTTP/1.0\n\n"), OK, GET, server("HTTP/1.0 200\n\n")];
    let outcome = check(&turns, &[("GET", Some(200), Some("OK"), 0, 2), ("GET", Some(200), Some(""), 0, 0)]);
    assert_eq!(outcome.entries.iter().map(|entry| entry.protocol).collect::<Vec<_>>(), ["HTTP/1.0", "HTTP/1.1"]);
}

#[test]
fn requests_are_pipelined() {
    let requests =
        "\r\n\nHEAD /1 HTTP/1.1\r\n\r\nPUT /2 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /3 HTTP/1.1\r\n\r\n";
    let answers = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n\
                   HTTP/1.1 204 No Content\r\n\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\nx";
    let expected = [
        ("HEAD", Some(200), Some("OK"), 0, 0),
        ("PUT", Some(204), Some("No Content"), 3, 0),
        ("GET", Some(404), Some("Not Found"), 0, 1),
    ];
    check(&[client(requests), server(answers)], &expected);
}

#[test]
fn bodies_in_chunks() {
    let request = client(
        "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n\
         5;name=\"v\"\r\nabcde\r\n00A\nabcdefghij\n0\r\nTrailer: x\r\nContent-Length: 9\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    );
    let answers = server(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\nContent-Length: 5\r\n\r\n3\r\n\r\n\r\r\n0\r\n\r\n\
         HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    let expected = [("POST", Some(200), Some("OK"), 15, 3), ("GET", Some(304), Some("Not Modified"), 0, 0)];
    check(&[request, answers], &expected);
}

#[test]
fn bodies_that_end_with_the_connection() {
    let turns = [GET, server("HTTP/1.1 200 OK\r\n\r\nfor"), server("ever\r\nHTTP/1.1 200 OK\r\n\r\n")];
    let outcome = check(&turns, &[("GET", Some(200), Some("OK"), 0, 28)]);
    assert_eq!(outcome.entries[0].ended, Some(time(3)));
    let coded = server("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nContent-Length: 1\r\n\r\nabc");
    check(&[GET, coded], &[("GET", Some(200), Some("OK"), 0, 3)]);
    let old = server("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n");
    check(&[client("GET / HTTP/1.0\r\n\r\n"), old], &[("GET", Some(200), Some("OK"), 0, 3)]);
}

#[test]
fn informational_answers() {
    let turns = [
        client("PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"),
        server("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nContent-Length: 7\r\n\r\n"),
        client("ab"),
        server("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"),
    ];
    let outcome = check(&turns, &[("PUT", Some(201), Some("Created"), 2, 0)]);
    assert_eq!(outcome.entries[0].latency, Some(Duration::from_millis(1)));
    assert_eq!(outcome.entries[0].ended, Some(time(3)));
}

#[test]
fn answers_before_the_end_of_a_request() {
    let turns = [
        client("PUT / HTTP/1.1\r\nContent-Length: 4\r\n\r\nab"),
        server("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"),
        client("cdGET / HTTP/1.1\r\n\r\n"),
        OK,
    ];
    let outcome = check(&turns, &[("PUT", Some(413), Some("Too Large"), 4, 0), ("GET", Some(200), Some("OK"), 0, 2)]);
    assert_eq!(outcome.entries[0].ended, Some(time(2)));
}

#[test]
fn what_is_not_answered_ends_with_the_connection() {
    let outcome = check(&[GET, GET], &[("GET", None, None, 0, 0), ("GET", None, None, 0, 0)]);
    assert!(outcome.entries.iter().all(|entry| entry.ended == Some(time(2)) && entry.latency.is_none()));
    check(&[client("GET / HTTP/1.1\r\nHo")], &[("GET", None, None, 0, 0)]);
    check(&[client("GET / HTT")], &[]);
    check(&[], &[]);
}

#[test]
fn who_forwarded_first() {
    let request = "GET / HTTP/1.1\r\nx-FORWARDED-for:  2001:db8::1, 192.0.2.1\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n";
    let none = "GET / HTTP/1.1\r\nX-Forwarded-For: ,\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n";
    let answer = server("HTTP/1.1 204 No Content\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n");
    let outcome = outcome(Mode::Http1, &[client(request), answer, client(none), answer]);
    let hosts: Vec<_> = outcome.entries.iter().map(|entry| entry.source_host.as_deref()).collect();
    assert_eq!(hosts, [Some("2001:db8::1"), None]);
}

#[test]
fn folded_and_broken_header_lines_are_skipped() {
    let request = "GET / HTTP/1.1\r\nA: b\r\n Content-Length: 5\r\nnothing\r\n: nothing\r\nContent-Length:\r\n\r\n";
    check(&[client(request), OK], &[("GET", Some(200), Some("OK"), 0, 2)]);
}

#[test]
fn other_protocols_follow() {
    let upgrade = [
        client("GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"),
        server("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\u{81}\0"),
    ];
    let entry = check_off(&upgrade, Off::Tunnel).entries.remove(0);
    assert_eq!(seen(&entry), ("GET", Some(101), Some("Switching Protocols"), 0, 0));
    assert_eq!(entry.ended, Some(time(1)));
    let connect = client("CONNECT a:1 HTTP/1.1\r\n\r\n");
    let established = server("HTTP/1.1 200 Connection established\r\nContent-Length: 5\r\n\r\n");
    check_off(&[connect, established], Off::Tunnel);
    let refused = server("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
    check(
        &[connect, refused, GET, OK],
        &[("CONNECT", Some(403), Some("Forbidden"), 0, 2), ("GET", Some(200), Some("OK"), 0, 2)],
    );
}

#[test]
fn errors_before_any_request() {
    let cases: [(Turn<'_>, Error); 7] = [
        (client("\u{16}\u{3}\u{1}\0"), Error::NotAscii),
        (client("EHLO mail\r\n"), Error::RequestLine),
        (client("PRI * HTTP/3.0\r\n\r\n"), Error::Version),
        (client("GET / HTTP/1.1\u{7f}"), Error::NotAscii),
        (client("SSH-2.0-OpenSSH for this\r\n"), Error::Version),
        (client("\r\n \r\n"), Error::RequestLine),
        (client("\u{e4}"), Error::NotAscii),
    ];
    for (turn, error) in cases {
        let outcome = check_off(&[turn], Off::NotHttp1(error));
        assert_eq!(outcome.entries, []);
    }
    let spurious = Off::NotHttp1(Error::Spurious);
    check_off(&[GET, OK, server("HTTP/1.1 408 Request Timeout\r\n\r\n")], spurious);
    let greeting = server("220 mail.example ESMTP\r\n");
    check_off(&[greeting, client("EHLO mail\r\n")], spurious);
}

#[test]
fn errors_while_requests_are_under_way() {
    let request = |head: &str| format!("POST / HTTP/1.1\r\n{head}\r\n\r\n");
    let chunks = |chunks: &str| format!("{}{chunks}", request("Transfer-Encoding: chunked"));
    let cases = [
        (request("Content-Length: 1, 2"), Error::ContentLengths),
        (request("Content-Length: 1\r\nContent-Length: 2"), Error::ContentLengths),
        (request("Content-Length: 9223372036854775808"), Error::ContentLength),
        (request("Transfer-Encoding: gzip"), Error::TransferEncoding),
        (request("Host: \u{e4}"), Error::NotAscii),
        (request(&format!("Long: {}", "x".repeat(65_535))), Error::LineTooLong),
        (chunks("x\r\n"), Error::ChunkSize),
        (chunks("ffffffffffffffff\r\n"), Error::ChunkSize),
        (chunks("1\r\nab"), Error::ChunkEnd),
    ];
    for (octets, error) in cases {
        let octets = if error == Error::ChunkEnd { octets + "\r\n" } else { octets };
        let outcome = check_off(&[client(&octets)], Off::Http1(error));
        assert_eq!(outcome.entries.len(), 1, "{error}");
    }
    let answers = [
        ("HTTP/2 200 OK\r\n", Error::Version),
        ("HTTP/1.1\r\n", Error::StatusLine),
        ("HTTP/1.1 2000 OK\r\n", Error::Status),
        ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n", Error::ContentLength),
        ("\u{0}", Error::NotAscii),
    ];
    for (octets, error) in answers {
        check_off(&[GET, server(octets)], Off::Http1(error));
    }
}

#[test]
fn a_connection_is_joined_at_its_next_request() {
    let late = |turns: &[Turn<'_>], wanted| {
        let outcome = watch(Mode::Auto, turns, wanted, || usize::MAX, |_| {});
        assert_eq!(outcome.off, None);
        let seen = |entry: &Entry| (entry.begun, entry.status, entry.response_octets);
        outcome.entries.iter().map(seen).collect::<Vec<_>>()
    };
    let whole = |turn| (time(turn), Some(200), Some(2));
    assert_eq!(late(&[GET, OK, GET, OK], 1), [whole(2)], "an answer was under way");
    assert_eq!(late(&[GET, OK, GET, OK], 2), [whole(2)]);
    assert_eq!(late(&[GET, OK, GET, OK], 3), []);
    let upload = [client("POST / HTTP/1.1\r\nContent-Length: 38\r\n\r\n"), client("GET / HTTP/1.1\r\n\r\n"), GET];
    assert_eq!(late(&[&upload[..], &[OK, GET, OK]].concat(), 1), [whole(4)], "the client had not ended");
    let continued = [upload[0], server("HTTP/1.1 100 Continue\r\n\r\n"), client("GET / HTTP/1.1\r\n\r\n1234567890")];
    let seen = late(&[&continued[..], &[client("not a request\r\n"), OK, GET, OK]].concat(), 2);
    assert_eq!(seen, [(time(2), None, Some(0)), whole(5)], "what looked like a request was none");
    let long = |octets| format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(octets));
    let (near, far) = (long(8000), long(9000));
    assert_eq!(late(&[GET, OK, client(&near), OK], 1), [whole(2)]);
    assert_eq!(late(&[GET, OK, client(&far), OK, GET, OK], 1), [whole(4)], "its line is not looked for to its end");
    let other = [client("PING\r\n"), server("PONG\r\n"), client("PING\r\n"), server("PONG\r\n"), GET, OK];
    assert_eq!(late(&other, 2), [whole(4)]);
}

#[test]
fn too_many_requests_at_a_time() {
    let (request, answer) = ("HEAD / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    let most = [request.repeat(1024), answer.repeat(1024)];
    let outcome = outcome(Mode::Http1, &[client(&most[0]), server(&most[1]), GET, OK]);
    assert_eq!(outcome.off, None);
    assert_eq!(outcome.entries.len(), 64 + 1);
    assert_eq!(outcome.entries[64].response_octets, Some(2));
    let excess = Off::Http1(Error::Pipelined);
    check_off(&[client(&request.repeat(1025))], excess);
}

#[test]
fn long_texts_are_cut() {
    let request = format!("{} / HTTP/1.1\r\n\r\n", "M".repeat(1000));
    let answer = format!("HTTP/1.1 200 {}\r\nContent-Length: 0\r\n\r\n", "r".repeat(1000));
    let outcome = outcome(Mode::Http1, &[client(&request), server(&answer)]);
    let entry = &outcome.entries[0];
    assert_eq!((entry.method.len(), entry.reason.as_ref().map(String::len)), (300, Some(300)));
}

/// Pieces of which conversations are made.
const CLIENT: &[&str] = &[
    "GET / HTTP/1.1\r\n",
    "HEAD / HTTP/1.0\n",
    "CONNECT a:1 HTTP/1.1\r\n",
    "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "PUT / HTTP/1.1\r\nContent-Length: 5\r\n\r\n12345",
    "X-Forwarded-For: a, b\r\n",
    "Content-Length: 3\r\n",
    "\r\n",
    "abc",
    "P",
    "PRI * HTTP/2.0\r\n",
];

const SERVER: &[&str] = &[
    "HTTP/1.1 200 OK\r\n",
    "HTTP/1.0 404 Not Found\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 204 No Content\n\n",
    "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "Content-Length: 3\r\n",
    "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "\r\n",
    "abc",
];

fn turn() -> impl Strategy<Value = (Side, Vec<u8>)> {
    let said = |side, parts: &'static [&'static str]| {
        let parts = proptest::collection::vec(proptest::sample::select(parts), 1..6);
        parts.prop_map(move |parts| (side, parts.concat().into_bytes()))
    };
    prop_oneof![said(Side::Client, CLIENT), said(Side::Server, SERVER)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pieces_make_no_difference(
        said in proptest::collection::vec(turn(), 1..8),
        changes in proptest::collection::vec((any::<usize>(), any::<usize>(), any::<u8>()), 0..3),
        seed: u16,
    ) {
        let mut said = said;
        for (turn, at, octet) in changes {
            let turns = said.len();
            let octets = &mut said[turn % turns].1;
            let length = octets.len();
            octets[at % length] = octet;
        }
        let turns: Vec<Turn<'_>> = said.iter().map(|(side, octets)| (*side, &octets[..])).collect();
        fuzzing::any_pieces(Mode::Auto, &turns, seed);
    }
}
