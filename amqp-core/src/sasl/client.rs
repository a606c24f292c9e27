//! The client's side of a SASL exchange (spec `amqp-endpoint.md` 1.4).

use super::{PlainCredentials, SaslFrame};
use crate::value::Symbol;
use bytes::Bytes;

/// What a client has to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum ClientStep {
    /// Send a frame and go on.
    Send(SaslFrame),
    /// Authenticated.
    Done {
        /// The mechanism used.
        mechanism: String,
        /// The user named to the server.
        user: String,
    },
    /// Refused, or no mechanism can be used.
    Failed {
        /// The mechanism selected, or `none`.
        mechanism: String,
    },
    /// The peer broke the protocol with this frame.
    Unexpected(&'static str),
}

/// A SASL client.
#[derive(Debug)]
pub struct SaslClient {
    /// What can be used, best first, with the data to send and the user it stands for.
    usable: Vec<(&'static str, Bytes, String)>,
    selected: Option<usize>,
    hostname: Option<String>,
    challenged: bool,
}

// === impl SaslClient ===

impl SaslClient {
    /// A client that prefers EXTERNAL (if `external`), then PLAIN (with `login`, user and
    /// password), then ANONYMOUS, out of `allowed` if given, in whatever case.
    #[must_use]
    pub fn new(
        allowed: Option<&[String]>,
        login: Option<(String, String)>,
        external: bool,
        hostname: Option<String>,
    ) -> Self {
        let mut usable = Vec::with_capacity(3);
        if external {
            usable.push(("EXTERNAL", Bytes::new(), String::new()));
        }
        if let Some((username, password)) = login {
            let user = username.clone();
            let credentials = PlainCredentials { authzid: String::new(), username, password };
            usable.push(("PLAIN", credentials.to_bytes(), user));
        }
        usable.push(("ANONYMOUS", Bytes::from_static(b"anonymous"), "anonymous".to_owned()));
        if let Some(allowed) = allowed {
            usable.retain(|(name, ..)| allowed.iter().any(|a| a.eq_ignore_ascii_case(name)));
        }
        Self { usable, selected: None, hostname, challenged: false }
    }

    /// Takes a frame from the server.
    pub fn on_frame(&mut self, frame: SaslFrame) -> ClientStep {
        match (self.selected, frame) {
            (None, SaslFrame::Mechanisms(offered)) => self.select(&offered),
            (Some(at), SaslFrame::Challenge(_)) if !self.challenged => {
                self.challenged = true;
                let data = self.usable.get(at).map(|u| u.1.clone()).unwrap_or_default();
                ClientStep::Send(SaslFrame::Response(data))
            }
            (selected, SaslFrame::Outcome { code, .. }) => {
                let mechanism = self.mechanism();
                match selected.and_then(|at| self.usable.get(at)) {
                    Some((.., user)) if code == 0 => ClientStep::Done { mechanism, user: user.clone() },
                    _ => ClientStep::Failed { mechanism },
                }
            }
            (_, SaslFrame::Mechanisms(_)) => ClientStep::Unexpected("sasl-mechanisms"),
            (_, SaslFrame::Init { .. }) => ClientStep::Unexpected("sasl-init"),
            (_, SaslFrame::Challenge(_)) => ClientStep::Unexpected("sasl-challenge"),
            (_, SaslFrame::Response(_)) => ClientStep::Unexpected("sasl-response"),
        }
    }

    fn select(&mut self, offered: &[Symbol]) -> ClientStep {
        self.selected = self.usable.iter().position(|(name, ..)| offered.iter().any(|o| o.as_str() == *name));
        match self.selected.and_then(|at| self.usable.get(at)) {
            Some((name, data, _)) => ClientStep::Send(SaslFrame::Init {
                mechanism: Symbol::from_static(name),
                initial_response: Some(data.clone()),
                hostname: self.hostname.clone(),
            }),
            None => ClientStep::Failed { mechanism: self.mechanism() },
        }
    }

    fn mechanism(&self) -> String {
        self.selected.and_then(|at| self.usable.get(at)).map_or("none", |u| u.0).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(names: &[&'static str]) -> SaslFrame {
        SaslFrame::Mechanisms(names.iter().map(|n| Symbol::from_static(n)).collect())
    }

    fn selected(client: &mut SaslClient, names: &[&'static str]) -> Option<String> {
        match client.on_frame(offer(names)) {
            ClientStep::Send(SaslFrame::Init { mechanism, .. }) => Some(mechanism.as_str().to_owned()),
            _ => None,
        }
    }

    #[test]
    fn preference() {
        let login = || Some(("u".to_owned(), "p".to_owned()));
        let all = ["ANONYMOUS", "PLAIN", "EXTERNAL"];
        assert_eq!(selected(&mut SaslClient::new(None, login(), true, None), &all).as_deref(), Some("EXTERNAL"));
        assert_eq!(selected(&mut SaslClient::new(None, login(), false, None), &all).as_deref(), Some("PLAIN"));
        assert_eq!(selected(&mut SaslClient::new(None, None, false, None), &all).as_deref(), Some("ANONYMOUS"));
        let allowed = ["plain".to_owned(), "Anonymous".to_owned()];
        let mut client = SaslClient::new(Some(&allowed), login(), true, None);
        assert_eq!(selected(&mut client, &all).as_deref(), Some("PLAIN"));
        let allowed = ["PLAIN".to_owned()];
        let mut client = SaslClient::new(Some(&allowed), None, true, None);
        assert_eq!(client.on_frame(offer(&all)), ClientStep::Failed { mechanism: "none".into() });
    }

    #[test]
    fn outcome() {
        let mut client = SaslClient::new(None, None, false, None);
        selected(&mut client, &["ANONYMOUS"]);
        let outcome = |code| SaslFrame::Outcome { code, additional_data: None };
        assert_eq!(client.on_frame(outcome(1)), ClientStep::Failed { mechanism: "ANONYMOUS".into() });
        assert!(matches!(client.on_frame(outcome(0)), ClientStep::Done { .. }));
        let mut early = SaslClient::new(None, None, false, None);
        assert!(matches!(early.on_frame(outcome(0)), ClientStep::Failed { .. }));
    }
}
