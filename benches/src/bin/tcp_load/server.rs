//! The server's side: a thread for each connection.

use crate::{Failure, Kind};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

/// Octets of one call of the kernel.
pub(crate) const CHUNK: usize = 128 * 1024;

pub(crate) fn serve(port: &str) -> Result<(), Failure> {
    let listener = TcpListener::bind(("127.0.0.1", port.parse()?))?;
    accept(&listener);
    Err("the socket no longer accepts".into())
}

pub(crate) fn accept(listener: &TcpListener) {
    for socket in listener.incoming() {
        let Ok(socket) = socket else { return };
        std::thread::spawn(move || handle(socket));
    }
}

pub(crate) fn handle(mut socket: TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut kind = [0];
    socket.read_exact(&mut kind)?;
    let mut chunk = vec![0; CHUNK];
    if kind[0] == Kind::Download as u8 {
        loop {
            socket.write_all(&chunk)?;
        }
    }
    loop {
        let n = socket.read(&mut chunk)?;
        if n == 0 {
            return Ok(());
        }
        if kind[0] == Kind::Echo as u8 {
            socket.write_all(&chunk[..n])?;
        }
    }
}
