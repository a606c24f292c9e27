//! Encoding and decoding of owned values.

use super::{Described, Map, Symbol, Value};
use crate::codec::format as f;
use crate::codec::{self, Decode, DecodeError, Descriptor, Encode, ListReader, Reader};
use bytes::{BufMut, BytesMut};
use std::borrow::Cow;

/// Arrays of elements without data could claim any number of them at no cost.
const MAX_EMPTY_ELEMENTS: u32 = 16;

/// Each element of a described array gets a copy of the descriptor, so it has to be short.
const MAX_ARRAY_DESCRIPTOR: usize = 64;

// === impl Decode ===

impl Decode for Value {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let code = r.octet()?;
        decode_with(r, code)
    }
}

impl Decode for Map {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let items = r.read_map()?;
        decode_map(items)
    }
}

impl Decode for Symbol {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.read_symbol().map(|text| Self(Cow::Owned(text.to_owned())))
    }
}

/// The value whose format code is `code`; the reader is behind the format code.
fn decode_with(r: &mut Reader<'_>, code: u8) -> Result<Value, DecodeError> {
    Ok(match code {
        f::DESCRIBED => {
            r.descend()?;
            let descriptor = Value::decode(r)?;
            let value = Value::decode(r)?;
            r.ascend();
            Value::Described(Box::new(Described { descriptor, value }))
        }
        f::NULL => Value::Null,
        f::TRUE | f::FALSE | f::BOOL => Value::Bool(r.bool_with(code)?),
        f::UBYTE => Value::Ubyte(r.ubyte_with(code)?),
        f::USHORT => Value::Ushort(r.ushort_with(code)?),
        f::UINT0 | f::SMALLUINT | f::UINT => Value::Uint(r.uint_with(code)?),
        f::ULONG0 | f::SMALLULONG | f::ULONG => Value::Ulong(r.ulong_with(code)?),
        f::BYTE => Value::Byte(r.byte_with(code)?),
        f::SHORT => Value::Short(r.short_with(code)?),
        f::SMALLINT | f::INT => Value::Int(r.int_with(code)?),
        f::SMALLLONG | f::LONG => Value::Long(r.long_with(code)?),
        f::FLOAT => Value::Float(f32::from_be_bytes(r.octets()?)),
        f::DOUBLE => Value::Double(f64::from_be_bytes(r.octets()?)),
        f::DECIMAL32 => Value::Decimal32(r.octets()?),
        f::DECIMAL64 => Value::Decimal64(r.octets()?),
        f::DECIMAL128 => Value::Decimal128(r.octets()?),
        f::CHAR => {
            let scalar = u32::from_be_bytes(r.octets()?);
            Value::Char(char::from_u32(scalar).ok_or(DecodeError::InvalidChar(scalar))?)
        }
        f::TIMESTAMP => Value::Timestamp(r.timestamp_with(code)?),
        f::UUID => Value::Uuid(r.uuid_with(code)?),
        f::BIN8 | f::BIN32 => {
            let octets = r.sized(code == f::BIN32)?;
            Value::Binary(r.share(octets))
        }
        f::STR8 | f::STR32 => Value::String(r.str_with(code)?.to_owned()),
        f::SYM8 | f::SYM32 => Value::Symbol(Symbol(Cow::Owned(r.symbol_with(code)?.to_owned()))),
        f::LIST0 => {
            // Counts as a level like any other list: inside an array it would be written as one.
            r.enter(&[])?;
            Value::List(Vec::new())
        }
        f::LIST8 | f::LIST32 => decode_list(r.compound(code == f::LIST32)?)?,
        f::MAP8 | f::MAP32 => {
            let items = r.compound(code == f::MAP32)?;
            Value::Map(decode_map(items)?)
        }
        f::ARRAY8 | f::ARRAY32 => decode_array(r, code == f::ARRAY32)?,
        unknown => return Err(DecodeError::UnknownFormatCode(unknown)),
    })
}

/// The vectors below grow as elements turn out to be there: a count is only a claim.
fn decode_list(mut items: ListReader<'_>) -> Result<Value, DecodeError> {
    let mut list = Vec::new();
    while let Some(r) = items.next_element() {
        list.push(Value::decode(r)?);
    }
    items.finish()?;
    Ok(Value::List(list))
}

fn decode_map(mut items: ListReader<'_>) -> Result<Map, DecodeError> {
    if !items.remaining().is_multiple_of(2) {
        return Err(DecodeError::OddMapCount(items.remaining()));
    }
    let mut map = Vec::new();
    while let Some(r) = items.next_element() {
        let key = Value::decode(r)?;
        let Some(r) = items.next_element() else { break };
        map.push((key, Value::decode(r)?));
    }
    items.finish()?;
    Ok(Map(map))
}

