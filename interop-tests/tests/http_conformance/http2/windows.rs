//! RFC 9113, sections 5.2 and 6.9: flow control.

use interop_tests::raw_http::frame::{Frame, code::*, flag::*, kind, setting};
use interop_tests::raw_http::http2::Client;
use interop_tests::raw_http::pattern;

use super::{Behind, Case, answered, connection, run_cases, stream};

crate::tables! { run_cases;
    updates;
    answers;
    bodies;
}

/// The length of the answer on a stream, as far as it has come.
fn length(c: &Client, stream: u32) -> usize {
    c.answers.get(&stream).map_or(0, |answer| answer.body.len())
}

/// Has the server answer so many octets on a stream.
fn asked(c: &mut Client, stream: u32, octets: usize) -> &mut Client {
    c.request_at(stream, END, "GET", &format!("/bytes/{octets}"))
}

/// Waits until that many octets have come, and sees that no more follow.
fn stopped(c: &mut Client, stream: u32, octets: usize) -> &mut Client {
    c.until(&format!("{octets} octets"), move |c| length(c, stream) == octets).ping().ping();
    c.until(&format!("{octets} octets and no more"), move |c| length(c, stream) == octets)
}

fn first_window(c: &mut Client, octets: u32) -> &mut Client {
    let confirmed = c.confirmed + 1;
    c.settings(&[(setting::INITIAL_WINDOW_SIZE, octets)]).until("it is confirmed", move |c| c.confirmed == confirmed)
}

mod cases {
    use super::*;

    pub(super) fn updates() -> Vec<Case> {
        const MOST: u32 = 0x7fff_ffff;
        let update = |stream, increment| Frame::window_update(stream, increment);
        let held = |c: &mut Client| {
            c.request_at(1, END, "GET", "/hold");
        };
        vec![
            connection("6.9: an increment of nothing", &[PROTOCOL_ERROR], move |c| c.send(&update(0, 0))),
            stream("6.9: an increment of nothing on a stream", &[PROTOCOL_ERROR], move |c| {
                held(c);
                c.send(&update(1, 0))
            }),
            connection("6.9: three octets", &[FRAME_SIZE_ERROR], |c| c.frame(kind::WINDOW_UPDATE, 0, 0, [0, 0, 1])),
            connection("6.9: five octets", &[FRAME_SIZE_ERROR], |c| {
                c.frame(kind::WINDOW_UPDATE, 0, 0, [0, 0, 1, 0, 0])
            }),
            connection("6.9: three octets on a stream", &[FRAME_SIZE_ERROR], move |c| {
                held(c);
                c.frame(kind::WINDOW_UPDATE, 0, 1, [0, 0, 1])
            }),
            connection("6.9.1: a window that is too large", &[FLOW_CONTROL_ERROR], move |c| c.send(&update(0, MOST))),
            connection("6.9.1: a window that grows too large", &[FLOW_CONTROL_ERROR], move |c| {
                (0..100).fold(c, |c, _| c.send(&update(0, MOST / 50)))
            }),
            stream("6.9.1: a window of a stream that is too large", &[FLOW_CONTROL_ERROR], move |c| {
                held(c);
                c.send(&update(1, MOST))
            }),
            connection("6.9.2: a first window that makes one too large", &[FLOW_CONTROL_ERROR], move |c| {
                held(c);
                c.send(&update(1, 65_536)).settings(&[(setting::INITIAL_WINDOW_SIZE, MOST)])
            }),
            answered("6.9.1: the largest window", move |c| c.send(&update(0, MOST - 65_535)).get(1)),
        ]
    }

