//! The client's side of a SASL exchange (spec `amqp-endpoint.md` 1.4). Messages of SCRAM are the caller's business.
//!
//! ```text
//!   Offer --mechanisms--> Sent --[challenge: sent again]--outcome--> Over            what is said at once
//!     '--mechanisms--> Working --message--> Exchange --challenge--> Working ...      SCRAM
//!                                              '--outcome, with or after the server's proof--> Over
//! ```

use super::{AuthReply, AuthRequest, Mechanism, PlainCredentials, SaslFrame, Secret};
use crate::value::Symbol;
use bytes::Bytes;

/// What a client has to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum ClientStep {
    /// Send a frame and go on.
    Send(SaslFrame),
    /// Find out and call [`SaslClient::answered`].
    Ask(AuthRequest),
    /// Authenticated.
    Done {
        /// The mechanism used.
        mechanism: String,
        /// The user named to the server.
        user: String,
    },
    /// Refused, or no mechanism can be used, or the server is not the one that it says.
    Failed {
        /// The mechanism selected, or `none`.
        mechanism: String,
        /// What was found wrong here.
        detail: Option<String>,
    },
    /// The peer broke the protocol with this frame.
    Unexpected(&'static str),
}

/// A SASL client.
#[derive(Debug)]
pub struct SaslClient {
    /// What can be used, best first.
    usable: Vec<Mechanism>,
    login: Option<(String, Secret)>,
    hostname: Option<String>,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// The server's mechanisms are due.
    Offer,
    /// Everything was said; the outcome is due.
    Sent {
        mechanism: Mechanism,
        challenged: bool,
    },
    /// The caller is asked what follows a message, or what comes first.
    Working {
        mechanism: Mechanism,
        on: Message,
    },
    /// A message was sent. `is_proven`: the server has shown that it knows the password too.
    Exchange {
        mechanism: Mechanism,
        is_proven: bool,
    },
    Over,
}

/// Messages of the server that the caller answers.
#[derive(Debug, Clone, Copy)]
enum Message {
    Offer,
    Challenge,
    Outcome,
}

// === impl SaslClient ===

impl SaslClient {
    /// A client that uses the strongest mechanism there is, out of `allowed` if given, in whatever case: EXTERNAL
    /// if `external`, SCRAM and PLAIN with `login`, user and password.
    #[must_use]
    pub fn new(
        allowed: Option<&[String]>,
        login: Option<(String, Secret)>,
        external: bool,
        hostname: Option<String>,
    ) -> Self {
        let is_possible = |mechanism: &Mechanism| match mechanism {
            Mechanism::External => external,
            Mechanism::Anonymous => true,
            _ => login.is_some(),
        };
        let is_allowed = |mechanism: &Mechanism| {
            allowed.is_none_or(|allowed| allowed.iter().any(|a| a.eq_ignore_ascii_case(mechanism.name())))
        };
        let usable = Mechanism::ALL.into_iter().filter(is_possible).filter(is_allowed).collect();
        Self { usable, login, hostname, state: State::Offer }
    }

    /// The caller is asked; no frame may come.
    #[must_use]
    pub const fn is_working(&self) -> bool {
        matches!(self.state, State::Working { .. })
    }

    /// Takes a frame from the server.
    pub fn on_frame(&mut self, frame: SaslFrame) -> ClientStep {
        match (self.state, frame) {
            (State::Offer, SaslFrame::Mechanisms(offered)) => self.select(&offered),
            (State::Sent { mechanism, challenged: false }, SaslFrame::Challenge(_)) => {
                self.state = State::Sent { mechanism, challenged: true };
                ClientStep::Send(SaslFrame::Response(self.response(mechanism)))
            }
            (State::Exchange { mechanism, is_proven: false }, SaslFrame::Challenge(message)) => {
                self.ask(mechanism, Message::Challenge, message)
            }
            (state, SaslFrame::Outcome { code, additional_data }) => {
                self.on_outcome(state, code == 0, additional_data.filter(|data| !data.is_empty()))
            }
            (_, SaslFrame::Mechanisms(_)) => ClientStep::Unexpected("sasl-mechanisms"),
            (_, SaslFrame::Init { .. }) => ClientStep::Unexpected("sasl-init"),
            (_, SaslFrame::Challenge(_)) => ClientStep::Unexpected("sasl-challenge"),
            (_, SaslFrame::Response(_)) => ClientStep::Unexpected("sasl-response"),
        }
    }

