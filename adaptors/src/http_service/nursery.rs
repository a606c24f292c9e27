//! Work beside an HTTP connection, done by the task that owns the connection: no other thread is woken for it.

use futures_util::stream::{FuturesUnordered, StreamExt};
use hyper::rt::Executor;
use parking_lot::Mutex;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where work is left.
#[derive(Clone, Default)]
pub(super) struct Nursery(Arc<Mutex<Vec<Job>>>);

/// The work, for who does it.
#[derive(Default)]
pub(super) struct Jobs {
    nursery: Nursery,
    under_way: FuturesUnordered<Job>,
}

impl fmt::Debug for Nursery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Nursery").field(&self.0.lock().len()).finish()
    }
}

// === impl Nursery ===

impl Nursery {
    /// Has work done from the next turn of the connection on, which must be within this one.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.0.lock().push(Box::pin(work));
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Nursery {
    fn execute(&self, work: F) {
        self.spawn(work);
    }
}

// === impl Jobs ===

impl Jobs {
    pub(super) fn nursery(&self) -> Nursery {
        self.nursery.clone()
    }

    /// Whether nothing is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.under_way.is_empty() && self.nursery.0.lock().is_empty()
    }

    /// Does what can be done. True: some of it was new, or has ended.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        loop {
            let new = std::mem::take(&mut *self.nursery.0.lock());
            progress |= !new.is_empty();
            self.under_way.extend(new);
            match self.under_way.poll_next_unpin(cx) {
                Poll::Ready(Some(())) => progress = true,
                Poll::Ready(None) | Poll::Pending if self.nursery.0.lock().is_empty() => return progress,
                Poll::Ready(None) | Poll::Pending => {}
            }
        }
    }
}
