//! The health of servers: whether one gets anything, by what checks and real traffic tell.
//!
//! ```text
//!  checks: task --Probe--> server          real traffic
//!            '----result----> Health <--Health::on_attempt--'
//!                               |
//!                             State (pure) --> the connector's task waits: until_withdrawn, until_available
//! ```
//!
//! What a server serves, and what it means that it gets nothing, is its connector's business.

mod answer;
mod probe;
mod state;

pub use answer::AnswerError;
pub use probe::{Probe, ProbeError, ProbeParams};
pub use state::{Change, Checks, Ejections, Params, State, Status};

use crate::tasks::{Owner, contained};
use crate::tls::{Session, TlsError};
use crate::{clock, random, retry};
use amqp_core::Instant;
use parking_lot::Mutex;
use router_engine::log;
use router_engine::log::{Level, LogModule};
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Characters of a reason that are kept.
const REASON_MAX: usize = 200;

/// A check may come earlier than it is due, by a part of the pause before: not all servers are tried at once.
const SCATTER: f64 = 0.1;

/// How it is told whether a server is well. By default nobody looks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    /// What tells it.
    pub params: Params,
    /// How long a check may take.
    pub timeout: Duration,
    /// What the server has to show for a check ([`ProbeParams::path`]).
    pub path: Option<String>,
}

/// How the log names a server.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Whose lines they are.
    pub module: LogModule,
    /// What they begin with.
    pub name: String,
}

/// The health of one server. The connector that has it tells what becomes of attempts, waits for changes, and runs the
/// task.
#[derive(Debug)]
pub struct Health {
    subject: Subject,
    has_checks: bool,
    state: Mutex<State>,
    available: watch::Sender<bool>,
    /// An attempt that succeeds says nothing new.
    knows_success: AtomicBool,
    /// The task is to look when it has to do something next.
    woken: Notify,
    checks: AtomicU64,
    failed_checks: AtomicU64,
    ejections: AtomicU64,
}

/// What is shown of a server's health.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// What is known.
    pub status: Status,
    /// Why it gets nothing; empty while it does.
    pub reason: String,
}

// === impl Health ===

impl Health {
    /// The health of a server of which nothing is known; none, when nothing is to tell.
    #[must_use]
    pub fn new(params: Params, subject: Subject) -> Option<Arc<Self>> {
        if params.is_off() {
            return None;
        }
        let state = State::new(params, clock::now());
        let [checks, failed_checks, ejections] = [const { AtomicU64::new(0) }; 3];
        Some(Arc::new(Self {
            subject,
            has_checks: params.checks.is_some(),
            available: watch::Sender::new(state.is_available()),
            knows_success: AtomicBool::new(state.knows_success()),
            state: Mutex::new(state),
            woken: Notify::new(),
            checks,
            failed_checks,
            ejections,
        }))
    }

    /// Whether the server gets anything.
    #[must_use]
    pub fn is_available(&self) -> bool {
        *self.available.borrow()
    }

    /// Ready when the server is to get something.
    pub async fn until_available(&self) {
        // The sender is its own.
        let _ = self.available.subscribe().wait_for(|available| *available).await;
    }

    /// Ready when the server is to get nothing.
    pub async fn until_withdrawn(&self) {
        let _ = self.available.subscribe().wait_for(|available| !*available).await;
    }

    /// What is known.
    #[must_use]
    pub fn view(&self) -> View {
        let state = self.state.lock();
        View { status: state.status(), reason: state.reason().to_owned() }
    }

    /// Checks made.
    pub fn checks(&self) -> u64 {
        self.checks.load(Ordering::Relaxed)
    }

    /// Those that failed.
    pub fn failed_checks(&self) -> u64 {
        self.failed_checks.load(Ordering::Relaxed)
    }

    /// How often attempts have withdrawn the server.
    pub fn ejections(&self) -> u64 {
        self.ejections.load(Ordering::Relaxed)
    }

    /// Takes what became of an attempt of real traffic that was begun at that time.
    pub fn on_attempt(&self, begun: Instant, result: Result<(), &str>) {
        if result.is_ok() && self.knows_success.load(Ordering::Relaxed) {
            return;
        }
        let result = result.map_err(shortened);
        self.update(|state, now| state.on_attempt(begun, now, result));
    }

