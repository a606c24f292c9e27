//! Owned AMQP values, for cold paths only (management bodies, properties, filters).
//!
//! Hot paths look at encoded bytes through [`crate::codec`] instead of building values.

mod codec;
mod convert;
mod display;
mod raw;

#[cfg(test)]
mod tests;

pub use display::{Payload, Quoted};
pub use raw::RawMap;

use bytes::Bytes;
use std::borrow::Cow;

/// An AMQP symbol: ASCII text from a constrained domain (AMQP 1.0 part 1, 1.6.21).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Symbol(pub Cow<'static, str>);

/// A described value: a descriptor and the value it describes (part 1, 1.2).
#[derive(Debug, Clone, PartialEq)]
pub struct Described {
    /// The descriptor, normally an unsigned long or a symbol.
    pub descriptor: Value,
    /// The described value.
    pub value: Value,
}

/// The ordered pairs of an AMQP map. Order is kept as received; keys may be of any type.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Map(pub Vec<(Value, Value)>);

/// Any AMQP 1.0 value (part 1, 1.6).
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// The null value.
    #[default]
    Null,
    /// A boolean.
    Bool(bool),
    /// An unsigned byte.
    Ubyte(u8),
    /// An unsigned short.
    Ushort(u16),
    /// An unsigned int.
    Uint(u32),
    /// An unsigned long.
    Ulong(u64),
    /// A signed byte.
    Byte(i8),
    /// A signed short.
    Short(i16),
    /// A signed int.
    Int(i32),
    /// A signed long.
    Long(i64),
    /// A 32-bit float.
    Float(f32),
    /// A 64-bit float.
    Double(f64),
    /// A 32-bit decimal, raw.
    Decimal32([u8; 4]),
    /// A 64-bit decimal, raw.
    Decimal64([u8; 8]),
    /// A 128-bit decimal, raw.
    Decimal128([u8; 16]),
    /// A Unicode character.
    Char(char),
    /// Milliseconds since the Unix epoch.
    Timestamp(i64),
    /// A UUID.
    Uuid([u8; 16]),
    /// A sequence of octets.
    Binary(Bytes),
    /// Unicode text.
    String(String),
    /// A symbol.
    Symbol(Symbol),
    /// A list.
    List(Vec<Self>),
    /// A map.
    Map(Map),
    /// An array; all elements have one type.
    Array(Vec<Self>),
    /// A described value.
    Described(Box<Described>),
}
