//! A JSON reader for configuration files.
//!
//! It yields AMQP values, keeps the order of members (the last of equal names wins, in the place of
//! the first), and words its complaints as operators know them from Python.

use super::complaint::Complaint;
use amqp_core::Value;
use amqp_core::value::Map;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Arrays, objects and blocks may nest this deep.
pub(super) const MAX_DEPTH: usize = 200;

/// The complaint about what nests deeper.
pub(super) const TOO_DEEP: &str = "maximum recursion depth exceeded";

/// Parses a document.
///
/// # Errors
/// When it is not JSON.
pub(super) fn parse(text: &str) -> Result<Value, Complaint> {
    let mut reader = Reader { text, at: 0, depth: 0, relaxed: false };
    reader.skip_blanks();
    let value = reader.value()?;
    reader.skip_blanks();
    if reader.at < text.len() { Err(complaint("Extra data", reader.at)) } else { Ok(value) }
}

/// Parses a document that is an array, and tells where its items begin.
///
/// # Errors
/// When it is not JSON, or is something else.
pub(super) fn items(text: &str) -> Result<Vec<(usize, Value)>, Complaint> {
    let mut reader = Reader { text, at: 0, depth: 0, relaxed: false };
    reader.skip_blanks();
    let start = reader.at;
    if reader.peek() != Some(b'[') {
        parse(text)?;
        return Err(complaint("Expecting a list of [name, {attributes}]", start));
    }
    let items = reader.nested(|reader| reader.array(|reader| Ok((reader.at, reader.value()?))))?;
    reader.skip_blanks();
    if reader.at < text.len() { Err(complaint("Extra data", reader.at)) } else { Ok(items) }
}

/// Parses the value that the text begins with, and tells its length. Comments from `#` to the end of the line, and a
/// comma behind the last item, are let pass.
///
/// # Errors
/// When there is no such value.
pub(super) fn value(text: &str) -> Result<(Value, usize), Complaint> {
    let mut reader = Reader { text, at: 0, depth: 0, relaxed: true };
    let value = reader.value()?;
    Ok((value, reader.at))
}

/// What stands for `text` when it is between quotes.
///
/// # Errors
/// When it cannot be there as it is.
pub(super) fn unquoted(text: &str) -> Result<String, Complaint> {
    let mut reader = Reader { text, at: 0, depth: 0, relaxed: true };
    let mut out = String::with_capacity(text.len());
    loop {
        match reader.character(0)? {
            Piece::Character(c) => out.push(c),
            Piece::Quote => return Err(complaint("Expecting '\\' before '\"'", reader.at - 1)),
            Piece::End => return Ok(out),
        }
    }
}

/// The members of an object. The last of equal names wins, in the place of the first.
pub(super) fn map(members: impl IntoIterator<Item = (String, Value)>) -> Map {
    let mut map = Map::new();
    let mut places = HashMap::new();
    for (name, value) in members {
        match places.entry(name) {
            Entry::Occupied(place) => {
                let place: usize = *place.get();
                map.0[place].1 = value;
            }
            Entry::Vacant(place) => {
                map.push(place.key().clone(), value);
                place.insert(map.0.len() - 1);
            }
        }
    }
    map
}

fn complaint(what: &'static str, at: usize) -> Complaint {
    Complaint { what, at }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// Whether comments and surplus commas may be there.
    relaxed: bool,
}

