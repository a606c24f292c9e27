//! What a header block says of a request or an answer.

use super::hpack::{Decoder, Error, Field, Name};
use smallvec::SmallVec;

/// The fields that matter.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// Empty if there is none.
    pub(super) method: SmallVec<[u8; 16]>,
    /// From 100 to 999.
    pub(super) status: Option<u16>,
    /// The first one.
    pub(super) forwarded_for: Option<SmallVec<[u8; 64]>>,
}

// === impl Fields ===

impl Fields {
    /// Becomes what a header block says.
    pub(super) fn decode(&mut self, decoder: &mut Decoder, block: &[u8]) -> Result<(), Error> {
        self.method.clear();
        (self.status, self.forwarded_for) = (None, None);
        decoder.decode(block, |field| self.add(field))
    }

    fn add(&mut self, field: Field<'_>) {
        match field.name {
            Name::Method => {
                self.method.clear();
                self.method.extend_from_slice(field.value);
            }
            Name::Status => self.status = status(field.value),
            Name::ForwardedFor => {
                self.forwarded_for.get_or_insert_with(|| SmallVec::from_slice(field.value));
            }
            Name::Other => {}
        }
    }
}

fn status(value: &[u8]) -> Option<u16> {
    let [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9'] = value else { return None };
    Some(value.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0')))
}
