//! Log lines about links, neighbours and connection groups (spec `amqp-endpoint.md` 24).

use super::action::Direction;
use super::ids::{ConnId, LinkId};
use super::objects::{Link, LinkKind};
use crate::log;
use crate::log::{Level, LogModule};
use amqp_core::performative::{Source, Target};
use amqp_core::value::{Map, Symbol, Value};
use std::fmt::{Display, Write, from_fn};
use std::time::Duration;

const CORE: LogModule = LogModule::RouterCore;

/// A source or target in the notation of [`attached`].
struct Terminus<'a> {
    address: Option<&'a str>,
    durable: u32,
    expiry_policy: Option<&'a Symbol>,
    timeout: u32,
    dynamic: bool,
    distribution_mode: Option<&'a Symbol>,
    capabilities: &'a [Symbol],
    filter: Option<&'a Value>,
    outcomes: &'a [Symbol],
    properties: Option<&'a Map>,
}

// === links ===

/// The peer's attach is answered.
pub(super) fn attached(
    conn: ConnId,
    link: LinkId,
    direction: Direction,
    source: Option<&Source>,
    target: Option<&Target>,
) {
    log!(
        CORE,
        Level::Debug,
        conn = conn,
        link = link,
        "Link attached: dir={} source={} target={}",
        if direction == Direction::In { "in" } else { "out" },
        shown(source.map(Terminus::from)),
        shown(target.map(Terminus::from))
    );
}

pub(super) fn detaching(conn: ConnId, link: LinkId) {
    log!(CORE, Level::Debug, conn = conn, link = link, "Sending link detach");
}

/// A link is gone; `how` it went.
pub(super) fn closed(conn: ConnId, link: &Link, how: &str) {
    let c = &link.counters;
    log!(
        CORE,
        Level::Debug,
        conn = conn,
        link = link.id,
        "{how}: del={} presett={} psdrop={} acc={} rej={} rel={} mod={} delay1={} delay10={} blocked={}",
        c.deliveries + link.left_whole(),
        c.presettled,
        c.dropped_presettled,
        c.accepted,
        c.rejected,
        c.released,
        c.modified,
        c.delayed_1sec,
        c.delayed_10sec,
        if link.blocked { "yes" } else { "no" }
    );
}

/// The first delivery of a link has become stuck.
pub(super) fn stuck(conn: ConnId, link: LinkId, age: Duration) {
    log!(
        CORE,
        Level::Info,
        conn = conn,
        link = link,
        "Stuck delivery: At least one delivery on this link has been undelivered/unsettled for more than {} seconds",
        age.as_secs()
    );
}

pub(super) fn blocked(conn: ConnId, link: LinkId, since: Duration) {
    let seconds = since.as_secs();
    log!(CORE, Level::Info, conn = conn, link = link, "Link blocked with zero credit for {seconds} seconds");
}

/// A control link came (`attaching`) or went.
pub(super) fn control_link(conn: ConnId, link: &Link, attaching: bool) {
    if link.kind == LinkKind::Control {
        let what = if attaching { "Attaching" } else { "Detaching" };
        let direction = if link.direction == Direction::In { "incoming" } else { "outgoing" };
        log!(CORE, Level::Debug, conn = conn, "{what} {direction} router control link [L{}]", link.id);
    }
}

/// An edge router uses a connection to reach the network.
pub(super) fn uplink(conn: ConnId) {
    log!(CORE, Level::Info, "Edge connection (id={conn}) to interior established");
}

/// The connection that an edge router used to reach the network is gone.
pub(super) fn uplink_lost(conn: ConnId, next: Option<ConnId>) {
    match next {
        Some(next) => {
            log!(CORE, Level::Info, "Edge connection (id={conn}) to interior lost, activating alternate id={next}");
        }
        None => {
            log!(CORE, Level::Info, "Edge connection (id={conn}) to interior lost, no alternate connection available");
        }
    }
}

/// An edge router uses a connection with newer credentials from now on.
pub(super) fn uplink_replaced(old: ConnId, new: ConnId) {
    log!(CORE, Level::Debug, "Upgrading edge-to-interior connection [C{old}] to [C{new}]");
}

/// An edge router keeps putting something else forward for the identifier of the mesh.
pub(super) fn bid_ignored(conn: ConnId, peer: &str) {
    log!(CORE, Level::Warning, conn = conn, "Edge peer {peer} changes its mesh identifier too often, ignoring it");
}

/// An interior router has told whether somebody consumes an address there.
pub(super) fn proxy_bound(conn: ConnId, link: LinkId, key: &str, bound: bool) {
    let what = if bound { "binding proxy link to" } else { "unbinding proxy link from" };
    log!(CORE, Level::Debug, conn = conn, link = link, "{what} address '{key}'");
}

/// What becomes of a streaming link.
pub(super) fn streaming_link(conn: ConnId, link: &Link, (before, behind): (&str, &str)) {
    log!(CORE, Level::Debug, conn = conn, link = link.id, "{before} {}{behind}", link.name);
}

/// What [`streaming_link`] says of links that are made, taken, given back and given up.
pub(super) const CREATED: (&str, &str) = ("Created new outgoing streaming link", "");
pub(super) const TAKEN: (&str, &str) = ("Taking streaming link", " from free pool");
pub(super) const RETURNED: (&str, &str) = ("Returning streaming link", " to free pool");
pub(super) const SURPLUS: (&str, &str) = ("Streaming link scrubber: closing idle link", "");

