//! Conversations, and what is seen of them.

use super::frame::kind;
use super::{Error, HpackError};
use crate::observe::detect::PREFACE;
use crate::observe::ledger::{Entry, Outcome, Turn, outcome, time};
use crate::observe::{Mode, Off, Side, fuzzing};
use proptest::prelude::*;
use std::slice::from_ref;
use std::time::Duration;

const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

const WHOLE: u8 = END_HEADERS | END_STREAM;

/// Octets of one side.
struct Said(Side, Vec<u8>);

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header block of fields that are not added to the table.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

fn headers(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(kind::HEADERS, flags, stream, &block(fields))
}

fn data(stream: u32, flags: u8, octets: usize) -> Vec<u8> {
    frame(kind::DATA, flags, stream, &vec![0; octets])
}

/// The first frames of a client, behind the preface.
fn client(frames: &[Vec<u8>]) -> Said {
    Said(Side::Client, [PREFACE.to_vec(), frame(kind::SETTINGS, 0, 0, &[]), frames.concat()].concat())
}

fn more(frames: &[Vec<u8>]) -> Said {
    Said(Side::Client, frames.concat())
}

fn server(frames: &[Vec<u8>]) -> Said {
    Said(Side::Server, frames.concat())
}

fn observe(said: &[Said]) -> Outcome {
    let turns: Vec<Turn<'_>> = said.iter().map(|Said(side, octets)| (*side, &octets[..])).collect();
    let detected = outcome(Mode::Auto, &turns);
    assert_eq!(outcome(Mode::Http2, &turns), detected);
    detected
}

/// What is seen of requests: stream, method, status, octets of the request and of the answer.
type Seen<'a> = (u32, &'a str, Option<u16>, u64, Option<u64>);

fn seen(entry: &Entry) -> Seen<'_> {
    assert_eq!((entry.protocol, &entry.reason), ("HTTP/2", &None));
    let (stream, octets) = (entry.stream.expect("a stream"), entry.request_octets.expect("counted from the beginning"));
    (stream, &entry.method, entry.status, octets, entry.response_octets)
}

