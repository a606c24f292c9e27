//! A small HTTP/1.1 server and client with persistent connections, for the demonstration.

use std::io::{BufRead, BufReader, BufWriter, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

use anyhow::{Context, Result, bail, ensure};

/// Longest request line or header line that is read.
const LINE_LIMIT: u64 = 8192;

const PAGE: &str = "<!doctype html><title>It works</title><h1>It works</h1>\
    <p>This page came through two routers and a mutually authenticated TLS link.</p>\n";

/// Starts a server on a free port of the loopback interface; it serves as long as the process lives.
///
/// `GET /` answers with a page, `GET /bytes/N` with N octets.
pub fn serve() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("HTTP server socket")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that goes away in the middle of an answer is its own affair.
            thread::spawn(move || drop(serve_connection(&stream)));
        }
    });
    Ok(address)
}

fn serve_connection(stream: &TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    let mut writer = BufWriter::with_capacity(64 * 1024, stream);
    while let Some(request) = read_head(&mut reader)? {
        let mut words = request.first.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        match (method, path, path.strip_prefix("/bytes/").and_then(|count| count.parse().ok())) {
            ("GET", "/", _) => answer(&mut writer, "200 OK", "text/html", PAGE)?,
            ("GET", _, Some(octets)) => send_octets(&mut writer, octets)?,
            ("GET", _, None) => answer(&mut writer, "404 Not Found", "text/plain", "no such page\n")?,
            _ => answer(&mut writer, "405 Method Not Allowed", "text/plain", "only GET\n")?,
        }
        writer.flush()?;
        if request.last {
            break;
        }
    }
    Ok(())
}

fn answer(writer: &mut impl Write, status: &str, kind: &str, body: &str) -> Result<()> {
    let length = body.len();
    write!(writer, "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n{body}")?;
    Ok(())
}

fn send_octets(writer: &mut impl Write, octets: u64) -> Result<()> {
    let kind = "application/octet-stream";
    write!(writer, "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {octets}\r\n\r\n")?;
    crate::tcp::send_pattern(writer, octets, octets).map(drop)
}

/// First line and what the headers say about length and persistence.
struct Head {
    first: String,
    length: u64,
    last: bool,
}

/// Reads up to the empty line; none if the peer has ended the connection in an orderly way.
fn read_head(reader: &mut impl BufRead) -> Result<Option<Head>> {
    let Some(first) = read_line(reader)? else { return Ok(None) };
    let mut head = Head { first, length: 0, last: false };
    loop {
        let line = read_line(reader)?.context("connection ended within the headers")?;
        if line.is_empty() {
            return Ok(Some(head));
        }
        let (name, value) = line.split_once(':').context("header without colon")?;
        match (name.to_ascii_lowercase().as_str(), value.trim()) {
            ("content-length", length) => head.length = length.parse().context("content-length")?,
            ("connection", value) => head.last = value.eq_ignore_ascii_case("close"),
            _ => {}
        }
    }
}

fn read_line(reader: &mut impl BufRead) -> Result<Option<String>> {
    let mut line = String::new();
    let count = std::io::Read::take(&mut *reader, LINE_LIMIT).read_line(&mut line)?;
    match line.strip_suffix("\r\n") {
        Some(text) => Ok(Some(text.to_owned())),
        None if count == 0 => Ok(None),
        None => bail!("a line without end"),
    }
}

/// A client with one persistent connection.
#[derive(Debug)]
pub struct HttpClient {
    reader: BufReader<TcpStream>,
}

// === impl HttpClient ===

impl HttpClient {
    /// Connects to a server, or to the router's listener in front of one.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        Ok(Self { reader: BufReader::with_capacity(64 * 1024, crate::tcp::connect(address)?) })
    }

    /// Requests `path` and returns the number of octets in the answer's body.
    pub fn get(&mut self, path: &str) -> Result<u64> {
        write!(self.reader.get_ref(), "GET {path} HTTP/1.1\r\nHost: demo\r\n\r\n").context("sending the request")?;
        let head = read_head(&mut self.reader).context("reading the answer")?.context("no answer")?;
        ensure!(head.first.starts_with("HTTP/1.1 200 "), "answer {:?}", head.first);
        let body = std::io::Read::take(&mut self.reader, head.length);
        let received = crate::tcp::receive_all(body)?;
        ensure!(received.octets == head.length, "{} of {} octets", received.octets, head.length);
        Ok(received.octets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_requests_over_one_connection() -> Result<()> {
        let mut client = HttpClient::connect(serve()?)?;
        assert_eq!(client.get("/")?, PAGE.len() as u64);
        assert_eq!(client.get("/bytes/100000")?, 100_000);
        assert!(client.get("/nowhere").is_err());
        Ok(())
    }
}
