//! The syntax of Cyrus SASL configuration files.
//!
//! ```text
//! line    = *blank [ comment / option ]
//! comment = "#" to the end of the line
//! option  = key ":" *blank value        ; the value goes to the end of the line, without the blanks there
//! ```

use nom::bytes::complete::take_while1;
use nom::character::complete::{char, multispace0};
use nom::combinator::rest;
use nom::error::{Error, ErrorKind};
use nom::{IResult, Parser};
use std::fmt::{self, Display};

/// What a line lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    line: usize,
    column: usize,
    expected: &'static str,
}

/// The keys and values of a file in order, and the first line that is not as it must be. Such lines tell nothing.
pub(super) fn options(text: &str) -> (Vec<(&str, &str)>, Option<Fault>) {
    let mut options = Vec::new();
    let mut fault = None;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_end();
        let content = line.trim_start();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        match option(content) {
            Ok((_, option)) => options.push(option),
            Err(error) => {
                fault.get_or_insert_with(|| Fault::new(index + 1, line, &error));
            }
        }
    }
    (options, fault)
}

fn option(line: &str) -> IResult<&str, (&str, &str)> {
    let key = take_while1(|c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    let (value, (key, ..)) = (key, char(':'), multispace0).parse(line)?;
    if value.is_empty() {
        return Err(nom::Err::Error(Error::new(value, ErrorKind::NonEmpty)));
    }
    rest.map(|value| (key, value)).parse(value)
}

// === impl Fault ===

impl Fault {
    fn new(number: usize, line: &str, error: &nom::Err<Error<&str>>) -> Self {
        let (left, expected) = match error {
            nom::Err::Error(e) | nom::Err::Failure(e) => (e.input, e.code),
            nom::Err::Incomplete(_) => ("", ErrorKind::Eof),
        };
        let expected = match expected {
            ErrorKind::TakeWhile1 => "a key",
            ErrorKind::Char => "':'",
            _ => "a value",
        };
        Self { line: number, column: line[..line.len() - left.len()].chars().count() + 1, expected }
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expecting {}: line {} column {}", self.expected, self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[test]
    fn options_and_comments() {
        let (options, fault) = options("# a: b\r\n\n  mech_list:PLAIN #x: y \r\nlog-level : 7\n\tA1: \t b:c\n");
        assert_eq!(options, [("mech_list", "PLAIN #x: y"), ("A1", "b:c")]);
        assert_eq!(fault.expect("a blank before ':'").to_string(), "Expecting ':': line 4 column 10");
    }

    #[test]
    fn faults_tell_their_place() {
        for (text, told) in [
            ("a: b\n\n  : c", "Expecting a key: line 3 column 3"),
            ("\u{e9}: b", "Expecting a key: line 1 column 1"),
            (" mech_list", "Expecting ':': line 1 column 11"),
            ("mech_list: \nb", "Expecting a value: line 1 column 11"),
        ] {
            assert_eq!(options(text).1.expect("a fault").to_string(), told, "{text:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_is_read_back(written in vec(("[a-zA-Z0-9_-]{1,9}", "[!-~][ -~\u{e9}]{0,20}[!-~]"), 0..9)) {
            let text: String = written.iter().map(|(key, value)| format!(" {key}:\t{value} \n# no: no\n")).collect();
            let written: Vec<_> = written.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
            prop_assert_eq!(options(&text), (written, None));
        }

        #[test]
        fn any_octets_are_read(octets in vec(any::<u8>(), 0..300), text in "[a:# \t\n\r\u{e9}]{0,60}") {
            crate::sasl::fuzzing::configuration(&String::from_utf8_lossy(&octets));
            crate::sasl::fuzzing::configuration(&text);
            crate::sasl::fuzzing::database(&octets);
        }
    }
}
