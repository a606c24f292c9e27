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

/// The variable that sets the ceiling of the process, octets.
const CEILING: &str = "SKUPPER_ROUTER_MEMORY_CEILING";

/// The least that a ceiling can be: what a router needs to be of any use.
const LEAST: u64 = 64 * 1024 * 1024;

/// What is assumed where the system tells nothing.
const UNKNOWN: u64 = 4 * 1024 * 1024 * 1024;

/// Octets that this process may use: what the environment says, or three quarters of what the container or the machine
/// has.
#[must_use]
pub fn ceiling() -> u64 {
    let asked = std::env::var(CEILING).ok();
    chosen(asked.as_deref(), container_limit(), total())
}

fn chosen(asked: Option<&str>, container: Option<u64>, machine: Option<u64>) -> u64 {
    let asked = asked.and_then(|text| text.trim().parse().ok()).filter(|&octets| octets > 0);
    let found = container.into_iter().chain(machine).min().unwrap_or(UNKNOWN);
    asked.unwrap_or(found / 4 * 3).max(LEAST)
}

fn total() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")
}

/// The memory limit of the control group, of either version. One that is not limited tells a word, or a number beyond
/// any machine's memory.
fn container_limit() -> Option<u64> {
    const ROOT: &str = "/sys/fs/cgroup";
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = groups.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
    let files = [
        format!("{ROOT}{own}/memory.max"),
        format!("{ROOT}/memory.max"),
        format!("{ROOT}/memory/memory.limit_in_bytes"),
    ];
    files.iter().filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok()).min()
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
    fn the_ceiling_is_the_environments_or_a_part_of_what_there_is() {
        const GIB: u64 = 1 << 30;
        assert_eq!(chosen(Some("209715200"), Some(GIB), Some(8 * GIB)), 209_715_200);
        for bad in [None, Some(""), Some("0"), Some("-5"), Some("lots")] {
            assert_eq!(chosen(bad, Some(GIB), Some(8 * GIB)), GIB / 4 * 3);
        }
        assert_eq!(chosen(None, Some(u64::MAX), Some(8 * GIB)), 6 * GIB);
        assert_eq!(chosen(None, None, None), 3 * GIB);
        assert_eq!(chosen(Some("1"), None, None), LEAST);
    }

    #[test]
    fn the_process_has_memory() {
        assert!(usage().is_none_or(|u| u.total >= u.resident && u.resident > 0));
    }
}
