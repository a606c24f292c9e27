//! `tcpListener`: a socket whose connections are carried to a service address.

use super::{EntityKind, identity};
use crate::attributes::Attributes;
use crate::schema::EntityDef;
use crate::schema::attribute::{flag, gauge, number, one_of, port, text};

static DEF: EntityDef = EntityDef {
    name: "tcpListener",
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
    ..EntityDef::CONFIGURATION
};

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    fn def(&self) -> &'static EntityDef {
        &DEF
    }

    fn boot_rank(&self) -> Option<u8> {
        Some(11)
    }

    fn own_id(&self, attributes: &Attributes) -> Option<String> {
        Some(identity::joined(["host", "port"], attributes))
    }
}
