//! TLS failures, and the texts by which operators and tests know them.

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

/// Why a TLS session failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TlsError {
    /// rustls refused something during the handshake.
    #[error("{}", openssl_text(.0))]
    Handshake(Error),
    /// A record that does not authenticate.
    #[error("error:0A000119:SSL routines::decryption failed or bad record mac")]
    BadRecord,
    /// A record longer than the protocol allows.
    #[error("error:0A0000C6:SSL routines::packet length too long")]
    RecordTooLong,
    /// Octets that are no TLS record.
    #[error("error:0A00010B:SSL routines::wrong version number")]
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
    #[error("error:0A000126:SSL routines::unexpected eof while reading")]
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

fn openssl_text(error: &Error) -> String {
    let (code, text) = match error {
        Error::AlertReceived(alert) => return alert_text(*alert),
        Error::NoCertificatesPresented => (0xC7, "peer did not return a certificate"),
        Error::InvalidCertificate(CertificateError::BadSignature) => (0x86, "certificate verify failed"),
        Error::InvalidCertificate(_) | Error::UnsupportedNameType => (0x86, "certificate verify failed"),
        Error::NoApplicationProtocol => (0xEB, "no application protocol"),
        Error::PeerIncompatible(reason) => incompatible(reason),
        Error::InvalidMessage(_) => (0x10B, "wrong version number"),
        Error::DecryptError => (0x119, "decryption failed or bad record mac"),
        Error::PeerSentOversizedRecord => (0xC6, "packet length too long"),
        Error::InappropriateMessage { .. } | Error::InappropriateHandshakeMessage { .. } => {
            (0xF4, "unexpected message")
        }
        other => return format!("error:0A080000:SSL routines::{other}"),
    };
    format!("error:0A{code:06X}:SSL routines::{text}")
}

fn incompatible(reason: &PeerIncompatible) -> (u32, &'static str) {
    match reason {
        PeerIncompatible::NoCipherSuitesInCommon
        | PeerIncompatible::NoKxGroupsInCommon
        | PeerIncompatible::NoSignatureSchemesInCommon => (0xC1, "no shared cipher"),
        _ => (0x102, "unsupported protocol"),
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
    format!("error:0A{code:06X}:SSL routines::{text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_those_that_operators_know() {
        let verify = TlsError::from(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        assert_eq!(verify.to_string(), "error:0A000086:SSL routines::certificate verify failed");
        let missing = TlsError::from(Error::NoCertificatesPresented);
        assert_eq!(missing.to_string(), "error:0A0000C7:SSL routines::peer did not return a certificate");
        let alert = TlsError::from(Error::AlertReceived(AlertDescription::UnknownCA));
        assert_eq!(alert.to_string(), "error:0A000418:SSL routines::tlsv1 alert unknown ca");
        let required = TlsError::Alert(AlertDescription::CertificateRequired);
        assert_eq!(required.to_string(), "error:0A00045C:SSL routines::tlsv13 alert certificate required");
    }
}
