//! Figures of the router's own making: one table of families, each with its name, kind, meaning and where its values
//! are. Whoever shows them or sends them somewhere is a [`Sink`].
//!
//! Rows are gathered first, each group under locks that are held for a slice at most, and counters are atomics: however
//! many services there are, traffic waits for nobody who looks.

mod http;
mod links;
mod process;
mod services;

use adaptors::histogram::Snapshot;
use adaptors::runtime::Io;
use std::borrow::Cow;
use std::time::Duration;

/// What the values of a family do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// They only grow.
    Counter,
    /// They go up and down.
    Gauge,
    /// They are distributions of times in seconds.
    Histogram,
}

/// Values of one meaning, which their labels tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Family {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) help: &'static str,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Whole(u64),
    Real(f64),
    Times(Snapshot),
}

/// A name and a value that tell a figure from others of its family.
pub(crate) type Label<'a> = (&'static str, Cow<'a, str>);

/// What has figures, and what tells it from others.
type Row<'a, R> = (Vec<Label<'a>>, R);

/// What takes figures: a family, and then its values.
pub(crate) trait Sink {
    fn family(&mut self, family: &Family);
    fn value(&mut self, family: &Family, labels: &[Label<'_>], value: Value);
}

/// A family, and where each row has its value; one that has none is left out.
struct Figure<R> {
    family: Family,
    value: fn(&R) -> Option<Value>,
}

/// Tells a sink of everything, family by family.
pub(crate) fn tell_all(io: &Io, sink: &mut dyn Sink) {
    process::tell(io, sink);
    links::tell(io.router(), sink);
    let services = io.all_services();
    services::tell(&services, sink);
    http::tell(&services, sink);
}

fn tell<R>(sink: &mut dyn Sink, figures: &[Figure<R>], rows: &[Row<'_, R>]) {
    for Figure { family, value } in figures {
        sink.family(family);
        for (labels, row) in rows {
            if let Some(value) = value(row) {
                sink.value(family, labels, value);
            }
        }
    }
}

/// A row that has no labels.
fn only<R>(row: R) -> [Row<'static, R>; 1] {
    [(Vec::new(), row)]
}

const fn figure<R>(kind: Kind, name: &'static str, help: &'static str, value: fn(&R) -> Option<Value>) -> Figure<R> {
    Figure { family: Family { name, kind, help }, value }
}

fn whole(value: u64) -> Option<Value> {
    Some(Value::Whole(value))
}

fn seconds(time: Duration) -> Option<Value> {
    Some(Value::Real(time.as_secs_f64()))
}

// === impl Kind ===

impl Kind {
    /// Its name in the text format.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use adaptors::runtime::Io;
    use router_engine::Router;
    use router_engine::core::RouterConfig;
    use std::sync::Arc;

    /// The adaptors of a router that nothing happens in.
    pub(crate) fn io() -> Io {
        let config = RouterConfig { id: "R".to_owned(), ..RouterConfig::default() };
        let router = Router::new(config, adaptors::random::seed(), 1, adaptors::clock::now());
        Io::new(Arc::new(router), tokio::runtime::Handle::current(), 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    /// Names of families, and of what comes under them.
    #[derive(Default)]
    struct Names {
        families: Vec<Family>,
        values: Vec<&'static str>,
    }

    impl Sink for Names {
        fn family(&mut self, family: &Family) {
            self.families.push(*family);
        }

        fn value(&mut self, family: &Family, _: &[Label<'_>], _: Value) {
            assert_eq!(self.families.last(), Some(family), "the family comes first");
            self.values.push(family.name);
        }
    }

    #[tokio::test]
    async fn names_are_as_scrapers_expect_them() {
        let mut told = Names::default();
        tell_all(&testing::io(), &mut told);
        let names: HashSet<_> = told.families.iter().map(|family| family.name).collect();
        assert_eq!(names.len(), told.families.len(), "a name twice");
        for Family { name, kind, help } in told.families {
            assert!(name.starts_with("skrouter_"), "{name}");
            assert_eq!(name.ends_with("_total"), kind == Kind::Counter, "{name}");
            assert!(kind != Kind::Histogram || name.ends_with("_seconds"), "{name}");
            assert!(help.ends_with('.') && !help.contains(['\\', '\n']), "{name}: {help}");
        }
        for name in ["skrouter_build_info", "skrouter_uptime_seconds", "skrouter_log_lines_total", "skrouter_tasks"] {
            assert!(told.values.contains(&name), "{name}");
        }
        assert!(!told.values.iter().any(|name| name.contains("_service_") || name.contains("_link_")));
    }
}
