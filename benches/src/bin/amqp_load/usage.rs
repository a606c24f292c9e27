//! What processes use of the processor.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;
use std::{fs, io};

/// What the threads of processes have used.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    cpu: Duration,
    /// Context switches, because a thread waited.
    waits: u64,
    /// Context switches, because another thread wanted the processor.
    preemptions: u64,
}

// === impl Usage ===

impl Usage {
    /// Of these processes together, since they began.
    pub(crate) fn of(pids: &[u32]) -> Result<Self> {
        let mut sum = Self::default();
        for pid in pids {
            let tasks = format!("/proc/{pid}/task");
            for task in fs::read_dir(&tasks).with_context(|| tasks.clone())? {
                match of_task(&task?.path()) {
                    Ok(usage) => sum = sum.plus(usage.context("threads as the kernel shows them")?),
                    // It has ended meanwhile.
                    Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Other) => {}
                    Err(error) => return Err(error).context(tasks),
                }
            }
        }
        Ok(sum)
    }

    /// What came since `earlier`, which ends that began with the same threads.
    pub(crate) const fn since(self, earlier: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            waits: self.waits.saturating_sub(earlier.waits),
            preemptions: self.preemptions.saturating_sub(earlier.preemptions),
        }
    }

    /// For the report.
    pub(crate) fn to_json(self, messages: u64) -> Value {
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let each = |amount: f64| if messages == 0 { None } else { Some(amount / messages as f64) };
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let counts = (self.waits as f64, self.preemptions as f64);
        json!({
            "cpu_seconds": self.cpu.as_secs_f64(),
            "cpu_us_per_message": each(self.cpu.as_secs_f64() * 1e6),
            "waits_per_message": each(counts.0),
            "preemptions_per_message": each(counts.1),
        })
    }

    fn plus(self, other: Self) -> Self {
        Self {
            cpu: self.cpu + other.cpu,
            waits: self.waits + other.waits,
            preemptions: self.preemptions + other.preemptions,
        }
    }
}

fn of_task(task: &Path) -> io::Result<Option<Usage>> {
    let read = |name| fs::read_to_string(task.join(name));
    Ok(parse(&read("schedstat")?, &read("status")?))
}

/// `schedstat` begins with the nanoseconds that the thread ran.
fn parse(schedstat: &str, status: &str) -> Option<Usage> {
    let nanos = schedstat.split_whitespace().next()?.parse().ok()?;
    let count = |name| status.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    Some(Usage {
        cpu: Duration::from_nanos(nanos),
        waits: count("voluntary_ctxt_switches:")?,
        preemptions: count("nonvoluntary_ctxt_switches:")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_thread() {
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t3\nnonvoluntary_ctxt_switches:\t4\n";
        let usage = parse("61021 5 1\n", status).unwrap();
        assert_eq!(usage, Usage { cpu: Duration::from_nanos(61_021), waits: 3, preemptions: 4 });
        assert_eq!(usage.since(usage), Usage::default());
        assert_eq!(parse("", status), None);
        assert_eq!(parse("1 2 3", ""), None);
    }

    #[test]
    fn of_this_process() {
        assert!(Usage::of(&[std::process::id()]).unwrap().cpu > Duration::ZERO);
        assert!(Usage::of(&[u32::MAX]).is_err());
    }
}
