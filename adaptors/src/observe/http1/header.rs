//! The header fields that matter: those that tell where a message ends, and who forwarded a request.

use super::Error;
use super::start::{Version, is_blank};

/// A field line that matters, with its value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Field<'a> {
    ContentLength(&'a [u8]),
    TransferEncoding(&'a [u8]),
    ForwardedFor(&'a [u8]),
}

/// What the header fields of a message say of its end (RFC 9112 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Framing {
    version: Version,
    coding: Coding,
    length: Option<u64>,
}

/// The transfer coding of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Identity,
    Chunked,
    Other,
}

/// Where the body of a message ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    /// After so many octets.
    Length(u64),
    /// After the last chunk and the trailers behind it.
    Chunked,
    /// With the connection.
    UntilClose,
}

// === impl Field ===

impl<'a> Field<'a> {
    /// Whether a line with this beginning may be the end of the fields, or one of those that matter. Others are most, so
    /// this looks at two octets only.
    pub(super) fn may_matter(line: &[u8]) -> bool {
        let Some((first, ninth)) = line.first().zip(line.get(8)) else { return true };
        match first {
            b'c' | b'C' => matches!(ninth, b'l' | b'L'),
            b't' | b'T' => *ninth == b'-',
            b'x' | b'X' => matches!(ninth, b'd' | b'D'),
            b'\r' | b'\n' => true,
            _ => false,
        }
    }

    /// The field of a line, if it matters. A name ends with a colon, no blank before it; a value without octets is none.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        let value = |name| value(line, name);
        match line.first()? {
            b'c' | b'C' => value("content-length").map(Self::ContentLength),
            b't' | b'T' => value("transfer-encoding").map(Self::TransferEncoding),
            b'x' | b'X' => value("x-forwarded-for").map(Self::ForwardedFor),
            _ => None,
        }
    }
}

/// The value of a line whose field has this name.
fn value<'a>(line: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let (found, rest) = line.split_at_checked(name.len())?;
    let (b':', value) = rest.split_first()? else { return None };
    let has_value = !value.is_empty() && found.eq_ignore_ascii_case(name.as_bytes());
    has_value.then(|| trimmed(value))
}

fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = value
        && is_blank(*first)
    {
        value = rest;
    }
    while let [rest @ .., last] = value
        && is_blank(*last)
    {
        value = rest;
    }
    value
}

/// The elements of a list. Blanks separate them as commas do.
fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|octet| *octet == b',' || is_blank(*octet)).filter(|element| !element.is_empty())
}

/// A decimal number of 63 bits.
fn decimal(digits: &[u8]) -> Option<u64> {
    const LIMIT: u64 = i64::MAX as u64;
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        // What is not beyond the limit does not overflow with another digit.
        (number <= LIMIT / 10).then(|| number * 10 + digit).filter(|number| *number <= LIMIT)
    })
}

// === impl Framing ===

impl Framing {
    pub(super) const fn new(version: Version) -> Self {
        Self { version, coding: Coding::Identity, length: None }
    }

    /// A `Content-Length`. Several lengths, in one field or more, have to be the same one.
    pub(super) fn on_content_length(&mut self, value: &[u8]) -> Result<(), Error> {
        match decimal(value) {
            Some(length) => self.on_length(length),
            None => value.split(|octet| *octet == b',').try_for_each(|element| {
                let length = decimal(trimmed(element)).ok_or(Error::ContentLength)?;
                self.on_length(length)
            }),
        }
    }

    fn on_length(&mut self, length: u64) -> Result<(), Error> {
        match self.length.replace(length) {
            Some(before) if before != length => Err(Error::ContentLengths),
            _ => Ok(()),
        }
    }

    /// A `Transfer-Encoding`, which HTTP/1.0 does not know.
    pub(super) fn on_transfer_encoding(&mut self, value: &[u8]) {
        if self.version == Version::Http10 || self.coding == Coding::Chunked {
            return;
        }
        let chunked = elements(value).any(|coding| coding.eq_ignore_ascii_case(b"chunked"));
        self.coding = if chunked { Coding::Chunked } else { Coding::Other };
    }

    /// The body of a request.
    pub(super) fn request_body(self) -> Result<Body, Error> {
        match (self.coding, self.length) {
            (Coding::Chunked, _) => Ok(Body::Chunked),
            (Coding::Other, _) => Err(Error::TransferEncoding),
            (Coding::Identity, length) => Ok(Body::Length(length.unwrap_or(0))),
        }
    }

    /// The body of an answer that may have one.
    pub(super) fn response_body(self) -> Body {
        match (self.coding, self.length) {
            (Coding::Chunked, _) => Body::Chunked,
            (Coding::Identity, Some(length)) => Body::Length(length),
            (Coding::Other, _) | (Coding::Identity, None) => Body::UntilClose,
        }
    }
}

