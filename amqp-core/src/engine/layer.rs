//! The protocol layers below AMQP frames: headers and SASL (part 2, 2.2; part 5, 5.3; spec
//! `amqp-endpoint.md` 1).
//!
//! ```text
//!   server: Header --SASL header--> Sasl --ok--> Header --AMQP header--> Amqp
//!              '--------------AMQP header (no SASL demanded)--------------^
//!   client: Header --SASL header--> Sasl --ok--> Header --AMQP header--> Amqp
//! ```

use super::config::SaslConfig;
use super::connection::{Connection, Step};
use super::error::{Violation, quote};
use super::event::{Event, Status};
use super::limits::MAX_SASL_FRAME_IN;
use crate::frame::{FrameType, HEADER_LEN, Preface};
use crate::sasl::client::{ClientStep, SaslClient};
use crate::sasl::server::{SaslServer, ServerStep};
use crate::sasl::{AuthReply, SaslCode, SaslFrame};

/// Which layer speaks.
#[derive(Debug)]
pub(super) enum Layer {
    /// A protocol header is due.
    Header,
    SaslServer(Box<SaslServer>),
    SaslClient(Box<SaslClient>),
    Amqp,
}

/// How the peer of a server, or we as a client, authenticated.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Authentication {
    /// The SASL layer is complete.
    pub done: bool,
    /// The mechanism, as soon as it is selected.
    pub mechanism: Option<String>,
    /// The user; `anonymous` with ANONYMOUS.
    pub user: Option<String>,
}

// === impl Layer ===

