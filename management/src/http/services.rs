//! Figures of the router's own making in the text format of Prometheus: what each TCP service carries.

use adaptors::tcp::Service;
use router_engine::exchange::Role;
use std::fmt::{self, Display, Formatter, Write};
use std::sync::Arc;

/// A family of figures with one for each service: its name, type, what it tells, and where its value is.
struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    value: fn(&Service) -> u64,
}

const FAMILIES: &[Family] = &[
    Family {
        name: "skrouter_service_connections",
        kind: "gauge",
        help: "TCP connections of a tcpListener or tcpConnector that are open now.",
        value: |service| service.opened().saturating_sub(service.closed()),
    },
    Family {
        name: "skrouter_service_connections_opened_total",
        kind: "counter",
        help: "TCP connections that were opened.",
        value: Service::opened,
    },
    Family {
        name: "skrouter_service_connections_closed_total",
        kind: "counter",
        help: "TCP connections that have ended.",
        value: Service::closed,
    },
    Family {
        name: "skrouter_service_connections_timed_out_total",
        kind: "counter",
        help: "TCP connections that were cut as they had carried nothing for too long.",
        value: Service::timed_out,
    },
    Family {
        name: "skrouter_service_received_bytes_total",
        kind: "counter",
        help: "Bytes from the clients of a tcpListener or the servers of a tcpConnector.",
        value: Service::read,
    },
    Family {
        name: "skrouter_service_sent_bytes_total",
        kind: "counter",
        help: "Bytes to the clients of a tcpListener or the servers of a tcpConnector.",
        value: Service::written,
    },
];

/// The value of a label, as the format wants it.
struct Escaped<'a>(&'a str);

/// Appends the figures of all services.
pub(super) fn add_all(text: &mut String, services: &[Arc<Service>]) {
    for Family { name, kind, help, value } in FAMILIES {
        // A string takes whatever is written to it.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for service in services {
            add(text, name, service, value(service));
        }
    }
}

fn add(text: &mut String, family: &str, service: &Service, value: u64) {
    let label = service.label();
    let role = match label.role {
        Role::Requester => "listener",
        Role::Responder => "connector",
    };
    let (name, address) = (Escaped(&label.name), Escaped(&label.address));
    let _ = writeln!(text, "{family}{{role=\"{role}\",name=\"{name}\",address=\"{address}\"}} {value}");
}

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            c => f.write_char(c),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_labels_do_not_end_early() {
        assert_eq!(Escaped("a\\b\"c\nd").to_string(), "a\\\\b\\\"c\\nd");
    }

    #[test]
    fn counters_and_nothing_else_end_in_total() {
        for family in FAMILIES {
            assert_eq!(family.name.ends_with("_total"), family.kind == "counter", "{}", family.name);
        }
    }
}
