//! The line that tells now and then how much memory there is and how much of it the process has.

use super::now;
use crate::entity::allocator::{Pool, pools};
use crate::memory::{self, shown};
use adaptors::pool;
use router_engine::Router;
use router_engine::log::{Level, LogModule};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

/// The variable that says after how many seconds the line comes, and again; none comes with 0.
const VARIABLE: &str = "SKUPPER_ROUTER_ALLOC_MONITOR_SECS";

/// The period when the variable says nothing.
const PERIOD: Duration = Duration::from_secs(15 * 60);

/// Logs the line for as long as the process runs.
pub(super) async fn report(router: Arc<Router>) {
    let period = period(std::env::var(VARIABLE).ok().as_deref());
    let log = |line: &str| {
        let pools = shown_pools(&pools(&router.router_row(now())));
        router_engine::log!(LogModule::Router, Level::Info, "{line}{pools}");
    };
    repeat(period, log).await;
}

/// Kinds of objects as ` name:in use:kept`, as far as there are any.
fn shown_pools(pools: &[Pool]) -> String {
    let any = pools.iter().filter(|pool| pool.total > 0);
    any.map(|pool| format!(" {}:{}:{}", pool.name, pool.used, pool.total - pool.used)).collect()
}

/// None: the line is not wanted.
fn period(asked: Option<&str>) -> Option<Duration> {
    let seconds = asked.and_then(|text| text.trim().parse().ok()).map(|seconds: u32| u64::from(seconds));
    Some(seconds.map_or(PERIOD, Duration::from_secs)).filter(|period| !period.is_zero())
}

async fn repeat(period: Option<Duration>, mut tell: impl FnMut(&str)) {
    let Some(period) = period else { return std::future::pending().await };
    loop {
        sleep(period).await;
        // The system's files may make their reader wait.
        if let Ok(Some(line)) = tokio::task::spawn_blocking(current).await {
            tell(&line);
        }
    }
}

/// What the line tells, where the system tells it.
fn current() -> Option<String> {
    let usage = memory::usage()?;
    Some(line([memory::limit()?, usage.total, usage.resident, pool::octets() as u64]))
}

/// `ram:7.76GiB vm:1.08GiB rss:19.20MiB pool:1.31MiB` of numbers of octets.
fn line(octets: [u64; 4]) -> String {
    let [ram, vm, rss, pool] = octets.map(|octets| shown(octets).replace(' ', ""));
    format!("ram:{ram} vm:{vm} rss:{rss} pool:{pool}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    #[test]
    fn sizes_stand_beside_their_units() {
        let octets = [67_098_126_746, 1536 << 20, 20_132_659, 66_048];
        assert_eq!(line(octets), "ram:62.49GiB vm:1.50GiB rss:19.20MiB pool:64.50KiB");
    }

    #[test]
    fn kinds_of_objects_follow() {
        let pool = |name, used, total| Pool { name, size: 8, used, total };
        let pools = [pool("qd_a_t", 3, 5), pool("qd_none_t", 0, 0), pool("qd_b_t", 0, 2)];
        assert_eq!(shown_pools(&pools), " qd_a_t:3:2 qd_b_t:0:2");
    }

    #[test]
    fn the_environment_may_change_the_period() {
        assert_eq!(period(Some("10")), Some(Duration::from_secs(10)));
        assert_eq!(period(Some("0")), None);
        for nothing in [None, Some(""), Some("-1"), Some("often"), Some("99999999999")] {
            assert_eq!(period(nothing), Some(PERIOD));
        }
    }

    #[tokio::test]
    async fn the_line_comes_again() {
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let run = repeat(Some(Duration::from_millis(1)), |line| tell.send(line.to_owned()).expect("heard"));
        let hear = async { [told.recv().await, told.recv().await].map(Option::unwrap) };
        let lines = tokio::select! {
            () = run => unreachable!("it goes on"),
            lines = timeout(Duration::from_secs(20), hear) => lines.expect("in time"),
        };
        let names = |line: &str| line.split(' ').map(|part| part.split(':').next() == Some("ram")).collect::<Vec<_>>();
        assert!(lines.iter().all(|line| names(line) == [true, false, false, false]), "{lines:?}");
    }
}