impl PartialEq for Layer {
    fn eq(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl Layer {
    pub(super) const fn is_header(&self) -> bool {
        matches!(self, Self::Header)
    }

    pub(super) const fn is_sasl(&self) -> bool {
        matches!(self, Self::SaslServer(_) | Self::SaslClient(_))
    }

    pub(super) fn waits_for_caller(&self) -> bool {
        match self {
            Self::SaslServer(sasl) => sasl.is_working(),
            Self::SaslClient(sasl) => sasl.is_working(),
            Self::Header | Self::Amqp => false,
        }
    }
}

// === impl Connection ===

impl Connection {
    /// Our open may follow what we have sent. A client does not wait for the peer's header.
    pub(super) const fn is_ready(&self) -> bool {
        if self.is_server() { matches!(self.layer, Layer::Amqp) } else { self.ends.header_sent }
    }

    /// Answers [`Event::Auth`].
    pub fn auth_result(&mut self, reply: AuthReply) {
        if self.status != Status::Running {
            return;
        }
        let event = match &mut self.layer {
            Layer::SaslServer(sasl) if sasl.is_working() => {
                let step = sasl.answered(reply);
                self.sasl_server_step(step)
            }
            Layer::SaslClient(sasl) if sasl.is_working() => {
                let step = sasl.answered(reply);
                self.sasl_client_step(step)
            }
            _ => return,
        };
        let event = event.unwrap_or_else(|violation| Some(self.fail(violation)));
        self.events.extend(event);
    }

    /// The answer to [`Event::Auth`] is awaited: no frame is read before.
    #[must_use]
    pub fn waits_for_auth(&self) -> bool {
        self.layer.waits_for_caller()
    }

    /// Writes the first octets of a client.
    pub(super) fn start_layer(&mut self) {
        match self.config.sasl {
            SaslConfig::Client { .. } => self.wire.preface(Preface::Sasl),
            SaslConfig::BareClient => self.send_header(),
            SaslConfig::Server { .. } => {}
        }
    }

    /// Reads one header or SASL frame.
    pub(super) fn layer_step(&mut self) -> Result<Step, Violation> {
        if self.layer.is_header() {
            return self.on_header();
        }
        let Some((header, body)) = self.input.next_frame(MAX_SASL_FRAME_IN).map_err(|_| Violation::MalformedFrame)?
        else {
            return Ok(Step::Starved);
        };
        if header.frame_type != FrameType::Sasl {
            return Err(Violation::MalformedFrame);
        }
        if body.is_empty() {
            return Ok(Step::Again);
        }
        let frame = SaslFrame::decode(&body)?;
        self.wire.trace(|| format!("0 <- {frame}"));
        match &mut self.layer {
            Layer::SaslServer(sasl) => {
                let step = sasl.on_frame(frame);
                Ok(self.sasl_server_step(step)?.map_or(Step::Again, Step::Event))
            }
            Layer::SaslClient(sasl) => {
                let step = sasl.on_frame(frame);
                Ok(self.sasl_client_step(step)?.map_or(Step::Again, Step::Event))
            }
            Layer::Header | Layer::Amqp => Ok(Step::Again),
        }
    }

    /// Looks at the protocol header that is due.
    fn on_header(&mut self) -> Result<Step, Violation> {
        let head = self.input.head(HEADER_LEN);
        let preface = match Preface::parse(head) {
            Ok(None) => return Ok(Step::Starved),
            Ok(Some(preface)) => preface,
            Err(_) => return Err(bad_header(head)),
        };
        let shown = quote(head, 1024);
        self.input.skip(HEADER_LEN);
        let name = if preface == Preface::Sasl { "SASL" } else { "AMQP" };
        self.wire.trace(|| format!("  <- {name}"));
        match preface {
            Preface::Amqp => self.on_amqp_header(shown),
            Preface::Sasl => self.on_sasl_header(shown),
            Preface::Tls => Err(Violation::AmqpTlsNotAllowed(shown)),
        }?;
        Ok(Step::Again)
    }

    fn on_amqp_header(&mut self, shown: String) -> Result<(), Violation> {
        match &self.config.sasl {
            SaslConfig::Server { require: true, .. } if !self.authentication.done => {
                return Err(Violation::SkippedAuthentication);
            }
            SaslConfig::Client { .. } if !self.authentication.done => return Err(Violation::AmqpNotAllowed(shown)),
            _ => {}
        }
        self.layer = Layer::Amqp;
        // Before our open is due: peers may wait for this header before they send theirs.
        self.send_header();
        self.send_waiting_open();
        Ok(())
    }

    fn on_sasl_header(&mut self, shown: String) -> Result<(), Violation> {
        if self.authentication.done {
            return Err(Violation::SaslNotAllowed(shown));
        }
        match &self.config.sasl {
            SaslConfig::Server { require, mechanisms, external_identity } => {
                let sasl = SaslServer::new(mechanisms, external_identity.clone(), *require);
                let offer = sasl.offer();
                self.layer = Layer::SaslServer(Box::new(sasl));
                self.wire.preface(Preface::Sasl);
                self.wire.sasl(&offer);
                Ok(())
            }
            SaslConfig::Client { mechanisms, username, password, external, hostname } => {
                let sasl = SaslClient::new(
                    mechanisms.as_deref(),
                    username.clone().zip(password.clone()),
                    *external,
                    hostname.clone(),
                );
                self.layer = Layer::SaslClient(Box::new(sasl));
                Ok(())
            }
            SaslConfig::BareClient => Err(Violation::SaslNotAllowed(shown)),
        }
    }

    fn sasl_server_step(&mut self, step: ServerStep) -> Result<Option<Event>, Violation> {
        match step {
            ServerStep::Send(frame) => self.wire.sasl(&frame),
            ServerStep::Ask(request) => return Ok(Some(Event::Auth(request))),
            ServerStep::Accept { mechanism, user, last } => {
                self.wire.sasl(&SaslFrame::Outcome { code: SaslCode::Ok as u8, additional_data: last });
                self.sasl_done(mechanism, user);
            }
            ServerStep::Reject { mechanism, detail } => {
                self.wire.sasl(&SaslFrame::Outcome { code: SaslCode::Auth as u8, additional_data: None });
                return Err(Violation::ClientUnauthorized { detail, mechanism });
            }
            ServerStep::Unexpected(name) => return Err(Violation::Unexpected(name)),
        }
        Ok(None)
    }

    fn sasl_client_step(&mut self, step: ClientStep) -> Result<Option<Event>, Violation> {
        match step {
            ClientStep::Send(frame) => self.wire.sasl(&frame),
            ClientStep::Ask(request) => return Ok(Some(Event::Auth(request))),
            ClientStep::Done { mechanism, user } => {
                self.sasl_done(mechanism, Some(user));
                self.send_header();
                // Pipelined: the peer's header is not waited for.
                self.send_waiting_open();
            }
            ClientStep::Failed { mechanism, detail: None } => {
                return Err(Violation::AuthenticationFailed { mechanism });
            }
            ClientStep::Failed { mechanism, detail: Some(detail) } => {
                return Err(Violation::ServerUnauthentic { detail, mechanism });
            }
            ClientStep::Unexpected(name) => return Err(Violation::Unexpected(name)),
        }
        Ok(None)
    }

    fn sasl_done(&mut self, mechanism: String, user: Option<String>) {
        self.authentication = Authentication { done: true, mechanism: Some(mechanism), user };
        self.layer = Layer::Header;
    }
}

/// What is wrong with octets that are no header of ours.
fn bad_header(head: &[u8]) -> Violation {
    let shown = quote(head, 1024);
    match head {
        [0x16, 0x03, 0..=3, ..] => Violation::TlsNotAllowed(shown),
        [b'A', b'M', b'Q', b'P', 0..=3, 1, ..] => Violation::IncompatibleAmqp(shown),
        _ => Violation::UnknownProtocol(shown),
    }
}
