//! What policy has counted: for the router, and for each vhost, with the connections that are open in it.

use super::rules::ConnectionLimits;
use crate::log;
use crate::log::{Level, LogModule, SparingByHost};
use amqp_core::Instant;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What was denied on a connection that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// A session.
    Session,
    /// A link on which the peer would send.
    Sender,
    /// A link on which the peer would receive.
    Receiver,
    /// A message, for its size.
    MessageSize,
}

/// Counts of what was denied.
#[derive(Debug, Default)]
struct Denials {
    sessions: AtomicU64,
    senders: AtomicU64,
    receivers: AtomicU64,
    messages: AtomicU64,
}

/// What is counted of the router as a whole, and how many accepted connections there may be.
#[derive(Debug)]
pub struct Totals {
    max_connections: AtomicU64,
    processed: AtomicU64,
    refused: AtomicU64,
    current: AtomicU64,
    denials: Denials,
    refusals: SparingByHost,
}

/// [`Totals`] at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TotalFigures {
    /// Connections that came.
    pub processed: u64,
    /// Of those, how many were refused because there were too many.
    pub refused: u64,
    /// Connections that are open.
    pub current: u64,
    /// Links refused.
    pub links_denied: u64,
    /// Messages refused because of their size.
    pub messages_denied: u64,
    /// Refusals of any kind but those of connections by the rules of vhosts.
    pub denials: u64,
}

/// A connection that was accepted counts for as long as this lives.
#[derive(Debug)]
pub struct Counted(Arc<Totals>);

/// What is counted of a vhost. It stays when the rules of the vhost go.
#[derive(Debug)]
pub struct VhostStats {
    name: String,
    state: Mutex<State>,
    denials: Denials,
}

#[derive(Debug, Default)]
struct State {
    approved: u64,
    refused: u64,
    current: u64,
    /// The number of the place that is taken next.
    next: u64,
    by_user: Connections,
    by_host: Connections,
}

/// Connections by place, by what they have in common; nobody is kept without one.
type Connections = BTreeMap<String, BTreeMap<u64, String>>;

/// [`VhostStats`] at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VhostFigures {
    /// The name of the vhost.
    pub name: String,
    /// Connections let in.
    pub approved: u64,
    /// Connections refused.
    pub refused: u64,
    /// Connections that are open.
    pub current: u64,
    /// Connections, as their peers are shown, by user.
    pub by_user: BTreeMap<String, Vec<String>>,
    /// The same by the host that they come from.
    pub by_host: BTreeMap<String, Vec<String>>,
    /// Sessions refused.
    pub sessions_denied: u64,
    /// Links refused on which the peer would send.
    pub senders_denied: u64,
    /// Links refused on which the peer would receive.
    pub receivers_denied: u64,
    /// Messages refused because of their size.
    pub messages_denied: u64,
}

/// Which limits of connections a connection would exceed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exceeded {
    /// That of the vhost.
    pub total: bool,
    /// That of its user.
    pub user: bool,
    /// That of its host.
    pub host: bool,
}

/// Who wants to connect.
#[derive(Debug, Clone, Copy)]
pub(super) struct Comer<'a> {
    pub(super) user: &'a str,
    pub(super) host: &'a str,
    /// How operators know the connection.
    pub(super) peer: &'a str,
}

/// The place of a connection in a vhost, which it has for as long as this lives.
#[derive(Debug)]
pub(super) struct Place {
    stats: Arc<VhostStats>,
    number: u64,
    user: String,
    host: String,
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

// === impl Denials ===

impl Denials {
    fn count(&self, what: Denied) {
        add(match what {
            Denied::Session => &self.sessions,
            Denied::Sender => &self.senders,
            Denied::Receiver => &self.receivers,
            Denied::MessageSize => &self.messages,
        });
    }
}

// === impl Totals ===

impl Default for Totals {
    /// No limit.
    fn default() -> Self {
        Self {
            max_connections: AtomicU64::new(u64::MAX),
            processed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            current: AtomicU64::new(0),
            denials: Denials::default(),
            refusals: SparingByHost::default(),
        }
    }
}

impl Totals {
    /// From now on there may be so many accepted connections.
    pub fn limit_connections(&self, max: u64) {
        self.max_connections.store(max, Ordering::Relaxed);
    }

