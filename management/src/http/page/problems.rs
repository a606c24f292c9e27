//! What is wrong in a network, as far as it can be seen from outside of the routers.

use super::survey::Network;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// A link that was replaced so often within [`RECENT`] flaps.
const FLAPS: usize = 3;

/// What counts as recent, and how long a link that is gone is remembered.
const RECENT: Duration = Duration::from_secs(300);

/// Links that are remembered.
const MAX_LINKS: usize = 10_000;

/// Problems that are told.
const MAX_PROBLEMS: usize = 500;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    Error,
    Warning,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Problem {
    pub(super) severity: Severity,
    /// The router where it shows.
    pub(super) router: String,
    pub(super) text: String,
}

/// What links have been, to see which of them come and go.
#[derive(Debug, Default)]
pub(super) struct History(BTreeMap<[String; 2], Past>);

#[derive(Debug)]
struct Past {
    identity: String,
    seen: Instant,
    /// When another connection came in the place of the one before.
    replaced: VecDeque<Instant>,
}

// === impl Severity ===

impl Severity {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

// === impl History ===

impl History {
    /// Notes which links there are now.
    pub(super) fn note(&mut self, network: &Network, now: Instant) {
        for link in &network.links {
            if self.0.len() >= MAX_LINKS && !self.0.contains_key(&link.ends) {
                continue;
            }
            let past = self.0.entry(link.ends.clone()).or_insert_with(|| Past {
                identity: link.identity.clone(),
                seen: now,
                replaced: VecDeque::new(),
            });
            past.seen = now;
            if past.identity != link.identity {
                past.identity.clone_from(&link.identity);
                past.replaced.push_back(now);
            }
        }
        self.0.retain(|_, past| now.duration_since(past.seen) < RECENT);
        for past in self.0.values_mut() {
            while past.replaced.front().is_some_and(|&at| now.duration_since(at) >= RECENT)
                || past.replaced.len() > 10 * FLAPS
            {
                past.replaced.pop_front();
            }
        }
    }

    fn flapping(&self) -> impl Iterator<Item = (&[String; 2], usize)> {
        let often = self.0.iter().map(|(ends, past)| (ends, past.replaced.len()));
        often.filter(|&(_, times)| times >= FLAPS)
    }
}

/// Everything that is wrong, the worst first.
pub(super) fn problems(network: &Network, history: &History) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut add = |severity, router: &str, text: String| {
        found.push(Problem { severity, router: router.to_owned(), text });
    };
    for (id, router) in &network.routers {
        if !router.answered {
            add(Severity::Error, id, "does not answer".to_owned());
        }
        if router.figures.stuck > 0 {
            add(Severity::Warning, id, format!("{} deliveries are stuck", router.figures.stuck));
        }
    }
    for connector in &network.connectors {
        if !matches!(connector.status.as_str(), "SUCCESS" | "") {
            let (name, target, message) = (&connector.name, &connector.target, &connector.message);
            let message = if message.is_empty() { &connector.status } else { message };
            let to = if message.contains(target) { String::new() } else { format!(" to {target}") };
            add(Severity::Error, &connector.router, format!("connector {name}{to}: {message}"));
        }
    }
    for (address, service) in &network.services {
        if service.connectors.is_empty() {
            let listeners = match service.listeners.len() {
                1 => "1 listener".to_owned(),
                several => format!("{several} listeners"),
            };
            let router = service.listeners.first().map_or("", |listener| &listener.router);
            add(Severity::Warning, router, format!("service {address} has no connector, but {listeners}"));
            continue;
        }
        for listener in service.listeners.iter().filter(|listener| listener.up == Some(false)) {
            let (name, target) = (&listener.name, &listener.target);
            let why = if listener.message.is_empty() { "it does not listen" } else { &listener.message };
            add(Severity::Error, &listener.router, format!("listener {name} of {address} on {target}: {why}"));
        }
    }
    for ([one, other], times) in history.flapping() {
        add(Severity::Warning, one, format!("the link to {other} was replaced {times} times within five minutes"));
    }
    found.sort();
    found.truncate(MAX_PROBLEMS);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::page::survey::{Connector, Link, Port, Router, Service};

    fn texts(network: &Network, history: &History) -> Vec<String> {
        let shown = |p: Problem| format!("{} {}: {}", p.severity.name(), p.router, p.text);
        problems(network, history).into_iter().map(shown).collect()
    }

    fn link(identity: &str) -> Link {
        Link {
            ends: ["A".to_owned(), "B".to_owned()],
            role: "inter-router".to_owned(),
            cost: None,
            encrypted: true,
            standby: false,
            identity: identity.to_owned(),
        }
    }

    fn port(up: Option<bool>, message: &str) -> Port {
        Port {
            router: "A".to_owned(),
            name: "n".to_owned(),
            target: "h:1".to_owned(),
            up,
            message: message.to_owned(),
            opened: 0,
            closed: 0,
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    #[test]
    fn a_sound_network_has_no_problems() {
        let mut network = Network::default();
        network.routers.insert("A".to_owned(), Router { answered: true, ..Router::default() });
        let service = Service { listeners: vec![port(Some(true), "")], connectors: vec![port(None, "")] };
        network.services.insert("web".to_owned(), service);
        network.links.push(link("A/1"));
        let mut history = History::default();
        history.note(&network, Instant::now());
        assert_eq!(problems(&network, &history), []);
    }

    #[test]
    fn what_is_wrong_is_named_the_worst_first() {
        let mut network = Network::default();
        network.routers.insert("B".to_owned(), Router::default());
        network.connectors.push(Connector {
            router: "A".to_owned(),
            name: "to-c".to_owned(),
            target: "c:1".to_owned(),
            status: "FAILED".to_owned(),
            message: "refused".to_owned(),
        });
        let half = Service { listeners: vec![port(Some(false), "")], connectors: vec![] };
        let down = Service { listeners: vec![port(Some(false), "in use")], connectors: vec![port(None, "")] };
        network.services.extend([("half".to_owned(), half), ("down".to_owned(), down)]);
        assert_eq!(
            texts(&network, &History::default()),
            [
                "error A: connector to-c to c:1: refused",
                "error A: listener n of down on h:1: in use",
                "error B: does not answer",
                "warning A: service half has no connector, but 1 listener",
            ]
        );
    }

    #[test]
    fn links_that_come_and_go_are_told_for_a_while() {
        let (mut network, mut history, begun) = (Network::default(), History::default(), Instant::now());
        let second = |n: u64| begun + Duration::from_secs(n);
        for n in 0..4 {
            network.links = if n % 2 == 0 { vec![link(&format!("A/{n}"))] } else { vec![] };
            history.note(&network, second(n));
        }
        assert_eq!(texts(&network, &history), Vec::<String>::new(), "one replacement");
        for n in 4..8 {
            network.links = vec![link(&format!("A/{n}"))];
            history.note(&network, second(n));
        }
        assert_eq!(texts(&network, &history), ["warning A: the link to B was replaced 5 times within five minutes"]);
        history.note(&network, second(310));
        assert_eq!(texts(&network, &history), Vec::<String>::new());
    }
}
