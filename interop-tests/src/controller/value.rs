//! AMQP values with the widths that were sent: whoever compares them sees what a strict client sees.

use anyhow::{Context, Result, bail, ensure};

/// A value, as it was encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A truth value.
    Bool(bool),
    /// `ubyte`.
    Ubyte(u8),
    /// `uint`.
    Uint(u32),
    /// `ulong`.
    Ulong(u64),
    /// `int`.
    Int(i32),
    /// `long`.
    Long(i64),
    /// Text.
    String(String),
    /// A symbol.
    Symbol(String),
    /// Octets.
    Binary(Vec<u8>),
    /// A list.
    List(Vec<Self>),
    /// A map.
    Map(Vec<(Self, Self)>),
    /// An array, of which only the octets are kept.
    Array(Vec<u8>),
    /// A described value; descriptors that are no number are not expected.
    Described(u64, Box<Self>),
    /// Something else, of which nobody here asks more.
    Other(u8),
}

/// Text.
pub fn string(text: impl Into<String>) -> Value {
    Value::String(text.into())
}

/// An `int`, which is what an int32 is sent as.
#[must_use]
pub const fn int(number: i32) -> Value {
    Value::Int(number)
}

/// A `long`, which is what an int is sent as.
#[must_use]
pub const fn long(number: i64) -> Value {
    Value::Long(number)
}

/// A map with keys that are text.
pub fn map<'a>(entries: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    Value::Map(entries.into_iter().map(|(key, value)| (string(key), value)).collect())
}

// === impl Value ===

impl Value {
    /// The array of no strings by which all attributes are asked for.
    #[must_use]
    pub fn no_strings() -> Self {
        Self::Array(vec![0xe0, 0x02, 0x00, 0xa1])
    }

    /// A described list.
    #[must_use]
    pub fn described(code: u64, fields: Vec<Self>) -> Self {
        Self::Described(code, Box::new(Self::List(fields)))
    }

    /// The text of a string.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The number of an integer of any width.
    #[must_use]
    pub fn number(&self) -> Option<i128> {
        match self {
            Self::Ubyte(n) => Some((*n).into()),
            Self::Uint(n) => Some((*n).into()),
            Self::Ulong(n) => Some((*n).into()),
            Self::Int(n) => Some((*n).into()),
            Self::Long(n) => Some((*n).into()),
            _ => None,
        }
    }