    pub(super) fn answers() -> Vec<Case> {
        vec![
            answered("6.9.1: a window of one octet", |c| {
                stopped(asked(first_window(c.keep_credit(), 1), 1, 100), 1, 1).allow(1, 1);
                stopped(c, 1, 2).allow(1, 1000)
            }),
            answered("6.9.1: a window of nothing", |c| {
                stopped(asked(first_window(c.keep_credit(), 0), 1, 100), 1, 0).allow(1, 1000)
            }),
            answered("6.9.2: an answer without a body needs no window", |c| {
                first_window(c.keep_credit(), 0).request(1, END, "HEAD", &[])
            }),
            answered("6.9.2: a first window that grows", |c| {
                stopped(asked(first_window(c.keep_credit(), 10), 1, 100), 1, 10);
                stopped(first_window(c, 30), 1, 30);
                first_window(c, 1000)
            }),
            answered("6.9.2: a window that becomes negative", |c| {
                stopped(asked(first_window(c.keep_credit(), 50), 1, 100), 1, 50);
                stopped(first_window(c, 20), 1, 50).allow(1, 30);
                stopped(c, 1, 50).allow(1, 1);
                stopped(c, 1, 51).allow(1, 1000)
            }),
            answered("6.5.3: the last of several first windows counts", |c| {
                let windows = [100, 65_535, 1].map(|octets| (setting::INITIAL_WINDOW_SIZE, octets));
                c.keep_credit().settings(&windows).until("it is confirmed", |c| c.confirmed == 2);
                stopped(asked(c, 1, 100), 1, 1).allow(1, 1000)
            }),
            answered("6.9.1: the window of the connection", |c| {
                asked(asked(c.keep_credit(), 1, 60_000), 3, 60_000);
                c.until("all that is allowed", |c| length(c, 1) + length(c, 3) == 65_535).ping();
                c.allow(1, 60_000).allow(3, 60_000).ping();
                c.until("no more", |c| length(c, 1) + length(c, 3) == 65_535).allow(0, 100_000)
            })
            .expecting(&[1, 3]),
            answered("5.2: a stream that is not read holds up no other", |c| {
                asked(c.keep_credit(), 1, 1_000_000).allow(0, 1_000_000);
                stopped(c, 1, 65_535);
                (3..40).step_by(2).for_each(|stream| {
                    asked(c, stream, 10_000).answer(stream);
                });
                c.allow(1, 1_000_000).allow(0, 1_000_000)
            })
            .behind(Behind::Exactly(20)),
            answered("6.9: a large answer", |c| asked(c, 1, 3_000_000)),
        ]
    }

    pub(super) fn bodies() -> Vec<Case> {
        vec![
            answered("6.9: a large body", |c| c.post(1).body(1, &pattern(3_000_000)))
                .with(|record| record.body == pattern(3_000_000)),
            answered("6.9.1: padding is paid back", |c| {
                // An octet in each, as a flood of nothing but padding is another matter.
                let padded = Frame::new(kind::DATA, PADDED, 1, [&[255, b'x'][..], &[0; 255]].concat());
                let count = c.post(1).room(1) / 200;
                (0..count).fold(c, |c, _| c.allowed(&padded)).data(1, END_STREAM, "")
            })
            .with(|record| record.body.len() > 200 && record.body.iter().all(|octet| *octet == b'x')),
            answered("5.2: what was sent on a stream that is reset is paid back", |c| {
                for at in 0..40 {
                    let stream = 2 * at + 3;
                    c.post(stream);
                    (0..4).for_each(|_| {
                        c.allowed(&Frame::new(kind::DATA, 0, stream, [0; 8000]));
                    });
                    c.reset(stream, CANCEL).ping();
                }
                c.post(101).body(101, &pattern(100_000))
            })
            .expecting(&[101]),
            answered("5.2: a server that reads nothing holds up nobody else", |c| {
                c.request_at(1, END_HEADERS, "POST", "/stall");
                // As much as is taken.
                for _ in 0..20_000 {
                    if c.room(1) < 1000 {
                        break;
                    }
                    c.allowed(&Frame::new(kind::DATA, 0, 1, [0; 1000])).ping().catch_up();
                }
                c.until("that no more is allowed", |c| c.room(1) < 1000);
                (3..20).step_by(2).for_each(|stream| {
                    c.post(stream).body(stream, &pattern(5000)).answer(stream);
                });
                c.get(21)
            })
            .expecting(&[21])
            .behind(Behind::Exactly(10)),
            stream("6.9.1: more than the server allows", &[FLOW_CONTROL_ERROR], |c| {
                c.request_at(1, END_HEADERS, "POST", "/stall");
                (0..2000).fold(c, |c, _| c.data(1, 0, [0; 16_384]))
            })
            .behind(Behind::NothingWhole),
        ]
    }
}
