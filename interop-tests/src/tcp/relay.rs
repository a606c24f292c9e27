//! A relay between two routers, whose connections a test resets, or on which everything takes its time.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use socket2::SockRef;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use super::delay::copy_delayed;

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
        Self::delayed(target, 0, Duration::ZERO)
    }

    /// Starts a relay on `port` (0: any) that is so long, one way.
    pub fn delayed(target: SocketAddr, port: u16, delay: Duration) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, port))).context("relay socket")?;
        let address = listener.local_addr()?;
        let cut = Arc::new(Notify::new());
        runtime.spawn(accept(listener, target, delay, Arc::clone(&cut)));
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

async fn accept(listener: TcpListener, target: SocketAddr, delay: Duration, cut: Arc<Notify>) {
    while let Ok((near, _)) = listener.accept().await {
        tokio::spawn(carry(near, target, delay, Arc::clone(&cut)));
    }
}

async fn carry(mut near: TcpStream, target: SocketAddr, delay: Duration, cut: Arc<Notify>) {
    let told = cut.notified();
    // Nobody listens while the target is restarted: the dialler tries again.
    let Ok(mut far) = TcpStream::connect(target).await else { return };
    tokio::select! {
        _ = copy(&mut near, &mut far, delay) => {}
        () = told => {
            for side in [&near, &far] {
                // Closing resets.
                let _ = SockRef::from(side).set_linger(Some(Duration::ZERO));
            }
        }
    }
}

async fn copy(near: &mut TcpStream, far: &mut TcpStream, delay: Duration) -> Result<()> {
    if delay.is_zero() {
        copy_bidirectional(near, far).await?;
        return Ok(());
    }
    for side in [&*near, far] {
        side.set_nodelay(true)?;
    }
    let ((from_near, to_near), (from_far, to_far)) = (near.split(), far.split());
    let ways = (copy_delayed(from_near, to_far, delay), copy_delayed(from_far, to_near, delay));
    tokio::try_join!(ways.0, ways.1)?;
    Ok(())
}
