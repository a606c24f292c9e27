//! A configuration file that is read again while the router runs.

use super::audit::audit;
use super::{BootPlan, load};
use crate::log::logger;
use parking_lot::Mutex;
use router_engine::log::{Level, LogModule};
use std::sync::Arc;
use std::thread::Builder;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Reads a configuration file again when asked to, and hands on what is sound.
#[derive(Debug, Clone)]
pub struct Reloader {
    path: Arc<str>,
    plans: Sender<BootPlan>,
    /// One reads at a time, so that the last one has the last word.
    turn: Arc<Mutex<()>>,
}

// === impl Reloader ===

impl Reloader {
    /// One for the file at `path`, and where what it reads comes out.
    #[must_use]
    pub fn new(path: &str) -> (Self, Receiver<BootPlan>) {
        let (plans, receiver) = channel(1);
        (Self { path: path.into(), plans, turn: Arc::default() }, receiver)
    }

    /// Has log files opened anew and the configuration read again. Returns at once: files and names are looked up on a
    /// thread of its own.
    pub fn reload(&self) {
        logger().reopen();
        let own = self.clone();
        let work = move || {
            let _turn = own.turn.lock();
            own.read();
        };
        if let Err(error) = Builder::new().name("reload".to_owned()).spawn(work) {
            router_engine::log!(LogModule::Agent, Level::Error, "Configuration not reloaded: {error}");
        }
    }

    fn read(&self) {
        let path = &*self.path;
        router_engine::log!(LogModule::Agent, Level::Info, "Reloading the configuration from {path}");
        let report = audit(path);
        for finding in report.findings().iter().filter(|finding| finding.is_problem) {
            let line = finding.line.map(|line| format!(" line {line}:")).unwrap_or_default();
            let (text, advice) = (&finding.text, finding.advice.as_deref().unwrap_or_default());
            let advice = if advice.is_empty() { String::new() } else { format!(" ({advice})") };
            router_engine::log!(LogModule::Agent, Level::Error, "Reload:{line} {text}{advice}");
        }
        if !report.is_clean() {
            let text = "Configuration not reloaded, nothing has changed: skrouterd --check tells what is wrong";
            router_engine::log!(LogModule::Agent, Level::Error, "{text}");
            return;
        }
        match load(path).and_then(BootPlan::new) {
            // Nobody takes it when the router ends.
            Ok(plan) => drop(self.plans.blocking_send(plan)),
            Err(error) => {
                let text = "Configuration not reloaded, nothing has changed";
                router_engine::log!(LogModule::Agent, Level::Error, "{text}: {error}");
            }
        }
    }
}
