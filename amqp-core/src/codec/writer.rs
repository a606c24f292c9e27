//! Appending encoded values; the smallest encoding is chosen.

use super::Encode;
use super::format as f;
use crate::value::Symbol;
use bytes::{BufMut, BytesMut};

/// Appends null.
#[inline]
pub fn put_null(out: &mut BytesMut) {
    out.put_u8(f::NULL);
}

/// Appends a boolean.
#[inline]
pub fn put_bool(out: &mut BytesMut, value: bool) {
    out.put_u8(if value { f::TRUE } else { f::FALSE });
}

/// Appends an unsigned byte.
#[inline]
pub fn put_ubyte(out: &mut BytesMut, value: u8) {
    out.put_slice(&[f::UBYTE, value]);
}

/// Appends an unsigned short.
#[inline]
pub fn put_ushort(out: &mut BytesMut, value: u16) {
    put_fixed(out, f::USHORT, &value.to_be_bytes());
}

/// Appends an unsigned int.
#[inline]
pub fn put_uint(out: &mut BytesMut, value: u32) {
    match u8::try_from(value) {
        Ok(0) => out.put_u8(f::UINT0),
        Ok(small) => out.put_slice(&[f::SMALLUINT, small]),
        Err(_) => put_fixed(out, f::UINT, &value.to_be_bytes()),
    }
}

/// Appends an unsigned long.
#[inline]
pub fn put_ulong(out: &mut BytesMut, value: u64) {
    match u8::try_from(value) {
        Ok(0) => out.put_u8(f::ULONG0),
        Ok(small) => out.put_slice(&[f::SMALLULONG, small]),
        Err(_) => put_fixed(out, f::ULONG, &value.to_be_bytes()),
    }
}

/// Appends a signed byte.
pub fn put_byte(out: &mut BytesMut, value: i8) {
    put_fixed(out, f::BYTE, &value.to_be_bytes());
}

/// Appends a signed short.
pub fn put_short(out: &mut BytesMut, value: i16) {
    put_fixed(out, f::SHORT, &value.to_be_bytes());
}

/// Appends a signed int.
pub fn put_int(out: &mut BytesMut, value: i32) {
    match i8::try_from(value) {
        Ok(small) => put_fixed(out, f::SMALLINT, &small.to_be_bytes()),
        Err(_) => put_fixed(out, f::INT, &value.to_be_bytes()),
    }
}

/// Appends a signed long.
pub fn put_long(out: &mut BytesMut, value: i64) {
    match i8::try_from(value) {
        Ok(small) => put_fixed(out, f::SMALLLONG, &small.to_be_bytes()),
        Err(_) => put_fixed(out, f::LONG, &value.to_be_bytes()),
    }
}

/// Appends a timestamp: milliseconds since the Unix epoch.
pub fn put_timestamp(out: &mut BytesMut, millis: i64) {
    put_fixed(out, f::TIMESTAMP, &millis.to_be_bytes());
}

/// Appends a UUID.
pub fn put_uuid(out: &mut BytesMut, value: &[u8; 16]) {
    put_fixed(out, f::UUID, value);
}

/// Appends binary data.
#[inline]
pub fn put_binary(out: &mut BytesMut, value: &[u8]) {
    put_sized(out, f::BIN8, f::BIN32, value);
}

/// Appends a string.
#[inline]
pub fn put_str(out: &mut BytesMut, value: &str) {
    put_sized(out, f::STR8, f::STR32, value.as_bytes());
}

/// Appends a symbol.
#[inline]
pub fn put_symbol(out: &mut BytesMut, value: &str) {
    put_sized(out, f::SYM8, f::SYM32, value.as_bytes());
}

/// Appends the start of a described value; the value itself must follow.
#[inline]
pub fn put_descriptor(out: &mut BytesMut, code: u64) {
    match u8::try_from(code) {
        Ok(small) => out.put_slice(&[f::DESCRIBED, f::SMALLULONG, small]),
        Err(_) => {
            out.put_slice(&[f::DESCRIBED, f::ULONG]);
            out.put_u64(code);
        }
    }
}

/// Appends an array of symbols. The elements always have four-octet lengths, as other routers
/// write them.
pub fn put_symbol_array(out: &mut BytesMut, symbols: &[Symbol]) {
    put_array(out, symbols.len(), |out| {
        out.put_u8(f::SYM32);
        for symbol in symbols {
            put_long_sized(out, symbol.as_str().as_bytes());
        }
    });
}

/// Appends a field of type "symbol, multiple": null for none, the symbol for one, else an array.
pub fn put_symbols(out: &mut BytesMut, symbols: &[Symbol]) {
    match symbols {
        [] => put_null(out),
        [one] => put_symbol(out, one.as_str()),
        many => put_symbol_array(out, many),
    }
}

#[inline]
pub(crate) fn put_fixed(out: &mut BytesMut, code: u8, octets: &[u8]) {
    out.put_u8(code);
    out.put_slice(octets);
}

#[inline]
pub(crate) fn put_sized(out: &mut BytesMut, short: u8, long: u8, octets: &[u8]) {
    match u8::try_from(octets.len()) {
        Ok(len) => {
            out.put_slice(&[short, len]);
            out.put_slice(octets);
        }
        Err(_) => {
            out.put_u8(long);
            put_long_sized(out, octets);
        }
    }
}

pub(crate) fn put_long_sized(out: &mut BytesMut, octets: &[u8]) {
    out.put_u32(wire_len(octets.len()));
    out.put_slice(octets);
}

