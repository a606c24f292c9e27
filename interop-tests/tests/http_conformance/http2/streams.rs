//! RFC 9113, section 5: states and ids of streams, and how many there may be.

use interop_tests::raw_http::frame::{Frame, code::*, flag::*, kind, setting};
use interop_tests::raw_http::hpack;
use interop_tests::raw_http::http2::Client;

use super::{Behind, Case, alive, answered, connection, either, malformed, run_cases, stream};

crate::tables! { run_cases;
    idle;
    half_closed;
    closed;
    ids;
    numbers;
    errors;
}

const WRONG: &[u32] = &[PROTOCOL_ERROR];

/// A request that the server behind leaves without an answer, so that the stream is half closed.
fn held(c: &mut Client) -> &mut Client {
    c.request_at(1, END, "GET", "/hold")
}

/// A stream that the client has reset.
fn reset(c: &mut Client) -> &mut Client {
    c.post(1).reset(1, CANCEL)
}

/// A stream that has come to its end.
fn over(c: &mut Client) -> &mut Client {
    c.get(1).answer(1)
}

fn continued(c: &mut Client) -> &mut Client {
    let block = c.request_block("GET", &[]);
    c.frame(kind::CONTINUATION, END_HEADERS, 1, block)
}

mod cases {
    use super::*;

    pub(super) fn idle() -> Vec<Case> {
        vec![
            connection("5.1: DATA on an idle stream", WRONG, |c| c.data(1, END_STREAM, "x")),
            connection("5.1: RST_STREAM on an idle stream", WRONG, |c| c.reset(1, CANCEL)),
            connection("5.1: WINDOW_UPDATE on an idle stream", WRONG, |c| c.send(&Frame::window_update(1, 100))),
            connection("5.1: CONTINUATION on an idle stream", WRONG, |c| continued(c)),
            connection("5.1: DATA on a stream of the server", WRONG, |c| c.data(2, END_STREAM, "x")),
            connection("5.1: RST_STREAM on a stream of the server", WRONG, |c| c.reset(2, CANCEL)),
            connection("5.1: WINDOW_UPDATE on a stream of the server", WRONG, |c| c.send(&Frame::window_update(2, 1))),
            connection("5.1: DATA on an idle stream above an open one", WRONG, |c| c.post(1).data(3, END_STREAM, "x"))
                .behind(Behind::NothingWhole),
        ]
    }

    pub(super) fn half_closed() -> Vec<Case> {
        vec![
            stream("5.1: DATA on a half-closed stream", &[STREAM_CLOSED], |c| held(c).data(1, END_STREAM, "x")),
            stream("5.1: HEADERS on a half-closed stream", &[STREAM_CLOSED], |c| {
                held(c).fields(1, END, &[("sum", "1")])
            }),
            connection("5.1: CONTINUATION on a half-closed stream", &[STREAM_CLOSED, PROTOCOL_ERROR], |c| {
                continued(held(c))
            }),
            alive("5.1: WINDOW_UPDATE and PRIORITY on a half-closed stream", |c| {
                held(c).allow(1, 1).frame(kind::PRIORITY, 0, 1, [0, 0, 0, 0, 9])
            }),
            alive("5.1: RST_STREAM on a half-closed stream", |c| held(c).reset(1, CANCEL)),
        ]
    }

    pub(super) fn closed() -> Vec<Case> {
        const CLOSED: &[u32] = &[STREAM_CLOSED];
        const EITHER: &[u32] = &[STREAM_CLOSED, PROTOCOL_ERROR];
        vec![
            stream("5.1: DATA behind RST_STREAM", CLOSED, |c| reset(c).data(1, END_STREAM, "x"))
                .behind(Behind::NothingWhole),
            stream("5.1: HEADERS behind RST_STREAM", EITHER, |c| reset(c).fields(1, END, &[("sum", "1")]))
                .behind(Behind::NothingWhole),
            connection("5.1: CONTINUATION behind RST_STREAM", EITHER, |c| continued(reset(c)))
                .behind(Behind::NothingWhole),
            stream("5.1: DATA behind the end of both", CLOSED, |c| over(c).data(1, END_STREAM, "x")),
            stream("5.1: HEADERS behind the end of both", EITHER, |c| over(c).fields(1, END, &[("sum", "1")])),
            connection("5.1: CONTINUATION behind the end of both", EITHER, |c| continued(over(c))),
            answered("5.1: PRIORITY behind the end of both", |c| over(c).frame(kind::PRIORITY, 0, 1, [0, 0, 0, 0, 9])),
            answered("5.1: WINDOW_UPDATE behind the end of both", |c| over(c).send(&Frame::window_update(1, 9))),
            answered("5.1: RST_STREAM behind the end of both", |c| over(c).reset(1, STREAM_CLOSED)),
        ]
    }

