//! How a peer can break the rules.

use crate::codec::DecodeError;
use crate::performative::Error;
use crate::value::Symbol;
use std::borrow::Cow;
use std::time::Duration;

/// A breach of the protocol by the peer, or another reason to end the connection. Every kind has a
/// variant, so that each check can be told apart (spec `amqp-endpoint.md` 1, 5 and 15).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// The first octets are no known protocol.
    #[error("Unknown protocol detected: '{0}'")]
    UnknownProtocol(String),
    /// AMQP, but no revision that is supported.
    #[error("Incompatible AMQP connection detected: '{0}'")]
    IncompatibleAmqp(String),
    /// TLS where it is not possible.
    #[error("SSL protocol header not allowed (maybe detected twice): '{0}'")]
    TlsNotAllowed(String),
    /// The header of in-band TLS where it is not possible.
    #[error("AMQP SSL protocol header not allowed (maybe detected twice): '{0}'")]
    AmqpTlsNotAllowed(String),
    /// A second SASL layer.
    #[error("AMQP SASL protocol header not allowed (maybe detected twice): '{0}'")]
    SaslNotAllowed(String),
    /// A plain AMQP header where another one was due.
    #[error("AMQP1.0 protocol header not allowed (maybe detected twice): '{0}'")]
    AmqpNotAllowed(String),
    /// The peer went away before its protocol was known.
    #[error("No protocol header found (connection aborted)")]
    NoHeader,
    /// The peer went away without a close.
    #[error("connection aborted")]
    Aborted,
    /// The peer must authenticate and did not.
    #[error("Client skipped authentication - forbidden")]
    SkippedAuthentication,
    /// A SASL server refused the peer.
    #[error("{detail} (Failed to authenticate client [mech={mechanism}])")]
    ClientUnauthorized {
        /// What was wrong.
        detail: String,
        /// The mechanism the client selected, or `none`.
        mechanism: String,
    },
    /// A SASL client was refused, or found no usable mechanism.
    #[error("Authentication failed [mech={mechanism}]")]
    AuthenticationFailed {
        /// The mechanism selected, or `none`.
        mechanism: String,
    },
    /// A SASL client found fault with what the server said.
    #[error("{detail} (Authentication failed [mech={mechanism}])")]
    ServerUnauthentic {
        /// What was wrong.
        detail: String,
        /// The mechanism selected.
        mechanism: String,
    },
    /// A frame header is wrong: size, data offset or type.
    #[error("malformed frame")]
    MalformedFrame,
    /// A frame body is wrong.
    #[error("{0}")]
    Decode(#[from] DecodeError),
    /// A performative came before the open, or a second open.
    #[error("unexpected {0} frame")]
    Unexpected(&'static str),
    /// Nothing was received in time.
    #[error("local-idle-timeout expired")]
    IdleTimeout,
    /// Nothing was received in the detection time that was agreed.
    #[error("liveness expired: nothing received for {} ms", .0.as_millis())]
    Liveness(Duration),
    /// A channel above the limit.
    #[error("remote channel {channel} is above negotiated channel_max {max}.")]
    ChannelAboveMax {
        /// The peer's channel.
        channel: u16,
        /// The limit.
        max: u16,
    },
    /// A frame on a channel without session.
    #[error("no such channel: {0}")]
    NoSuchChannel(u16),
    /// A begin on a channel in use.
    #[error("channel already in use: {0}")]
    ChannelInUse(u16),
    /// A handle above the limit.
    #[error("remote handle {handle} is above handle_max {max}.")]
    HandleAboveMax {
        /// The peer's handle.
        handle: u32,
        /// The limit.
        max: u32,
    },
    /// A frame for an unknown link.
    #[error("no such handle: {0}")]
    NoSuchHandle(u32),
    /// An attach with a handle in use.
    #[error("handle already in use: {0}")]
    HandleInUse(u32),
    /// A second attach with one name in one direction on one session.
    #[error("link name already attached: {0}")]
    LinkNameInUse(String),
    /// A delivery-id out of order.
    #[error("sequencing error, expected delivery-id {expected}, got {got}")]
    Sequencing {
        /// The id that was due.
        expected: u32,
        /// The id that came.
        got: u32,
    },
    /// A delivery without delivery-id.
    #[error("transfer without delivery-id")]
    NoDeliveryId,
    /// A transfer from the receiver of a link.
    #[error("transfer on a link in the wrong direction")]
    TransferByReceiver,
    /// A delivery without credit.
    #[error("link credit exceeded")]
    CreditExceeded,
    /// A transfer with the session window shut.
    #[error("incoming session window exceeded")]
    WindowExceeded,
    /// Links cannot be suspended.
    #[error("Link detach/reattach not supported")]
    SuspendNotSupported,
    /// The peer did not answer a close.
    #[error("no answer to close")]
    CloseTimeout,
}

// === impl Violation ===

impl Violation {
    /// The condition symbol, as sent in the close and shown in logs.
    #[must_use]
    pub const fn condition(&self) -> &'static str {
        match self {
            Self::UnknownProtocol(_)
            | Self::IncompatibleAmqp(_)
            | Self::TlsNotAllowed(_)
            | Self::AmqpTlsNotAllowed(_)
            | Self::SaslNotAllowed(_)
            | Self::AmqpNotAllowed(_)
            | Self::NoHeader
            | Self::Aborted
            | Self::MalformedFrame
            | Self::ChannelAboveMax { .. }
            | Self::HandleAboveMax { .. }
            | Self::CloseTimeout => "amqp:connection:framing-error",
            Self::SkippedAuthentication => "amqp:connection:policy-error",
            Self::ClientUnauthorized { .. } | Self::AuthenticationFailed { .. } | Self::ServerUnauthentic { .. } => {
                "amqp:unauthorized-access"
            }
            Self::Decode(_) => "amqp:decode-error",
            Self::IdleTimeout | Self::Liveness(_) => "amqp:resource-limit-exceeded",
            Self::Unexpected(_) | Self::NoSuchChannel(_) | Self::ChannelInUse(_) => "amqp:not-allowed",
            Self::NoSuchHandle(_) | Self::LinkNameInUse(_) | Self::NoDeliveryId | Self::TransferByReceiver => {
                "amqp:invalid-field"
            }
            Self::HandleInUse(_) => "amqp:session:handle-in-use",
            Self::Sequencing { .. } => "amqp:session:invalid-field",
            Self::CreditExceeded => "amqp:link:transfer-limit-exceeded",
            Self::WindowExceeded => "amqp:session:window-violation",
            Self::SuspendNotSupported => "amqp:not-implemented",
        }
    }

    /// The error to send in a close.
    #[must_use]
    pub fn to_error(&self) -> Box<Error> {
        Box::new(Error {
            condition: Symbol(Cow::Borrowed(self.condition())),
            description: Some(self.to_string()),
            info: None,
        })
    }
}

/// Octets as text: printable ASCII as is, anything else as `\xNN`; at most `max` octets of input.
#[must_use]
pub fn quote(data: &[u8], max: usize) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(data.len().min(max));
    for &octet in data.iter().take(max) {
        if octet.is_ascii_graphic() || octet == b' ' {
            text.push(char::from(octet));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\x{octet:02x}");
        }
    }
    text
}
