//! A socket that never waits.

use amqp_core::engine::Output;
use anyhow::Result;
use bytes::{Bytes, BytesMut};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::SocketAddr;

/// Octets of the buffer, which all sockets share: what is read is used up before the next read.
const BUFFER: usize = 512 * 1024;
/// Room for one read at least.
const READ_MIN: usize = 128 * 1024;
/// Slices handed to the kernel at a time.
const SLICES: usize = 64;

/// Where sockets read to.
#[derive(Debug, Default)]
pub(crate) struct ReadBuffer {
    free: BytesMut,
}

/// What a read came to.
pub(crate) enum Input {
    Octets(Bytes),
    /// The same, and there are no more for now.
    Last(Bytes),
    Nothing,
    Closed,
}

/// A connected socket.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
}

// === impl ReadBuffer ===

impl ReadBuffer {
    fn room(&mut self) -> &mut [u8] {
        if self.free.len() < READ_MIN {
            self.free.clear();
            // The same memory again, as nobody has a part of it any more.
            self.free.reserve(BUFFER);
            self.free.resize(BUFFER, 0);
        }
        &mut self.free
    }
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

    pub(crate) fn read(&mut self, buffer: &mut ReadBuffer) -> Result<Input> {
        let room = buffer.room();
        match self.stream.read(room) {
            Ok(0) => Ok(Input::Closed),
            // What comes from now on is told anew.
            Ok(length) if length < room.len() => Ok(Input::Last(buffer.free.split_to(length).freeze())),
            Ok(length) => Ok(Input::Octets(buffer.free.split_to(length).freeze())),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Input::Nothing),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes as much as the socket takes. True when that is everything.
    pub(crate) fn write(&mut self, output: &mut Output) -> Result<bool> {
        while !output.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = output.fill_slices(&mut slices);
            match self.stream.write_vectored(&slices[..filled]) {
                Ok(length) => output.advance(length),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    }
}
