//! What to write instead of what the schema does not know.
//!
//! Names that qpid-dispatch had, and that this router has by another name or not at all, come first; then what is
//! similar.

use crate::schema::EntityType;

/// What became of entity types of qpid-dispatch.
const TYPES: &[(&str, &str)] = &[
    ("container", "write 'router', and its 'containerName' as 'id'"),
    ("fixedAddress", "write 'address', with the attributes 'prefix' and 'distribution'"),
    ("waypoint", "write an 'autoLink' for each direction"),
    ("linkRoutePattern", LINK_ROUTES),
    ("linkRoute", LINK_ROUTES),
    ("router.config.linkRoute", LINK_ROUTES),
    (
        "router.config.exchange",
        "exchanges and bindings are not supported; use an address with distribution 'multicast'",
    ),
    ("router.config.binding", "exchanges and bindings are not supported; use an address with distribution 'multicast'"),
    ("authServicePlugin", "authentication by another service is not supported; use 'saslMechanisms' and a sasldb"),
    ("console", "write a 'listener' with 'http: yes'"),
    ("policyRuleset", "write 'vhost', with the same rules below 'groups'"),
    ("ssl-profile", "write 'sslProfile'"),
];

const LINK_ROUTES: &str = "link routes are not supported; clients' links are routed by address, and 'autoLink' attaches \
                           links to brokers";

/// What became of attributes of qpid-dispatch. An empty type is any.
const ATTRIBUTES: &[(&str, &str, &str)] = &[
    ("", "addr", "write 'host'; in an autoLink, 'address'"),
    ("", "dir", "write 'direction'"),
    ("", "externalAddr", "write 'externalAddress'"),
    ("", "phase", "addresses have no phases; leave it out"),
    ("", "ingressPhase", "addresses have no phases; leave it out"),
    ("", "egressPhase", "addresses have no phases; leave it out"),
    ("", "waypoint", "write an 'autoLink' for each direction"),
    ("", "fallback", "fallback destinations are not supported; leave it out"),
    ("", "enableFallback", "fallback destinations are not supported; leave it out"),
    ("", "protocolFamily", "write 'socketAddressFamily'"),
    ("", "logMessage", "write 'messageLoggingComponents'"),
    ("", "verifyHostName", "write 'verifyHostname'"),
    ("listener", "allowNoSasl", "write 'authenticatePeer' with the opposite value"),
    ("listener", "requirePeerAuth", "write 'authenticatePeer'"),
    ("listener", "allowUnsecured", "write 'requireEncryption' with the opposite value"),
    ("listener", "failoverList", "write 'failoverUrls'"),
    ("listener", "httpRoot", "write 'httpRootDir'"),
    ("listener", "multiTenant", "write 'vanId' at the router, or a 'network' with a 'tenantId'"),
    ("listener", "saslPlugin", "authentication by another service is not supported; leave it out"),
    ("listener", "trustedCerts", "name the authorities in 'caCertFile' of the sslProfile"),
    ("listener", "trustedCertsFile", "name the authorities in 'caCertFile' of the sslProfile"),
    ("connector", "failoverList", "the peer tells it; leave it out"),
    ("policy", "maximumConnections", "write 'maxConnections'"),
    ("policy", "policyFolder", "write 'policyDir'"),
    ("policy", "enableAccessRules", "write 'enableVhostPolicy'"),
    ("policy", "defaultApplication", "write 'defaultVhost'"),
    ("policy", "defaultApplicationEnabled", "name no 'defaultVhost' to have none"),
    ("router", "routerId", "write 'id'"),
    ("router", "containerName", "write 'id'"),
    ("router", "debugDump", "write 'debugDumpFile'"),
    ("router", "saslConfigPath", "write 'saslConfigDir'"),
    ("router", "helloInterval", "write 'helloIntervalSeconds'"),
    ("router", "helloMaxAge", "write 'helloMaxAgeSeconds'"),
    ("router", "raInterval", "write 'raIntervalSeconds'"),
    ("router", "raIntervalFlux", "write 'raIntervalFluxSeconds'"),
    ("router", "remoteLsMaxAge", "write 'remoteLsMaxAgeSeconds'"),
    ("router", "mobileAddrMaxAge", "it has no meaning any more; leave it out"),
    ("router", "allowUnsettledMulticast", "it has no meaning any more; leave it out"),
    ("router", "allowResumableLinkRoute", "link routes are not supported; leave it out"),
    ("sslProfile", "certDb", "write 'caCertFile'"),
    ("sslProfile", "keyFile", "write 'privateKeyFile'"),
    ("sslProfile", "passwordFile", "write 'password', with 'file:' before the path"),
    ("sslProfile", "displayNameFile", "write 'uidNameMappingFile'"),
    ("log", "timestamp", "write 'includeTimestamp'"),
    ("log", "source", "write 'includeSource'"),
    ("log", "output", "write 'outputFile'"),
    ("log", "level", "write 'enable'"),
    ("vhost", "id", "write 'hostname'"),
];

