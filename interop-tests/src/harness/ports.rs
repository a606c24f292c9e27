//! TCP ports that nothing else on the machine is about to use.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};

/// Below the ephemeral range of Linux, so that no outgoing connection takes a port between choice and use.
const RANGE: std::ops::Range<u32> = 15_000..32_000;

/// A reserved port of the loopback interface, returned when dropped.
///
/// A router must bind the port itself, so binding it here would not reserve it. Instead a lock on a file named after
/// the port keeps other test processes away from it; the kernel drops the lock with the process.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

// === impl Port ===

impl Port {
    /// Reserves a free port.
    pub fn reserve() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let folder = lock_folder()?;
        // Processes start at different places, so that they rarely try each other's ports.
        let start = std::process::id().wrapping_mul(2_654_435_761) >> 8;
        for _ in 0..RANGE.len() {
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            let number = RANGE.start + start.wrapping_add(step) % (RANGE.end - RANGE.start);
            let number = u16::try_from(number).context("port range")?;
            let lock = File::create(folder.join(number.to_string())).context("port lock")?;
            if lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Ok(Self { number, _lock: lock });
            }
        }
        bail!("no free port in {RANGE:?}")
    }

    /// The port number.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// The loopback address with this port.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}

fn lock_folder() -> Result<PathBuf> {
    let folder = std::env::temp_dir().join("skrouterd-interop-ports");
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    Ok(folder)
}
