//! What a forward proxy answers.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| adaptors::amqp::fuzz_proxy_answer(octets));
