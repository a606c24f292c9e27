//! The server's side of a SASL exchange (spec `amqp-endpoint.md` 1.3). Passwords and messages of SCRAM are the
//! caller's business.
//!
//! ```text
//!   Init --init--> Working(m) --message--> Exchange(m) --response--> Working(m) ...
//!     '--init without response--> Response(m) --response--> Working(m) --accepted, refused--> Over
//! ```

use super::{AuthReply, AuthRequest, Mechanism, PlainCredentials, SaslFrame};
use crate::value::Symbol;
use bytes::Bytes;

/// What a server has to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum ServerStep {
    /// Send a frame and go on.
    Send(SaslFrame),
    /// Find out and call [`SaslServer::answered`].
    Ask(AuthRequest),
    /// Send the outcome "ok".
    Accept {
        /// The mechanism used.
        mechanism: String,
        /// The user; `anonymous` with ANONYMOUS.
        user: Option<String>,
        /// What the outcome carries.
        last: Option<Bytes>,
    },
    /// Send the outcome "auth" and end the connection.
    Reject {
        /// The mechanism selected, or `none`.
        mechanism: String,
        /// What was wrong.
        detail: String,
    },
    /// The peer broke the protocol with this frame.
    Unexpected(&'static str),
}

/// A SASL server.
#[derive(Debug)]
pub struct SaslServer {
    offered: Vec<Mechanism>,
    identity: Option<String>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nothing selected yet.
    Init,
    /// An empty challenge was sent because the init had no initial response.
    Response(Mechanism),
    /// The caller is asked.
    Working(Mechanism),
    /// A challenge of the caller's was sent.
    Exchange(Mechanism),
    Over,
}

// === impl SaslServer ===

impl SaslServer {
    /// A server that offers `mechanisms` as far as it knows them: EXTERNAL only with an
    /// `identity` known from the layer below, ANONYMOUS only when authentication is not required.
    #[must_use]
    pub fn new(mechanisms: &[String], identity: Option<String>, require: bool) -> Self {
        let offered = mechanisms
            .iter()
            .filter_map(|name| Mechanism::parse(name))
            .filter(|m| match m {
                Mechanism::Anonymous => !require,
                Mechanism::External => identity.is_some(),
                _ => true,
            })
            .collect();
        Self { offered, identity, state: State::Init }
    }

    /// The first frame to send.
    #[must_use]
    pub fn offer(&self) -> SaslFrame {
        SaslFrame::Mechanisms(self.offered.iter().map(|m| Symbol::from_static(m.name())).collect())
    }

    /// The caller is asked; no frame may come.
    #[must_use]
    pub const fn is_working(&self) -> bool {
        matches!(self.state, State::Working(_))
    }

    /// Takes a frame from the client.
    pub fn on_frame(&mut self, frame: SaslFrame) -> ServerStep {
        match (std::mem::replace(&mut self.state, State::Over), frame) {
            (State::Init, SaslFrame::Init { mechanism, initial_response, .. }) => {
                let Some(known) = Mechanism::parse(mechanism.as_str()).filter(|m| self.offered.contains(m)) else {
                    return ServerStep::Reject {
                        mechanism: mechanism.as_str().to_owned(),
                        detail: "Client mechanism not in mechanism inclusion list.".to_owned(),
                    };
                };
                match initial_response {
                    Some(response) => self.on_response(known, response),
                    None if known == Mechanism::Anonymous => self.on_response(known, Bytes::new()),
                    None => {
                        self.state = State::Response(known);
                        ServerStep::Send(SaslFrame::Challenge(Bytes::new()))
                    }
                }
            }
            (State::Response(mechanism), SaslFrame::Response(response)) => self.on_response(mechanism, response),
            (State::Exchange(mechanism), SaslFrame::Response(message)) => {
                self.ask(mechanism, AuthRequest::Exchange { mechanism, begins: false, message })
            }
            (_, SaslFrame::Mechanisms(_)) => ServerStep::Unexpected("sasl-mechanisms"),
            (_, SaslFrame::Init { .. }) => ServerStep::Unexpected("sasl-init"),
            (_, SaslFrame::Challenge(_)) => ServerStep::Unexpected("sasl-challenge"),
            (_, SaslFrame::Response(_)) => ServerStep::Unexpected("sasl-response"),
            (_, SaslFrame::Outcome { .. }) => ServerStep::Unexpected("sasl-outcome"),
        }
    }

