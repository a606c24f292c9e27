//! TLS failures, and the texts by which operators and tests know them.

use super::refusal::Refusal;
use rustls::{AlertDescription, Error, InvalidMessage, PeerIncompatible};

/// Why a TLS session failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TlsError {
    /// rustls refused something during the handshake.
    #[error("{}", openssl_text(.0))]
    Handshake(Error),
    /// The peer's certificate is not accepted.
    #[error("{VERIFY_FAILED}: {0}")]
    Refused(Refusal),
    /// A record that does not authenticate.
    #[error("error:0A000119:SSL routines::decryption failed or bad record mac")]
    BadRecord,
    /// A record longer than the protocol allows.
    #[error("error:0A0000C6:SSL routines::packet length too long")]
    RecordTooLong,
    /// Octets that are no TLS record.
    #[error("error:0A00010B:SSL routines::wrong version number: the peer does not speak TLS here")]
    WrongVersion,
    /// The peer speaks HTTP.
    #[error("error:0A00009C:SSL routines::http request")]
    HttpRequest,
    /// A record that has no place here.
    #[error("error:0A0000F4:SSL routines::unexpected message")]
    UnexpectedMessage,
    /// Handshake messages, alerts and empty records that follow each other without data.
    #[error("error:0A0000F4:SSL routines::unexpected message (too many records without data)")]
    TooManyControls,
    /// A handshake message after the handshake whose length cannot be right.
    #[error("error:0A00009F:SSL routines::length mismatch")]
    LengthMismatch,
    /// A key update of neither form.
    #[error("error:0A00007A:SSL routines::bad key update")]
    BadKeyUpdate,
    /// A TLS 1.2 key has protected as much as its cipher allows.
    #[error("error:0A080000:SSL routines::key worn out (TLS 1.3 would change it)")]
    KeyWorn,
    /// The peer sent a fatal alert after the handshake.
    #[error("{}", alert_text(*.0))]
    Alert(AlertDescription),
    /// The transport ended without a closing alert during the handshake.
    #[error("error:0A000126:SSL routines::unexpected eof while reading: the peer left during the handshake")]
    UnexpectedEof,
    /// A mistake of ours.
    #[error("error:0A080000:SSL routines::internal error ({0})")]
    Internal(&'static str),
}

// === impl TlsError ===

impl TlsError {
    /// OpenSSL's number for the failure.
    #[must_use]
    pub fn code(&self) -> u64 {
        let text = self.to_string();
        text.split(':').nth(1).and_then(|hex| u64::from_str_radix(hex, 16).ok()).unwrap_or(0)
    }

    /// The alert to send for a failure that rustls does not know of.
    pub(crate) fn alert(&self) -> u8 {
        u8::from(match self {
            Self::BadRecord => AlertDescription::BadRecordMac,
            Self::RecordTooLong => AlertDescription::RecordOverflow,
            Self::UnexpectedMessage | Self::TooManyControls => AlertDescription::UnexpectedMessage,
            Self::LengthMismatch => AlertDescription::DecodeError,
            Self::BadKeyUpdate => AlertDescription::IllegalParameter,
            Self::WrongVersion | Self::HttpRequest => AlertDescription::ProtocolVersion,
            _ => AlertDescription::InternalError,
        })
    }
}

impl From<Error> for TlsError {
    fn from(error: Error) -> Self {
        Self::Handshake(error)
    }
}

const VERIFY_FAILED: &str = "error:0A000086:SSL routines::certificate verify failed";

fn openssl_text(error: &Error) -> String {
    let (code, text) = match error {
        Error::AlertReceived(alert) => return alert_text(*alert),
        Error::InvalidCertificate(cause) => return format!("{VERIFY_FAILED}: {cause}"),
        Error::UnsupportedNameType => return VERIFY_FAILED.to_owned(),
        Error::PeerIncompatible(reason) => return incompatible(reason),
        Error::InvalidMessage(reason) => return invalid(reason),
        Error::NoCertificatesPresented => (0xC7, "peer did not return a certificate"),
        Error::NoApplicationProtocol => (0xEB, "no application protocol"),
        Error::DecryptError => (0x119, "decryption failed or bad record mac"),
        Error::PeerSentOversizedRecord => (0xC6, "packet length too long"),
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            (0xF4, "unexpected message")
        }
        other => return format!("error:0A080000:SSL routines::{other}"),
    };
    format!("error:0A{code:06X}:SSL routines::{text}")
}

fn incompatible(reason: &PeerIncompatible) -> String {
    let (code, text) = match reason {
        PeerIncompatible::NoCipherSuitesInCommon => {
            (0xC1, "no shared cipher: nothing that the peer offers is accepted")
        }
        PeerIncompatible::NoKxGroupsInCommon => (0xC1, "no shared cipher: no key exchange group in common"),
        PeerIncompatible::NoSignatureSchemesInCommon => {
            (0xC1, "no shared cipher: no signature algorithm that fits both sides' certificates")
        }
        PeerIncompatible::Tls12NotOffered => {
            (0x102, "unsupported protocol: no shared version, the peer does not offer TLSv1.2")
        }
        PeerIncompatible::Tls12NotOfferedOrEnabled => {
            (0x102, "unsupported protocol: no shared version, no protocol of the sslProfile is offered by the peer")
        }
        PeerIncompatible::SupportedVersionsExtensionRequired => {
            (0x102, "unsupported protocol: no shared version, the peer does not offer TLSv1.3")
        }
        PeerIncompatible::ServerDoesNotSupportTls12Or13 => {
            (0x102, "unsupported protocol: no shared version, the server speaks neither TLSv1.2 nor TLSv1.3")
        }
        PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig => (
            0x102,
            "unsupported protocol: no shared version, the server's is not among the protocols of the sslProfile",
        ),
        other => return format!("error:0A000102:SSL routines::unsupported protocol: {other:?}"),
    };
    format!("error:0A{code:06X}:SSL routines::{text}")
}

