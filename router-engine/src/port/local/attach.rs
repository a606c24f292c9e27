//! Links of a peer inside the process.

use crate::LinkId;
use crate::core::action::{AttachRequest, Direction};
use amqp_core::performative::{Source, Target};

/// A link to be attached.
#[derive(Debug, Clone, Copy)]
pub struct Attach<'a> {
    name: &'a str,
    direction: Direction,
    address: Option<&'a str>,
    dynamic: bool,
    /// What a receiver gives its senders to see; zero where messages have no credit.
    pub(super) credit: u32,
}

/// A link that was attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// The core's id.
    pub link: LinkId,
    /// The source address of a receiver: generated where that was asked for.
    pub source: Option<String>,
}

// === impl Attach ===

impl<'a> Attach<'a> {
    /// Sends to an address.
    #[must_use]
    pub const fn sender(name: &'a str, address: &'a str) -> Self {
        Self { address: Some(address), ..Self::new(name, Direction::In) }
    }

    /// Sends to the address that each message names.
    #[must_use]
    pub const fn anonymous_sender(name: &'a str) -> Self {
        Self::new(name, Direction::In)
    }

    /// Consumes an address.
    #[must_use]
    pub const fn receiver(name: &'a str, address: &'a str) -> Self {
        Self { address: Some(address), ..Self::new(name, Direction::Out) }
    }

    /// Consumes an address that the router makes up, for replies.
    #[must_use]
    pub const fn dynamic_receiver(name: &'a str) -> Self {
        Self { dynamic: true, ..Self::new(name, Direction::Out) }
    }

    /// Consumes nothing, but can take a delivery over (see [`super::Delivery::move_to`]).
    #[must_use]
    pub const fn unbound_receiver(name: &'a str) -> Self {
        Self::new(name, Direction::Out)
    }

    /// Lets the receiver show so much credit; it is given anew as deliveries are settled.
    #[must_use]
    pub const fn with_credit(self, credit: u32) -> Self {
        Self { credit, ..self }
    }

    const fn new(name: &'a str, direction: Direction) -> Self {
        Self { name, direction, address: None, dynamic: false, credit: 0 }
    }

    pub(super) fn request(self, token: u32) -> AttachRequest {
        let address = self.address.map(str::to_owned);
        let (mut source, mut target) = (Source::default(), Target::default());
        match self.direction {
            Direction::In => target.address = address,
            Direction::Out => (source.address, source.dynamic) = (address, self.dynamic),
        }
        AttachRequest {
            token,
            name: self.name.to_owned(),
            direction: self.direction,
            source: Some(Box::new(source)),
            target: Some(Box::new(target)),
            settle_on_send: false,
        }
    }
}
