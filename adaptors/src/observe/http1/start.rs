//! Request lines and status lines.

use super::Error;

/// The versions of HTTP/1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    Http10,
    Http11,
}

/// `method SP target SP version` (RFC 9112 section 3).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RequestLine<'a> {
    pub(super) method: &'a [u8],
    pub(super) version: Version,
}

/// `version SP status [SP reason]` (RFC 9112 section 4).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct StatusLine<'a> {
    pub(super) version: Version,
    /// From 100 to 999.
    pub(super) status: u16,
    pub(super) reason: &'a [u8],
}

pub(super) const fn is_blank(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t')
}

/// The first word of a line and what follows; `None` if there is none. Any number of blanks separates words.
fn word(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = line.iter().position(|octet| !is_blank(*octet))?;
    let line = &line[start..];
    let end = line.iter().position(|octet| is_blank(*octet)).unwrap_or(line.len());
    Some(line.split_at(end))
}

// === impl Version ===

impl Version {
    #[inline]
    fn parse(word: &[u8]) -> Result<Self, Error> {
        match word {
            b"HTTP/1.1" => Ok(Self::Http11),
            b"HTTP/1.0" => Ok(Self::Http10),
            _ => Err(Error::Version),
        }
    }
}

// === impl RequestLine ===

impl<'a> RequestLine<'a> {
    pub(super) fn parse(line: &'a [u8]) -> Result<Self, Error> {
        let (method, rest) = word(line).ok_or(Error::RequestLine)?;
        let (_target, rest) = word(rest).ok_or(Error::RequestLine)?;
        let (version, _) = word(rest).ok_or(Error::RequestLine)?;
        Ok(Self { method, version: Version::parse(version)? })
    }
}

// === impl StatusLine ===

impl<'a> StatusLine<'a> {
    pub(super) fn parse(line: &'a [u8]) -> Result<Self, Error> {
        if let Some(line) = Self::parse_plain(line) {
            return Ok(line);
        }
        let (version, rest) = word(line).ok_or(Error::StatusLine)?;
        let (status, rest) = word(rest).ok_or(Error::StatusLine)?;
        let version = Version::parse(version)?;
        let blanks = rest.iter().take_while(|octet| is_blank(**octet)).count();
        Ok(Self { version, status: parse_status(status)?, reason: &rest[blanks..] })
    }

    /// A line as all servers write it, with single spaces. Nothing has to be looked for then.
    fn parse_plain(line: &'a [u8]) -> Option<Self> {
        let (version, rest) = line.split_at_checked(8)?;
        let ([b' ', status @ ..], rest) = rest.split_first_chunk::<4>()? else { return None };
        let reason = match rest {
            [b' ', reason @ ..] if !reason.first().is_some_and(|octet| is_blank(*octet)) => reason,
            [] => rest,
            _ => return None,
        };
        Some(Self { version: Version::parse(version).ok()?, status: parse_status(status).ok()?, reason })
    }
}

fn parse_status(word: &[u8]) -> Result<u16, Error> {
    match word {
        [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9'] => {
            Ok(word.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0')))
        }
        _ => Err(Error::Status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_lines() {
        let line = |method: &'static str, version| Ok(RequestLine { method: method.as_bytes(), version });
        let cases: [(&str, Result<RequestLine<'_>, Error>); 9] = [
            ("GET / HTTP/1.1", line("GET", Version::Http11)),
            ("GET / HTTP/1.0", line("GET", Version::Http10)),
            ("\tM-SEARCH \t *  HTTP/1.1 \t", line("M-SEARCH", Version::Http11)),
            ("GET / HTTP/1.1 and more", line("GET", Version::Http11)),
            ("GET /", Err(Error::RequestLine)),
            (" ", Err(Error::RequestLine)),
            ("GET / HTTP/2", Err(Error::Version)),
            ("GET / http/1.1", Err(Error::Version)),
            ("GET a target HTTP/1.1", Err(Error::Version)),
        ];
        for (text, expected) in cases {
            assert_eq!(RequestLine::parse(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn status_lines() {
        let line =
            |version, status, reason: &'static str| Ok(StatusLine { version, status, reason: reason.as_bytes() });
        let cases: [(&str, Result<StatusLine<'_>, Error>); 11] = [
            ("HTTP/1.1 200 OK", line(Version::Http11, 200, "OK")),
            ("HTTP/1.0 404  Not Found ", line(Version::Http10, 404, "Not Found ")),
            ("HTTP/1.1 999", line(Version::Http11, 999, "")),
            ("HTTP/1.1 100 ", line(Version::Http11, 100, "")),
            ("HTTP/1.1", Err(Error::StatusLine)),
            (" \t", Err(Error::StatusLine)),
            ("HTTP/2 200", Err(Error::Version)),
            ("HTTP/1.1 099", Err(Error::Status)),
            ("HTTP/1.1 1000", Err(Error::Status)),
            ("HTTP/1.1 20x", Err(Error::Status)),
            ("HTTP/1.1 OK", Err(Error::Status)),
        ];
        for (text, expected) in cases {
            assert_eq!(StatusLine::parse(text.as_bytes()), expected, "{text}");
        }
    }
}
