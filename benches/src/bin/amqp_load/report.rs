//! What a run tells.

use super::options::Options;
use super::receiver::Latency;
use super::sender::Outcomes;
use super::tally::Tally;
use super::usage::Usage;
use anyhow::Result;
use serde_json::{Value, json};

/// What was counted up to a point in time.
#[derive(Debug)]
pub(crate) struct Mark {
    /// Nanoseconds.
    pub(crate) at: u64,
    pub(crate) sent: u64,
    /// By each receiver.
    pub(crate) received: Vec<u64>,
    pub(crate) routers: Usage,
    pub(crate) load: Usage,
}

/// What was counted when nothing more came.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) missing: u64,
    pub(crate) repeated: u64,
    pub(crate) altered: u64,
    pub(crate) aborted: u64,
    pub(crate) outcomes: Outcomes,
    /// Not accepted, and need not have been.
    pub(crate) early: u64,
}

// === impl Sums ===

impl Sums {
    /// Adds what a receiver has counted, to which no more will come of the `sent` messages.
    pub(crate) const fn add_receiver(&mut self, mut tally: Tally, sent: u64, (altered, aborted): (u64, u64)) {
        tally.end(sent);
        self.received += tally.received;
        self.missing += tally.missing;
        self.repeated += tally.repeated;
        self.altered += altered;
        self.aborted += aborted;
    }

    /// Messages that were not delivered once, unharmed, or not known to be accepted. Dropping settled ones is no fault.
    const fn faults(&self, settled: bool) -> u64 {
        let harmed = self.repeated + self.altered;
        if settled {
            return harmed;
        }
        harmed + self.missing + self.sent.saturating_sub(self.outcomes.accepted() + self.early)
    }
}

/// Figures of what came between two marks, and of the whole.
pub(crate) fn report(
    options: &Options,
    (first, last): (&Mark, &Mark),
    sums: &Sums,
    latency: Option<&Latency>,
) -> Result<Value> {
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let seconds = (last.at - first.at) as f64 / 1e9;
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let per_second = |count: u64| count as f64 / seconds;
    let each: Vec<u64> = last.received.iter().zip(&first.received).map(|(last, first)| last - first).collect();
    let received = each.iter().sum();
    Ok(json!({
        "seconds": seconds,
        "sent_per_second": per_second(last.sent - first.sent),
        "received_per_second": per_second(received),
        "received_by_one": {"least": each.iter().min(), "most": each.iter().max()},
        "routers": last.routers.since(first.routers).to_json(received),
        "load": last.load.since(first.load).to_json(received),
        "latency": latency.map(latency_figures),
        "total": {
            "sent": sums.sent,
            "received": sums.received,
            "missing": sums.missing,
            "repeated": sums.repeated,
            "altered": sums.altered,
            "aborted": sums.aborted,
            "before_all_were_reached": sums.early,
            "outcomes": sums.outcomes.to_json(),
        },
        "faults": sums.faults(options.settled),
    }))
}

fn latency_figures(latency: &Latency) -> Value {
    let histogram = &latency.histogram;
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let micros = |nanos: u64| nanos as f64 / 1000.0;
    let at = |percent: f64| micros(histogram.value_at_percentile(percent));
    json!({
        "messages": histogram.len(),
        "p50_us": at(50.0),
        "p90_us": at(90.0),
        "p99_us": at(99.0),
        "p99_9_us": at(99.9),
        "p99_99_us": at(99.99),
        "max_us": micros(histogram.max()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_a_fault_unless_it_was_settled() {
        let mut tally = Tally::new();
        tally.count(0, false);
        tally.count(2, false);
        let mut sums = Sums { sent: 4, ..Sums::default() };
        sums.add_receiver(tally, 4, (0, 0));
        assert_eq!((sums.missing, sums.faults(true), sums.faults(false)), (2, 0, 2 + 4));
        sums.add_receiver(tally, 3, (1, 1));
        assert_eq!((sums.missing, sums.altered, sums.aborted, sums.faults(true)), (3, 1, 1, 1));
    }
}
