//! Tries a server: connects to it, and asks it for a page where one is named.

use super::answer::{Answer, AnswerError};
use crate::net;
use crate::tls::secret::os_text;
use crate::tls::{Session, TlsError};
use crate::transport::{Transport, TransportError};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

/// Octets of the rest of an answer that are read, so that the server need not see a reset.
const REST_MAX: usize = 256 * 1024;

/// How long the rest of an answer may take.
const REST_LIMIT: Duration = Duration::from_millis(250);

/// The protocol that TLS is used for.
const ALPN: &[u8] = b"http/1.1";

/// How a server is tried.
#[derive(Debug, Clone)]
pub struct ProbeParams {
    /// The server's host.
    pub host: String,
    /// The number of its port, if it has one.
    pub port: Option<u16>,
    /// How long all of it may take.
    pub timeout: Duration,
    /// What is sent before all else, TLS too.
    pub preface: Vec<u8>,
    /// What it has to answer with success (2xx) or a redirection (3xx), in HTTP/1.1; without one it need only be there.
    pub path: Option<String>,
    /// It is asked through TLS, which is another default for its port.
    pub is_tls: bool,
}

/// Tries one server, one time after the other.
#[derive(Debug)]
pub struct Probe {
    params: ProbeParams,
    /// What it is asked.
    request: Option<Vec<u8>>,
}

/// Why a server is not well.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// It cannot be reached.
    #[error("{}", os_text(.0))]
    Connect(io::Error),
    /// It took no connection in time.
    #[error("no connection within {0:?}")]
    NoConnection(Duration),
    /// It did not answer in time.
    #[error("no answer within {0:?}")]
    NoAnswer(Duration),
    /// The connection broke.
    #[error("{} before an answer", os_text(.0))]
    Broken(io::Error),
    /// The connection ended.
    #[error("it closed the connection without an answer")]
    Closed,
    /// TLS cannot be used.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// The answer cannot be used.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// The answer is neither success nor a redirection.
    #[error("it answered with status {0}")]
    Status(u16),
    /// A mistake of ours.
    #[error("internal error")]
    Internal,
}

// === impl Probe ===

impl Probe {
    /// What a server is tried with.
    #[must_use]
    pub fn new(params: ProbeParams) -> Self {
        let request = params.path.as_ref().map(|path| request(path, &authority(&params)));
        Self { params, request }
    }

    /// Tries the server. `session` is asked for TLS of a protocol when the server is to be asked for something.
    ///
    /// # Errors
    /// When the server is not well.
    pub async fn run(
        &self,
        session: impl FnOnce(&[u8]) -> Result<Option<Session>, TlsError>,
    ) -> Result<(), ProbeError> {
        let limit = self.params.timeout;
        let deadline = Instant::now() + limit;
        let stream = timeout_at(deadline, self.connect(deadline)).await;
        let stream = match stream {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) if error.kind() != io::ErrorKind::TimedOut => return Err(ProbeError::Connect(error)),
            Ok(Err(_)) | Err(_) => return Err(ProbeError::NoConnection(limit)),
        };
        let Some(request) = &self.request else { return Ok(()) };
        let mut transport = match session(ALPN)? {
            Some(session) => Transport::tls(stream, session),
            None => Transport::plain(stream),
        };
        let answered = timeout_at(deadline, ask(&mut transport, request)).await;
        let status = answered.map_err(|_| ProbeError::NoAnswer(limit))??;
        let _ = timeout(REST_LIMIT, finish(transport)).await;
        if matches!(status, 200..=399) { Ok(()) } else { Err(ProbeError::Status(status)) }
    }

    async fn connect(&self, deadline: Instant) -> io::Result<TcpStream> {
        let ProbeParams { host, port, preface, .. } = &self.params;
        let addresses = net::look_up_remote(host, *port, None).await?;
        let mut stream = net::connect_until(deadline, &addresses).await?;
        stream.write_all(preface).await?;
        Ok(stream)
    }
}

/// The server as it is named in requests.
fn authority(ProbeParams { host, port, is_tls, .. }: &ProbeParams) -> String {
    let host = net::url_host(host);
    let default = if *is_tls { 443 } else { 80 };
    match port {
        Some(port) if *port != default => format!("{host}:{port}"),
        _ => host.into_owned(),
    }
}

fn request(path: &str, authority: &str) -> Vec<u8> {
    let fields = "User-Agent: skrouterd\r\nAccept: */*\r\nConnection: close";
    format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\n{fields}\r\n\r\n").into_bytes()
}

/// Asks, and returns the status of the answer.
async fn ask(transport: &mut Transport<TcpStream>, request: &[u8]) -> Result<u16, ProbeError> {
    poll_fn(|cx| transport.poll_handshake(cx)).await?;
    let mut unsent = request;
    while !unsent.is_empty() {
        let sent = poll_fn(|cx| transport.poll_write(cx, &[IoSlice::new(unsent)])).await?;
        unsent = unsent.get(sent..).unwrap_or_default();
    }
    poll_fn(|cx| transport.poll_flush(cx)).await?;
    let mut answer = Answer::default();
    while let Some(octets) = poll_fn(|cx| transport.poll_read(cx)).await? {
        if let Some(status) = answer.read(&octets)? {
            return Ok(status);
        }
    }
    Err(ProbeError::Closed)
}

/// Reads the rest of an answer, and ends in order.
async fn finish(mut transport: Transport<TcpStream>) -> Result<(), TransportError> {
    let mut rest = 0;
    while rest < REST_MAX {
        match poll_fn(|cx| transport.poll_read(cx)).await? {
            Some(octets) => rest += octets.len(),
            None => break,
        }
    }
    poll_fn(|cx| transport.poll_shutdown(cx)).await
}

// === impl ProbeError ===

impl From<TransportError> for ProbeError {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Io(error) => Self::Broken(error),
            TransportError::Tls(error) => Self::Tls(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(host: &str, port: u16, is_tls: bool) -> ProbeParams {
        let (host, timeout) = (host.to_owned(), Duration::from_secs(2));
        ProbeParams { host, port: Some(port), timeout, preface: Vec::new(), path: None, is_tls }
    }

    #[test]
    fn the_server_is_named_as_in_any_request() {
        let named = |host, port, is_tls| authority(&params(host, port, is_tls));
        assert_eq!(named("db.example", 80, false), "db.example");
        assert_eq!(named("db.example", 80, true), "db.example:80");
        assert_eq!(named("db.example", 443, true), "db.example");
        assert_eq!(named("10.0.0.1", 8080, false), "10.0.0.1:8080");
        assert_eq!(named("::1", 8080, false), "[::1]:8080");
    }

    #[test]
    fn a_request_is_whole() {
        let text = String::from_utf8(request("/healthz?full=1", "h:1")).expect("text");
        let fields = "User-Agent: skrouterd\r\nAccept: */*\r\nConnection: close\r\n\r\n";
        assert_eq!(text, format!("GET /healthz?full=1 HTTP/1.1\r\nHost: h:1\r\n{fields}"));
    }

    #[test]
    fn reasons_are_for_people() {
        let text = |error: ProbeError| error.to_string();
        let refused = io::Error::from_raw_os_error(111);
        assert_eq!(text(ProbeError::Connect(refused)), "Connection refused");
        assert_eq!(text(ProbeError::NoAnswer(Duration::from_millis(1500))), "no answer within 1.5s");
        assert_eq!(text(ProbeError::Status(503)), "it answered with status 503");
    }
}
