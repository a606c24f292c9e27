//! RFC 9113, sections 4 and 6: frames, their sizes and their rules.

use interop_tests::raw_http::frame::{Frame, code::*, flag::*, head, kind, setting};
use interop_tests::raw_http::http2::Client;

use super::{Behind, Case, alive, answered, connection, either, run_cases, stream};

crate::tables! { run_cases;
    formats;
    sizes;
    blocks_of_fields;
    data;
    headers;
    priority_and_reset;
    settings;
    ping_and_goaway;
    continuation;
}

/// A frame that holds a block in two pieces.
fn halves(c: &Client) -> (Vec<u8>, Vec<u8>) {
    let mut block = c.request_block("GET", &[]);
    let rest = block.split_off(block.len() / 2);
    (block, rest)
}

/// Begins a block of fields, and leaves the rest to the case.
fn begun(c: &mut Client) -> &mut Client {
    let (block, _) = halves(c);
    c.headers(1, END_STREAM, block)
}

mod cases {
    use super::*;

    pub(super) fn formats() -> Vec<Case> {
        const R: u32 = 0x8000_0000;
        vec![
            answered("4.1: frames of unknown kinds", |c| {
                c.frame(0x16, 0, 0, [0; 8])
                    .frame(0xff, 0xff, 0, [])
                    .frame(0x20, 0, 1, [1])
                    .get(1)
                    .frame(0x21, 1, 1, [1; 100])
            }),
            answered("4.1: undefined flags of HEADERS", |c| {
                let block = c.request_block("GET", &[]);
                c.headers(1, END | 0xc2, block)
            }),
            answered("4.1: undefined flags of DATA", |c| c.post(1).data(1, END_STREAM | 0xf6, "x")),
            alive("4.1: undefined flags of PING", |c| {
                c.frame(kind::PING, 0xfe, 0, *b"pingpong").until("an answer", |c| c.pongs == [b"pingpong"])
            }),
            alive("4.1: undefined flags of SETTINGS", |c| {
                c.frame(kind::SETTINGS, 0xfe, 0, []).until("an answer", |c| c.confirmed == 2)
            }),
            answered("4.1: the reserved bit of a stream", |c| {
                let block = c.request_block("GET", &[]);
                c.headers(1 | R, END, block)
            }),
            answered("4.1: the reserved bit of stream 0", |c| c.frame(kind::PING, 0, R, [0; 8]).get(1)),
            answered("6.9: the reserved bit of an increment", |c| {
                c.frame(kind::WINDOW_UPDATE, 0, 0, (R | 1).to_be_bytes()).get(1)
            }),
            answered("6.8: the reserved bit of the last stream", |c| {
                c.get(1).frame(kind::GOAWAY, 0, 0, [[0x80, 0, 0, 0], [0; 4]].concat()).answer(1)
            })
            .expecting_end(),
        ]
    }

    pub(super) fn sizes() -> Vec<Case> {
        vec![
            answered("4.2: DATA of the largest size", |c| c.post(1).data(1, END_STREAM, [b'x'; 16_384]))
                .with(|record| record.body == [b'x'; 16_384]),
            stream("4.2: DATA that is too large", &[FRAME_SIZE_ERROR], |c| c.post(1).data(1, END_STREAM, [0; 16_385]))
                .behind(Behind::NothingWhole),
            stream("4.2: a head of DATA that is as large as can be", &[FRAME_SIZE_ERROR], |c| {
                c.post(1).raw(&head(0xff_ffff, kind::DATA, 0, 1))
            })
            .behind(Behind::NothingWhole),
            connection("4.2: HEADERS that are too large", &[FRAME_SIZE_ERROR], |c| {
                c.request(1, END, "GET", &[("x-long", &"x".repeat(16_384))])
            }),
            connection("4.2: CONTINUATION that is too large", &[FRAME_SIZE_ERROR], |c| {
                begun(c).frame(kind::CONTINUATION, END_HEADERS, 1, [0; 16_385])
            }),
            connection("4.2: SETTINGS that are too large", &[FRAME_SIZE_ERROR], |c| {
                c.frame(kind::SETTINGS, 0, 0, [0xf0, 0, 0, 0, 0, 0].repeat(2731))
            }),
            connection("4.2: GOAWAY that is too large", &[FRAME_SIZE_ERROR], |c| {
                c.frame(kind::GOAWAY, 0, 0, [0; 16_385])
            }),
            connection("4.2: an unknown frame that is too large", &[FRAME_SIZE_ERROR, PROTOCOL_ERROR], |c| {
                c.raw(&head(0xff_ffff, 0x16, 0, 0))
            }),
            answered("4.2: an unknown frame of the largest size", |c| c.frame(0x16, 0, 0, [0; 16_384]).get(1)),
        ]
    }

