//! The clock of hyper's timeouts.

use hyper::rt::{Sleep, Timer};
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Times out by the executor's clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TokioTimer;

pin_project! {
    struct TokioSleep {
        #[pin]
        inner: tokio::time::Sleep,
    }
}

// === impl TokioTimer ===

impl Timer for TokioTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(TokioSleep { inner: tokio::time::sleep(duration) })
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(TokioSleep { inner: tokio::time::sleep_until(deadline.into()) })
    }

    /// As of the clock that tests may stop.
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

// === impl TokioSleep ===

impl Sleep for TokioSleep {}

impl Future for TokioSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().inner.poll(cx)
    }
}
