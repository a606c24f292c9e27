//! Expansion of environment variables.
//!
//! The router itself takes files as they are; container images expand them before they start it
//! (spec `skupper-controller-contract.md` 2.3).

use nom::branch::alt;
use nom::bytes::complete::take_while1;
use nom::character::complete::char;
use nom::sequence::{delimited, preceded};
use nom::{IResult, Parser};

/// Replaces `$NAME` and `${NAME}` on every line that does not begin with `#`. Unknown names and
/// malformed references stay as they are.
#[must_use]
pub fn expand(text: &str, lookup: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if line.starts_with('#') { out.push_str(line) } else { expand_line(line, &lookup, &mut out) }
    }
    out
}

fn expand_line(line: &str, lookup: &impl Fn(&str) -> Option<String>, out: &mut String) {
    let mut rest = line;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let found = reference(&rest[at..]).ok().and_then(|(behind, name)| Some((behind, lookup(name)?)));
        let (behind, value) = found.unwrap_or_else(|| (&rest[at + 1..], "$".to_owned()));
        out.push_str(&value);
        rest = behind;
    }
    out.push_str(rest);
}

/// The name in the reference that `text` begins with.
fn reference(text: &str) -> IResult<&str, &str> {
    preceded(char('$'), alt((delimited(char('{'), name, char('}')), name))).parse(text)
}

fn name(text: &str) -> IResult<&str, &str> {
    take_while1(|c: char| c.is_ascii_alphanumeric() || c == '_').parse(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expands_known_names_only() {
        let lookup = |name: &str| match name {
            "PORT" => Some("12345".to_owned()),
            "NAME" => Some("$PORT".to_owned()),
            _ => None,
        };
        let text = "# $PORT\n  port: ${PORT}\nname=$NAME-x $$PORT $ ${ ${A} $B ${PORT\n$PORT";
        assert_eq!(expand(text, lookup), "# $PORT\n  port: 12345\nname=$PORT-x $12345 $ ${ ${A} $B ${PORT\n12345");
    }
}
