//! An endpoint that serves addresses itself: it is asked about every link that peers attach to them, and attaches links to
//! peers.
//!
//! ```text
//!  peer --attach--> [ served address ] --PeerEvent::Attach--> owner --answer_attach--> peer
//!  owner --attach_to_peer--> peer --PeerEvent::Attached--> owner
//! ```
//!
//! Messages on these links are deliveries as on others; what is sent waits for no credit here, so its owner heeds
//! [`PeerEvent::Credit`](crate::core::effect::PeerEvent::Credit).

use super::Endpoint;
use crate::core::PeerAttach;
use crate::{Action, LinkId};
use amqp_core::Instant;
use amqp_core::performative::Error;

// === impl Endpoint ===

impl Endpoint {
    /// Serves an address from now on: attaches to it are asked about. Of several who do so the last one counts.
    pub fn serve(&self, address: &str) {
        self.router().serve(self.id(), address);
    }

    /// Wants to be told when a peer with that container id opens its connection.
    pub fn await_container(&self, container: &str) {
        self.router().await_container(self.id(), container);
    }

    /// Accepts the link that a peer has asked for, or refuses it. A peer that sends gets so much credit, and more as its
    /// deliveries are settled.
    pub fn answer_attach(&self, link: LinkId, credit: Result<u32, Error>, now: Instant) {
        self.router().answer_attach(link, credit, now);
    }

    /// Attaches a link to a peer, which gets `credit` if it is to send. None when the peer is gone.
    pub fn attach_to_peer(&self, attach: PeerAttach, credit: u32, now: Instant) -> Option<LinkId> {
        self.router().attach_to_peer(self.id(), attach, credit, now)
    }

    /// Detaches a link. What a receiver was sent and has not settled has failed.
    pub fn detach(&mut self, link: LinkId, error: Option<Box<Error>>) {
        self.forget_link(link);
        self.gather_action(Action::Detached { link, error, unsent: Vec::new() });
    }
}
