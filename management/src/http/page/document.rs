//! The network in JSON, as the page's script reads it.

use super::network::{Link, Network, Router, State, Traffic};
use super::problems::Problem;
use super::report::{End, EndKind};
use super::schedule::Place;
use amqp_core::Instant;
use router_engine::core::Mode;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

/// Ends of services that are shown.
const MAX_ENDS: usize = 5000;

/// Links that are shown.
const MAX_LINKS: usize = 5000;

/// Services that carry the most.
const TALKERS: usize = 10;

/// What is not seen in the network itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct About<'a> {
    /// How many documents there were.
    pub(super) number: u64,
    /// Milliseconds since 1970.
    pub(super) time: u64,
    /// How often each router is asked, milliseconds.
    pub(super) period: u64,
    pub(super) problems: &'a [Problem],
    /// Problems that are not told.
    pub(super) untold: usize,
    pub(super) now: Instant,
}

/// A service: its ends, with the routers that they are at.
type Service<'a> = Vec<(&'a str, &'a Router, &'a End)>;

/// The text of the document.
pub(super) fn document(network: &Network, about: &About<'_>) -> String {
    let mut left_out = left_out(network, about);
    let mut links = network.links();
    if links.len() > MAX_LINKS {
        left_out.push(format!("{} links", links.len() - MAX_LINKS));
        links.truncate(MAX_LINKS);
    }
    let services = services(network, &mut left_out);
    let routers = network.routers().iter().map(|(id, known)| router(id, known, network.mode(), about.now));
    let told = services.iter().map(|(address, ends)| {
        let ends: Vec<_> = ends.iter().map(|(id, router, end)| shown(id, router, end)).collect();
        json!({ "address": address, "ends": ends })
    });
    let problems = about
        .problems
        .iter()
        .map(|problem| json!({ "severity": problem.severity.name(), "router": problem.router, "text": problem.text }));
    json!({
        "number": about.number,
        "time": about.time,
        "period": about.period,
        "router": network.own(),
        "routers": routers.collect::<Vec<_>>(),
        "links": links.iter().map(link).collect::<Vec<_>>(),
        "services": told.collect::<Vec<_>>(),
        "talkers": talkers(&services),
        "problems": problems.collect::<Vec<_>>(),
        "leftOut": left_out,
    })
    .to_string()
}

/// What is missing, and where.
fn left_out(network: &Network, about: &About<'_>) -> Vec<String> {
    let mut left_out = Vec::new();
    if network.beyond() > 0 {
        left_out.push(format!("{} routers", network.beyond()));
    }
    if about.untold > 0 {
        left_out.push(format!("{} problems", about.untold));
    }
    for (id, router) in network.routers() {
        let of_it = router.report.iter().flat_map(|report| &report.left_out);
        left_out.extend(of_it.map(|what| format!("{id}: {what}")));
    }
    left_out
}

fn router(id: &str, router: &Router, mode: Mode, now: Instant) -> Json {
    let mode = match (router.place, mode) {
        (Place::Own { .. }, Mode::Standalone) => "standalone",
        (Place::Own { .. }, Mode::Edge) | (Place::Edge, _) => "edge",
        (Place::Own { .. }, Mode::Interior) | (Place::Interior, _) => "interior",
    };
    let metrics = router.report.as_ref().map(|report| &report.metrics);
    json!({
        "id": id,
        "mode": mode,
        "state": router.state.name(),
        "since": now.since(router.since).as_secs(),
        "told": router.told.map(|told| now.since(told).as_secs()),
        "host": router.identity.host,
        "version": metrics.map(|metrics| &metrics.version),
        "uptime": metrics.and_then(|metrics| metrics.uptime),
        "resident": metrics.and_then(|metrics| metrics.resident),
        "clients": metrics.map(|metrics| metrics.clients),
        "flows": metrics.map(|metrics| metrics.flows),
    })
}

fn link(link: &Link) -> Json {
    json!({
        "ends": link.ends,
        "role": link.role.name(),
        "cost": link.cost,
        "connections": link.connections,
        "encrypted": link.is_encrypted,
        "active": link.is_active,
        "up": link.is_up,
    })
}

