//! What `listener` and `connector` have in common.

use crate::attributes::Attributes;
use crate::config::SetError;
use crate::error::RouterError;
use crate::schema::Attribute;
use crate::schema::attribute::{number, one_of, port, properties, text};
use adaptors::amqp::EndpointParams;
use adaptors::net::Family;
use amqp_core::Value;
use router_engine::core::connection::ConnectionRole;
use router_engine::port::{Liveness, MessageFields};
use std::time::Duration;

const ROLES: &[&str] = &["normal", "inter-router", "route-container", "edge", "inter-edge", "inter-network"];
const FAMILIES: &[&str] = &["IPv4", "IPv6"];
const STRIP: &[&str] = &["in", "out", "both", "no"];

// Attributes that listeners and connectors share.
pub(super) const PORT: Attribute = port("port", "A port number or service name.").or_text("amqp").create();
pub(super) const FAMILY: Attribute = one_of("socketAddressFamily", FAMILIES, "Use only this version of IP.").create();
pub(super) const ROLE: Attribute = one_of("role", ROLES, "What the connections are for.").or_text("normal").create();
pub(super) const COST: Attribute =
    number("cost", "What a message pays for crossing the connection.").or_number(1).create();
pub(super) const SSL_PROFILE_NAME: Attribute =
    text("sslProfile", "The name of the sslProfile to use; none means no TLS.").create();
pub(super) const MAX_FRAME_SIZE: Attribute =
    number("maxFrameSize", "Octets in the largest frame that is accepted.").or_number(16384).create();
pub(super) const MAX_SESSIONS: Attribute =
    number("maxSessions", "Sessions on one connection.").or_number(32768).create();
pub(super) const MAX_SESSION_FRAMES: Attribute =
    number("maxSessionFrames", "Frames that one session may have under way to the router.").create();
pub(super) const IDLE_TIMEOUT: Attribute =
    number("idleTimeoutSeconds", "A peer silent for this long is cut off; 0 never.").natural().or_number(16).create();
pub(super) const LIVENESS_INTERVAL: Attribute =
    number("livenessInterval", "Milliseconds within which routers that agree to it hear from each other; 0 never.")
        .within(0, u32::MAX as i64)
        .or_number(0)
        .create();
pub(super) const LIVENESS_MULTIPLIER: Attribute =
    number("livenessMultiplier", "Intervals of silence after which the router at the other end counts as dead.")
        .within(2, 255)
        .or_number(3)
        .create();
pub(super) const STRIP_ANNOTATIONS: Attribute =
    one_of("stripAnnotations", STRIP, "Where router annotations are taken off messages.").or_text("both").create();
pub(super) const LINK_CAPACITY: Attribute =
    number("linkCapacity", "The credit that a sending peer gets per link.").natural().create();
pub(super) const MESSAGE_LOGGING: Attribute =
    text("messageLoggingComponents", "Message properties to show in the MESSAGE log: none, all, or a list.")
        .or_text("none")
        .create();
pub(super) const OPEN_PROPERTIES: Attribute =
    properties("openProperties", "Properties to add when a connection opens.").create();

/// Credit of a link when none is configured.
const DEFAULT_LINK_CAPACITY: u32 = 250;
const DEFAULT_MAX_FRAME_SIZE: u32 = 16384;
const DEFAULT_MAX_SESSIONS: u32 = 32768;

/// The parameters that both have, without TLS.
///
/// # Errors
/// When a number is out of range.
pub(super) fn params(a: &Attributes) -> Result<EndpointParams, RouterError> {
    let strip = a.text("stripAnnotations").unwrap_or("both");
    Ok(EndpointParams {
        name: a.string("name"),
        host: a.string("host"),
        port: a.string("port"),
        family: a.text("socketAddressFamily").and_then(Family::parse),
        role: role(a.text("role")),
        cost: cost(a)?,
        max_sessions: limit(a, "maxSessions", 1, 32768)?.unwrap_or(DEFAULT_MAX_SESSIONS),
        max_frame_size: limit(a, "maxFrameSize", 512, i32::MAX as u32)?.unwrap_or(DEFAULT_MAX_FRAME_SIZE),
        max_session_frames: limit(a, "maxSessionFrames", 2, i32::MAX as u32)?,
        idle_timeout: a.seconds("idleTimeoutSeconds"),
        liveness: liveness(a),
        link_capacity: match u32::try_from(a.count("linkCapacity")) {
            Ok(0) | Err(_) => DEFAULT_LINK_CAPACITY,
            Ok(capacity) => capacity,
        },
        message_fields: MessageFields::parse(a.text("messageLoggingComponents").unwrap_or_default()),
        strip_in: matches!(strip, "in" | "both"),
        strip_out: matches!(strip, "out" | "both"),
        open_properties: a.get("openProperties").and_then(Value::as_map).cloned().unwrap_or_default(),
        policy_vhost: a.owned("policyVhost"),
        tls: None,
    })
}

