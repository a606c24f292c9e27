//! How much memory the process and the machine have.

use std::fs;

/// Memory of the process in octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Virtual memory.
    pub total: u64,
    /// Resident memory.
    pub resident: u64,
}

/// Memory of this process, where the system tells.
#[must_use]
pub fn usage() -> Option<Usage> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    Some(Usage { total: kilobytes(&status, "VmSize:")?, resident: kilobytes(&status, "VmRSS:")? })
}

/// Memory that is available on the machine, octets.
#[must_use]
pub fn available() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")
}

fn kilobytes(text: &str, label: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(label))?;
    let number: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(number * 1024)
}

/// A size in a unit that makes it short: `29.80 MiB`.
#[must_use]
pub fn shown(octets: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    // Precision beyond two decimals is not shown.
    #[allow(clippy::cast_precision_loss)]
    let mut size = octets as f64;
    let mut unit = 0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.2} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        assert_eq!(shown(1023), "1023.00 B");
        assert_eq!(shown(3 * 1024 * 1024 / 2), "1.50 MiB");
    }

    #[test]
    fn the_process_has_memory() {
        assert!(usage().is_none_or(|u| u.total >= u.resident && u.resident > 0));
    }
}
