//! The server's side of a SASL exchange: ANONYMOUS (RFC 4505), PLAIN (RFC 4616) and EXTERNAL
//! (RFC 4422, appendix A); spec `amqp-endpoint.md` 1.3.

use super::{PlainCredentials, SaslFrame};
use crate::value::Symbol;
use bytes::Bytes;

/// What a server has to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum ServerStep {
    /// Send a frame and go on.
    Send(SaslFrame),
    /// Have a password checked and call [`SaslServer::verified`].
    Verify(PlainCredentials),
    /// Send the outcome "ok".
    Accept {
        /// The mechanism used.
        mechanism: String,
        /// The user; `anonymous` with ANONYMOUS.
        user: Option<String>,
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
    /// The caller checks a password of this user.
    Verifying(String),
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mechanism {
    Anonymous,
    Plain,
    External,
}

// === impl Mechanism ===

impl Mechanism {
    const fn name(self) -> &'static str {
        match self {
            Self::Anonymous => "ANONYMOUS",
            Self::Plain => "PLAIN",
            Self::External => "EXTERNAL",
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [Self::Anonymous, Self::Plain, Self::External].into_iter().find(|m| m.name() == name)
    }
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
                Mechanism::Plain => true,
                Mechanism::External => identity.is_some(),
            })
            .collect();
        Self { offered, identity, state: State::Init }
    }

    /// The first frame to send.
    #[must_use]
    pub fn offer(&self) -> SaslFrame {
        SaslFrame::Mechanisms(self.offered.iter().map(|m| Symbol::from_static(m.name())).collect())
    }

    /// A password is being checked; no frame may come.
    #[must_use]
    pub const fn is_verifying(&self) -> bool {
        matches!(self.state, State::Verifying(_))
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
                    Some(response) => self.on_response(known, &response),
                    None if known == Mechanism::Anonymous => self.on_response(known, &Bytes::new()),
                    None => {
                        self.state = State::Response(known);
                        ServerStep::Send(SaslFrame::Challenge(Bytes::new()))
                    }
                }
            }
            (State::Response(mechanism), SaslFrame::Response(response)) => self.on_response(mechanism, &response),
            (_, SaslFrame::Mechanisms(_)) => ServerStep::Unexpected("sasl-mechanisms"),
            (_, SaslFrame::Init { .. }) => ServerStep::Unexpected("sasl-init"),
            (_, SaslFrame::Challenge(_)) => ServerStep::Unexpected("sasl-challenge"),
            (_, SaslFrame::Response(_)) => ServerStep::Unexpected("sasl-response"),
            (_, SaslFrame::Outcome { .. }) => ServerStep::Unexpected("sasl-outcome"),
        }
    }

    /// Takes the answer to [`ServerStep::Verify`].
    pub fn verified(&mut self, ok: bool) -> ServerStep {
        let mechanism = Mechanism::Plain.name().to_owned();
        match std::mem::replace(&mut self.state, State::Over) {
            State::Verifying(user) if ok => ServerStep::Accept { mechanism, user: Some(user) },
            _ => ServerStep::Reject { mechanism, detail: "authentication failure".to_owned() },
        }
    }

    fn on_response(&mut self, mechanism: Mechanism, response: &Bytes) -> ServerStep {
        let name = mechanism.name().to_owned();
        match mechanism {
            Mechanism::Anonymous => ServerStep::Accept { mechanism: name, user: Some("anonymous".to_owned()) },
            // Whomever the client asks to act as: it is known by its certificate.
            Mechanism::External => match &self.identity {
                Some(identity) => ServerStep::Accept { mechanism: name, user: Some(identity.clone()) },
                None => ServerStep::Reject { mechanism: name, detail: "not authorized".to_owned() },
            },
            Mechanism::Plain => match PlainCredentials::parse(response) {
                Some(credentials) => {
                    self.state = State::Verifying(credentials.username.clone());
                    ServerStep::Verify(credentials)
                }
                None => ServerStep::Reject { mechanism: name, detail: "bad protocol / cancel".to_owned() },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(require: bool, identity: Option<&str>) -> SaslServer {
        let mechanisms = ["PLAIN", "EXTERNAL", "SCRAM-SHA-1", "ANONYMOUS"].map(str::to_owned);
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
        assert_eq!(offered(&server(false, None)), ["PLAIN", "ANONYMOUS"]);
        assert_eq!(offered(&server(true, Some("CN=x"))), ["PLAIN", "EXTERNAL"]);
    }

    #[test]
    fn anonymous_without_initial_response() {
        let accepted = ServerStep::Accept { mechanism: "ANONYMOUS".into(), user: Some("anonymous".into()) };
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
        let ServerStep::Verify(credentials) = step else { panic!("{step:?}") };
        assert_eq!((&*credentials.username, &*credentials.password), ("me@here", "secret"));
        assert!(sasl.is_verifying());
        assert_eq!(sasl.verified(true), ServerStep::Accept { mechanism: "PLAIN".into(), user: Some("me@here".into()) });
        assert!(matches!(sasl.verified(true), ServerStep::Reject { .. }));
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
            let accepted = ServerStep::Accept { mechanism: "EXTERNAL".into(), user: Some("CN=x".into()) };
            assert_eq!(server(true, Some("CN=x")).on_frame(init("EXTERNAL", Some(authzid))), accepted);
        }
    }
}
