//! The notation of values in protocol traces.

use super::{Described, Map, Value};
use crate::codec::names;
use std::fmt::{self, Display, Formatter, Write};

/// Octets as text between double quotes; what is not printable ASCII appears as `\xNN`.
#[derive(Debug, Clone, Copy)]
pub struct Quoted<'a>(pub &'a [u8]);

/// The payload of a frame in a trace: ` (length) head`.
#[derive(Debug, Clone, Copy)]
pub struct Payload<'a>(pub &'a [u8]);

/// Octets of a payload that are shown.
const PAYLOAD_HEAD: usize = 1024;

// === impl Quoted ===

impl Display for Quoted<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_char('"')?;
        escape(self.0, out)?;
        out.write_char('"')
    }
}

fn escape(octets: &[u8], out: &mut Formatter<'_>) -> fmt::Result {
    for &octet in octets {
        match octet {
            b'"' | b'\\' => write!(out, "\\{}", char::from(octet))?,
            b' '..=b'~' => out.write_char(char::from(octet))?,
            _ => write!(out, "\\x{octet:02x}")?,
        }
    }
    Ok(())
}

// === impl Payload ===

impl Display for Payload<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        write!(out, " ({}) ", self.0.len())?;
        escape(&self.0[..self.0.len().min(PAYLOAD_HEAD)], out)?;
        if self.0.len() > PAYLOAD_HEAD {
            out.write_str("...")?;
        }
        Ok(())
    }
}

// === impl Value ===

impl Display for Value {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => out.write_str("null"),
            Self::Bool(v) => write!(out, "{v}"),
            Self::Ubyte(v) => write!(out, "{v:#x}"),
            Self::Ushort(v) => write!(out, "{v:#x}"),
            Self::Uint(v) => write!(out, "{v:#x}"),
            Self::Ulong(v) => write!(out, "{v:#x}"),
            Self::Byte(v) => write!(out, "{v}"),
            Self::Short(v) => write!(out, "{v}"),
            Self::Int(v) => write!(out, "{v}"),
            Self::Long(v) | Self::Timestamp(v) => write!(out, "{v}"),
            Self::Float(v) => write!(out, "{v}"),
            Self::Double(v) => write!(out, "{v}"),
            Self::Decimal32(v) => hex("D32", v, out),
            Self::Decimal64(v) => hex("D64", v, out),
            Self::Decimal128(v) => hex("D128", v, out),
            Self::Char(v) => write!(out, "{v}"),
            Self::Uuid(v) => uuid(v, out),
            Self::Binary(v) => write!(out, "b{}", Quoted(v)),
            Self::String(v) => write!(out, "{}", Quoted(v.as_bytes())),
            Self::Symbol(v) => symbol(v.as_str(), out),
            Self::List(items) => {
                out.write_char('[')?;
                separated(items, out)?;
                out.write_char(']')
            }
            Self::Map(map) => write!(out, "{map}"),
            Self::Array(items) => {
                write!(out, "@<{}>[", items.first().map_or("null", type_name))?;
                separated(items, out)?;
                out.write_char(']')
            }
            Self::Described(described) => write!(out, "{described}"),
        }
    }
}

impl Display for Map {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_char('{')?;
        for (index, (key, value)) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(out, "{comma}{key}={value}")?;
        }
        out.write_char('}')
    }
}

impl Display for Described {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let composite = match &self.descriptor {
            Value::Ulong(code) => names::by_code(*code),
            Value::Symbol(symbol) => names::by_symbol(symbol.as_str()),
            _ => None,
        };
        let Some(composite) = composite else {
            return write!(out, "@{} {}", self.descriptor, self.value);
        };
        write!(out, "@{}({}) ", composite.name, composite.code)?;
        let Value::List(items) = &self.value else {
            return write!(out, "{}", self.value);
        };
        out.write_char('[')?;
        let mut comma = "";
        let names = composite.fields.iter().copied().map(Some).chain(std::iter::repeat(None));
        for (item, name) in items.iter().zip(names).filter(|(item, _)| !item.is_null()) {
            match name {
                Some(name) => write!(out, "{comma}{name}={item}")?,
                None => write!(out, "{comma}{item}")?,
            }
            comma = ", ";
        }
        out.write_char(']')
    }
}

fn separated(items: &[Value], out: &mut Formatter<'_>) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        write!(out, "{comma}{item}")?;
    }
    Ok(())
}

/// `:name`, in quotes unless it reads as an identifier or a hyphenated word.
fn symbol(text: &str, out: &mut Formatter<'_>) -> fmt::Result {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if plain { write!(out, ":{text}") } else { write!(out, ":{}", Quoted(text.as_bytes())) }
}

fn hex(prefix: &str, octets: &[u8], out: &mut Formatter<'_>) -> fmt::Result {
    write!(out, "{prefix}(0x")?;
    octets.iter().try_for_each(|octet| write!(out, "{octet:02x}"))?;
    out.write_char(')')
}

fn uuid(octets: &[u8; 16], out: &mut Formatter<'_>) -> fmt::Result {
    for (index, octet) in octets.iter().enumerate() {
        let dash = if matches!(index, 4 | 6 | 8 | 10) { "-" } else { "" };
        write!(out, "{dash}{octet:02x}")?;
    }
    Ok(())
}

const fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Ubyte(_) => "ubyte",
        Value::Ushort(_) => "ushort",
        Value::Uint(_) => "uint",
        Value::Ulong(_) => "ulong",
        Value::Byte(_) => "byte",
        Value::Short(_) => "short",
        Value::Int(_) => "int",
        Value::Long(_) => "long",
        Value::Float(_) => "float",
        Value::Double(_) => "double",
        Value::Decimal32(_) => "decimal32",
        Value::Decimal64(_) => "decimal64",
        Value::Decimal128(_) => "decimal128",
        Value::Char(_) => "char",
        Value::Timestamp(_) => "timestamp",
        Value::Uuid(_) => "uuid",
        Value::Binary(_) => "binary",
        Value::String(_) => "string",
        Value::Symbol(_) => "symbol",
        Value::List(_) => "list",
        Value::Map(_) => "map",
        Value::Array(_) => "array",
        Value::Described(_) => "described",
    }
}