    fn on_check(&self, begun: Instant, result: Result<(), String>) {
        self.checks.fetch_add(1, Ordering::Relaxed);
        if result.is_err() {
            self.failed_checks.fetch_add(1, Ordering::Relaxed);
        }
        let result = result.map_err(|reason| shortened(&reason).to_owned());
        self.update(|state, now| state.on_check(begun, now, result));
    }

    fn update(&self, what: impl FnOnce(&mut State, Instant) -> Option<Change>) {
        let (change, reason) = {
            let mut state = self.state.lock();
            let change = what(&mut state, clock::now());
            self.knows_success.store(state.knows_success(), Ordering::Relaxed);
            let available = state.is_available();
            self.available.send_if_modified(|known| std::mem::replace(known, available) != available);
            (change, change.map(|_| state.reason().to_owned()).unwrap_or_default())
        };
        let Subject { module, name } = &self.subject;
        match change {
            None => {}
            Some(Change::Up) => log!(*module, Level::Info, "{name} is up"),
            Some(Change::Tried) => log!(*module, Level::Info, "{name} is tried again"),
            Some(Change::Down) => log!(*module, Level::Warning, "{name} is down: {reason}"),
            Some(Change::Ejected(time)) => {
                self.ejections.fetch_add(1, Ordering::Relaxed);
                self.woken.notify_one();
                let until = match (self.has_checks, time) {
                    (false, time) => format!("for {time:?}"),
                    (true, Duration::ZERO) => "until a check succeeds".to_owned(),
                    (true, time) => format!("until a check succeeds, for {time:?} at least"),
                };
                log!(*module, Level::Warning, "{name} is ejected {until}: {reason}");
            }
        }
    }

    /// As [`Self::run`], with a probe; `session` is asked for TLS of a protocol.
    pub(crate) async fn run_probe(
        self: Arc<Self>,
        owner: Arc<Owner>,
        probe: Probe,
        session: impl Fn(&[u8]) -> Result<Option<Session>, TlsError> + Send + Sync,
    ) {
        self.run(owner, || probe.run(&session)).await;
    }

    /// The task: makes checks, where there are any, and lets time pass. It ends when its owner drains.
    pub async fn run<F>(self: Arc<Self>, owner: Arc<Owner>, probe: impl Fn() -> F)
    where
        F: Future<Output = Result<(), ProbeError>>,
    {
        tokio::select! {
            () = self.watch(&owner, probe) => {}
            () = owner.draining() => {}
        }
    }

    async fn watch<F>(&self, owner: &Owner, probe: impl Fn() -> F)
    where
        F: Future<Output = Result<(), ProbeError>>,
    {
        loop {
            tokio::select! {
                () = retry::at(self.next_turn()) => {}
                () = self.woken.notified() => continue,
            }
            if !self.has_checks {
                self.update(State::on_time);
                continue;
            }
            let begun = clock::now();
            let result = contained(probe()).await.unwrap_or_else(|| {
                owner.log_panic("health");
                Err(ProbeError::Internal)
            });
            self.on_check(begun, result.map_err(|error| error.to_string()));
        }
    }

    fn next_turn(&self) -> Option<tokio::time::Instant> {
        let due = self.state.lock().due()?;
        let [dice] = random::octets::<1>();
        let early = if self.has_checks {
            due.since(clock::now()).mul_f64(SCATTER * f64::from(dice) / 255.0)
        } else {
            Duration::ZERO
        };
        let at = clock::to_std(due);
        Some(at.checked_sub(early).unwrap_or(at).into())
    }
}