/// What comes next in a string.
enum Piece {
    Character(char),
    Quote,
    End,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                Some(b'#') if self.relaxed => {
                    self.at += self.rest().find(['\n', '\r']).unwrap_or(self.rest().len());
                }
                _ => return,
            }
        }
    }

    fn value(&mut self) -> Result<Value, Complaint> {
        match self.peek() {
            Some(b'"') => self.string().map(Value::String),
            Some(b'{') => self.nested(Self::object).map(Value::Map),
            Some(b'[') => self.nested(|reader| reader.array(Self::value)).map(Value::List),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.word(),
        }
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Complaint>) -> Result<T, Complaint> {
        if self.depth == MAX_DEPTH {
            return Err(complaint(TOO_DEEP, self.at));
        }
        self.depth += 1;
        self.at += 1;
        self.skip_blanks();
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn word(&mut self) -> Result<Value, Complaint> {
        let words = [("null", Value::Null), ("true", Value::Bool(true)), ("false", Value::Bool(false))];
        for (word, value) in words {
            if self.rest().starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(complaint("Expecting value", self.at))
    }

    fn number(&mut self) -> Result<Value, Complaint> {
        let start = self.at;
        let digits = |r: &mut Self| {
            let from = r.at;
            while matches!(r.peek(), Some(b'0'..=b'9')) {
                r.at += 1;
            }
            r.at - from
        };
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else if digits(self) == 0 {
            return Err(complaint("Expecting value", start));
        }
        let mut whole = true;
        for marks in [&b"."[..], b"eE"] {
            let mark = self.at;
            if self.peek().is_some_and(|b| marks.contains(&b)) {
                self.at += 1;
                if marks.len() > 1 && matches!(self.peek(), Some(b'+' | b'-')) {
                    self.at += 1;
                }
                if digits(self) == 0 {
                    // What follows the number is not part of it.
                    self.at = mark;
                    break;
                }
                whole = false;
            }
        }
        let text = &self.text[start..self.at];
        let integer = if whole { text.parse().ok().map(Value::Long) } else { None };
        Ok(integer.unwrap_or_else(|| Value::Double(text.parse().unwrap_or(f64::NAN))))
    }

    fn array<T>(&mut self, item: impl Fn(&mut Self) -> Result<T, Complaint>) -> Result<Vec<T>, Complaint> {
        let mut items = Vec::new();
        if self.skip(b']') {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if self.ends(b']')? {
                return Ok(items);
            }
        }
    }

    fn object(&mut self) -> Result<Map, Complaint> {
        let mut members = Vec::new();
        if self.skip(b'}') {
            return Ok(Map::new());
        }
        loop {
            members.push(self.member()?);
            if self.ends(b'}')? {
                return Ok(map(members));
            }
        }
    }

    fn member(&mut self) -> Result<(String, Value), Complaint> {
        if self.peek() != Some(b'"') {
            return Err(complaint("Expecting property name enclosed in double quotes", self.at));
        }
        let name = self.string()?;
        self.skip_blanks();
        if !self.skip(b':') {
            return Err(complaint("Expecting ':' delimiter", self.at));
        }
        self.skip_blanks();
        Ok((name, self.value()?))
    }

    /// Goes on behind an item: to the next one, or behind the end of the array or object.
    fn ends(&mut self, bracket: u8) -> Result<bool, Complaint> {
        self.skip_blanks();
        if self.skip(bracket) {
            return Ok(true);
        }
        if !self.skip(b',') {
            return Err(complaint("Expecting ',' delimiter", self.at));
        }
        self.skip_blanks();
        Ok(self.relaxed && self.skip(bracket))
    }

    /// Steps over `octet` if it is next.
    fn skip(&mut self, octet: u8) -> bool {
        let there = self.peek() == Some(octet);
        self.at += usize::from(there);
        there
    }

    fn string(&mut self) -> Result<String, Complaint> {
        let start = self.at;
        self.at += 1;
        let mut out = String::new();
        loop {
            match self.character(start)? {
                Piece::Character(c) => out.push(c),
                Piece::Quote => return Ok(out),
                Piece::End => return Err(complaint("Unterminated string starting at", start)),
            }
        }
    }

    /// The next piece of the string that began at `start`.
    fn character(&mut self, start: usize) -> Result<Piece, Complaint> {
        let Some(c) = self.rest().chars().next() else { return Ok(Piece::End) };
        let at = self.at;
        self.at += c.len_utf8();
        match c {
            '"' => Ok(Piece::Quote),
            '\\' => self.escape(start, at).map(Piece::Character),
            c if (c as u32) < 0x20 => Err(complaint("Invalid control character at", at)),
            c => Ok(Piece::Character(c)),
        }
    }

    fn escape(&mut self, start: usize, at: usize) -> Result<char, Complaint> {
        let Some(c) = self.rest().chars().next() else {
            return Err(complaint("Unterminated string starting at", start));
        };
        self.at += c.len_utf8();
        Ok(match c {
            '"' | '\\' | '/' => c,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => return self.code_point(),
            _ => return Err(complaint("Invalid \\escape", at)),
        })
    }

    /// Behind `\u`; a pair of surrogates makes one character, a lone one is replaced.
    fn code_point(&mut self) -> Result<char, Complaint> {
        let high = self.four_digits()?;
        if (0xd800..0xdc00).contains(&high) && self.rest().starts_with("\\u") {
            let back = self.at;
            self.at += 2;
            let low = self.four_digits()?;
            if (0xdc00..0xe000).contains(&low) {
                let scalar = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                return Ok(char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = back;
        }
        Ok(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn four_digits(&mut self) -> Result<u32, Complaint> {
        let digits = self.rest().get(..4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let Some(code) = digits.and_then(|d| u32::from_str_radix(d, 16).ok()) else {
            return Err(complaint("Invalid \\uXXXX escape", self.at));
        };
        self.at += 4;
        Ok(code)
    }
}

#[cfg(test)]
mod tests;