    pub(super) fn blocks_of_fields() -> Vec<Case> {
        const WRONG: &[u32] = &[PROTOCOL_ERROR];
        let refused = |case: Case| case.behind(Behind::Nothing);
        let cases = vec![
            connection("4.3: PRIORITY within a block", WRONG, |c| begun(c).frame(kind::PRIORITY, 0, 1, [0; 5])),
            connection("4.3: HEADERS of another stream within a block", WRONG, |c| begun(c).get(3)),
            connection("4.3: HEADERS of the same stream within a block", WRONG, |c| begun(c).get(1)),
            connection("4.3: DATA within a block", WRONG, |c| begun(c).data(1, END_STREAM, "x")),
            connection("4.3: SETTINGS within a block", WRONG, |c| begun(c).settings(&[])),
            connection("4.3: PING within a block", WRONG, |c| begun(c).frame(kind::PING, 0, 0, [0; 8])),
            connection("4.3: RST_STREAM within a block", WRONG, |c| begun(c).reset(1, CANCEL)),
            connection("4.3: WINDOW_UPDATE within a block", WRONG, |c| begun(c).allow(0, 1)),
            connection("4.3: GOAWAY within a block", WRONG, |c| begun(c).send(&Frame::goaway(0, NO_ERROR))),
            connection("4.3: an unknown frame within a block", WRONG, |c| begun(c).frame(0x16, 0, 1, [0])),
            connection("4.3: CONTINUATION of another stream", WRONG, |c| {
                let (_, rest) = halves(c);
                begun(c).frame(kind::CONTINUATION, END_HEADERS, 3, rest)
            }),
            connection("4.3: the end of the connection within a block", &[], |c| begun(c).end()),
        ];
        cases.into_iter().map(refused).collect()
    }

    pub(super) fn data() -> Vec<Case> {
        const WRONG: &[u32] = &[PROTOCOL_ERROR];
        vec![
            answered("6.1: a body", |c| c.post(1).data(1, END_STREAM, "body")).with(|record| record.body == b"body"),
            answered("6.1: a body in pieces, some of them empty", |c| {
                c.post(1).data(1, 0, "bo").data(1, 0, "").data(1, 0, "dy").data(1, END_STREAM, "")
            })
            .with(|record| record.body == b"body"),
            answered("6.1: padding", |c| c.post(1).data(1, END_STREAM | PADDED, *b"\x05body\0\0\0\0\0"))
                .with(|record| record.body == b"body"),
            answered("6.1: nothing but padding", |c| c.post(1).data(1, PADDED, [2, 0, 0]).data(1, END_STREAM, "body"))
                .with(|record| record.body == b"body"),
            answered("6.1: padding of no octets", |c| c.post(1).data(1, END_STREAM | PADDED, *b"\0body"))
                .with(|record| record.body == b"body"),
            connection("6.1: as much padding as payload", WRONG, |c| {
                c.post(1).data(1, END_STREAM | PADDED, [5, 0, 0, 0, 0])
            })
            .behind(Behind::NothingWhole),
            connection("6.1: more padding than payload", WRONG, |c| c.post(1).data(1, END_STREAM | PADDED, [255, 0]))
                .behind(Behind::NothingWhole),
            connection("6.1: padding without its length", &[PROTOCOL_ERROR, FRAME_SIZE_ERROR], |c| {
                c.post(1).data(1, END_STREAM | PADDED, [])
            })
            .behind(Behind::NothingWhole),
            either("6.1: padding that is not zero", |c| c.post(1).data(1, END_STREAM | PADDED, *b"\x02bodyxx")),
            connection("6.1: DATA of stream 0", WRONG, |c| c.data(0, END_STREAM, "x")),
        ]
    }

