//! What is wrong in a network, as far as routers tell.

use super::network::{Network, Router, State};
use super::report::{Connector, End, EndKind};
use amqp_core::Instant;
use chrono::DateTime;
use router_engine::memory::Level;
use std::collections::BTreeSet;

/// Problems that are told.
const MAX_PROBLEMS: usize = 200;

/// A certificate that ends within so many seconds is told of.
const SOON: i64 = 30 * 24 * 3600;

/// Connections that a server ended without a word until that is a problem.
const BARREN: u64 = 3;

/// How bad it is. The worst comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    Error,
    Warning,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Problem {
    pub(super) severity: Severity,
    /// Where it shows.
    pub(super) router: String,
    pub(super) text: String,
}

/// What this process knows of itself beyond what every router tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Own<'a> {
    pub(super) memory: Level,
    /// Octets that the process may use.
    pub(super) ceiling: usize,
    /// The profiles whose certificates are in use, and when these end, in seconds since 1970.
    pub(super) certificates: &'a [(String, i64)],
    /// Seconds since 1970.
    pub(super) time: i64,
}

/// Problems as they are found.
#[derive(Debug, Default)]
struct Found(BTreeSet<Problem>);

// === impl Severity ===

impl Severity {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

// === impl Found ===

impl Found {
    fn add(&mut self, severity: Severity, router: &str, text: String) {
        self.0.insert(Problem { severity, router: router.to_owned(), text });
    }
}

/// Everything that is wrong, the worst first, and how many problems are not told.
pub(super) fn problems(network: &Network, own: &Own<'_>, now: Instant) -> (Vec<Problem>, usize) {
    let mut found = Found::default();
    for (id, router) in network.routers() {
        absence(&mut found, network, id, router);
        let Some(report) = router.report.as_ref().filter(|_| router.state == State::Up) else { continue };
        if report.metrics.stuck > 0 {
            let text = format!("{} deliveries wait for settlement for more than 10 s", report.metrics.stuck);
            found.add(Severity::Warning, id, text);
        }
        report.connectors.iter().for_each(|connector| connection(&mut found, id, connector));
    }
    services(&mut found, network);
    for flap in network.flaps.all(now) {
        let way = if flap.is_out { "to" } else { "from" };
        let text = format!("the connection {way} {} came back {} times within five minutes", flap.peer, flap.times);
        found.add(Severity::Warning, flap.router, text);
    }
    memory(&mut found, network.own(), own);
    for (profile, end) in own.certificates {
        certificate(&mut found, network.own(), profile, *end, own.time);
    }
    let beyond = found.0.len().saturating_sub(MAX_PROBLEMS);
    (found.0.into_iter().take(MAX_PROBLEMS).collect(), beyond)
}

/// A router that is not there, or not heard of.
fn absence(found: &mut Found, network: &Network, id: &str, router: &Router) {
    let is_reachable = |id: &str| {
        let node = network.table().iter().find(|node| node.id == id);
        node.is_none_or(|node| node.next_hop.is_some() || node.cost.is_some())
    };
    match router.state {
        State::Silent if !is_reachable(id) => {
            found.add(Severity::Error, id, "there is no way to this router".to_owned());
        }
        State::Silent => found.add(Severity::Error, id, "this router does not answer".to_owned()),
        State::Gone => found.add(Severity::Error, id, "this router is gone".to_owned()),
        State::Waiting | State::Up => {}
    }
}

fn connection(found: &mut Found, router: &str, connector: &Connector) {
    let Connector { name, target, status, message, .. } = connector;
    if matches!(status.as_str(), "SUCCESS" | "") {
        return;
    }
    let why = if message.is_empty() { format!("it is {}", status.to_lowercase()) } else { message.clone() };
    // A connector that has only begun to connect has failed at nothing yet.
    let severity = if status == "FAILED" || !message.is_empty() { Severity::Error } else { Severity::Warning };
    found.add(severity, router, format!("connector {name} to {target} has no connection: {why}"));
}

fn services(found: &mut Found, network: &Network) {
    let reports = || network.routers().iter().filter_map(|(id, router)| Some((id, router, router.report.as_ref()?)));
    let all = || reports().flat_map(|(id, router, report)| report.ends.iter().map(move |end| (id, router, end)));
    // What a silent router serves is known, though not reached.
    let is_connector = |(_, _, end): &(&String, &Router, &End)| end.kind == EndKind::Connector;
    let offered: BTreeSet<_> = all().filter(is_connector).map(|(.., end)| end.address.as_str()).collect();
    for (id, router, end) in all().filter(|(_, router, _)| router.state == State::Up) {
        match end.kind {
            EndKind::Listener => listener(found, id, end, offered.contains(end.address.as_str())),
            EndKind::Connector => server(found, id, router, end),
        }
    }
}

fn listener(found: &mut Found, router: &str, end: &End, is_offered: bool) {
    let End { name, address, target, message, .. } = end;
    if end.is_up != Some(false) {
        return;
    }
    if !message.is_empty() {
        found.add(Severity::Error, router, format!("tcpListener {name} does not listen on {target}: {message}"));
    } else if is_offered || address.is_empty() {
        let text = format!("tcpListener {name} does not listen on {target}: it reaches no tcpConnector");
        found.add(Severity::Error, router, text);
    } else {
        let text = format!("tcpListener {name} does not listen on {target}: no tcpConnector serves {address}");
        found.add(Severity::Warning, router, text);
    }
}

fn server(found: &mut Found, id: &str, router: &Router, end: &End) {
    let (kind, name, address, target) = end.key();
    let traffic = router.traffic.get(&(kind, name.to_owned(), address.to_owned(), target.to_owned()));
    let barren = traffic.map_or(0, |traffic| traffic.barren);
    if barren >= BARREN {
        let text = format!("tcpConnector {name}: {barren} connections ended and nothing came from {target}");
        found.add(Severity::Warning, id, text);
    }
}

fn memory(found: &mut Found, id: &str, own: &Own<'_>) {
    let what = match own.memory {
        Level::Calm => return,
        Level::Slow => "senders are slowed down",
        Level::Refuse => "new connections are refused",
        Level::Shed => "connections are closed",
    };
    let severity = if own.memory == Level::Slow { Severity::Warning } else { Severity::Error };
    let ceiling = crate::memory::shown(own.ceiling as u64);
    found.add(severity, id, format!("memory is short, of {ceiling}: {what}"));
}

fn certificate(found: &mut Found, id: &str, profile: &str, end: i64, time: i64) {
    let shown = DateTime::from_timestamp(end, 0).map(|end| end.format("%Y-%m-%d %H:%M UTC").to_string());
    let shown = shown.unwrap_or_default();
    if end <= time {
        found.add(Severity::Error, id, format!("the certificate of sslProfile {profile} has expired, on {shown}"));
    } else if end - time <= SOON {
        let days = (end - time) / (24 * 3600);
        let text = format!("the certificate of sslProfile {profile} expires in {days} days, on {shown}");
        found.add(Severity::Warning, id, text);
    }
}

#[cfg(test)]
mod tests {
    use super::super::network::tests::{connection as peer, end, joined, second};
    use super::super::report::{Counters, Metrics, Report, Role};
    use super::*;

