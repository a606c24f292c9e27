//! A TCP server whose behaviour a test changes while it runs.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, anyhow};

use super::Digest;
use super::socket::limit_waits;
use crate::harness::patience;

type Script = dyn Fn(TcpStream) -> Result<Digest> + Send + Sync;

/// A script and how many there were before it.
#[derive(Clone)]
struct Numbered {
    number: u64,
    script: Arc<Script>,
}

/// How a connection ended, and the number of the script that it was served by.
struct Outcome(u64, Result<Digest>);

/// A server that runs the present script on each connection, in a thread per connection.
pub struct ScriptedServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    outcomes: Receiver<Outcome>,
}

struct Shared {
    script: Mutex<Numbered>,
    stopping: AtomicBool,
}

// === impl ScriptedServer ===

impl ScriptedServer {
    /// Starts a server that closes every connection at once, until it gets a script.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("server socket")?;
        let address = listener.local_addr()?;
        let first = Numbered { number: 0, script: Arc::new(|_| Ok(Digest::default())) };
        let shared = Arc::new(Shared { script: Mutex::new(first), stopping: AtomicBool::new(false) });
        let (sender, outcomes) = channel();
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accepting.accept(&listener, &sender));
        Ok(Self { address, shared, outcomes })
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Uses `script` for the connections accepted from now on; outcomes of earlier ones no longer count.
    pub fn script(&self, script: impl Fn(TcpStream) -> Result<Digest> + Send + Sync + 'static) {
        let mut present = self.shared.script.lock().unwrap_or_else(PoisonError::into_inner);
        *present = Numbered { number: present.number + 1, script: Arc::new(script) };
    }

    /// Waits until one more connection under the present script has ended, and returns what the script returned.
    pub fn outcome(&self) -> Result<Digest> {
        let present = self.shared.present().number;
        loop {
            let waited = self.outcomes.recv_timeout(patience());
            let Outcome(number, outcome) = waited.map_err(|_| anyhow!("no connection to the server ended in time"))?;
            if number == present {
                return outcome.context("server side");
            }
        }
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        // Wakes the accepting thread, which then sees the flag.
        let _ = TcpStream::connect(self.address);
    }
}

// === impl Shared ===

impl Shared {
    fn present(&self) -> Numbered {
        self.script.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn accept(&self, listener: &TcpListener, outcomes: &Sender<Outcome>) {
        for stream in listener.incoming() {
            if self.stopping.load(Ordering::Acquire) {
                return;
            }
            let Numbered { number, script } = self.present();
            let outcomes = outcomes.clone();
            thread::spawn(move || {
                let served = stream.map_err(Into::into).and_then(|stream| {
                    limit_waits(&stream)?;
                    script(stream)
                });
                // Nobody listens any more once the test is over.
                let _ = outcomes.send(Outcome(number, served));
            });
        }
    }
}

/// A script that sends back what comes.
pub fn echo(mut stream: TcpStream) -> Result<Digest> {
    let mut octets = [0; 1024];
    loop {
        match stream.read(&mut octets)? {
            0 => return Ok(Digest::default()),
            count => stream.write_all(&octets[..count])?,
        }
    }
}
