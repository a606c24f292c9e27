//! Sends messages to a collector: a POST over HTTP/1.1, with or without TLS.

use super::settings::pairs;
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::fmt::{self, Display, Formatter};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Where systems have the certificates of the authorities that they trust.
const TRUSTED: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"];

/// Where messages of a signal go.
pub(super) struct Target {
    uri: Uri,
    host: String,
    port: u16,
    headers: HeaderMap,
    limit: Duration,
    tls: Option<Arc<ClientConfig>>,
}

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) text: String,
    /// It may be taken later.
    pub(super) passes: bool,
}

// === impl Target ===

impl Target {
    /// The target of a signal, if it has one.
    pub(super) fn read(
        variable: &impl Fn(&str) -> Option<String>,
        signal: &str,
        path: &str,
    ) -> Result<Option<Self>, String> {
        if variable(&format!("OTEL_{signal}_EXPORTER")).is_some_and(|exporter| exporter == "none") {
            return Ok(None);
        }
        // What is said of the signal stands before what is said of all.
        let found = |what: &str| {
            let names = [format!("OTEL_EXPORTER_OTLP_{signal}_{what}"), format!("OTEL_EXPORTER_OTLP_{what}")];
            names.into_iter().find_map(|name| variable(&name).map(|value| (name, value)))
        };
        let Some((name, endpoint)) = found("ENDPOINT") else { return Ok(None) };
        if let Some((name, protocol)) = found("PROTOCOL").filter(|(_, protocol)| protocol != "http/protobuf") {
            return Err(format!("{name}: '{protocol}' is not supported; http/protobuf is"));
        }
        let url = if name.contains(signal) { endpoint } else { format!("{}/{path}", endpoint.trim_end_matches('/')) };
        // There may be a password in it.
        let unusable = || format!("{name}: not a URL of http or https");
        let uri: Uri = url.parse().map_err(|_| unusable())?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(unusable()),
        };
        let host = uri.host().ok_or_else(unusable)?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let limit = match found("TIMEOUT") {
            None => 10_000,
            Some((name, text)) => text.parse().map_err(|_| format!("{name}: '{text}' is no number"))?,
        };
        let headers = found("HEADERS").map_or(Ok(HeaderMap::new()), |(name, text)| headers(&name, &text))?;
        let file = |what| found(what).map(|(_, file)| file);
        let tls = secure.then(|| trust(file("CERTIFICATE"), file("CLIENT_CERTIFICATE"), file("CLIENT_KEY")));
        let tls = tls.transpose()?.map(Arc::new);
        Ok(Some(Self { uri, host, port, headers, limit: Duration::from_millis(limit.max(1)), tls }))
    }

    /// Sends a message, and waits until it was taken.
    pub(super) async fn post(&self, message: Vec<u8>) -> Result<(), Failure> {
        let passing = |text: String| Failure { text, passes: true };
        let posted = timeout(self.limit, async {
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await;
            let stream = stream.map_err(|error| passing(error.to_string()))?;
            match &self.tls {
                None => self.exchange(stream, message).await,
                Some(config) => {
                    let name = ServerName::try_from(self.host.clone());
                    let name = name.map_err(|error| Failure { text: error.to_string(), passes: false })?;
                    let stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await;
                    self.exchange(stream.map_err(|error| passing(error.to_string()))?, message).await
                }
            }
        });
        posted.await.unwrap_or_else(|_| Err(passing("timed out".to_owned())))
    }

    async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S, message: Vec<u8>) -> Result<(), Failure> {
        let passing = |error: hyper::Error| Failure { text: error.to_string(), passes: true };
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(passing)?;
        let request = self.request(message).map_err(|text| Failure { text, passes: false })?;
        let answered = async {
            // The status is the answer; the next message has a connection of its own.
            let answer = sender.send_request(request).await.map_err(passing)?;
            verdict(answer.status())
        };
        let mut answered = std::pin::pin!(answered);
        tokio::select! {
            answer = &mut answered => answer,
            // The connection goes on for as long as there is something to be read.
            ended = connection => match ended {
                Ok(()) => answered.await,
                Err(error) => Err(passing(error)),
            },
        }
    }

    fn request(&self, message: Vec<u8>) -> Result<Request<Full<Bytes>>, String> {
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let host = self.uri.authority().map_or("", |authority| authority.as_str());
        // Names and passwords are no part of a host.
        let host = host.rsplit('@').next().unwrap_or_default();
        let request = Request::builder().method(Method::POST).uri(path).header(HOST, host);
        let request = request.header(CONTENT_TYPE, "application/x-protobuf");
        let request = request.header(USER_AGENT, concat!("skrouterd/", env!("CARGO_PKG_VERSION")));
        let mut request = request.body(Full::new(message.into())).map_err(|error| error.to_string())?;
        request.headers_mut().extend(self.headers.clone());
        Ok(request)
    }
}

impl Display for Target {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { uri, .. } = self;
        let scheme = uri.scheme_str().unwrap_or_default();
        write!(f, "{scheme}://{}:{}{}", self.host, self.port, uri.path())
    }
}

impl fmt::Debug for Target {
    /// Without headers, which may hold secrets.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Target").field(&self.to_string()).finish()
    }
}

fn verdict(status: StatusCode) -> Result<(), Failure> {
    if status.is_success() {
        return Ok(());
    }
    let passes = matches!(status.as_u16(), 429 | 502..=504);
    Err(Failure { text: format!("the answer is {status}"), passes })
}

fn headers(variable: &str, text: &str) -> Result<HeaderMap, String> {
    let header = |(name, value): (String, String)| {
        let unusable = || format!("{variable}: one of its parts is no header");
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable())?;
        let mut value = HeaderValue::from_str(&value).map_err(|_| unusable())?;
        value.set_sensitive(true);
        Ok((key, value))
    };
    pairs(variable, text)?.into_iter().map(header).collect()
}

/// Whom to trust, and how to show oneself. Reads files.
fn trust(ca: Option<String>, certificate: Option<String>, key: Option<String>) -> Result<ClientConfig, String> {
    let ca = ca.or_else(|| std::env::var("SSL_CERT_FILE").ok());
    let ca = ca.or_else(|| TRUSTED.iter().find(|file| std::fs::exists(file).unwrap_or(false)).map(|&f| f.to_owned()));
    let ca = ca.ok_or("OTEL_EXPORTER_OTLP_CERTIFICATE: there is none, and the system has none either")?;
    let chain = |file: &str| -> Result<Vec<CertificateDer<'static>>, String> {
        let all = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
        all.map_err(|error| format!("{file}: {error}"))
    };
    let mut roots = RootCertStore::empty();
    // Bundles of systems hold some that nobody can read.
    if roots.add_parsable_certificates(chain(&ca)?).0 == 0 {
        return Err(format!("{ca}: it holds no certificate"));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| error.to_string())?.with_root_certificates(roots);
    match certificate.zip(key) {
        None => Ok(config.with_no_client_auth()),
        Some((certificate, key)) => {
            let own = PrivateKeyDer::from_pem_file(&key).map_err(|error| format!("{key}: {error}"))?;
            config.with_client_auth_cert(chain(&certificate)?, own).map_err(|error| format!("{certificate}: {error}"))
        }
    }
}
