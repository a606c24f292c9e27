//! `connector`: an AMQP connection that the router opens and keeps open.

use super::{EntityKind, endpoint, identity};
use crate::attributes::Attributes;
use crate::schema::EntityDef;
use crate::schema::attribute::{flag, text};

static DEF: EntityDef = EntityDef {
    name: "connector",
    operations: &["CREATE", "DELETE"],
    description: "An AMQP connection that the router opens and keeps open.",
    attributes: &[
        text("host", "The host to connect to.").or_text("127.0.0.1").create(),
        endpoint::PORT,
        endpoint::FAMILY,
        endpoint::ROLE,
        endpoint::COST,
        endpoint::SSL_PROFILE_NAME,
        text("proxyProfile", "The name of the proxyProfile to use.").create(),
        text("saslMechanisms", "SASL mechanisms to use, separated by blanks.").create(),
        flag("allowRedirect", "Accepted for compatibility; redirects are never followed.").or_flag(true).create(),
        endpoint::MAX_FRAME_SIZE,
        endpoint::MAX_SESSIONS,
        endpoint::MAX_SESSION_FRAMES,
        endpoint::IDLE_TIMEOUT,
        endpoint::STRIP_ANNOTATIONS,
        endpoint::LINK_CAPACITY,
        flag("verifyHostname", "The name in the peer's certificate must be its host.").or_flag(true).create(),
        text("saslUsername", "The user to authenticate as.").create(),
        text("saslPassword", "The user's password: the text itself, or env:, file: or pass: and where it is.")
            .create()
            .hidden(),
        endpoint::MESSAGE_LOGGING,
        text("failoverUrls", "Where the connector tries to connect, next first."),
        text("connectionStatus", "How the connection stands."),
        text("connectionMsg", "What happened last."),
        text("policyVhost", "The vhost with the policy of the connection, in its group $connector.").create(),
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
        Some(9)
    }

    fn own_id(&self, attributes: &Attributes) -> Option<String> {
        Some(identity::joined(["host", "port"], attributes))
    }
}
