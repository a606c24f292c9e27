//! Names of hosts and services.
//!
//! Resolvers block, often for many seconds. They are asked on threads kept for that, never on those that move
//! traffic, and once for all who want to know the same name at a time: so what is under way is bounded by the
//! number of names, however many connections wait for them.

use crate::tasks::blocking::LOOKUPS;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;

/// Knows what names stand for. Calls may block.
pub trait Resolve: Send + Sync {
    /// The addresses of a host, with port 0.
    ///
    /// # Errors
    /// When the name does not resolve.
    fn host(&self, name: &str) -> io::Result<Vec<SocketAddr>>;

    /// The TCP port of a service.
    fn service(&self, name: &str) -> Option<u16>;
}

/// The resolver of the operating system.
struct System;

/// Asks a [`Resolve`] for many at a time.
pub(crate) struct Resolver {
    source: Arc<dyn Resolve>,
    /// What is being looked up.
    flights: Mutex<HashMap<String, watch::Receiver<Answer>>>,
}

/// Nothing until the lookup is over.
type Answer = Option<Result<Arc<[SocketAddr]>, Failure>>;

/// An error that many can be told.
#[derive(Debug, Clone)]
struct Failure {
    kind: io::ErrorKind,
    text: Arc<str>,
}

/// A lookup under way.
struct Flight {
    resolver: Arc<Resolver>,
    name: String,
    answer: watch::Sender<Answer>,
}

static RESOLVER: OnceLock<Arc<Resolver>> = OnceLock::new();

/// Makes this process resolve names by other means. False when it has already begun to.
pub fn install(source: Arc<dyn Resolve>) -> bool {
    RESOLVER.set(Resolver::new(source)).is_ok()
}

/// The resolver of this process.
pub(crate) fn resolver() -> &'static Arc<Resolver> {
    RESOLVER.get_or_init(|| Resolver::new(Arc::new(System)))
}

// === impl Resolver ===

impl Resolver {
    fn new(source: Arc<dyn Resolve>) -> Arc<Self> {
        Arc::new(Self { source, flights: Mutex::default() })
    }

    /// The addresses of a host, with port 0. Within an executor.
    pub(crate) async fn host(self: &Arc<Self>, name: &str) -> io::Result<Arc<[SocketAddr]>> {
        let mut answer = self.flight(name);
        let answer = answer.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
        match answer {
            Some(found) => found.map_err(Failure::into_error),
            // The executor ends.
            None => Err(io::ErrorKind::Interrupted.into()),
        }
    }

    /// The TCP port of a service. Within an executor.
    pub(crate) async fn service(&self, name: &str) -> Option<u16> {
        let (source, name) = (Arc::clone(&self.source), name.to_owned());
        LOOKUPS.run(move || source.service(&name)).await.ok().flatten()
    }

    /// As [`Self::service`], on a thread that may wait.
    pub(crate) fn service_blocking(&self, name: &str) -> Option<u16> {
        self.source.service(name)
    }

    fn flight(self: &Arc<Self>, name: &str) -> watch::Receiver<Answer> {
        let mut flights = self.flights.lock();
        // One whose lookup died with its executor answers nobody any more.
        if let Some(answer) = flights.get(name).filter(|answer| answer.has_changed().is_ok()) {
            return answer.clone();
        }
        let (sender, answer) = watch::channel(None);
        flights.insert(name.to_owned(), answer.clone());
        drop(flights);
        let flight = Flight { resolver: Arc::clone(self), name: name.to_owned(), answer: sender };
        LOOKUPS.run(move || flight.run());
        answer
    }
}

// === impl Flight ===

impl Flight {
    fn run(self) {
        let found = self.resolver.source.host(&self.name);
        // Before the answer is out: who asks from here on wants to know anew.
        self.resolver.flights.lock().remove(&self.name);
        self.answer.send_replace(Some(found.map(Arc::from).map_err(Failure::new)));
    }
}

// === impl Failure ===

impl Failure {
    #[allow(clippy::needless_pass_by_value, reason = "used with map_err")]
    fn new(error: io::Error) -> Self {
        Self { kind: error.kind(), text: error.to_string().into() }
    }

    #[allow(clippy::needless_pass_by_value, reason = "used with map_err")]
    fn into_error(self) -> io::Error {
        io::Error::new(self.kind, &*self.text)
    }
}

// === impl System ===

impl Resolve for System {
    fn host(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        Ok((name, 0).to_socket_addrs()?.collect())
    }

    fn service(&self, name: &str) -> Option<u16> {
        let services = std::fs::read_to_string("/etc/services").ok()?;
        services.lines().find_map(|line| {
            let mut words = line.split('#').next()?.split_whitespace();
            let first = words.next()?;
            let (port, protocol) = words.next()?.split_once('/')?;
            let named = first == name || words.any(|alias| alias == name);
            if named && protocol == "tcp" { port.parse().ok() } else { None }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::task::{Context, Waker};

    /// Answers when told to, and counts how often it is asked.
    struct Gated {
        asked: AtomicUsize,
        gate: Mutex<mpsc::Receiver<()>>,
    }

    impl Resolve for Gated {
        fn host(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
            self.asked.fetch_add(1, Ordering::SeqCst);
            self.gate.lock().recv().expect("the test says when");
            match name {
                "panics" => panic!("on purpose"),
                "known" => Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))]),
                _ => Err(io::Error::other("Name or service not known")),
            }
        }

        fn service(&self, _: &str) -> Option<u16> {
            None
        }
    }

    fn gated() -> (Arc<Gated>, Arc<Resolver>, mpsc::Sender<()>) {
        let (open, gate) = mpsc::channel();
        let source = Arc::new(Gated { asked: AtomicUsize::new(0), gate: Mutex::new(gate) });
        let resolver = Resolver::new(Arc::clone(&source) as Arc<dyn Resolve>);
        (source, resolver, open)
    }

    #[tokio::test]
    async fn those_who_want_the_same_name_share_one_lookup() {
        let (source, resolver, open) = gated();
        let mut askers: Vec<_> = (0..1000).map(|_| Box::pin(resolver.host("known"))).collect();
        // All have asked before the answer is there.
        for asker in &mut askers {
            assert!(asker.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        open.send(()).expect("it waits");
        for asker in askers {
            assert_eq!(asker.await.expect("found").len(), 1);
        }
        assert_eq!(source.asked.load(Ordering::SeqCst), 1);
        assert!(resolver.flights.lock().is_empty());
    }

    #[tokio::test]
    async fn an_answer_is_not_kept() {
        let (source, resolver, open) = gated();
        for asked in 1..=2 {
            open.send(()).expect("it waits");
            let error = resolver.host("unknown").await.expect_err("unknown");
            assert_eq!(error.to_string(), "Name or service not known");
            assert_eq!(source.asked.load(Ordering::SeqCst), asked);
        }
    }

    #[tokio::test]
    async fn a_lookup_that_panics_is_forgotten() {
        let (_, resolver, open) = gated();
        open.send(()).expect("it waits");
        assert_eq!(resolver.host("panics").await.expect_err("no answer").kind(), io::ErrorKind::Interrupted);
        // The next one is asked for anew.
        open.send(()).expect("it waits");
        assert_eq!(resolver.host("panics").await.expect_err("no answer").kind(), io::ErrorKind::Interrupted);
    }
}
