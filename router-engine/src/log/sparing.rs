//! Lines that peers can cause for ever: the first ones are told, and then ever fewer.

use amqp_core::Instant;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// Lines each of which is told.
const TOLD: u32 = 100;

/// After so long a host's lines count anew.
const WINDOW: Duration = Duration::from_secs(10);

/// Hosts that are told apart; beyond that all others count as one.
const HOSTS: usize = 1024;

/// Counts lines of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sparing(u32);

/// The same, anew every ten seconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct SparingLately {
    since: Instant,
    lines: Sparing,
}

/// The same for each host that peers come from. Of IPv6, where everybody has many addresses, a
/// network of 64 bits counts as one host.
#[derive(Debug, Default)]
pub struct SparingByHost(Mutex<Hosts>);

#[derive(Debug, Default)]
struct Hosts {
    known: FxHashMap<IpAddr, SparingLately>,
    others: SparingLately,
}

// === impl Sparing ===

impl Sparing {
    /// Whether to tell of one more: of the first hundred, and then of each that doubles their number.
    pub fn tells(&mut self) -> bool {
        self.0 = self.0.saturating_add(1);
        self.0 <= TOLD || self.0.is_power_of_two()
    }

    /// Whether there were so many that some are not told.
    const fn is_sparing(self) -> bool {
        self.0 >= TOLD
    }
}

// === impl SparingByHost ===

impl SparingByHost {
    /// Whether to tell of one more line because of a host.
    pub fn tells(&self, host: IpAddr, now: Instant) -> bool {
        self.0.lock().recent(host, now).tells(now)
    }

    /// Whether the host has caused so many lines lately that some are not told.
    #[must_use]
    pub fn is_sparing(&self, host: IpAddr, now: Instant) -> bool {
        let hosts = self.0.lock();
        let is_full = hosts.known.len() >= HOSTS;
        hosts
            .known
            .get(&counted_as(host))
            .or(is_full.then_some(&hosts.others))
            .is_some_and(|lately| lately.is_sparing(now))
    }
}

// === impl Hosts ===

impl Hosts {
    fn recent(&mut self, host: IpAddr, now: Instant) -> &mut SparingLately {
        let host = counted_as(host);
        if self.known.len() >= HOSTS && !self.known.contains_key(&host) {
            self.known.retain(|_, recent| !recent.is_over(now));
        }
        let has_room = self.known.len() < HOSTS || self.known.contains_key(&host);
        if has_room { self.known.entry(host).or_default() } else { &mut self.others }
    }
}

// === impl SparingLately ===

impl SparingLately {
    /// Whether to tell of one more.
    pub fn tells(&mut self, now: Instant) -> bool {
        if self.is_over(now) {
            *self = Self { since: now, lines: Sparing::default() };
        }
        self.lines.tells()
    }

    fn is_sparing(&self, now: Instant) -> bool {
        !self.is_over(now) && self.lines.is_sparing()
    }

    fn is_over(&self, now: Instant) -> bool {
        now.since(self.since) >= WINDOW
    }
}

fn counted_as(host: IpAddr) -> IpAddr {
    match host.to_canonical() {
        IpAddr::V6(host) => {
            let [a, b, c, d, ..] = host.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        host @ IpAddr::V4(_) => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1000);

    fn at(seconds: u64) -> Instant {
        Instant::default() + START + Duration::from_secs(seconds)
    }

    fn told(lines: &SparingByHost, host: &str, now: Instant, count: usize) -> usize {
        let host = host.parse().expect("an address");
        (0..count).filter(|_| lines.tells(host, now)).count()
    }

    #[test]
    fn the_first_lines_are_told_then_ever_fewer() {
        let mut lines = Sparing::default();
        let told: Vec<u32> = (1..=1000).filter(|_| lines.tells()).collect();
        assert_eq!(told[..100], (1..=100).collect::<Vec<_>>());
        assert_eq!(told[100..], [128, 256, 512]);
    }

    #[test]
    fn each_host_has_lines_of_its_own() {
        let lines = SparingByHost::default();
        assert_eq!(told(&lines, "10.0.0.1", at(0), 1000), 103);
        assert!(lines.is_sparing("10.0.0.1".parse().expect("an address"), at(9)));
        assert_eq!(told(&lines, "10.0.0.2", at(0), 50), 50);
        assert!(!lines.is_sparing("10.0.0.2".parse().expect("an address"), at(0)));
        assert_eq!(told(&lines, "::ffff:10.0.0.1", at(9), 10), 0);
        assert_eq!(told(&lines, "10.0.0.1", at(10), 10), 10);
        assert!(!lines.is_sparing("10.0.0.1".parse().expect("an address"), at(10)));
    }

    #[test]
    fn a_network_of_many_addresses_is_one_host() {
        let lines = SparingByHost::default();
        let told: usize = (0..1000).map(|n| told(&lines, &format!("2001:db8::{n:x}"), at(0), 1)).sum();
        assert_eq!(told, 103);
    }

    #[test]
    fn hosts_beyond_the_bound_share_their_lines() {
        let lines = SparingByHost::default();
        let told_of = |from: usize, count: usize, now| -> usize {
            (from..from + count).map(|n| told(&lines, &format!("10.{}.{}.1", n / 256, n % 256), now, 1)).sum()
        };
        assert_eq!(told_of(0, HOSTS, at(0)), HOSTS);
        assert_eq!(told_of(HOSTS, 1000, at(0)), 103);
        assert_eq!(lines.0.lock().known.len(), HOSTS);
        // Whose time is over makes room.
        assert_eq!(told_of(HOSTS, 1000, at(10)), 1000);
    }
}