fn shown(terminus: Option<Terminus<'_>>) -> impl Display {
    from_fn(move |f| {
        let Some(t) = &terminus else { return f.write_str("{}") };
        f.write_str(if t.dynamic { "{(dyn)" } else { "{" })?;
        f.write_str(t.address.unwrap_or("<none>"))?;
        f.write_str(match t.durable {
            1 => " dur:config",
            2 => " dur:deliveries",
            _ => "",
        })?;
        f.write_str(match t.expiry_policy.map(Symbol::as_str) {
            Some("link-detach") => " expire:link",
            Some("connection-close") => " expire:conn",
            Some("never") => "",
            _ => " expire:sess",
        })?;
        if let Some(mode) = t.distribution_mode {
            write!(f, " dist:{}", mode.as_str())?;
        }
        if t.timeout > 0 {
            write!(f, " timeout:{}", t.timeout)?;
        }
        if let Some(capabilities) = multiple(t.capabilities) {
            write!(f, " caps:{capabilities}")?;
        }
        if let Some(filter) = t.filter {
            write!(f, " flt:{filter}")?;
        }
        if let Some(outcomes) = multiple(t.outcomes) {
            write!(f, " outcomes:{outcomes}")?;
        }
        if let Some(properties) = t.properties {
            write!(f, " props:{properties}")?;
        }
        f.write_char('}')
    })
}

/// One symbol, or an array of several.
fn multiple(symbols: &[Symbol]) -> Option<Value> {
    match symbols {
        [] => None,
        [one] => Some(Value::Symbol(one.clone())),
        several => Some(Value::Array(several.iter().cloned().map(Value::Symbol).collect())),
    }
}

impl<'a> From<&'a Source> for Terminus<'a> {
    fn from(source: &'a Source) -> Self {
        Self {
            address: source.address.as_deref(),
            durable: source.durable,
            expiry_policy: source.expiry_policy.as_ref(),
            timeout: source.timeout,
            dynamic: source.dynamic,
            distribution_mode: source.distribution_mode.as_ref(),
            capabilities: &source.capabilities,
            filter: source.filter.as_ref(),
            outcomes: &source.outcomes,
            properties: source.dynamic_node_properties.as_ref(),
        }
    }
}

impl<'a> From<&'a Target> for Terminus<'a> {
    fn from(target: &'a Target) -> Self {
        Self {
            address: target.address.as_deref(),
            durable: target.durable,
            expiry_policy: target.expiry_policy.as_ref(),
            timeout: target.timeout,
            dynamic: target.dynamic,
            distribution_mode: None,
            capabilities: &target.capabilities,
            filter: None,
            outcomes: &[],
            properties: target.dynamic_node_properties.as_ref(),
        }
    }
}

// === connections between routers ===

/// A connection came whose group has one that is `established`, or that is `pending` beside it. The newer generation
/// takes over.
pub(super) fn precedence(established: ConnId, pending: bool, came: ConnId, takes_over: bool) {
    match (takes_over, pending) {
        (true, false) => log!(CORE, Level::Info, "Upgrading connection [C{established}] to [C{came}]"),
        (true, true) => {
            log!(CORE, Level::Info, "Overriding existing pending connection [C{established}] with [C{came}]");
        }
        (false, false) => {
            log!(CORE, Level::Info, "Existing connection [C{established}] takes precedence, closing [C{came}]");
        }
        (false, true) => {
            log!(CORE, Level::Info, "Existing pending connection [C{established}] takes precedence, closing [C{came}]");
        }
    }
}

pub(super) fn no_neighbour_left() {
    log!(CORE, Level::Critical, "Exceeded maximum supported number of inter-router connections");
}

/// Traffic moves to a connection of newer credentials.
pub(super) fn upgraded(old: ConnId, new: ConnId) {
    log!(CORE, Level::Debug, conn = new, "Upgrading to primary router control connection, downgrading [C{old}]");
}

/// Something that happens to a connection group, with what it is about.
pub(super) fn group(correlator: &str, what: impl Display) {
    if !correlator.is_empty() {
        log!(CORE, Level::Debug, "Connection group '{correlator}' {what}");
    }
}

/// A data connection ends at another router than the control connection of its group. That a balancer goes on dealing
/// them to the same one is of no interest.
pub(super) fn split_group(is_news: bool, data: (&str, ConnId), control: (&str, ConnId)) {
    let level = if is_news { Level::Error } else { Level::Debug };
    log!(
        CORE,
        level,
        "Connection group failure: connections split across routers: {} ([C{}]) and {} ([C{}])",
        data.0,
        data.1,
        control.0,
        control.1
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn termini_have_the_known_notation() {
        let symbol = Symbol::from_static;
        let source = Source {
            dynamic: true,
            durable: 2,
            timeout: 7,
            distribution_mode: Some(symbol("copy")),
            outcomes: ["amqp:accepted:list", "amqp:rejected:list"].map(symbol).into(),
            ..Source::default()
        };
        let outcomes = r#"@<symbol>[:"amqp:accepted:list", :"amqp:rejected:list"]"#;
        assert_eq!(
            shown(Some(Terminus::from(&source))).to_string(),
            format!("{{(dyn)<none> dur:deliveries expire:sess dist:copy timeout:7 outcomes:{outcomes}}}")
        );
        let target = Target {
            address: Some("q".into()),
            expiry_policy: Some(symbol("link-detach")),
            capabilities: vec![symbol("queue")],
            ..Target::default()
        };
        assert_eq!(shown(Some(Terminus::from(&target))).to_string(), "{q expire:link caps::queue}");
        assert_eq!(shown(None).to_string(), "{}");
    }
}