/// The size at the beginning of a chunk, before its extensions (RFC 9112 section 7.1).
pub(super) fn chunk_size(line: &[u8]) -> Result<u64, Error> {
    let digits = line.iter().take_while(|octet| octet.is_ascii_hexdigit()).count();
    let (digits, rest) = line.split_at(digits);
    let separated = matches!(rest.first(), None | Some(b';' | b' ' | b'\t'));
    let digits = std::str::from_utf8(digits).map_err(|_| Error::ChunkSize)?;
    // The conversion refuses what has no digits.
    let size = u64::from_str_radix(digits, 16).map_err(|_| Error::ChunkSize)?;
    if separated && size <= i64::MAX as u64 { Ok(size) } else { Err(Error::ChunkSize) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        let cases: [(&str, Option<Field<'_>>); 13] = [
            ("Content-Length: 5", Some(Field::ContentLength(b"5"))),
            ("content-length:5", Some(Field::ContentLength(b"5"))),
            ("CONTENT-LENGTH: \t5\t ", Some(Field::ContentLength(b"5"))),
            ("Content-Length: ", Some(Field::ContentLength(b""))),
            ("Content-Length:", None),
            ("Content-Length", None),
            ("Content-Length : 5", None),
            ("Content-Lengths: 5", None),
            ("Content-Type: text/plain", None),
            ("Transfer-Encoding: chunked", Some(Field::TransferEncoding(b"chunked"))),
            ("X-Forwarded-For: a, b", Some(Field::ForwardedFor(b"a, b"))),
            (": empty", None),
            ("Host: x", None),
        ];
        for (line, expected) in cases {
            assert!(expected.is_none() || Field::may_matter(line.as_bytes()), "{line}");
            assert_eq!(Field::parse(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn content_lengths() {
        let cases: [(&[&str], Result<u64, Error>); 13] = [
            (&["0"], Ok(0)),
            (&["42", "42"], Ok(42)),
            (&["42, 42"], Ok(42)),
            (&["9223372036854775807"], Ok(i64::MAX as u64)),
            (&["42", "43"], Err(Error::ContentLengths)),
            (&["0", "43"], Err(Error::ContentLengths)),
            (&["42,43"], Err(Error::ContentLengths)),
            (&["9223372036854775808"], Err(Error::ContentLength)),
            (&["18446744073709551616"], Err(Error::ContentLength)),
            (&["-1"], Err(Error::ContentLength)),
            (&["+1"], Err(Error::ContentLength)),
            (&[""], Err(Error::ContentLength)),
            (&["42,"], Err(Error::ContentLength)),
        ];
        for (values, expected) in cases {
            let mut framing = Framing::new(Version::Http11);
            let parsed = values.iter().try_for_each(|value| framing.on_content_length(value.as_bytes()));
            assert_eq!(parsed.map(|()| framing.length.unwrap()), expected, "{values:?}");
        }
    }

    #[test]
    fn ends_of_bodies() {
        use Version::{Http10, Http11};
        let cases = [
            (Http11, None, None, Ok(Body::Length(0)), Body::UntilClose),
            (Http11, Some("7"), None, Ok(Body::Length(7)), Body::Length(7)),
            (Http11, None, Some("chunked"), Ok(Body::Chunked), Body::Chunked),
            (Http11, Some("7"), Some("gzip, Chunked"), Ok(Body::Chunked), Body::Chunked),
            (Http11, Some("7"), Some("gzip"), Err(Error::TransferEncoding), Body::UntilClose),
            (Http10, Some("7"), Some("chunked"), Ok(Body::Length(7)), Body::Length(7)),
            (Http10, None, Some("chunked"), Ok(Body::Length(0)), Body::UntilClose),
        ];
        for (version, length, coding, request, response) in cases {
            let mut framing = Framing::new(version);
            length.iter().for_each(|length| framing.on_content_length(length.as_bytes()).unwrap());
            coding.iter().for_each(|coding| framing.on_transfer_encoding(coding.as_bytes()));
            assert_eq!((framing.request_body(), framing.response_body()), (request, response), "{framing:?}");
        }
    }

    #[test]
    fn codings_of_several_fields() {
        let mut framing = Framing::new(Version::Http11);
        framing.on_transfer_encoding(b"chunked");
        framing.on_transfer_encoding(b"gzip");
        assert_eq!(framing.response_body(), Body::Chunked);
    }

    #[test]
    fn sizes_of_chunks() {
        let cases: [(&str, Option<u64>); 12] = [
            ("0", Some(0)),
            ("1a", Some(26)),
            ("00Ff;name=value", Some(255)),
            ("5 ; name", Some(5)),
            ("7fffffffffffffff", Some(i64::MAX as u64)),
            ("8000000000000000", None),
            ("10000000000000000", None),
            ("", None),
            (";name", None),
            ("+5", None),
            ("5x", None),
            ("-1", None),
        ];
        for (line, size) in cases {
            assert_eq!(chunk_size(line.as_bytes()), size.ok_or(Error::ChunkSize), "{line}");
        }
    }
}
