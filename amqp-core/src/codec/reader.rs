//! A cursor over encoded values.

use super::format as f;
use super::{DecodeError, ListReader, MAX_DEPTH, names};
use bytes::Bytes;

/// Slices of this many octets or more keep the input buffer alive instead of being copied out of
/// it: below, a copy is cheaper than pinning a whole read segment.
const SHARE_MIN: usize = 512;

/// A descriptor as found on the wire (part 1, 1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Descriptor<'a> {
    /// A numeric descriptor in either encoding.
    Code(u64),
    /// A symbolic descriptor, for instance `amqp:open:list`.
    Symbol(&'a str),
}

/// A cursor over encoded values.
///
/// Every `read_*` method accepts all the encodings that AMQP has for the type, and fails with
/// [`DecodeError::TypeMismatch`] on any other type. After an error the position is unspecified.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    /// What has not been read yet.
    rest: &'a [u8],
    /// Octets given to the reader, read or not.
    total: usize,
    /// How many compound values enclose the position.
    depth: u8,
    /// The buffer that the input is a part of, if it can be shared.
    owner: Option<&'a Bytes>,
}

// === impl Reader ===

impl<'a> Reader<'a> {
    /// A reader of `input`. Binary data taken out of it is copied.
    #[must_use]
    pub const fn new(input: &'a [u8]) -> Self {
        Self { rest: input, total: input.len(), depth: 0, owner: None }
    }

    /// A reader of `input` that shares large binary data with it instead of copying.
    #[must_use]
    pub fn from_bytes(input: &'a Bytes) -> Self {
        Self { rest: input, total: input.len(), depth: 0, owner: Some(input) }
    }

