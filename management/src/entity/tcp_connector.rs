//! `tcpConnector`: a server that gets the connections of a service address.

use super::{EntityKind, identity};
use crate::attributes::Attributes;
use crate::schema::EntityDef;
use crate::schema::attribute::{flag, gauge, port, text};

static DEF: EntityDef = EntityDef {
    name: "tcpConnector",
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
    ..EntityDef::CONFIGURATION
};

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    fn def(&self) -> &'static EntityDef {
        &DEF
    }

    fn boot_rank(&self) -> Option<u8> {
        Some(12)
    }

    fn own_id(&self, attributes: &Attributes) -> Option<String> {
        Some(identity::joined(["host", "port"], attributes))
    }
}