    /// A connection has come from a host. `None`: there are as many as there may be, and it has to go before anything
    /// is said on it.
    #[must_use]
    pub fn accept(self: &Arc<Self>, host: IpAddr, now: Instant) -> Option<Counted> {
        add(&self.processed);
        let max = read(&self.max_connections);
        let one_more = |current: u64| (current < max).then(|| current + 1);
        match self.current.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) {
            Ok(_) => Some(Counted(Arc::clone(self))),
            Err(current) => {
                add(&self.refused);
                if self.refusals.tells(host, now) {
                    log!(
                        LogModule::Policy,
                        Level::Info,
                        "DENY Connection '{host}' based on global connection count. nConnections= {current}"
                    );
                }
                None
            }
        }
    }

    /// Lines about connections that were refused, for whatever reason, or have failed.
    #[must_use]
    pub const fn refusals(&self) -> &SparingByHost {
        &self.refusals
    }

    /// How many accepted connections there are.
    #[must_use]
    pub fn current(&self) -> u64 {
        read(&self.current)
    }

    /// Something was denied on an open connection.
    pub fn count(&self, what: Denied) {
        self.denials.count(what);
    }

    /// What was counted until now.
    #[must_use]
    pub fn figures(&self) -> TotalFigures {
        let Denials { sessions, senders, receivers, messages } = &self.denials;
        let refused = read(&self.refused);
        let links_denied = read(senders) + read(receivers);
        let messages_denied = read(messages);
        TotalFigures {
            processed: read(&self.processed),
            refused,
            current: self.current(),
            links_denied,
            messages_denied,
            denials: refused + read(sessions) + links_denied + messages_denied,
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.current.fetch_sub(1, Ordering::Relaxed);
    }
}

// === impl VhostStats ===

impl VhostStats {
    pub(super) fn new(name: String) -> Self {
        Self { name, state: Mutex::default(), denials: Denials::default() }
    }

    /// The name of the vhost.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Something was denied on an open connection.
    pub fn count(&self, what: Denied) {
        self.denials.count(what);
    }

    /// A connection was refused by the rules.
    pub(super) fn refuse(&self) {
        self.state.lock().refused += 1;
    }

    /// Gives a connection a place, unless that exceeds a limit.
    pub(super) fn enter(self: &Arc<Self>, comer: Comer<'_>, limits: ConnectionLimits) -> Result<Place, Exceeded> {
        let Comer { user, host, peer } = comer;
        let mut state = self.state.lock();
        let exceeded = Exceeded {
            total: state.current >= limits.total.into(),
            user: count_of(&state.by_user, user) >= limits.per_user as usize,
            host: count_of(&state.by_host, host) >= limits.per_host as usize,
        };
        if exceeded != Exceeded::default() {
            state.refused += 1;
            return Err(exceeded);
        }
        state.approved += 1;
        state.current += 1;
        let number = state.next;
        state.next += 1;
        state.by_user.entry(user.to_owned()).or_default().insert(number, peer.to_owned());
        state.by_host.entry(host.to_owned()).or_default().insert(number, peer.to_owned());
        Ok(Place { stats: Arc::clone(self), number, user: user.to_owned(), host: host.to_owned() })
    }

    /// What was counted until now.
    #[must_use]
    pub fn figures(&self) -> VhostFigures {
        let Denials { sessions, senders, receivers, messages } = &self.denials;
        let state = self.state.lock();
        VhostFigures {
            name: self.name.clone(),
            approved: state.approved,
            refused: state.refused,
            current: state.current,
            by_user: shown(&state.by_user),
            by_host: shown(&state.by_host),
            sessions_denied: read(sessions),
            senders_denied: read(senders),
            receivers_denied: read(receivers),
            messages_denied: read(messages),
        }
    }

    /// Sessions, senders, receivers and messages denied, without what [`Self::figures`] copies.
    #[must_use]
    pub fn denied(&self) -> [u64; 4] {
        let Denials { sessions, senders, receivers, messages } = &self.denials;
        [sessions, senders, receivers, messages].map(read)
    }
}

fn count_of(connections: &Connections, key: &str) -> usize {
    connections.get(key).map_or(0, BTreeMap::len)
}

fn shown(connections: &Connections) -> BTreeMap<String, Vec<String>> {
    connections.iter().map(|(key, peers)| (key.clone(), peers.values().cloned().collect())).collect()
}

fn leave(connections: &mut Connections, key: &str, number: u64) {
    let Some(peers) = connections.get_mut(key) else { return };
    peers.remove(&number);
    if peers.is_empty() {
        connections.remove(key);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.stats.state.lock();
        state.current -= 1;
        leave(&mut state.by_user, &self.user, self.number);
        leave(&mut state.by_host, &self.host, self.number);
    }
}
