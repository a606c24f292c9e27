//! The sectioned `.conf` syntax (spec `management-protocol.md` 7.1).
//!
//! ```text
//! file    = *( entity / json )                   ; json: [ "name", { ... } ], as in the other form
//! entity  = word block
//! block   = "{" eol *member "}" eol
//! member  = name ":" ( block / json / text ) eol ; json: `openProperties` and `groups` only
//!         / string ":" json eol                  ; as JSON has it
//! eol     = [ comment ] line-break *( comment / blank line )
//! comment = "#" to the end of the line
//! ```
//!
//! A text has no quotes, but the escapes of JSON. It ends at `#` or at the end of the line, without the blanks
//! before. A comma may follow on JSON.

use super::complaint::Complaint;
use super::json;
use amqp_core::Value;
use amqp_core::value::Map;
use nom::branch::alt;
use nom::bytes::complete::{take_till, take_while, take_while1};
use nom::character::complete::{char, one_of};
use nom::combinator::{cut, eof, opt, peek, recognize, value};
use nom::error::{ErrorKind, ParseError};
use nom::multi::{many0, many0_count};
use nom::sequence::{delimited, preceded, terminated};
use nom::{IResult, Parser};

/// Attributes whose value is JSON.
const JSON_ATTRIBUTES: [&str; 2] = ["openProperties", "groups"];

/// Attributes in whose text `#` stands for itself; they end at the first blank instead.
const HASH_ATTRIBUTES: [&str; 3] = ["pattern", "bindingKey", "hostname"];

/// What was expected where so many octets were left. Counted from the end, a place is the same for every parser.
#[derive(Debug, Clone, Copy)]
struct Expected {
    what: &'static str,
    left: usize,
}

type Parsed<'a, T> = IResult<&'a str, T, Expected>;

/// The entities of a file, each `[name, {attributes}]` as the other form has it, and where they begin.
///
/// # Errors
/// Tells the first place that does not fit the syntax.
pub(super) fn parse(text: &str) -> Result<Vec<(usize, Value)>, Complaint> {
    let end = expecting("Expecting an entity, as in 'listener {'", eof);
    let section = |input| {
        let (rest, section) = alt((entity, json_section)).parse(input)?;
        Ok((rest, (text.len() - input.len(), section)))
    };
    let file = delimited(skip, many0(section), end).parse(text);
    match file {
        Ok((_, entities)) => Ok(entities),
        Err(nom::Err::Error(e) | nom::Err::Failure(e)) => Err(Complaint { what: e.what, at: text.len() - e.left }),
        Err(nom::Err::Incomplete(_)) => Err(Complaint { what: "Expecting more", at: text.len() }),
    }
}

fn entity(input: &str) -> Parsed<'_, Value> {
    let (rest, name) = recognize(word).parse(input)?;
    let (rest, members) = cut(|input| block(input, 0)).parse(rest)?;
    Ok((rest, Value::List(vec![name.into(), Value::Map(members)])))
}

fn json_section(input: &str) -> Parsed<'_, Value> {
    preceded(peek(char('[')), cut(json_value)).parse(input)
}

fn block(input: &str, depth: usize) -> Parsed<'_, Map> {
    if depth == json::MAX_DEPTH {
        return Err(failure(input, json::TOO_DEEP));
    }
    let start = (blanks, expecting("Expecting '{'", char('{')), end_of_line);
    let end = expecting("Expecting an attribute, as in 'port: 5672', or '}'", char('}'));
    delimited(start, many0(|input| member(input, depth)), (end, end_of_line)).map(json::map).parse(input)
}

fn member(input: &str, depth: usize) -> Parsed<'_, (String, Value)> {
    alt((|input| attribute(input, depth), json_member)).parse(input)
}

