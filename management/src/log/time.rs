//! Time stamps.
//!
//! A pattern is applied in two passes: strftime, which leaves `%06lu` of `%%06lu`, then printf with
//! the microseconds. What strftime gives changes once a second, so it is kept.

use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, Local, Utc};
use std::fmt::Write as _;
use std::time::SystemTime;

/// The pattern of lines when none is configured.
const DEFAULT_PATTERN: &str = "%Y-%m-%d %H:%M:%S.%%06lu %z";

/// How time stamps look.
#[derive(Debug, Clone)]
pub struct TimeFormat {
    pattern: String,
    utc: bool,
    /// The second for which `first_pass` was made.
    second: Option<u64>,
    first_pass: String,
}

impl Default for TimeFormat {
    fn default() -> Self {
        Self::new(None, false)
    }
}

impl TimeFormat {
    /// A strftime pattern, or the usual one; in UTC or in local time.
    #[must_use]
    pub fn new(pattern: Option<&str>, utc: bool) -> Self {
        let pattern = pattern.unwrap_or(DEFAULT_PATTERN).to_owned();
        Self { pattern, utc, second: None, first_pass: String::new() }
    }

    /// Appends the time stamp of an instant.
    pub fn format(&mut self, at: SystemTime, out: &mut String) {
        let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        if self.second != Some(since.as_secs()) {
            self.second = Some(since.as_secs());
            self.first_pass = self.strftime(at);
        }
        printf(&self.first_pass, since.subsec_micros(), out);
    }

    fn strftime(&self, at: SystemTime) -> String {
        let items = || StrftimeItems::new(&self.pattern);
        if items().any(|item| matches!(item, Item::Error)) {
            return self.pattern.clone();
        }
        let mut text = String::new();
        let written = if self.utc {
            write!(text, "{}", DateTime::<Utc>::from(at).format_with_items(items()))
        } else {
            write!(text, "{}", DateTime::<Local>::from(at).format_with_items(items()))
        };
        if written.is_ok() { text } else { self.pattern.clone() }
    }
}

/// Replaces `%<flags><width>[l]<d|i|u|x|X|o>` by the number and `%%` by `%`.
fn printf(pattern: &str, number: u32, out: &mut String) {
    let mut rest = pattern;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(tail) = rest.strip_prefix("%%") {
            out.push('%');
            rest = tail;
            continue;
        }
        let spec = &rest[1..];
        let digits = spec.trim_start_matches(|c: char| c.is_ascii_digit() || "-+ #".contains(c));
        let flags = &spec[..spec.len() - digits.len()];
        let conversion = digits.trim_start_matches('l');
        match conversion.chars().next() {
            Some(c @ ('d' | 'i' | 'u' | 'x' | 'X' | 'o')) => {
                pad(flags, c, number, out);
                rest = &conversion[1..];
            }
            _ => {
                out.push('%');
                rest = spec;
            }
        }
    }
    out.push_str(rest);
}

/// No width that a pattern asks for makes lines longer than this.
const MAX_WIDTH: usize = 64;

fn pad(flags: &str, conversion: char, number: u32, out: &mut String) {
    let digits = match conversion {
        'x' => format!("{number:x}"),
        'X' => format!("{number:X}"),
        'o' => format!("{number:o}"),
        _ => number.to_string(),
    };
    let width = flags.trim_start_matches(['-', '+', ' ', '#', '0']).parse().unwrap_or(0).min(MAX_WIDTH);
    let head = &flags[..flags.find(|c: char| matches!(c, '1'..='9')).unwrap_or(flags.len())];
    if head.contains('-') {
        out.push_str(&format!("{digits:<width$}"));
    } else if head.contains('0') {
        out.push_str(&format!("{digits:0>width$}"));
    } else {
        out.push_str(&format!("{digits:>width$}"));
    }
}
