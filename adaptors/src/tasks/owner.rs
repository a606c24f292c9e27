//! The life of a listener or connector, and its tasks.

use parking_lot::Mutex;
use pin_project_lite::pin_project;
use router_engine::log;
use router_engine::log::{Level, LogModule};
use router_engine::{Effect, Mailbox};
use slab::Slab;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use tokio::runtime::{EnterGuard, Handle};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::task::AbortHandle;

/// Places for tasks that an owner keeps, though it has no more than one task.
const SPARE: usize = 32;

/// Where an owner is in its life. It never goes back.
///
/// ```text
///            activate            drain              stop
///  Created ------------> Running -------> Draining -------> Stopped
///     |                     |                ^                 ^
///     '---------drain-------|----------------'                 |
///                           '----------------stop--------------'
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Configured; it has no tasks.
    Created,
    /// At work.
    Running,
    /// Deleted, or the router shuts down: it takes in nothing new, and tries nothing again. What is under way goes on
    /// to its own end.
    Draining,
    /// What is under way ends now, without ceremony.
    Stopped,
}

/// When a shutdown stops an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// What ends has a far end that should hear of it.
    First,
    /// When there is something more to tell of these ends.
    Reports,
    /// When there is nothing left that would have to be told to anybody.
    Last,
}

/// Whoever tasks belong to: a listener, a connector, the process. Tasks keep it alive.
#[derive(Debug)]
pub struct Owner {
    name: String,
    stage: Stage,
    handle: Handle,
    /// A [`Phase`]; changes while the table is locked.
    phase: AtomicU8,
    table: Mutex<Slab<Task>>,
    /// Numbers that were given to tasks so far.
    numbers: AtomicU64,
    /// Told once each: the phases draining and stopped have come.
    draining: Notify,
    stopped: Notify,
    /// Told whenever the last task has left.
    left: Notify,
}

#[derive(Debug)]
struct Task {
    name: &'static str,
    /// Higher than those of others that had its seat, and than its own before it was passed on.
    number: u64,
    /// Where it is told to end; without one it heeds the phase.
    mailbox: Option<Arc<Mailbox>>,
    /// Cuts it; there once it runs.
    handle: Option<AbortHandle>,
}

/// The place of a task among those of its owner.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seat(usize);

/// A task's membership; ends when dropped.
#[derive(Debug)]
pub(crate) struct Member {
    owner: Arc<Owner>,
    seat: Seat,
}

pin_project! {
    /// Ready when an owner has come to a phase. To poll it again with the same waker takes no lock: whoever waits for a
    /// phase beside a connection polls both whenever the connection has something to do.
    struct Reached<'a> {
        owner: &'a Owner,
        phase: Phase,
        #[pin]
        told: Notified<'a>,
        waker: Option<Waker>,
    }
}

pin_project! {
    /// The work of a task, which is dropped before its membership.
    struct Owned<F> {
        #[pin]
        work: F,
        _member: Member,
    }
}

// === impl Phase ===

impl Phase {
    /// By their number.
    const ALL: [Self; 4] = [Self::Created, Self::Running, Self::Draining, Self::Stopped];
}

// === impl Owner ===

impl Owner {
    pub(crate) fn new(name: String, stage: Stage, handle: Handle) -> Self {
        Self {
            name,
            stage,
            handle,
            phase: AtomicU8::new(Phase::Created as u8),
            table: Mutex::default(),
            numbers: AtomicU64::new(0),
            draining: Notify::new(),
            stopped: Notify::new(),
            left: Notify::new(),
        }
    }

