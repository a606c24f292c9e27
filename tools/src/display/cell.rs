//! One value of a table, and the forms that it is shown in.

use serde_json::Value as Json;

/// A value with its form.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Nothing is known.
    Empty,
    /// Text as it is.
    Text(String),
    /// A number as it is.
    Number(i64),
    /// A number with commas between thousands.
    Commas(i64),
    /// Seconds as `DDD:HH:MM:SS`.
    LongTime(i64),
    /// Seconds as `HH:MM:SS`; whole days are not shown.
    ShortTime(i64),
    /// Octets with binary prefixes, such as `29.8 MiB`.
    Octets(i64),
    /// Any other value, as Python writes it: that is the known form.
    Value(Json),
}

// === impl Cell ===

impl Cell {
    /// A value as it is.
    pub fn plain(value: &Json) -> Self {
        match value {
            Json::Null => Self::Empty,
            Json::String(text) => Self::Text(text.clone()),
            Json::Number(number) => number.as_i64().map_or_else(|| Self::Text(number.to_string()), Self::Number),
            other => Self::Value(other.clone()),
        }
    }

    /// A number in the form that `form` makes of it; anything else as it is.
    pub fn number(value: &Json, form: fn(i64) -> Self) -> Self {
        value.as_i64().map_or_else(|| Self::plain(value), form)
    }

    /// Text as it is.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// What people read.
    pub fn show(&self) -> String {
        match self {
            Self::Empty => String::new(),
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
            Self::Commas(number) => commas(*number),
            Self::LongTime(seconds) => format!("{:03}:{}", seconds / 86_400, clock(*seconds)),
            Self::ShortTime(seconds) => clock(*seconds),
            Self::Octets(octets) => binary_size(*octets),
            Self::Value(value) => python(value),
        }
    }

    /// What programs read.
    pub fn json(&self) -> Json {
        match self {
            Self::Empty => Json::Null,
            Self::Text(text) => text.clone().into(),
            Self::Number(number)
            | Self::Commas(number)
            | Self::LongTime(number)
            | Self::ShortTime(number)
            | Self::Octets(number) => (*number).into(),
            Self::Value(value) => value.clone(),
        }
    }
}

fn commas(number: i64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        let left = digits.len() - at;
        if at > 0 && left.is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn clock(seconds: i64) -> String {
    let (hours, minutes) = (seconds % 86_400 / 3600, seconds % 3600 / 60);
    format!("{hours:02}:{minutes:02}:{:02}", seconds % 60)
}

fn binary_size(octets: i64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if octets < 1024 {
        return octets.to_string();
    }
    let mut size = octets as f64 / 1024.0;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    let decimals = if size < 10.0 { 2 } else { usize::from(size < 100.0) };
    format!("{size:.decimals$} {}", UNITS[unit])
}

fn python(value: &Json) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
    match value {
        Json::Null => "None".to_owned(),
        Json::Bool(true) => "True".to_owned(),
        Json::Bool(false) => "False".to_owned(),
        Json::Number(number) => number.to_string(),
        Json::String(text) => quoted(text),
        Json::Array(items) => format!("[{}]", items.iter().map(python).collect::<Vec<_>>().join(", ")),
        Json::Object(map) => {
            let pairs = map.iter().map(|(key, value)| format!("{}: {}", quoted(key), python(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn forms_of_numbers() {
        let cases = [
            (Cell::Commas(0), "0"),
            (Cell::Commas(999), "999"),
            (Cell::Commas(1_234_567), "1,234,567"),
            (Cell::Commas(-123_456), "-123,456"),
            (Cell::LongTime(90_061), "001:01:01:01"),
            (Cell::ShortTime(90_061), "01:01:01"),
            (Cell::Octets(1023), "1023"),
            (Cell::Octets(10_000), "9.77 KiB"),
            (Cell::Octets(31_247_565), "29.8 MiB"),
            (Cell::Octets(563_085_312), "537 MiB"),
            (Cell::Octets(i64::MAX), "8192 PiB"),
        ];
        for (cell, text) in cases {
            assert_eq!(cell.show(), text, "{cell:?}");
        }
    }

    #[test]
    fn values() {
        assert_eq!(Cell::plain(&json!(null)), Cell::Empty);
        assert_eq!(Cell::plain(&json!(true)).show(), "True");
        assert_eq!(Cell::plain(&json!(["R1", "R'2"])).show(), r"['R1', 'R\'2']");
        assert_eq!(Cell::plain(&json!([])).show(), "[]");
        assert_eq!(Cell::LongTime(5).json(), json!(5));
    }
}
