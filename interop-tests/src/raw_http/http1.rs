//! Messages of HTTP/1, read as strictly as RFC 9112 is written, and a client that sends what it is told.

use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use anyhow::{Context, Result, bail, ensure};

use super::frame::is_waiting;
use super::{Field, LIMIT, field, fields, is_field_value, is_token, shown, shown_fields};

/// The most octets of a line, and the most lines of a head.
const LINE: u64 = 1 << 20;
const LINES: usize = 20_000;

/// Why a message is not whole.
#[derive(Debug)]
pub enum Fault {
    /// The connection has ended, or nothing comes.
    Ended,
    /// It breaks a rule.
    Malformed(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => f.write_str("the connection ends within a message"),
            Self::Malformed(rule) => f.write_str(rule),
        }
    }
}

impl std::error::Error for Fault {}

/// Fails with a rule that was broken.
macro_rules! rule {
    ($holds:expr, $($broken:tt)*) => { if !$holds { return Err(Fault::Malformed(format!($($broken)*))); } };
}

/// The first line of a message, and its fields.
#[derive(Clone, Debug)]
pub struct Head {
    /// The line.
    pub first: String,
    /// The fields.
    pub fields: Vec<Field>,
}

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After so many octets.
    Length(u64),
    /// With the last chunk.
    Chunked,
    /// With the connection.
    Connection,
}

/// Reads a head; none if the connection ends before it.
pub fn read_head(reader: &mut impl BufRead) -> Result<Option<Head>, Fault> {
    if reader.fill_buf().map_err(|_| Fault::Ended)?.is_empty() {
        return Ok(None);
    }
    let first = read_line(reader)?;
    let text = first.iter().all(|octet| octet.is_ascii() && !octet.is_ascii_control());
    rule!(text, "first line {}", first.escape_ascii());
    let first = String::from_utf8_lossy(&first).into_owned();
    Ok(Some(Head { first, fields: read_fields(reader)? }))
}

fn read_line(reader: &mut impl BufRead) -> Result<Vec<u8>, Fault> {
    let mut line = Vec::new();
    reader.take(LINE).read_until(b'\n', &mut line).map_err(|_| Fault::Ended)?;
    if !line.ends_with(b"\n") {
        rule!((line.len() as u64) < LINE, "a line without end");
        return Err(Fault::Ended);
    }
    rule!(line.ends_with(b"\r\n"), "a line with a bare LF: {}", line.escape_ascii());
    line.truncate(line.len() - 2);
    Ok(line)
}

fn read_fields(reader: &mut impl BufRead) -> Result<Vec<Field>, Fault> {
    let mut fields = Vec::new();
    while fields.len() < LINES {
        let line = read_line(reader)?;
        if line.is_empty() {
            return Ok(fields);
        }
        let colon = line.iter().position(|octet| *octet == b':');
        let (name, value) = line.split_at(colon.unwrap_or(0));
        rule!(is_token(name), "field {}", line.escape_ascii());
        let value = value[1..].trim_ascii();
        rule!(is_field_value(value), "field {}", line.escape_ascii());
        fields.push((String::from_utf8_lossy(name).into_owned(), value.to_vec()));
    }
    Err(Fault::Malformed("too many fields".to_owned()))
}

/// Where the body ends by the fields of a message; none if they say nothing.
pub fn framing(all: &[Field]) -> Result<Option<Framing>, Fault> {
    let (lengths, codings) = (fields(all, "content-length"), fields(all, "transfer-encoding"));
    rule!(lengths.is_empty() || codings.is_empty(), "Content-Length and Transfer-Encoding");
    if let [length] = lengths[..] {
        rule!(length.iter().all(u8::is_ascii_digit), "Content-Length {}", length.escape_ascii());
        let length = std::str::from_utf8(length).ok().and_then(|text| text.parse().ok());
        rule!(length.is_some(), "Content-Length without a number");
        return Ok(length.map(Framing::Length));
    }
    rule!(lengths.is_empty(), "{} times Content-Length", lengths.len());
    if let [coding] = codings[..] {
        rule!(coding.eq_ignore_ascii_case(b"chunked"), "Transfer-Encoding {}", coding.escape_ascii());
        return Ok(Some(Framing::Chunked));
    }
    rule!(codings.is_empty(), "{} times Transfer-Encoding", codings.len());
    Ok(None)
}