    /// Takes the answer to [`ServerStep::Ask`].
    pub fn answered(&mut self, reply: AuthReply) -> ServerStep {
        let State::Working(known) = std::mem::replace(&mut self.state, State::Over) else {
            return ServerStep::Reject { mechanism: "none".to_owned(), detail: "nothing was asked".to_owned() };
        };
        let mechanism = known.name().to_owned();
        match reply {
            AuthReply::Message(message) => {
                self.state = State::Exchange(known);
                ServerStep::Send(SaslFrame::Challenge(message))
            }
            AuthReply::Accepted { user, last } => ServerStep::Accept { mechanism, user: Some(user), last },
            AuthReply::Refused { detail } => ServerStep::Reject { mechanism, detail },
        }
    }

    fn ask(&mut self, mechanism: Mechanism, request: AuthRequest) -> ServerStep {
        self.state = State::Working(mechanism);
        ServerStep::Ask(request)
    }

    fn on_response(&mut self, mechanism: Mechanism, response: Bytes) -> ServerStep {
        let name = mechanism.name().to_owned();
        let accept = |mechanism, user: &str| ServerStep::Accept { mechanism, user: Some(user.to_owned()), last: None };
        match mechanism {
            Mechanism::Anonymous => accept(name, "anonymous"),
            // Whomever the client asks to act as: it is known by its certificate.
            Mechanism::External => match &self.identity {
                Some(identity) => accept(name, identity),
                None => ServerStep::Reject { mechanism: name, detail: "not authorized".to_owned() },
            },
            Mechanism::Plain => match PlainCredentials::parse(&response) {
                Some(credentials) => self.ask(mechanism, AuthRequest::Password(credentials)),
                None => ServerStep::Reject { mechanism: name, detail: "bad protocol / cancel".to_owned() },
            },
            Mechanism::ScramSha512 | Mechanism::ScramSha256 | Mechanism::ScramSha1 => {
                self.ask(mechanism, AuthRequest::Exchange { mechanism, begins: true, message: response })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(require: bool, identity: Option<&str>) -> SaslServer {
        let mechanisms = ["PLAIN", "EXTERNAL", "DIGEST-MD5", "SCRAM-SHA-256", "ANONYMOUS"].map(str::to_owned);
        SaslServer::new(&mechanisms, identity.map(str::to_owned), require)
    }

    fn init(mechanism: &'static str, response: Option<&'static [u8]>) -> SaslFrame {
        SaslFrame::Init {
            mechanism: Symbol::from_static(mechanism),
            initial_response: response.map(Bytes::from_static),
            hostname: None,
        }
    }

    fn offered(server: &SaslServer) -> Vec<&'static str> {
        server.offered.iter().map(|m| m.name()).collect()
    }

    #[test]
    fn offers_what_is_possible() {
        assert_eq!(offered(&server(false, None)), ["PLAIN", "SCRAM-SHA-256", "ANONYMOUS"]);
        assert_eq!(offered(&server(true, Some("CN=x"))), ["PLAIN", "EXTERNAL", "SCRAM-SHA-256"]);
    }

    #[test]
    fn anonymous_without_initial_response() {
        let accepted = ServerStep::Accept { mechanism: "ANONYMOUS".into(), user: Some("anonymous".into()), last: None };
        assert_eq!(server(false, None).on_frame(init("ANONYMOUS", None)), accepted);
        assert_eq!(server(false, None).on_frame(init("ANONYMOUS", Some(b"trace"))), accepted);
    }

    #[test]
    fn mechanism_outside_the_offer() {
        let step = server(true, None).on_frame(init("ANONYMOUS", None));
        let ServerStep::Reject { mechanism, detail } = step else { panic!("{step:?}") };
        assert_eq!((&*mechanism, &*detail), ("ANONYMOUS", "Client mechanism not in mechanism inclusion list."));
    }

    #[test]
    fn plain_asks_the_caller() {
        let mut sasl = server(true, None);
        assert_eq!(sasl.on_frame(init("PLAIN", None)), ServerStep::Send(SaslFrame::Challenge(Bytes::new())));
        let step = sasl.on_frame(SaslFrame::Response(Bytes::from_static(b"\0me@here\0secret")));
        let ServerStep::Ask(AuthRequest::Password(credentials)) = step else { panic!("{step:?}") };
        assert_eq!((&*credentials.username, credentials.password.expose()), ("me@here", "secret"));
        assert!(sasl.is_working());
        let accepted = AuthReply::Accepted { user: "me@here".into(), last: None };
        let accept = ServerStep::Accept { mechanism: "PLAIN".into(), user: Some("me@here".into()), last: None };
        assert_eq!(sasl.answered(accepted.clone()), accept);
        assert!(matches!(sasl.answered(accepted), ServerStep::Reject { .. }));
    }

    #[test]
    fn malformed_plain_and_double_init() {
        assert!(matches!(server(true, None).on_frame(init("PLAIN", Some(b"me"))), ServerStep::Reject { .. }));
        let mut sasl = server(true, None);
        sasl.on_frame(init("PLAIN", Some(b"\0a\0b")));
        assert_eq!(sasl.on_frame(init("PLAIN", Some(b"\0a\0b"))), ServerStep::Unexpected("sasl-init"));
    }

    #[test]
    fn external_identity_cannot_be_changed() {
        for authzid in [&b""[..], b"CN=x", b"CN=y"] {
            let user = Some("CN=x".into());
            let accepted = ServerStep::Accept { mechanism: "EXTERNAL".into(), user, last: None };
            assert_eq!(server(true, Some("CN=x")).on_frame(init("EXTERNAL", Some(authzid))), accepted);
        }
    }

    #[test]
    fn messages_of_an_exchange_are_the_callers() {
        let asked = |begins, message| {
            let message = Bytes::from_static(message);
            ServerStep::Ask(AuthRequest::Exchange { mechanism: Mechanism::ScramSha256, begins, message })
        };
        let response = |message| SaslFrame::Response(Bytes::from_static(message));
        let mut sasl = server(true, None);
        assert_eq!(sasl.on_frame(init("SCRAM-SHA-256", Some(b"1"))), asked(true, b"1"));
        let challenge = Bytes::from_static(b"2");
        let step = sasl.answered(AuthReply::Message(challenge.clone()));
        assert_eq!(step, ServerStep::Send(SaslFrame::Challenge(challenge)));
        assert!(!sasl.is_working());
        assert_eq!(sasl.on_frame(response(b"3")), asked(false, b"3"));
        let last = Some(Bytes::from_static(b"4"));
        let step = sasl.answered(AuthReply::Accepted { user: "me".into(), last: last.clone() });
        assert_eq!(step, ServerStep::Accept { mechanism: "SCRAM-SHA-256".into(), user: Some("me".into()), last });
        assert_eq!(sasl.on_frame(response(b"5")), ServerStep::Unexpected("sasl-response"));
        // The first word may be the response to an empty challenge.
        let mut sasl = server(true, None);
        let empty = ServerStep::Send(SaslFrame::Challenge(Bytes::new()));
        assert_eq!(sasl.on_frame(init("SCRAM-SHA-256", None)), empty);
        assert_eq!(sasl.on_frame(response(b"1")), asked(true, b"1"));
        let step = sasl.answered(AuthReply::refused("no"));
        assert_eq!(step, ServerStep::Reject { mechanism: "SCRAM-SHA-256".into(), detail: "no".into() });
    }
}
