//! The application-properties section (part 3, 3.2.5).

use crate::codec::{Decode, DecodeError, Reader};
use crate::value::{Map, Value};

/// The encoded value of the first entry whose key is the string or symbol `key`, in the section
/// with the value `section` (from its constructor on); `None` if there is none or the section is
/// malformed before it.
#[must_use]
pub fn raw<'a>(section: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let mut items = Reader::new(section).read_map().ok()?;
    while let Some(r) = items.next_element() {
        let name = r.raw_value().ok()?;
        let value = items.next_element()?.raw_value().ok()?;
        if Reader::new(name).read_text().ok() == Some(key) {
            return Some(value);
        }
    }
    None
}

/// As [`raw`], the value being decoded.
#[must_use]
pub fn get(section: &[u8], key: &str) -> Option<Value> {
    Value::decode(&mut Reader::new(raw(section, key)?)).ok()
}

/// As [`raw`], for a value that is a string or symbol.
#[must_use]
pub fn text<'a>(section: &'a [u8], key: &str) -> Option<&'a str> {
    Reader::new(raw(section, key)?).read_text().ok()
}

/// All the entries of the section with the value `section`.
///
/// # Errors
///
/// The encoding rule that is violated.
pub fn decode(section: &[u8]) -> Result<Map, DecodeError> {
    Map::decode(&mut Reader::new(section))
}