/// A length as four octets. No value of 4 GiB is ever composed here; it would be cut by the
/// frame size long before.
pub(crate) fn wire_len(len: usize) -> u32 {
    debug_assert!(u32::try_from(len).is_ok(), "encoded value of 4 GiB or more");
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Appends a compound value whose body `write` appends, returning the number of its elements.
/// The short form is used when it can hold the body.
#[inline]
pub(crate) fn put_compound(out: &mut BytesMut, short: u8, long: u8, write: impl FnOnce(&mut BytesMut) -> u32) {
    let start = out.len();
    out.put_slice(&[short, 0, 0]);
    let count = write(out);
    patch_compound(out, start, long, count);
}

/// Fills in size and count of the compound value whose three-octet header is at `start`.
#[inline]
fn patch_compound(out: &mut BytesMut, start: usize, long: u8, count: u32) {
    let body = start + 3;
    let len = out.len() - body;
    // The size includes the count.
    if let (Ok(size), Ok(count)) = (u8::try_from(len + 1), u8::try_from(count)) {
        out[start + 1] = size;
        out[start + 2] = count;
        return;
    }
    out.put_slice(&[0; 6]);
    out.copy_within(body..body + len, body + 6);
    out[start] = long;
    out[start + 1..start + 5].copy_from_slice(&wire_len(len + 4).to_be_bytes());
    out[start + 5..start + 9].copy_from_slice(&count.to_be_bytes());
}

/// Appends size, count and body of a compound value in the long form, without a format code; this
/// is how compound values are encoded inside arrays.
pub(crate) fn put_wide_body(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut) -> u32) {
    let start = out.len();
    out.put_slice(&[0; 8]);
    let count = write(out);
    let size = wire_len(out.len() - start - 4);
    out[start..start + 4].copy_from_slice(&size.to_be_bytes());
    out[start + 4..start + 8].copy_from_slice(&count.to_be_bytes());
}

/// Appends an array whose element constructor and elements `write` appends.
pub(crate) fn put_array(out: &mut BytesMut, count: usize, write: impl FnOnce(&mut BytesMut)) {
    put_compound(out, f::ARRAY8, f::ARRAY32, |out| {
        write(out);
        wire_len(count)
    });
}

/// Appends a list whose fields `write` appends; trailing null fields are omitted.
///
/// ```
/// use amqp_core::codec::put_list;
/// let mut out = bytes::BytesMut::new();
/// put_list(&mut out, |list| {
///     list.uint(7);
///     list.null();
/// });
/// assert_eq!(&out[..], [0xc0, 3, 1, 0x52, 7]);
/// ```
#[inline]
pub fn put_list(out: &mut BytesMut, write: impl FnOnce(&mut ListWriter<'_>)) {
    let start = out.len();
    out.put_slice(&[f::LIST8, 0, 0]);
    let mut list = ListWriter { out, count: 0, nulls: 0 };
    write(&mut list);
    let count = list.count;
    if count == 0 {
        out.truncate(start);
        out.put_u8(f::LIST0);
    } else {
        patch_compound(out, start, f::LIST32, count);
    }
}

/// Appends a map whose entries `write` appends, returning how many keys and values these are.
pub fn put_map(out: &mut BytesMut, write: impl FnOnce(&mut BytesMut) -> u32) {
    put_compound(out, f::MAP8, f::MAP32, write);
}

/// Appends a key that is a symbol and its value; returns 2, what it adds to the count of a map.
pub fn put_map_entry(out: &mut BytesMut, key: &str, value: &impl Encode) -> u32 {
    put_symbol(out, key);
    value.encode(out);
    2
}

/// Writes the fields of one list; nulls are held back until a field follows them.
#[derive(Debug)]
pub struct ListWriter<'a> {
    out: &'a mut BytesMut,
    /// Fields written.
    count: u32,
    /// Null fields held back.
    nulls: u32,
}

// === impl ListWriter ===

impl ListWriter<'_> {
    /// A null field.
    #[inline]
    pub const fn null(&mut self) {
        self.nulls += 1;
    }

    /// A field that `write` appends; it must append exactly one value.
    #[inline]
    pub fn with(&mut self, write: impl FnOnce(&mut BytesMut)) {
        for _ in 0..self.nulls {
            self.out.put_u8(f::NULL);
        }
        self.count += self.nulls + 1;
        self.nulls = 0;
        write(self.out);
    }

    /// A field of any type.
    #[inline]
    pub fn field<T: Encode + ?Sized>(&mut self, value: &T) {
        self.with(|out| value.encode(out));
    }

    /// An optional field of any type.
    #[inline]
    pub fn opt<T: Encode + ?Sized>(&mut self, value: Option<&T>) {
        match value {
            Some(value) => self.field(value),
            None => self.null(),
        }
    }

    /// An unsigned int field.
    #[inline]
    pub fn uint(&mut self, value: u32) {
        self.with(|out| put_uint(out, value));
    }

    /// An optional unsigned int field.
    #[inline]
    pub fn opt_uint(&mut self, value: Option<u32>) {
        match value {
            Some(value) => self.uint(value),
            None => self.null(),
        }
    }

    /// A boolean field that is always written.
    #[inline]
    pub fn bool(&mut self, value: bool) {
        self.with(|out| put_bool(out, value));
    }

    /// A boolean field that is null when false, for fields whose default is false.
    #[inline]
    pub fn flag(&mut self, value: bool) {
        if value { self.bool(true) } else { self.null() }
    }

    /// A "symbol, multiple" field: null for none, the bare symbol for one, else an array.
    pub fn symbols(&mut self, symbols: &[Symbol]) {
        if symbols.is_empty() {
            self.null();
        } else {
            self.with(|out| put_symbols(out, symbols));
        }
    }

    /// A "symbol, multiple" field: null for none, else an array even for one.
    pub fn symbol_array(&mut self, symbols: &[Symbol]) {
        if symbols.is_empty() {
            self.null();
        } else {
            self.with(|out| put_symbol_array(out, symbols));
        }
    }
}
