use super::*;
use crate::config::EntityConfig;
use crate::error::RouterError;
use crate::schema::{EntityType, validate};
use amqp_core::Value;
use amqp_core::value::Map;
use router_engine::mesh::Timing;

fn entity(ty: EntityType, given: &[(&'static str, Value)]) -> EntityConfig {
    let mut attributes = Attributes::new().with("type", ty.full());
    for (name, value) in given {
        attributes.set(*name, value.clone());
    }
    EntityConfig { ty, attributes: validate::complete(ty, attributes).expect("valid") }
}

fn refused<'a, T: TryFrom<&'a EntityConfig, Error = RouterError>>(entity: &'a EntityConfig) -> String {
    T::try_from(entity).err().expect("must be refused").to_string()
}

#[test]
fn listener_bounds() {
    let listener = |name, number: i64| entity(EntityType::Listener, &[(name, number.into())]);
    assert_eq!(
        refused::<ListenerParams>(&listener("cost", -1)),
        "Configuration: Invalid cost (-1) specified. Minimum value for cost is 1 and maximum value is 2147483647"
    );
    assert_eq!(
        refused::<ListenerParams>(&listener("maxFrameSize", 511)),
        "Configuration: Invalid maxFrameSize specified (511). Minimum value is 512 and maximum value is 2147483647"
    );
    assert_eq!(
        refused::<ListenerParams>(&listener("maxSessions", 32769)),
        "Configuration: Invalid maxSessions specified (32769). Minimum value is 1 and maximum value is 32768"
    );
    assert_eq!(
        refused::<ListenerParams>(&listener("maxSessionFrames", 1)),
        "Configuration: Invalid maxSessionFrames specified (1). Minimum value is 2 and maximum value is 2147483647"
    );
    let params = ListenerParams::try_from(&listener("maxSessions", 0)).expect("valid");
    assert_eq!((params.peer.max_sessions, params.peer.max_session_frames), (32768, None));
    assert_eq!((params.peer.link_capacity, params.peer.strip_in, params.peer.strip_out), (250, true, true));
    assert!(params.http.is_none());
}

#[test]
fn root_directory_implies_http() {
    let params =
        ListenerParams::try_from(&entity(EntityType::Listener, &[("httpRootDir", "/x".into())])).expect("valid");
    assert_eq!(params.http.and_then(|h| h.root_dir).as_deref(), Some("/x"));
}

#[test]
fn tcp_rules() {
    let port = ("port", Value::from("1"));
    let address = ("address", Value::from("a"));
    let one = "Configuration: Exactly one of the 'address' or 'multiAddressStrategy' field must be set";
    assert_eq!(refused::<TcpListenerParams>(&entity(EntityType::TcpListener, std::slice::from_ref(&port))), one);
    let both = [port.clone(), address.clone(), ("multiAddressStrategy", "weighted".into())];
    assert_eq!(refused::<TcpListenerParams>(&entity(EntityType::TcpListener, &both)), one);
    assert_eq!(
        refused::<TcpListenerParams>(&entity(EntityType::TcpListener, &[address])),
        "Python: KeyError: ('port',)"
    );
    assert_eq!(
        refused::<TcpConnectorParams>(&entity(EntityType::TcpConnector, &[port])),
        "Configuration: Address must be set"
    );
}

#[test]
fn profile_ordinals() {
    let profile = |ordinal: i64, oldest: i64| {
        let given = [("name", "p".into()), ("ordinal", ordinal.into()), ("oldestValidOrdinal", oldest.into())];
        entity(EntityType::SslProfile, &given)
    };
    assert_eq!(
        refused::<SslProfileParams>(&profile(-1, 0)),
        "Configuration: Negative ordinal field values are invalid (sslProfile 'p')"
    );
    assert_eq!(
        refused::<SslProfileParams>(&profile(1, 2)),
        "Configuration: ordinal must be >= oldestValidOrdinal (sslProfile 'p')"
    );
}

#[test]
fn addresses() {
    let refused = |body: Map| AddressParams::from_body(None, &body).expect_err("must be refused");
    assert_eq!(refused(Map::new()), "Either a 'prefix' or 'pattern' attribute must be provided");
    assert_eq!(
        refused(Map::new().with("prefix", "a").with("pattern", "b")),
        "Cannot specify both a 'prefix' and a 'pattern' attribute"
    );
    assert_eq!(refused(Map::new().with("prefix", "")), "Prefix must be a non-empty string type");
    assert_eq!(refused(Map::new().with("pattern", "./.")), "Pattern invalid - no tokens");
    assert_eq!(
        refused(Map::new().with("pattern", "a").with("priority", 10)),
        "Priority value, if present, must be between 0 and QDR_MAX_PRIORITY"
    );
    let params = AddressParams::from_body(None, &Map::new().with("prefix", "/a.b/")).expect("valid");
    assert_eq!((params.pattern.as_str(), params.prefix(), params.priority), ("a.b/#", Some("a.b"), -1));
}

#[test]
fn auto_links() {
    let refused = |body: Map| AutoLinkParams::from_body(None, &body).expect_err("must be refused");
    assert_eq!(refused(Map::new()), "direction field is mandatory");
    assert_eq!(refused(Map::new().with("direction", "up")), "Invalid value for 'direction'");
    assert_eq!(refused(Map::new().with("direction", "out")), "address field is only optional if direction is incoming");
    assert_eq!(
        refused(Map::new().with("connection", "a").with("containerId", "b")),
        "Both connection and containerId cannot be specified. Specify only one"
    );
}

#[test]
fn timing_of_the_routing_protocols() {
    let params = |given: &[(&'static str, Value)]| {
        RouterParams::try_from(&entity(EntityType::Router, given)).expect("valid").timing
    };
    assert_eq!(params(&[]), Timing::default());
    let given = [
        ("helloIntervalSeconds", 2),
        ("helloMaxAgeSeconds", 10),
        ("raIntervalSeconds", 20),
        ("raIntervalFluxSeconds", 5),
        ("remoteLsMaxAgeSeconds", 90),
        ("unreachableHoldoffSeconds", 7),
    ];
    let timing = params(&given.map(|(name, n)| (name, Value::from(n))));
    let ages = [timing.hello_max_age, timing.link_state_max_age, timing.unreachable_hold_off];
    let periods = [timing.hello_interval, timing.ra_interval, timing.ra_interval_flux];
    assert_eq!(periods.map(|p| p.as_secs()), [2, 20, 5]);
    assert_eq!(ages.map(|a| a.as_secs()), [10, 90, 7]);
}
