//! The routers between a client and a server.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;

use super::{Server, Site};
use crate::harness::{Binary, Certificates, Port};
use crate::topology::{Line, LineBuilder, Tls};

/// Name and address of the service.
const SERVICE: &str = "app";

/// Which routers stand between client and server, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routers {
    /// One of ours.
    One,
    /// Two of ours, joined with mutual TLS.
    Two,
    /// The C router and one of ours, joined with mutual TLS.
    UpstreamFirst,
    /// One of ours and the C router, joined with mutual TLS.
    UpstreamLast,
}

/// Who encrypts between client and server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// Nobody.
    Plain,
    /// The client, up to the listener.
    ToListener,
    /// The connector, to the server.
    FromConnector,
    /// Both of these.
    AtBothEnds,
    /// Client and server, and the routers know nothing of it.
    PassedThrough,
}

/// Running routers, with room for a server behind the last.
#[derive(Debug)]
pub struct Stage {
    /// The routers, with the service from the first to the last.
    pub line: Line,
    encryption: Encryption,
    port: Option<Port>,
}

// === impl Routers ===

impl Routers {
    /// Their programs.
    ///
    /// # Errors
    /// [`Skip`](crate::harness::Skip) if the C router is among them and not at hand.
    pub fn binaries(self) -> Result<Vec<Binary>> {
        let ours = Binary::ours()?;
        Ok(match self {
            Self::One => vec![ours],
            Self::Two => vec![ours.clone(), ours],
            Self::UpstreamFirst => vec![Binary::upstream()?, ours],
            Self::UpstreamLast => vec![ours, Binary::upstream()?],
        })
    }
}

// === impl Encryption ===

impl Encryption {
    /// Whether the client speaks TLS.
    pub const fn is_at_client(self) -> bool {
        matches!(self, Self::ToListener | Self::AtBothEnds | Self::PassedThrough)
    }

    /// Whether the server speaks TLS.
    pub const fn is_at_server(self) -> bool {
        matches!(self, Self::FromConnector | Self::AtBothEnds | Self::PassedThrough)
    }

    const fn of_routers(self) -> Tls {
        match self {
            Self::Plain | Self::PassedThrough => Tls::None,
            Self::ToListener => Tls::Listener,
            Self::FromConnector => Tls::Connector,
            Self::AtBothEnds => Tls::Both,
        }
    }
}

// === impl Stage ===

impl Stage {
    /// Starts routers, and waits until the first one listens for clients.
    pub fn open(routers: Routers, encryption: Encryption) -> Result<Self> {
        Self::of(LineBuilder::new(routers.binaries()?), routers, encryption)
    }

    /// The same with a line that has settings of its own.
    pub fn of(line: LineBuilder, routers: Routers, encryption: Encryption) -> Result<Self> {
        let port = Port::reserve()?;
        let last = usize::from(routers != Routers::One);
        let line = line.service(SERVICE, 0, last, port.address()).tls(encryption.of_routers()).start()?;
        fs::create_dir(line.folder().join(SERVICE))?;
        Ok(Self { line, encryption, port: Some(port) })
    }

    /// Starts the server.
    ///
    /// # Panics
    /// If it has one.
    pub fn serve(&mut self, server: impl FnOnce(Port, Site<'_>) -> Result<Server>) -> Result<Server> {
        let port = self.port.take().expect("one server for a stage");
        let folder = self.server_folder();
        let tls = self.encryption.is_at_server().then(|| self.line.certificates());
        server(port, Site { folder: &folder, tls })
    }

    /// Where clients connect.
    pub fn entrance(&self) -> SocketAddr {
        self.line.listen_address(SERVICE).expect("it was added")
    }

    /// The port of it, as an argument.
    pub fn port(&self) -> String {
        self.entrance().port().to_string()
    }

    /// What clients use, if they are to speak TLS.
    pub fn client_tls(&self) -> Option<&Certificates> {
        self.encryption.is_at_client().then(|| self.line.certificates())
    }

    /// A file of the client's.
    pub fn file(&self, name: &str) -> PathBuf {
        self.line.folder().join(name)
    }

    /// The folder of the server's files.
    pub fn server_folder(&self) -> PathBuf {
        self.line.folder().join(SERVICE)
    }

    /// Fails if a router has logged an error.
    pub fn expect_no_errors(&self) -> Result<()> {
        self.line.expect_no_errors(&[])
    }
}
