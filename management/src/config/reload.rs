//! A configuration file that is read again while the router runs.

use super::audit::audit;
use super::{BootPlan, load};
use crate::log::logger;
use parking_lot::Mutex;
use router_engine::log::{Level, LogModule};
use std::sync::Arc;
use std::thread::Builder;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::oneshot;

/// What a changed configuration says, on its way to the agent.
#[derive(Debug)]
pub struct Change {
    /// What it says.
    pub plan: BootPlan,
    /// Whoever wants to know what became of it.
    pub(crate) outcome: Option<Outcome>,
}

/// Takes what became of a changed configuration: why it was refused, if it was.
pub(crate) type Outcome = oneshot::Sender<Result<(), String>>;

/// Reads a configuration file again when asked to, and hands on what is sound.
#[derive(Debug, Clone)]
pub struct Reloader {
    path: Arc<str>,
    plans: Sender<Change>,
    /// One reads at a time, so that the last one has the last word.
    turn: Arc<Mutex<()>>,
}

// === impl Reloader ===

impl Reloader {
    /// One for the file at `path`, and where what it reads comes out.
    #[must_use]
    pub fn new(path: &str) -> (Self, Receiver<Change>) {
        let (plans, receiver) = channel(1);
        (Self { path: path.into(), plans, turn: Arc::default() }, receiver)
    }

    /// Has log files opened anew and the configuration read again. Returns at once: files and names are looked up on a
    /// thread of its own.
    pub fn reload(&self) {
        logger().reopen();
        self.begin(None);
    }

    /// Has the configuration read again. What becomes of it comes out: why it was refused, if it was. Nothing comes when
    /// the router ends meanwhile.
    #[must_use]
    pub fn apply(&self) -> oneshot::Receiver<Result<(), String>> {
        let (outcome, told) = oneshot::channel();
        self.begin(Some(outcome));
        told
    }

    fn begin(&self, outcome: Option<Outcome>) {
        let own = self.clone();
        let work = move || {
            let _turn = own.turn.lock();
            own.read(outcome);
        };
        if let Err(error) = Builder::new().name("reload".to_owned()).spawn(work) {
            router_engine::log!(LogModule::Agent, Level::Error, "Configuration not reloaded: {error}");
        }
    }

    fn read(&self, outcome: Option<Outcome>) {
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
            let problem = report.findings().iter().find(|finding| finding.is_problem);
            refuse(outcome, problem.map_or(text, |problem| &problem.text));
            return;
        }
        match load(path).and_then(BootPlan::new) {
            // Nobody takes it when the router ends.
            Ok(plan) => drop(self.plans.blocking_send(Change { plan, outcome })),
            Err(error) => {
                let text = "Configuration not reloaded, nothing has changed";
                router_engine::log!(LogModule::Agent, Level::Error, "{text}: {error}");
                refuse(outcome, &error.to_string());
            }
        }
    }
}

fn refuse(outcome: Option<Outcome>, why: &str) {
    if let Some(outcome) = outcome {
        let _ = outcome.send(Err(why.to_owned()));
    }
}
