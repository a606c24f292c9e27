//! Frames that every message costs, and the sections of a message.

use super::Path;
use amqp_core::message::{Depth, MessageBuilder, Properties, RouterAnnotations, scan};
use amqp_core::performative::{DeliveryState, Disposition, Flow, Performative, Role, Transfer};
use bytes::{Bytes, BytesMut};
use std::hint::black_box;

/// The frames.
pub const FRAMES: [&str; 3] = ["transfer", "disposition", "flow"];

/// How far a message is looked into.
pub const DEPTHS: [&str; 2] = ["annotations", "properties"];

fn performative(name: &str) -> Performative {
    match name {
        "transfer" => Performative::Transfer(Transfer {
            handle: 1,
            delivery_id: Some(123_456),
            delivery_tag: Some([1, 2, 3, 4, 5, 6, 7, 8].into_iter().collect()),
            message_format: Some(0),
            settled: Some(false),
            ..Transfer::default()
        }),
        "disposition" => Performative::Disposition(Disposition {
            role: Role::Receiver,
            first: 1000,
            last: Some(1100),
            settled: true,
            state: Some(DeliveryState::Accepted),
            batchable: false,
        }),
        _ => Performative::Flow(Flow {
            next_incoming_id: Some(77),
            incoming_window: 512,
            next_outgoing_id: 99,
            outgoing_window: 512,
            handle: Some(3),
            delivery_count: Some(1000),
            link_credit: Some(250),
            ..Flow::default()
        }),
    }
}

/// Encodes one of [`FRAMES`].
#[must_use]
pub fn encode(name: &str) -> Path {
    let (performative, mut out) = (performative(name), BytesMut::with_capacity(256));
    Box::new(move |times| {
        for _ in 0..times {
            out.clear();
            black_box(&performative).encode(&mut out);
            black_box(&out);
        }
    })
}

/// Decodes one of [`FRAMES`].
#[must_use]
pub fn decode(name: &str) -> Path {
    let mut encoded = BytesMut::new();
    performative(name).encode(&mut encoded);
    let encoded = encoded.freeze();
    Box::new(move |times| {
        for _ in 0..times {
            assert!(Performative::decode(black_box(&encoded)).is_ok());
        }
    })
}

/// Looks into a message to one of [`DEPTHS`].
#[must_use]
pub fn scan_message(depth: &str) -> Path {
    let annotations = RouterAnnotations { to_override: Some(Bytes::from_static(b"service")), ..Default::default() };
    let properties = Properties { to: Some("service".into()), ..Properties::default() };
    let message = MessageBuilder::new()
        .router_annotations(&annotations, Some(b"0/A.east"))
        .properties(&properties)
        .value("hello world");
    let depth = if depth == "annotations" { Depth::RouterAnnotations } else { Depth::Properties };
    Box::new(move |times| {
        for _ in 0..times {
            black_box(scan(black_box(std::slice::from_ref(&message)), true, depth));
        }
    })
}
