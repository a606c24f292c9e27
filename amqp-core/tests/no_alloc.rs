//! The performatives of the message path are coded without allocating, and hostile counts do not
//! make a decoder allocate more than in proportion to its input.

use allocation_counter::measure;
use amqp_core::codec::{Decode, Reader};
use amqp_core::message::{Depth, PropertiesView, RouterAnnotations, ScanResult, header, scan};
use amqp_core::performative::{DeliveryState, DeliveryTag, Disposition, Flow, Performative, Role, Transfer};
use amqp_core::value::Value;
use bytes::{Bytes, BytesMut};

fn transfer() -> Performative {
    Transfer {
        handle: 300,
        delivery_id: Some(70_000),
        delivery_tag: Some(DeliveryTag::from_slice(&[7; 32])),
        message_format: Some(0),
        settled: Some(false),
        more: true,
        state: Some(DeliveryState::Received { section_number: 1, section_offset: 1 << 40 }),
        ..Transfer::default()
    }
    .into()
}

fn disposition() -> Performative {
    Disposition {
        role: Role::Receiver,
        first: 70_000,
        last: Some(70_100),
        settled: true,
        state: Some(DeliveryState::Accepted),
        batchable: true,
    }
    .into()
}

fn flow() -> Performative {
    Flow {
        next_incoming_id: Some(1),
        incoming_window: 8192,
        next_outgoing_id: u32::MAX,
        outgoing_window: u32::MAX,
        handle: Some(3),
        delivery_count: Some(70_000),
        link_credit: Some(250),
        available: Some(0),
        drain: true,
        echo: true,
        properties: None,
    }
    .into()
}

#[test]
fn hot_performatives_do_not_allocate() {
    for performative in [transfer(), disposition(), flow()] {
        let mut out = BytesMut::with_capacity(256);
        let info = measure(|| performative.encode(&mut out));
        assert_eq!(info.count_total, 0, "encoding {performative}");
        let octets = out.freeze();
        let mut decoded = None;
        let info = measure(|| decoded = Performative::decode(&octets).ok());
        assert_eq!(info.count_total, 0, "decoding {performative}");
        assert_eq!(decoded, Some((performative, octets.len())));
    }
}

#[test]
fn looking_at_a_message_does_not_allocate() {
    let message = Bytes::from_static(
        b"\0\x80SKPR--RA\xd0\0\0\0\x27\0\0\0\x04\x43\xa1\x03svc\xa1\x080/A.east\xd0\0\0\0\x0e\0\0\0\x01\xa1\x080/A.east\
          \0\x53\x70\xc0\x04\x02\x40\x50\x07\0\x53\x73\xc0\x08\x03\x40\x40\xa1\x03svc\0\x53\x77\xa1\x02p7",
    );
    let halves = [message.slice(..58), message.slice(58..)];
    for chunks in [std::slice::from_ref(&message), &halves] {
        let mut seen = (0, false, 0);
        let info = measure(|| {
            if let ScanResult::Ok(map) = scan(chunks, true, Depth::Body)
                && let (Some(ra), Some(head), Some(props)) = (map.router_annotations, map.header, map.properties)
                && let Ok(ra) = RouterAnnotations::parse(&ra.value(chunks))
            {
                seen.0 = header::priority(&head.value(chunks));
                seen.1 = PropertiesView::new(&props.value(chunks)).to() == Some("svc");
                seen.2 = ra.trace.count();
            }
        });
        assert_eq!(seen, (7, true, 1));
        // The router annotations straddle the halves; only gathering them may allocate.
        let straddles = chunks.len() == 2;
        assert!(info.count_total <= 2 * u64::from(straddles), "{} allocations", info.count_total);
    }
}

#[test]
fn false_counts_cost_nothing() {
    let cases: [&[u8]; 4] = [
        b"\xd0\0\0\0\x04\xff\xff\xff\xff",
        b"\xd1\0\0\0\x04\xff\xff\xff\xfe",
        b"\xf0\0\0\0\x05\xff\xff\xff\xff\x40",
        b"\xf0\0\0\0\x05\xff\xff\xff\xff\x50",
    ];
    for octets in cases {
        let info = measure(|| assert!(Value::decode(&mut Reader::new(octets)).is_err()));
        assert_eq!(info.bytes_total, 0);
    }
    // The densest legal input: every octet is a value.
    let mut dense = vec![0xd0, 0, 0, 0x40, 4, 0, 0, 0x40, 0];
    dense.resize(9 + 0x4000, 0x40);
    let info = measure(|| assert!(Value::decode(&mut Reader::new(&dense)).is_ok()));
    assert!(info.bytes_max <= 200 * dense.len() as u64, "{} octets", info.bytes_max);
}
