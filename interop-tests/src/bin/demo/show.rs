//! Text for the person who watches.

use std::time::Duration;

use crate::load::Latencies;

/// Columns of the longest bar.
const BAR: usize = 40;

/// Prints the heading of a step.
pub(crate) fn step(number: u32, title: &str) {
    println!("\n{number}. {title}\n");
}

/// Prints a named value.
pub(crate) fn fact(name: &str, value: &str) {
    println!("    {name:<18} {value}");
}

/// Prints rate, quantiles and a histogram.
pub(crate) fn latencies(measured: &Latencies) {
    let count = measured.sorted.len();
    let rate = count as f64 / measured.elapsed.as_secs_f64();
    fact("requests", &format!("{count} over {} persistent connections", measured.connections));
    fact("rate", &format!("{rate:.0} requests/s"));
    let quantiles = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("slowest", 1.0)];
    let quantiles = quantiles.map(|(name, share)| format!("{name} {}", duration(measured.quantile(share))));
    fact("latency", &quantiles.join(", "));
    println!();
    let buckets = buckets(&measured.sorted);
    let highest = buckets.iter().map(|(_, count)| *count).max().unwrap_or(1);
    for (limit, count) in buckets {
        println!("    <= {:>8} {count:>8} {}", duration(limit), "#".repeat((count * BAR).div_ceil(highest)));
    }
    println!();
}

/// Counts per power of two of a microsecond, from the first bucket with an entry to the last.
fn buckets(sorted: &[Duration]) -> Vec<(Duration, usize)> {
    let mut counted: Vec<(Duration, usize)> = Vec::new();
    let mut limit = Duration::from_micros(16);
    for latency in sorted {
        while *latency > limit {
            limit *= 2;
            if !counted.is_empty() {
                counted.push((limit, 0));
            }
        }
        match counted.last_mut() {
            Some((_, count)) => *count += 1,
            None => counted.push((limit, 1)),
        }
    }
    counted
}

fn duration(value: Duration) -> String {
    match value.as_micros() {
        micros @ 0..1000 => format!("{micros} us"),
        micros if micros < 100_000 => format!("{:.2} ms", micros as f64 / 1000.0),
        micros => format!("{:.0} ms", micros as f64 / 1000.0),
    }
}

/// Text in columns.
pub(crate) struct Table<const COLUMNS: usize> {
    rows: Vec<[String; COLUMNS]>,
}

// === impl Table ===

impl<const COLUMNS: usize> Table<COLUMNS> {
    /// A table with the given column titles.
    pub(crate) fn new(titles: &[&str; COLUMNS]) -> Self {
        Self { rows: vec![titles.map(str::to_owned)] }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: [String; COLUMNS]) {
        self.rows.push(cells);
    }

    /// Prints the table, a rule below the titles.
    pub(crate) fn print(&self) {
        let width = |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<_> = (0..COLUMNS).map(width).collect();
        for (number, row) in self.rows.iter().enumerate() {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            println!("    {}", cells.collect::<Vec<_>>().join("  ").trim_end());
            if number == 0 {
                println!("    {}", "-".repeat(widths.iter().sum::<usize>() + 2 * (COLUMNS - 1)));
            }
        }
    }
}
