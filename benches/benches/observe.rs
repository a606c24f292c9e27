//! What watching a request and its answer costs, beside the copy loop.

use adaptors::observe::{Fact, Mode, Observer, Records, RequestHead};
use amqp_core::Instant;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

const NOW: Instant = Instant::from_micros(0);

/// As load generators ask.
const REQUEST: &[u8] = b"GET /1k HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

/// As browsers ask.
const BROWSER: &[u8] = b"GET /index.html HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux \
    x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,\
    */*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\nX-Forwarded-For: 192.0.2.1, \
    192.0.2.2\r\nConnection: keep-alive\r\nCookie: session=0123456789abcdef0123456789abcdef\r\n\r\n";

/// As web servers answer, with a body of 1024 octets.
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.28.0\r\nDate: Fri, 27 Nov 2026 03:00:00 GMT\r\nContent-Type: \
    application/octet-stream\r\nContent-Length: 1024\r\nLast-Modified: Fri, 27 Nov 2026 02:00:00 GMT\r\nConnection: \
    keep-alive\r\nETag: \"6927a4f0-400\"\r\nAccept-Ranges: bytes\r\n\r\n";

/// Gives slots, or none, and keeps nothing.
struct Slots {
    collected: bool,
}

impl Records for Slots {
    type Slot = u64;

    fn are_wanted(&self) -> bool {
        self.collected
    }

    fn begin(&mut self, request: &RequestHead<'_>, _: Instant) -> Option<u64> {
        self.collected.then(|| black_box(request.method().len() as u64))
    }

    fn update(&mut self, slot: &mut u64, fact: Fact<'_>) {
        if let Fact::ResponseOctets(octets) = black_box(fact) {
            *slot = octets;
        }
    }

    fn end(&mut self, slot: u64, _: Instant) {
        black_box(slot);
    }
}

fn http1(c: &mut Criterion) {
    let answer = [ANSWER, &[b'x'; 1024]].concat();
    let mut group = c.benchmark_group("observe");
    group.throughput(Throughput::Elements(1));
    for (name, request, collected) in
        [("http1", REQUEST, false), ("http1-collected", REQUEST, true), ("http1-browser", BROWSER, false)]
    {
        let (mut observer, mut slots) = (Observer::new(Mode::Auto), Slots { collected });
        group.bench_function(name, |b| {
            b.iter(|| {
                assert_eq!(observer.on_client(black_box(request), NOW, &mut slots), None);
                assert_eq!(observer.on_server(black_box(&answer), NOW, &mut slots), None);
            });
        });
    }
    group.finish();
}

/// A frame of HTTP/2 on a stream that is still to be said.
fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    [&[0, 0, payload.len() as u8, kind, flags, 0, 0, 0, 0], payload].concat()
}

/// The stream of frames, of which one follows the other.
fn set_stream(frames: &mut [u8], stream: u32) {
    let mut left = frames;
    while let [_, _, length, _, _, rest @ ..] = left {
        rest[..4].copy_from_slice(&stream.to_be_bytes());
        left = &mut rest[4 + usize::from(*length)..];
    }
}

/// A call of gRPC on a connection whose peers have added to their tables what they say every time.
fn http2(c: &mut Criterion) {
    const ADDED: &[u8] = b"\x83\x86\x44\x1c/helloworld.Greeter/SayHello\x5f\x10application/grpc\x40\x02te\x08trailers";
    let preface = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, &[])].concat();
    let mut opening = frame(1, 0x5, ADDED);
    let call = b"\x83\x86\xC0\xBF\xBE\x00\x0cgrpc-timeout\x0310s";
    let mut request = [frame(1, 0x4, call), frame(0, 0x1, &[0; 100])].concat();
    let trailers = b"\x00\x0bgrpc-status\x010";
    let mut answer = [frame(1, 0x4, b"\x88"), frame(0, 0, &[0; 100]), frame(1, 0x5, trailers)].concat();
    let mut group = c.benchmark_group("observe");
    group.throughput(Throughput::Elements(1));
    for (name, collected) in [("http2", false), ("http2-collected", true)] {
        let (mut observer, mut slots) = (Observer::new(Mode::Auto), Slots { collected });
        set_stream(&mut opening, 1);
        assert_eq!(observer.on_client(&preface, NOW, &mut slots), None);
        assert_eq!(observer.on_client(&opening, NOW, &mut slots), None);
        let mut stream = 1;
        group.bench_function(name, |b| {
            b.iter(|| {
                stream += 2;
                set_stream(&mut request, stream);
                set_stream(&mut answer, stream);
                assert_eq!(observer.on_client(black_box(&request), NOW, &mut slots), None);
                assert_eq!(observer.on_server(black_box(&answer), NOW, &mut slots), None);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, http1, http2);
criterion_main!(benches);
