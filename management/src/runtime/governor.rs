//! Keeps what peers make the process hold below its ceiling (see [`router_engine::memory`]): looks now and then, says
//! what changes, and as the last resort closes the connections that hold the most. Also tells now and then how much
//! memory is used.

use super::usage;
use crate::memory;
use adaptors::pool;
use adaptors::runtime::Io;
use amqp_core::performative::Error;
use router_engine::log::{Level as LogLevel, LogModule};
use router_engine::memory::{BUDGET, Level};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

/// How often what is counted is looked at while there is something to watch.
const TICK: Duration = Duration::from_millis(50);

/// How often the resident memory is looked at, which is a file of the system.
const RESIDENT: Duration = Duration::from_millis(200);

/// How often either is looked at while little is held. That this grows is told by [`pool::grown`].
const IDLE: Duration = Duration::from_millis(500);

/// One part in so many of the ceiling is little to be held.
const LITTLE: usize = 8;

/// How often the log tells of the same at most.
const QUIET: Duration = Duration::from_secs(5);

/// A connection that holds less than this is not closed: that would help little.
const WORTH_CLOSING: usize = 256 * 1024;

/// What is remembered from tick to tick.
struct Governor {
    io: Io,
    resident: usize,
    /// When the resident memory was looked at.
    looked: Option<Instant>,
    /// The last change that the log tells of, and when.
    told: (Level, Instant),
    refused: usize,
    /// Connections were asked for what they hold.
    weighed: bool,
}

/// Sets the ceiling of the process, and says so.
pub(super) fn set_ceiling() {
    let ceiling = memory::ceiling();
    BUDGET.set_ceiling(usize::try_from(ceiling).unwrap_or(usize::MAX));
    let (shown, buffers) = (memory::shown(ceiling), ceiling / 4096);
    router_engine::log!(
        LogModule::TcpAdaptor,
        LogLevel::Info,
        "Router buffer memory ceiling: {shown} ({buffers} buffers)"
    );
}

/// Runs for as long as the router does.
pub(super) async fn run(io: Io) {
    let router = Arc::clone(io.router());
    let mut governor =
        Governor { io, resident: 0, looked: None, told: (Level::Calm, Instant::now()), refused: 0, weighed: false };
    let watch = async {
        loop {
            governor.look().await;
            governor.tick();
            if !governor.is_idle() || timeout(IDLE, pool::grown()).await.is_ok() {
                sleep(TICK).await;
            }
        }
    };
    tokio::select! {
        () = watch => {}
        () = usage::report(router) => {}
    }
}

impl Governor {
    /// Looks at the resident memory when that is due.
    async fn look(&mut self) {
        if self.looked.is_none_or(|looked| looked.elapsed() >= RESIDENT)
            && let Ok(Some(usage)) = tokio::task::spawn_blocking(memory::usage).await
        {
            self.resident = usize::try_from(usage.resident).unwrap_or(usize::MAX);
            self.looked = Some(Instant::now());
        }
    }

    /// Whether nothing happens soon without more being held first.
    fn is_idle(&self) -> bool {
        let ceiling = BUDGET.ceiling();
        let is_little = pool::held() < ceiling / LITTLE && self.resident < ceiling / 2;
        is_little && BUDGET.level() == Level::Calm && self.told.0 == Level::Calm
    }

    fn tick(&mut self) {
        let held = pool::held();
        let (_, level) = BUDGET.judge(held, self.resident);
        self.tell(level, held);
        if level == Level::Shed {
            self.shed();
        } else {
            self.weighed = false;
        }
    }

    /// Tells of a worse level at once, and of anything else after some quiet.
    fn tell(&mut self, level: Level, held: usize) {
        let (told, at) = self.told;
        let refused = BUDGET.refused() - self.refused;
        let due = at.elapsed() >= QUIET;
        if level > told || (due && (level < told || refused > 0)) {
            let what = match level {
                Level::Calm => "back to normal",
                Level::Slow => "senders are slowed down",
                Level::Refuse => "new connections are refused",
                Level::Shed => "connections that hold the most are closed",
            };
            let log_level = if level == Level::Calm { LogLevel::Info } else { LogLevel::Warning };
            let (held, ceiling) = (memory::shown(held as u64), memory::shown(BUDGET.ceiling() as u64));
            let resident = memory::shown(self.resident as u64);
            router_engine::log!(
                LogModule::Router,
                log_level,
                "Memory: {what}; peers make the router hold {held}, resident {resident} of {ceiling}, {refused} connections refused"
            );
            self.told = (level, Instant::now());
            self.refused += refused;
        }
    }

    /// Asks connections for what they hold in one tick, and closes the heaviest in the next.
    fn shed(&mut self) {
        let router = self.io.router();
        if self.weighed
            && let Some((conn, octets)) = router.heaviest_connection()
            && octets >= WORTH_CLOSING
        {
            let shown = memory::shown(octets as u64);
            router_engine::log!(
                LogModule::Router,
                LogLevel::Error,
                conn = conn,
                "Closing connection: it makes the router hold {shown} and memory is short"
            );
            let description = format!("memory is short, and {octets} octets are held for this connection");
            let error = Error::new("amqp:resource-limit-exceeded", description);
            router.close_connection(conn, Some(error), false);
        }
        router.weigh_connections();
        self.weighed = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use router_engine::Router;
    use router_engine::core::RouterConfig;
    use std::sync::Arc;

    #[tokio::test]
    async fn it_ends_with_the_router() {
        let router = Router::new(RouterConfig::default(), adaptors::random::seed(), 1, adaptors::clock::now());
        let io = Io::new(Arc::new(router), tokio::runtime::Handle::current(), 1);
        io.spawn("governor", run(io.clone()));
        assert_eq!(io.tasks().live().get("governor"), Some(&1));
        assert_eq!(io.shutdown().await, []);
        assert!(io.tasks().live().is_empty());
    }
}
