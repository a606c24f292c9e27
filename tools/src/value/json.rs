//! JSON text in the form that scripts have learned to expect: ASCII only, `, ` and `: ` as separators.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value as Json;
use serde_json::ser::{Formatter, Serializer};

use crate::error::{Error, Result};

/// JSON text. Without `indent` it is one line.
pub fn encode(value: &Json, indent: Option<usize>) -> String {
    let mut octets = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut octets, Layout { indent, depth: 0, empty: true });
    // Writing to memory does not fail, and all keys are text.
    let written = value.serialize(&mut serializer);
    debug_assert!(written.is_ok());
    String::from_utf8(octets).unwrap_or_default()
}

/// The value of JSON text.
///
/// # Errors
/// [`Error::Json`], with line, column and offset.
pub fn decode(text: &str) -> Result<Json> {
    serde_json::from_str(text).map_err(|error| Error::Json(complaint(text, &error)))
}

fn complaint(text: &str, error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column().max(1));
    let before: usize = text.split_inclusive('\n').take(line - 1).map(|line| line.chars().count()).sum();
    let reason = error.to_string();
    let reason = reason.split(" at line").next().unwrap_or_default();
    let reason = match reason {
        "expected value" | "EOF while parsing a value" | "expected ident" => "Expecting value",
        other => other,
    };
    format!("{reason}: line {line} column {column} (char {})", before + column - 1)
}

struct Layout {
    indent: Option<usize>,
    depth: usize,
    /// Nothing is in the list or map yet that was begun last.
    empty: bool,
}

// === impl Layout ===

impl Layout {
    fn begin<W: Write + ?Sized>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.empty = true;
        writer.write_all(bracket)
    }

    fn end<W: Write + ?Sized>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if !self.empty {
            self.new_line(writer)?;
        }
        self.empty = false;
        writer.write_all(bracket)
    }

    fn item<W: Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.empty = false;
        match (first, self.indent) {
            (true, _) => {}
            (false, None) => writer.write_all(b", ")?,
            (false, Some(_)) => writer.write_all(b",")?,
        }
        self.new_line(writer)
    }

    fn new_line<W: Write + ?Sized>(&self, writer: &mut W) -> io::Result<()> {
        match self.indent {
            None => Ok(()),
            Some(indent) => write!(writer, "\n{:1$}", "", indent * self.depth),
        }
    }
}

impl Formatter for Layout {
    fn begin_array<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(writer, b"[")
    }

    fn end_array<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"]")
    }

    fn begin_array_value<W: Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.item(writer, first)
    }

    fn begin_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(writer, b"{")
    }

    fn end_object<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"}")
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.item(writer, first)
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn write_string_fragment<W: Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut units = [0; 2];
        for character in fragment.chars() {
            if (' '..='~').contains(&character) {
                writer.write_all(&[character as u8])?;
            } else {
                for unit in character.encode_utf16(&mut units) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn layouts() {
        let value = json!([{"a": 1, "b": []}, {}]);
        assert_eq!(encode(&value, None), r#"[{"a": 1, "b": []}, {}]"#);
        assert_eq!(encode(&value, Some(2)), "[\n  {\n    \"a\": 1,\n    \"b\": []\n  },\n  {}\n]");
        assert_eq!(encode(&value, Some(0)), "[\n{\n\"a\": 1,\n\"b\": []\n},\n{}\n]");
    }

    #[test]
    fn only_ascii_is_written() {
        assert_eq!(encode(&json!("ö\u{7f}\u{1f600}\n\"\u{1}"), None), r#""\u00f6\u007f\ud83d\ude00\n\"\u0001""#);
    }

    #[test]
    fn complaints_have_a_place() {
        let complaint = |text| decode(text).expect_err(text).to_string();
        assert_eq!(complaint("junk"), "Expecting value: line 1 column 1 (char 0)");
        assert_eq!(complaint(""), "Expecting value: line 1 column 1 (char 0)");
        assert_eq!(complaint("[\n1,\nx]"), "Expecting value: line 3 column 1 (char 5)");
    }
}
