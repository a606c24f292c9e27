//! SASL frame bodies.

#![no_main]

use amqp_core::codec::Encode;
use amqp_core::sasl::SaslFrame;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let Ok(frame) = SaslFrame::decode(&Bytes::copy_from_slice(octets)) else { return };
    let _ = frame.to_string();
    assert_eq!(SaslFrame::decode(&frame.to_bytes()), Ok(frame));
});
