//! Policy: who may connect and do what.

use super::attribute::{flag, gauge, map, number, path, text};
use super::entity_type::{EntityDef, EntityType};

pub(super) static POLICY: EntityDef = EntityDef {
    name: "policy",
    extends: Some(EntityType::ConfigurationEntity),
    singleton: true,
    referential: false,
    operations: &[],
    description: "Policy of the router as a whole.",
    attributes: &[
        number("maxConnections", "Client connections at a time.").natural().or_number(65535).create(),
        number("maxMessageSize", "Octets in the largest message; 0 is no limit.").natural().or_number(0).create(),
        flag("enableVhostPolicy", "Apply the rules of vhosts.").or_flag(false).create(),
        flag("enableVhostNamePatterns", "Names of vhosts are patterns.").or_flag(false).create(),
        path("policyDir", "Directory of JSON files with vhosts.").or_text("").create(),
        text("defaultVhost", "The vhost for connections that no other covers.").or_text("$default").create(),
        gauge("connectionsProcessed", "Connections examined."),
        gauge("connectionsDenied", "Connections refused."),
        gauge("connectionsCurrent", "Connections open now."),
        gauge("linksDenied", "Links refused."),
        gauge("maxMessageSizeDenied", "Messages refused because of their size."),
        gauge("totalDenials", "Refusals of any kind."),
    ],
};

pub(super) static VHOST: EntityDef = EntityDef {
    name: "vhost",
    extends: Some(EntityType::ConfigurationEntity),
    singleton: false,
    referential: false,
    operations: &["CREATE", "UPDATE", "DELETE"],
    description: "Policy of one virtual host.",
    attributes: &[
        text("hostname", "The name of the host, or a pattern.").required().create(),
        text("aliases", "Other names, separated by commas or blanks.").create().update(),
        number("maxConnections", "Connections at a time.").natural().or_number(65535).create().update(),
        number("maxMessageSize", "Octets in the largest message; 0 is no limit.").natural(),
        number("maxConnectionsPerUser", "Connections at a time of one user.")
            .natural()
            .or_number(65535)
            .create()
            .update(),
        number("maxConnectionsPerHost", "Connections at a time from one host.")
            .natural()
            .or_number(65535)
            .create()
            .update(),
        flag("allowUnknownUser", "Users in no group get the group $default.").or_flag(false).create().update(),
        map("groups", "Names of user groups, and their settings.").create().update(),
    ],
};

pub(super) static VHOST_USER_GROUP_SETTINGS: EntityDef = EntityDef {
    name: "vhostUserGroupSettings",
    extends: Some(EntityType::ConfigurationEntity),
    singleton: false,
    referential: false,
    operations: &[],
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
};

pub(super) static VHOST_STATS: EntityDef = EntityDef {
    name: "vhostStats",
    extends: Some(EntityType::OperationalEntity),
    singleton: false,
    referential: false,
    operations: &[],
    description: "How the policy of one virtual host was applied.",
    attributes: &[
        text("hostname", "The name of the vhost."),
        gauge("connectionsApproved", "Connections admitted."),
        gauge("connectionsDenied", "Connections refused."),
        gauge("connectionsCurrent", "Connections open now."),
        map("perUserState", "Connections by user."),
        map("perHostState", "Connections by remote host."),
        gauge("sessionDenied", "Sessions refused."),
        gauge("senderDenied", "Sending links refused."),
        gauge("receiverDenied", "Receiving links refused."),
        gauge("maxMessageSizeDenied", "Messages refused because of their size."),
    ],
};
