//! What the flows of one tcpListener or tcpConnector share.

use super::idle::{IdleFlows, IdleLimits, Watch};
use super::record::FlowRecord;
use crate::tasks::{self, Owner, Seat};
use parking_lot::Mutex;
use router_engine::exchange::Role;
use router_engine::vanflow::Record;
use router_engine::{Effect, Mailbox};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::Poll;

/// Octets that a flow has carried, in both directions, until it adds them to those of its service. A flow that ends adds
/// what is left.
const ADD_EVERY: u64 = 64 * 1024;

/// Which tcpListener or tcpConnector it is.
#[derive(Debug, Clone)]
pub struct Label {
    /// Of a listener the requester's, of a connector the responder's.
    pub role: Role,
    /// The entity's name.
    pub name: String,
    /// The service address; empty where there are several.
    pub address: String,
}

/// Counters and live flows of one tcpListener or tcpConnector.
#[derive(Debug)]
pub struct Service {
    label: Label,
    /// It exists, for those who look at all services.
    exists: AtomicBool,
    read: AtomicU64,
    written: AtomicU64,
    opened: AtomicU64,
    closed: AtomicU64,
    timed_out: AtomicU64,
    owner: Arc<Owner>,
    /// Of a tcpConnector. It lives as long as the last of its flows.
    record: Option<Record>,
    /// Those that may be idle for so long only.
    idle: Option<Arc<IdleFlows>>,
}

/// All services of a router.
#[derive(Debug, Default)]
pub(crate) struct Services(Mutex<Vec<Weak<Service>>>);

/// A flow's membership; ends when dropped.
#[derive(Debug)]
pub(super) struct Member {
    service: Arc<Service>,
    counted: bool,
    /// Octets that the flow has read and written.
    octets: (u64, u64),
    /// The part of them that the service has.
    added: (u64, u64),
    idle: Option<Watch>,
    /// What is recorded of the flow.
    pub(super) record: FlowRecord,
    task: tasks::Member,
}

// === impl Service ===

impl Service {
    pub(super) fn new(label: Label, owner: Arc<Owner>, record: Option<Record>, limits: IdleLimits) -> Arc<Self> {
        let [read, written, opened, closed, timed_out] = [const { AtomicU64::new(0) }; 5];
        let (exists, idle) = (AtomicBool::new(true), IdleFlows::new(limits));
        Arc::new(Self { label, exists, read, written, opened, closed, timed_out, owner, record, idle })
    }

    /// Which one it is.
    pub const fn label(&self) -> &Label {
        &self.label
    }

    /// Octets that its clients or servers have sent, but for the last [`ADD_EVERY`] of each flow.
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// The same of what was sent to them.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Lets flows begin. False: they may already, or may not any more.
    pub(super) fn activate(&self) -> bool {
        let activated = self.owner.activate();
        if let Some(flows) = self.idle.as_ref().filter(|_| activated) {
            self.owner.spawn("idle flows", Arc::clone(flows).run(Arc::clone(&self.owner)));
        }
        activated
    }

    /// Flows begun.
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Flows ended.
    pub fn closed(&self) -> u64 {
        self.closed.load(Ordering::Relaxed)
    }

    /// Flows cut since they had carried nothing for too long.
    pub fn timed_out(&self) -> u64 {
        self.timed_out.load(Ordering::Relaxed)
    }

    /// Counts a flow. The record of a connector shows none before the first, and then the dispatcher too.
    pub(super) fn count_opened(&self) {
        let before = self.opened.fetch_add(1, Ordering::Relaxed);
        if let Some(record) = self.record.as_ref().filter(|_| before > 0) {
            record.meter().add(if before == 1 { 2 } else { 1 }, 0);
        }
    }

    /// The record of a tcpConnector.
    pub(super) const fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    /// Whom the flows belong to.
    pub(super) const fn owner(&self) -> &Arc<Owner> {
        &self.owner
    }

    /// Begins a flow that is told through `mailbox` to close. `None` when no flow may begin.
    pub(super) fn join(self: &Arc<Self>, mailbox: &Arc<Mailbox>) -> Option<Member> {
        let mut member = self.enter(mailbox)?;
        member.count();
        Some(member)
    }

    /// As [`Self::join`], for what may not come to be a flow: it counts as none yet.
    pub(super) fn enter(self: &Arc<Self>, mailbox: &Arc<Mailbox>) -> Option<Member> {
        // First: whoever watches goes when no flow is left and none may begin.
        let idle = self.idle.as_ref().map(|flows| flows.enter(mailbox));
        let task = self.owner.join("flow", mailbox)?;
        let (octets, added, record) = ((0, 0), (0, 0), FlowRecord::default());
        Some(Member { service: Arc::clone(self), counted: false, octets, added, idle, record, task })
    }

    /// Lets no more flows begin; with `drop_connections` also cuts those that live.
    pub(super) fn close(&self, drop_connections: bool) {
        self.exists.store(false, Ordering::Relaxed);
        self.owner.drain();
        if drop_connections {
            self.owner.stop();
        }
    }
}

// === impl Services ===

impl Services {
    pub(super) fn add(&self, service: &Arc<Service>) {
        let mut all = self.0.lock();
        // Now and then those that are gone make room.
        if all.len() == all.capacity() {
            all.retain(|service| service.strong_count() > 0);
        }
        all.push(Arc::downgrade(service));
    }

    /// Those that exist, oldest first. One that was deleted is none, whatever its last flows do.
    pub(crate) fn all(&self) -> Vec<Arc<Service>> {
        let all = self.0.lock();
        all.iter().filter_map(Weak::upgrade).filter(|service| service.exists.load(Ordering::Relaxed)).collect()
    }
}

// === impl Member ===

impl Member {
    /// For [`Owner::run`].
    pub(super) const fn seat(&self) -> Seat {
        self.task.seat()
    }

    /// Notes how many octets the flow has read and written, and whether one of its directions has ended.
    pub(super) fn note(&mut self, octets: (u64, u64), half_closed: bool) {
        self.octets = octets;
        if octets.0 + octets.1 >= self.added.0 + self.added.1 + ADD_EVERY {
            self.add_octets();
        }
        if let Some(watch) = &self.idle {
            watch.note(octets, half_closed);
        }
    }

    fn add_octets(&mut self) {
        let (read, written) = self.octets;
        self.service.read.fetch_add(read.saturating_sub(self.added.0), Ordering::Relaxed);
        self.service.written.fetch_add(written.saturating_sub(self.added.1), Ordering::Relaxed);
        self.added = self.octets;
    }

    /// Counts a flow that was told to close as it has carried nothing for so many seconds. None: it was not.
    pub(super) fn count_timeout(&self) -> Option<u64> {
        let seconds = self.idle.as_ref()?.expired()?;
        self.service.timed_out.fetch_add(1, Ordering::Relaxed);
        Some(seconds)
    }

    /// Counts the flow, once.
    pub(super) fn count(&mut self) {
        if !std::mem::replace(&mut self.counted, true) {
            self.service.count_opened();
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // The record of what is counted as closed has ended.
        self.record = FlowRecord::default();
        self.add_octets();
        if self.counted {
            self.service.closed.fetch_add(1, Ordering::Relaxed);
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
