//! A TCP service over a long path: how fast, and that what is carried is what was sent.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};

use crate::harness::eventually;
use crate::tcp::{Digest, ScriptedServer, connect, receive_all, send_pattern};
use crate::topology::{Line, LineBuilder};

/// Service address.
const SERVICE: &str = "far";

/// Octets that a sender may have unreported where routers have agreed on nothing else.
pub const FIXED_WINDOW: u64 = 1_042_432;

/// Which way octets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// Routers in a line, each hop of which is so long one way, with a service from the first to the last.
pub struct LongPath {
    line: Line,
    server: ScriptedServer,
}

// === impl LongPath ===

impl LongPath {
    /// Starts the line of `routers`.
    pub fn start(line: LineBuilder, routers: usize, delay: Duration) -> Result<Self> {
        let server = ScriptedServer::start()?;
        let line = if delay.is_zero() { line } else { line.delayed(delay) };
        let line = line.service(SERVICE, 0, routers - 1, server.address()).start()?;
        let path = Self { line, server };
        eventually("the service works", || path.carry(Direction::Up, 100).map(drop))?;
        Ok(path)
    }

    /// Where clients connect.
    pub fn address(&self) -> Result<SocketAddr> {
        self.line.listen_address(SERVICE)
    }

    /// What serves them.
    pub const fn server(&self) -> &ScriptedServer {
        &self.server
    }

    /// Carries `octets`, checks them, and returns how long it took.
    pub fn carry(&self, direction: Direction, octets: u64) -> Result<Duration> {
        let (from_client, from_server) = match direction {
            Direction::Up => (octets, 0),
            Direction::Down => (0, octets),
        };
        self.server.script(move |stream| both(&stream, from_server, from_client));
        let begun = Instant::now();
        both(&connect(self.address()?)?, from_client, from_server)?;
        self.server.outcome()?;
        Ok(begun.elapsed())
    }
}

/// Sends octets and receives others at the same time, until both have ended. What was received is checked.
fn both(stream: &TcpStream, sends: u64, receives: u64) -> Result<Digest> {
    let sending = stream.try_clone()?;
    let sender = thread::spawn(move || {
        send_pattern(&sending, sends, sends)?;
        anyhow::Ok(sending.shutdown(Shutdown::Write)?)
    });
    let received = receive_all(stream)?;
    sender.join().map_err(|_| anyhow!("sender panicked"))??;
    let expected = send_pattern(std::io::sink(), receives, receives)?;
    ensure!(received == expected, "{received:?} instead of {expected:?}");
    Ok(received)
}

/// Sends at `limit` octets a second, or as fast as it goes, until the stream is shut.
pub fn flood(mut stream: TcpStream, limit: Option<u64>) -> Result<Digest> {
    let (block, begun, mut sent) = (vec![0x5a; 64 * 1024], Instant::now(), 0_u64);
    while stream.write_all(&block).is_ok() {
        sent += block.len() as u64;
        if let Some(limit) = limit {
            thread::sleep(Duration::from_secs_f64(sent as f64 / limit as f64).saturating_sub(begun.elapsed()));
        }
    }
    Ok(Digest { octets: sent, crc: 0 })
}

/// Octets a second that come in a time.
pub fn receive_for(stream: &mut TcpStream, time: Duration) -> Result<u64> {
    let (mut block, begun, mut octets) = (vec![0; 256 * 1024], Instant::now(), 0_u64);
    while begun.elapsed() < time {
        let count = stream.read(&mut block).context("receiving")?;
        ensure!(count > 0, "the stream has ended");
        octets += count as u64;
    }
    Ok((octets as f64 / begun.elapsed().as_secs_f64()) as u64)
}