/// For a section whose type there is not.
pub(super) fn on_type(name: &str) -> String {
    let former = TYPES.iter().find(|(old, _)| old.eq_ignore_ascii_case(name));
    let types = EntityType::ALL.iter().filter(|ty| ty.is_a(EntityType::ConfigurationEntity)).map(|ty| ty.short());
    let similar = || similar(name, types).map(|found| format!("did you mean '{found}'?"));
    let any = || "the schema knows: skmanage get-types".to_owned();
    former.map(|(_, advice)| (*advice).to_owned()).or_else(similar).unwrap_or_else(any)
}

/// For an attribute that the type does not have.
pub(super) fn on_attribute(ty: EntityType, name: &str) -> String {
    let of_type = |of: &str| of.is_empty() || of == ty.short();
    let former = ATTRIBUTES.iter().find(|(of, old, _)| of_type(of) && old.eq_ignore_ascii_case(name));
    let settable = || ty.attributes().filter(|attribute| attribute.create || attribute.update || attribute.required);
    let similar = || similar(name, settable().map(|a| a.name)).map(|found| format!("did you mean '{found}'?"));
    let all = || format!("it has {}", settable().map(|a| a.name).collect::<Vec<_>>().join(", "));
    former.map(|(.., advice)| (*advice).to_owned()).or_else(similar).unwrap_or_else(all)
}

/// The name that is meant, probably.
fn similar<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    /// Where names have nothing to do with each other.
    const UNLIKE: f64 = 0.8;
    let lower = name.to_ascii_lowercase();
    let likeness = |known: &str| strsim::jaro_winkler(&lower, &known.to_ascii_lowercase());
    let best = known.map(|known| (likeness(known), known)).max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.filter(|(likeness, _)| *likeness > UNLIKE).map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Advice must not lead to the next complaint.
    #[test]
    fn what_is_advised_exists() {
        for (of, old, advice) in ATTRIBUTES {
            let types: Vec<_> = match EntityType::parse(of) {
                Some(ty) => vec![ty],
                None => EntityType::ALL.to_vec(),
            };
            let known = types.iter().any(|ty| ty.attribute(old).is_some());
            assert!(of.is_empty() || !known, "{of}.{old} is an attribute");
            if let Some(new) = advice.strip_prefix("write '").and_then(|rest| rest.split('\'').next()) {
                let exists = |ty: &EntityType| ty.attribute(new).is_some() || EntityType::parse(new).is_some();
                let exists =
                    exists(&EntityType::ConfigAddress) || EntityType::ALL.iter().any(exists) || new == "autoLink";
                assert!(exists, "{of}.{old}: {new}");
            }
        }
        assert!(TYPES.iter().all(|(old, _)| EntityType::parse(old).is_none()));
    }

    #[test]
    fn former_names_then_similar_ones_then_all() {
        assert_eq!(on_type("console"), "write a 'listener' with 'http: yes'");
        assert_eq!(on_type("listner"), "did you mean 'listener'?");
        assert_eq!(on_type("zebra"), "the schema knows: skmanage get-types");
        assert_eq!(on_attribute(EntityType::SslProfile, "certDb"), "write 'caCertFile'");
        assert_eq!(on_attribute(EntityType::Listener, "hots"), "did you mean 'host'?");
        assert!(on_attribute(EntityType::Log, "zebra").starts_with("it has module, enable, "));
    }
}