/// As much of a reason as is kept.
fn shortened(reason: &str) -> &str {
    reason.char_indices().nth(REASON_MAX).map_or(reason, |(at, _)| &reason[..at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::capture;
    use crate::tcp::tests::{io, router};
    use parking_lot::Mutex;
    use std::collections::VecDeque;
    use tokio::time::timeout;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn subject() -> Subject {
        Subject { module: LogModule::TcpAdaptor, name: "server".to_owned() }
    }

    fn checked() -> Arc<Health> {
        let checks = Checks { interval: Duration::from_millis(1), failures: 1, successes: 1 };
        Health::new(Params { checks: Some(checks), ejections: None }, subject()).expect("checks")
    }

    fn ejecting(checks: Option<Checks>, time: Duration) -> Arc<Health> {
        let ejections = Some(Ejections { failures: 2, time });
        Health::new(Params { checks, ejections }, subject()).expect("ejections")
    }

    /// A check.
    type Check = fn() -> Result<(), ProbeError>;

    const WELL: Check = || Ok(());
    const FAILS: Check = || Err(ProbeError::Closed);
    const PANICS: Check = || panic!("on purpose");

    fn owner() -> Arc<Owner> {
        let owner = io(&router()).service("connector".to_owned());
        owner.activate();
        owner
    }

    /// Checks with these results, and then with silence.
    fn checks(health: &Arc<Health>, owner: &Arc<Owner>, results: impl IntoIterator<Item = Check>) {
        let results = Mutex::new(results.into_iter().collect::<VecDeque<_>>());
        let probe = move || {
            let result = results.lock().pop_front();
            async move {
                match result {
                    Some(result) => result(),
                    None => std::future::pending().await,
                }
            }
        };
        assert!(owner.spawn("health", Arc::clone(health).run(Arc::clone(owner), probe)));
    }

    #[tokio::test]
    async fn changes_are_told() {
        capture::start();
        let (health, owner) = (checked(), owner());
        checks(&health, &owner, [WELL, WELL, FAILS, FAILS, WELL]);
        timeout(PATIENCE, capture::heard("server", 3)).await.expect("in time");
        let down = "TCP_ADAPTOR (warning) server is down: it closed the connection without an answer";
        let up = "TCP_ADAPTOR (info) server is up";
        assert_eq!(capture::with("server"), [up, down, up]);
        assert_eq!([health.checks(), health.failed_checks()], [5, 2]);
        owner.drain();
        timeout(PATIENCE, owner.left()).await.expect("the check under way is given up");
    }

    #[tokio::test]
    async fn ejections_are_told() {
        capture::start();
        let fail = |health: &Health| {
            for _ in 0..2 {
                health.on_attempt(clock::now(), Err("refused"));
            }
        };
        let (health, owner) = (ejecting(None, Duration::from_millis(20)), owner());
        checks(&health, &owner, []);
        fail(&health);
        timeout(PATIENCE, health.until_available()).await.expect("in time");
        health.on_attempt(clock::now(), Ok(()));
        let expected =
            ["(warning) server is ejected for 20ms: refused", "(info) server is tried again", "(info) server is up"];
        assert_eq!(capture::with("server"), expected.map(|line| format!("TCP_ADAPTOR {line}")));
        assert_eq!(health.ejections(), 1);
        let slow = Checks { interval: Duration::from_secs(100), failures: 1, successes: 1 };
        let checked = ejecting(Some(slow), Duration::from_secs(30));
        checks(&checked, &owner, [WELL, WELL]);
        for _ in 0..2 {
            // The task hears of an ejection, and makes the next check long before it would have been due.
            timeout(PATIENCE, checked.until_available()).await.expect("in time");
            fail(&checked);
            assert!(!checked.is_available());
        }
        let last = capture::with("ejected until");
        let begin = "TCP_ADAPTOR (warning) server is ejected until a check succeeds";
        assert_eq!(last, [format!("{begin}: refused"), format!("{begin}, for 30s at least: refused")]);
    }

    #[tokio::test]
    async fn a_check_that_panics_has_failed_and_others_follow() {
        capture::start();
        let (health, owner) = (checked(), owner());
        checks(&health, &owner, [PANICS, WELL]);
        timeout(PATIENCE, capture::heard("server is up", 1)).await.expect("in time");
        assert_eq!(capture::with("server is down").len(), 1);
        let panicked = "ERROR (error) Internal error: a task has panicked: health of connector";
        assert_eq!(capture::with("panicked"), [panicked]);
    }

    #[tokio::test]
    async fn reasons_are_no_longer_than_they_need_be() {
        let health = ejecting(None, Duration::from_secs(1));
        for _ in 0..2 {
            health.on_attempt(clock::now(), Err(&"ä".repeat(1000)));
        }
        assert_eq!(health.view(), View { status: Status::Ejected, reason: "ä".repeat(REASON_MAX) });
    }

    #[tokio::test]
    async fn success_is_news_after_a_failure() {
        let health = ejecting(None, Duration::from_secs(1));
        let attempts = [Ok(()), Ok(()), Err("1"), Ok(()), Err("2"), Ok(())];
        attempts.into_iter().for_each(|result| health.on_attempt(clock::now(), result));
        assert_eq!(health.view().status, Status::Up);
    }
}
