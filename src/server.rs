//! From a configuration file to a running router, until a signal ends it.

use crate::StartError;
use crate::cli::{self, Options};
use crate::crash::crash;
use crate::manager;
use adaptors::runtime::Io;
use management::agent::node::Node;
use management::agent::{Agent, thread};
use management::config::{self, BootPlan, Reloader};
use management::runtime::{Runtime, now};
use management::{ErrorClass, RouterError, memory, otlp, test_hooks, vanflow};
use router_engine::log::{Level, LogModule};
use std::time::{Duration, Instant};
use tokio::runtime::{self, Builder};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How a router that had started ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// In good order, as asked for.
    Stopped,
    /// In good order, because of SIGINT.
    Interrupted,
    /// A listener that has to listen cannot.
    Failed,
}

/// Idle streaming links that a connection keeps with `--test-hooks`: few, so that tests see others go.
const TEST_IDLE_STREAMS: usize = 2;

/// How often stuck deliveries are looked for, and how long a delivery has waited then.
const STUCK: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));

/// The same with `--test-hooks`: soon, so that tests need not wait for long.
const TEST_STUCK: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(3));

/// The variable that says, where the command line does not, for how many seconds what is under way may go on once the router
/// is to stop.
const DRAIN_VARIABLE: &str = "SKUPPER_ROUTER_DRAIN_SECONDS";

/// How long work that cannot be interrupted may take to end.
const GRACE: Duration = Duration::from_millis(200);

/// Starts a router, calls `on_start` when it has, and runs it until a signal ends it.
///
/// # Errors
/// When it does not start.
pub(crate) fn run(options: &Options, on_start: impl FnOnce(&Io, &Reloader)) -> Result<Ending, StartError> {
    let plan = BootPlan::new(config::load(&options.config)?)?;
    let workers = plan.worker_threads();
    let executor = Builder::new_multi_thread()
        .worker_threads(executor_threads(workers))
        .thread_name("worker")
        .enable_all()
        .build()
        .map_err(|e| RouterError::new(ErrorClass::System, e.to_string()))?;
    let ended = operate(&executor, plan, workers, options, on_start);
    end(executor, &ended);
    ended
}

/// Creates everything and runs it until a signal ends it.
fn operate(
    executor: &runtime::Runtime,
    plan: BootPlan,
    workers: usize,
    options: &Options,
    on_start: impl FnOnce(&Io, &Reloader),
) -> Result<Ending, StartError> {
    // Before anything can be asked to end: a signal that comes while the router starts ends it in good order too.
    let mut signals = {
        let _context = executor.enter();
        Signals::new().map_err(|e| RouterError::new(ErrorClass::System, e.to_string()))?
    };
    let has_test_hooks = options.test_hooks;
    let mut runtime = Runtime::new(executor.handle().clone());
    if options.await_certificates {
        runtime.await_certificates();
    }
    if options.is_kept {
        runtime.spare_listeners();
    }
    let mut agent = Agent::new(runtime);
    agent.load_all(plan.core)?;
    agent.refresh();
    let Some(router) = agent.backend().router().cloned() else {
        return Err(RouterError::configuration("No network entity").into());
    };
    let (interval, age) = if has_test_hooks { TEST_STUCK } else { STUCK };
    router.detect_stuck(interval, age, now());
    if has_test_hooks {
        router.keep_idle_streams(TEST_IDLE_STREAMS);
    }
    // From here on requests are queued; they are served once everything is created.
    let node = Node::join(router, now);
    router_engine::log!(LogModule::Agent, Level::Info, "Activating management agent on $_management_internal");
    agent.load_all(plan.rest)?;
    if !agent.backend().finish_boot() {
        return Ok(Ending::Failed);
    }
    let Some(io) = agent.backend().io().cloned() else {
        return Err(RouterError::configuration("No network entity").into());
    };
    if has_test_hooks {
        test_hooks::start(&io, crash);
    }
    let spans = otlp::start(&io).map_err(|e| RouterError::new(ErrorClass::System, e.to_string()))?;
    vanflow::start(&io, spans).map_err(|e| RouterError::new(ErrorClass::System, e.to_string()))?;
    let stopped = io.clone();
    let (reloader, plans) = Reloader::new(&options.config);
    thread::spawn(node.reloading(plans), agent, async move { stopped.stopped().await })
        .map_err(|e| RouterError::new(ErrorClass::System, e.to_string()))?;
    log_running(workers);
    on_start(&io, &reloader);
    manager::started(io.router());
    let drain = options.drain.unwrap_or_else(drain_of_environment);
    let ending = executor.block_on(signals.wait(&reloader, options.is_kept));
    manager::stopping(drain);
    if !drain.is_zero() {
        executor.block_on(run_down(&io, drain, &mut signals));
    }
    router_engine::log!(LogModule::Router, Level::Info, "Shut Down");
    executor.block_on(io.shutdown());
    Ok(ending)
}