    const CALM: Own<'static> = Own { memory: Level::Calm, ceiling: 1 << 30, certificates: &[], time: 1_000_000_000 };

    fn texts(network: &Network, own: &Own<'_>) -> Vec<String> {
        let shown = |p: Problem| format!("{} {}: {}", p.severity.name(), p.router, p.text);
        problems(network, own, second(20)).0.into_iter().map(shown).collect()
    }

    /// The network with another report of B.
    fn with(change: impl FnOnce(&mut Report)) -> Network {
        let mut network = joined();
        let mut report = network.routers()["B"].report.clone().expect("a report");
        change(&mut report);
        network.on_report("B", report, second(3));
        network
    }

    fn listener(address: &str, is_up: bool, message: &str) -> End {
        let end = end(EndKind::Listener, address, Counters::default(), second(3));
        End { is_up: Some(is_up), message: message.to_owned(), ..end }
    }

    #[test]
    fn a_sound_network_has_no_problems() {
        let connector = end(EndKind::Connector, "web", Counters::default(), second(3));
        let network = with(|report| report.ends = vec![listener("web", true, ""), connector]);
        assert_eq!(texts(&network, &CALM), Vec::<String>::new());
    }

    #[test]
    fn absent_routers() {
        let mut network = joined();
        network.on_silence("E", second(4));
        assert_eq!(texts(&network, &CALM), ["error E: this router does not answer"]);
        let mut report = network.routers()["A"].report.clone().expect("a report");
        report.nodes[1].cost = None;
        network.on_report("A", report, second(5));
        network.on_silence("B", second(5));
        assert_eq!(
            texts(&network, &CALM),
            ["error B: there is no way to this router", "error E: this router does not answer"]
        );
        network.on_report("A", Report::default(), second(6));
        assert_eq!(texts(&network, &CALM), ["error B: this router is gone", "error E: this router is gone"]);
    }

