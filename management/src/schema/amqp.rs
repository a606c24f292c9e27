//! AMQP listeners and connectors and the profiles they use.

use super::attribute::{Attribute, flag, number, one_of, path, port, properties, text};
use super::entity_type::{EntityDef, EntityType};

const ROLES: &[&str] = &["normal", "inter-router", "route-container", "edge", "inter-edge", "inter-network"];
const FAMILIES: &[&str] = &["IPv4", "IPv6"];
const STRIP: &[&str] = &["in", "out", "both", "no"];

// Attributes that listeners and connectors share.
const PORT: Attribute = port("port", "A port number or service name.").or_text("amqp").create();
const FAMILY: Attribute = one_of("socketAddressFamily", FAMILIES, "Use only this version of IP.").create();
const ROLE: Attribute = one_of("role", ROLES, "What the connections are for.").or_text("normal").create();
const COST: Attribute = number("cost", "What a message pays for crossing the connection.").or_number(1).create();
const SSL_PROFILE_NAME: Attribute =
    text("sslProfile", "The name of the sslProfile to use; none means no TLS.").create();
const MAX_FRAME_SIZE: Attribute =
    number("maxFrameSize", "Octets in the largest frame that is accepted.").or_number(16384).create();
const MAX_SESSIONS: Attribute = number("maxSessions", "Sessions on one connection.").or_number(32768).create();
const MAX_SESSION_FRAMES: Attribute =
    number("maxSessionFrames", "Frames that one session may have under way to the router.").create();
const IDLE_TIMEOUT: Attribute =
    number("idleTimeoutSeconds", "A peer silent for this long is cut off; 0 never.").natural().or_number(16).create();
const STRIP_ANNOTATIONS: Attribute =
    one_of("stripAnnotations", STRIP, "Where router annotations are taken off messages.").or_text("both").create();
const LINK_CAPACITY: Attribute =
    number("linkCapacity", "The credit that a sending peer gets per link.").natural().create();
const MESSAGE_LOGGING: Attribute =
    text("messageLoggingComponents", "Message properties to show in the MESSAGE log: none, all, or a list.")
        .or_text("none")
        .create();
const OPEN_PROPERTIES: Attribute = properties("openProperties", "Properties to add when a connection opens.").create();

pub(super) static SSL_PROFILE: EntityDef = EntityDef {
    name: "sslProfile",
    extends: Some(EntityType::ConfigurationEntity),
    singleton: false,
    referential: true,
    operations: &["CREATE", "UPDATE", "DELETE"],
    description: "TLS settings that listeners and connectors name.",
    attributes: &[
        text("ciphers", "Ciphers to allow, as an OpenSSL list.").create().update(),
        text("protocols", "TLS versions to allow, separated by blanks.").create().update(),
        path("caCertFile", "PEM file of the authorities to trust.").create().update(),
        path("certFile", "PEM file of the own certificate and its chain.").create().update(),
        path("privateKeyFile", "PEM file of the private key.").create().update(),
        text(
            "password",
            "What unlocks the private key: the text itself, or env:, file:, pass: or literal: and where it is.",
        )
        .create()
        .update(),
        text("uidFormat", "Which fields of a peer's certificate make its user id.").create(),
        text("uidNameMappingFile", "JSON file that maps user ids to names.").create(),
        number("ordinal", "The generation of the credentials; raised when they are renewed.").create().update(),
        number("oldestValidOrdinal", "Connections made with an older generation are closed.").create().update(),
    ],
};

pub(super) static PROXY_PROFILE: EntityDef = EntityDef {
    name: "proxyProfile",
    extends: Some(EntityType::ConfigurationEntity),
    singleton: false,
    referential: true,
    operations: &["CREATE", "UPDATE", "DELETE"],
    description: "An HTTP proxy for connectors to go through.",
    attributes: &[
        text("host", "The host of the proxy.").create().update(),
        port("port", "The port of the proxy.").create().update(),
        text("username", "The user at the proxy.").create().update(),
        text("password", "The password at the proxy.").create().update().hidden(),
    ],
};

pub(super) static LISTENER: EntityDef = EntityDef {
    name: "listener",
    extends: Some(EntityType::ConfigurationEntity),
    singleton: false,
    referential: false,
    operations: &["CREATE", "DELETE"],
    description: "A socket for AMQP or HTTP clients and for other routers.",
    attributes: &[
        text("host", "The address to listen on; all when empty.").or_text("").create(),
        PORT,
        FAMILY,
        ROLE,
        COST,
        SSL_PROFILE_NAME,
        text("saslMechanisms", "SASL mechanisms to offer, separated by blanks.").create(),
        flag("authenticatePeer", "Refuse peers that do not authenticate.").or_flag(false).create(),
        flag("requireEncryption", "Refuse connections that are not encrypted.").or_flag(false).create(),
        flag("requireSsl", "Refuse connections without TLS.").or_flag(false).create(),
        MAX_FRAME_SIZE,
        MAX_SESSIONS,
        MAX_SESSION_FRAMES,
        IDLE_TIMEOUT,
        number("initialHandshakeTimeoutSeconds", "How long a peer may take until it has opened; 0 is any time.")
            .natural()
            .or_number(0)
            .create(),
        STRIP_ANNOTATIONS,
        LINK_CAPACITY,
        text("failoverUrls", "Other routers that clients are told to turn to.").create(),
        flag("healthz", "Answer /healthz (HTTP).").or_flag(true).create(),
        flag("metrics", "Answer /metrics (HTTP).").or_flag(true).create(),
        flag("websockets", "Take AMQP over WebSocket (HTTP).").or_flag(true).create(),
        flag("http", "Take HTTP connections.").or_flag(false).create(),
        path("httpRootDir", "Directory of files to serve; switches http on.").create(),
        MESSAGE_LOGGING,
        text("policyVhost", "The vhost whose policy applies, whatever the peer asks for.").create(),
        OPEN_PROPERTIES,
    ],
};

pub(super) static CONNECTOR: EntityDef = EntityDef {
    name: "connector",
    extends: Some(EntityType::ConfigurationEntity),
    singleton: false,
    referential: false,
    operations: &["CREATE", "DELETE"],
    description: "An AMQP connection that the router opens and keeps open.",
    attributes: &[
        text("host", "The host to connect to.").or_text("127.0.0.1").create(),
        PORT,
        FAMILY,
        ROLE,
        COST,
        SSL_PROFILE_NAME,
        text("proxyProfile", "The name of the proxyProfile to use.").create(),
        text("saslMechanisms", "SASL mechanisms to use, separated by blanks.").create(),
        flag("allowRedirect", "Accepted for compatibility; redirects are never followed.").or_flag(true).create(),
        MAX_FRAME_SIZE,
        MAX_SESSIONS,
        MAX_SESSION_FRAMES,
        IDLE_TIMEOUT,
        STRIP_ANNOTATIONS,
        LINK_CAPACITY,
        flag("verifyHostname", "The name in the peer's certificate must be its host.").or_flag(true).create(),
        text("saslUsername", "The user to authenticate as.").create(),
        text("saslPassword", "The user's password: the text itself, or env:, file: or pass: and where it is.")
            .create()
            .hidden(),
        MESSAGE_LOGGING,
        text("failoverUrls", "Where the connector tries to connect, next first."),
        text("connectionStatus", "How the connection stands."),
        text("connectionMsg", "What happened last."),
        text("policyVhost", "The vhost with the policy of the connection, in its group $connector.").create(),
        OPEN_PROPERTIES,
    ],
};
