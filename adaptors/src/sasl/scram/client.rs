//! The client's side.

use super::message::{ServerFinal, ServerFirst, escaped};
use super::{Fault, Hash, ITERATIONS, Keys, MAX_ITERATIONS, encoded, equal, nonce};
use crate::sasl::exchange::Exchange;
use amqp_core::engine::quote;
use router_engine::port::{AuthReply, Secret};
use std::num::NonZeroU32;

/// Octets of a server's error that are shown.
const MAX_ERROR: usize = 80;

/// A client of one exchange.
pub(crate) struct ScramClient {
    hash: Hash,
    username: String,
    password: Secret,
    nonce: String,
    state: State,
}

enum State {
    Begin,
    First { bare: String },
    Final { signature: Vec<u8> },
    Over,
}

// === impl ScramClient ===

impl ScramClient {
    /// A client that logs in as a user.
    pub(crate) fn new(hash: Hash, username: String, password: Secret) -> Self {
        Self { hash, username, password, nonce: nonce(), state: State::Begin }
    }

    /// One whose choices are known, as in examples.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn fixed(hash: Hash, username: &str, password: &str, nonce: &str) -> Self {
        Self { nonce: nonce.to_owned(), ..Self::new(hash, username.to_owned(), password.into()) }
    }

    fn begin(&mut self) -> AuthReply {
        let bare = format!("n={},r={}", escaped(&self.username), self.nonce);
        let message = format!("n,,{bare}");
        self.state = State::First { bare };
        AuthReply::Message(message.into())
    }

    fn on_first(&mut self, bare: &str, message: &[u8]) -> Result<AuthReply, Fault> {
        let first = ServerFirst::parse(message)?;
        if !first.nonce.starts_with(&self.nonce) || first.nonce.len() == self.nonce.len() {
            return Err(Fault::Nonce);
        }
        let is_bearable = (ITERATIONS.get()..=MAX_ITERATIONS).contains(&first.iterations);
        let iterations = NonZeroU32::new(first.iterations).filter(|_| is_bearable);
        let iterations = iterations.ok_or(Fault::Iterations(first.iterations))?;
        let without_proof = format!("c={},r={}", encoded(b"n,,"), first.nonce);
        let conversation = [bare.as_bytes(), message, without_proof.as_bytes()].join(&b',');
        let keys = Keys::new(self.hash, self.password.expose().as_bytes(), &first.salt, iterations);
        let proof = encoded(&keys.proof(&conversation));
        self.state = State::Final { signature: keys.signature(&conversation).as_ref().to_vec() };
        Ok(AuthReply::Message(format!("{without_proof},p={proof}").into()))
    }
}

impl Exchange for ScramClient {
    fn step(&mut self, message: &[u8]) -> AuthReply {
        let reply = match std::mem::replace(&mut self.state, State::Over) {
            State::Begin => Ok(self.begin()),
            State::First { bare } => self.on_first(&bare, message),
            State::Final { signature } => on_final(&signature, message),
            State::Over => Err(Fault::Order),
        };
        reply.unwrap_or_else(|fault| AuthReply::refused(fault.to_string()))
    }
}

fn on_final(expected: &[u8], message: &[u8]) -> Result<AuthReply, Fault> {
    match ServerFinal::parse(message)? {
        ServerFinal::Error(error) => Err(Fault::Server(quote(error.as_bytes(), MAX_ERROR))),
        ServerFinal::Signature(signature) if equal(&signature, expected) => {
            Ok(AuthReply::Accepted { user: String::new(), last: None })
        }
        ServerFinal::Signature(_) => Err(Fault::Signature),
    }
}