/// The SASL mechanisms that are configured; `None` leaves the choice to the router.
pub(super) fn mechanisms(a: &Attributes) -> Option<Vec<String>> {
    let words = a.text("saslMechanisms")?.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    Some(words).filter(|words| !words.is_empty())
}

fn liveness(a: &Attributes) -> Option<Liveness> {
    let interval = Duration::from_millis(a.count("livenessInterval"));
    let multiplier = u32::try_from(a.count("livenessMultiplier")).unwrap_or(u32::MAX);
    Some(Liveness { interval, multiplier }).filter(|_| !interval.is_zero())
}

fn role(word: Option<&str>) -> ConnectionRole {
    match word {
        Some("inter-router") => ConnectionRole::InterRouter,
        Some("route-container") => ConnectionRole::RouteContainer,
        Some("edge") => ConnectionRole::Edge,
        Some("inter-edge") => ConnectionRole::InterEdge,
        Some("inter-network") => ConnectionRole::InterNetwork,
        _ => ConnectionRole::Normal,
    }
}

fn cost(a: &Attributes) -> Result<u32, RouterError> {
    in_range(a, "cost", 1, i32::MAX as u32).map_err(|n| {
        let text = format!("Invalid cost ({n}) specified. Minimum value for cost is 1 and maximum value is 2147483647");
        RouterError::configuration(text).of_attributes()
    })
}

/// A number between bounds, or else the number.
fn in_range(a: &Attributes, name: &str, min: u32, max: u32) -> Result<u32, i64> {
    let number = a.number(name).unwrap_or(0);
    u32::try_from(number).ok().filter(|n| (min..=max).contains(n)).ok_or(number)
}

/// A limit between bounds; `None` when zero or not given.
fn limit(a: &Attributes, name: &str, min: u32, max: u32) -> Result<Option<u32>, RouterError> {
    if a.number(name).unwrap_or(0) == 0 {
        return Ok(None);
    }
    in_range(a, name, min, max).map(Some).map_err(|n| {
        let text = format!("Invalid {name} specified ({n}). Minimum value is {min} and maximum value is {max}");
        RouterError::configuration(text).of_attributes()
    })
}

/// Whether the role fits the mode of the router (spec `management-protocol.md` 3.8).
pub(super) fn misplaced(a: &Attributes, mode: &str, is_listener: bool, show: &dyn Fn() -> String) -> Option<SetError> {
    let role = a.text("role").unwrap_or("normal");
    if mode == "standalone" && matches!(role, "inter-router" | "edge") {
        return Some(SetError(
            "role='standalone' not allowed to connect to or accept connections from other routers.".to_owned(),
        ));
    }
    let interior_only = role == "inter-router" && mode != "interior" || role == "edge" && mode == "edge" && is_listener;
    interior_only.then(|| SetError(format!("role='{role}' only allowed with router mode='interior' for {}", show())))
}

/// Names that `openProperties` may not use.
const RESERVED: [&str; 5] = ["product", "version", "failover-server-list", "network-host", "port"];

/// Beginnings of names that `openProperties` may not use.
const RESERVED_PREFIXES: [&str; 2] = ["qd.", "x-opt-qd."];