    #[test]
    fn ends_of_services() {
        let connector = end(EndKind::Connector, "db", Counters::default(), second(3));
        let network = with(|report| {
            let taken = listener("web", false, "address in use");
            report.ends = vec![listener("db", false, ""), taken, listener("none", false, ""), connector];
        });
        assert_eq!(
            texts(&network, &CALM),
            [
                "error B: tcpListener listener-db does not listen on h:1: it reaches no tcpConnector",
                "error B: tcpListener listener-web does not listen on h:1: address in use",
                "warning B: tcpListener listener-none does not listen on h:1: no tcpConnector serves none",
            ]
        );
        let mut network = joined();
        for (seconds, closed) in [(3, 0), (5, 4)] {
            let counters = Counters { opened: closed, closed, received: 0, sent: 9 };
            let ends = vec![end(EndKind::Connector, "web", counters, second(seconds))];
            network.on_report(
                "B",
                Report { ends, ..network.routers()["B"].report.clone().expect("a report") },
                second(seconds),
            );
        }
        let text = "warning B: tcpConnector connector-web: 4 connections ended and nothing came from h:1";
        assert_eq!(texts(&network, &CALM), [text]);
    }

    #[test]
    fn connectors_and_stuck_deliveries() {
        let connector = |status: &str, message: &str| Connector {
            name: format!("to-{status}"),
            target: "c:1".to_owned(),
            cost: None,
            status: status.to_owned(),
            message: message.to_owned(),
        };
        let network = with(|report| {
            report.connectors =
                vec![connector("FAILED", "refused"), connector("CONNECTING", ""), connector("SUCCESS", "x")];
            report.metrics = Metrics { stuck: 7, ..Metrics::default() };
        });
        assert_eq!(
            texts(&network, &CALM),
            [
                "error B: connector to-FAILED to c:1 has no connection: refused",
                "warning B: 7 deliveries wait for settlement for more than 10 s",
                "warning B: connector to-CONNECTING to c:1 has no connection: it is connecting",
            ]
        );
    }

    #[test]
    fn flapping_connections() {
        let mut network = joined();
        for number in 2..6 {
            let mut report = network.routers()["B"].report.clone().expect("a report");
            report.connections.push(peer(Role::Other, false, "client"));
            report.connections.last_mut().expect("one").number = number;
            report.connections.retain(|c| c.role != Role::Other || c.number == number);
            network.on_report("B", report, second(number));
        }
        let text = "warning B: the connection from client came back 3 times within five minutes";
        assert_eq!(texts(&network, &CALM), [text]);
    }

    #[test]
    fn this_process() {
        let certificates = [("old", 0), ("short", 3 * 24 * 3600 + 1), ("long", SOON + 1), ("endless", i64::MAX / 2)];
        let certificates = certificates.map(|(profile, left)| (profile.to_owned(), CALM.time + left));
        let own = Own { memory: Level::Refuse, certificates: &certificates, ..CALM };
        assert_eq!(
            texts(&joined(), &own),
            [
                "error A: memory is short, of 1.00 GiB: new connections are refused",
                "error A: the certificate of sslProfile old has expired, on 2001-09-09 01:46 UTC",
                "warning A: the certificate of sslProfile short expires in 3 days, on 2001-09-12 01:46 UTC",
            ]
        );
    }

    #[test]
    fn there_is_a_bound() {
        let network = with(|report| {
            let all = (0..300).map(|number| listener(&format!("s{number:03}"), false, ""));
            report.ends = all.collect();
        });
        let (told, beyond) = problems(&network, &CALM, second(20));
        assert_eq!((told.len(), beyond), (MAX_PROBLEMS, 100));
    }
}