fn attribute(input: &str, depth: usize) -> Parsed<'_, (String, Value)> {
    let (rest, name) = recognize((take_while(|c| c == '$'), word)).parse(input)?;
    let (rest, _) = cut(colon).parse(rest)?;
    let (rest, value) = if !rest.starts_with('{') {
        let ends = if HASH_ATTRIBUTES.contains(&name) { char::is_whitespace } else { |c| c == '#' || is_break(c) };
        text(rest, ends)?
    } else if JSON_ATTRIBUTES.contains(&name) {
        cut(json_value).parse(rest)?
    } else {
        cut(|input| block(input, depth + 1)).map(Value::Map).parse(rest)?
    };
    Ok((rest, (name.to_owned(), value)))
}

fn json_member(input: &str) -> Parsed<'_, (String, Value)> {
    let (rest, name) = preceded(peek(char('"')), cut(json)).parse(input)?;
    let (rest, value) = cut(preceded(colon, json_value)).parse(rest)?;
    Ok((rest, (name.as_str().unwrap_or_default().to_owned(), value)))
}

fn colon(input: &str) -> Parsed<'_, ()> {
    value((), (blanks, expecting("Expecting ':'", char(':')), blanks)).parse(input)
}

/// An unquoted value up to a character that `ends` it, and the rest of its line.
fn text(input: &str, ends: fn(char) -> bool) -> Parsed<'_, Value> {
    let (_, text) = take_till(ends).parse(input)?;
    let text = text.trim_end();
    if text.is_empty() {
        return Err(failure(input, "Expecting a value"));
    }
    let value = json::unquoted(text).map_err(|complaint| within(input, complaint))?;
    let (rest, _) = (take_till(is_break), end_of_line).parse(&input[text.len()..])?;
    Ok((rest, value.into()))
}

/// A JSON value that ends its line, with or without a comma.
fn json_value(input: &str) -> Parsed<'_, Value> {
    let end = (blanks, opt(char(',')), end_of_line);
    terminated(json, end).parse(input)
}

fn json(input: &str) -> Parsed<'_, Value> {
    let (value, len) = json::value(input).map_err(|complaint| within(input, complaint))?;
    Ok((&input[len..], value))
}

fn word(input: &str) -> Parsed<'_, &str> {
    take_while1(|c: char| c.is_alphanumeric() || c == '_' || c == '-').parse(input)
}

/// The end of a line, and all that tells nothing up to where the next line begins that does.
fn end_of_line(input: &str) -> Parsed<'_, ()> {
    let line_break = alt((value((), one_of("\r\n")), value((), eof)));
    let end = expecting("Expecting the end of the line", (blanks, opt(comment), line_break));
    value((), (end, skip)).parse(input)
}

fn skip(input: &str) -> Parsed<'_, ()> {
    value((), many0_count(alt((take_while1(char::is_whitespace), comment)))).parse(input)
}

fn comment(input: &str) -> Parsed<'_, &str> {
    recognize((char('#'), take_till(is_break))).parse(input)
}

/// Blanks on a line.
fn blanks(input: &str) -> Parsed<'_, &str> {
    take_while(|c: char| c.is_whitespace() && !is_break(c)).parse(input)
}

fn is_break(c: char) -> bool {
    matches!(c, '\r' | '\n')
}

/// Says what was expected where `parser` does not fit.
fn expecting<'a, T>(
    what: &'static str,
    mut parser: impl Parser<&'a str, Output = T, Error = Expected>,
) -> impl Parser<&'a str, Output = T, Error = Expected> {
    move |input: &'a str| parser.parse(input).map_err(|error| error.map(|e: Expected| Expected { what, ..e }))
}

fn failure(input: &str, what: &'static str) -> nom::Err<Expected> {
    nom::Err::Failure(Expected { what, left: input.len() })
}

/// A complaint about the beginning of what is left.
fn within(input: &str, complaint: Complaint) -> nom::Err<Expected> {
    failure(&input[complaint.at..], complaint.what)
}

// === impl Expected ===

impl ParseError<&str> for Expected {
    fn from_error_kind(input: &str, _: ErrorKind) -> Self {
        Self { what: "Invalid syntax", left: input.len() }
    }

    fn append(_: &str, _: ErrorKind, other: Self) -> Self {
        other
    }
}

#[cfg(test)]
mod tests;
