//! `connection`: an open connection.

use super::EntityKind;
use crate::schema::EntityDef;
use crate::schema::attribute::{flag, gauge, map, number, one_of, text};

static DEF: EntityDef = EntityDef {
    name: "connection",
    description: "An open connection.",
    attributes: &[
        one_of("adminStatus", &["enabled", "deleted"], "Set to deleted to cut the connection.")
            .or_text("enabled")
            .update(),
        one_of("operStatus", &["up", "closing"], "How the connection stands."),
        text("protocol", "The protocol."),
        text("container", "The container id of the peer."),
        flag("opened", "The peer has opened."),
        text("host", "The peer."),
        text("localSocket", "The own end of the socket."),
        one_of("dir", &["in", "out"], "Who connected."),
        text("role", "What the connection is for."),
        text("meshId", "The edge mesh that the peer is in."),
        flag("isAuthenticated", "The peer has authenticated."),
        flag("isEncrypted", "What is sent is encrypted."),
        flag("enableProtocolTrace", "Log the frames of this connection.").or_flag(false).update(),
        text("sasl", "The SASL mechanism used."),
        text("user", "Who the peer is."),
        flag("ssl", "TLS is used."),
        text("sslProto", "The version of TLS."),
        text("sslCipher", "The cipher."),
        number("sslSsf", "The strength of the cipher in bits."),
        gauge("uptimeSeconds", "Seconds since the connection was made."),
        map("properties", "The properties that the peer opened with."),
        gauge("lastDlvSeconds", "Seconds since the last delivery; absent before the first."),
        number("tlsOrdinal", "The generation of credentials used."),
        text("groupCorrelationId", "Common to the connections of one connector."),
        number("groupOrdinal", "The generation within the group."),
    ],
    ..EntityDef::OPERATIONAL
};

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    fn def(&self) -> &'static EntityDef {
        &DEF
    }
}
