//! Messages: a scan finds the same however the message is cut, and the views never fail.

#![no_main]

use amqp_core::message::{
    Depth, Message, PropertiesView, PropertyField, RouterAnnotations, ScanResult, SectionScanner, app_properties,
    header, scan,
};
use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;

const DEPTHS: [Depth; 6] =
    [Depth::RouterAnnotations, Depth::Header, Depth::Properties, Depth::ApplicationProperties, Depth::Body, Depth::All];

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (depth, piece, octets) = input;
    let depth = DEPTHS[usize::from(depth) % DEPTHS.len()];
    let message = Bytes::copy_from_slice(octets);
    let whole = scan(std::slice::from_ref(&message), true, depth);

    let piece = usize::from(piece).max(1);
    let chunks: Vec<Bytes> = octets.chunks(piece).map(Bytes::copy_from_slice).collect();
    assert_eq!(scan(&chunks, true, depth), whole);
    let mut scanner = SectionScanner::default();
    let mut result = ScanResult::Incomplete;
    for count in 0..=chunks.len() {
        result = scanner.scan(&chunks[..count], count == chunks.len(), depth);
        if result != ScanResult::Incomplete {
            break;
        }
    }
    assert_eq!(result, whole);

    let _ = Message::decode(&chunks);
    let ScanResult::Ok(map) = whole else { return };
    let value = |section: Option<amqp_core::message::Section>| section.map(|s| s.value(&chunks));
    if let Some(section) = value(map.header) {
        assert!(header::priority(&section) <= header::MAX_PRIORITY);
    }
    if let Some(section) = value(map.properties) {
        let _ = PropertiesView::new(&section).get(PropertyField::CorrelationId);
    }
    if let Some(section) = value(map.application_properties) {
        let _ = app_properties::get(&section, "opcode");
    }
    if let Some(Ok(annotations)) = value(map.router_annotations).map(|s| RouterAnnotations::parse(&s)) {
        assert_eq!(annotations.trace.iter().count(), annotations.trace.count() as usize);
        let mut out = BytesMut::new();
        annotations.encode(None, &mut out);
        let out = [out.freeze()];
        let ScanResult::Ok(map) = scan(&out, true, Depth::RouterAnnotations) else { panic!("own encoding") };
        let again = map.router_annotations.map(|s| RouterAnnotations::parse(&s.value(&out)));
        assert_eq!(again, Some(Ok(annotations)));
    }
});
