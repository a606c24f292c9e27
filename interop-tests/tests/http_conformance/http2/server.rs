//! Servers of HTTP/2 that break rules: clients never take for whole what is not, and others are served.

use anyhow::{Result, ensure};
use interop_tests::http_services::{Front, Version};
use interop_tests::raw_http::Script;
use interop_tests::raw_http::frame::{Frame, code::*, flag::*, head, kind, setting};
use interop_tests::raw_http::hpack;
use interop_tests::raw_http::http2::Client;

use super::{canary, has_ended, is_told};

crate::tables! { run_cases;
    good_answers;
    bad_fields;
    bad_frames;
    cut_answers;
}

/// A row of a table: what the server sends on a stream.
pub(crate) struct Case {
    name: &'static str,
    octets: fn(u32) -> Vec<u8>,
    /// The connection ends behind it.
    ends: bool,
    /// The client gets it as it is; nothing tells that it may.
    is_good: Option<bool>,
}

fn good(name: &'static str, octets: fn(u32) -> Vec<u8>) -> Case {
    Case { name, octets, ends: false, is_good: Some(true) }
}

fn bad(name: &'static str, octets: fn(u32) -> Vec<u8>) -> Case {
    Case { name, octets, ends: false, is_good: Some(false) }
}

fn either(name: &'static str, octets: fn(u32) -> Vec<u8>) -> Case {
    Case { name, octets, ends: false, is_good: None }
}

fn cut(name: &'static str, octets: fn(u32) -> Vec<u8>) -> Case {
    Case { name, octets, ends: true, is_good: Some(false) }
}

fn run_cases(cases: Vec<Case>) -> Result<()> {
    crate::run_cases(Version::Http2, &cases, |case| case.name, run_case)
}

fn run_case(front: &Front, case: &Case, target: &str) -> Result<()> {
    let script = Script::new(case.octets);
    front.server.script(target, if case.ends { script.ending() } else { script });
    let mut client = Client::connect(front.entrance, target)?;
    let told =
        client.handshake().get(1).until("an answer or its failure", |client| has_ended(client) || is_told(client, 1));
    told.outcome()?;
    let answer = client.answers.get(&1).filter(|answer| answer.ended);
    let is_passed = answer.is_some_and(|answer| answer.status == 200 && answer.body == b"body");
    let is_failed = answer.is_none_or(|answer| answer.status >= 500);
    let is_right = match case.is_good {
        Some(true) => is_passed,
        Some(false) => is_failed,
        None => is_passed || is_failed,
    };
    ensure!(is_right, "{}", client.seen());
    // The client's own connection is none of the server's business.
    ensure!(!has_ended(&client), "the client's connection has ended: {}", client.seen());
    client.get(3).until("an answer or its failure", |client| has_ended(client) || is_told(client, 3)).outcome()?;
    canary(front, target)
}

fn fields(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    Frame::new(kind::HEADERS, flags, stream, hpack::block(fields.iter().copied())).octets()
}

fn data(stream: u32, flags: u8, octets: impl Into<Vec<u8>>) -> Vec<u8> {
    Frame::new(kind::DATA, flags, stream, octets).octets()
}

fn ok(stream: u32) -> Vec<u8> {
    fields(stream, END_HEADERS, &[(":status", "200")])
}

fn body(stream: u32) -> Vec<u8> {
    data(stream, END_STREAM, "body")
}

mod cases {
    use super::*;

    pub(super) fn good_answers() -> Vec<Case> {
        vec![
            good("8.1: an answer", |s| [ok(s), body(s)].concat()),
            good("8.1: an answer with trailers", |s| {
                [ok(s), data(s, 0, "body"), fields(s, END, &[("sum", "1")])].concat()
            }),
            good("8.1: early hints", |s| {
                [fields(s, END_HEADERS, &[(":status", "103"), ("link", "a")]), ok(s), body(s)].concat()
            }),
            good("8.1: to go on, which nobody has asked", |s| {
                [fields(s, END_HEADERS, &[(":status", "100")]), ok(s), body(s)].concat()
            }),
            good("6.1: padding", |s| [ok(s), data(s, END_STREAM | PADDED, *b"\x03body\0\0\0")].concat()),
            good("6.1: empty DATA", |s| [ok(s), data(s, 0, ""), data(s, 0, "body"), data(s, END_STREAM, "")].concat()),
            good("6.2: padding and a priority", |s| {
                let block = [&[1, 0, 0, 0, 0, 5][..], &hpack::block([(":status", "200")]), &[0]].concat();
                [Frame::new(kind::HEADERS, END_HEADERS | PADDED | PRIORITY, s, block).octets(), body(s)].concat()
            }),
            good("6.10: CONTINUATION", |s| {
                let mut block = hpack::block([(":status", "200"), ("x", "y")]);
                let rest = block.split_off(5);
                let head = Frame::new(kind::HEADERS, 0, s, block).octets();
                [head, Frame::new(kind::CONTINUATION, END_HEADERS, s, rest).octets(), body(s)].concat()
            }),
            good("4.1: unknown frames", |s| {
                let unknown = |stream| Frame::new(0x55, 0xff, stream, [0; 10]).octets();
                [unknown(0), ok(s), unknown(s), body(s)].concat()
            }),
            good("6.5: settings, PING and windows between", |s| {
                let settings = Frame::settings(&[(setting::INITIAL_WINDOW_SIZE, 100_000), (0x99, 1)]).octets();
                let ping = Frame::new(kind::PING, 0, 0, [7; 8]).octets();
                [settings, ok(s), ping, Frame::window_update(0, 10).octets(), body(s)].concat()
            }),
            good("7541: fields of the tables", |s| {
                let block = [hpack::indexed(8), hpack::literal(hpack::INDEXED, "x", "y"), hpack::indexed(62)].concat();
                [Frame::new(kind::HEADERS, END_HEADERS, s, block).octets(), body(s)].concat()
            }),
        ]
    }

