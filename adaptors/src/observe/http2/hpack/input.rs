//! What is left of a header block: integers and strings (RFC 7541 section 5).

use super::Error;
use super::huffman;

/// What is kept of a string at most, in octets: more than anybody looks at.
const KEPT: usize = 300;

/// The rest of a header block.
#[derive(Debug)]
pub(super) struct Input<'a>(pub(super) &'a [u8]);

/// A string as it was encoded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Encoded<'a> {
    octets: &'a [u8],
    huffman: bool,
}

/// A string, up to its first 300 octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Text<'a> {
    pub(super) kept: &'a [u8],
    pub(super) length: usize,
}

// === impl Input ===

impl<'a> Input<'a> {
    /// The next octet, which is not taken.
    pub(super) fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn octet(&mut self) -> Result<u8, Error> {
        let (first, rest) = self.0.split_first().ok_or(Error::Truncated)?;
        self.0 = rest;
        Ok(*first)
    }

    /// An integer of 32 bits that begins with the lowest `prefix` bits of the next octet.
    pub(super) fn integer(&mut self, prefix: u32) -> Result<usize, Error> {
        let mask = u8::MAX >> (8 - prefix);
        let first = self.octet()? & mask;
        if first < mask {
            return Ok(first.into());
        }
        let mut value = u64::from(first);
        for shift in (0..35).step_by(7) {
            let octet = self.octet()?;
            value += u64::from(octet & 0x7F) << shift;
            if octet & 0x80 == 0 {
                return u32::try_from(value).map(|value| value as usize).map_err(|_| Error::Integer);
            }
        }
        Err(Error::Integer)
    }

    pub(super) fn string(&mut self) -> Result<Encoded<'a>, Error> {
        let huffman = self.peek().ok_or(Error::Truncated)? & 0x80 != 0;
        let length = self.integer(7)?;
        let (octets, rest) = self.0.split_at_checked(length).ok_or(Error::Truncated)?;
        self.0 = rest;
        Ok(Encoded { octets, huffman })
    }
}

// === impl Encoded ===

impl<'a> Encoded<'a> {
    /// Decodes the string, into a buffer if it has to be.
    pub(super) fn decode<'b>(self, buffer: &'b mut Vec<u8>) -> Result<Text<'b>, Error>
    where
        'a: 'b,
    {
        if !self.huffman {
            return Ok(Text { kept: &self.octets[..self.octets.len().min(KEPT)], length: self.octets.len() });
        }
        buffer.clear();
        let mut length = 0;
        huffman::decode(self.octets, |octet| {
            length += 1;
            if length <= KEPT {
                buffer.push(octet);
            }
        })?;
        Ok(Text { kept: buffer, length })
    }

    /// Finds out how long the decoded string is, of which nothing is kept.
    pub(super) fn measure(self) -> Result<Text<'static>, Error> {
        let mut length = self.octets.len();
        if self.huffman {
            length = 0;
            huffman::decode(self.octets, |_| length += 1)?;
        }
        Ok(Text { kept: &[], length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        // The examples of RFC 7541 appendix C.1, and the ends of what is taken.
        let cases: [(&[u8], u32, Result<usize, Error>); 10] = [
            (&[0b1110_1010], 5, Ok(10)),
            (&[0b0001_1111, 0b1001_1010, 0b0000_1010], 5, Ok(1337)),
            (&[0b0010_1010], 8, Ok(42)),
            (&[0xFF, 0], 7, Ok(127)),
            (&[0xFF, 0x80, 0x80, 0x80, 0], 7, Ok(127)),
            (&[0xFF, 0x80, 0xFF, 0xFF, 0xFF, 0x0F], 7, Ok(0xFFFF_FFFF)),
            (&[0xFF, 0x81, 0xFF, 0xFF, 0xFF, 0x0F], 7, Err(Error::Integer)),
            (&[0xFF, 0x80, 0x80, 0x80, 0x80, 0x80, 0], 7, Err(Error::Integer)),
            (&[0xFF, 0x80], 7, Err(Error::Truncated)),
            (&[], 7, Err(Error::Truncated)),
        ];
        for (octets, prefix, expected) in cases {
            assert_eq!(Input(octets).integer(prefix), expected, "{octets:?}");
        }
    }

    #[test]
    fn strings() {
        let mut buffer = Vec::new();
        let plain = Input(b"\x03abcd").string().unwrap();
        assert_eq!(plain.decode(&mut buffer), Ok(Text { kept: b"abc", length: 3 }));
        let long = [&[0x7F, 0xAE, 0x02][..], &[b'x'; 429]].concat();
        let long = Input(&long).string().unwrap();
        assert_eq!(long.decode(&mut buffer), Ok(Text { kept: &[b'x'; 300], length: 429 }));
        assert_eq!(long.measure(), Ok(Text { kept: &[], length: 429 }));
        assert_eq!(Input(b"\x03ab").string().err(), Some(Error::Truncated));
        let digits = Input(b"\x85\x00\x00\x00\x00\x00x").string().unwrap();
        assert_eq!(digits.decode(&mut buffer), Ok(Text { kept: b"00000000", length: 8 }));
        assert_eq!(digits.measure(), Ok(Text { kept: &[], length: 8 }));
        assert_eq!(Input(b"\x81\x00").string().unwrap().measure(), Err(Error::Huffman));
    }
}
