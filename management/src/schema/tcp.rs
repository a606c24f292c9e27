//! TCP services.

use super::attribute::{flag, gauge, number, one_of, port, text};
use super::entity_type::{EntityDef, EntityType};

pub(super) static TCP_LISTENER: EntityDef = EntityDef {
    name: "tcpListener",
    extends: Some(EntityType::ConfigurationEntity),
    singleton: false,
    referential: false,
    operations: &["CREATE", "UPDATE", "DELETE"],
    description: "A socket whose connections are carried to a service address.",
    attributes: &[
        text("address", "The service address.").create(),
        text("host", "The address to listen on; all when empty.").or_text("").create(),
        number("backlog", "Connections that may wait to be taken; 0 is what the system allows.").or_number(0).create(),
        port("port", "A port number or service name.").create(),
        one_of("multiAddressStrategy", &["none", "priority", "weighted"], "How to choose among several addresses.")
            .or_text("none")
            .create(),
        text("siteId", "Not used any more.").create(),
        gauge("connectionsOpened", "Connections taken."),
        gauge("connectionsClosed", "Connections that ended."),
        gauge("bytesIn", "Not counted."),
        gauge("bytesOut", "Not counted."),
        text("sslProfile", "The name of the sslProfile to use; none means no TLS.").create(),
        flag("authenticatePeer", "Refuse clients without a certificate.").or_flag(false).create(),
        one_of("operStatus", &["up", "down"], "Whether connections are taken now."),
        text("connectionMsg", "Why listening failed."),
        one_of("observer", &["none", "auto", "http1", "http2"], "Which protocol to watch for in the flows.")
            .or_text("auto")
            .create()
            .update(),
    ],
};

pub(super) static TCP_CONNECTOR: EntityDef = EntityDef {
    name: "tcpConnector",
    extends: Some(EntityType::ConfigurationEntity),
    singleton: false,
    referential: false,
    operations: &["CREATE", "DELETE"],
    description: "A server that gets the connections of a service address.",
    attributes: &[
        text("address", "The service address.").create(),
        text("host", "The host of the server.").or_text("127.0.0.1").create(),
        port("port", "The port number or service name of the server.").create(),
        text("siteId", "Not used any more.").create(),
        text("processId", "The process record that stands for the server.").create(),
        gauge("connectionsOpened", "Connections made."),
        gauge("connectionsClosed", "Connections that ended."),
        gauge("bytesIn", "Not counted."),
        gauge("bytesOut", "Not counted."),
        text("sslProfile", "The name of the sslProfile to use; none means no TLS.").create(),
        flag("verifyHostname", "The name in the server's certificate must be its host.").or_flag(true).create(),
    ],
};

pub(super) static LISTENER_ADDRESS: EntityDef = EntityDef {
    name: "listenerAddress",
    extends: Some(EntityType::ConfigurationEntity),
    singleton: false,
    referential: false,
    operations: &["CREATE", "DELETE"],
    description: "One of the addresses of a tcpListener that has several.",
    attributes: &[
        text("address", "The service address.").required().create(),
        number("value", "Its priority or weight.").required().create(),
        text("listener", "The name of the tcpListener.").required().create(),
        number("connectionsOpened", "Connections carried to this address."),
    ],
};

pub(super) static TCP_CONNECTION: EntityDef = EntityDef {
    name: "tcpConnection",
    extends: Some(EntityType::OperationalEntity),
    singleton: false,
    referential: false,
    operations: &[],
    description: "Kept for compatibility: TCP flows show as connection entities.",
    attributes: &[
        text("address", "The service address."),
        text("host", "The far end."),
        one_of("direction", &["in", "out"], "Who connected."),
        gauge("bytesIn", "Octets from the client."),
        gauge("bytesOut", "Octets to the client."),
        gauge("uptimeSeconds", "Seconds since the connection was made."),
        gauge("lastInSeconds", "Seconds since the client sent something."),
        gauge("lastOutSeconds", "Seconds since the client was sent something."),
    ],
};
