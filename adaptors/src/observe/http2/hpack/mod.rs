//! HPACK (RFC 7541), as far as an observer needs it: of all but a few fields only lengths are kept, which tell how long
//! fields stay in the dynamic table.

mod fields;
mod huffman;
mod input;
mod table;
#[cfg(test)]
mod tests;

use input::Input;
use table::{FieldName, INITIAL, Table};

/// The largest dynamic table that a peer may offer to be used here; browsers offer as much.
const LARGEST: usize = 65_536;

/// The names that matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::observe) enum Name {
    Method,
    Status,
    ForwardedFor,
    Other,
}

/// A header field. The value has 300 octets at most, and none if the name does not matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::observe) struct Field<'a> {
    pub(in crate::observe) name: Name,
    pub(in crate::observe) value: &'a [u8],
}

/// What is wrong with a header block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It ends within a field.
    #[error("header block ends within a field")]
    Truncated,
    /// An integer has more than 32 bits.
    #[error("integer in a header block too large")]
    Integer,
    /// A string has no Huffman code, or ends within one.
    #[error("malformed Huffman code in a header block")]
    Huffman,
    /// There is no field with an index.
    #[error("header block refers to an unknown field")]
    Index,
    /// A dynamic table is to be larger than was offered, or its size changes behind a field.
    #[error("invalid update of the size of a header table")]
    Size,
}

/// Decodes the header blocks of one direction.
#[derive(Debug)]
pub(in crate::observe) struct Decoder {
    table: Table,
    /// The largest dynamic table that was ever offered to the encoder. Nobody sees here when it takes an offer, so that
    /// an earlier one stays good.
    offered: usize,
    /// Where strings are decoded.
    buffer: Vec<u8>,
}

// === impl Name ===

impl From<&[u8]> for Name {
    fn from(name: &[u8]) -> Self {
        match name {
            b":method" => Self::Method,
            b":status" => Self::Status,
            b"x-forwarded-for" => Self::ForwardedFor,
            _ => Self::Other,
        }
    }
}

// === impl Decoder ===

impl Decoder {
    pub(in crate::observe) const fn new() -> Self {
        Self { table: Table::new(), offered: INITIAL, buffer: Vec::new() }
    }

    /// The receiver of header blocks offers a dynamic table of this size.
    pub(in crate::observe) fn offer(&mut self, size: u32) {
        self.offered = self.offered.max(LARGEST.min(size as usize));
    }

    /// Decodes a header block, and gives its fields to `sink`.
    pub(in crate::observe) fn decode(&mut self, block: &[u8], mut sink: impl FnMut(Field<'_>)) -> Result<(), Error> {
        let mut input = Input(block);
        // Only updates of the size come before the first field.
        while let Some(octet) = input.peek()
            && octet & 0xE0 == 0x20
        {
            self.update_size(input.integer(5)?)?;
        }
        while let Some(octet) = input.peek() {
            match octet {
                0x80.. => sink(self.table.field(input.integer(7)?)?),
                0x40.. => self.literal(&mut input, 6, &mut sink)?,
                0x20.. => return Err(Error::Size),
                _ => self.literal(&mut input, 4, &mut sink)?,
            }
        }
        Ok(())
    }

    fn update_size(&mut self, size: usize) -> Result<(), Error> {
        if size > self.offered {
            return Err(Error::Size);
        }
        self.table.resize(size);
        Ok(())
    }

    /// A field that is not in a table as a whole; its name may be, at an index of `prefix` bits. With six bits it is
    /// added.
    fn literal(&mut self, input: &mut Input<'_>, prefix: u32, sink: &mut impl FnMut(Field<'_>)) -> Result<(), Error> {
        let Self { table, buffer, .. } = self;
        let name = match input.integer(prefix)? {
            0 => FieldName::from(input.string()?.decode(buffer)?),
            index => table.name(index)?,
        };
        let value = input.string()?;
        let value = if name.name == Name::Other { value.measure()? } else { value.decode(buffer)? };
        sink(Field { name: name.name, value: value.kept });
        if prefix == 6 {
            table.insert(name, value);
        }
        Ok(())
    }

    /// Panics if the table is not as it has to be.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(in crate::observe) fn check(&self) {
        self.table.check();
        assert!(self.offered <= LARGEST);
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(in crate::observe) fn footprint(&self) -> usize {
        self.table.footprint() + self.buffer.capacity()
    }
}