    /// Takes the answer to [`ClientStep::Ask`].
    pub fn answered(&mut self, reply: AuthReply) -> ClientStep {
        let State::Working { mechanism, on } = self.state else { return self.failed(None, None) };
        match (on, reply) {
            (Message::Offer, AuthReply::Message(message)) => {
                self.state = State::Exchange { mechanism, is_proven: false };
                self.init(mechanism, message)
            }
            (Message::Challenge, AuthReply::Message(message)) => {
                self.state = State::Exchange { mechanism, is_proven: false };
                ClientStep::Send(SaslFrame::Response(message))
            }
            (Message::Challenge, AuthReply::Accepted { .. }) => {
                self.state = State::Exchange { mechanism, is_proven: true };
                ClientStep::Send(SaslFrame::Response(Bytes::new()))
            }
            (Message::Outcome, AuthReply::Accepted { .. }) => self.done(mechanism),
            (_, AuthReply::Refused { detail }) => self.failed(Some(mechanism), Some(detail)),
            (_, AuthReply::Message(_) | AuthReply::Accepted { .. }) => {
                self.failed(Some(mechanism), Some("the exchange is out of order".to_owned()))
            }
        }
    }

    fn on_outcome(&mut self, state: State, is_ok: bool, data: Option<Bytes>) -> ClientStep {
        match state {
            State::Sent { mechanism, .. } | State::Exchange { mechanism, is_proven: true } if is_ok => {
                self.done(mechanism)
            }
            State::Exchange { mechanism, is_proven: false } if is_ok => match data {
                Some(message) => self.ask(mechanism, Message::Outcome, message),
                None => {
                    let detail = "the server has not proven that it knows the password";
                    self.failed(Some(mechanism), Some(detail.to_owned()))
                }
            },
            State::Sent { mechanism, .. } | State::Exchange { mechanism, .. } => self.failed(Some(mechanism), None),
            State::Offer | State::Working { .. } | State::Over => self.failed(None, None),
        }
    }

    fn select(&mut self, offered: &[Symbol]) -> ClientStep {
        let is_offered = |mechanism: &Mechanism| offered.iter().any(|o| o.as_str() == mechanism.name());
        let Some(mechanism) = self.usable.iter().copied().find(is_offered) else { return self.failed(None, None) };
        if mechanism.is_scram() {
            return self.ask(mechanism, Message::Offer, Bytes::new());
        }
        self.state = State::Sent { mechanism, challenged: false };
        self.init(mechanism, self.response(mechanism))
    }

    /// What there is to say in a mechanism that takes one message.
    fn response(&self, mechanism: Mechanism) -> Bytes {
        match (mechanism, &self.login) {
            (Mechanism::Plain, Some((username, password))) => {
                PlainCredentials { authzid: String::new(), username: username.clone(), password: password.clone() }
                    .to_bytes()
            }
            (Mechanism::Anonymous, _) => Bytes::from_static(b"anonymous"),
            _ => Bytes::new(),
        }
    }

    fn init(&self, mechanism: Mechanism, response: Bytes) -> ClientStep {
        ClientStep::Send(SaslFrame::Init {
            mechanism: Symbol::from_static(mechanism.name()),
            initial_response: Some(response),
            hostname: self.hostname.clone(),
        })
    }

    fn ask(&mut self, mechanism: Mechanism, on: Message, message: Bytes) -> ClientStep {
        self.state = State::Working { mechanism, on };
        ClientStep::Ask(AuthRequest::Exchange { mechanism, begins: matches!(on, Message::Offer), message })
    }

    fn done(&mut self, mechanism: Mechanism) -> ClientStep {
        self.state = State::Over;
        let user = match mechanism {
            Mechanism::External => String::new(),
            Mechanism::Anonymous => "anonymous".to_owned(),
            _ => self.login.as_ref().map(|(username, _)| username.clone()).unwrap_or_default(),
        };
        ClientStep::Done { mechanism: mechanism.name().to_owned(), user }
    }

