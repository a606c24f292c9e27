//! Values: what is accepted can be skipped, printed, and written and read again.

#![no_main]

use amqp_core::codec::{Decode, Encode, Reader};
use amqp_core::value::Value;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    let mut r = Reader::new(octets);
    let Ok(value) = Value::decode(&mut r) else { return };
    let mut skipped = Reader::new(octets);
    assert_eq!(skipped.skip_value(), Ok(()));
    assert_eq!(skipped.position(), r.position());
    let _ = value.to_string();
    // Not compared as values: a NaN differs from itself.
    let once = value.to_bytes();
    let again = Value::decode(&mut Reader::new(&once)).expect("own encoding");
    assert_eq!(again.to_bytes(), once);
});
