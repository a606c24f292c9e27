//! The bodies of the fuzz targets with random octets.

use super::super::fuzzing::{messages, records, traffic};
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn records_open_once_and_unchanged_only(octets in vec(any::<u8>(), 0..60)) {
        records(&octets);
    }

    #[test]
    fn messages_are_read_as_by_a_reader_that_keeps_them(octets in vec(octet(), 0..200)) {
        messages(&octets);
    }

    #[test]
    fn traffic_is_what_the_model_says(octets in vec(octet(), 0..400)) {
        traffic(&octets);
    }
}

/// Found by fuzzing.
#[test]
fn a_request_of_ours_answers_that_of_the_peer() {
    traffic(&[
        0x0a, 0x01, 0xc4, 0xc4, 0xf3, 0xf3, 0xe3, 0x88, 0x49, 0x05, 0, 0, 0, 0, 0, 0, 0x3e, 0, 0xbc, 0xbc, 0xbc, 0xbc,
        0xbc, 0x79, 0xe3, 0x40, 0xe3, 0xe3, 0xf3,
    ]);
}

/// Mostly small ones: lengths and choices.
fn octet() -> impl Strategy<Value = u8> {
    prop_oneof![3 => 0..6_u8, 1 => Just(24), 3 => 0..32_u8, 2 => any::<u8>()]
}
