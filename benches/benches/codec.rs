//! Frames that every message costs: transfer, disposition, flow; and the sections of a message.

use amqp_core::message::{Depth, MessageBuilder, Properties, RouterAnnotations, scan};
use amqp_core::performative::{DeliveryState, Disposition, Flow, Performative, Role, Transfer};
use bytes::{Bytes, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

fn performatives() -> [(&'static str, Performative); 3] {
    let transfer = Transfer {
        handle: 1,
        delivery_id: Some(123_456),
        delivery_tag: Some([1, 2, 3, 4, 5, 6, 7, 8].into_iter().collect()),
        message_format: Some(0),
        settled: Some(false),
        ..Transfer::default()
    };
    let disposition = Disposition {
        role: Role::Receiver,
        first: 1000,
        last: Some(1100),
        settled: true,
        state: Some(DeliveryState::Accepted),
        batchable: false,
    };
    let flow = Flow {
        next_incoming_id: Some(77),
        incoming_window: 512,
        next_outgoing_id: 99,
        outgoing_window: 512,
        handle: Some(3),
        delivery_count: Some(1000),
        link_credit: Some(250),
        ..Flow::default()
    };
    [
        ("transfer", Performative::Transfer(transfer)),
        ("disposition", Performative::Disposition(disposition)),
        ("flow", Performative::Flow(flow)),
    ]
}

fn frames(c: &mut Criterion) {
    let mut group = c.benchmark_group("codec");
    group.throughput(Throughput::Elements(1));
    for (name, performative) in performatives() {
        let mut out = BytesMut::with_capacity(256);
        group.bench_function(format!("encode-{name}"), |b| {
            b.iter(|| {
                out.clear();
                black_box(&performative).encode(&mut out);
            });
        });
        let mut encoded = BytesMut::new();
        performative.encode(&mut encoded);
        let encoded = encoded.freeze();
        group.bench_function(format!("decode-{name}"), |b| {
            b.iter(|| Performative::decode(black_box(&encoded)).is_ok());
        });
    }
    group.finish();
}

fn sections(c: &mut Criterion) {
    let annotations = RouterAnnotations { to_override: Some(Bytes::from_static(b"service")), ..Default::default() };
    let properties = Properties { to: Some("service".into()), ..Properties::default() };
    let message = MessageBuilder::new()
        .router_annotations(&annotations, Some(b"0/A.east"))
        .properties(&properties)
        .value("hello world");
    let mut group = c.benchmark_group("message");
    for (name, depth) in [("annotations", Depth::RouterAnnotations), ("properties", Depth::Properties)] {
        group.bench_function(format!("scan-{name}"), |b| {
            b.iter(|| scan(black_box(std::slice::from_ref(&message)), true, depth));
        });
    }
    group.finish();
}

criterion_group!(benches, frames, sections);
criterion_main!(benches);
