//! `sslProfile`: TLS settings that listeners and connectors name.

use super::{EntityKind, identity};
use crate::attributes::Attributes;
use crate::schema::EntityDef;
use crate::schema::attribute::{number, path, text};

static DEF: EntityDef = EntityDef {
    name: "sslProfile",
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
    ..EntityDef::CONFIGURATION
};

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    fn def(&self) -> &'static EntityDef {
        &DEF
    }

    fn boot_rank(&self) -> Option<u8> {
        Some(4)
    }

    fn own_id(&self, attributes: &Attributes) -> Option<String> {
        Some(identity::of(attributes, "name"))
    }
}
