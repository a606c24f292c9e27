//! From an address to an open AMQP connection.

use std::io;
use std::sync::Arc;

use fe2o3_amqp::Connection;
use fe2o3_amqp::connection::{ConnectionHandle, OpenError};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::annotations::WithoutAnnotations;
use super::{Sasl, Url};
use crate::error::{Error, Result};

const FRAMING: &str = "amqp:connection:framing-error";

/// Why no connection was made: a condition, and what is known about it.
#[derive(Debug)]
pub(super) struct HandshakeError {
    condition: String,
    description: String,
}

/// Opens a connection, with TLS and SASL where they are given.
pub(super) async fn open(
    url: &Url,
    container: &str,
    tls: Option<Arc<ClientConfig>>,
    sasl: Option<&Sasl>,
) -> Result<ConnectionHandle<()>> {
    let disconnected = |error: HandshakeError| Error::Disconnected {
        url: url.to_string(),
        condition: error.condition,
        description: error.description,
    };
    let stream = connect(url).await?.map_err(disconnected)?;
    let opened = match tls {
        None => open_amqp(stream, url, container, sasl).await,
        Some(config) => match secure(stream, url, config).await {
            Ok(stream) => open_amqp(stream, url, container, sasl).await,
            Err(error) => Err(error),
        },
    };
    opened.map_err(disconnected)
}

/// The outer failure is that of the name.
async fn connect(url: &Url) -> Result<Result<TcpStream, HandshakeError>> {
    let found = tokio::net::lookup_host((url.host.as_str(), url.port)).await;
    let addresses: Vec<_> = found.map_err(|_| Error::UnknownHost)?.collect();
    Ok(TcpStream::connect(addresses.as_slice()).await.map_err(|error| {
        let refused = error.kind() == io::ErrorKind::ConnectionRefused;
        let description = if refused { "Connection refused to all addresses".to_owned() } else { error.to_string() };
        HandshakeError { condition: "proton.pythonio".to_owned(), description }
    }))
}

async fn secure(
    stream: TcpStream,
    url: &Url,
    config: Arc<ClientConfig>,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, HandshakeError> {
    let name = ServerName::try_from(url.host.clone());
    let name = name.map_err(|_| HandshakeError::framing("SSL Failure: the host is no name that TLS knows"))?;
    Ok(TlsConnector::from(config).connect(name, stream).await?)
}

async fn open_amqp<S>(
    mut stream: S,
    url: &Url,
    container: &str,
    sasl: Option<&Sasl>,
) -> Result<ConnectionHandle<()>, HandshakeError>
where
    S: AsyncRead + AsyncWrite + std::fmt::Debug + Send + Unpin + 'static,
{
    if let Some(sasl) = sasl {
        sasl.negotiate(&mut stream, &url.host).await?;
    }
    // TLS is done already, so the builder must not begin it.
    let builder = Connection::builder().container_id(container).scheme("amqp").hostname(url.host.as_str());
    Ok(builder.open_with_stream(WithoutAnnotations::new(stream)).await?)
}

// === impl HandshakeError ===

impl HandshakeError {
    pub(super) fn framing(description: impl Into<String>) -> Self {
        Self { condition: FRAMING.to_owned(), description: description.into() }
    }

    pub(super) fn unauthorized(description: String) -> Self {
        Self { condition: "amqp:unauthorized-access".to_owned(), description }
    }

    /// The peer answered with something else.
    pub(super) fn header(found: [u8; 8]) -> Self {
        let reason = if found.starts_with(b"AMQP") { "another protocol id" } else { "no protocol header found" };
        Self::framing(format!("Expected AMQP protocol header: {reason}"))
    }

    /// The peer ended before its protocol header.
    pub(super) fn no_header(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                Self::framing("Expected AMQP protocol header: no protocol header found (connection aborted)")
            }
            _ => error.into(),
        }
    }
}

impl From<io::Error> for HandshakeError {
    fn from(error: io::Error) -> Self {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        Self::framing(match tls {
            Some(rustls::Error::InvalidCertificate(reason)) => {
                format!("SSL Failure: certificate verify failed: {reason:?}")
            }
            Some(reason) => format!("SSL Failure: {reason}"),
            None if error.kind() == io::ErrorKind::UnexpectedEof => "connection aborted".to_owned(),
            None => error.to_string(),
        })
    }
}

impl From<OpenError> for HandshakeError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Io(error) => Self::no_header(error),
            OpenError::TransportError(fe2o3_amqp::transport::Error::Io(error)) => error.into(),
            OpenError::ProtocolHeaderMismatch(_) => {
                Self::framing("Expected AMQP protocol header: no protocol header found")
            }
            OpenError::RemoteClosedWithError(error) => {
                Self { condition: format!("{:?}", error.condition), description: error.description.unwrap_or_default() }
            }
            other => Self::framing(other.to_string()),
        }
    }
}