/// Reads a body into `body`, as far as it comes. Its trailers.
pub fn read_body(reader: &mut impl BufRead, framing: Framing, body: &mut Vec<u8>) -> Result<Vec<Field>, Fault> {
    match framing {
        Framing::Length(octets) => read_octets(reader, octets, body)?,
        Framing::Connection => {
            reader.read_to_end(body).map_err(|_| Fault::Ended)?;
        }
        Framing::Chunked => loop {
            let line = read_line(reader)?;
            let size = line.split(|octet| *octet == b';').next().unwrap_or_default();
            let is_size = !size.is_empty() && size.len() < 16 && size.iter().all(u8::is_ascii_hexdigit);
            rule!(is_size, "chunk {}", line.escape_ascii());
            let size = u64::from_str_radix(&String::from_utf8_lossy(size), 16);
            match size.map_err(|error| Fault::Malformed(error.to_string()))? {
                0 => return read_fields(reader),
                octets => read_octets(reader, octets, body)?,
            }
            let end = read_line(reader)?;
            rule!(end.is_empty(), "behind a chunk: {}", end.escape_ascii());
        },
    }
    Ok(Vec::new())
}

fn read_octets(reader: &mut impl BufRead, octets: u64, into: &mut Vec<u8>) -> Result<(), Fault> {
    let read = reader.take(octets).read_to_end(into).map_err(|_| Fault::Ended)?;
    if read as u64 == octets { Ok(()) } else { Err(Fault::Ended) }
}

/// Checks the head of a request, as a server gets it. Method, target and version.
pub fn check_request(head: &Head) -> Result<[&str; 3], Fault> {
    let words: Vec<_> = head.first.split(' ').collect();
    let [method, target, version] = words[..] else {
        return Err(Fault::Malformed(format!("request line {:?}", head.first)));
    };
    let is_line = is_token(method.as_bytes()) && !target.is_empty() && ["HTTP/1.0", "HTTP/1.1"].contains(&version);
    rule!(is_line, "request line {:?}", head.first);
    let hosts = fields(&head.fields, "host").len();
    rule!(hosts == 1 || (hosts == 0 && version == "HTTP/1.0"), "{hosts} times Host");
    Ok([method, target, version])
}

/// What a server has answered.
#[derive(Clone)]
pub struct Answer {
    /// Its version.
    pub version: String,
    /// Its status.
    pub status: u16,
    /// Statuses of answers before the final one.
    pub interim: Vec<u16>,
    /// Its fields.
    pub fields: Vec<Field>,
    /// Its body.
    pub body: Vec<u8>,
    /// The fields behind the body.
    pub trailers: Vec<Field>,
    /// Where the body ended.
    pub framing: Framing,
}

// === impl Answer ===

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, status, interim, framing, .. } = self;
        let (fields, body, trailers) = (shown_fields(&self.fields), shown(&self.body), shown_fields(&self.trailers));
        write!(f, "[{version} {status} after {interim:?} {{{fields}}} {body} {{{trailers}}}, end by {framing:?}]")
    }
}

impl Answer {
    /// Whether the connection can be used again.
    pub fn is_last(&self) -> bool {
        let said = fields(&self.fields, "connection").concat().to_ascii_lowercase();
        let said = String::from_utf8_lossy(&said);
        self.framing == Framing::Connection
            || said.contains("close")
            || (self.version == "HTTP/1.0" && !said.contains("keep-alive"))
    }
}

