//! A peer that says anything: nothing panics, nothing goes in circles, and
//! nothing is left in the router when it is gone.

#![no_main]

use amqp_core::Instant;
use amqp_core::engine::Output;
use bytes::{BufMut, Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use router_engine::Router;
use router_engine::core::connection::{ConnParams, ConnectionRole};
use router_engine::core::{Mode, RouterConfig};
use router_engine::port::{AmqpPort, PortParams, PortState};
use router_engine::rng::Seed;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

/// AMQP header and an open with the container id `x`, as clients and as routers send it.
const OPENING: &[u8] = b"AMQP\0\x01\0\0\0\0\0\x11\x02\0\0\0\0S\x10\xc0\x04\x01\xa1\x01x";

/// A session with a sending link, handle 0, and a receiving one, handle 1, for the address `q`.
const LINKS: [&[u8]; 3] = [
    b"\0S\x11\xc0\x07\x04\x40\x43\x52\xff\x52\xff",
    b"\0S\x12\xc0\x18\x0a\xa1\x01s\x43\x42\x40\x40\0S\x28\x45\0S\x29\xc0\x04\x01\xa1\x01q\x40\x40\x43",
    b"\0S\x12\xc0\x16\x07\xa1\x01r\x52\x01\x41\x40\x40\0S\x28\xc0\x04\x01\xa1\x01q\0S\x29\x45",
];

fn params(role: ConnectionRole) -> PortParams {
    PortParams { handshake_timeout: Some(Duration::from_secs(10)), ..PortParams::new(ConnParams::amqp(role)) }
}

fn run(port: &mut AmqpPort, now: Instant) {
    while matches!(port.state(), PortState::Running) {
        let more = port.turn(now);
        discard(port.output());
        if !more && port.park(std::task::Waker::noop()) {
            return;
        }
    }
}

fn discard(output: &mut Output) {
    loop {
        let mut slices = [IoSlice::new(&[]); 16];
        let count = output.fill_slices(&mut slices);
        let octets = slices[..count].iter().map(|slice| slice.len()).sum();
        if octets == 0 {
            return;
        }
        output.advance(octets);
    }
}

fn frame(channel: u8, body: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u32(8 + body.len() as u32);
    frame.put_slice(&[2, 0, 0, channel]);
    frame.put_slice(body);
    frame.freeze()
}

/// A performative whose fields are given as they are on the wire, and what follows it: code, number of fields, octets
/// of fields, fields, payload.
fn performative(octets: &[u8]) -> Vec<u8> {
    let &[code, count, len, ref rest @ ..] = octets else { return Vec::new() };
    let (fields, payload) = rest.split_at(rest.len().min(usize::from(len % 254)));
    let mut body = vec![0, 0x53, 0x10 + code % 9, 0xc0, 1 + fields.len() as u8, count % 16];
    body.extend_from_slice(fields);
    body.extend_from_slice(payload);
    body
}

fuzz_target!(|input: (bool, Vec<(u8, Vec<u8>)>)| {
    let (between_routers, steps) = input;
    let mut now = Instant::from_micros(1_000_000);
    let config = RouterConfig { id: "R".to_owned(), mode: Mode::Interior, ..RouterConfig::default() };
    let router = Arc::new(Router::new(config, Seed::from(1), 1, now));
    let role = if between_routers { ConnectionRole::InterRouter } else { ConnectionRole::Normal };
    let params = params(role);
    let handle = router.connect(params.conn.clone(), now);
    let mut port = AmqpPort::new(params, handle, Arc::clone(&router), now);
    port.receive(Bytes::from_static(OPENING));
    run(&mut port, now);
    assert!(port.opened());
    if !between_routers {
        LINKS.iter().for_each(|body| port.receive(frame(0, body)));
        run(&mut port, now);
        assert_eq!(port.link_count(), 2);
    }
    for (kind, octets) in steps {
        match kind % 16 {
            0 => port.receive(octets.into()),
            1 => {
                now = now + Duration::from_secs(1);
                router.handle_timeout(now);
                port.handle_timeout(now);
            }
            // Several frames before the next turn.
            kind @ 2..4 => {
                port.receive(frame(kind % 2, &performative(&octets)));
                continue;
            }
            kind @ 4..6 => port.receive(frame(kind % 2, &octets)),
            kind => port.receive(frame(kind % 2, &performative(&octets))),
        }
        run(&mut port, now);
    }
    port.transport_closed(now);
    port.turn(now);
    drop(port);
    assert_eq!(router.connection_count(), 0);
    assert!(router.link_rows(now).is_empty());
});
