//! Limits of connections, what is counted of them, and where they may come from.

use super::super::*;
use super::{NOBODY, group, ip, on};
use amqp_core::Instant;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

fn limited(limits: ConnectionLimits, group: Group) -> Policy {
    let mut policy = Policy::new(true, false, String::new());
    let vhost = Vhost::new("v".to_owned(), Vec::new(), false, vec![("g".to_owned(), group)]).expect("makes sense");
    assert_eq!(policy.put(vhost.with_limits(limits)), Ok(true));
    policy
}

fn anybody() -> Group {
    group(&["*"], vec![HostRange::Any], true)
}

fn from<'a>(user: &'a str, host: &str) -> Asked<'a> {
    Asked { user: Some(user), remote_host: Some(ip(host)), ..on("v") }
}

fn exceeded(admission: &Admission) -> Option<[bool; 3]> {
    match admission {
        Admission::Granted(_) => None,
        Admission::Refused(Refusal::TooMany(Exceeded { total, user, host })) => Some([*total, *user, *host]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn connections_are_limited_for_as_long_as_they_live() {
    let policy = limited(ConnectionLimits { total: 3, per_user: 2, per_host: 2 }, anybody());
    let first = policy.admit(&from("a", "::1"), || true);
    let second = policy.admit(&from("a", "::2"), || true);
    assert_eq!(exceeded(&policy.admit(&from("a", "::3"), || true)), Some([false, true, false]));
    let third = policy.admit(&from("b", "::1"), || true);
    assert_eq!([&first, &second, &third].map(exceeded), [None; 3]);
    assert_eq!(exceeded(&policy.admit(&from("a", "::1"), || true)), Some([true, true, true]));
    assert_eq!(exceeded(&policy.admit(&from("c", "::4"), || true)), Some([true, false, false]));
    drop(first);
    assert_eq!(exceeded(&policy.admit(&from("a", "::1"), || true)), None);
    let figures = policy.stats()[0].figures();
    assert_eq!((figures.approved, figures.refused, figures.current), (4, 3, 2));
    let of = |peers: &[(&str, usize)]| {
        let list = |n: usize| vec![NOBODY.peer.to_owned(); n];
        peers.iter().map(|(key, n)| ((*key).to_owned(), list(*n))).collect()
    };
    assert_eq!((figures.by_user, figures.by_host), (of(&[("a", 1), ("b", 1)]), of(&[("::1", 1), ("::2", 1)])));
    drop((second, third));
    let figures = policy.stats()[0].figures();
    assert_eq!((figures.current, figures.by_user, figures.by_host), (0, of(&[]), of(&[])));
}

#[test]
fn groups_have_limits_of_their_own() {
    let wide = Group { max_connections_per_user: Some(2), max_connections_per_host: Some(3), ..anybody() };
    let policy = limited(ConnectionLimits { total: 10, per_user: 1, per_host: 1 }, wide);
    let held: Vec<_> = (0..2).map(|_| policy.admit(&from("a", "::1"), || true)).collect();
    assert_eq!(exceeded(&policy.admit(&from("a", "::1"), || true)), Some([false, true, false]));
    let other = policy.admit(&from("b", "::1"), || true);
    assert_eq!(exceeded(&other), None);
    assert_eq!(exceeded(&policy.admit(&from("c", "::1"), || true)), Some([false, false, true]));
    drop(held);
}

#[test]
fn nobody_is_in_the_group_without_users() {
    let mut policy = Policy::new(true, false, String::new());
    let groups = vec![("$connector".to_owned(), group(&[""], vec![HostRange::Any], true))];
    policy.put(Vhost::new("v".to_owned(), Vec::new(), false, groups).expect("makes sense")).expect("new");
    assert!(matches!(policy.admit(&from("", "::1"), || true), Admission::Refused(Refusal::UnknownUser)));
}

#[test]
fn a_limit_of_none_lets_nobody_in() {
    let policy = limited(ConnectionLimits { total: 0, ..ConnectionLimits::default() }, anybody());
    assert_eq!(exceeded(&policy.admit(&from("a", "::1"), || true)), Some([true, false, false]));
}

#[test]
fn statistics_outlive_rules() {
    let mut policy = limited(ConnectionLimits::default(), anybody());
    let held = policy.admit(&from("a", "::1"), || true);
    policy.remove("v");
    assert!(matches!(policy.admit(&from("a", "::1"), || true), Admission::Refused(Refusal::NoVhost)));
    assert_eq!((policy.stats()[0].figures().current, policy.stats()[0].figures().refused), (1, 0));
    let vhost = Vhost::new("v".to_owned(), Vec::new(), false, vec![("g".to_owned(), anybody())]).expect("makes sense");
    assert_eq!(policy.put(vhost), Ok(true));
    assert_eq!(policy.stats().len(), 1);
    drop(held);
    assert_eq!((policy.stats()[0].figures().approved, policy.stats()[0].figures().current), (1, 0));
}

#[test]
fn the_size_of_messages_by_group_then_vhost_then_router() {
    let granted = |group_max: Option<u64>, vhost_max: Option<u64>, router_max: u64| {
        let settings = Settings { max_message_size: group_max, ..Settings::default() };
        let group = Group { settings: Arc::new(settings), ..anybody() };
        let vhost = Vhost::new("v".to_owned(), Vec::new(), false, vec![("g".to_owned(), group)]).expect("makes sense");
        let mut policy = Policy::new(true, false, String::new()).with_max_message_size(router_max);
        assert_eq!(policy.put(vhost.with_max_message_size(vhost_max)), Ok(true));
        match policy.admit(&from("a", "::1"), || true) {
            Admission::Granted(grant) => grant.max_message_size(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(granted(None, None, 0), None);
    assert_eq!(granted(None, None, 3), Some(3));
    assert_eq!(granted(None, Some(2), 3), Some(2));
    assert_eq!(granted(Some(1), Some(2), 3), Some(1));
    assert_eq!(granted(Some(0), Some(2), 3), None);
    assert_eq!(granted(None, Some(0), 3), None);
}

#[test]
fn sockets_are_counted_and_limited() {
    let totals = Arc::new(Totals::default());
    totals.limit_connections(1);
    let held = totals.accept(ip("::1"), Instant::default());
    assert!(held.is_some() && totals.accept(ip("::1"), Instant::default()).is_none());
    drop(held);
    assert!(totals.accept(ip("::1"), Instant::default()).is_some());
    for what in [Denied::Session, Denied::Sender, Denied::Receiver, Denied::MessageSize] {
        totals.count(what);
    }
    let figures =
        TotalFigures { processed: 3, refused: 1, current: 0, links_denied: 2, messages_denied: 1, denials: 5 };
    assert_eq!(totals.figures(), figures);
}

fn address() -> impl Strategy<Value = IpAddr> {
    // Few of each, so that they meet.
    let near = prop_oneof![0..4_u32, (0xffff_fffc..=u32::MAX), Just(0x0100)];
    prop_oneof![
        near.clone().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
        near.prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(u128::from(bits) << 90))),
    ]
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn hosts_are_compared_octet_by_octet(
        ranges in proptest::collection::vec((address(), address()), 0..4),
        host in address(),
    ) {
        let mut hosts = Vec::new();
        let mut admits = false;
        for (low, high) in ranges {
            let (low_octets, high_octets, host_octets) = (octets(low), octets(high), octets(host));
            match HostRange::new(low, high) {
                Ok(range) => {
                    prop_assert!(low_octets.len() == high_octets.len() && low_octets <= high_octets);
                    hosts.push(range);
                    let is_comparable = host_octets.len() == low_octets.len();
                    admits |= is_comparable && low_octets <= host_octets && host_octets <= high_octets;
                }
                Err(RuleError::MixedRange) => prop_assert_ne!(low_octets.len(), high_octets.len()),
                Err(error) => prop_assert!(error == RuleError::ReversedRange && low_octets > high_octets),
            }
        }
        let policy = limited(ConnectionLimits::default(), group(&["*"], hosts, true));
        let admission = policy.admit(&Asked { remote_host: Some(host), ..on("v") }, || true);
        prop_assert_eq!(matches!(admission, Admission::Granted(_)), admits);
        prop_assert_eq!(matches!(admission, Admission::Refused(Refusal::RemoteHost)), !admits);
    }
}
