//! How much memory the process and the machine have.

use std::fs;
use std::path::Path;

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

/// Threads of this process, where the system tells.
#[must_use]
pub fn threads() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("Threads:"))?.trim().parse().ok()
}

/// File descriptors of a process, as far as the system tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Files {
    /// In use.
    pub open: Option<u64>,
    /// That may be in use; none where there is no limit.
    pub limit: Option<u64>,
}

/// File descriptors of this process.
#[must_use]
pub fn files() -> Files {
    const OPEN: &str = "/proc/self/fd";
    // Newer kernels tell the number as the size of the directory.
    let told = fs::metadata(OPEN).ok().map(|open| open.len()).filter(|&open| open > 0);
    let counted = || fs::read_dir(OPEN).ok().map(|open| open.count() as u64);
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    Files { open: told.or_else(counted), limit: soft_limit(&limits, "Max open files") }
}

fn soft_limit(limits: &str, name: &str) -> Option<u64> {
    limits.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
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

/// Octets that the container or the machine has, where the system tells.
#[must_use]
pub fn limit() -> Option<u64> {
    lesser(container_limit(), total())
}

fn lesser(container: Option<u64>, machine: Option<u64>) -> Option<u64> {
    container.into_iter().chain(machine).min()
}

fn chosen(asked: Option<&str>, container: Option<u64>, machine: Option<u64>) -> u64 {
    let asked = asked.and_then(|text| text.trim().parse().ok()).filter(|&octets| octets > 0);
    let found = lesser(container, machine).unwrap_or(UNKNOWN);
    // More than there is would be no ceiling.
    asked.map_or((found / 4 * 3).max(LEAST.min(found)), |octets: u64| octets.max(LEAST))
}

fn total() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")
}

/// The least memory limit of the control group and of those that it is in. One that is not limited tells a word, or a
/// number beyond any machine's memory.
fn container_limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    limit_files(&groups).iter().filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok()).min()
}

/// Where the limits may be, by the text of `/proc/self/cgroup`: in either version, for the group and each above it. A
/// container may see its own group as the root and still be told its path on the machine.
fn limit_files(groups: &str) -> Vec<String> {
    const ROOT: &str = "/sys/fs/cgroup";
    let path = |is_it: fn(&str) -> bool| {
        let mut lines = groups.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
        lines.find(|(controllers, _)| is_it(controllers)).map_or("/", |(_, path)| path)
    };
    let memory = |controllers: &str| controllers.split(',').any(|controller| controller == "memory");
    let versions = [
        (ROOT.to_owned(), path(str::is_empty), "memory.max"),
        (format!("{ROOT}/memory"), path(memory), "memory.limit_in_bytes"),
    ];
    let of = |(root, path, file): (String, &str, &str)| {
        let groups = Path::new(path).ancestors().map(|group| group.to_string_lossy().trim_matches('/').to_owned());
        groups.map(|group| format!("{root}/{group}/{file}")).collect::<Vec<_>>()
    };
    versions.into_iter().flat_map(of).collect()
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
    fn no_ceiling_is_beyond_a_small_limit() {
        const MIB: u64 = 1 << 20;
        let small = |limit: u64| chosen(None, Some(limit * MIB), Some(8 << 30)) / MIB;
        assert_eq!([100, 80, 64, 48, 20].map(small), [75, 64, 64, 48, 20]);
    }

    #[test]
    fn limits_are_looked_for_in_every_group_that_contains_the_process() {
        assert_eq!(
            limit_files("0::/kubepods/pod1/c1\n"),
            [
                "/sys/fs/cgroup/kubepods/pod1/c1/memory.max",
                "/sys/fs/cgroup/kubepods/pod1/memory.max",
                "/sys/fs/cgroup/kubepods/memory.max",
                "/sys/fs/cgroup//memory.max",
                "/sys/fs/cgroup/memory//memory.limit_in_bytes",
            ]
        );
        assert_eq!(
            limit_files("5:cpu,cpuacct:/a:b\n4:hugetlb,memory:/docker/c1\n0::/\n"),
            [
                "/sys/fs/cgroup//memory.max",
                "/sys/fs/cgroup/memory/docker/c1/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/docker/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory//memory.limit_in_bytes",
            ]
        );
        assert_eq!(limit_files("").len(), 2);
    }

    #[test]
    fn the_process_has_threads_and_files() {
        assert!(threads().is_none_or(|threads| threads > 0));
        let Files { open, limit } = files();
        assert!(open.is_none_or(|open| open >= 3) && limit.is_none_or(|limit| limit >= 3));
        let limits = "Limit        Soft Limit  Hard Limit  Units\nMax open files   1024    524288   files\n";
        assert_eq!(soft_limit(limits, "Max open files"), Some(1024));
        assert_eq!(soft_limit(&limits.replace("1024", "unlimited"), "Max open files"), None);
    }

    #[test]
    fn the_process_has_memory() {
        assert!(usage().is_none_or(|u| u.total >= u.resident && u.resident > 0));
    }
}
