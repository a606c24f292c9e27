//! Every task of the adaptors: whom it belongs to, and how it ends.
//!
//! ```text
//!  Tasks --+-- process ............. core timer, trim, governor
//!          +-- listener amqp ....... listener, connection, connection
//!          +-- listener health ..... listener, connection (on the thread that serves HTTP)
//!          +-- connector uplink .... connector, connector
//!          +-- tcpListener web ..... listener, flow, flow
//!          '-- tcpConnector db ..... dispatcher, health, flow, flow
//! ```
//!
//! Nothing else in this crate spawns: [`Owner::spawn`] and [`Owner::run`] are the only ways to begin a task, and
//! [`blocking`] the only way to work that waits. A shutdown goes by the phases of all owners:
//!
//! ```text
//!  Running --drain--> Draining --shutdown--> Stopped: services, reports, others --(grace)--> the rest is cut
//! ```

pub(crate) mod blocking;
mod owner;
mod steady;

pub(crate) use owner::{Member, Seat, Stage};
pub use owner::{Owner, Phase};
pub(crate) use steady::Steady;

use parking_lot::Mutex;
use router_engine::log;
use router_engine::log::{Level, LogModule};
use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// The registry of all tasks of a router.
#[derive(Debug)]
pub struct Tasks {
    handle: Handle,
    /// Owns what runs for as long as the router does. Its phase is the registry's.
    process: Arc<Owner>,
    owners: Mutex<Vec<Weak<Owner>>>,
}

/// A task that had not ended when it should have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Straggler {
    /// Its name.
    pub task: &'static str,
    /// Whom it belongs to.
    pub owner: String,
}

// === impl Tasks ===

impl Tasks {
    /// No tasks yet; they will run on the executor.
    pub(crate) fn new(handle: Handle) -> Self {
        let process = Arc::new(Owner::new("process".to_owned(), Stage::Last, handle.clone()));
        process.activate();
        Self { handle, process, owners: Mutex::default() }
    }

    /// The executor of what has none of its own.
    pub(crate) const fn executor(&self) -> &Handle {
        &self.handle
    }

    /// A new owner. One that comes during a shutdown is in the registry's phase from the start.
    pub(crate) fn owner(&self, name: String, stage: Stage) -> Arc<Owner> {
        self.owner_on(self.handle.clone(), name, stage)
    }

    /// As [`Self::owner`], of tasks on another executor.
    pub(crate) fn owner_on(&self, handle: Handle, name: String, stage: Stage) -> Arc<Owner> {
        let owner = Arc::new(Owner::new(name, stage, handle));
        let phase = {
            let mut owners = self.owners.lock();
            owners.retain(|known| known.strong_count() > 0);
            owners.push(Arc::downgrade(&owner));
            self.phase()
        };
        match phase {
            Phase::Created | Phase::Running => {}
            Phase::Draining => owner.drain(),
            Phase::Stopped => owner.stop(),
        }
        owner
    }

    /// The owner of what runs for as long as the router does.
    pub fn process(&self) -> &Arc<Owner> {
        &self.process
    }

    /// Where the router is in its life.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.process.phase()
    }

    /// How many tasks of each name there are. A flow counts as one, whichever task it is in.
    #[must_use]
    pub fn live(&self) -> BTreeMap<&'static str, usize> {
        let mut live = BTreeMap::new();
        for name in self.all().iter().flat_map(|owner| owner.tasks()) {
            *live.entry(name).or_default() += 1;
        }
        live.extend(blocking::live());
        live
    }

    /// How many tasks the executor has, whosever they are. It costs the same however many there are.
    pub(crate) fn on_executor(&self) -> usize {
        self.handle.metrics().num_alive_tasks()
    }

    /// Tells every task that nothing new is to begin. What is under way goes on.
    pub fn drain(&self) {
        self.process.drain();
        self.all().iter().for_each(|owner| owner.drain());
    }

    /// Whether no flow of any service is left.
    pub(crate) fn services_have_left(&self) -> bool {
        self.of(Stage::First).iter().all(|owner| owner.has_left())
    }

    /// Ends every task. Whatever has not ended a `grace` after it was told is cut, which is logged, and
    /// returned. The ends of flows are told to neighbours while there are
    /// still connections to them. Work on [`blocking`] threads cannot be cut: whoever ends the executor waits for it
    /// or does not.
    pub async fn shutdown(&self, grace: Duration) -> Vec<Straggler> {
        self.drain();
        for stage in [Stage::First, Stage::Reports, Stage::Last] {
            let owners = self.of(stage);
            owners.iter().for_each(|owner| owner.stop());
            let _ = timeout(grace, left(&owners)).await;
        }
        let owners = self.all();
        let mut stragglers: Vec<_> = owners.iter().flat_map(|owner| owner.abort()).collect();
        if !stragglers.is_empty() {
            stragglers.sort();
            let list: Vec<_> = stragglers.iter().map(Straggler::to_string).collect();
            log!(LogModule::Router, Level::Warning, "Tasks that did not end in time were cut: {}", list.join(", "));
            let _ = timeout(grace, left(&owners)).await;
        }
        stragglers
    }

    /// The owners that a stage is about.
    fn of(&self, stage: Stage) -> Vec<Arc<Owner>> {
        self.all().into_iter().filter(|owner| owner.stage() == stage).collect()
    }

    /// Every owner that still counts, the process among them.
    fn all(&self) -> Vec<Arc<Owner>> {
        let owners = self.owners.lock();
        owners.iter().filter_map(Weak::upgrade).chain([Arc::clone(&self.process)]).collect()
    }
}

/// Waits until none of the owners has a task left.
async fn left(owners: &[Arc<Owner>]) {
    for owner in owners {
        owner.left().await;
    }
}

impl fmt::Display for Straggler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.task, self.owner)
    }
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

#[cfg(test)]
mod tests;
