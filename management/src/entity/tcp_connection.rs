//! `tcpConnection`: kept for compatibility: TCP flows show as `connection` entities.

use crate::schema::EntityDef;
use crate::schema::attribute::{gauge, one_of, text};

pub(super) static DEF: EntityDef = EntityDef {
    name: "tcpConnection",
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
    ..EntityDef::OPERATIONAL
};
