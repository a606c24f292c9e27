//! The thread that serves HTTP: scrapers and probes have none of the time of threads that move traffic.

use parking_lot::Mutex;
use router_engine::log::{Level, LogModule};
use std::io;
use std::thread;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Semaphore, oneshot};

/// Threads that wait for the core or for files. Files get all but two at most.
pub(super) const WAITING_THREADS: usize = 6;

/// Whoever has a file looked for or read has a permit, so that a disk that hangs leaves threads for pages: to all
/// listeners the same.
pub(super) static READING: Semaphore = Semaphore::const_new(WAITING_THREADS - 2);

/// The thread, once there is a listener. It ends when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct HttpThread(Mutex<Option<Running>>);

#[derive(Debug)]
struct Running {
    executor: Handle,
    _end: oneshot::Sender<()>,
}

// === impl HttpThread ===

impl HttpThread {
    /// Its executor. The first call begins it.
    ///
    /// # Errors
    /// Of the operating system.
    pub(crate) fn handle(&self) -> io::Result<Handle> {
        let mut running = self.0.lock();
        if let Some(running) = &*running {
            return Ok(running.executor.clone());
        }
        let begun = Running::begin()?;
        let executor = begun.executor.clone();
        *running = Some(begun);
        Ok(executor)
    }
}

// === impl Running ===

impl Running {
    fn begin() -> io::Result<Self> {
        let executor = Builder::new_current_thread()
            .enable_all()
            .thread_name("http-waiting")
            .max_blocking_threads(WAITING_THREADS)
            .build()?;
        let handle = executor.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        thread::Builder::new().name("http".to_owned()).spawn(move || {
            router_engine::log!(LogModule::Http, Level::Info, "HTTP server thread running");
            let _ = executor.block_on(ended);
            // Whatever waits there is nobody's any more.
            executor.shutdown_background();
        })?;
        Ok(Self { executor: handle, _end: end })
    }
}
