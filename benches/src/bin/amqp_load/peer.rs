//! A client with its socket.

use super::client::{Client, End};
use super::clock::Clock;
use super::receiver::Latency;
use super::socket::{Input, Socket};
use super::wire::MAX_FRAME;
use anyhow::{Result, bail};

/// Octets of the buffer: room for a frame that has come in parts, and as much as sockets hold.
const BUFFER: usize = 384 * 1024 + MAX_FRAME as usize;

/// What all peers use in turn.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) clock: Clock,
    buffer: Vec<u8>,
    pub(crate) latency: Option<Latency>,
}

/// A client with its socket.
#[derive(Debug)]
pub(crate) struct Peer {
    socket: Socket,
    client: Client,
    /// The begin of a frame.
    carry: Vec<u8>,
    written_at: u64,
}

// === impl Shared ===

impl Shared {
    pub(crate) fn new() -> Self {
        Self { clock: Clock::new(), buffer: vec![0; BUFFER], latency: None }
    }
}

// === impl Peer ===

impl Peer {
    pub(crate) const fn new(socket: Socket, client: Client) -> Self {
        Self { socket, client, carry: Vec::new(), written_at: 0 }
    }

    pub(crate) const fn end(&self) -> &End {
        self.client.end()
    }

    pub(crate) const fn end_mut(&mut self) -> &mut End {
        self.client.end_mut()
    }

    /// Load can begin.
    pub(crate) const fn is_ready(&self) -> bool {
        self.client.is_ready()
    }

    /// Not a receiver that has got nothing yet.
    pub(crate) const fn is_reached(&self) -> bool {
        match self.client.end() {
            End::Sender(_) => true,
            End::Receiver(receiver) => receiver.tally().received > 0,
        }
    }

    /// Reads if there may be something, and writes everything that there is to write.
    pub(crate) fn turn(&mut self, is_readable: bool, shared: &mut Shared) -> Result<()> {
        let mut is_readable = is_readable;
        loop {
            is_readable = is_readable && self.read(shared)?;
            self.write(shared.clock)?;
            if !is_readable {
                return Ok(());
            }
        }
    }

    /// Lets the router hear from us, if it is time.
    pub(crate) fn tick(&mut self, shared: &mut Shared) -> Result<()> {
        let silence = shared.clock.nanos() - self.written_at;
        if self.client.heartbeat().is_some_and(|heartbeat| silence >= heartbeat) {
            self.client.beat();
            self.turn(false, shared)?;
        }
        Ok(())
    }

    /// Says good-bye, and does not wait for an answer.
    pub(crate) fn close(&mut self, shared: &mut Shared) -> Result<()> {
        self.client.close();
        self.turn(false, shared)
    }

    /// True when there may be more to read.
    fn read(&mut self, shared: &mut Shared) -> Result<bool> {
        let held = self.carry.len();
        let (front, room) = shared.buffer.split_at_mut(held);
        front.copy_from_slice(&self.carry);
        let length = match self.socket.read(room)? {
            Input::Octets(length) => length,
            Input::Nothing => return Ok(false),
            Input::Closed => bail!("the router has cut a connection"),
        };
        // What comes after a read that was not filled is told anew.
        let is_full = length == room.len();
        let input = &shared.buffer[..held + length];
        let used = self.client.receive(input, shared.clock.nanos(), shared.latency.as_mut())?;
        self.carry.clear();
        self.carry.extend_from_slice(&input[used..]);
        Ok(is_full)
    }

    /// Writes as much as the socket takes.
    fn write(&mut self, clock: Clock) -> Result<()> {
        let now = clock.nanos();
        loop {
            let output = self.client.output(now);
            if output.is_empty() {
                return Ok(());
            }
            let length = output.len();
            let written = self.socket.write(output)?;
            self.client.advance(written);
            self.written_at = now;
            if written < length {
                return Ok(());
            }
        }
    }
}