/// Lets what is under way end, until it has, the time is over, or another signal comes.
async fn run_down(io: &Io, limit: Duration, signals: &mut Signals) {
    let seconds = limit.as_secs();
    router_engine::log!(LogModule::Router, Level::Info, "Draining: nothing new begins, for {seconds} seconds at most");
    let begun = Instant::now();
    tokio::select! {
        drained = io.drain(limit) => match drained {
            Ok(()) => {
                let taken = begun.elapsed().as_secs_f64();
                router_engine::log!(LogModule::Router, Level::Info, "Drained after {taken:.1} seconds");
            }
            Err(left) => {
                router_engine::log!(LogModule::Router, Level::Warning, "The time to drain is over, and ends {left}");
            }
        },
        () = signals.again() => {
            router_engine::log!(LogModule::Router, Level::Warning, "Draining was cut short by a second signal");
        }
    }
}

/// How long the environment lets what is under way go on: not at all where it says nothing.
fn drain_of_environment() -> Duration {
    let Ok(text) = std::env::var(DRAIN_VARIABLE) else { return Duration::ZERO };
    cli::seconds(&text).unwrap_or_else(|| {
        router_engine::log!(LogModule::Router, Level::Error, "{DRAIN_VARIABLE} wants seconds, not '{text}'");
        Duration::ZERO
    })
}

/// Ends the executor. After a start that failed, nobody waits for them: name resolution cannot be interrupted.
fn end(executor: runtime::Runtime, ended: &Result<Ending, StartError>) {
    match ended {
        Ok(Ending::Stopped | Ending::Interrupted) => executor.shutdown_timeout(GRACE),
        Ok(Ending::Failed) | Err(_) => executor.shutdown_background(),
    }
}

/// Threads to start when `configured` are asked for. Tasks seldom block their thread, so that more threads than
/// cores would only take turns with each other.
fn executor_threads(configured: usize) -> usize {
    std::thread::available_parallelism().map_or(configured, |cores| configured.min(cores.get().max(2)))
}

fn log_running(workers: usize) {
    router_engine::log!(
        LogModule::Server,
        Level::Info,
        "Operational, {workers} Threads Running (process ID {})",
        std::process::id()
    );
    if let (Some(usage), Some(available)) = (memory::usage(), memory::available()) {
        router_engine::log!(
            LogModule::Router,
            Level::Info,
            "Process VmSize {} RSS {} ({} available memory)",
            memory::shown(usage.total),
            memory::shown(usage.resident),
            memory::shown(available)
        );
    }
    if cfg!(debug_assertions) {
        router_engine::log!(LogModule::Router, Level::Info, "Running in DEBUG Mode");
    }
}

/// The signals that matter.
pub(crate) struct Signals {
    term: Signal,
    quit: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// # Errors
    /// Of the operating system.
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Another signal that asks for the end.
    pub(crate) async fn again(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.quit.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    async fn wait(&mut self, reloader: &Reloader, is_kept: bool) -> Ending {
        loop {
            tokio::select! {
                _ = self.term.recv() => return Ending::Stopped,
                _ = self.quit.recv() => return Ending::Stopped,
                _ = self.interrupt.recv() => return Ending::Interrupted,
                _ = self.hangup.recv() => match is_kept {
                    true => management::log::logger().reopen(),
                    false => reloader.reload(),
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_that_failed_is_not_held_up_by_name_resolution() {
        for ended in [Ok(Ending::Failed), Err(StartError("no".to_owned()))] {
            let executor = Builder::new_multi_thread().worker_threads(1).build().expect("an executor");
            let (release, blocked) = std::sync::mpsc::channel::<()>();
            let (begun, begins) = std::sync::mpsc::channel();
            executor.spawn_blocking(move || {
                let _ = begun.send(());
                let _ = blocked.recv();
            });
            begins.recv().expect("it blocks");
            end(executor, &ended);
            drop(release);
        }
    }
}
