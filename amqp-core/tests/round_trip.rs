//! Property tests: what is encoded decodes to the same, and no octets make a decoder panic.

mod common;

use amqp_core::codec::{Decode, Encode, Reader};
use amqp_core::frame::{FrameHeader, Preface};
use amqp_core::message::{
    Depth, Message, PropertiesView, PropertyField, RouterAnnotations, ScanResult, SectionScanner, app_properties,
    header, scan,
};
use amqp_core::performative::{FrameBody, Performative};
use amqp_core::sasl::SaslFrame;
use amqp_core::value::Value;
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

/// Everything that looks at octets of a peer.
fn decode_everything(octets: &Bytes) {
    let mut r = Reader::new(octets);
    if let Ok(value) = Value::decode(&mut r) {
        // What was accepted can be written and read again.
        let again = value.to_bytes();
        let _ = Value::decode(&mut Reader::new(&again));
        let _ = value.to_string();
    }
    let mut skipped = Reader::new(octets);
    if Value::decode(&mut Reader::new(octets)).is_ok() {
        assert_eq!(skipped.skip_value(), Ok(()));
        assert_eq!(skipped.position(), r.position());
    }
    if let Ok((performative, used)) = Performative::decode(octets) {
        assert!(used <= octets.len());
        let mut out = BytesMut::new();
        performative.encode(&mut out);
        assert_eq!(Performative::decode(&out.freeze()).map(|(again, _)| again), Ok(performative));
    }
    if let Ok(frame) = SaslFrame::decode(octets) {
        assert_eq!(SaslFrame::decode(&frame.to_bytes()), Ok(frame));
    }
    let _ = FrameBody(octets).to_string();
    let _ = FrameHeader::parse(octets, 1 << 20);
    let _ = Preface::parse(octets);
    if let Ok(annotations) = RouterAnnotations::parse(octets) {
        assert_eq!(annotations.trace.iter().count(), annotations.trace.count() as usize);
    }
    let _ = Message::decode(std::slice::from_ref(octets));
    let _ = app_properties::raw(octets, "x");
    let _ = PropertiesView::new(octets).raw(PropertyField::To);
    let _ = header::priority(octets);
}

proptest! {
    #[test]
    fn values(value in common::value()) {
        let octets = value.to_bytes();
        let mut r = Reader::from_bytes(&octets);
        prop_assert_eq!(Value::decode(&mut r), Ok(value));
        prop_assert!(r.is_empty());
        let mut r = Reader::new(&octets);
        prop_assert_eq!(r.skip_value(), Ok(()));
        prop_assert!(r.is_empty());
    }

    #[test]
    fn performatives(performative in common::performative(), payload in "[a-z]{0,9}") {
        let mut out = BytesMut::new();
        performative.encode(&mut out);
        let len = out.len();
        out.extend_from_slice(payload.as_bytes());
        prop_assert_eq!(Performative::decode(&out.freeze()), Ok((performative, len)));
    }

    #[test]
    fn truncated_values_are_refused(value in common::value(), cut in any::<prop::sample::Index>()) {
        let octets = value.to_bytes();
        let cut = cut.index(octets.len());
        prop_assert!(Value::decode(&mut Reader::new(&octets[..cut])).is_err());
    }

    #[test]
    fn random_octets(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        decode_everything(&octets.into());
    }

    /// Octets that look like AMQP get further than random ones.
    #[test]
    fn plausible_octets(octets in prop::collection::vec(prop::sample::select(vec![
        0, 0, 1, 2, 3, 4, 5, 8, 0x10, 0x12, 0x14, 0x24, 0x28, 0x2d, 0x40, 0x41, 0x43, 0x45, 0x50, 0x52, 0x53, 0x53, 0x54,
        0x56, 0x70, 0x73, 0x74, 0x77, 0x80, 0xa0, 0xa1, 0xa3, 0xb1, 0xb3, 0xc0, 0xc0, 0xc1, 0xd0, 0xd1, 0xe0, 0xf0, 0xff,
    ]), 0..80)) {
        decode_everything(&octets.into());
    }

    #[test]
    fn mutated_values(value in common::value(), at in any::<prop::sample::Index>(), octet in any::<u8>()) {
        let mut octets = value.to_bytes().to_vec();
        let at = at.index(octets.len());
        octets[at] = octet;
        decode_everything(&octets.into());
    }

    #[test]
    fn mutated_performatives(
        performative in common::performative(), at in any::<prop::sample::Index>(), octet in any::<u8>(),
    ) {
        let mut octets = Encode::to_bytes(&performative).to_vec();
        let at = at.index(octets.len());
        octets[at] = octet;
        decode_everything(&octets.into());
    }

    /// The cuts between chunks do not matter, nor does whether the scan was interrupted.
    #[test]
    fn scans_do_not_depend_on_chunks(
        start in prop::sample::select(vec![&b"\0\x53\x70\x45"[..], b"\0\x80SKPR--RA\xc0\x05\x04\x43\x40\x40\x45", b""]),
        sections in prop::collection::vec(prop::sample::select(vec![
            &b"\0\x53\x70\x45"[..], b"\0\x53\x71\xc1\x01\0", b"\0\x53\x72\xd1\0\0\0\x04\0\0\0\0", b"\0\x53\x73\x45",
            b"\0\x80\0\0\0\0\0\0\0\x74\xc1\x01\0", b"\0\x53\x75\xa0\x01x", b"\0\x53\x76\x45",
            b"\0\x53\x77\0\x53\x01\xa1\x02ab", b"\0\x53\x78\xc1\x01\0", b"\0\x53", b"zz",
        ]), 0..5),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        depth in prop::sample::select(vec![
            Depth::RouterAnnotations, Depth::Header, Depth::Properties, Depth::ApplicationProperties, Depth::Body,
            Depth::All,
        ]),
    ) {
        let message = Bytes::from([start].into_iter().chain(sections).flatten().copied().collect::<Vec<u8>>());
        let whole = scan(std::slice::from_ref(&message), true, depth);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(message.len() + 1)).collect();
        cuts.extend([0, message.len()]);
        cuts.sort_unstable();
        let chunks: Vec<Bytes> = cuts.windows(2).map(|pair| message.slice(pair[0]..pair[1])).collect();
        prop_assert_eq!(scan(&chunks, true, depth), whole);

        let mut scanner = SectionScanner::default();
        let mut result = ScanResult::Incomplete;
        for count in 0..=chunks.len() {
            result = scanner.scan(&chunks[..count], count == chunks.len(), depth);
            if result != ScanResult::Incomplete {
                break;
            }
        }
        prop_assert_eq!(result, whole);
    }
}