fn decode_array(r: &mut Reader<'_>, wide: bool) -> Result<Value, DecodeError> {
    let (count, body) = r.counted(wide)?;
    let mut r = r.enter(body)?;
    if count == 0 {
        return Ok(Value::Array(Vec::new()));
    }
    let mut descriptor = None;
    if r.peek()? == f::DESCRIBED {
        descriptor = Some(match r.read_descriptor()? {
            Descriptor::Code(code) => Value::Ulong(code),
            Descriptor::Symbol(text) if text.len() <= MAX_ARRAY_DESCRIPTOR => {
                Value::Symbol(Symbol(Cow::Owned(text.to_owned())))
            }
            Descriptor::Symbol(_) => return Err(DecodeError::ArrayDescriptor),
        });
    }
    let code = r.octet()?;
    if code == f::DESCRIBED {
        return Err(DecodeError::ArrayDescriptor);
    }
    let empty_elements = code >> 4 == 0x4;
    let limit = if empty_elements { MAX_EMPTY_ELEMENTS as usize } else { r.remaining().len() };
    if count as usize > limit {
        return Err(DecodeError::CountTooLarge { count, octets: r.remaining().len() });
    }
    let mut array = Vec::new();
    for _ in 0..count {
        let value = decode_with(&mut r, code)?;
        array.push(match &descriptor {
            None => value,
            Some(descriptor) => Value::Described(Box::new(Described { descriptor: descriptor.clone(), value })),
        });
    }
    if r.is_empty() { Ok(Value::Array(array)) } else { Err(DecodeError::SizeMismatch) }
}

// === impl Encode ===

impl Encode for Value {
    fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Null => codec::put_null(out),
            Self::Bool(v) => codec::put_bool(out, *v),
            Self::Ubyte(v) => codec::put_ubyte(out, *v),
            Self::Ushort(v) => codec::put_ushort(out, *v),
            Self::Uint(v) => codec::put_uint(out, *v),
            Self::Ulong(v) => codec::put_ulong(out, *v),
            Self::Byte(v) => codec::put_byte(out, *v),
            Self::Short(v) => codec::put_short(out, *v),
            Self::Int(v) => codec::put_int(out, *v),
            Self::Long(v) => codec::put_long(out, *v),
            Self::Float(v) => codec::put_fixed(out, f::FLOAT, &v.to_be_bytes()),
            Self::Double(v) => codec::put_fixed(out, f::DOUBLE, &v.to_be_bytes()),
            Self::Decimal32(v) => codec::put_fixed(out, f::DECIMAL32, v),
            Self::Decimal64(v) => codec::put_fixed(out, f::DECIMAL64, v),
            Self::Decimal128(v) => codec::put_fixed(out, f::DECIMAL128, v),
            Self::Char(v) => codec::put_fixed(out, f::CHAR, &u32::from(*v).to_be_bytes()),
            Self::Timestamp(v) => codec::put_timestamp(out, *v),
            Self::Uuid(v) => codec::put_uuid(out, v),
            Self::Binary(v) => codec::put_binary(out, v),
            Self::String(v) => codec::put_str(out, v),
            Self::Symbol(v) => codec::put_symbol(out, v.as_str()),
            Self::List(items) => encode_list(items, out),
            Self::Map(map) => map.encode(out),
            Self::Array(items) => encode_array(items, out),
            Self::Described(described) => {
                out.put_u8(f::DESCRIBED);
                described.descriptor.encode(out);
                described.value.encode(out);
            }
        }
    }
}

impl Encode for Map {
    fn encode(&self, out: &mut BytesMut) {
        codec::put_map(out, |out| put_entries(self, out));
    }
}

impl Encode for Symbol {
    fn encode(&self, out: &mut BytesMut) {
        codec::put_symbol(out, self.as_str());
    }
}

fn encode_list(items: &[Value], out: &mut BytesMut) {
    if items.is_empty() {
        out.put_u8(f::LIST0);
    } else {
        codec::put_compound(out, f::LIST8, f::LIST32, |out| put_items(items, out));
    }
}

fn put_items(items: &[Value], out: &mut BytesMut) -> u32 {
    for item in items {
        item.encode(out);
    }
    codec::wire_len(items.len())
}

fn put_entries(map: &Map, out: &mut BytesMut) -> u32 {
    for (key, value) in &map.0 {
        key.encode(out);
        value.encode(out);
    }
    codec::wire_len(map.0.len() * 2)
}

/// A value whose elements are not of one type cannot be an array; it is written as a list, which
/// is what a receiver of mixed elements can make sense of.
fn encode_array(items: &[Value], out: &mut BytesMut) {
    if is_uniform(items) {
        codec::put_array(out, items.len(), |out| put_elements(items, out));
    } else {
        encode_list(items, out);
    }
}

/// The items can be written as an array: all of one type, and nested arrays likewise.
fn is_uniform(items: &[Value]) -> bool {
    let Some(first) = items.first() else { return true };
    let first_descriptor = descriptor(first);
    let encodable = match first_descriptor {
        Some(descriptor) => {
            matches!(descriptor, Value::Ulong(_) | Value::Symbol(_)) && descriptor_of_inner(first).is_none()
        }
        None => true,
    };
    encodable
        && items.iter().all(|item| {
            descriptor(item) == first_descriptor
                && same_type(undescribed(item), undescribed(first))
                && match undescribed(item) {
                    Value::Array(nested) => is_uniform(nested),
                    _ => true,
                }
        })
}

