//! Work that waits for files or resolvers, on threads kept for that.
//!
//! It cannot be told to end, nor be cut: a shutdown does not wait for it.

use router_engine::log;
use router_engine::log::{Level, LogModule};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::task::JoinHandle;

/// Names that are looked up.
pub(crate) static LOOKUPS: Blocking = Blocking::new("lookup");

/// Passwords that are checked.
pub(crate) static PASSWORD_CHECKS: Blocking = Blocking::new("password check");

/// Pages that are made: the core's lock may be taken for long.
pub(crate) static PAGES: Blocking = Blocking::new("page");

/// Files that are served.
pub(crate) static FILES: Blocking = Blocking::new("file");

/// A kind of work that waits.
#[derive(Debug)]
pub(crate) struct Blocking {
    name: &'static str,
    live: AtomicUsize,
}

/// Work that was begun; dropped when it is over.
struct Busy(&'static Blocking);

// === impl Blocking ===

impl Blocking {
    const fn new(name: &'static str) -> Self {
        Self { name, live: AtomicUsize::new(0) }
    }

    /// Does the work on a thread that may wait. Within an executor.
    #[expect(clippy::disallowed_methods, reason = "the one place where work that waits begins")]
    pub(crate) fn run<T: Send + 'static>(&'static self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        self.live.fetch_add(1, Ordering::Relaxed);
        let busy = Busy(self);
        tokio::task::spawn_blocking(move || {
            let _busy = busy;
            work()
        })
    }
}

/// How much work of each name is under way in the process, where there is any.
pub(super) fn live() -> impl Iterator<Item = (&'static str, usize)> {
    let counts =
        [&LOOKUPS, &PASSWORD_CHECKS, &PAGES, &FILES].map(|work| (work.name, work.live.load(Ordering::Relaxed)));
    counts.into_iter().filter(|(_, live)| *live > 0)
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.live.fetch_sub(1, Ordering::Relaxed);
        if std::thread::panicking() {
            log!(LogModule::Error, Level::Error, "Internal error: a task has panicked: {}", self.0.name);
        }
    }
}
