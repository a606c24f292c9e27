mod addresses;
mod connections;

use super::*;
use crate::core::connection::ConnectionRole;
use std::net::IpAddr;
use std::sync::Arc;

fn group(users: &[&str], remote_hosts: Vec<HostRange>, allow: bool) -> Group {
    Group {
        users: users.iter().map(|&user| user.to_owned()).collect(),
        remote_hosts,
        settings: Arc::new(settings(allow)),
        ..Group::default()
    }
}

fn settings(allow: bool) -> Settings {
    Settings { allow_admin_status_update: allow, ..Settings::default() }
}

/// A vhost that lets everybody in, with a group for users in none.
fn open_vhost(name: &str, aliases: &[&str], allow: bool) -> Vhost {
    let aliases = aliases.iter().map(|&alias| alias.to_owned()).collect();
    let groups = vec![("$default".to_owned(), group(&[""], vec![HostRange::Any], allow))];
    Vhost::new(name.to_owned(), aliases, true, groups).expect("rules that make sense")
}

fn policy(patterns: bool, vhosts: Vec<Vhost>) -> Policy {
    let mut policy = Policy::new(true, patterns, "$default".to_owned());
    for vhost in vhosts {
        assert_eq!(policy.put(vhost), Ok(true));
    }
    policy
}

impl Policy {
    /// What is decided of a connection that comes and goes.
    fn decide(&self, asked: &Asked<'_>) -> Decision {
        self.admit(asked, || true).decision()
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

const NOBODY: Asked<'_> = Asked {
    initiator: false,
    role: ConnectionRole::Normal,
    policy_vhost: None,
    hostname: None,
    user: None,
    remote_host: None,
    peer: "1.2.3.4:5",
    number: 1,
};

fn on<'a>(hostname: &'a str) -> Asked<'a> {
    Asked { hostname: Some(hostname), ..NOBODY }
}

fn granted(allow: bool) -> Decision {
    Decision::Granted(Arc::new(settings(allow)))
}

#[test]
fn nothing_is_asked_of_rules_that_are_not_enabled() {
    let mut policy = Policy::new(false, false, "$default".to_owned());
    assert_eq!(policy.put(open_vhost("$default", &[], false)), Ok(true));
    assert_eq!(policy.decide(&NOBODY), Decision::Unrestricted);
    assert_eq!(Policy::default().decide(&NOBODY), Decision::Unrestricted);
}

#[test]
fn names_then_aliases_then_the_default() {
    let policy = policy(false, vec![open_vhost("a", &["b"], true), open_vhost("$default", &[], false)]);
    assert_eq!(policy.decide(&on("a")), granted(true));
    assert_eq!(policy.decide(&on("b")), granted(true));
    assert_eq!(policy.decide(&on("c")), granted(false));
    assert_eq!(policy.decide(&NOBODY), granted(false));
}

#[test]
fn without_a_default_vhost_other_names_are_refused() {
    let vhosts = vec![open_vhost("a", &[], true)];
    assert_eq!(policy(false, vhosts.clone()).decide(&on("c")), Decision::Refused(Refusal::NoVhost));
    // Blank is none, even if there is a vhost of that name.
    let mut blank = Policy::new(true, false, String::new());
    assert_eq!(blank.put(open_vhost("", &[], true)), Ok(true));
    assert_eq!(blank.decide(&on("c")), Decision::Refused(Refusal::NoVhost));
    assert_eq!(blank.decide(&NOBODY), granted(true));
}

#[test]
fn the_vhost_of_the_listener_comes_before_that_of_the_open() {
    let policy = policy(false, vec![open_vhost("a", &[], true), open_vhost("b", &[], false)]);
    assert_eq!(policy.decide(&Asked { policy_vhost: Some("b"), ..on("a") }), granted(false));
}

