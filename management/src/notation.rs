//! How values look in error texts. The notation is an interface: it is the one of Python.

use crate::attributes::Attributes;
use crate::schema::{EntityType, ValueType};
use amqp_core::Value;
use amqp_core::value::Map;
use std::fmt::{self, Display, Formatter, Write as _};

/// A value as a literal: text is quoted.
pub struct Literal<'a>(pub &'a Value);

/// A value as plain text.
pub struct Plain<'a>(pub &'a Value);

/// Text as a quoted literal.
pub struct Quoted<'a>(pub &'a str);

/// Names as a list of quoted literals.
pub struct Names<I>(pub I);

/// A map as a literal.
pub struct MapLiteral<'a>(pub &'a Map);

/// Attributes as a map literal in which words of enumerations show their index.
pub struct RawEntity<'a>(pub EntityType, pub &'a Attributes);

/// An entity of a running router: its kind, and its attributes sorted by name.
pub struct LiveEntity<'a>(pub EntityType, pub &'a Attributes);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let quote = if self.0.contains('\'') && !self.0.contains('"') { '"' } else { '\'' };
        f.write_char(quote)?;
        for c in self.0.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                c if c == quote => write!(f, "\\{c}")?,
                c if c.is_control() && (c as u32) < 0x100 => write!(f, "\\x{:02x}", c as u32)?,
                c => f.write_char(c)?,
            }
        }
        f.write_char(quote)
    }
}

impl Display for Literal<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Value::Null => f.write_str("None"),
            Value::Bool(true) => f.write_str("True"),
            Value::Bool(false) => f.write_str("False"),
            Value::Float(v) => float(f, f64::from(*v)),
            Value::Double(v) => float(f, *v),
            Value::Binary(octets) => binary(f, octets),
            Value::List(items) | Value::Array(items) => {
                f.write_char('[')?;
                for (i, item) in items.iter().enumerate() {
                    separator(f, i)?;
                    Literal(item).fmt(f)?;
                }
                f.write_char(']')
            }
            Value::Map(map) => MapLiteral(map).fmt(f),
            Value::Ulong(v) => v.fmt(f),
            Value::Timestamp(v) => v.fmt(f),
            Value::Char(c) => Quoted(c.encode_utf8(&mut [0; 4])).fmt(f),
            Value::Uuid(octets) => f.write_str("UUID('").and_then(|()| hex(f, octets)).and_then(|()| f.write_str("')")),
            value => match (value.as_str(), value.as_i64()) {
                (Some(text), _) => Quoted(text).fmt(f),
                (None, Some(number)) => number.fmt(f),
                (None, None) => f.write_str("None"),
            },
        }
    }
}

impl Display for Plain<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.as_str() {
            Some(text) => f.write_str(text),
            None => Literal(self.0).fmt(f),
        }
    }
}

impl<'a, I: Iterator<Item = &'a str> + Clone> Display for Names<I> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('[')?;
        for (i, name) in self.0.clone().enumerate() {
            separator(f, i)?;
            Quoted(name).fmt(f)?;
        }
        f.write_char(']')
    }
}

impl Display for MapLiteral<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('{')?;
        for (i, (key, value)) in self.0.iter().enumerate() {
            separator(f, i)?;
            write!(f, "{}: {}", Literal(key), Literal(value))?;
        }
        f.write_char('}')
    }
}

impl Display for RawEntity<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('{')?;
        for (i, (name, value)) in self.1.iter().enumerate() {
            separator(f, i)?;
            write!(f, "{}: ", Quoted(name))?;
            let index = match (self.0.attribute(name).map(|a| a.ty), value.as_str()) {
                (Some(ValueType::Enum(words)), Some(text)) => words.iter().position(|w| *w == text),
                _ => None,
            };
            match index {
                Some(index) => write!(f, "EnumValue({}, {index})", Literal(value))?,
                None => Literal(value).fmt(f)?,
            }
        }
        f.write_char('}')
    }
}

impl Display for LiveEntity<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.0 != EntityType::Dummy {
            for part in self.0.short().split('.') {
                let mut letters = part.chars();
                f.write_str(&letters.next().map(|c| c.to_ascii_uppercase().to_string()).unwrap_or_default())?;
                f.write_str(letters.as_str())?;
            }
        }
        f.write_str("Entity(")?;
        let mut sorted: Vec<_> = self.1.iter().collect();
        sorted.sort_unstable_by_key(|(name, _)| *name);
        for (i, (name, value)) in sorted.into_iter().enumerate() {
            separator(f, i)?;
            if self.0.attribute(name).is_some_and(|a| a.hidden) {
                write!(f, "{name}=*******")?;
            } else {
                write!(f, "{name}={}", Plain(value))?;
            }
        }
        f.write_char(')')
    }
}

fn separator(f: &mut Formatter<'_>, index: usize) -> fmt::Result {
    if index == 0 { Ok(()) } else { f.write_str(", ") }
}

fn float(f: &mut Formatter<'_>, value: f64) -> fmt::Result {
    if value.is_finite() { write!(f, "{value:?}") } else { f.write_str(&format!("{value}").to_lowercase()) }
}

fn hex(f: &mut Formatter<'_>, octets: &[u8]) -> fmt::Result {
    octets.iter().try_for_each(|b| write!(f, "{b:02x}"))
}

fn binary(f: &mut Formatter<'_>, octets: &[u8]) -> fmt::Result {
    let quote = if octets.contains(&b'\'') && !octets.contains(&b'"') { b'"' } else { b'\'' };
    write!(f, "b{}", char::from(quote))?;
    for &b in octets {
        match b {
            b'\\' => f.write_str("\\\\")?,
            b'\n' => f.write_str("\\n")?,
            b'\r' => f.write_str("\\r")?,
            b'\t' => f.write_str("\\t")?,
            b if b == quote => write!(f, "\\{}", char::from(b))?,
            0x20..=0x7e => f.write_char(char::from(b))?,
            b => write!(f, "\\x{b:02x}")?,
        }
    }
    f.write_char(char::from(quote))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals() {
        let map = Map::new().with("a", true).with("it's", Value::Null).with("b\n", vec![Value::Long(-1), "x".into()]);
        assert_eq!(MapLiteral(&map).to_string(), r#"{'a': True, "it's": None, 'b\n': [-1, 'x']}"#);
        assert_eq!(Literal(&Value::Double(1.0)).to_string(), "1.0");
        assert_eq!(Literal(&Value::Binary(vec![0x61, 0].into())).to_string(), r"b'a\x00'");
    }

    #[test]
    fn live_entities_sort_and_hide() {
        let attributes = Attributes::new().with("type", "t").with("name", "x").with("saslPassword", "secret");
        assert_eq!(
            LiveEntity(EntityType::Connector, &attributes).to_string(),
            "ConnectorEntity(name=x, saslPassword=*******, type=t)"
        );
        assert_eq!(LiveEntity(EntityType::Dummy, &Attributes::new()).to_string(), "Entity()");
    }
}
