//! A connection with or without TLS.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use socket2::SockRef;

use crate::harness::Certificates;

/// A connection that a test reads and writes as the application would.
#[derive(Debug)]
pub enum Stream {
    /// Without TLS.
    Plain(TcpStream),
    /// The client's side of TLS.
    Client(Box<StreamOwned<ClientConnection, TcpStream>>),
    /// The server's side of TLS.
    Server(Box<StreamOwned<ServerConnection, TcpStream>>),
}

/// What makes TLS connections.
#[derive(Clone, Debug)]
pub struct TlsSetup {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

// === impl TlsSetup ===

impl TlsSetup {
    /// The server uses the identity, the client trusts its authority.
    pub fn new(files: &Certificates) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&files.ca)?)?;
        let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let chain = vec![CertificateDer::from_pem_file(&files.certificate)?];
        let key = PrivateKeyDer::from_pem_file(&files.key)?;
        let server = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
        Ok(Self { client: Arc::new(client), server: Arc::new(server) })
    }

    /// TLS as client. The handshake takes place with the first octets.
    pub fn client(&self, socket: TcpStream) -> Result<Stream> {
        let name = ServerName::try_from("localhost")?;
        let session = ClientConnection::new(Arc::clone(&self.client), name)?;
        Ok(Stream::Client(Box::new(StreamOwned::new(session, socket))))
    }

    /// TLS as server.
    pub fn server(&self, socket: TcpStream) -> Result<Stream> {
        let session = ServerConnection::new(Arc::clone(&self.server))?;
        Ok(Stream::Server(Box::new(StreamOwned::new(session, socket))))
    }
}

// === impl Stream ===

impl Stream {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Client(stream) => &stream.sock,
            Self::Server(stream) => &stream.sock,
        }
    }

    /// Ends the sending direction in good order.
    pub fn finish(&mut self) -> Result<()> {
        match self {
            Self::Plain(_) => {}
            Self::Client(stream) => stream.conn.send_close_notify(),
            Self::Server(stream) => stream.conn.send_close_notify(),
        }
        self.flush().context("the closing alert")?;
        self.socket().shutdown(Shutdown::Write).context("half-closing")
    }

    /// Ends the sending direction without the closing alert of TLS.
    pub fn finish_bare(&mut self) -> Result<()> {
        self.flush()?;
        self.socket().shutdown(Shutdown::Write).context("half-closing")
    }

    /// Resets the connection.
    pub fn reset(self) -> Result<()> {
        Ok(SockRef::from(self.socket()).set_linger(Some(Duration::ZERO))?)
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Client(stream) => stream.read(buffer),
            Self::Server(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(octets),
            Self::Client(stream) => stream.write(octets),
            Self::Server(stream) => stream.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Client(stream) => stream.flush(),
            Self::Server(stream) => stream.flush(),
        }
    }
}
