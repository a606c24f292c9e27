//! Whether clients of HTTP/2 take their answers.
//!
//! hyper asks an answer for a piece, and for the next one once its client has let that be sent. So an answer waits either for
//! its server, when it was asked last, or for its client, when it has given something last.

use super::limit::Limit;
use super::nursery::Nursery;
use hyper::body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

/// For how long a client may take nothing of what waits for it.
pub(super) const STALL_LIMIT: Duration = Duration::from_secs(300);

/// What the answer of the work that is polled was last asked for, and has said.
const NOTHING: u8 = 0;
const MORE_TO_COME: u8 = 1;
const A_PIECE: u8 = 2;

/// Tells the work of one connection, which is polled one after the other, what its answers do.
#[derive(Debug, Clone, Default)]
pub(super) struct Pace(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    last: AtomicU8,
    /// An answer was given up that was not told of yet.
    given_up: AtomicBool,
}

/// Has the work of a connection done; what its client takes nothing of is given up, which resets the stream.
#[derive(Debug, Clone)]
pub(super) struct Paced {
    pub(super) nursery: Nursery,
    pub(super) pace: Pace,
}

/// An answer that is looked after.
#[derive(Debug)]
pub(super) struct PacedBody<B> {
    body: B,
    pace: Pace,
}

// === impl Pace ===

impl Pace {
    pub(super) const fn body<B>(self, body: B) -> PacedBody<B> {
        PacedBody { body, pace: self }
    }

    /// Whether an answer was given up since this was asked.
    pub(super) fn has_given_up(&self) -> bool {
        self.0.given_up.swap(false, Ordering::Relaxed)
    }

    async fn look_after(self, work: impl Future<Output = ()>) {
        let mut work = pin!(work);
        let mut stalled = Limit::new(STALL_LIMIT);
        poll_fn(|cx| {
            self.0.last.store(NOTHING, Ordering::Relaxed);
            if work.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            match self.0.last.load(Ordering::Relaxed) {
                A_PIECE => stalled.restart(),
                MORE_TO_COME => stalled.end(),
                _ => {}
            }
            stalled.poll(cx).map(|()| self.0.given_up.store(true, Ordering::Relaxed))
        })
        .await;
    }
}

// === impl Paced ===

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Paced {
    fn execute(&self, work: F) {
        self.nursery.spawn(self.pace.clone().look_after(work));
    }
}

// === impl PacedBody ===

impl<B: Body + Unpin> Body for PacedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.get_mut();
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        this.pace.0.last.store(if frame.is_pending() { MORE_TO_COME } else { A_PIECE }, Ordering::Relaxed);
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
