//! The bodies of SASL frames (part 5, 5.3.3).

use crate::codec::format::descriptor as d;
use crate::codec::{self, Decode, DecodeError, Encode, Reader, put_list};
use crate::performative::FrameBody;
use crate::value::Symbol;
use bytes::{Bytes, BytesMut};
use std::fmt;

/// The body of a SASL frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SaslFrame {
    /// 0x40: the mechanisms that the server offers.
    Mechanisms(Vec<Symbol>),
    /// 0x41: the mechanism that the client has chosen.
    Init {
        /// The name of the mechanism.
        mechanism: Symbol,
        /// The initial response of the mechanism; absent and empty differ.
        initial_response: Option<Bytes>,
        /// The name of the target host.
        hostname: Option<String>,
    },
    /// 0x42: data from the server.
    Challenge(Bytes),
    /// 0x43: data from the client.
    Response(Bytes),
    /// 0x44: the result.
    Outcome {
        /// See [`SaslCode`]; values beyond those are failures too.
        code: u8,
        /// Data from the mechanism that goes with success.
        additional_data: Option<Bytes>,
    },
}

/// The codes of the SASL outcome (part 5, 5.3.3.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SaslCode {
    /// Authenticated.
    Ok = 0,
    /// Wrong credentials.
    Auth = 1,
    /// System error.
    Sys = 2,
    /// Permanent system error.
    SysPerm = 3,
    /// Transient system error.
    SysTemp = 4,
}

// === impl SaslFrame ===

impl SaslFrame {
    /// The numeric descriptor: 0x40 to 0x44.
    #[must_use]
    pub const fn code(&self) -> u64 {
        match self {
            Self::Mechanisms(_) => d::SASL_MECHANISMS,
            Self::Init { .. } => d::SASL_INIT,
            Self::Challenge(_) => d::SASL_CHALLENGE,
            Self::Response(_) => d::SASL_RESPONSE,
            Self::Outcome { .. } => d::SASL_OUTCOME,
        }
    }

    /// Reads the SASL frame body `body`. Octets behind it are ignored.
    ///
    /// # Errors
    ///
    /// The encoding rule that is violated.
    pub fn decode(body: &Bytes) -> Result<Self, DecodeError> {
        <Self as Decode>::decode(&mut Reader::from_bytes(body))
    }
}

impl Decode for SaslFrame {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let code = r.read_descriptor_code()?;
        let mut f = r.read_list()?;
        Ok(match code {
            d::SASL_MECHANISMS => {
                Self::Mechanisms(f.required("sasl-mechanisms.sasl-server-mechanisms", Reader::read_symbols)?)
            }
            d::SASL_INIT => Self::Init {
                mechanism: f.required("sasl-init.mechanism", Symbol::decode)?,
                initial_response: f.opt(Bytes::decode)?,
                hostname: f.opt(String::decode)?,
            },
            d::SASL_CHALLENGE => Self::Challenge(f.required("sasl-challenge.challenge", Bytes::decode)?),
            d::SASL_RESPONSE => Self::Response(f.required("sasl-response.response", Bytes::decode)?),
            d::SASL_OUTCOME => Self::Outcome {
                code: f.required("sasl-outcome.code", Reader::read_ubyte)?,
                additional_data: f.opt(Bytes::decode)?,
            },
            found => return Err(DecodeError::UnexpectedDescriptor { expected: "a SASL frame body", found }),
        })
    }
}

impl Encode for SaslFrame {
    fn encode(&self, out: &mut BytesMut) {
        codec::put_descriptor(out, self.code());
        put_list(out, |list| match self {
            // Always an array: an empty one says that there are no mechanisms.
            Self::Mechanisms(mechanisms) => list.with(|out| codec::put_symbol_array(out, mechanisms)),
            Self::Init { mechanism, initial_response, hostname } => {
                list.field(mechanism);
                list.opt(initial_response.as_ref());
                list.opt(hostname.as_ref());
            }
            Self::Challenge(data) | Self::Response(data) => list.field(data),
            Self::Outcome { code, additional_data } => {
                list.field(code);
                list.opt(additional_data.as_ref());
            }
        });
    }
}