    /// The items of a list; an array is none.
    #[must_use]
    pub fn items(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// The value of a map under a key that is text; symbols are none.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries.iter().find(|(k, _)| k.text() == Some(key)).map(|(_, value)| value),
            _ => None,
        }
    }

    /// Appends the encoding: always the wide form, which is legal and seldom seen.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null | Self::Other(_) => out.push(0x40),
            Self::Bool(flag) => out.push(if *flag { 0x41 } else { 0x42 }),
            Self::Ubyte(n) => out.extend([0x50, *n]),
            Self::Uint(n) => put(out, 0x70, &n.to_be_bytes()),
            Self::Ulong(n) => put(out, 0x80, &n.to_be_bytes()),
            Self::Int(n) => put(out, 0x71, &n.to_be_bytes()),
            Self::Long(n) => put(out, 0x81, &n.to_be_bytes()),
            Self::String(text) => sized(out, 0xb1, text.as_bytes()),
            Self::Symbol(text) => sized(out, 0xb3, text.as_bytes()),
            Self::Binary(octets) => sized(out, 0xb0, octets),
            Self::List(items) => compound(out, 0xd0, items.iter()),
            Self::Map(entries) => compound(out, 0xd1, entries.iter().flat_map(|(key, value)| [key, value])),
            Self::Array(octets) => out.extend(octets),
            Self::Described(code, value) => {
                out.push(0);
                Self::Ulong(*code).encode(out);
                value.encode(out);
            }
        }
    }

    /// Takes a value off the front of `octets`.
    ///
    /// # Errors
    /// When there is none.
    pub fn decode(octets: &mut &[u8]) -> Result<Self> {
        let code = take(octets, 1)?[0];
        Ok(match code {
            0x00 => {
                let descriptor = Self::decode(octets)?;
                let code = descriptor.number().and_then(|n| u64::try_from(n).ok()).context("a symbolic descriptor")?;
                Self::Described(code, Box::new(Self::decode(octets)?))
            }
            0x40 => Self::Null,
            0x41 | 0x42 => Self::Bool(code == 0x41),
            0x56 => Self::Bool(take(octets, 1)?[0] == 1),
            0x50 => Self::Ubyte(take(octets, 1)?[0]),
            0x43 => Self::Uint(0),
            0x52 => Self::Uint(take(octets, 1)?[0].into()),
            0x70 => Self::Uint(u32::from_be_bytes(take(octets, 4)?.try_into()?)),
            0x44 => Self::Ulong(0),
            0x53 => Self::Ulong(take(octets, 1)?[0].into()),
            0x80 => Self::Ulong(u64::from_be_bytes(take(octets, 8)?.try_into()?)),
            0x54 => Self::Int(i8::from_be_bytes(take(octets, 1)?.try_into()?).into()),
            0x71 => Self::Int(i32::from_be_bytes(take(octets, 4)?.try_into()?)),
            0x55 => Self::Long(i8::from_be_bytes(take(octets, 1)?.try_into()?).into()),
            0x81 => Self::Long(i64::from_be_bytes(take(octets, 8)?.try_into()?)),
            0xa0 | 0xb0 => Self::Binary(variable(octets, code)?.to_vec()),
            0xa1 | 0xb1 => Self::String(String::from_utf8(variable(octets, code)?.to_vec())?),
            0xa3 | 0xb3 => Self::Symbol(String::from_utf8(variable(octets, code)?.to_vec())?),
            0x45 => Self::List(Vec::new()),
            0xc0 | 0xd0 => Self::List(content(variable(octets, code)?, code)?),
            0xc1 | 0xd1 => {
                let content = content(variable(octets, code)?, code)?;
                ensure!(content.len() % 2 == 0, "a map with a key that has no value");
                Self::Map(content.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect())
            }
            0xe0 | 0xf0 => Self::Array(variable(octets, code)?.to_vec()),
            other => {
                let width = match other >> 4 {
                    0x5 => 1,
                    0x6 => 2,
                    0x7 => 4,
                    0x8 => 8,
                    0x9 => 16,
                    _ => bail!("constructor {other:#04x}"),
                };
                take(octets, width)?;
                Self::Other(other)
            }
        })
    }
}

fn put(out: &mut Vec<u8>, code: u8, octets: &[u8]) {
    out.push(code);
    out.extend(octets);
}

fn sized(out: &mut Vec<u8>, code: u8, octets: &[u8]) {
    put(out, code, &u32::try_from(octets.len()).expect("short").to_be_bytes());
    out.extend(octets);
}

fn compound<'a>(out: &mut Vec<u8>, code: u8, items: impl Iterator<Item = &'a Value>) {
    let (mut content, mut count) = (Vec::new(), 0_u32);
    for item in items {
        item.encode(&mut content);
        count += 1;
    }
    sized(out, code, &[&count.to_be_bytes()[..], &content].concat());
}

fn take<'a>(octets: &mut &'a [u8], count: usize) -> Result<&'a [u8]> {
    let (taken, rest) = octets.split_at_checked(count).context("a value that is cut off")?;
    *octets = rest;
    Ok(taken)
}

/// The content of a value whose constructor tells how wide its size is.
fn variable<'a>(octets: &mut &'a [u8], code: u8) -> Result<&'a [u8]> {
    let is_wide = matches!(code >> 4, 0xb | 0xd | 0xf);
    let size = if is_wide { u32::from_be_bytes(take(octets, 4)?.try_into()?) } else { take(octets, 1)?[0].into() };
    take(octets, usize::try_from(size)?)
}

fn content(mut octets: &[u8], code: u8) -> Result<Vec<Value>> {
    let is_wide = code >> 4 == 0xd;
    let count =
        if is_wide { u32::from_be_bytes(take(&mut octets, 4)?.try_into()?) } else { take(&mut octets, 1)?[0].into() };
    (0..count).map(|_| Value::decode(&mut octets)).collect()
}
