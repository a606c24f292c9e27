//! Client sockets with bounded waits.

use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use socket2::SockRef;

use crate::harness::patience;

/// Connects, with every later read and write limited to the test's patience.
pub fn connect(to: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, patience()).with_context(|| format!("connecting to {to}"))?;
    limit_waits(&stream)?;
    Ok(stream)
}

pub(crate) fn limit_waits(stream: &TcpStream) -> Result<()> {
    stream.set_read_timeout(Some(patience()))?;
    stream.set_write_timeout(Some(patience()))?;
    Ok(stream.set_nodelay(true)?)
}

/// Closes the socket with a reset instead of an orderly end.
pub fn reset(stream: TcpStream) -> Result<()> {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    drop(stream);
    Ok(())
}

/// Fails unless nothing listens at `address`.
pub fn expect_refused(address: SocketAddr) -> Result<()> {
    match TcpStream::connect_timeout(&address, patience()) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(error).with_context(|| format!("connecting to {address}")),
        Ok(_) => bail!("something listens at {address}"),
    }
}

/// Waits until the peer has ended the connection, orderly or with a reset, without sending anything more.
pub fn expect_end(stream: &mut TcpStream) -> Result<()> {
    let mut octet = [0];
    match stream.read(&mut octet) {
        Ok(0) => Ok(()),
        Ok(_) => bail!("data instead of the end of the connection"),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(()),
        Err(error) => Err(error).context("waiting for the end of the connection"),
    }
}

/// Waits until the peer has ended its direction in good order, without sending anything more.
pub fn expect_fin(stream: &mut TcpStream) -> Result<()> {
    match stream.read(&mut [0]).context("waiting for an orderly end")? {
        0 => Ok(()),
        _ => bail!("data instead of an orderly end"),
    }
}

/// Waits until the connection is reset, without anything more being sent. An orderly end is a failure.
pub fn expect_reset(stream: &mut impl Read) -> Result<()> {
    match stream.read(&mut [0]) {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(()),
        Err(error) => Err(error).context("waiting for a reset"),
        Ok(0) => bail!("an orderly end instead of a reset"),
        Ok(_) => bail!("data instead of a reset"),
    }
}

/// Reads exactly as many octets as `expected` has and compares.
pub fn receive_exactly(stream: &mut TcpStream, expected: &[u8]) -> Result<()> {
    let mut received = vec![0; expected.len()];
    stream.read_exact(&mut received).with_context(|| format!("waiting for {} octets", expected.len()))?;
    if received != expected {
        bail!("received {:?} instead of {:?}", received.escape_ascii(), expected.escape_ascii());
    }
    Ok(())
}
