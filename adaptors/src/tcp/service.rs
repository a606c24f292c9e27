//! What the flows of one tcpListener or tcpConnector share.

use parking_lot::Mutex;
use router_engine::{Effect, Mailbox};
use slab::Slab;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use tokio::sync::Notify;

/// Counters and live flows of one tcpListener or tcpConnector.
#[derive(Debug, Default)]
pub struct Service {
    opened: AtomicU64,
    closed: AtomicU64,
    flows: Mutex<Flows>,
    /// Told when the last flow has ended.
    left: Notify,
}

#[derive(Debug, Default)]
struct Flows {
    /// The tcpListener or tcpConnector was deleted.
    closing: bool,
    members: Slab<Arc<Mailbox>>,
}

/// A flow's membership; ends when dropped.
#[derive(Debug)]
pub(super) struct Member {
    service: Arc<Service>,
    key: usize,
}

// === impl Service ===

impl Service {
    /// Flows begun.
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Flows ended.
    pub fn closed(&self) -> u64 {
        self.closed.load(Ordering::Relaxed)
    }

    pub(super) fn count_opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    /// Begins a flow that is told through `mailbox` to close. `None` when the service was closed.
    pub(super) fn join(self: &Arc<Self>, mailbox: &Arc<Mailbox>) -> Option<Member> {
        let key = {
            let mut flows = self.flows.lock();
            if flows.closing {
                return None;
            }
            flows.members.insert(Arc::clone(mailbox))
        };
        self.count_opened();
        Some(Member { service: Arc::clone(self), key })
    }

    /// Lets no more flows begin; with `drop_connections` also closes those that live.
    pub(crate) fn close(&self, drop_connections: bool) {
        // Wakers run outside of the lock: a flow that ends at once takes the lock to leave.
        let wakers: Vec<_> = {
            let mut flows = self.flows.lock();
            flows.closing = true;
            let told = flows.members.iter().filter(|_| drop_connections);
            told.filter_map(|(_, m)| m.post(Effect::Close { error: None, hard: true })).collect()
        };
        wakers.into_iter().for_each(std::task::Waker::wake);
    }

    /// Waits until no flow is left.
    pub(crate) async fn ended(&self) {
        loop {
            let mut left = pin!(self.left.notified());
            // What is told from here on is not missed.
            left.as_mut().enable();
            if self.flows.lock().members.is_empty() {
                return;
            }
            left.await;
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.service.closed.fetch_add(1, Ordering::Relaxed);
        let members = &mut self.service.flows.lock().members;
        members.try_remove(self.key);
        if members.is_empty() {
            *members = Slab::new();
            self.service.left.notify_waiters();
        }
    }
}

/// Waits until a connection that has no flow yet is to be closed. What it is told besides is kept.
pub(super) async fn told_to_close(mailbox: &Mailbox, others: &mut Vec<Effect>) {
    closed_or(mailbox, others, || false).await;
}

/// As [`told_to_close`]; or until `given_up`, which is asked whenever the mailbox was told something.
pub(super) async fn closed_or(mailbox: &Mailbox, others: &mut Vec<Effect>, mut given_up: impl FnMut() -> bool) {
    let (mut effects, mut ready) = (Vec::new(), Vec::new());
    std::future::poll_fn(|cx| {
        loop {
            mailbox.take(&mut effects, &mut ready);
            ready.clear();
            others.append(&mut effects);
            let close = others.iter().any(|e| matches!(e, Effect::Close { .. } | Effect::AbortOut { .. }));
            if close || given_up() {
                return Poll::Ready(());
            }
            if mailbox.park(cx.waker()) {
                return Poll::Pending;
            }
        }
    })
    .await;
}
