//! Blocks of fields (RFC 7541): an encoder that indexes nothing by itself, and a decoder by others.

use anyhow::{Result, anyhow};
use httlib_hpack::Decoder as Tables;

use super::Field;

/// A field that is not indexed, with a name that is spelled out.
pub const PLAIN: u8 = 0x00;
/// A field that never is to be indexed.
pub const NEVER_INDEXED: u8 = 0x10;
/// A field that enters the table.
pub const INDEXED: u8 = 0x40;

/// An integer with a prefix of so many bits, below the bits of `first`.
pub fn integer(first: u8, bits: u32, value: usize) -> Vec<u8> {
    let most = (1_usize << bits) - 1;
    if value < most {
        return vec![first | value as u8];
    }
    let mut octets = vec![first | most as u8];
    let mut rest = value - most;
    while rest >= 128 {
        octets.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    octets.push(rest as u8);
    octets
}

/// A string as it is, without Huffman's code.
pub fn string(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    [integer(0, 7, text.len()), text.to_vec()].concat()
}

/// A string whose octets are in Huffman's code already.
pub fn huffman(code: &[u8]) -> Vec<u8> {
    [integer(0x80, 7, code.len()), code.to_vec()].concat()
}

/// A field of one of the kinds above.
pub fn literal(kind: u8, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Vec<u8> {
    [vec![kind], string(name), string(value)].concat()
}

/// A field whose name is in the tables.
pub fn named(kind: u8, name: usize, value: impl AsRef<[u8]>) -> Vec<u8> {
    let bits = if kind == INDEXED { 6 } else { 4 };
    [integer(kind, bits, name), string(value)].concat()
}

/// A field that is in the tables.
pub fn indexed(index: usize) -> Vec<u8> {
    integer(0x80, 7, index)
}

/// A change of the table's size.
pub fn resized(size: usize) -> Vec<u8> {
    integer(0x20, 5, size)
}

/// Fields, none of them indexed.
pub fn block<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: impl IntoIterator<Item = (N, V)>) -> Vec<u8> {
    fields.into_iter().flat_map(|(name, value)| literal(PLAIN, name, value)).collect()
}

/// The decoder of one direction of a connection.
#[derive(Debug)]
pub struct Decoder {
    tables: Tables<'static>,
}

// === impl Decoder ===

impl Decoder {
    /// A decoder that allows a table of so many octets.
    pub fn new(size: u32) -> Self {
        Self { tables: Tables::with_dynamic_size(size) }
    }

    /// Allows a table of another size.
    pub fn allow(&mut self, size: u32) {
        self.tables.set_max_dynamic_size(size);
    }

    /// The fields of a block.
    pub fn decode(&mut self, block: &[u8]) -> Result<Vec<Field>> {
        let (mut rest, mut fields) = (block.to_vec(), Vec::new());
        self.tables.decode(&mut rest, &mut fields).map_err(|error| anyhow!("block of fields: {error:?}"))?;
        let text = |name: Vec<u8>| String::from_utf8(name).map_err(|_| anyhow!("a name that is no text"));
        fields.into_iter().map(|(name, value, _)| Ok((text(name)?, value))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7541, C.1 and C.2.1.
    #[test]
    fn examples_of_the_standard() {
        assert_eq!(integer(0, 5, 10), [10]);
        assert_eq!(integer(0, 5, 1337), [0x1f, 0x9a, 0x0a]);
        assert_eq!(integer(0, 8, 42), [42]);
        let field = literal(INDEXED, "custom-key", "custom-header");
        assert_eq!(field.len(), 26);
        let mut decoder = Decoder::new(4096);
        let expected = vec![("custom-key".to_owned(), b"custom-header".to_vec())];
        assert_eq!(decoder.decode(&field).expect("a field"), expected);
        assert_eq!(decoder.decode(&indexed(62)).expect("the same"), expected);
    }
}
