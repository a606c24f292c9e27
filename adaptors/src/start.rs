//! How a connection that was accepted begins: with TLS or in the clear, as its first octets tell.

use crate::transport::{Transport, TransportError};
use bytes::{Bytes, BytesMut};
use std::future::poll_fn;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::tls::TlsServer;

/// What the peer asked for with its first octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opening {
    /// Not enough octets yet.
    Undecided,
    /// A TLS record.
    Tls,
    /// The AMQP header that asks for TLS; so many octets are not part of TLS.
    TlsHeader,
    /// Anything else, for the protocol to judge.
    Clear,
}

/// How a connection began.
#[derive(Debug)]
pub(crate) struct Begun {
    /// What the peer sends first; of AMQP, a whole header if it is one.
    pub(crate) first: Bytes,
    /// What its TLS session was made with.
    pub(crate) tls: Option<TlsServer>,
}

/// Why a connection did not begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// TLS is asked for but not configured, or encryption is demanded and not used.
    #[error("{0}")]
    Refused(&'static str),
    /// The peer left before its first header was complete.
    #[error("No protocol header found")]
    NoHeader,
    /// TLS or the socket failed.
    #[error(transparent)]
    Transport(TransportError),
}

/// How long a peer may take for its TLS handshake and its first header, whatever limit there is for the whole
/// handshake.
pub(crate) const START_LIMIT: Duration = Duration::from_secs(60);

/// What is said of peers that do not encrypt where they have to.
pub(crate) const UNENCRYPTED: &str = "Client connection unencrypted - forbidden";

const HEADER: usize = 8;

/// Judges the first octets where there is TLS or something else.
pub(crate) const fn tls_opening(data: &[u8]) -> Opening {
    const TLS_HANDSHAKE: u8 = 0x16;
    match data {
        [] | [TLS_HANDSHAKE] => Opening::Undecided,
        [TLS_HANDSHAKE, 3, ..] => Opening::Tls,
        _ => Opening::Clear,
    }
}

/// Judges the first octets of AMQP, up to the header (spec `amqp-endpoint.md` 1.1, 1.2).
pub(crate) fn amqp_opening(data: &[u8]) -> Opening {
    match data {
        [b'A', b'M', b'Q', b'P', 2, 1, 0, 0, ..] => Opening::TlsHeader,
        [b'A', ..] if data.len() < HEADER && b"AMQP".starts_with(&data[..data.len().min(4)]) => Opening::Undecided,
        _ => tls_opening(data),
    }
}

/// Reads the first octets, and does the TLS handshake if the peer wants it; then, of AMQP, [`read_first`] is due. `tls`
/// is asked for the credentials when the handshake begins, so that those count that are in force then.
pub(crate) async fn begin<S: AsyncRead + AsyncWrite + Unpin>(
    transport: &mut Transport<S>,
    judge: fn(&[u8]) -> Opening,
    require_encryption: bool,
    tls: impl Fn() -> Option<TlsServer>,
) -> Result<Begun, StartError> {
    let (opening, first) = read_opening(transport, judge).await?;
    let (skip, tls) = match (opening, tls()) {
        (Opening::Tls, Some(tls)) => (0, tls),
        (Opening::Tls, None) => {
            return Err(StartError::Refused("Client uses TLS, but the listener has no sslProfile"));
        }
        (Opening::TlsHeader, Some(tls)) => (HEADER, tls),
        _ if require_encryption => {
            return Err(StartError::Refused(UNENCRYPTED));
        }
        _ => return Ok(Begun { first, tls: None }),
    };
    let session = tls.session(&first[skip..]).map_err(|e| StartError::Transport(e.into()))?;
    transport.start_tls(session);
    poll_fn(|cx| transport.poll_handshake(cx)).await.map_err(StartError::Transport)?;
    Ok(Begun { first: Bytes::new(), tls: Some(tls) })
}

/// Reads what comes first of AMQP within TLS.
pub(crate) async fn read_first<S: AsyncRead + AsyncWrite + Unpin>(
    transport: &mut Transport<S>,
) -> Result<Bytes, StartError> {
    read_opening(transport, amqp_opening).await.map(|(_, first)| first)
}

/// Reads until it is clear what the peer wants.
async fn read_opening<S: AsyncRead + AsyncWrite + Unpin>(
    transport: &mut Transport<S>,
    judge: fn(&[u8]) -> Opening,
) -> Result<(Opening, Bytes), StartError> {
    let mut first = BytesMut::new();
    loop {
        match judge(&first) {
            Opening::Undecided => {}
            decided => return Ok((decided, first.freeze())),
        }
        match poll_fn(|cx| transport.poll_read(cx)).await.map_err(StartError::Transport)? {
            Some(data) => first.extend_from_slice(&data),
            None => return Err(StartError::NoHeader),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_octets() {
        for (data, expected) in [
            (&b""[..], Opening::Undecided),
            (b"\x16", Opening::Undecided),
            (b"\x16\x03\x01", Opening::Tls),
            (b"\x16\x02\x01", Opening::Clear),
            (b"A", Opening::Undecided),
            (b"AMQP\x02\x01\x00", Opening::Undecided),
            (b"AMQP\x02\x01\x00\x00", Opening::TlsHeader),
            (b"AMQP\x03\x01\x00\x00", Opening::Clear),
            (b"AMQP\x00\x01\x00\x00", Opening::Clear),
            (b"AX", Opening::Clear),
            (b"GET ", Opening::Clear),
        ] {
            assert_eq!(amqp_opening(data), expected, "{data:?}");
        }
    }

    #[tokio::test]
    async fn cleartext_passes_and_is_refused_when_encryption_is_demanded() {
        use tokio::io::AsyncWriteExt;
        for (require_encryption, ok) in [(false, true), (true, false)] {
            let (a, mut b) = tokio::io::duplex(100);
            b.write_all(b"AMQP\x03\x01\x00\x00xyz").await.unwrap();
            let mut transport = Transport::plain(a);
            match begin(&mut transport, amqp_opening, require_encryption, || None).await {
                Ok(begun) => assert!(ok && begun.first == b"AMQP\x03\x01\x00\x00xyz"[..]),
                Err(error) => {
                    assert!(!ok && matches!(error, StartError::Refused(text) if text.contains("unencrypted")))
                }
            }
        }
    }

    #[tokio::test]
    async fn tls_without_configuration_and_early_end() {
        use tokio::io::AsyncWriteExt;
        let (a, mut b) = tokio::io::duplex(100);
        b.write_all(b"\x16\x03\x01\x00").await.unwrap();
        let refused = begin(&mut Transport::plain(a), amqp_opening, false, || None).await;
        assert!(matches!(refused, Err(StartError::Refused(text)) if text.contains("no sslProfile")));
        let (a, b) = tokio::io::duplex(100);
        drop(b);
        assert!(matches!(
            begin(&mut Transport::plain(a), amqp_opening, false, || None).await,
            Err(StartError::NoHeader)
        ));
    }
}
