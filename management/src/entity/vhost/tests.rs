use super::*;
use crate::attributes::Attributes;
use crate::schema::{EntityType, validate};
use amqp_core::Value;
use amqp_core::value::Map;
use router_engine::core::connection::ConnectionRole;
use router_engine::policy::{AddressRules, Admission, Asked, Decision, Policy, Refusal, Settings};

fn entity(given: &[(&'static str, Value)]) -> EntityConfig {
    let ty = EntityType::Vhost;
    let mut attributes = Attributes::new().with("type", ty.full()).with("hostname", "v");
    for (name, value) in given {
        attributes.set(*name, value.clone());
    }
    EntityConfig { ty, attributes: validate::complete(ty, attributes).expect("valid") }
}

fn with_group(settings: Map) -> EntityConfig {
    entity(&[("groups", Map::new().with("g", settings).into())])
}

fn refused(entity: &EntityConfig) -> String {
    rules::read(&entity.attributes).expect_err("must be refused").to_string()
}

fn policy_of(entity: &EntityConfig) -> Policy {
    let mut policy = Policy::new(true, false, String::new());
    policy.put(rules::read(&entity.attributes).expect("accepted")).expect("the only vhost");
    policy
}

/// What becomes of a user who comes from a host.
fn admit(policy: &Policy, user: &str, remote_host: &str) -> Admission {
    policy.admit(
        &Asked {
            initiator: false,
            role: ConnectionRole::Normal,
            policy_vhost: None,
            hostname: Some("v"),
            user: Some(user),
            remote_host: remote_host.parse().ok(),
            peer: "",
            number: 0,
        },
        || true,
    )
}

/// Whether a user who comes from a host may set `adminStatus`.
fn may_update(entity: &EntityConfig, user: &str, remote_host: &str) -> bool {
    admit(&policy_of(entity), user, remote_host).decision().allows_admin_status_update()
}

fn list(items: &[&str]) -> Value {
    Value::List(items.iter().map(|&item| item.into()).collect())
}

#[test]
fn users_are_listed_either_way() {
    for users in ["alice, bob ,alice".into(), list(&["alice", "bob", "alice"]), list(&["alice,bob"])] {
        let entity = with_group(Map::new().with("users", users.clone()).with("remoteHosts", "*"));
        for (user, may) in [("alice", true), ("bob", true), ("eve", false), ("", false)] {
            assert_eq!(may_update(&entity, user, "1.2.3.4"), may, "{user} of {users:?}");
        }
    }
}

#[test]
fn hosts_are_listed_either_way() {
    let hosts = ["10.0.0.1, 10.1.0.0 - 10.1.0.9, ::1".into(), list(&["10.0.0.1", "10.1.0.0-10.1.0.9", "::1"])];
    for remote_hosts in hosts {
        let entity = with_group(Map::new().with("users", "*").with("remoteHosts", remote_hosts));
        for (host, may) in [("10.0.0.1", true), ("10.0.0.2", false), ("10.1.0.9", true), ("::1", true), ("::2", false)]
        {
            assert_eq!(may_update(&entity, "u", host), may, "{host}");
        }
    }
    let nowhere = with_group(Map::new().with("users", "*"));
    assert!(!may_update(&nowhere, "u", "10.0.0.1"));
}

#[test]
fn what_may_be_done_to_connections() {
    let settings = || Map::new().with("users", "*").with("remoteHosts", "*");
    assert!(may_update(&with_group(settings()), "u", "::1"));
    for (value, may) in [
        (Value::Bool(true), true),
        (Value::Bool(false), false),
        ("true".into(), true),
        ("false".into(), false),
        ("True".into(), false),
    ] {
        let entity = with_group(settings().with("allowAdminStatusUpdate", value.clone()));
        assert_eq!(may_update(&entity, "u", "::1"), may, "{value:?}");
    }
}

#[test]
fn all_that_is_configured_for_unknown_users_is_read() {
    let groups = Map::new().with("$default", Map::new().with("remoteHosts", "*"));
    let entity = entity(&[
        ("allowUnknownUser", true.into()),
        ("aliases", "a, b".into()),
        ("maxConnections", 65535.into()),
        ("groups", groups.into()),
    ]);
    assert!(may_update(&entity, "u", "::1"));
    assert_eq!(rules::read(&entity.attributes).expect("accepted").aliases(), ["a", "b"]);
}

#[test]
fn vhosts_that_make_no_sense() {
    assert_eq!(
        refused(&entity(&[("maxConnections", 65536.into())])),
        "PolicyError: Policy 'v' is invalid: Policy vhost 'v' option 'maxConnections' has error \
         'Value '65536' is above maximum '65535'.'."
    );
    assert_eq!(
        refused(&entity(&[("allowUnknownUser", true.into())])),
        "PolicyError: Policy 'v' is invalid: Policy vhost 'v' allows connections by default but default settings are \
         not defined"
    );
    assert_eq!(
        refused(&entity(&[("aliases", "a,v".into())])),
        "PolicyError: Policy 'v' is invalid: Policy vhost 'v' option 'aliases' value 'v' duplicates vhost name"
    );
    let groups = Map::new().with("g", "text");
    assert_eq!(
        refused(&entity(&[("groups", groups.into())])),
        "PolicyError: Policy 'v' is invalid: Policy vhost 'v' user group 'g' must be a map but is 'text'."
    );
}

#[test]
fn settings_that_make_no_sense() {
    let text = |key: &str, value: Value| {
        let text = refused(&with_group(Map::new().with(key, value)));
        let head = "PolicyError: Policy 'v' is invalid: Policy vhost 'v' user group 'g' ";
        text.strip_prefix(head).unwrap_or_else(|| panic!("{text}")).to_owned()
    };
    for (key, value, wanted) in [
        ("maxSenders", "x".into(), "option 'maxSenders' has error 'Value 'x' does not resolve to an integer.'."),
        ("maxSenders", Value::Null, "option 'maxSenders' has error 'Value 'None' does not resolve to an integer.'."),
        ("maxFrameSize", (-1).into(), "option 'maxFrameSize' has error 'Value '-1' is below minimum '0'.'."),
        (
            "maxConnectionsPerUser",
            "70000".into(),
            "option 'maxConnectionsPerUser' has error 'Value '70000' is above maximum '65535'.'.",
        ),
        ("allowDynamicSource", 1.into(), "option 'allowDynamicSource' has illegal boolean value '1'."),
        ("allowAdminStatusUpdate", "yes".into(), "option 'allowAdminStatusUpdate' has illegal boolean value 'yes'."),
        ("users", 7.into(), "option 'users' has illegal value '7'. It must be text or a list of texts."),
        (
            "sources",
            "${user}.${user}".into(),
            "policy key 'sources' item '${user}.${user}' contains multiple user substitution tokens",
        ),
        (
            "targetPattern",
            "a.${user}.b".into(),
            "policy key 'targetPattern' item 'a.${user}.b' may contain match pattern '${user}' as a prefix or a suffix \
             only.",
        ),
    ] {
        assert_eq!(text(key, value), wanted);
    }
    let both = Map::new().with("sources", "a").with("sourcePattern", "b");
    assert_eq!(
        refused(&with_group(both)),
        "PolicyError: Policy 'v' is invalid: Policy vhost 'v' user group 'g' specifies conflicting 'sources' and \
         'sourcePattern' attributes. Use only one or the other."
    );
}

#[test]
fn hosts_that_make_no_sense() {
    for (item, why) in [
        ("1.0.0.2-1.0.0.1", "host specs in range must have lower numeric address first"),
        ("1.0.0.2-::1", "mixed IPv4 and IPv6 host specs in range not allowed"),
        ("1.0.0.1-1.0.0.2-1.0.0.3", "hostspec must contain 1 or 2 host names"),
    ] {
        let wanted = format!("'remoteHosts' connectionOption '{item}' failed to translate: '{why}'.");
        let text = refused(&with_group(Map::new().with("remoteHosts", item)));
        assert!(text.ends_with(&wanted), "{text}");
    }
    let text = refused(&with_group(Map::new().with("remoteHosts", "")));
    assert!(text.contains("connectionOption '' failed to translate: 'HostStruct: '' failed to resolve: '"), "{text}");
}

fn addresses(mut rules: AddressRules, items: &[&str]) -> AddressRules {
    items.iter().for_each(|item| rules.add(item).expect("makes sense"));
    rules
}

fn granted(settings: Map) -> (Settings, Option<u64>) {
    let entity = with_group(settings.with("users", "*").with("remoteHosts", "*"));
    match admit(&policy_of(&entity), "u", "::1") {
        Admission::Granted(grant) => (grant.settings().clone(), grant.max_message_size()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn settings_are_what_is_written() {
    assert_eq!(granted(Map::new()), (Settings::default(), None));
    let all = Map::new()
        .with("maxFrameSize", 600)
        .with("maxSessionWindow", "6000")
        .with("maxSessions", 3)
        .with("maxSenders", 4)
        .with("maxReceivers", 5_000_000_000_i64)
        .with("maxMessageSize", 7)
        .with("allowDynamicSource", true)
        .with("allowAnonymousSender", "true")
        .with("allowUserIdProxy", true)
        .with("allowAdminStatusUpdate", false)
        .with("sources", " a,b.* ,, ${user}")
        .with("targets", list(&["c", "d, e"]));
    let settings = Settings {
        max_frame_size: Some(600),
        max_session_window: Some(6000),
        max_sessions: Some(3),
        max_senders: Some(4),
        max_receivers: Some(u32::MAX),
        max_message_size: Some(7),
        allow_dynamic_source: true,
        allow_anonymous_sender: true,
        allow_user_id_proxy: true,
        allow_admin_status_update: false,
        sources: addresses(AddressRules::literals(), &["a", "b.*", "${user}"]),
        targets: addresses(AddressRules::literals(), &["c", "d", "e"]),
    };
    assert_eq!(granted(all), (settings, Some(7)));
    let patterns = Map::new().with("sourcePattern", "a/*").with("targetPattern", list(&["${user}/#"]));
    let settings = Settings {
        sources: addresses(AddressRules::patterns(), &["a/*"]),
        targets: addresses(AddressRules::patterns(), &["${user}/#"]),
        ..Settings::default()
    };
    assert_eq!(granted(patterns), (settings, None));
}

#[test]
fn numbers_of_nothing_are_no_limits() {
    let keys = ["maxFrameSize", "maxSessionWindow", "maxSessions", "maxSenders", "maxReceivers"];
    let none = keys.iter().fold(Map::new(), |map, &key| map.with(key, 0));
    assert_eq!(granted(none), (Settings::default(), None));
}

#[test]
fn limits_of_connections_and_messages_are_read() {
    let settings = |more: Map| {
        let group = more.with("users", "*").with("remoteHosts", "*");
        entity(&[
            ("maxConnections", 3.into()),
            ("maxConnectionsPerUser", 1.into()),
            ("maxConnectionsPerHost", 2.into()),
            ("groups", Map::new().with("g", group).into()),
        ])
    };
    let is_full =
        |policy: &Policy, user| matches!(admit(policy, user, "::1").decision(), Decision::Refused(Refusal::TooMany(_)));
    let policy = policy_of(&settings(Map::new()));
    let first = admit(&policy, "a", "::1");
    assert!(is_full(&policy, "a") && !is_full(&policy, "b"));
    let second = admit(&policy, "b", "::1");
    assert!(is_full(&policy, "c"));
    drop((first, second));
    let policy = policy_of(&settings(Map::new().with("maxConnectionsPerUser", 3).with("maxConnectionsPerHost", 9)));
    let held: Vec<_> = (0..3).map(|_| admit(&policy, "a", "::1")).collect();
    assert!(is_full(&policy, "b"));
    drop(held);
    assert!(!is_full(&policy, "b"));
}