    pub(super) fn bad_fields() -> Vec<Case> {
        fn with(stream: u32, more: &[(&str, &str)]) -> Vec<u8> {
            [fields(stream, END_HEADERS, &[&[(":status", "200")], more].concat()), body(stream)].concat()
        }
        vec![
            bad("8.3.2: no status", |s| [fields(s, END_HEADERS, &[("x", "y")]), body(s)].concat()),
            bad("8.3.2: two statuses", |s| with(s, &[(":status", "200")])),
            bad("8.3.2: a status of letters", |s| [fields(s, END_HEADERS, &[(":status", "abc")]), body(s)].concat()),
            bad("8.3.2: a status of two digits", |s| [fields(s, END_HEADERS, &[(":status", "99")]), body(s)].concat()),
            bad("8.3.2: a status of four digits", |s| {
                [fields(s, END_HEADERS, &[(":status", "2000")]), body(s)].concat()
            }),
            bad("8.3: a status behind other fields", |s| {
                [fields(s, END_HEADERS, &[("x", "y"), (":status", "200")]), body(s)].concat()
            }),
            // The h2 crate passes nothing of them on.
            either("8.3: a pseudo field of requests", |s| with(s, &[(":path", "/")])),
            bad("8.3: an unknown pseudo field", |s| with(s, &[(":test", "1")])),
            bad("8.2.1: an upper-case name", |s| with(s, &[("Upper", "1")])),
            bad("8.2.1: a name with a space", |s| with(s, &[("x y", "1")])),
            bad("8.2.1: a value with CR and LF", |s| with(s, &[("x", "a\r\nSet-Cookie: b")])),
            bad("8.2.1: a value with NUL", |s| with(s, &[("x", "a\0b")])),
            bad("8.2.2: connection", |s| with(s, &[("connection", "close")])),
            bad("8.2.2: transfer-encoding", |s| with(s, &[("transfer-encoding", "chunked")])),
            bad("8.1.1: a body that is shorter than its length", |s| with(s, &[("content-length", "5")])),
            bad("8.1.1: a body that is longer than its length", |s| with(s, &[("content-length", "3")])),
            either("8.1: a pseudo field in trailers", |s| {
                [ok(s), data(s, 0, "body"), fields(s, END, &[(":status", "200")])].concat()
            }),
            bad("8.1: 103 that is the end", |s| fields(s, END, &[(":status", "103")])),
            bad("8.6: 101", |s| [fields(s, END_HEADERS, &[(":status", "101")]), body(s)].concat()),
        ]
    }

