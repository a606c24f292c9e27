//! Frame headers, performatives and their traces.

#![no_main]

use amqp_core::codec::Encode;
use amqp_core::frame::{FrameHeader, Preface};
use amqp_core::performative::{FrameBody, Performative};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let _ = Preface::parse(octets);
    if let Ok(Some(header)) = FrameHeader::parse(octets, 1 << 20) {
        assert_eq!(header.body_offset() + header.body_len(), header.size as usize);
    }
    let _ = FrameBody(octets).to_string();
    let body = Bytes::copy_from_slice(octets);
    let Ok((performative, used)) = Performative::decode(&body) else { return };
    assert!(used <= body.len());
    let once = Encode::to_bytes(&performative);
    let (again, used) = Performative::decode(&once).expect("own encoding");
    assert_eq!(used, once.len());
    assert_eq!(Encode::to_bytes(&again), once);
});