    /// Octets read so far.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.total - self.rest.len()
    }

    /// What has not been read yet.
    #[must_use]
    pub const fn remaining(&self) -> &'a [u8] {
        self.rest
    }

    /// All octets have been read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// `octets`, which must be a part of the input, as a buffer: shared when the reader owns a
    /// shareable input and the part is large, copied otherwise.
    #[must_use]
    pub fn share(&self, octets: &'a [u8]) -> Bytes {
        match self.owner {
            Some(owner) if octets.len() >= SHARE_MIN => owner.slice_ref(octets),
            _ => Bytes::copy_from_slice(octets),
        }
    }

    /// Takes the next `len` octets.
    ///
    /// # Errors
    ///
    /// [`DecodeError::UnexpectedEnd`] when there are fewer.
    #[inline]
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (head, tail) = self.rest.split_at_checked(len).ok_or(DecodeError::UnexpectedEnd)?;
        self.rest = tail;
        Ok(head)
    }

    #[inline]
    pub(crate) fn octets<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, tail) = self.rest.split_first_chunk::<N>().ok_or(DecodeError::UnexpectedEnd)?;
        self.rest = tail;
        Ok(*head)
    }

    /// Takes one octet, for instance a format code.
    ///
    /// # Errors
    ///
    /// [`DecodeError::UnexpectedEnd`] at the end.
    #[inline]
    pub fn octet(&mut self) -> Result<u8, DecodeError> {
        let (&head, tail) = self.rest.split_first().ok_or(DecodeError::UnexpectedEnd)?;
        self.rest = tail;
        Ok(head)
    }

    /// The format code of the next value, without taking it.
    ///
    /// # Errors
    ///
    /// [`DecodeError::UnexpectedEnd`] at the end.
    #[inline]
    pub fn peek(&self) -> Result<u8, DecodeError> {
        self.rest.first().copied().ok_or(DecodeError::UnexpectedEnd)
    }

    /// Takes the next value if it is null.
    #[inline]
    pub fn try_null(&mut self) -> bool {
        match self.rest.split_first() {
            Some((&f::NULL, tail)) => {
                self.rest = tail;
                true
            }
            _ => false,
        }
    }

    /// A reader of `body`, one level deeper.
    pub(crate) fn enter(&self, body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut inner = Self { rest: body, total: body.len(), depth: self.depth, owner: self.owner };
        inner.descend()?;
        Ok(inner)
    }

    /// Counts one more level of nesting at the current position.
    pub(crate) const fn descend(&mut self) -> Result<(), DecodeError> {
        if self.depth >= MAX_DEPTH {
            return Err(DecodeError::DepthExceeded);
        }
        self.depth += 1;
        Ok(())
    }

    /// Leaves a level of nesting that [`Self::descend`] entered.
    pub(crate) const fn ascend(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// Octets prefixed with a length of one octet or four.
    #[inline]
    pub(crate) fn sized(&mut self, wide: bool) -> Result<&'a [u8], DecodeError> {
        let len = if wide { length(self.octets()?) } else { usize::from(self.octet()?) };
        self.take(len)
    }

    /// Reads a list of any encoding and moves behind it.
    ///
    /// # Errors
    ///
    /// Wrong type, truncation, a false count, or too deep a nesting.
    #[inline]
    pub fn read_list(&mut self) -> Result<ListReader<'a>, DecodeError> {
        match self.octet()? {
            f::LIST0 => Ok(ListReader::new(self.enter(&[])?, 0)),
            f::LIST8 => self.compound(false),
            f::LIST32 => self.compound(true),
            found => Err(DecodeError::TypeMismatch { expected: "list", found }),
        }
    }

    /// Reads a map of any encoding as the list of its keys and values and moves behind it.
    ///
    /// # Errors
    ///
    /// As for a list, and [`DecodeError::OddMapCount`].
    pub fn read_map(&mut self) -> Result<ListReader<'a>, DecodeError> {
        let items = match self.octet()? {
            f::MAP8 => self.compound(false)?,
            f::MAP32 => self.compound(true)?,
            found => return Err(DecodeError::TypeMismatch { expected: "map", found }),
        };
        if !items.remaining().is_multiple_of(2) {
            return Err(DecodeError::OddMapCount(items.remaining()));
        }
        Ok(items)
    }

    /// The body of a list or map behind its format code.
    #[inline]
    pub(crate) fn compound(&mut self, wide: bool) -> Result<ListReader<'a>, DecodeError> {
        let (count, body) = self.counted(wide)?;
        // Every element takes an octet at least.
        if count as usize > body.len() {
            return Err(DecodeError::CountTooLarge { count, octets: body.len() });
        }
        Ok(ListReader::new(self.enter(body)?, count))
    }

    /// Count and body of a compound or array value behind its format code.
    #[inline]
    pub(crate) fn counted(&mut self, wide: bool) -> Result<(u32, &'a [u8]), DecodeError> {
        let all = self.sized(wide)?;
        if wide {
            let (count, body) = all.split_first_chunk::<4>().ok_or(DecodeError::SizeMismatch)?;
            Ok((u32::from_be_bytes(*count), body))
        } else {
            let (&count, body) = all.split_first().ok_or(DecodeError::SizeMismatch)?;
            Ok((u32::from(count), body))
        }
    }

    /// Reads the descriptor that must come next, with its leading zero octet.
    ///
    /// # Errors
    ///
    /// [`DecodeError::TypeMismatch`] when no described value comes next,
    /// [`DecodeError::InvalidDescriptor`] when its descriptor is neither number nor symbol.
    #[inline]
    pub fn read_descriptor(&mut self) -> Result<Descriptor<'a>, DecodeError> {
        match self.octet()? {
            f::DESCRIBED => {}
            found => return Err(DecodeError::TypeMismatch { expected: "described value", found }),
        }
        match self.octet()? {
            f::SMALLULONG => Ok(Descriptor::Code(u64::from(self.octet()?))),
            f::ULONG => Ok(Descriptor::Code(u64::from_be_bytes(self.octets()?))),
            f::ULONG0 => Ok(Descriptor::Code(0)),
            code @ (f::SYM8 | f::SYM32) => Ok(Descriptor::Symbol(self.symbol_with(code)?)),
            other => Err(DecodeError::InvalidDescriptor(other)),
        }
    }

    /// Reads a descriptor as a number, whichever way it is encoded.
    ///
    /// # Errors
    ///
    /// As [`Self::read_descriptor`], and [`DecodeError::UnknownSymbolicDescriptor`].
    #[inline]
    pub fn read_descriptor_code(&mut self) -> Result<u64, DecodeError> {
        match self.read_descriptor()? {
            Descriptor::Code(code) => Ok(code),
            Descriptor::Symbol(symbol) => {
                names::by_symbol(symbol).map(|c| c.code).ok_or(DecodeError::UnknownSymbolicDescriptor)
            }
        }
    }

    /// Reads a descriptor that must be `code`, a type called `expected` in errors, and the fields
    /// of the list behind it.
    ///
    /// # Errors
    ///
    /// [`DecodeError::UnexpectedDescriptor`], or as [`Self::read_descriptor_code`] and
    /// [`Self::read_list`].
    pub fn read_composite(&mut self, code: u64, expected: &'static str) -> Result<ListReader<'a>, DecodeError> {
        match self.read_descriptor_code()? {
            found if found == code => self.read_list(),
            found => Err(DecodeError::UnexpectedDescriptor { expected, found }),
        }
    }

    /// Steps over one value of any type, described or not, without looking at its contents.
    ///
    /// # Errors
    ///
    /// Truncation or an unknown class of format code.
    #[inline]
    pub fn skip_value(&mut self) -> Result<(), DecodeError> {
        // A described value is two values; descriptors may be described themselves.
        let mut pending = 1_usize;
        while pending > 0 {
            let code = self.octet()?;
            pending -= 1;
            match code >> 4 {
                0x0 if code == f::DESCRIBED => pending += 2,
                0x4 => {}
                0x5 => drop(self.octets::<1>()?),
                0x6 => drop(self.octets::<2>()?),
                0x7 => drop(self.octets::<4>()?),
                0x8 => drop(self.octets::<8>()?),
                0x9 => drop(self.octets::<16>()?),
                0xa | 0xc | 0xe => drop(self.sized(false)?),
                0xb | 0xd | 0xf => drop(self.sized(true)?),
                _ => return Err(DecodeError::UnknownFormatCode(code)),
            }
        }
        Ok(())
    }

    /// Takes one whole encoded value of any type as octets.
    ///
    /// # Errors
    ///
    /// As [`Self::skip_value`].
    pub fn raw_value(&mut self) -> Result<&'a [u8], DecodeError> {
        let before = self.rest;
        self.skip_value()?;
        Ok(&before[..before.len() - self.rest.len()])
    }
}

/// A four-octet length. It saturates where a `usize` is too small: such data is never there.
#[inline]
fn length(octets: [u8; 4]) -> usize {
    usize::try_from(u32::from_be_bytes(octets)).unwrap_or(usize::MAX)
}
