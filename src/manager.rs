//! What a service manager is told (systemd's protocol): that the router has started, that it stops, and, if it watches, that
//! the core still answers. Without a manager nothing is told.

use management::runtime::now;
use router_engine::Router;
use router_engine::log::{Level, LogModule};
use sd_notify::NotifyState;
use std::sync::Arc;
use std::thread::{Builder, sleep};
use std::time::Duration;

/// How long the end itself may take, microseconds.
const END_MICROS: u32 = 10_000_000;

/// The router has started. Watches the core if the manager asks for that.
pub(crate) fn started(router: &Arc<Router>) {
    tell(&[NotifyState::Ready]);
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    let router = Arc::downgrade(router);
    let watch = move || {
        while let Some(router) = router.upgrade() {
            // A core that hangs holds this up, and the manager hears nothing.
            let _ = router.router_row(now());
            drop(router);
            tell(&[NotifyState::Watchdog]);
            sleep(limit / 3);
        }
    };
    if let Err(error) = Builder::new().name("watchdog".to_owned()).spawn(watch) {
        router_engine::log!(LogModule::Router, Level::Error, "There can be no thread for the watchdog: {error}");
    }
}

/// There is no router yet: the process waits for something, as the text says.
pub(crate) fn waiting(text: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(text)]);
}

/// The router stops, which takes so long at most before anything ends.
pub(crate) fn stopping(drain: Duration) {
    let limit = u32::try_from(drain.as_micros()).unwrap_or(u32::MAX);
    let more = NotifyState::ExtendTimeoutUsec(limit.saturating_add(END_MICROS));
    let states = [NotifyState::Stopping, more];
    tell(if drain.is_zero() { &states[..1] } else { &states });
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        router_engine::log!(LogModule::Router, Level::Warning, "The service manager cannot be told: {error}");
    }
}