/// The services that there are, by their addresses.
fn services<'a>(network: &'a Network, left_out: &mut Vec<String>) -> BTreeMap<&'a str, Service<'a>> {
    let routers = network.routers().iter().filter_map(|(id, router)| Some((id, router, router.report.as_ref()?)));
    let ends = routers.flat_map(|(id, router, report)| report.ends.iter().map(move |end| (id.as_str(), router, end)));
    let mut services: BTreeMap<&str, Service<'_>> = BTreeMap::new();
    let mut beyond = 0;
    for (at, end) in ends.enumerate() {
        if at < MAX_ENDS {
            services.entry(&end.2.address).or_default().push(end);
        } else {
            beyond += 1;
        }
    }
    if beyond > 0 {
        left_out.push(format!("{beyond} tcpListeners and tcpConnectors"));
    }
    services
}

fn shown(id: &str, router: &Router, end: &End) -> Json {
    let traffic = traffic(router, end);
    json!({
        "kind": end.kind.name(),
        "router": id,
        "name": end.name,
        "target": end.target,
        "up": end.is_up,
        "message": end.message,
        "tls": end.has_tls,
        "open": end.open(),
        "opened": end.counters.opened,
        "received": end.counters.received,
        "sent": end.counters.sent,
        "receivedRate": whole(traffic.received),
        "sentRate": whole(traffic.sent),
        "old": router.state != State::Up,
    })
}

fn traffic(router: &Router, end: &End) -> Traffic {
    let (kind, name, address, target) = end.key();
    let key = (kind, name.to_owned(), address.to_owned(), target.to_owned());
    router.traffic.get(&key).copied().unwrap_or_default()
}

/// The services that carry the most now. What clients send and get is counted at the listeners, or else at the connectors,
/// whose servers get it and send it.
fn talkers(services: &BTreeMap<&str, Service<'_>>) -> Vec<Json> {
    let rates = services.iter().map(|(address, ends)| {
        let has_listeners = ends.iter().any(|(.., end)| end.kind == EndKind::Listener);
        let kind = if has_listeners { EndKind::Listener } else { EndKind::Connector };
        let counted = ends.iter().filter(|(.., end)| end.kind == kind).map(|(_, router, end)| traffic(router, end));
        let (near, far) = counted.fold((0.0, 0.0), |(near, far), t| (near + t.received, far + t.sent));
        let (to_servers, to_clients) = if has_listeners { (near, far) } else { (far, near) };
        (*address, to_servers, to_clients)
    });
    let mut rates: Vec<_> = rates.filter(|(_, to_servers, to_clients)| to_servers + to_clients > 0.0).collect();
    rates.sort_by(|one, other| (other.1 + other.2).total_cmp(&(one.1 + one.2)));
    let shown = |(address, to_servers, to_clients)| json!({ "address": address, "toServers": whole(to_servers), "toClients": whole(to_clients) });
    rates.into_iter().take(TALKERS).map(shown).collect()
}

