//! A connection of this process in the core.

use super::{Attach, Attached, Identity, shielded};
use crate::core::Accepted;
use crate::core::connection::ConnHandle;
use crate::core::ids::ConnId;
use crate::{Action, Mailbox, Router};
use amqp_core::Instant;
use amqp_core::performative::Error;
use std::sync::Arc;

/// A connection in the core. Dropped before it was closed, it leaves the core at once: the streams that it sends are
/// taken as aborted, and the deliveries that it had taken have failed.
///
/// Who produces a stream must still end it: [`crate::stream::Producer`] does so when dropped.
#[derive(Debug)]
pub struct Connection {
    router: Arc<Router>,
    id: ConnId,
    mailbox: Arc<Mailbox>,
    /// It was closed.
    left: bool,
}

/// Closes a connection that somebody else owns.
#[derive(Debug, Clone)]
pub struct Closer {
    router: Arc<Router>,
    id: ConnId,
}

// === impl Connection ===

impl Connection {
    /// Joins the core. Management shows the connection once [`Action::Opened`] was submitted.
    #[must_use]
    pub fn join(router: &Arc<Router>, identity: Identity, mailbox: Arc<Mailbox>, now: Instant) -> Self {
        let ConnHandle { id, mailbox } = router.connect_at(identity.params(), mailbox, now);
        Self { router: Arc::clone(router), id, mailbox, left: false }
    }

    /// The core's id.
    #[must_use]
    pub const fn id(&self) -> ConnId {
        self.id
    }

    /// The router that it belongs to.
    #[must_use]
    pub const fn router(&self) -> &Arc<Router> {
        &self.router
    }

    /// Where the core and streams leave work.
    #[must_use]
    pub const fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// Closes the connection on behalf of somebody else.
    #[must_use]
    pub fn closer(&self) -> Closer {
        Closer { router: Arc::clone(&self.router), id: self.id }
    }

    /// As [`Router::submit`]. A batch that ends with [`Action::Closed`] ends the connection.
    pub fn submit(&mut self, actions: &mut Vec<Action>, accepted: &mut Vec<Accepted>, now: Instant) {
        let leaves = matches!(actions.last(), Some(Action::Closed));
        self.router.submit(self.id, actions, accepted, now);
        self.left |= leaves;
    }

    /// Attaches links in one batch with `actions`, which it drains. The core answers within the call; what else it tells
    /// stays in the mailbox.
    ///
    /// # Errors
    /// Of each link: why the core refuses it.
    pub fn attach<const N: usize>(
        &mut self,
        actions: &mut Vec<Action>,
        links: [Attach<'_>; N],
        now: Instant,
    ) -> [Result<Attached, Box<Error>>; N] {
        actions.reserve_exact(N);
        for (token, link) in links.into_iter().enumerate() {
            actions.push(Action::Attach(Box::new(link.request(token as u32))));
        }
        self.submit(actions, &mut Vec::new(), now);
        let mut answers = std::array::from_fn(|_| None);
        self.mailbox.take_answers(|answer| {
            if let Some(place) = answers.get_mut(answer.token as usize) {
                let source = answer.source.and_then(|source| source.address);
                *place = Some(answer.link.map(|link| Attached { link, source }));
            }
        });
        answers.map(|answer| answer.unwrap_or_else(|| Err(Box::new(Error::new("amqp:illegal-state", "not connected")))))
    }

    /// Leaves the core in good order: what it had not read to its end is released.
    pub fn close(mut self, now: Instant) {
        self.submit(&mut vec![Action::Closed], &mut Vec::new(), now);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !self.left {
            shielded(|| self.router.abandon(self.id));
        }
    }
}

// === impl Closer ===

impl Closer {
    /// Takes the connection out of the core, as [`Connection::close`] does. Its owner has nothing to do with the core
    /// from then on.
    pub fn close(&self, now: Instant) {
        self.router.submit(self.id, &mut vec![Action::Closed], &mut Vec::new(), now);
    }
}
