//! What mechanisms with several messages have in common.

use super::scram::{Hash, ScramClient};
use crate::amqp::Authenticator;
use router_engine::port::{AuthReply, Mechanism, PlainCredentials, Secret};

/// One side of an exchange of messages.
pub trait Exchange: Send {
    /// Takes a message of the peer, or for who has the first word nothing. Called on a thread that may wait.
    fn step(&mut self, message: &[u8]) -> AuthReply;
}

/// The user that a connector logs in as.
#[derive(Debug, Clone)]
pub struct Login {
    /// The name.
    pub username: String,
    /// The password.
    pub password: Secret,
}

impl Authenticator for Login {
    /// Nobody logs in at a client.
    fn check(&self, _: &PlainCredentials) -> bool {
        false
    }

    fn begin(&self, mechanism: Mechanism) -> Option<Box<dyn Exchange>> {
        let hash = Hash::of(mechanism)?;
        Some(Box::new(ScramClient::new(hash, self.username.clone(), self.password.clone())))
    }
}
