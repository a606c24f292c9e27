//! `listener`: a socket for AMQP clients and other routers.

use super::{EntityKind, endpoint, identity};
use crate::attributes::Attributes;
use crate::schema::EntityDef;
use crate::schema::attribute::{flag, number, path, text};

static DEF: EntityDef = EntityDef {
    name: "listener",
    operations: &["CREATE", "DELETE"],
    description: "A socket for AMQP or HTTP clients and for other routers.",
    attributes: &[
        text("host", "The address to listen on; all when empty.").or_text("").create(),
        endpoint::PORT,
        endpoint::FAMILY,
        endpoint::ROLE,
        endpoint::COST,
        endpoint::SSL_PROFILE_NAME,
        text("saslMechanisms", "SASL mechanisms to offer, separated by blanks.").create(),
        flag("authenticatePeer", "Refuse peers that do not authenticate.").or_flag(false).create(),
        flag("requireEncryption", "Refuse connections that are not encrypted.").or_flag(false).create(),
        flag("requireSsl", "Refuse connections without TLS.").or_flag(false).create(),
        endpoint::MAX_FRAME_SIZE,
        endpoint::MAX_SESSIONS,
        endpoint::MAX_SESSION_FRAMES,
        endpoint::IDLE_TIMEOUT,
        number("initialHandshakeTimeoutSeconds", "How long a peer may take until it has opened; 0 is any time.")
            .natural()
            .or_number(0)
            .create(),
        endpoint::STRIP_ANNOTATIONS,
        endpoint::LINK_CAPACITY,
        text("failoverUrls", "Other routers that clients are told to turn to.").create(),
        flag("healthz", "Answer /healthz (HTTP).").or_flag(true).create(),
        flag("metrics", "Answer /metrics (HTTP).").or_flag(true).create(),
        flag("websockets", "Take AMQP over WebSocket (HTTP).").or_flag(true).create(),
        flag("http", "Take HTTP connections.").or_flag(false).create(),
        path("httpRootDir", "Directory of files to serve; switches http on.").create(),
        endpoint::MESSAGE_LOGGING,
        text("policyVhost", "The vhost whose policy applies, whatever the peer asks for.").create(),
        endpoint::OPEN_PROPERTIES,
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
        Some(10)
    }

    fn own_id(&self, attributes: &Attributes) -> Option<String> {
        Some(identity::joined(["host", "port"], attributes))
    }
}