#[track_caller]
fn check(said: &[Said], expected: &[Seen<'_>]) -> Outcome {
    let outcome = observe(said);
    assert_eq!(outcome.off, None);
    assert_eq!(outcome.entries.iter().map(seen).collect::<Vec<_>>(), expected);
    outcome
}

#[track_caller]
fn check_off(said: &[Said], error: Error) -> Outcome {
    let outcome = observe(said);
    assert_eq!(outcome.off, Some((said.len() - 1, Off::Http2(error))));
    outcome
}

const GET: &[(&str, &str)] = &[(":method", "GET"), (":path", "/")];
const POST: &[(&str, &str)] = &[(":method", "POST"), (":path", "/")];
const OK: &[(&str, &str)] = &[(":status", "200"), ("server", "x")];

#[test]
fn a_request_and_its_answer() {
    let answer = [frame(kind::SETTINGS, 0, 0, &[]), headers(1, END_HEADERS, OK), data(1, END_STREAM, 5)];
    let outcome = check(&[client(&[headers(1, WHOLE, GET)]), server(&answer)], &[(1, "GET", Some(200), 0, Some(5))]);
    let expected = Entry {
        protocol: "HTTP/2",
        method: "GET".to_owned(),
        stream: Some(1),
        latency: Some(Duration::from_millis(1)),
        status: Some(200),
        request_octets: Some(0),
        response_octets: Some(5),
        ended: Some(time(1)),
        ..Entry::default()
    };
    assert_eq!(outcome.entries, [expected]);
    check(&[client(&[headers(1, WHOLE, GET)]), server(&[headers(1, WHOLE, OK)])], &[(1, "GET", Some(200), 0, None)]);
}

#[test]
fn a_server_may_speak_first() {
    let settings = frame(kind::SETTINGS, 0, 0, &[0, 1, 0, 0, 0x20, 0]);
    // The client takes the offer of a larger table.
    let larger = frame(kind::HEADERS, WHOLE, 1, &[&[0x3F, 0xE1, 0x3F, 0x82][..], &block(&[])].concat());
    let said = [server(&[settings]), client(from_ref(&larger)), server(&[headers(1, WHOLE, OK)])];
    check(&said, &[(1, "GET", Some(200), 0, None)]);
    check_off(&[client(&[larger])], HpackError::Size.into());
}

/// As gRPC does it: bodies in several frames, then trailers; and streams between each other's frames.
#[test]
fn interleaved_streams_with_trailers() {
    let requests = [
        headers(1, END_HEADERS, POST),
        headers(3, END_HEADERS, GET),
        data(1, 0, 10),
        data(3, 0, 1),
        data(1, 0, 20),
        headers(3, WHOLE, &[("x-trailer", "1"), (":method", "PUT")]),
        data(1, END_STREAM, 0),
    ];
    let answers = [
        headers(3, END_HEADERS, &[(":status", "404")]),
        headers(1, END_HEADERS, OK),
        data(3, 0, 7),
        data(1, 0, 100),
        headers(1, WHOLE, &[("grpc-status", "0")]),
        data(3, END_STREAM, 1),
    ];
    check(
        &[client(&requests), server(&answers)],
        &[(1, "POST", Some(200), 30, Some(100)), (3, "GET", Some(404), 1, Some(8))],
    );
}

#[test]
fn informational_answers() {
    let said = [
        client(&[headers(1, END_HEADERS, POST)]),
        server(&[headers(1, END_HEADERS, &[(":status", "103")])]),
        more(&[data(1, END_STREAM, 3)]),
        server(&[headers(1, WHOLE, &[(":status", "204")])]),
    ];
    let outcome = check(&said, &[(1, "POST", Some(204), 3, None)]);
    assert_eq!(outcome.entries[0].latency, Some(Duration::from_millis(1)));
    assert_eq!(outcome.entries[0].ended, Some(time(3)));
}

#[test]
fn header_blocks_that_are_continued() {
    let request =
        block(&[(":method", "PATCH"), ("x-forwarded-for", "192.0.2.1, 192.0.2.2"), ("x-forwarded-for", "no")]);
    let (first, rest) = request.split_at(5);
    let (second, third) = rest.split_at(4);
    let frames = [
        frame(kind::HEADERS, END_STREAM | PADDED | PRIORITY, 1, &[&[2, 0, 0, 0, 0, 9][..], first, &[0, 0]].concat()),
        frame(kind::CONTINUATION, 0, 1, second),
        frame(kind::CONTINUATION, 0, 1, &[]),
        frame(kind::CONTINUATION, END_HEADERS, 1, third),
    ];
    let outcome = check(&[client(&frames), server(&[headers(1, WHOLE, OK)])], &[(1, "PATCH", Some(200), 0, None)]);
    assert_eq!(outcome.entries[0].source_host.as_deref(), Some("192.0.2.1"));
    check_off(&[client(&[frames[0].clone(), headers(3, WHOLE, GET)])], Error::Continuation);
    check_off(&[client(&[frames[0].clone(), frame(kind::CONTINUATION, END_HEADERS, 3, b"")])], Error::Continuation);
    check_off(&[client(&frames[1..2])], Error::Continuation);
}

#[test]
fn tables_are_those_of_directions() {
    let added = |name: &str, value: &str| [&[0x40][..], &block(&[(name, value)])[1..]].concat();
    let said = [
        client(&[frame(kind::HEADERS, WHOLE, 1, &added(":method", "LIST"))]),
        server(&[frame(kind::HEADERS, WHOLE, 1, &added(":status", "299"))]),
        more(&[frame(kind::HEADERS, WHOLE, 3, &[0xBE])]),
        // What a promise adds is at the lower index then.
        server(&[
            frame(
                kind::PUSH_PROMISE,
                END_HEADERS | PADDED,
                3,
                &[&[1, 0, 0, 0, 2][..], &added("a", "b"), &[0]].concat(),
            ),
            headers(2, END_HEADERS, OK),
            data(2, END_STREAM, 9),
            frame(kind::HEADERS, WHOLE, 3, &[0xBF]),
        ]),
    ];
    check(&said, &[(1, "LIST", Some(299), 0, None), (3, "LIST", Some(299), 0, None)]);
}

#[test]
fn streams_that_are_reset_or_refused() {
    let requests = [headers(1, WHOLE, GET), headers(3, WHOLE, GET), headers(5, WHOLE, GET), headers(7, WHOLE, GET)];
    let last = |id: u32| [&id.to_be_bytes()[..], &[0; 4], b"debug"].concat();
    let said = [
        client(&requests),
        server(&[frame(kind::RST_STREAM, 0, 1, &[0; 4]), frame(kind::GOAWAY, 0, 0, &last(0x7FFF_FFFF))]),
        more(&[frame(kind::RST_STREAM, 0, 3, &[0; 4]), frame(kind::GOAWAY, 0, 0, &last(0))]),
        server(&[frame(kind::GOAWAY, 0, 0, &last(5)), data(3, 0, 5)]),
        server(&[headers(5, WHOLE, OK)]),
    ];
    let outcome = check(
        &said,
        &[
            (1, "GET", None, 0, None),
            (3, "GET", None, 0, None),
            (5, "GET", Some(200), 0, None),
            (7, "GET", None, 0, None),
        ],
    );
    let ends: Vec<_> = outcome.entries.iter().map(|entry| entry.ended).collect();
    assert_eq!(ends, [1, 2, 4, 3].map(|turn| Some(time(turn))));
}

#[test]
fn what_is_not_answered_ends_with_the_connection() {
    let outcome = check(&[client(&[headers(1, WHOLE, GET), data(3, 0, 4)])], &[(1, "GET", None, 0, None)]);
    assert_eq!(outcome.entries[0].ended, Some(time(1)));
    check(&[Said(Side::Client, PREFACE[..9].to_vec())], &[]);
}

#[test]
fn frames_that_mean_nothing_are_skipped() {
    let frames = [
        frame(0x16, 0xFF, 1, &[0xFF; 300]),
        frame(2, 0, 1, &[0; 5]),
        frame(6, 0, 0, &[0; 8]),
        frame(8, 0, 0, &[0; 4]),
        frame(0x16, 0, 0, &[]),
        data(9, END_STREAM, 70_000),
    ];
    let request = [&frames[..], &[headers(1, WHOLE, GET)]].concat();
    let answer = [&frames[..], &[headers(1, WHOLE, &[(":status", "20x")])]].concat();
    check(&[client(&request), server(&answer)], &[(1, "GET", None, 0, None)]);
    check(&[client(&[frame(kind::HEADERS, WHOLE, 1, &[])])], &[(1, "", None, 0, None)]);
}

#[test]
fn too_many_streams_at_a_time() {
    let streams = (0..300).map(|at| at * 2 + 1);
    let requests: Vec<_> = streams.clone().map(|stream| headers(stream, WHOLE, GET)).collect();
    let answers: Vec<_> = streams.map(|stream| headers(stream, WHOLE, OK)).collect();
    let later = [headers(601, WHOLE, POST)];
    let outcome = observe(&[client(&requests), server(&answers), more(&later), server(&[headers(601, WHOLE, OK)])]);
    assert_eq!(outcome.off, None);
    assert_eq!(outcome.entries.len(), 256 + 1);
    assert_eq!(seen(&outcome.entries[256]), (601, "POST", Some(200), 0, None));
}

#[test]
fn errors() {
    let large = |kind, octets: usize| frame(kind, 0, 1, &vec![0x82; octets]);
    let cases = [
        (large(kind::HEADERS, 65_536), Error::TooLarge),
        ([large(kind::HEADERS, 65_000), large(kind::CONTINUATION, 536)].concat(), Error::TooLarge),
        (frame(kind::HEADERS, PADDED | WHOLE, 1, &[4, 0, 0, 0]), Error::TooShort(kind::HEADERS)),
        (frame(kind::HEADERS, PRIORITY | WHOLE, 1, &[0; 4]), Error::TooShort(kind::HEADERS)),
        (frame(kind::PUSH_PROMISE, END_HEADERS, 1, &[0; 3]), Error::TooShort(kind::PUSH_PROMISE)),
        (frame(kind::HEADERS, WHOLE, 1, &[0xBE]), HpackError::Index.into()),
    ];
    for (frames, error) in cases {
        let outcome = check_off(&[client(&[headers(1, WHOLE, GET), frames])], error);
        assert_eq!(outcome.entries.len(), 1, "{error}");
    }
    check_off(&[client(&[headers(1, WHOLE, GET)]), server(&[frame(kind::GOAWAY, 0, 0, &[0; 3])])], {
        Error::TooShort(kind::GOAWAY)
    });
    let most = [large(kind::HEADERS, 65_000), large(kind::CONTINUATION, 535)].concat();
    assert_eq!(observe(&[client(&[most])]).off, None);
    let turns: [Turn<'_>; 2] = [(Side::Server, b"\0"), (Side::Client, b"PRI * HTTP/1.1\r\n")];
    assert_eq!(outcome(Mode::Http2, &turns).off, Some((1, Off::Http2(Error::Preface))));
}

/// Frames of which conversations are made.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let stream = || prop_oneof![Just(1_u32), Just(3), Just(5), 0..20_u32];
    let block = prop_oneof![
        Just(block(GET)),
        Just(block(OK)),
        Just(vec![0x82, 0xBE]),
        Just(b"\x40\x0fx-forwarded-for\x03a,b".to_vec()),
        Just(b"\x48\x82\x64\x02".to_vec()),
        Just(vec![0x3F, 0xE1, 0x1F, 0x88]),
        proptest::collection::vec(any::<u8>(), 0..20),
    ];
    let kinds = prop_oneof![3 => Just(kind::HEADERS), 1 => Just(kind::CONTINUATION), 1 => Just(kind::PUSH_PROMISE)];
    let flags = prop_oneof![3 => Just(WHOLE), 3 => Just(END_HEADERS), 1 => any::<u8>()];
    let carried =
        (kinds, flags, stream(), block).prop_map(|(kind, flags, stream, block)| frame(kind, flags, stream, &block));
    let body = (0..2_u8, stream(), 0..60_usize).prop_map(|(flags, stream, octets)| data(stream, flags, octets));
    let other = (0..12_u8, any::<u8>(), stream(), proptest::collection::vec(any::<u8>(), 0..20))
        .prop_map(|(kind, flags, stream, payload)| frame(kind, flags, stream, &payload));
    prop_oneof![4 => carried, 2 => body, 1 => other]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pieces_make_no_difference(
        said in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any_frame(), 0..6)), 1..8),
        changes in proptest::collection::vec((any::<usize>(), any::<usize>(), any::<u8>()), 0..2),
        seed: u16,
    ) {
        let mut said: Vec<_> = said.iter().map(|(client, frames)| {
            (if *client { Side::Client } else { Side::Server }, frames.concat())
        }).collect();
        said.insert(0, (Side::Client, PREFACE.to_vec()));
        for (turn, at, octet) in changes {
            let turns = said.len();
            let octets = &mut said[turn % turns].1;
            let at = at % octets.len().max(1);
            octets.get_mut(at).into_iter().for_each(|changed| *changed = octet);
        }
        let turns: Vec<Turn<'_>> = said.iter().map(|(side, octets)| (*side, &octets[..])).collect();
        fuzzing::any_pieces(Mode::Auto, &turns, seed);
    }
}