    fn failed(&mut self, mechanism: Option<Mechanism>, detail: Option<String>) -> ClientStep {
        self.state = State::Over;
        ClientStep::Failed { mechanism: mechanism.map_or("none", Mechanism::name).to_owned(), detail }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRAM: &str = "SCRAM-SHA-256";

    fn login() -> Option<(String, Secret)> {
        Some(("u".to_owned(), "p".into()))
    }

    fn offer(names: &[&'static str]) -> SaslFrame {
        SaslFrame::Mechanisms(names.iter().map(|n| Symbol::from_static(n)).collect())
    }

    fn outcome(code: u8, data: Option<&'static [u8]>) -> SaslFrame {
        SaslFrame::Outcome { code, additional_data: data.map(Bytes::from_static) }
    }

    fn failed(mechanism: &str, detail: Option<&str>) -> ClientStep {
        ClientStep::Failed { mechanism: mechanism.to_owned(), detail: detail.map(str::to_owned) }
    }

    fn accepted() -> AuthReply {
        AuthReply::Accepted { user: String::new(), last: None }
    }

    fn selected(client: &mut SaslClient, names: &[&'static str]) -> Option<String> {
        match client.on_frame(offer(names)) {
            ClientStep::Send(SaslFrame::Init { mechanism, .. }) => Some(mechanism.as_str().to_owned()),
            ClientStep::Ask(AuthRequest::Exchange { mechanism, begins: true, .. }) => Some(mechanism.name().to_owned()),
            _ => None,
        }
    }

    #[test]
    fn preference() {
        let all = ["ANONYMOUS", "PLAIN", "EXTERNAL"];
        assert_eq!(selected(&mut SaslClient::new(None, login(), true, None), &all).as_deref(), Some("EXTERNAL"));
        assert_eq!(selected(&mut SaslClient::new(None, login(), false, None), &all).as_deref(), Some("PLAIN"));
        assert_eq!(selected(&mut SaslClient::new(None, None, false, None), &all).as_deref(), Some("ANONYMOUS"));
        let allowed = ["plain".to_owned(), "Anonymous".to_owned()];
        let mut client = SaslClient::new(Some(&allowed), login(), true, None);
        assert_eq!(selected(&mut client, &all).as_deref(), Some("PLAIN"));
        let allowed = ["PLAIN".to_owned()];
        let mut client = SaslClient::new(Some(&allowed), None, true, None);
        assert_eq!(client.on_frame(offer(&all)), failed("none", None));
    }

    #[test]
    fn the_strongest_hash_is_preferred_and_passwords_are_sent_last() {
        let mut offered = vec!["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-512", SCRAM];
        for best in ["SCRAM-SHA-512", SCRAM, "SCRAM-SHA-1", "PLAIN"] {
            assert_eq!(selected(&mut SaslClient::new(None, login(), false, None), &offered).as_deref(), Some(best));
            offered.retain(|name| *name != best);
        }
        assert_eq!(selected(&mut SaslClient::new(None, None, false, None), &[SCRAM, "PLAIN"]), None);
    }

    #[test]
    fn outcome_of_what_is_said_at_once() {
        let mut client = SaslClient::new(None, None, false, None);
        selected(&mut client, &["ANONYMOUS"]);
        assert_eq!(client.on_frame(outcome(1, None)), failed("ANONYMOUS", None));
        assert_eq!(client.on_frame(outcome(0, None)), failed("none", None));
        let mut client = SaslClient::new(None, None, false, None);
        selected(&mut client, &["ANONYMOUS"]);
        assert!(matches!(client.on_frame(outcome(0, None)), ClientStep::Done { .. }));
        let mut early = SaslClient::new(None, None, false, None);
        assert!(matches!(early.on_frame(outcome(0, None)), ClientStep::Failed { .. }));
    }

    /// A client of SCRAM that has sent its second message.
    fn in_exchange() -> SaslClient {
        let mut client = SaslClient::new(None, login(), false, None);
        selected(&mut client, &[SCRAM]);
        assert!(client.is_working());
        let step = client.answered(AuthReply::Message(Bytes::from_static(b"1")));
        assert!(matches!(step, ClientStep::Send(SaslFrame::Init { initial_response: Some(m), .. }) if m == b"1"[..]));
        let step = client.on_frame(SaslFrame::Challenge(Bytes::from_static(b"2")));
        assert!(
            matches!(step, ClientStep::Ask(AuthRequest::Exchange { begins: false, message, .. }) if message == b"2"[..])
        );
        let step = client.answered(AuthReply::Message(Bytes::from_static(b"3")));
        assert_eq!(step, ClientStep::Send(SaslFrame::Response(Bytes::from_static(b"3"))));
        client
    }

    #[test]
    fn the_servers_proof_comes_as_a_challenge_or_with_the_outcome() {
        let done = ClientStep::Done { mechanism: SCRAM.to_owned(), user: "u".to_owned() };
        let mut client = in_exchange();
        assert!(matches!(client.on_frame(SaslFrame::Challenge(Bytes::from_static(b"4"))), ClientStep::Ask(_)));
        assert_eq!(client.answered(accepted()), ClientStep::Send(SaslFrame::Response(Bytes::new())));
        assert_eq!(client.on_frame(outcome(0, None)), done);
        let mut client = in_exchange();
        assert!(matches!(client.on_frame(outcome(0, Some(b"4"))), ClientStep::Ask(_)));
        assert_eq!(client.answered(accepted()), done);
    }

    #[test]
    fn no_outcome_stands_for_the_servers_proof() {
        let unproven = failed(SCRAM, Some("the server has not proven that it knows the password"));
        for data in [None, Some(&b""[..])] {
            assert_eq!(in_exchange().on_frame(outcome(0, data)), unproven);
        }
        let mut client = in_exchange();
        client.on_frame(outcome(0, Some(b"4")));
        assert_eq!(client.answered(AuthReply::refused("bad")), failed(SCRAM, Some("bad")));
        assert_eq!(in_exchange().on_frame(outcome(1, Some(b"4"))), failed(SCRAM, None));
        // The outcome before the exchange is over.
        let mut client = SaslClient::new(None, login(), false, None);
        selected(&mut client, &[SCRAM]);
        client.answered(AuthReply::Message(Bytes::new()));
        assert_eq!(client.on_frame(outcome(0, None)), unproven);
        let mut client = in_exchange();
        client.on_frame(SaslFrame::Challenge(Bytes::new()));
        client.answered(accepted());
        let again = client.on_frame(SaslFrame::Challenge(Bytes::new()));
        assert_eq!(again, ClientStep::Unexpected("sasl-challenge"));
    }
}