/// The notation of protocol traces, with credentials left out: what a client sends in
/// `initial_response` and `response`, and a server's proof, appear as `b"***"` unless empty.
impl fmt::Display for SaslFrame {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MASK: Bytes = Bytes::from_static(b"***");
        let masked = |data: &Bytes| if data.is_empty() { Bytes::new() } else { MASK };
        let shown = match self {
            Self::Init { mechanism, initial_response, hostname } => Self::Init {
                mechanism: mechanism.clone(),
                initial_response: initial_response.as_ref().map(masked),
                hostname: hostname.clone(),
            },
            Self::Response(data) => Self::Response(masked(data)),
            // What a server proves itself with: passwords can be tried with it at leisure.
            Self::Challenge(data) if data.starts_with(b"v=") => Self::Challenge(masked(data)),
            Self::Outcome { code, additional_data } => {
                Self::Outcome { code: *code, additional_data: additional_data.as_ref().map(masked) }
            }
            other => other.clone(),
        };
        write!(out, "{}", FrameBody(&shown.to_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tests::hex;

    fn both_ways(octets: &str, frame: SaslFrame) {
        let octets = hex(octets);
        assert_eq!(SaslFrame::decode(&octets), Ok(frame.clone()));
        assert_eq!(frame.to_bytes(), octets);
    }

    #[test]
    fn every_frame() {
        both_ways("005340 c0 12 01 e0 0f 01 b3 00000009 'ANONYMOUS'", SaslFrame::Mechanisms(vec!["ANONYMOUS".into()]));
        both_ways("005340 c0 0a 01 e0 07 01 b3 00000001 'A'", SaslFrame::Mechanisms(vec!["A".into()]));
        let init = |initial_response, hostname| SaslFrame::Init { mechanism: "A".into(), initial_response, hostname };
        both_ways("005341 c0 04 01 a301'A'", init(None, None));
        both_ways("005341 c0 09 03 a301'A' a000 a101'h'", init(Some(Bytes::new()), Some("h".into())));
        both_ways("005342 c0 04 01 a001'x'", SaslFrame::Challenge(Bytes::from_static(b"x")));
        both_ways("005343 c0 04 01 a001'x'", SaslFrame::Response(Bytes::from_static(b"x")));
        both_ways("005344 c0 03 01 5000", SaslFrame::Outcome { code: SaslCode::Ok as u8, additional_data: None });
    }

    #[test]
    fn a_single_mechanism_may_come_without_array() {
        let frame = SaslFrame::decode(&hex("005340 c0 04 01 a301'A'"));
        assert_eq!(frame, Ok(SaslFrame::Mechanisms(vec!["A".into()])));
    }

    #[test]
    fn violations() {
        assert_eq!(SaslFrame::decode(&hex("005341 45")), Err(DecodeError::MissingField("sasl-init.mechanism")));
        assert_eq!(
            SaslFrame::decode(&hex("005310 45")),
            Err(DecodeError::UnexpectedDescriptor { expected: "a SASL frame body", found: 0x10 })
        );
    }

    #[test]
    fn traces_hide_credentials() {
        let init = SaslFrame::Init {
            mechanism: "PLAIN".into(),
            initial_response: Some(Bytes::from_static(b"\0user\0secret")),
            hostname: Some("h".into()),
        };
        assert_eq!(init.to_string(), r#"@sasl-init(65) [mechanism=:PLAIN, initial-response=b"***", hostname="h"]"#);
        let proof = Bytes::from_static(b"v=abc");
        let outcome = SaslFrame::Outcome { code: 0, additional_data: Some(proof.clone()) };
        assert!(!outcome.to_string().contains("abc") && outcome.to_string().contains("***"), "{outcome}");
        let challenge = SaslFrame::Challenge(proof);
        assert!(!challenge.to_string().contains("abc"), "{challenge}");
        let mechanisms = SaslFrame::Mechanisms(vec!["ANONYMOUS".into(), "EXTERNAL".into()]);
        assert_eq!(
            mechanisms.to_string(),
            "@sasl-mechanisms(64) [sasl-server-mechanisms=@<symbol>[:ANONYMOUS, :EXTERNAL]]"
        );
        let outcome = SaslFrame::Outcome { code: 0, additional_data: None };
        assert_eq!(outcome.to_string(), "@sasl-outcome(68) [code=0x0]");
    }
}