/// Octets per second without parts.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is no less than zero, and saturates")]
fn whole(rate: f64) -> u64 {
    rate.round() as u64
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Up => "up",
            Self::Silent => "silent",
            Self::Gone => "gone",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::network::tests::{end, joined, second};
    use super::super::problems::Severity;
    use super::super::report::{Counters, Report};
    use super::*;

    fn told(network: &Network, problems: &[Problem]) -> Json {
        let about = About { number: 4, time: 5, period: 2000, problems, untold: 3, now: second(20) };
        serde_json::from_str(&document(network, &about)).expect("JSON")
    }

    /// The network after A and B have told of these ends, twice.
    fn carrying(a: &[(EndKind, &str, u64, u64)], b: &[(EndKind, &str, u64, u64)]) -> Network {
        let mut network = joined();
        for round in 0..2 {
            for (id, ends) in [("A", a), ("B", b)] {
                let at = second(10 + round);
                let ends = ends.iter().map(|&(kind, address, received, sent)| {
                    let counters = Counters { opened: 3, closed: 1, received: received * round, sent: sent * round };
                    end(kind, address, counters, at)
                });
                let before = network.routers()[id].report.clone().expect("a report");
                network.on_report(id, Report { ends: ends.collect(), ..before }, at);
            }
        }
        network
    }

    #[test]
    fn the_whole_network_is_told() {
        let network = carrying(&[(EndKind::Listener, "web", 100, 2000)], &[(EndKind::Connector, "web", 2000, 100)]);
        let problem =
            Problem { severity: Severity::Error, router: "B".to_owned(), text: "</script>\u{2028}\"".to_owned() };
        let told = told(&network, &[problem]);
        assert_eq!((&told["router"], &told["number"], &told["period"]), (&json!("A"), &json!(4), &json!(2000)));
        assert_eq!(told["problems"], json!([{ "severity": "error", "router": "B", "text": "</script>\u{2028}\"" }]));
        assert_eq!(told["leftOut"], json!(["3 problems"]));
        let routers: Vec<_> =
            told["routers"].as_array().expect("a list").iter().map(|r| [&r["id"], &r["mode"], &r["state"]]).collect();
        assert_eq!(json!(routers), json!([["A", "interior", "up"], ["B", "interior", "up"], ["E", "edge", "waiting"]]));
        assert_eq!((&told["links"][0]["ends"], &told["links"][0]["cost"]), (&json!(["A", "B"]), &json!(3)));
        let [listener, connector] = [0, 1].map(|at| &told["services"][0]["ends"][at]);
        assert_eq!(
            (&listener["kind"], &listener["router"], &listener["open"]),
            (&json!("listener"), &json!("A"), &json!(2))
        );
        assert_eq!((&listener["receivedRate"], &listener["sentRate"]), (&json!(100), &json!(2000)));
        assert_eq!((&connector["kind"], &connector["receivedRate"]), (&json!("connector"), &json!(2000)));
        assert_eq!(told["talkers"], json!([{ "address": "web", "toServers": 100, "toClients": 2000 }]));
    }

    #[test]
    fn who_carries_most_comes_first() {
        let many: Vec<_> = (0..15).map(|number| format!("s{number:02}")).collect();
        let ends: Vec<_> =
            many.iter().zip(0..).map(|(address, rate)| (EndKind::Listener, address.as_str(), rate, 0)).collect();
        let network = carrying(&ends, &[(EndKind::Connector, "only-servers", 70, 30)]);
        let told = told(&network, &[]);
        let talkers = told["talkers"].as_array().expect("a list");
        assert_eq!(talkers.len(), TALKERS);
        assert_eq!(talkers[0], json!({ "address": "only-servers", "toServers": 30, "toClients": 70 }));
        assert_eq!((&talkers[1]["address"], &talkers[9]["address"]), (&json!("s14"), &json!("s06")));
    }

    #[test]
    fn what_a_silent_router_has_told_is_marked_as_old() {
        let mut network = carrying(&[], &[(EndKind::Listener, "web", 100, 0)]);
        network.on_silence("B", second(15));
        let told = told(&network, &[]);
        let end = &told["services"][0]["ends"][0];
        assert_eq!((&end["old"], &end["receivedRate"], &end["received"]), (&json!(true), &json!(0), &json!(100)));
        assert_eq!((&told["routers"][1]["since"], &told["routers"][1]["told"]), (&json!(5), &json!(9)));
    }

    #[test]
    fn what_is_too_much_is_left_out_and_named() {
        let mut network = joined();
        let ends = (0..MAX_ENDS + 7)
            .map(|number| end(EndKind::Listener, &format!("s{number}"), Counters::default(), second(2)));
        network.on_report(
            "B",
            Report { ends: ends.collect(), left_out: vec!["9 connectors".to_owned()], ..Report::default() },
            second(2),
        );
        let told = told(&network, &[]);
        assert_eq!(told["services"].as_array().map(Vec::len), Some(MAX_ENDS));
        assert_eq!(told["leftOut"], json!(["3 problems", "B: 9 connectors", "7 tcpListeners and tcpConnectors"]));
    }
}