    pub(super) fn ids() -> Vec<Case> {
        vec![
            connection("5.1.1: an even stream", WRONG, |c| c.get(2)).behind(Behind::Nothing),
            connection("5.1.1: a stream below one that is closed", &[PROTOCOL_ERROR, STREAM_CLOSED], |c| {
                c.get(5).answer(5).get(3)
            }),
            connection("5.1.1: a stream below one that is open", &[PROTOCOL_ERROR, STREAM_CLOSED], |c| {
                c.request_at(5, END, "GET", "/hold").get(3)
            }),
            stream("5.1.1: a stream once more", &[STREAM_CLOSED, PROTOCOL_ERROR], |c| over(c).get(1)),
            // The h2 crate takes it for trailers, and passes nothing of it on.
            either("5.1.1: an open stream once more", |c| c.post(1).get(1)),
            answered("5.1.1: streams that are left out", |c| c.get(1).get(101).get(1001).answer(101).answer(1001))
                .behind(Behind::Exactly(3)),
            answered("5.1.1: the highest stream", |c| c.get(1).answer(1).get(0x7fff_ffff).answer(0x7fff_ffff))
                .behind(Behind::Exactly(2)),
        ]
    }

    pub(super) fn numbers() -> Vec<Case> {
        vec![
            alive("5.1.2: more streams than are allowed", |c| {
                // A server without a limit would fail here, and should.
                let most = c.settings.get(&setting::MAX_CONCURRENT_STREAMS).copied().unwrap_or(100_000);
                (0..=most.min(10_000)).for_each(|at| {
                    c.post(2 * at + 1);
                });
                let is_refused = |code: &u32| [REFUSED_STREAM, PROTOCOL_ERROR].contains(code);
                c.until("that a stream is refused", move |c| c.resets.values().chain(&c.goaway).any(is_refused))
            })
            .expecting_nothing_more()
            .behind(Behind::NothingWhole),
            answered("5.1.2: as many as are allowed, again and again", |c| {
                let most = c.settings.get(&setting::MAX_CONCURRENT_STREAMS).copied().unwrap_or(100).min(100);
                for round in 0..3 {
                    let streams: Vec<_> = (0..most).map(|at| 2 * (round * most + at) + 1).collect();
                    streams.iter().for_each(|stream| {
                        c.get(*stream);
                    });
                    streams.iter().for_each(|stream| {
                        c.answer(*stream);
                    });
                }
                c
            })
            .behind(Behind::Any),
            alive("5.1.2: streams that are reset make room", |c| {
                for at in 0..300 {
                    c.post(2 * at + 1).reset(2 * at + 1, CANCEL);
                    // So that the other side keeps up, and nobody takes it for an attack.
                    c.ping();
                }
                c.get(601).answer(601)
            })
            .behind(Behind::Any),
        ]
    }

    pub(super) fn errors() -> Vec<Case> {
        vec![
            malformed("5.4.2: an error of a stream leaves others alone", |c| {
                c.post(3).request(5, END, "GET", &[("connection", "close")]).data(3, END_STREAM, "x").answer(3)
            })
            .of_stream(5)
            .behind(Behind::Exactly(1)),
            answered("4.3: the table is kept when a stream is refused", |c| {
                let bad = [
                    c.request_block("GET", &[("connection", "close")]),
                    hpack::literal(hpack::INDEXED, "x-kept", "yes"),
                ]
                .concat();
                c.headers(1, END, bad).until("a refusal", |c| c.resets.contains_key(&1) || c.is_answered(1));
                let next = [c.request_block("GET", &[]), hpack::indexed(62)].concat();
                c.headers(3, END, next)
            })
            .expecting(&[3])
            .with(|record| record.says("x-kept", "yes")),
            answered("4.3: the table is kept when a stream is reset by the client", |c| {
                let block = [c.request_block("POST", &[]), hpack::literal(hpack::INDEXED, "x-kept", "yes")].concat();
                c.headers(1, END_HEADERS, block).reset(1, CANCEL);
                let next = [c.request_block("GET", &[]), hpack::indexed(62)].concat();
                c.headers(3, END, next)
            })
            .expecting(&[3])
            .with(|record| record.method == "POST" || record.says("x-kept", "yes")),
        ]
    }
}