    pub(super) fn headers() -> Vec<Case> {
        const WRONG: &[u32] = &[PROTOCOL_ERROR];
        /// Flags, what precedes the block, and what follows it.
        fn dressed<'a>(c: &'a mut Client, flags: u8, before: &[u8], after: &[u8]) -> &'a mut Client {
            let block = c.request_block("GET", &[]);
            c.headers(1, END | flags, [before, &block, after].concat())
        }
        vec![
            answered("6.2: padding", |c| dressed(c, PADDED, &[3], &[0; 3])),
            answered("6.2: a priority", |c| dressed(c, PRIORITY, &[0x80, 0, 0, 0, 255], &[])),
            answered("6.2: a priority that depends on an idle stream", |c| dressed(c, PRIORITY, &[0, 0, 0, 9, 0], &[])),
            answered("6.2: padding and a priority", |c| dressed(c, PADDED | PRIORITY, &[3, 0, 0, 0, 0, 1], &[0; 3])),
            either("5.3.1: a stream that depends on itself", |c| dressed(c, PRIORITY, &[0, 0, 0, 1, 1], &[])),
            connection("6.2: HEADERS of stream 0", WRONG, |c| c.get(0)),
            connection("6.2: as much padding as payload", WRONG, |c| c.headers(1, END | PADDED, [5, 0, 0, 0, 0])),
            connection("6.2: more padding than payload", WRONG, |c| dressed(c, PADDED, &[255], &[])),
            connection("6.2: padding without its length", &[PROTOCOL_ERROR, FRAME_SIZE_ERROR], |c| {
                c.headers(1, END | PADDED, [])
            }),
            connection("6.2: half a priority", &[PROTOCOL_ERROR, FRAME_SIZE_ERROR], |c| {
                c.headers(1, END | PRIORITY, [0, 0, 0])
            }),
            stream("6.2: HEADERS on a stream that the client has ended", &[STREAM_CLOSED], |c| {
                c.request_at(1, END, "GET", "/hold").get(1)
            }),
        ]
    }

    pub(super) fn priority_and_reset() -> Vec<Case> {
        const SIZE: &[u32] = &[FRAME_SIZE_ERROR];
        let reset = |stream: u32| Frame::reset(stream, CANCEL);
        vec![
            answered("6.3: PRIORITY of an idle, an open and a closed stream", |c| {
                let again = |c: &mut Client, stream| {
                    c.frame(kind::PRIORITY, 0, stream, [0x80, 0, 0, 0, 7]);
                };
                again(c, 1);
                again(c, 9);
                c.get(1).answer(1);
                again(c, 1);
                c
            }),
            either("5.3.1: PRIORITY of a stream that depends on itself", |c| {
                c.frame(kind::PRIORITY, 0, 1, [0, 0, 0, 1, 1]).get(1)
            }),
            connection("6.3: PRIORITY of stream 0", &[PROTOCOL_ERROR], |c| c.frame(kind::PRIORITY, 0, 0, [0; 5])),
            stream("6.3: PRIORITY of four octets", SIZE, |c| c.post(1).frame(kind::PRIORITY, 0, 1, [0; 4]))
                .behind(Behind::NothingWhole),
            stream("6.3: PRIORITY of six octets", SIZE, |c| c.post(1).frame(kind::PRIORITY, 0, 1, [0; 6]))
                .behind(Behind::NothingWhole),
            connection("6.4: RST_STREAM of stream 0", &[PROTOCOL_ERROR], move |c| c.send(&reset(0))),
            connection("6.4: RST_STREAM of an idle stream", &[PROTOCOL_ERROR], move |c| c.send(&reset(1))),
            connection("6.4: RST_STREAM of three octets", SIZE, |c| c.post(1).frame(kind::RST_STREAM, 0, 1, [0; 3])),
            connection("6.4: RST_STREAM of five octets", SIZE, |c| c.post(1).frame(kind::RST_STREAM, 0, 1, [0; 5])),
            alive("6.4: RST_STREAM with an unknown code", |c| c.post(1).reset(1, 0xffff_ffff))
                .behind(Behind::NothingWhole),
            alive("6.4: RST_STREAM twice", |c| c.post(1).reset(1, CANCEL).reset(1, CANCEL))
                .behind(Behind::NothingWhole),
            answered("6.4: RST_STREAM behind the answer", |c| c.get(1).answer(1).reset(1, CANCEL)),
            answered("6.4: RST_STREAM without an error behind the answer", |c| c.get(1).answer(1).reset(1, NO_ERROR)),
        ]
    }

    pub(super) fn settings() -> Vec<Case> {
        const SIZE: &[u32] = &[FRAME_SIZE_ERROR];
        const WRONG: &[u32] = &[PROTOCOL_ERROR];
        vec![
            alive("6.5.3: each SETTINGS is confirmed", |c| {
                c.settings(&[])
                    .settings(&[(setting::MAX_CONCURRENT_STREAMS, 7)])
                    .settings(&[])
                    .until("all", |c| c.confirmed == 4)
            }),
            answered("6.5.2: unknown settings", |c| {
                c.settings(&[(0xff, 1), (0xffff, u32::MAX), (0, 0)])
                    .until("it is confirmed", |c| c.confirmed == 2)
                    .get(1)
            }),
            answered("6.5.2: extreme but right values", |c| {
                let settings = [
                    (setting::HEADER_TABLE_SIZE, u32::MAX),
                    (setting::MAX_CONCURRENT_STREAMS, u32::MAX),
                    (setting::INITIAL_WINDOW_SIZE, 0x7fff_ffff),
                    (setting::MAX_FRAME_SIZE, 0xff_ffff),
                    (setting::MAX_HEADER_LIST_SIZE, u32::MAX),
                ];
                c.settings(&settings).get(1)
            }),
            answered("6.5.2: no table of fields", |c| {
                c.settings(&[(setting::HEADER_TABLE_SIZE, 0)]).until("it is confirmed", |c| c.confirmed == 2);
                c.get(1).answer(1).get(3).answer(3).get(5)
            })
            .expecting(&[1, 3, 5]),
            answered("6.5.2: the client takes no streams, which are none of its own", |c| {
                c.settings(&[(setting::MAX_CONCURRENT_STREAMS, 0)]).get(1)
            }),
            connection("6.5: SETTINGS of a stream", WRONG, |c| c.frame(kind::SETTINGS, 0, 1, [])),
            connection("6.5: a confirmation with settings", SIZE, |c| c.frame(kind::SETTINGS, ACK, 0, [0; 6])),
            connection("6.5: half a setting", SIZE, |c| c.frame(kind::SETTINGS, 0, 0, [0, 3, 0])),
            connection("6.5: a setting and a half", SIZE, |c| c.frame(kind::SETTINGS, 0, 0, [0; 9])),
            connection("6.5.2: ENABLE_PUSH of 2", WRONG, |c| c.settings(&[(setting::ENABLE_PUSH, 2)])),
            connection("6.5.2: a first window that is too large", &[FLOW_CONTROL_ERROR], |c| {
                c.settings(&[(setting::INITIAL_WINDOW_SIZE, 0x8000_0000)])
            }),
            connection("6.5.2: frames that are too small", WRONG, |c| c.settings(&[(setting::MAX_FRAME_SIZE, 16_383)])),
            connection("6.5.2: frames that are too large", WRONG, |c| {
                c.settings(&[(setting::MAX_FRAME_SIZE, 0x100_0000)])
            }),
            either("6.5.3: confirmations of nothing", |c| c.frame(kind::SETTINGS, ACK, 0, []).get(1)),
        ]
    }

    pub(super) fn ping_and_goaway() -> Vec<Case> {
        const SIZE: &[u32] = &[FRAME_SIZE_ERROR];
        const WRONG: &[u32] = &[PROTOCOL_ERROR];
        vec![
            alive("6.7: PING comes back as it was", |c| {
                c.frame(kind::PING, 0, 0, *b"\0\xffh2spec").until("an answer", |c| c.pongs == [b"\0\xffh2spec"])
            }),
            alive("6.7: answers that nobody has asked for", |c| {
                c.frame(kind::PING, ACK, 0, *b"invalid!").ping().until("one", |c| c.pongs.len() == 1)
            }),
            connection("6.7: PING of a stream", WRONG, |c| c.frame(kind::PING, 0, 1, [0; 8])),
            connection("6.7: PING of seven octets", SIZE, |c| c.frame(kind::PING, 0, 0, [0; 7])),
            connection("6.7: PING of nine octets", SIZE, |c| c.frame(kind::PING, 0, 0, [0; 9])),
            connection("6.7: PING of no octets", SIZE, |c| c.frame(kind::PING, 0, 0, [])),
            connection("6.8: GOAWAY of a stream", WRONG, |c| c.frame(kind::GOAWAY, 0, 1, [0; 8])),
            connection("6.8: GOAWAY of seven octets", SIZE, |c| c.frame(kind::GOAWAY, 0, 0, [0; 7])),
            answered("6.8: GOAWAY leaves a request its answer", |c| {
                c.get(1).send(&Frame::goaway(0, NO_ERROR)).answer(1)
            })
            .expecting_end(),
            answered("6.8: GOAWAY with words and an unknown code", |c| {
                c.get(1).answer(1).frame(kind::GOAWAY, 0, 0, [&[0; 4], &[0xff; 4], &b"enough"[..]].concat())
            })
            .expecting_end(),
            connection("6.6: PUSH_PROMISE of a client", WRONG, |c| {
                let block = c.request_block("GET", &[]);
                c.post(1).frame(kind::PUSH_PROMISE, END_HEADERS, 1, [&[0, 0, 0, 2], &block[..]].concat())
            })
            .behind(Behind::NothingWhole),
        ]
    }

    pub(super) fn continuation() -> Vec<Case> {
        const WRONG: &[u32] = &[PROTOCOL_ERROR];
        const CLOSED: &[u32] = &[PROTOCOL_ERROR, STREAM_CLOSED];
        fn rest(c: &mut Client, flags: u8, stream: u32) -> &mut Client {
            let (_, rest) = halves(c);
            c.frame(kind::CONTINUATION, flags, stream, rest)
        }
        vec![
            answered("6.10: one", |c| rest(begun(c), END_HEADERS, 1)),
            answered("6.10: an empty one at the end", |c| {
                rest(begun(c), 0, 1).frame(kind::CONTINUATION, END_HEADERS, 1, [])
            }),
            answered("6.10: an empty beginning", |c| {
                let block = c.request_block("GET", &[]);
                c.headers(1, END_STREAM, []).frame(kind::CONTINUATION, END_HEADERS, 1, block)
            }),
            answered("6.10: three", |c| {
                let block = c.request_block("GET", &[("x-1", "a"), ("x-2", "b")]);
                let size = block.len().div_ceil(4);
                let pieces: Vec<_> = block.chunks(size).collect();
                let c = c.headers(1, END_STREAM, pieces[0]).frame(kind::CONTINUATION, 0, 1, pieces[1]);
                c.frame(kind::CONTINUATION, 0, 1, pieces[2]).frame(kind::CONTINUATION, END_HEADERS, 1, pieces[3])
            }),
            either("6.10: one for each octet", |c| {
                let block = c.request_block("GET", &[]);
                c.headers(1, END_STREAM, []);
                block.iter().for_each(|octet| {
                    c.frame(kind::CONTINUATION, 0, 1, [*octet]);
                });
                c.frame(kind::CONTINUATION, END_HEADERS, 1, [])
            }),
            connection("6.10: without HEADERS", WRONG, |c| rest(c, END_HEADERS, 1)),
            connection("6.10: of stream 0", WRONG, |c| rest(begun(c), END_HEADERS, 0)).behind(Behind::Nothing),
            connection("6.10: behind a whole block", CLOSED, |c| rest(c.post(1), END_HEADERS, 1)),
            connection("6.10: behind CONTINUATION with the end", CLOSED, |c| {
                rest(rest(begun(c), END_HEADERS, 1), END_HEADERS, 1)
            }),
            connection("6.10: behind DATA", CLOSED, |c| rest(c.post(1).data(1, 0, "x"), END_HEADERS, 1))
                .behind(Behind::NothingWhole),
            connection("6.10: behind an answer", CLOSED, |c| rest(c.get(1).answer(1), END_HEADERS, 1)),
        ]
    }
}
