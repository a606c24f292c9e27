//! When to try again what failed.

use std::future::Future;
use std::time::Duration;
use tokio::time::Instant;

/// Pauses between attempts to open a listening socket: short at first, for ports that are free again soon.
#[derive(Debug, Default)]
pub(crate) struct Retry {
    /// The last pause.
    pause: Duration,
    due: Option<Instant>,
}

const FIRST: Duration = Duration::from_millis(250);

const LONGEST: Duration = Duration::from_secs(4);

// === impl Retry ===

impl Retry {
    /// After a failure: the next attempt comes after a pause, longer than the one before.
    pub(crate) fn failed(&mut self) {
        self.pause = (self.pause * 2).clamp(FIRST, LONGEST);
        self.due = Some(Instant::now() + self.pause);
    }

    /// There is nothing to try again.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Ready when the next attempt is due; never when nothing has failed.
    pub(crate) fn due(&self) -> impl Future<Output = ()> + use<> {
        at(self.due)
    }
}

/// Ready at that time; never when there is none.
pub(crate) async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_to_a_limit() {
        let mut retry = Retry::default();
        let mut pauses = Vec::new();
        for _ in 0..6 {
            retry.failed();
            let begun = Instant::now();
            retry.due().await;
            pauses.push(begun.elapsed().as_millis());
        }
        assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 4000]);
        retry.clear();
        let forever = Duration::from_secs(86_400);
        tokio::time::timeout(forever, retry.due()).await.expect_err("nothing to try");
    }
}
