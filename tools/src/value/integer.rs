//! Integers as the command line has always taken them.

use crate::error::{Error, Result};

/// Decimal digits, perhaps with a sign, blanks around and single underscores between.
///
/// # Errors
/// [`Error::Value`] for other text, and for integers of more than 64 bits.
pub fn parse_integer(text: &str) -> Result<i64> {
    let invalid = || Error::Value(format!("invalid literal for int() with base 10: '{text}'"));
    let trimmed = text.trim();
    let digits = trimmed.strip_prefix(['+', '-']).unwrap_or(trimmed);
    let well_formed = digits.split('_').all(|group| !group.is_empty() && group.bytes().all(|b| b.is_ascii_digit()));
    if !well_formed {
        return Err(invalid());
    }
    trimmed.replace('_', "").parse().map_err(|_| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_integers() {
        for (text, value) in [("5", 5), (" +1_000 ", 1000), ("-0", 0), ("2147483648", 2_147_483_648)] {
            assert_eq!(parse_integer(text).ok(), Some(value), "{text:?}");
        }
        for text in ["", "abc", "1__0", "_1", "1.0", "0x1", "+-1", "99999999999999999999"] {
            let error = parse_integer(text).expect_err(text).to_string();
            assert_eq!(error, format!("invalid literal for int() with base 10: '{text}'"));
        }
    }
}
