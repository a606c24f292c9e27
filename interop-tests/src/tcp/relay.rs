//! A relay between two routers, whose connections a test resets.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use socket2::SockRef;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::Notify;

/// Carries every connection to a port of its own on to one target.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    cut: Arc<Notify>,
    _runtime: Runtime,
}

// === impl Relay ===

impl Relay {
    /// Starts a relay to `target`.
    pub fn start(target: SocketAddr) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).context("relay socket")?;
        let address = listener.local_addr()?;
        let cut = Arc::new(Notify::new());
        runtime.spawn(accept(listener, target, Arc::clone(&cut)));
        Ok(Self { address, cut, _runtime: runtime })
    }

    /// Where the relay listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resets all connections, at both sides. New ones are carried as before.
    pub fn reset_all(&self) {
        self.cut.notify_waiters();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, cut: Arc<Notify>) {
    while let Ok((near, _)) = listener.accept().await {
        tokio::spawn(carry(near, target, Arc::clone(&cut)));
    }
}

async fn carry(mut near: TcpStream, target: SocketAddr, cut: Arc<Notify>) {
    let told = cut.notified();
    // Nobody listens while the target is restarted: the dialler tries again.
    let Ok(mut far) = TcpStream::connect(target).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => {}
        () = told => {
            for side in [&near, &far] {
                // Closing resets.
                let _ = SockRef::from(side).set_linger(Some(Duration::ZERO));
            }
        }
    }
}
