//! Whether something takes too long.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// A time that something may take. To begin and to end it costs a look at the clock: its timer is set once, and goes on to
/// its end.
#[derive(Debug)]
pub(super) struct Limit {
    limit: Duration,
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

// === impl Limit ===

impl Limit {
    pub(super) const fn new(limit: Duration) -> Self {
        Self { limit, since: None, timer: None }
    }

    /// The time runs, unless it does.
    pub(super) fn begin(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    /// The time runs from now on.
    pub(super) fn restart(&mut self) {
        self.since = Some(Instant::now());
    }

    /// The time does not run.
    pub(super) fn end(&mut self) {
        self.since = None;
    }

    /// Ready when the time has passed.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(since) = self.since else { return Poll::Pending };
        let until = since + self.limit;
        loop {
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= until {
                return Poll::Ready(());
            }
            timer.as_mut().reset(until);
        }
    }
}
