//! Field by field reading of lists, and the scalar accessors of [`Reader`].

use super::format as f;
use super::{DecodeError, Reader};
use crate::value::Symbol;
use std::borrow::Cow;

/// The elements of a list, read one after the other.
///
/// Composite types are lists whose trailing fields may be omitted and whose optional fields may
/// be null (part 1, 1.4): both read as `None` here. Elements that nobody reads are ignored.
#[derive(Debug, Clone)]
pub struct ListReader<'a> {
    reader: Reader<'a>,
    remaining: u32,
}

// === impl ListReader ===

impl<'a> ListReader<'a> {
    pub(crate) const fn new(reader: Reader<'a>, remaining: u32) -> Self {
        Self { reader, remaining }
    }

    /// Elements not yet read.
    #[must_use]
    pub const fn remaining(&self) -> u32 {
        self.remaining
    }

    /// The reader at the next element, which is thereby counted as read; `None` at the end.
    #[inline]
    pub fn next_element(&mut self) -> Option<&mut Reader<'a>> {
        self.remaining = self.remaining.checked_sub(1)?;
        Some(&mut self.reader)
    }

    /// Reads an optional field.
    ///
    /// # Errors
    ///
    /// Whatever `read` fails with.
    #[inline]
    pub fn opt<T>(
        &mut self,
        read: impl FnOnce(&mut Reader<'a>) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        let Some(reader) = self.next_element() else { return Ok(None) };
        if reader.try_null() { Ok(None) } else { read(reader).map(Some) }
    }

    /// Reads a boolean field that is false by default.
    ///
    /// # Errors
    ///
    /// As [`Reader::read_bool`].
    #[inline]
    pub fn flag(&mut self) -> Result<bool, DecodeError> {
        Ok(self.opt(Reader::read_bool)?.unwrap_or(false))
    }

    /// Reads a mandatory field, called `name` in errors.
    ///
    /// # Errors
    ///
    /// [`DecodeError::MissingField`], or whatever `read` fails with.
    #[inline]
    pub fn required<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Reader<'a>) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        self.opt(read)?.ok_or(DecodeError::MissingField(name))
    }

    /// Checks that the elements fill the list exactly. Only exact decoders need this.
    ///
    /// # Errors
    ///
    /// [`DecodeError::SizeMismatch`] when octets are left.
    pub fn finish(&self) -> Result<(), DecodeError> {
        if self.remaining == 0 && self.reader.is_empty() { Ok(()) } else { Err(DecodeError::SizeMismatch) }
    }

    /// Steps over `count` elements.
    ///
    /// # Errors
    ///
    /// As [`Reader::skip_value`]; there is no error when the list ends first.
    pub fn skip(&mut self, count: u32) -> Result<(), DecodeError> {
        for _ in 0..count {
            match self.next_element() {
                None => break,
                Some(reader) => reader.skip_value()?,
            }
        }
        Ok(())
    }
}

macro_rules! fixed {
    ($($(#[$doc:meta])* $name:ident, $with:ident, $ty:ty, $expected:literal, { $($code:pat => $read:expr),* };)*) => {
        impl Reader<'_> {$(
            $(#[$doc])*
            ///
            /// # Errors
            ///
            /// Wrong type or truncation.
            #[inline]
            pub fn $name(&mut self) -> Result<$ty, DecodeError> {
                let code = self.octet()?;
                self.$with(code)
            }

            #[inline]
            pub(crate) fn $with(&mut self, code: u8) -> Result<$ty, DecodeError> {
                match code {
                    $($code => { let read: fn(&mut Self) -> Result<$ty, DecodeError> = $read; read(self) })*
                    found => Err(DecodeError::TypeMismatch { expected: $expected, found }),
                }
            }
        )*}
    };
}

fixed! {
    /// Reads a boolean.
    read_bool, bool_with, bool, "boolean", {
        f::TRUE => |_| Ok(true),
        f::FALSE => |_| Ok(false),
        f::BOOL => |r| match r.octet()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(DecodeError::InvalidBool(other)),
        }
    };
    /// Reads an unsigned byte.
    read_ubyte, ubyte_with, u8, "ubyte", { f::UBYTE => |r| r.octet() };
    /// Reads an unsigned short.
    read_ushort, ushort_with, u16, "ushort", { f::USHORT => |r| Ok(u16::from_be_bytes(r.octets()?)) };
    /// Reads an unsigned int.
    read_uint, uint_with, u32, "uint", {
        f::UINT0 => |_| Ok(0),
        f::SMALLUINT => |r| Ok(u32::from(r.octet()?)),
        f::UINT => |r| Ok(u32::from_be_bytes(r.octets()?))
    };
    /// Reads an unsigned long.
    read_ulong, ulong_with, u64, "ulong", {
        f::ULONG0 => |_| Ok(0),
        f::SMALLULONG => |r| Ok(u64::from(r.octet()?)),
        f::ULONG => |r| Ok(u64::from_be_bytes(r.octets()?))
    };
    /// Reads a signed byte.
    read_byte, byte_with, i8, "byte", { f::BYTE => |r| Ok(i8::from_be_bytes(r.octets()?)) };
    /// Reads a signed short.
    read_short, short_with, i16, "short", { f::SHORT => |r| Ok(i16::from_be_bytes(r.octets()?)) };
    /// Reads a signed int.
    read_int, int_with, i32, "int", {
        f::SMALLINT => |r| Ok(i32::from(i8::from_be_bytes(r.octets()?))),
        f::INT => |r| Ok(i32::from_be_bytes(r.octets()?))
    };
    /// Reads a signed long.
    read_long, long_with, i64, "long", {
        f::SMALLLONG => |r| Ok(i64::from(i8::from_be_bytes(r.octets()?))),
        f::LONG => |r| Ok(i64::from_be_bytes(r.octets()?))
    };
    /// Reads a timestamp: milliseconds since the Unix epoch.
    read_timestamp, timestamp_with, i64, "timestamp", { f::TIMESTAMP => |r| Ok(i64::from_be_bytes(r.octets()?)) };
    /// Reads a UUID.
    read_uuid, uuid_with, [u8; 16], "uuid", { f::UUID => |r| r.octets() };
}