#[test]
fn groups_by_user_then_any_then_default() {
    let vhost = |any: bool, unknown: bool| {
        let mut groups = vec![
            ("staff".to_owned(), group(&["alice", "bob"], vec![HostRange::Any], true)),
            ("$default".to_owned(), group(&[""], vec![], false)),
        ];
        if any {
            groups.push(("rest".to_owned(), group(&["*"], vec![HostRange::Any], false)));
        }
        policy(false, vec![Vhost::new("v".to_owned(), Vec::new(), unknown, groups).expect("rules that make sense")])
    };
    let as_user = |policy: &Policy, user| policy.decide(&Asked { user, ..on("v") });
    assert_eq!(as_user(&vhost(false, false), Some("bob")), granted(true));
    assert_eq!(as_user(&vhost(false, false), Some("eve")), Decision::Refused(Refusal::UnknownUser));
    assert_eq!(as_user(&vhost(false, false), None), Decision::Refused(Refusal::UnknownUser));
    // The group that unknown users get lets nobody in from anywhere.
    assert_eq!(as_user(&vhost(false, true), Some("eve")), Decision::Refused(Refusal::RemoteHost));
    assert_eq!(as_user(&vhost(true, true), Some("eve")), granted(false));
    assert_eq!(as_user(&vhost(true, false), None), granted(false));
    assert_eq!(as_user(&vhost(true, true), Some("alice")), granted(true));
}

#[test]
fn remote_hosts() {
    let ranges = vec![
        HostRange::new(ip("10.0.0.0"), ip("10.0.255.255")).expect("a range"),
        HostRange::new(ip("::1"), ip("::1")).expect("a range"),
    ];
    let groups = vec![("g".to_owned(), group(&["*"], ranges, true))];
    let policy = policy(false, vec![Vhost::new("v".to_owned(), Vec::new(), false, groups).expect("rules")]);
    let from = |host: Option<&str>| policy.decide(&Asked { remote_host: host.map(ip), ..on("v") });
    for inside in ["10.0.0.0", "10.0.7.9", "10.0.255.255", "::1"] {
        assert_eq!(from(Some(inside)), granted(true), "{inside}");
    }
    for outside in [Some("10.1.0.0"), Some("9.255.255.255"), Some("::2"), Some("::ffff:10.0.0.1"), None] {
        assert_eq!(from(outside), Decision::Refused(Refusal::RemoteHost), "{outside:?}");
    }
    assert_eq!(HostRange::new(ip("1.0.0.0"), ip("::1")), Err(RuleError::MixedRange));
    assert_eq!(HostRange::new(ip("::1"), ip("1.0.0.0")), Err(RuleError::MixedRange));
    assert_eq!(HostRange::new(ip("1.0.0.1"), ip("1.0.0.0")), Err(RuleError::ReversedRange));
}

#[test]
fn the_most_specific_pattern_covers_a_name() {
    let vhosts = vec![
        open_vhost("*.example.com", &["#"], false),
        open_vhost("www.example.com", &["127.0.0.1"], true),
        open_vhost("other", &[], true),
    ];
    let policy = policy(true, vhosts);
    for (name, allow) in
        [("a.example.com", false), ("www.example.com", true), ("127.0.0.1", true), ("other", true), ("else", false)]
    {
        assert_eq!(policy.decide(&on(name)), granted(allow), "{name}");
    }
    assert_eq!(policy.decide(&NOBODY), granted(false), "# matches the empty name");
}

#[test]
fn the_empty_name_may_have_rules_of_its_own_among_patterns() {
    let policy = policy(true, vec![open_vhost("#", &[], false), open_vhost("", &[], true)]);
    assert_eq!(policy.decide(&NOBODY), granted(true));
    assert_eq!(policy.decide(&on("x")), granted(false));
}

#[test]
fn connections_between_routers_are_not_restricted() {
    let policy = policy(false, vec![open_vhost("v", &[], false)]);
    let of = |role| policy.decide(&Asked { role, ..on("v") });
    assert_eq!(of(ConnectionRole::InterRouter), Decision::Unrestricted);
    for role in [ConnectionRole::Edge, ConnectionRole::InterEdge, ConnectionRole::RouteContainer] {
        assert_eq!(of(role), granted(false), "{role:?}");
    }
}

