//! A JSON reader for configuration files.
//!
//! It yields AMQP values, keeps the order of members (the last of equal names wins, in the place of
//! the first), and words its complaints as operators know them from Python.

use amqp_core::Value;
use amqp_core::value::Map;

/// Arrays and objects may nest this deep.
const MAX_DEPTH: usize = 200;

/// Parses a document.
///
/// # Errors
/// A complaint with its position: `Expecting ',' delimiter: line 2 column 10 (char 23)`.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    let mut reader = Reader { text, at: 0, depth: 0 };
    reader.skip_blanks();
    let value = reader.value()?;
    reader.skip_blanks();
    if reader.at < text.len() { Err(reader.complaint("Extra data", reader.at)) } else { Ok(value) }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn complaint(&self, what: &str, at: usize) -> String {
        let before = &self.text[..at];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        format!("{what}: line {line} column {column} (char {})", before.chars().count())
    }

    fn value(&mut self) -> Result<Value, String> {
        match self.peek() {
            Some(b'"') => self.string().map(Value::String),
            Some(b'{') => self.nested(Self::object).map(Value::Map),
            Some(b'[') => self.nested(Self::array).map(Value::List),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => self.word(),
        }
    }

    fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, String>) -> Result<T, String> {
        if self.depth == MAX_DEPTH {
            return Err("maximum recursion depth exceeded".to_owned());
        }
        self.depth += 1;
        self.at += 1;
        self.skip_blanks();
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn word(&mut self) -> Result<Value, String> {
        let words = [("null", Value::Null), ("true", Value::Bool(true)), ("false", Value::Bool(false))];
        for (word, value) in words {
            if self.rest().starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.complaint("Expecting value", self.at))
    }

    fn number(&mut self) -> Result<Value, String> {
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
            return Err(self.complaint("Expecting value", start));
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

    fn array(&mut self) -> Result<Vec<Value>, String> {
        let mut items = Vec::new();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(items);
        }
        loop {
            items.push(self.value()?);
            self.skip_blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(items);
                }
                _ => return Err(self.complaint("Expecting ',' delimiter", self.at)),
            }
            self.skip_blanks();
        }
    }

    fn object(&mut self) -> Result<Map, String> {
        let mut map = Map::new();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(map);
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.complaint("Expecting property name enclosed in double quotes", self.at));
            }
            let key = self.string()?;
            self.skip_blanks();
            if self.peek() != Some(b':') {
                return Err(self.complaint("Expecting ':' delimiter", self.at));
            }
            self.at += 1;
            self.skip_blanks();
            let value = self.value()?;
            match map.0.iter_mut().find(|(k, _)| k.as_str() == Some(&key)) {
                Some((_, slot)) => *slot = value,
                None => map.push(key, value),
            }
            self.skip_blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(map);
                }
                _ => return Err(self.complaint("Expecting ',' delimiter", self.at)),
            }
            self.skip_blanks();
        }
    }

    fn string(&mut self) -> Result<String, String> {
        let start = self.at;
        self.at += 1;
        let mut out = String::new();
        loop {
            let Some(c) = self.rest().chars().next() else {
                return Err(self.complaint("Unterminated string starting at", start));
            };
            let at = self.at;
            self.at += c.len_utf8();
            match c {
                '"' => return Ok(out),
                '\\' => out.push(self.escape(start, at)?),
                c if (c as u32) < 0x20 => return Err(self.complaint("Invalid control character at", at)),
                c => out.push(c),
            }
        }
    }

    fn escape(&mut self, start: usize, at: usize) -> Result<char, String> {
        let Some(c) = self.rest().chars().next() else {
            return Err(self.complaint("Unterminated string starting at", start));
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
            _ => return Err(self.complaint("Invalid \\escape", at)),
        })
    }

    /// Behind `\u`; a pair of surrogates makes one character, a lone one is replaced.
    fn code_point(&mut self) -> Result<char, String> {
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

    fn four_digits(&mut self) -> Result<u32, String> {
        let digits = self.rest().get(..4).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        let Some(code) = digits.and_then(|d| u32::from_str_radix(d, 16).ok()) else {
            return Err(self.complaint("Invalid \\uXXXX escape", self.at));
        };
        self.at += 4;
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let value =
            parse(r#" {"a": [1, -2.5, true, null, "x\u00e9\ud83d\ude00\n"], "b": {}, "a2": 1e3} "#).expect("JSON");
        let map = value.as_map().expect("a map");
        let list = map.get("a").and_then(Value::as_list).expect("a list");
        assert_eq!(list[..4], [Value::Long(1), Value::Double(-2.5), Value::Bool(true), Value::Null]);
        assert_eq!(list[4].as_str(), Some("x\u{e9}\u{1f600}\n"));
        assert_eq!(map.get("a2"), Some(&Value::Double(1000.0)));
    }

    #[test]
    fn the_last_of_equal_names_wins() {
        let value = parse(r#"{"a": 1, "b": 2, "a": 3}"#).expect("JSON");
        assert_eq!(value, Value::Map(Map::new().with("a", 3_i64).with("b", 2_i64)));
    }

    #[test]
    fn complaints_tell_the_place() {
        let complaint = |text| parse(text).expect_err("must be refused");
        assert_eq!(complaint(""), "Expecting value: line 1 column 1 (char 0)");
        assert_eq!(complaint("[1 2]"), "Expecting ',' delimiter: line 1 column 4 (char 3)");
        assert_eq!(complaint("{\n 1}"), "Expecting property name enclosed in double quotes: line 2 column 2 (char 3)");
        assert_eq!(complaint(r#"{"a" 1}"#), "Expecting ':' delimiter: line 1 column 6 (char 5)");
        assert_eq!(complaint("[] x"), "Extra data: line 1 column 4 (char 3)");
        assert_eq!(complaint("\"a\nb\""), "Invalid control character at: line 1 column 3 (char 2)");
        assert_eq!(complaint(r#""\q""#), "Invalid \\escape: line 1 column 2 (char 1)");
        assert_eq!(complaint("\"a"), "Unterminated string starting at: line 1 column 1 (char 0)");
        assert!(complaint(&"[".repeat(1000)).contains("recursion"));
    }
}