impl<'a> Reader<'a> {
    /// Reads binary data.
    ///
    /// # Errors
    ///
    /// Wrong type or truncation.
    #[inline]
    pub fn read_binary(&mut self) -> Result<&'a [u8], DecodeError> {
        match self.octet()? {
            f::BIN8 => self.sized(false),
            f::BIN32 => self.sized(true),
            found => Err(DecodeError::TypeMismatch { expected: "binary", found }),
        }
    }

    /// Reads a string.
    ///
    /// # Errors
    ///
    /// Wrong type, truncation or text that is not UTF-8.
    #[inline]
    pub fn read_str(&mut self) -> Result<&'a str, DecodeError> {
        let code = self.octet()?;
        self.str_with(code)
    }

    pub(crate) fn str_with(&mut self, code: u8) -> Result<&'a str, DecodeError> {
        let octets = match code {
            f::STR8 => self.sized(false)?,
            f::STR32 => self.sized(true)?,
            found => return Err(DecodeError::TypeMismatch { expected: "string", found }),
        };
        std::str::from_utf8(octets).map_err(|_| DecodeError::InvalidUtf8)
    }

    /// Reads a symbol.
    ///
    /// # Errors
    ///
    /// Wrong type, truncation or text that is not ASCII.
    #[inline]
    pub fn read_symbol(&mut self) -> Result<&'a str, DecodeError> {
        let code = self.octet()?;
        self.symbol_with(code)
    }

    pub(crate) fn symbol_with(&mut self, code: u8) -> Result<&'a str, DecodeError> {
        let octets = match code {
            f::SYM8 => self.sized(false)?,
            f::SYM32 => self.sized(true)?,
            found => return Err(DecodeError::TypeMismatch { expected: "symbol", found }),
        };
        if !octets.is_ascii() {
            return Err(DecodeError::InvalidSymbol);
        }
        std::str::from_utf8(octets).map_err(|_| DecodeError::InvalidSymbol)
    }

    /// Reads a string or a symbol.
    ///
    /// # Errors
    ///
    /// As [`Self::read_str`] and [`Self::read_symbol`].
    pub fn read_text(&mut self) -> Result<&'a str, DecodeError> {
        let code = self.octet()?;
        self.text_with(code)
    }

    pub(crate) fn text_with(&mut self, code: u8) -> Result<&'a str, DecodeError> {
        match code {
            f::STR8 | f::STR32 => self.str_with(code),
            _ => self.symbol_with(code),
        }
    }

    /// Reads a symbol, or a string in its place if that is ASCII: peers are not strict here.
    ///
    /// # Errors
    ///
    /// As [`Self::read_symbol`].
    pub fn read_symbol_text(&mut self) -> Result<&'a str, DecodeError> {
        let code = self.octet()?;
        self.symbol_text_with(code)
    }

    fn symbol_text_with(&mut self, code: u8) -> Result<&'a str, DecodeError> {
        let text = self.text_with(code)?;
        if text.is_ascii() { Ok(text) } else { Err(DecodeError::InvalidSymbol) }
    }

    /// Reads a field of type "symbol, multiple" (part 1, 1.4): one symbol, an array of them, or,
    /// leniently, a list of them, of which whatever is neither counts for nothing. Strings pass for symbols.
    ///
    /// # Errors
    ///
    /// Wrong type, truncation, a false count or text that is not ASCII.
    pub fn read_symbols(&mut self) -> Result<Vec<Symbol>, DecodeError> {
        let owned = |text: &str| Symbol(Cow::Owned(text.to_owned()));
        match self.peek()? {
            wide @ (f::ARRAY8 | f::ARRAY32) => {
                self.octet()?;
                let (count, body) = self.counted(wide == f::ARRAY32)?;
                let mut inner = self.enter(body)?;
                let code = inner.octet()?;
                // Grown as elements turn out to be there, whatever the count claims.
                let mut symbols = Vec::new();
                for _ in 0..count {
                    symbols.push(owned(inner.symbol_text_with(code)?));
                }
                Ok(symbols)
            }
            f::LIST0 | f::LIST8 | f::LIST32 => {
                let mut items = self.read_list()?;
                let mut symbols = Vec::new();
                while let Some(reader) = items.next_element() {
                    match reader.peek()? {
                        f::SYM8 | f::SYM32 | f::STR8 | f::STR32 => symbols.push(owned(reader.read_symbol_text()?)),
                        _ => reader.skip_value()?,
                    }
                }
                Ok(symbols)
            }
            _ => Ok(vec![owned(self.read_symbol_text()?)]),
        }
    }
}
