//! Flows at full speed.

use crate::server::CHUNK;
use crate::{Failure, Kind};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

pub(crate) struct Bulk {
    flows: Vec<Flow>,
    begun: parking_lot::Mutex<Option<Instant>>,
}

struct Flow {
    socket: TcpStream,
    octets: Arc<AtomicU64>,
    thread: JoinHandle<io::Result<()>>,
}

impl Bulk {
    /// Begins to send or receive.
    pub(crate) fn start(to: SocketAddr, flows: usize, direction: Kind) -> Result<Self, Failure> {
        let flows = (0..flows).map(|_| Flow::start(to, direction)).collect::<Result<_, _>>()?;
        Ok(Self { flows, begun: parking_lot::Mutex::new(None) })
    }

    /// Counts from here.
    pub(crate) fn begin(&self) {
        for flow in &self.flows {
            flow.octets.store(0, Ordering::Relaxed);
        }
        *self.begun.lock() = Some(Instant::now());
    }

    /// Octets a second of all flows since [`Self::begin`], and the share of the slowest flow in an even one.
    pub(crate) fn end(self) -> Result<(u64, f64), Failure> {
        let took = self.begun.lock().ok_or("not begun")?.elapsed().as_secs_f64();
        let counts: Vec<u64> = self.flows.iter().map(|flow| flow.octets.load(Ordering::Relaxed)).collect();
        for flow in self.flows {
            // Ending it makes the thread's call fail; one that failed by itself has ended before.
            let early = flow.thread.is_finished();
            let _ = flow.socket.shutdown(Shutdown::Both);
            let _ = flow.thread.join();
            if early {
                return Err("a bulk flow has ended early".into());
            }
        }
        let total: u64 = counts.iter().sum();
        let slowest = counts.iter().min().copied().unwrap_or(0) as f64;
        let even = (total as f64 / counts.len().max(1) as f64).max(1.0);
        Ok(((total as f64 / took) as u64, slowest / even))
    }
}

impl Flow {
    fn start(to: SocketAddr, direction: Kind) -> io::Result<Self> {
        let socket = TcpStream::connect(to)?;
        let octets = Arc::new(AtomicU64::new(0));
        let (mut own, counter) = (socket.try_clone()?, Arc::clone(&octets));
        let thread = std::thread::spawn(move || {
            own.write_all(&[direction as u8])?;
            let mut chunk = vec![0; CHUNK];
            loop {
                let n = if direction == Kind::Download { own.read(&mut chunk)? } else { own.write(&chunk)? };
                if n == 0 {
                    return Ok(());
                }
                counter.fetch_add(n as u64, Ordering::Relaxed);
            }
        });
        Ok(Self { socket, octets, thread })
    }
}