    pub(super) fn bad_frames() -> Vec<Case> {
        vec![
            bad("8.1: DATA before HEADERS", body),
            bad("4.2: DATA that is too large", |s| [ok(s), data(s, END_STREAM, vec![0; 16_385 + 100_000])].concat()),
            bad("4.2: the head of a frame that is as large as can be", |s| {
                [ok(s), head(0xff_ffff, kind::DATA, 0, s)].concat()
            }),
            bad("6.1: more padding than payload", |s| [ok(s), data(s, END_STREAM | PADDED, [9, 0])].concat()),
            bad("6.1: DATA of stream 0", |s| [ok(s), data(0, END_STREAM, "body")].concat()),
            bad("6.2: HEADERS of stream 0", |_| ok(0)),
            bad("5.1.1: HEADERS of a stream that the client has not opened", |s| ok(s + 1000)),
            bad("6.4: RST_STREAM of stream 0", |_| Frame::reset(0, CANCEL).octets()),
            bad("6.5: half a setting", |_| Frame::new(kind::SETTINGS, 0, 0, [0; 5]).octets()),
            bad("6.5.2: a window that is too large", |_| {
                Frame::settings(&[(setting::INITIAL_WINDOW_SIZE, u32::MAX)]).octets()
            }),
            either("6.5.2: ENABLE_PUSH of a server", |s| {
                [Frame::settings(&[(setting::ENABLE_PUSH, 1)]).octets(), ok(s), body(s)].concat()
            }),
            bad("6.6: PUSH_PROMISE", |s| {
                let block =
                    hpack::block([(":method", "GET"), (":scheme", "http"), (":path", "/pushed"), (":authority", "a")]);
                Frame::new(kind::PUSH_PROMISE, END_HEADERS, s, [&[0, 0, 0, 2], &block[..]].concat()).octets()
            }),
            bad("6.7: PING of seven octets", |_| Frame::new(kind::PING, 0, 0, [0; 7]).octets()),
            bad("6.9: an increment of nothing", |_| Frame::window_update(0, 0).octets()),
            bad("6.9.1: a window that is too large", |_| Frame::window_update(0, 0x7fff_ffff).octets()),
            bad("6.9.1: more than is allowed", |s| {
                let large = data(s, 0, [0; 16_384]);
                // The client reads nothing of it before it has come.
                [ok(s), large.repeat(2000)].concat()
            }),
            bad("6.10: CONTINUATION of nothing", |s| Frame::new(kind::CONTINUATION, END_HEADERS, s, []).octets()),
            bad("4.3: DATA within a block", |s| {
                [Frame::new(kind::HEADERS, 0, s, hpack::block([(":status", "200")])).octets(), body(s)].concat()
            }),
            bad("7541, 2.3.3: an index behind all tables", |s| {
                Frame::new(kind::HEADERS, END_HEADERS, s, hpack::indexed(500)).octets()
            }),
            bad("7541, 6.1: a block that is cut", |s| Frame::new(kind::HEADERS, END_HEADERS, s, [0x88, 0xff]).octets()),
            bad("an answer of HTTP/1", |_| b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody".to_vec()),
            bad("octets that are no frame", |_| vec![0xff; 100]),
            bad("fields of a megabyte", |s| {
                let piece = hpack::literal(hpack::PLAIN, "x", "y".repeat(16_000));
                let begin = Frame::new(kind::HEADERS, 0, s, hpack::block([(":status", "200")])).octets();
                let more = Frame::new(kind::CONTINUATION, 0, s, piece).octets().repeat(64);
                [begin, more, Frame::new(kind::CONTINUATION, END_HEADERS, s, []).octets(), body(s)].concat()
            }),
            bad("a field that is referred to ten thousand times", |s| {
                let entry = hpack::literal(hpack::INDEXED, "x", "y".repeat(4000));
                let block = [hpack::indexed(8), entry, hpack::indexed(62).repeat(10_000)].concat();
                [Frame::new(kind::HEADERS, END_HEADERS, s, block).octets(), body(s)].concat()
            }),
        ]
    }

    pub(super) fn cut_answers() -> Vec<Case> {
        vec![
            cut("the end before the answer", |_| Vec::new()),
            cut("the end within a head", |s| ok(s)[..5].to_vec()),
            cut("the end behind the head", ok),
            cut("the end within the body", |s| [ok(s), data(s, 0, "bo")].concat()),
            cut("the end within a frame", |s| [ok(s), body(s)[..10].to_vec()].concat()),
            cut("the end where trailers may follow", |s| [ok(s), data(s, 0, "body")].concat()),
            bad("RST_STREAM before the answer", |s| Frame::reset(s, INTERNAL_ERROR).octets()),
            bad("RST_STREAM that refuses the request", |s| Frame::reset(s, REFUSED_STREAM).octets()),
            bad("RST_STREAM without an error before the answer", |s| Frame::reset(s, NO_ERROR).octets()),
            bad("RST_STREAM within the body", |s| {
                [ok(s), data(s, 0, "bo"), Frame::reset(s, INTERNAL_ERROR).octets()].concat()
            }),
            bad("RST_STREAM without an error within the body", |s| {
                [ok(s), data(s, 0, "bo"), Frame::reset(s, NO_ERROR).octets()].concat()
            }),
            cut("GOAWAY before the answer", |_| Frame::goaway(0, NO_ERROR).octets()),
            cut("GOAWAY with an error", |s| Frame::goaway(s, INTERNAL_ERROR).octets()),
            cut("GOAWAY within the body", |s| [ok(s), data(s, 0, "bo"), Frame::goaway(s, NO_ERROR).octets()].concat()),
        ]
    }
}
