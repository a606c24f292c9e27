//! What all adaptors share: the routing core, the executor, the shutdown signal, and housekeeping.

use crate::tcp::Service;
use crate::{clock, pool};
use parking_lot::Mutex;
use router_engine::Router;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How often the pools let go of what was not needed.
const TRIM_INTERVAL: Duration = Duration::from_secs(1);

/// Access to the core and the executor. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Io {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    router: Arc<Router>,
    handle: Handle,
    workers: usize,
    shutdown: watch::Sender<bool>,
    /// The TCP services whose flows are to be ended in the end.
    services: Mutex<Vec<Weak<Service>>>,
}

// === impl Io ===

impl Io {
    /// Adaptors for a core, on an executor with so many worker threads.
    #[must_use]
    pub fn new(router: Arc<Router>, handle: Handle, workers: usize) -> Self {
        Self {
            inner: Arc::new(Inner {
                router,
                handle,
                workers,
                shutdown: watch::Sender::new(false),
                services: Mutex::default(),
            }),
        }
    }

    /// The routing core.
    #[must_use]
    pub fn router(&self) -> &Arc<Router> {
        &self.inner.router
    }

    /// Worker threads of the executor.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.inner.workers
    }

    /// Runs a task.
    pub fn spawn<F>(&self, future: F) -> JoinHandle<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.inner.handle.spawn(future)
    }

    /// Enters the executor, for calls that create sockets outside of a task.
    pub(crate) fn enter(&self) -> tokio::runtime::EnterGuard<'_> {
        self.inner.handle.enter()
    }

    /// Starts what runs for as long as the router does: the core's timer and the pools' trimming.
    pub fn start(&self) {
        self.spawn(until_shutdown(self.clone(), run_core_timer(Arc::clone(self.router()))));
        self.spawn(until_shutdown(self.clone(), run_trim()));
    }

    /// Adds a TCP service whose flows [`Self::end_flows`] ends.
    pub fn add_service(&self, service: &Arc<Service>) {
        let mut services = self.inner.services.lock();
        services.retain(|known| known.strong_count() > 0);
        services.push(Arc::downgrade(service));
    }

    /// Cuts the flows of TCP services, lets no more begin, and waits until all have left the core, for `limit` at most.
    pub async fn end_flows(&self, limit: Duration) {
        let services: Vec<_> = self.inner.services.lock().iter().filter_map(Weak::upgrade).collect();
        services.iter().for_each(|service| service.close(true));
        let ended = async {
            for service in &services {
                service.ended().await;
            }
        };
        let _ = tokio::time::timeout(limit, ended).await;
    }

    /// Tells every listener, connector and connection to end. Sockets are closed without ceremony.
    pub fn shutdown(&self) {
        self.inner.shutdown.send_replace(true);
    }

    /// Ready once [`Self::shutdown`] was called.
    pub async fn stopped(&self) {
        signalled(&self.inner.shutdown).await;
    }
}

/// Waits until a signal is set (or its owner is gone).
pub(crate) async fn signalled(signal: &watch::Sender<bool>) {
    let _ = signal.subscribe().wait_for(|set| *set).await;
}

/// Runs work that its task must survive: `None` when it panicked. It is dropped before this returns.
pub(crate) async fn contained<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Some),
        Err(_) => Poll::Ready(None),
    })
    .await
}

async fn until_shutdown(io: Io, work: impl Future<Output = ()>) {
    tokio::select! {
        () = io.stopped() => {}
        () = work => {}
    }
}

async fn run_core_timer(router: Arc<Router>) {
    loop {
        let now = clock::now();
        let due = router.poll_timeout();
        if due <= now {
            router.handle_timeout(now);
        } else {
            // Nobody else moves what is due.
            tokio::time::sleep(due.since(now)).await;
        }
    }
}

async fn run_trim() {
    let mut ticks = tokio::time::interval(TRIM_INTERVAL);
    loop {
        ticks.tick().await;
        pool::trim();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_contained() {
        assert_eq!(contained(async { 7 }).await, Some(7));
        let lost = contained(async {
            tokio::task::yield_now().await;
            panic!("on purpose")
        });
        assert_eq!(lost.await, None::<()>);
    }
}
