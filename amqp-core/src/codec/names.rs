//! Names of the composite types and of their fields, for traces and symbolic descriptors.

use super::format::descriptor as d;

/// A composite type: its numeric descriptor, name and field names.
#[derive(Debug)]
pub(crate) struct Composite {
    pub(crate) code: u64,
    pub(crate) name: &'static str,
    pub(crate) fields: &'static [&'static str],
}

const fn composite(code: u64, name: &'static str, fields: &'static [&'static str]) -> Composite {
    Composite { code, name, fields }
}

static COMPOSITES: &[Composite] = &[
    composite(
        d::OPEN,
        "open",
        &[
            "container-id",
            "hostname",
            "max-frame-size",
            "channel-max",
            "idle-time-out",
            "outgoing-locales",
            "incoming-locales",
            "offered-capabilities",
            "desired-capabilities",
            "properties",
        ],
    ),
    composite(
        d::BEGIN,
        "begin",
        &[
            "remote-channel",
            "next-outgoing-id",
            "incoming-window",
            "outgoing-window",
            "handle-max",
            "offered-capabilities",
            "desired-capabilities",
            "properties",
        ],
    ),
    composite(
        d::ATTACH,
        "attach",
        &[
            "name",
            "handle",
            "role",
            "snd-settle-mode",
            "rcv-settle-mode",
            "source",
            "target",
            "unsettled",
            "incomplete-unsettled",
            "initial-delivery-count",
            "max-message-size",
            "offered-capabilities",
            "desired-capabilities",
            "properties",
        ],
    ),
    composite(
        d::FLOW,
        "flow",
        &[
            "next-incoming-id",
            "incoming-window",
            "next-outgoing-id",
            "outgoing-window",
            "handle",
            "delivery-count",
            "link-credit",
            "available",
            "drain",
            "echo",
            "properties",
        ],
    ),
    composite(
        d::TRANSFER,
        "transfer",
        &[
            "handle",
            "delivery-id",
            "delivery-tag",
            "message-format",
            "settled",
            "more",
            "rcv-settle-mode",
            "state",
            "resume",
            "aborted",
            "batchable",
        ],
    ),
    composite(d::DISPOSITION, "disposition", &["role", "first", "last", "settled", "state", "batchable"]),
    composite(d::DETACH, "detach", &["handle", "closed", "error"]),
    composite(d::END, "end", &["error"]),
    composite(d::CLOSE, "close", &["error"]),
    composite(d::ERROR, "error", &["condition", "description", "info"]),
    composite(d::RECEIVED, "received", &["section-number", "section-offset"]),
    composite(d::ACCEPTED, "accepted", &[]),
    composite(d::REJECTED, "rejected", &["error"]),
    composite(d::RELEASED, "released", &[]),
    composite(d::MODIFIED, "modified", &["delivery-failed", "undeliverable-here", "message-annotations"]),
    composite(
        d::SOURCE,
        "source",
        &[
            "address",
            "durable",
            "expiry-policy",
            "timeout",
            "dynamic",
            "dynamic-node-properties",
            "distribution-mode",
            "filter",
            "default-outcome",
            "outcomes",
            "capabilities",
        ],
    ),
    composite(
        d::TARGET,
        "target",
        &["address", "durable", "expiry-policy", "timeout", "dynamic", "dynamic-node-properties", "capabilities"],
    ),
    composite(d::COORDINATOR, "coordinator", &["capabilities"]),
    composite(d::DECLARE, "declare", &["global-id"]),
    composite(d::DISCHARGE, "discharge", &["txn-id", "fail"]),
    composite(d::DECLARED, "declared", &["txn-id"]),
    composite(d::TRANSACTIONAL_STATE, "transactional-state", &["txn-id", "outcome"]),
    composite(d::SASL_MECHANISMS, "sasl-mechanisms", &["sasl-server-mechanisms"]),
    composite(d::SASL_INIT, "sasl-init", &["mechanism", "initial-response", "hostname"]),
    composite(d::SASL_CHALLENGE, "sasl-challenge", &["challenge"]),
    composite(d::SASL_RESPONSE, "sasl-response", &["response"]),
    composite(d::SASL_OUTCOME, "sasl-outcome", &["code", "additional-data"]),
    composite(d::HEADER, "header", &["durable", "priority", "ttl", "first-acquirer", "delivery-count"]),
    composite(d::DELIVERY_ANNOTATIONS, "delivery-annotations", &[]),
    composite(d::MESSAGE_ANNOTATIONS, "message-annotations", &[]),
    composite(
        d::PROPERTIES,
        "properties",
        &[
            "message-id",
            "user-id",
            "to",
            "subject",
            "reply-to",
            "correlation-id",
            "content-type",
            "content-encoding",
            "absolute-expiry-time",
            "creation-time",
            "group-id",
            "group-sequence",
            "reply-to-group-id",
        ],
    ),
    composite(d::APPLICATION_PROPERTIES, "application-properties", &[]),
    composite(d::DATA, "data", &[]),
    composite(d::AMQP_SEQUENCE, "amqp-sequence", &[]),
    composite(d::AMQP_VALUE, "amqp-value", &[]),
    composite(d::FOOTER, "footer", &[]),
];

/// The composite type with the numeric descriptor `code`.
pub(crate) fn by_code(code: u64) -> Option<&'static Composite> {
    COMPOSITES.iter().find(|c| c.code == code)
}

/// The composite type with a symbolic descriptor such as `amqp:open:list`.
pub(crate) fn by_symbol(symbol: &str) -> Option<&'static Composite> {
    let (name, _class) = symbol.strip_prefix("amqp:")?.rsplit_once(':')?;
    COMPOSITES.iter().find(|c| c.name == name)
}
