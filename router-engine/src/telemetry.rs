//! What begins and ends in the router, for whoever collects it: flow records, metrics.
//!
//! ```text
//!  core, under its lock --ConnectionOpened, LinkAttached, ...--> Sink
//!  adaptors -------------ListenerStarted, FlowStarted, ...-----> Sink (a bounded EventQueue) --tick--> collector
//!  flows ----------------octets, each in its own FlowOctets <--------------------------------read at each tick
//! ```
//!
//! Without a sink nothing is told and nothing counted. Figures of which there is one for the whole router are kept by the
//! core as objects come and go ([`crate::core::snapshot::RouterRow`]): asking for them costs the same however many there
//! are.

use crate::core::action::Direction;
use crate::core::connection::{ConnectionRole, PeerKind};
use crate::exchange::Role;
use crate::{ConnId, LinkId, Router};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

/// Whom events are told.
pub trait Sink: std::fmt::Debug + Send + Sync {
    /// Notes that something has happened, and returns whom to wake once no lock is held: the core's is held during the call.
    #[must_use = "wake the collector after releasing locks"]
    fn note(&self, event: Event) -> Option<Waker>;

    /// Tells of something that has happened, where no lock is held.
    fn tell(&self, event: Event) {
        self.note(event).into_iter().for_each(Waker::wake);
    }
}

/// Something that happened. The end of what was told to begin is always told, and after its beginning.
#[derive(Debug, Clone)]
pub enum Event {
    /// A connection that operators are shown is open.
    ConnectionOpened {
        /// The connection.
        conn: ConnId,
        /// Who is at its other end.
        peer: PeerKind,
        /// What it is for.
        role: ConnectionRole,
    },
    /// It has left the core.
    ConnectionClosed {
        /// The connection.
        conn: ConnId,
    },
    /// A link of any connection but internal ones exists.
    LinkAttached {
        /// The link.
        link: LinkId,
        /// Its connection.
        conn: ConnId,
        /// Its direction.
        direction: Direction,
    },
    /// It is gone.
    LinkDetached {
        /// The link.
        link: LinkId,
    },
    /// A listener or connector was configured.
    ServiceStarted {
        /// What it is.
        service: Service,
        /// The entity's name.
        name: Arc<str>,
    },
    /// It was deleted.
    ServiceStopped {
        /// What it was.
        service: Service,
        /// The entity's name.
        name: Arc<str>,
    },
    /// A flow of a service has begun.
    FlowStarted {
        /// Its connection in the core.
        conn: ConnId,
        /// Which end of the service it is.
        role: Role,
        /// The listener's or connector's name.
        name: Arc<str>,
        /// What it has carried so far.
        octets: Arc<FlowOctets>,
    },
    /// It is over, and has left the core.
    FlowEnded {
        /// Its connection in the core.
        conn: ConnId,
        /// Both directions ended as their producers did.
        in_order: bool,
    },
}

/// What a listener or connector is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// A listener of AMQP connections.
    AmqpListener,
    /// A connector of AMQP connections.
    AmqpConnector,
    /// A tcpListener.
    TcpListener,
    /// A tcpConnector.
    TcpConnector,
}

/// Octets that a flow has carried. Its task writes them, anybody may read them.
#[derive(Debug, Default)]
pub struct FlowOctets {
    read: AtomicU64,
    written: AtomicU64,
}

/// A sink that keeps events until they are taken, up to a number.
#[derive(Debug)]
pub struct EventQueue {
    inner: Mutex<Queue>,
    capacity: usize,
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<Event>,
    lost: u64,
    waker: Option<Waker>,
}

// === impl Service ===

impl Service {
    /// Tells whoever collects it that one was configured.
    pub fn started(self, router: &Router, name: &str) {
        if let Some(sink) = router.telemetry() {
            sink.tell(Event::ServiceStarted { service: self, name: name.into() });
        }
    }

    /// Tells whoever collects it that one was deleted.
    pub fn stopped(self, router: &Router, name: &str) {
        if let Some(sink) = router.telemetry() {
            sink.tell(Event::ServiceStopped { service: self, name: name.into() });
        }
    }
}

// === impl FlowOctets ===

impl FlowOctets {
    /// Octets read from the transport and written to it.
    #[must_use]
    pub fn get(&self) -> (u64, u64) {
        (self.read.load(Ordering::Relaxed), self.written.load(Ordering::Relaxed))
    }

    pub(crate) fn set_read(&self, octets: u64) {
        self.read.store(octets, Ordering::Relaxed);
    }

    pub(crate) fn set_written(&self, octets: u64) {
        self.written.store(octets, Ordering::Relaxed);
    }
}

// === impl EventQueue ===

impl EventQueue {
    /// A queue that holds up to `capacity` events. Those beyond are lost, and counted.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { inner: Mutex::default(), capacity }
    }

    /// Takes what there is, in order, and tells how many events were lost since the last time. They came after those that
    /// are taken.
    pub fn take(&self, events: &mut VecDeque<Event>) -> u64 {
        let mut queue = self.inner.lock();
        events.append(&mut queue.events);
        std::mem::take(&mut queue.lost)
    }

    /// Goes to sleep until there is an event. False: there is one already.
    pub fn park(&self, waker: &Waker) -> bool {
        let mut queue = self.inner.lock();
        let empty = queue.events.is_empty() && queue.lost == 0;
        if empty {
            queue.waker = Some(waker.clone());
        }
        empty
    }
}

impl Sink for EventQueue {
    fn note(&self, event: Event) -> Option<Waker> {
        let mut queue = self.inner.lock();
        if queue.events.len() < self.capacity {
            queue.events.push_back(event);
        } else {
            queue.lost += 1;
        }
        queue.waker.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_counts_what_it_loses_and_keeps_the_order() {
        let queue = EventQueue::new(2);
        assert!(queue.park(Waker::noop()));
        for service in [Service::TcpListener, Service::TcpConnector, Service::AmqpListener] {
            queue.tell(Event::ServiceStarted { service, name: "n".into() });
        }
        assert!(!queue.park(Waker::noop()), "there is something to take");
        let mut events = VecDeque::new();
        assert_eq!(queue.take(&mut events), 1);
        let services: Vec<Service> = events
            .iter()
            .map(|event| match event {
                Event::ServiceStarted { service, .. } => *service,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(services, [Service::TcpListener, Service::TcpConnector]);
        assert_eq!((queue.take(&mut events), events.len()), (0, 2), "told once");
    }
}
