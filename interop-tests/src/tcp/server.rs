//! A TCP server whose behaviour a test changes while it runs.

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

/// A server that runs the present script on each connection, in a thread per connection.
pub struct ScriptedServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    outcomes: Receiver<Result<Digest>>,
}

struct Shared {
    script: Mutex<Arc<Script>>,
    stopping: AtomicBool,
}

// === impl ScriptedServer ===

impl ScriptedServer {
    /// Starts a server that closes every connection at once, until it gets a script.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("server socket")?;
        let address = listener.local_addr()?;
        let script: Arc<Script> = Arc::new(|_| Ok(Digest::default()));
        let shared = Arc::new(Shared { script: Mutex::new(script), stopping: AtomicBool::new(false) });
        let (sender, outcomes) = channel();
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accepting.accept(&listener, &sender));
        Ok(Self { address, shared, outcomes })
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Uses `script` for the connections accepted from now on, and forgets earlier outcomes.
    pub fn script(&self, script: impl Fn(TcpStream) -> Result<Digest> + Send + Sync + 'static) {
        *self.shared.script.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(script);
        while self.outcomes.try_recv().is_ok() {}
    }

    /// Waits until one more connection has ended, and returns what its script returned.
    pub fn outcome(&self) -> Result<Digest> {
        let waited = self.outcomes.recv_timeout(patience());
        waited.map_err(|_| anyhow!("no connection to the server ended in time")).flatten().context("server side")
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
    fn accept(&self, listener: &TcpListener, outcomes: &Sender<Result<Digest>>) {
        for stream in listener.incoming() {
            if self.stopping.load(Ordering::Acquire) {
                return;
            }
            let script = Arc::clone(&self.script.lock().unwrap_or_else(PoisonError::into_inner));
            let outcomes = outcomes.clone();
            thread::spawn(move || {
                let served = stream.map_err(Into::into).and_then(|stream| {
                    limit_waits(&stream)?;
                    script(stream)
                });
                // Nobody listens any more once the test is over.
                let _ = outcomes.send(served);
            });
        }
    }
}
