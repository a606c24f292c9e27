//! A long path: what is copied arrives later, at whatever rate it comes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

/// Octets under way at most.
const UNDER_WAY: usize = 128 << 20;
/// Octets of one read at most.
const READ: usize = 256 << 10;

/// Octets under way, or the end if there are none, when they arrive, and the room that they take.
struct Parcel(Instant, Vec<u8>, OwnedSemaphorePermit);

/// Copies until the end of `from`, which arrives as late as everything else.
pub(super) async fn copy_delayed(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    delay: Duration,
) -> Result<()> {
    let (sender, receiver) = unbounded_channel();
    let (read, written) = tokio::join!(take(&mut from, sender, delay), bring(&mut to, receiver));
    written.and(read)?;
    Ok(to.shutdown().await?)
}

async fn take(from: &mut (impl AsyncRead + Unpin), to: UnboundedSender<Parcel>, delay: Duration) -> Result<()> {
    let (room, mut block) = (Arc::new(Semaphore::new(UNDER_WAY)), vec![0; READ]);
    loop {
        let count = from.read(&mut block).await?;
        let permit = Arc::clone(&room).acquire_many_owned(u32::try_from(count)?).await?;
        let sent = to.send(Parcel(Instant::now() + delay, block[..count].to_vec(), permit));
        if count == 0 || sent.is_err() {
            return Ok(());
        }
    }
}

async fn bring(to: &mut (impl AsyncWrite + Unpin), mut parcels: UnboundedReceiver<Parcel>) -> Result<()> {
    while let Some(Parcel(due, octets, _room)) = parcels.recv().await {
        sleep_until(due).await;
        to.write_all(&octets).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Octets with a pause in between arrive with that pause, and so does the end.
    #[tokio::test]
    async fn everything_is_late() -> Result<()> {
        let delay = Duration::from_millis(50);
        let (mut near, from) = tokio::io::duplex(1024);
        let (to, mut far) = tokio::io::duplex(1024);
        let begun = Instant::now();
        let copy = tokio::spawn(copy_delayed(from, to, delay));
        let mut seen = Vec::new();
        for octet in [1, 2] {
            near.write_u8(octet).await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        drop(near);
        while let Ok(octet) = far.read_u8().await {
            seen.push((octet, begun.elapsed().as_millis()));
        }
        seen.push((0, begun.elapsed().as_millis()));
        copy.await??;
        assert_eq!(seen.len(), 3);
        for ((octet, at), (expected, earliest)) in seen.into_iter().zip([(1, 50), (2, 70), (0, 90)]) {
            assert_eq!(octet, expected);
            assert!(at >= earliest, "{octet} after {at} ms");
        }
        Ok(())
    }
}