fn invalid(reason: &InvalidMessage) -> String {
    match reason {
        InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion => {
            TlsError::WrongVersion.to_string()
        }
        other => format!("error:0A00009F:SSL routines::length mismatch: malformed message ({other:?})"),
    }
}

/// How OpenSSL words a received alert.
fn alert_text(alert: AlertDescription) -> String {
    let code = 1000 + u32::from(u8::from(alert));
    let text = match alert {
        AlertDescription::UnexpectedMessage => "sslv3 alert unexpected message",
        AlertDescription::BadRecordMac => "sslv3 alert bad record mac",
        AlertDescription::HandshakeFailure => "sslv3 alert handshake failure",
        AlertDescription::BadCertificate => "sslv3 alert bad certificate",
        AlertDescription::UnsupportedCertificate => "sslv3 alert unsupported certificate",
        AlertDescription::CertificateRevoked => "sslv3 alert certificate revoked",
        AlertDescription::CertificateExpired => "sslv3 alert certificate expired",
        AlertDescription::CertificateUnknown => "sslv3 alert certificate unknown",
        AlertDescription::IllegalParameter => "sslv3 alert illegal parameter",
        AlertDescription::UnknownCA => "tlsv1 alert unknown ca",
        AlertDescription::AccessDenied => "tlsv1 alert access denied",
        AlertDescription::DecodeError => "tlsv1 alert decode error",
        AlertDescription::DecryptError => "tlsv1 alert decrypt error",
        AlertDescription::ProtocolVersion => "tlsv1 alert protocol version",
        AlertDescription::InsufficientSecurity => "tlsv1 alert insufficient security",
        AlertDescription::InternalError => "tlsv1 alert internal error",
        AlertDescription::UserCanceled => "tlsv1 alert user cancelled",
        AlertDescription::NoRenegotiation => "tlsv1 alert no renegotiation",
        AlertDescription::RecordOverflow => "tlsv1 alert record overflow",
        AlertDescription::UnrecognisedName => "tlsv1 unrecognized name",
        AlertDescription::UnsupportedExtension => "tlsv1 unsupported extension",
        AlertDescription::MissingExtension => "tlsv13 alert missing extension",
        AlertDescription::CertificateRequired => "tlsv13 alert certificate required",
        AlertDescription::NoApplicationProtocol => "tlsv1 alert no application protocol",
        _ => return format!("error:0A{code:06X}:SSL routines::alert number {}", u8::from(alert)),
    };
    format!("error:0A{code:06X}:SSL routines::{text}{}", alert_meaning(alert))
}

/// What an alert of the peer says about us.
const fn alert_meaning(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::UnknownCA => ": the peer does not trust the issuer of our certificate",
        AlertDescription::CertificateExpired => ": the peer finds our certificate expired or not yet valid",
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::CertificateRevoked => ": the peer does not accept our certificate",
        AlertDescription::CertificateRequired => ": the peer demands a certificate of us",
        AlertDescription::ProtocolVersion => ": no shared version, the peer speaks none of ours",
        AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => {
            ": the peer found no common parameters, or misses a certificate of us"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::super::refusal::Reason;
    use super::*;
    use rustls::CertificateError;

    #[test]
    fn texts_are_those_that_operators_know() {
        let refusal = Refusal::new(Reason::Expired("yesterday".to_owned()), "CN=a");
        for (error, code, text) in [
            (
                TlsError::Refused(refusal),
                0x0A00_0086,
                "certificate verify failed: certificate has expired: on yesterday (certificate of 'CN=a')",
            ),
            (
                Error::InvalidCertificate(CertificateError::BadSignature).into(),
                0x0A00_0086,
                "certificate verify failed",
            ),
            (Error::NoCertificatesPresented.into(), 0x0A00_00C7, "peer did not return a certificate"),
            (Error::AlertReceived(AlertDescription::UnknownCA).into(), 0x0A00_0418, "tlsv1 alert unknown ca"),
            (TlsError::Alert(AlertDescription::CertificateRequired), 0x0A00_045C, "tlsv13 alert certificate required"),
            (Error::from(PeerIncompatible::NoCipherSuitesInCommon).into(), 0x0A00_00C1, "no shared cipher"),
            (
                Error::from(PeerIncompatible::Tls12NotOffered).into(),
                0x0A00_0102,
                "unsupported protocol: no shared version",
            ),
            (
                Error::from(InvalidMessage::InvalidContentType).into(),
                0x0A00_010B,
                "wrong version number: the peer does not speak TLS",
            ),
        ] {
            let (shown, known): (String, String) =
                (error.to_string(), format!("error:{code:08X}:SSL routines::{text}"));
            assert!(shown.starts_with(&known), "{shown}");
            assert_eq!(error.code(), code);
        }
    }
}
