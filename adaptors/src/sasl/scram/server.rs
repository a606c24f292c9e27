//! The server's side.

use super::message::{ClientFinal, ClientFirst};
use super::{Fault, Hash, ITERATIONS, Keys, encoded, nonce};
use crate::random;
use crate::sasl::exchange::Exchange;
use aws_lc_rs::hmac;
use router_engine::port::AuthReply;
use std::sync::OnceLock;
use zeroize::Zeroizing;

/// Octets of a salt.
const SALT: usize = 16;

/// The password of a user, who may not exist.
pub(crate) type Passwords = Box<dyn Fn(&str) -> Option<Zeroizing<Vec<u8>>> + Send>;

/// A server of one exchange. That a user does not exist shows in nothing that it sends, nor in how long it takes.
pub(crate) struct ScramServer {
    hash: Hash,
    passwords: Passwords,
    nonce: String,
    salt: fn(Hash, &str) -> Vec<u8>,
    state: State,
}

enum State {
    First,
    Final {
        username: String,
        gs2_header: String,
        /// Of both sides.
        nonce: String,
        salt: Vec<u8>,
        /// The messages so far.
        conversation: String,
    },
    Over,
}

// === impl ScramServer ===

impl ScramServer {
    /// A server for the users with these passwords.
    pub(crate) fn new(hash: Hash, passwords: Passwords) -> Self {
        Self { hash, passwords, nonce: nonce(), salt: derived_salt, state: State::First }
    }

    /// One whose choices are known, as in examples.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn fixed(hash: Hash, passwords: Passwords, nonce: &str, salt: fn(Hash, &str) -> Vec<u8>) -> Self {
        Self { nonce: nonce.to_owned(), salt, ..Self::new(hash, passwords) }
    }

    fn on_first(&mut self, message: &[u8]) -> Result<AuthReply, Fault> {
        let first = ClientFirst::parse(message)?;
        let salt = (self.salt)(self.hash, &first.username);
        let nonce = format!("{}{}", first.nonce, self.nonce);
        let answer = format!("r={nonce},s={},i={ITERATIONS}", encoded(&salt));
        self.state = State::Final {
            conversation: format!("{},{answer},", first.bare),
            gs2_header: first.gs2_header.to_owned(),
            username: first.username,
            nonce,
            salt,
        };
        Ok(AuthReply::Message(answer.into()))
    }

    fn on_final(&mut self, message: &[u8]) -> Result<AuthReply, Fault> {
        let State::Final { username, gs2_header, nonce, salt, mut conversation } =
            std::mem::replace(&mut self.state, State::Over)
        else {
            return Err(Fault::Order);
        };
        let last = ClientFinal::parse(message)?;
        if last.gs2_header != gs2_header.as_bytes() {
            return Err(Fault::ChannelBinding);
        }
        if last.nonce != nonce {
            return Err(Fault::Nonce);
        }
        conversation.push_str(last.without_proof);
        let password = (self.passwords)(&username).filter(|password| !password.is_empty());
        let is_known = password.is_some();
        // Work of the same kind for nobody's password, which nobody can know.
        let password = password.unwrap_or_else(|| Zeroizing::new(random::octets::<SALT>().to_vec()));
        let keys = Keys::new(self.hash, &password, &salt, ITERATIONS);
        let is_right = keys.is_proof(&last.proof, conversation.as_bytes());
        if !(is_right && is_known) {
            return Ok(AuthReply::bad_credentials());
        }
        let signature = encoded(keys.signature(conversation.as_bytes()).as_ref());
        Ok(AuthReply::Accepted { user: username, last: Some(format!("v={signature}").into()) })
    }
}

impl Exchange for ScramServer {
    fn step(&mut self, message: &[u8]) -> AuthReply {
        let reply = match self.state {
            State::First => self.on_first(message),
            State::Final { .. } | State::Over => self.on_final(message),
        };
        reply.unwrap_or_else(|fault| {
            self.state = State::Over;
            AuthReply::refused(fault.to_string())
        })
    }
}

/// The salt of a name, be it a user's or not: the same in the life of the process, another in the next.
fn derived_salt(hash: Hash, username: &str) -> Vec<u8> {
    static SECRET: OnceLock<[u8; 32]> = OnceLock::new();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.get_or_init(random::octets));
    let salt = hmac::sign(&key, format!("{hash:?} {username}").as_bytes());
    salt.as_ref().iter().copied().take(SALT).collect()
}