#[test]
fn connectors_are_restricted_by_the_vhost_configured_for_them() {
    let groups = vec![("$connector".to_owned(), group(&[""], vec![], false))];
    let vhost = Vhost::new("c".to_owned(), Vec::new(), false, groups).expect("rules that make sense");
    let policy = policy(false, vec![vhost, open_vhost("d", &[], false)]);
    let to = |policy_vhost, role| policy.decide(&Asked { initiator: true, role, policy_vhost, ..on("d") });
    assert_eq!(to(Some("c"), ConnectionRole::Normal), granted(false));
    assert_eq!(to(Some("c"), ConnectionRole::Edge), Decision::Unrestricted);
    assert_eq!(to(None, ConnectionRole::Normal), Decision::Unrestricted);
    assert_eq!(to(Some(""), ConnectionRole::Normal), Decision::Unrestricted);
    assert_eq!(to(Some("d"), ConnectionRole::RouteContainer), Decision::Refused(Refusal::NoConnectorGroup));
    assert_eq!(to(Some("e"), ConnectionRole::InterNetwork), Decision::Refused(Refusal::NoVhost));
}

#[test]
fn rules_that_contradict_each_other() {
    let text = |aliases: &[&str], unknown, groups: &[(&str, &str)]| {
        let aliases = aliases.iter().map(|&alias| alias.to_owned()).collect();
        let groups = groups.iter().map(|&(name, user)| (name.to_owned(), group(&[user], vec![], true))).collect();
        Vhost::new("v".to_owned(), aliases, unknown, groups).expect_err("must be refused").to_string()
    };
    assert_eq!(text(&["v"], false, &[]), "Policy vhost 'v' option 'aliases' value 'v' duplicates vhost name");
    assert_eq!(text(&["a", "a"], false, &[]), "Policy vhost 'v' option 'aliases' value 'a' is duplicated");
    assert_eq!(
        text(&[], false, &[("g", "u"), ("h", "u")]),
        "Policy vhost 'v' user 'u' is in multiple user groups 'g' and 'h'"
    );
    assert_eq!(
        text(&[], true, &[("g", "u")]),
        "Policy vhost 'v' allows connections by default but default settings are not defined"
    );
}

#[test]
fn names_that_belong_to_others() {
    let mut policy = policy(false, vec![open_vhost("a", &["b"], true)]);
    let mut text =
        |name, aliases: &[&str]| policy.put(open_vhost(name, aliases, true)).expect_err("is taken").to_string();
    assert_eq!(text("b", &[]), "Policy is creating vhost 'b' but that name is already an alias for vhost 'a'");
    assert_eq!(
        text("c", &["a"]),
        "Policy for vhost 'c' defines alias 'a' which conflicts with an existing vhost named 'a'"
    );
    assert_eq!(text("c", &["b"]), "Policy for vhost 'c' alias 'b' conflicts with existing alias for vhost 'a'");
}

#[test]
fn a_vhost_is_replaced_with_its_names_and_removed_with_them() {
    for patterns in [false, true] {
        let mut policy = policy(patterns, vec![open_vhost("a", &["b", "c"], true)]);
        assert_eq!(policy.put(open_vhost("a", &["c", "d"], false)), Ok(false));
        assert_eq!(policy.decide(&on("b")), Decision::Refused(Refusal::NoVhost));
        for name in ["a", "c", "d"] {
            assert_eq!(policy.decide(&on(name)), granted(false), "{name}");
        }
        policy.remove("a");
        policy.remove("a");
        assert_eq!(policy.decide(&on("a")), Decision::Refused(Refusal::NoVhost));
        assert_eq!(policy.put(open_vhost("d", &["a"], true)), Ok(true));
        assert_eq!(policy.decide(&on("a")), granted(true));
    }
}

#[test]
fn a_pattern_that_is_taken_leaves_all_as_it_was() {
    let mut policy = policy(true, vec![open_vhost("a.#.*", &[], true), open_vhost("v", &["w"], true)]);
    let error = policy.put(open_vhost("v", &["x", "a/*/#"], false)).expect_err("is taken");
    assert_eq!(
        error.to_string(),
        "Policy for vhost 'v' alias 'a/*/#' optimized pattern conflicts with existing pattern"
    );
    assert_eq!(policy.decide(&on("x")), Decision::Refused(Refusal::NoVhost));
    for name in ["v", "w", "a.b"] {
        assert_eq!(policy.decide(&on(name)), granted(true), "{name}");
    }
}