/// Whether the open properties are allowed. Checked on creation.
pub(super) fn check_open_properties(a: &Attributes) -> Result<(), SetError> {
    let properties = a.get("openProperties").and_then(Value::as_map).filter(|p| !p.is_empty());
    let Some(properties) = properties else { return Ok(()) };
    let role = a.text("role").unwrap_or("normal");
    if matches!(role, "inter-router" | "edge") {
        return Err(SetError(format!("openProperties not allowed for role {role}")));
    }
    let is_reserved = |key: &&str| RESERVED.contains(key) || RESERVED_PREFIXES.iter().any(|p| key.starts_with(p));
    match properties.iter().filter_map(|(key, _)| key.as_str()).find(is_reserved) {
        Some(key) => Err(SetError(format!("Reserved key '{key}' not allowed in openProperties"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::EntityType;
    use crate::entity::testing::completed;
    use amqp_core::value::Map;

    fn given(name: &'static str, value: impl Into<Value>) -> Attributes {
        completed(EntityType::Listener, &[(name, value.into())])
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        for (name, number, text) in [
            ("cost", -1, "cost (-1) specified. Minimum value for cost is 1 and maximum value is 2147483647"),
            ("cost", 0, "cost (0) specified. Minimum value for cost is 1 and maximum value is 2147483647"),
            ("maxFrameSize", 511, "maxFrameSize specified (511). Minimum value is 512 and maximum value is 2147483647"),
            ("maxSessions", 32769, "maxSessions specified (32769). Minimum value is 1 and maximum value is 32768"),
            (
                "maxSessionFrames",
                1,
                "maxSessionFrames specified (1). Minimum value is 2 and maximum value is 2147483647",
            ),
        ] {
            let refused = params(&given(name, number)).expect_err("must be refused");
            assert_eq!(refused.to_string(), format!("Configuration: Invalid {text}"));
            assert!(refused.invalid, "{name}: the request is to blame");
        }
    }

    #[test]
    fn what_is_not_given_has_a_default() {
        let endpoint = params(&given("maxSessions", 0)).expect("valid");
        assert_eq!((endpoint.max_frame_size, endpoint.max_sessions, endpoint.max_session_frames), (16384, 32768, None));
        assert_eq!((endpoint.link_capacity, endpoint.strip_in, endpoint.strip_out), (250, true, true));
        assert_eq!((endpoint.cost, endpoint.idle_timeout.as_secs(), endpoint.family), (1, 16, None));
    }

    #[test]
    fn routers_are_watched_when_there_is_an_interval() {
        let read = |given: &[(&'static str, Value)]| params(&completed(EntityType::Connector, given)).expect("valid");
        let watch = |millis, multiplier| Some(Liveness { interval: Duration::from_millis(millis), multiplier });
        let [interval, multiplier] = [("livenessInterval", 100.into()), ("livenessMultiplier", 5.into())];
        assert_eq!(read(&[]).liveness, None);
        assert_eq!(read(std::slice::from_ref(&multiplier)).liveness, None);
        assert_eq!(read(std::slice::from_ref(&interval)).liveness, watch(100, 3));
        assert_eq!(read(&[interval, multiplier]).liveness, watch(100, 5));
    }

    #[test]
    fn words_have_their_meaning() {
        let read = |name, word: &str| params(&given(name, word)).expect("valid");
        for (word, strips) in
            [("in", (true, false)), ("out", (false, true)), ("both", (true, true)), ("no", (false, false))]
        {
            let endpoint = read("stripAnnotations", word);
            assert_eq!((endpoint.strip_in, endpoint.strip_out), strips, "{word}");
        }
        // A role that the configuration knows and this function does not would become an ordinary one.
        for word in ROLES {
            assert_eq!(read("role", word).role.name(), *word);
        }
        for word in FAMILIES {
            assert_eq!(read("socketAddressFamily", word).family.map(Family::name), Some(*word));
        }
    }

    #[test]
    fn mechanisms_are_separated_by_blanks() {
        assert_eq!(
            mechanisms(&given("saslMechanisms", " PLAIN  EXTERNAL ")),
            Some(vec!["PLAIN".into(), "EXTERNAL".into()])
        );
        assert_eq!(mechanisms(&given("saslMechanisms", " ")), None);
        assert_eq!(mechanisms(&given("cost", 1)), None);
    }

    #[test]
    fn roles_need_their_mode() {
        let standalone = "role='standalone' not allowed to connect to or accept connections from other routers.";
        let interior = |role| format!("role='{role}' only allowed with router mode='interior' for X");
        for (mode, role, is_listener, error) in [
            ("standalone", "normal", true, None),
            ("standalone", "inter-router", false, Some(standalone.to_owned())),
            ("standalone", "edge", true, Some(standalone.to_owned())),
            ("standalone", "route-container", true, None),
            ("edge", "inter-router", false, Some(interior("inter-router"))),
            ("edge", "edge", true, Some(interior("edge"))),
            ("edge", "edge", false, None),
            ("interior", "inter-router", true, None),
            ("interior", "edge", true, None),
        ] {
            let refused = misplaced(&given("role", role), mode, is_listener, &|| "X".to_owned());
            assert_eq!(refused.map(|e| e.0), error, "{mode} {role} {is_listener}");
        }
    }

    #[test]
    fn open_properties_are_the_operators_own() {
        let check = |role: &str, key: &str| {
            let properties = Map::new().with(key, 1);
            let given = [("role", role.into()), ("openProperties", properties.into())];
            check_open_properties(&completed(EntityType::Listener, &given)).err().map(|e| e.0)
        };
        assert_eq!(check("normal", "a"), None);
        for key in ["product", "version", "port", "qd.x", "x-opt-qd.y"] {
            assert_eq!(check("normal", key), Some(format!("Reserved key '{key}' not allowed in openProperties")));
        }
        assert_eq!(check("edge", "a").as_deref(), Some("openProperties not allowed for role edge"));
        assert_eq!(check_open_properties(&given("role", "edge")), Ok(()));
    }
}
