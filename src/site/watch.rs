//! Tells when something changes in folders.

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use router_engine::log::{Level, LogModule};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::Builder;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// Changes that come together count as one: how long none may come, and how long they may go on.
const QUIET: Duration = Duration::from_millis(100);
const RESTLESS: Duration = Duration::from_secs(1);

/// Waits, after a change, until no more come.
pub(super) async fn rest(changed: &Notify) {
    let end = Instant::now() + RESTLESS;
    while timeout_at(end.min(Instant::now() + QUIET), changed.notified()).await.is_ok() {}
}

/// Watches folders. A file that is being written counts once it is closed.
pub(super) struct Watch {
    inotify: Arc<Inotify>,
    /// Notified after changes.
    pub(super) changed: Arc<Notify>,
}

// === impl Watch ===

impl Watch {
    /// One that watches nothing yet.
    ///
    /// # Errors
    /// Of the operating system.
    pub(super) fn new() -> io::Result<Self> {
        let inotify = Arc::new(Inotify::init(InitFlags::IN_CLOEXEC)?);
        let changed = Arc::new(Notify::new());
        let (events, notify) = (Arc::clone(&inotify), Arc::clone(&changed));
        // It ends with the process: nothing interrupts the wait for events.
        Builder::new().name("watch".to_owned()).spawn(move || {
            loop {
                match events.read_events() {
                    Ok(_) => notify.notify_one(),
                    Err(Errno::EINTR) => {}
                    Err(error) => {
                        let text = "Site: changes are not seen any more";
                        router_engine::log!(LogModule::Agent, Level::Error, "{text}: {error}");
                        return;
                    }
                }
            }
        })?;
        Ok(Self { inotify, changed })
    }

    /// Watches a folder; to say so again does no harm, and is needed where it may be another one of that name.
    ///
    /// # Errors
    /// Of the operating system.
    pub(super) fn folder(&self, path: &Path) -> io::Result<()> {
        let flags = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_ATTRIB
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        self.inotify.add_watch(path, flags)?;
        Ok(())
    }
}