/// A connection of a client.
#[derive(Debug)]
pub struct Client {
    reader: BufReader<TcpStream>,
    /// A write did not get through in time.
    pub blocked: bool,
}

// === impl Client ===

impl Client {
    /// Connects, and says nothing.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, LIMIT).with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(LIMIT))?;
        stream.set_read_timeout(Some(LIMIT))?;
        Ok(Self { reader: BufReader::with_capacity(65_536, stream), blocked: false })
    }

    /// Sends octets. Failures show in what comes back.
    pub fn send(&mut self, octets: impl AsRef<[u8]>) -> &mut Self {
        if let Err(error) = self.reader.get_ref().write_all(octets.as_ref()) {
            self.blocked |= is_waiting(&error);
        }
        self
    }

    /// Ends our direction.
    pub fn end(&mut self) -> &mut Self {
        let _ = self.reader.get_ref().shutdown(Shutdown::Write);
        self
    }

    /// Reads the answer to a request with that method.
    ///
    /// # Errors
    /// [`Fault`] if the connection ends before it is whole, or it breaks a rule.
    pub fn answer(&mut self, method: &str) -> Result<Answer> {
        let mut interim = Vec::new();
        loop {
            let head = self.head()?;
            let status = check_status(&head.first)?;
            let (version, _) = head.first.split_once(' ').unwrap_or_default();
            if (100..200).contains(&status) && status != 101 {
                ensure!(framing(&head.fields)?.is_none(), "{status} with the length of a body");
                interim.push(status);
                continue;
            }
            let said = framing(&head.fields)?;
            let is_bare = method == "HEAD" || matches!(status, 101 | 204 | 304);
            ensure!(!is_bare || method == "HEAD" || status == 304 || said.is_none(), "{status} with {said:?}");
            let framing = if is_bare { Framing::Length(0) } else { said.unwrap_or(Framing::Connection) };
            ensure!(framing != Framing::Chunked || version == "HTTP/1.1", "{version} with chunks");
            let mut body = Vec::new();
            let trailers = read_body(&mut self.reader, framing, &mut body)?;
            let version = version.to_owned();
            return Ok(Answer { version, status, interim, fields: head.fields, body, trailers, framing });
        }
    }

    /// Reads a head.
    pub fn head(&mut self) -> Result<Head> {
        Ok(read_head(&mut self.reader)?.ok_or(Fault::Ended)?)
    }

    /// Waits until the server has ended the connection, without a further octet.
    pub fn expect_end(&mut self) -> Result<()> {
        let mut octet = [0];
        match self.reader.read(&mut octet) {
            Ok(0) => Ok(()),
            Ok(_) => bail!("octets behind the answer"),
            Err(error) if is_waiting(&error) => bail!("the connection does not end"),
            Err(_) => Ok(()),
        }
    }

    /// Fails if something has come that nobody has asked for.
    pub fn expect_silence(&mut self) -> Result<()> {
        let stream = self.reader.get_ref();
        stream.set_nonblocking(true)?;
        let came = stream.peek(&mut [0]);
        stream.set_nonblocking(false)?;
        ensure!(self.reader.buffer().is_empty() && !matches!(came, Ok(1..)), "octets behind the answer");
        Ok(())
    }
}

fn check_status(line: &str) -> Result<u16, Fault> {
    let mut words = line.splitn(3, ' ');
    let (version, status, reason) = (words.next(), words.next().unwrap_or_default(), words.next());
    let is_status = status.len() == 3 && status.bytes().all(|octet| octet.is_ascii_digit());
    let is_version = matches!(version, Some("HTTP/1.0" | "HTTP/1.1"));
    rule!(is_version && is_status && reason.is_some(), "status line {line:?}");
    status.parse().map_err(|_| Fault::Malformed(format!("status {status}")))
}

/// Whether a field is there with that value, however it is written.
pub fn says(all: &[Field], name: &str, value: &str) -> bool {
    field(all, name).is_some_and(|found| found.eq_ignore_ascii_case(value.as_bytes()))
}
