//! A socket that never waits.

use anyhow::Result;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

/// What a read came to.
pub(crate) enum Input {
    /// So many octets.
    Octets(usize),
    Nothing,
    Closed,
}

/// A connected socket.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
}

// === impl Socket ===

impl Socket {
    /// Connects, which is the one thing that waits.
    pub(crate) fn connect(address: SocketAddr, registry: &Registry, token: Token) -> Result<Self> {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { stream })
    }

    pub(crate) fn read(&mut self, room: &mut [u8]) -> Result<Input> {
        match self.stream.read(room) {
            Ok(0) => Ok(Input::Closed),
            Ok(length) => Ok(Input::Octets(length)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Input::Nothing),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns how many octets the socket took.
    pub(crate) fn write(&mut self, octets: &[u8]) -> Result<usize> {
        match self.stream.write(octets) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            result => Ok(result?),
        }
    }
}
