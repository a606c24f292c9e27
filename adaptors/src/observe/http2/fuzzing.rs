//! What the fuzz target of HPACK runs.

use super::hpack::{Decoder, Field, Name};

/// What a decoder may hold, in octets: entries, the values that matter, and a buffer.
const FOOTPRINT: usize = 2048 * 48 + 65_536 + 512;

/// Header blocks of any octets, each behind an octet that is its length. Now and then a larger table is offered.
pub fn header_blocks(octets: &[u8]) {
    let (mut decoder, mut left) = (Decoder::new(), octets);
    while let Some((length, rest)) = left.split_first() {
        let (block, next) = rest.split_at(usize::from(*length).min(rest.len()));
        if *length == 0 {
            decoder.offer(u32::from(next.len() as u16) << 8);
        }
        let decoded = decoder.decode(block, judge);
        decoder.check();
        assert!(decoder.footprint() <= FOOTPRINT, "{} octets", decoder.footprint());
        if decoded.is_err() {
            return;
        }
        left = next;
    }
}

fn judge(field: Field<'_>) {
    assert!(field.value.len() <= if field.name == Name::Other { 0 } else { 300 }, "{field:?}");
}
