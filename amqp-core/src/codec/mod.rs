//! The AMQP type system on the wire (part 1).
//!
//! [`Reader`] is a cursor over octets that never panics and never allocates more than in
//! proportion to its input; the `put_*` functions append the smallest encoding of a value.

mod error;
pub mod format;
mod list;
pub(crate) mod names;
mod reader;
mod writer;

#[cfg(test)]
pub(crate) mod tests;

pub use error::DecodeError;
pub use list::ListReader;
pub use reader::{Descriptor, Reader};
pub use writer::{
    ListWriter, put_binary, put_bool, put_byte, put_descriptor, put_int, put_list, put_long, put_map, put_map_entry,
    put_null, put_short, put_str, put_symbol, put_symbol_array, put_symbols, put_timestamp, put_ubyte, put_uint,
    put_ulong, put_ushort, put_uuid,
};
pub(crate) use writer::{put_array, put_compound, put_fixed, put_long_sized, put_sized, put_wide_body, wire_len};

use bytes::{Bytes, BytesMut};

/// How deeply compound and described values may be nested.
pub const MAX_DEPTH: u8 = 32;

/// A type that has an AMQP encoding.
pub trait Encode {
    /// Appends the encoded value to `out`.
    fn encode(&self, out: &mut BytesMut);

    /// The encoded value in a buffer of its own; for cold paths.
    fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::new();
        self.encode(&mut out);
        out.freeze()
    }
}

/// A type that can be read from its AMQP encoding.
pub trait Decode: Sized {
    /// Reads one value and moves `r` behind it.
    ///
    /// # Errors
    ///
    /// Returns the encoding rule that is violated; the position of `r` is then unspecified.
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

macro_rules! primitive {
    ($($ty:ty, $read:ident, $put:ident;)*) => {$(
        impl Encode for $ty {
            #[inline]
            fn encode(&self, out: &mut BytesMut) {
                $put(out, *self);
            }
        }

        impl Decode for $ty {
            #[inline]
            fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
                r.$read()
            }
        }
    )*};
}

primitive! {
    bool, read_bool, put_bool;
    u8, read_ubyte, put_ubyte;
    u16, read_ushort, put_ushort;
    u32, read_uint, put_uint;
    u64, read_ulong, put_ulong;
    i8, read_byte, put_byte;
    i16, read_short, put_short;
    i32, read_int, put_int;
    i64, read_long, put_long;
}

impl Encode for str {
    fn encode(&self, out: &mut BytesMut) {
        put_str(out, self);
    }
}

impl Encode for String {
    fn encode(&self, out: &mut BytesMut) {
        put_str(out, self);
    }
}

impl Decode for String {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.read_str().map(str::to_owned)
    }
}

impl Encode for Bytes {
    fn encode(&self, out: &mut BytesMut) {
        put_binary(out, self);
    }
}

impl Decode for Bytes {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let octets = r.read_binary()?;
        Ok(r.share(octets))
    }
}
