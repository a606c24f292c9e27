//! What all adaptors share: the routing core, the executor, their tasks, and housekeeping.

use crate::http::thread::HttpThread;
use crate::tasks::{Owner, Stage, Straggler, Tasks};
use crate::tcp::{Service, Services};
use crate::{clock, pool};
use router_engine::Router;
use router_engine::core::UnderWay;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::ready;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// How often the pools let go of what was not needed.
const TRIM_INTERVAL: Duration = Duration::from_secs(1);

/// How long tasks may take to end once they were told to.
const GRACE: Duration = Duration::from_millis(200);

/// How often a router that drains looks whether it has done so. To look at everything is cheaper than to keep count of it
/// in all the time before.
const DRAIN_TURN: Duration = Duration::from_millis(100);

/// Access to the core and the executor. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Io {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    router: Arc<Router>,
    workers: usize,
    tasks: Tasks,
    http: HttpThread,
    services: Services,
}

// === impl Io ===

impl Io {
    /// Adaptors for a core, on an executor with so many worker threads.
    #[must_use]
    pub fn new(router: Arc<Router>, handle: Handle, workers: usize) -> Self {
        let tasks = Tasks::new(handle);
        Self {
            inner: Arc::new(Inner {
                router,
                workers,
                tasks,
                http: HttpThread::default(),
                services: Services::default(),
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

    /// How many tasks the executor has, whosever they are.
    #[must_use]
    pub fn live_tasks(&self) -> usize {
        self.inner.tasks.on_executor()
    }

    /// The tasks of all adaptors.
    #[must_use]
    pub fn tasks(&self) -> &Tasks {
        &self.inner.tasks
    }

    /// A new owner of tasks that carry what others have to tell.
    pub(crate) fn carrier(&self, name: String) -> Arc<Owner> {
        self.tasks().owner(name, Stage::Last)
    }

    /// A new owner of tasks on the thread that serves HTTP, which begins with the first.
    ///
    /// # Errors
    /// Of the operating system.
    pub(crate) fn http_carrier(&self, name: String) -> std::io::Result<Arc<Owner>> {
        Ok(self.tasks().owner_on(self.inner.http.handle()?, name, Stage::Last))
    }

    pub(crate) fn services(&self) -> &Services {
        &self.inner.services
    }

    /// The tcpListeners and tcpConnectors that exist, oldest first.
    #[must_use]
    pub fn all_services(&self) -> Vec<Arc<Service>> {
        self.services().all()
    }

    /// A new owner of flows.
    pub(crate) fn service(&self, name: String) -> Arc<Owner> {
        self.tasks().owner(name, Stage::First)
    }

    /// Starts what runs for as long as the router does: the core's timer and the pools' trimming.
    pub fn start(&self) {
        self.spawn("core timer", run_core_timer(Arc::clone(self.router())));
        self.spawn("trim", run_trim());
    }

    /// Does work of the process until the router stops.
    pub fn spawn(&self, name: &'static str, work: impl Future<Output = ()> + Send + 'static) {
        let process = Arc::clone(self.tasks().process());
        let until_stopped = {
            let process = Arc::clone(&process);
            async move {
                tokio::select! {
                    () = process.stopped() => {}
                    () = work => {}
                }
            }
        };
        process.spawn(name, until_stopped);
    }

    /// Does work that tells of what happens here: it is to end when its argument is ready, which is once services have
    /// ended and before connections do.
    pub fn spawn_reporter<W: Future<Output = ()> + Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce(Pin<Box<dyn Future<Output = ()> + Send>>) -> W,
    ) {
        let owner = self.tasks().owner(name.to_owned(), Stage::Reports);
        owner.activate();
        let stopping = Arc::clone(&owner);
        owner.spawn(name, work(Box::pin(async move { stopping.stopped().await })));
    }

    /// Others are told to go elsewhere; once all know, nothing new begins, and what is under way goes on to its end.
    ///
    /// # Errors
    /// What is under way yet after `limit`.
    pub async fn drain(&self, limit: Duration) -> Result<(), UnderWay> {
        let (router, until) = (self.router(), Instant::now() + limit);
        let news_time = router.withdraw(clock::now());
        sleep_until(until.min(Instant::now() + news_time)).await;
        self.tasks().drain();
        router.wind_down(clock::now());
        loop {
            let left = router.release_idle(clock::now());
            if left.is_none() && self.tasks().services_have_left() {
                return Ok(());
            }
            let now = Instant::now();
            if now >= until {
                return Err(left);
            }
            sleep_until(until.min(now + DRAIN_TURN)).await;
        }
    }

    /// Ends every task: flows are cut by a reset, and sockets are closed without ceremony. Returns the tasks that had to be
    /// cut.
    pub async fn shutdown(&self) -> Vec<Straggler> {
        self.tasks().shutdown(GRACE).await
    }

    /// Ready once the router stops.
    pub async fn stopped(&self) {
        self.tasks().process().stopped().await;
    }
}

/// Waits until a signal is set (or its owner is gone).
pub(crate) async fn signalled(signal: &watch::Sender<bool>) {
    let _ = signal.subscribe().wait_for(|set| *set).await;
}

async fn run_core_timer(router: Arc<Router>) {
    let mut sleep = pin!(tokio::time::sleep(Duration::ZERO));
    poll_fn(|context| {
        loop {
            let now = clock::now();
            let due = router.await_timeout(context.waker());
            if due <= now {
                router.handle_timeout(now);
                continue;
            }
            sleep.as_mut().reset(tokio::time::Instant::now() + due.since(now));
            ready!(sleep.as_mut().poll(context));
        }
    })
    .await
}

async fn run_trim() {
    let mut ticks = tokio::time::interval(TRIM_INTERVAL);
    loop {
        ticks.tick().await;
        pool::trim();
    }
}