fn descriptor(value: &Value) -> Option<&Value> {
    match value {
        Value::Described(described) => Some(&described.descriptor),
        _ => None,
    }
}

fn descriptor_of_inner(value: &Value) -> Option<&Value> {
    descriptor(undescribed(value))
}

fn same_type(a: &Value, b: &Value) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b)
}

/// The element constructor and the elements of an array of one type.
fn put_elements(items: &[Value], out: &mut BytesMut) {
    match items.first() {
        None => out.put_u8(f::NULL),
        Some(Value::Described(first)) => {
            out.put_u8(f::DESCRIBED);
            first.descriptor.encode(out);
            let code = element_code(|| items.iter().map(undescribed));
            out.put_u8(code);
            items.iter().for_each(|item| put_element(undescribed(item), code, out));
        }
        Some(_) => {
            let code = element_code(|| items.iter());
            out.put_u8(code);
            items.iter().for_each(|item| put_element(item, code, out));
        }
    }
}

fn undescribed(value: &Value) -> &Value {
    match value {
        Value::Described(described) => &described.value,
        other => other,
    }
}

/// The format code that can hold all of the items, which are of one type.
fn element_code<'a, I: Iterator<Item = &'a Value>>(items: impl Fn() -> I) -> u8 {
    let short = || {
        items().all(|item| match item {
            Value::Binary(v) => v.len() <= 255,
            Value::String(v) => v.len() <= 255,
            _ => false,
        })
    };
    match items().next() {
        None | Some(Value::Null | Value::Described(_)) => f::NULL,
        Some(Value::Bool(_)) => f::BOOL,
        Some(Value::Ubyte(_)) => f::UBYTE,
        Some(Value::Ushort(_)) => f::USHORT,
        Some(Value::Uint(_)) => f::UINT,
        Some(Value::Ulong(_)) => f::ULONG,
        Some(Value::Byte(_)) => f::BYTE,
        Some(Value::Short(_)) => f::SHORT,
        Some(Value::Int(_)) => f::INT,
        Some(Value::Long(_)) => f::LONG,
        Some(Value::Float(_)) => f::FLOAT,
        Some(Value::Double(_)) => f::DOUBLE,
        Some(Value::Decimal32(_)) => f::DECIMAL32,
        Some(Value::Decimal64(_)) => f::DECIMAL64,
        Some(Value::Decimal128(_)) => f::DECIMAL128,
        Some(Value::Char(_)) => f::CHAR,
        Some(Value::Timestamp(_)) => f::TIMESTAMP,
        Some(Value::Uuid(_)) => f::UUID,
        Some(Value::Binary(_)) => {
            if short() {
                f::BIN8
            } else {
                f::BIN32
            }
        }
        Some(Value::String(_)) => {
            if short() {
                f::STR8
            } else {
                f::STR32
            }
        }
        // Other routers write four-octet lengths here.
        Some(Value::Symbol(_)) => f::SYM32,
        Some(Value::List(_)) => f::LIST32,
        Some(Value::Map(_)) => f::MAP32,
        Some(Value::Array(_)) => f::ARRAY32,
    }
}

/// The element of an array, without constructor, in the form that `code` demands.
fn put_element(value: &Value, code: u8, out: &mut BytesMut) {
    match value {
        Value::Bool(v) => out.put_u8(u8::from(*v)),
        Value::Uint(v) => out.put_u32(*v),
        Value::Ulong(v) => out.put_u64(*v),
        Value::Int(v) => out.put_i32(*v),
        Value::Long(v) => out.put_i64(*v),
        Value::Binary(v) => put_sized_element(v, code == f::BIN32, out),
        Value::String(v) => put_sized_element(v.as_bytes(), code == f::STR32, out),
        Value::Symbol(v) => codec::put_long_sized(out, v.as_str().as_bytes()),
        Value::List(items) => codec::put_wide_body(out, |out| put_items(items, out)),
        Value::Map(map) => codec::put_wide_body(out, |out| put_entries(map, out)),
        Value::Array(items) => codec::put_wide_body(out, |out| {
            put_elements(items, out);
            codec::wire_len(items.len())
        }),
        // The remaining types have one encoding: a format code and the octets of the element.
        fixed => {
            let start = out.len();
            fixed.encode(out);
            if out.len() > start {
                out.copy_within(start + 1.., start);
                out.truncate(out.len() - 1);
            }
        }
    }
}

fn put_sized_element(octets: &[u8], wide: bool, out: &mut BytesMut) {
    if wide {
        codec::put_long_sized(out, octets);
    } else {
        out.put_u8(u8::try_from(octets.len()).unwrap_or(u8::MAX));
        out.put_slice(octets);
    }
}
