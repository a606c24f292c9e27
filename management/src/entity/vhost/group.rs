//! User groups of a vhost: `vhostUserGroupSettings` describes their settings.

use crate::entity::SchemaOnly;
use crate::schema::EntityDef;
use crate::schema::attribute::{flag, number, text};

pub(in crate::entity) static SETTINGS: SchemaOnly = SchemaOnly(&EntityDef {
    name: "vhostUserGroupSettings",
    description: "The settings of one user group of a vhost.",
    attributes: &[
        text("users", "The users, separated by commas.").required(),
        text("remoteHosts", "Where they may connect from: names, addresses, ranges, or *.").required(),
        number("maxConnectionsPerUser", "Connections at a time of one user.").natural(),
        number("maxConnectionsPerHost", "Connections at a time from one host.").natural(),
        number("maxMessageSize", "Octets in the largest message; 0 is no limit.").natural(),
        number("maxFrameSize", "Octets in the largest frame.").natural().create(),
        number("maxSessionWindow", "Octets under way to the router in one session.").natural().create(),
        number("maxSessions", "Sessions on one connection.").natural().create(),
        number("maxSenders", "Sending links on one connection.").natural().or_number(2_147_483_647).create(),
        number("maxReceivers", "Receiving links on one connection.").natural().or_number(2_147_483_647).create(),
        flag("allowDynamicSource", "May have the router make up addresses to receive from.").or_flag(false).create(),
        flag("allowAnonymousSender", "May send on links without an address.").or_flag(false).create(),
        flag("allowUserIdProxy", "May send messages with the user id of somebody else.").or_flag(false).create(),
        flag("allowAdminStatusUpdate", "May cut connections.").or_flag(true).create(),
        text("sources", "Addresses to receive from, separated by commas.").create(),
        text("targets", "Addresses to send to, separated by commas.").create(),
        text("sourcePattern", "Patterns of addresses to receive from.").create(),
        text("targetPattern", "Patterns of addresses to send to.").create(),
    ],
    ..EntityDef::CONFIGURATION
});
