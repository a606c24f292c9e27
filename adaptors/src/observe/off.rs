//! Why an observer has ended before its connection.

use super::{http1, http2};
use router_engine::core::ids::ConnId;
use router_engine::log;
use router_engine::log::{Level, LogModule};

/// Why nothing more is watched on a connection. What is displayed is the line that logs show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Off {
    /// The server has sent much, and the client too little to tell the protocol.
    #[error("TCP observer response received before classification completed")]
    Undetected,
    /// What passes now is another protocol: an `Upgrade` or a `CONNECT` was accepted.
    #[error("HTTP/1.1 observer ends: another protocol follows")]
    Tunnel,
    /// It is not HTTP/1: no request was under way that had been understood.
    #[error("HTTP/1.1 observer protocol error: {0}")]
    NotHttp1(http1::Error),
    /// It is HTTP/1 no longer: requests were under way.
    #[error("HTTP/1.1 observer disabled due to protocol error: {0}")]
    Http1(http1::Error),
    /// It is not HTTP/2, or not any more.
    #[error("parser_error - reason={0}")]
    Http2(http2::Error),
}

// === impl Off ===

impl Off {
    /// The module whose log it belongs to.
    #[must_use]
    pub const fn module(self) -> LogModule {
        match self {
            Self::Undetected => LogModule::TcpAdaptor,
            Self::Tunnel | Self::NotHttp1(_) | Self::Http1(_) => LogModule::Http1Observer,
            Self::Http2(_) => LogModule::Http2Decoder,
        }
    }

    /// It is an error where the protocol was known before.
    #[must_use]
    pub const fn level(self) -> Level {
        match self {
            Self::Undetected | Self::Tunnel | Self::NotHttp1(_) => Level::Debug,
            Self::Http1(_) | Self::Http2(_) => Level::Error,
        }
    }

    /// Logs it.
    pub fn log(self, conn: ConnId) {
        log!(self.module(), self.level(), conn = conn, "{self}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http2::HpackError;

    #[test]
    fn lines_of_logs() {
        let known = [Off::Http1(http1::Error::NotAscii), Off::Http2(HpackError::Index.into())];
        assert_eq!(known.map(Off::level), [Level::Error; 2]);
        let guessed = [Off::NotHttp1(http1::Error::RequestLine), Off::Undetected, Off::Tunnel];
        assert_eq!(guessed.map(Off::level), [Level::Debug; 3], "nobody said that it were HTTP");
        assert_eq!(
            [known[0], known[1], guessed[0]].map(|off| off.to_string()),
            [
                "HTTP/1.1 observer disabled due to protocol error: protocol error: non USASCII data",
                "parser_error - reason=header block refers to an unknown field",
                "HTTP/1.1 observer protocol error: Malformed request line",
            ]
        );
    }
}