    /// What it is called where somebody is told of it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(super) const fn stage(&self) -> Stage {
        self.stage
    }

    /// Enters the executor of its tasks, for calls that create sockets outside of a task.
    pub(crate) fn enter(&self) -> EnterGuard<'_> {
        self.handle.enter()
    }

    /// Where it is in its life.
    #[must_use]
    pub fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.phase.load(Ordering::Acquire))]
    }

    /// Whether it takes in nothing new any more.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.phase() >= Phase::Draining
    }

    /// Lets tasks begin. False: they may already, or may not any more.
    pub(crate) fn activate(&self) -> bool {
        let _table = self.table.lock();
        let created = self.phase() == Phase::Created;
        if created {
            self.phase.store(Phase::Running as u8, Ordering::Release);
        }
        created
    }

    /// Lets no more tasks begin.
    pub(crate) fn drain(&self) {
        self.advance(Phase::Draining);
    }

    /// Has all tasks end.
    pub(crate) fn stop(&self) {
        self.advance(Phase::Stopped);
    }

    fn advance(&self, phase: Phase) {
        // Wakers run outside of the lock: a task that ends at once takes the lock to leave.
        let wakers = {
            let table = self.table.lock();
            if self.phase() >= phase {
                return;
            }
            self.phase.store(phase as u8, Ordering::Release);
            if phase == Phase::Stopped { close_mailboxes(&table) } else { Vec::new() }
        };
        wakers.into_iter().for_each(Waker::wake);
        self.draining.notify_waiters();
        if phase == Phase::Stopped {
            self.stopped.notify_waiters();
        }
    }

    /// Ready when nothing new is taken in any more.
    pub fn draining(&self) -> impl Future<Output = ()> + Send {
        Reached { owner: self, phase: Phase::Draining, told: self.draining.notified(), waker: None }
    }

    /// Ready when all tasks are to end.
    pub fn stopped(&self) -> impl Future<Output = ()> + Send {
        Reached { owner: self, phase: Phase::Stopped, told: self.stopped.notified(), waker: None }
    }

    /// Whether no task is left.
    pub(crate) fn has_left(&self) -> bool {
        self.table.lock().is_empty()
    }

    /// Ready when no task is left.
    pub async fn left(&self) {
        loop {
            let mut left = pin!(self.left.notified());
            // What is told from here on is not missed.
            left.as_mut().enable();
            if self.has_left() {
                return;
            }
            left.await;
        }
    }

    /// Runs a task that heeds the phase. Tasks of one name are of one kind. False, and the work is dropped, when no
    /// task may begin.
    pub fn spawn(self: &Arc<Self>, name: &'static str, work: impl Future<Output = ()> + Send + 'static) -> bool {
        self.spawn_on(&self.handle, name, work)
    }

    /// As [`Self::spawn`], on another executor than the owner's.
    pub(crate) fn spawn_on(
        self: &Arc<Self>,
        executor: &Handle,
        name: &'static str,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> bool {
        let Some(member) = self.enlist(name, None) else { return false };
        self.run_on(executor, member.seat(), Owned { work, _member: member });
        true
    }

    /// Enters a task that is told in its mailbox to end. `None` when no task may begin.
    pub(crate) fn join(self: &Arc<Self>, name: &'static str, mailbox: &Arc<Mailbox>) -> Option<Member> {
        self.enlist(name, Some(Arc::clone(mailbox)))
    }

    fn enlist(self: &Arc<Self>, name: &'static str, mailbox: Option<Arc<Mailbox>>) -> Option<Member> {
        let mut table = self.table.lock();
        if self.phase() != Phase::Running {
            return None;
        }
        let task = Task { name, number: self.next_number(), mailbox, handle: None };
        Some(Member { owner: Arc::clone(self), seat: Seat(table.insert(task)) })
    }

    fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Runs the work of the task in a seat, all of it or what comes next: it holds its [`Member`].
    pub(crate) fn run(&self, seat: Seat, work: impl Future<Output = ()> + Send + 'static) {
        self.run_on(&self.handle, seat, work);
    }

    #[expect(clippy::disallowed_methods, reason = "the one place where tasks begin")]
    fn run_on(&self, executor: &Handle, Seat(key): Seat, work: impl Future<Output = ()> + Send + 'static) {
        let number = self.next_number();
        // Without the lock: an executor that ends drops the work at once, and the member takes the lock.
        let handle = executor.spawn(work).abort_handle();
        let mut table = self.table.lock();
        // The work may be over by now: passed on, or its seat another's.
        if let Some(task) = table.get_mut(key).filter(|task| task.number < number) {
            (task.number, task.handle) = (number, Some(handle));
        }
    }

    /// Tells that a task has panicked: what and where, stderr was told already.
    pub(crate) fn log_panic(&self, task: &str) {
        log!(LogModule::Error, Level::Error, "Internal error: a task has panicked: {task} of {}", self.name);
    }

    /// The names of the tasks there are.
    pub(super) fn tasks(&self) -> Vec<&'static str> {
        self.table.lock().iter().map(|(_, task)| task.name).collect()
    }

    /// Cuts what is left, and tells what that was.
    pub(super) fn abort(&self) -> Vec<super::Straggler> {
        let (names, handles): (Vec<_>, Vec<_>) = {
            let table = self.table.lock();
            table.iter().map(|(_, task)| (task.name, task.handle.clone())).unzip()
        };
        handles.into_iter().flatten().for_each(|handle| handle.abort());
        names.into_iter().map(|task| super::Straggler { task, owner: self.name.clone() }).collect()
    }
}

/// Tells those who have one, in their mailbox. Their wakers are to be called once the lock is free.
fn close_mailboxes(table: &Slab<Task>) -> Vec<Waker> {
    let mailboxes = table.iter().filter_map(|(_, task)| task.mailbox.as_ref());
    mailboxes.filter_map(|mailbox| mailbox.post(Effect::Close { error: None, hard: true })).collect()
}

fn remove(table: &mut Slab<Task>, Seat(key): Seat) -> Option<Task> {
    let task = table.try_remove(key);
    if table.len() <= 1 && table.capacity() > SPARE {
        table.shrink_to_fit();
    }
    task
}

// === impl Member ===

impl Member {
    /// For [`Owner::run`].
    pub(crate) const fn seat(&self) -> Seat {
        self.seat
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let (task, is_last) = {
            let mut table = self.owner.table.lock();
            (remove(&mut table, self.seat), table.is_empty())
        };
        if is_last {
            self.owner.left.notify_waiters();
        }
        // The work of a task that panics is dropped while the panic goes on.
        if let Some(Task { name, .. }) = task
            && std::thread::panicking()
        {
            self.owner.log_panic(name);
        }
    }
}

// === impl Reached ===

impl Future for Reached<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.owner.phase() >= *this.phase {
            return Poll::Ready(());
        }
        if this.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            return Poll::Pending;
        }
        *this.waker = Some(cx.waker().clone());
        this.told.poll(cx)
    }
}

// === impl Owned ===

impl<F: Future<Output = ()>> Future for Owned<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().work.poll(cx)
    }
}
