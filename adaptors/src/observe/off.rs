//! Why an observer has ended before its connection.

use super::{http1, http2};
use router_engine::core::ids::ConnId;
use router_engine::log;
use router_engine::log::{Level, LogModule};

/// Why nothing more is watched on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Off {
    /// The server has sent much, and the client too little to tell the protocol.
    Undetected,
    /// What passes now is another protocol: an `Upgrade` or a `CONNECT` was accepted.
    Tunnel,
    /// It is not HTTP/1, or not any more.
    Http1 {
        /// What it broke.
        error: http1::Error,
        /// Requests were under way, so that it had been HTTP/1.
        under_way: bool,
    },
    /// It is not HTTP/2, or not any more.
    Http2(http2::Error),
}

// === impl Off ===

impl Off {
    /// Logs it. It is an error only where something had been understood before.
    pub fn log(&self, conn: ConnId) {
        match self {
            Self::Undetected => {
                let module = LogModule::TcpAdaptor;
                log!(
                    module,
                    Level::Debug,
                    conn = conn,
                    "TCP observer response received before classification completed"
                );
            }
            Self::Tunnel => {
                log!(
                    LogModule::Http1Observer,
                    Level::Debug,
                    conn = conn,
                    "HTTP/1.1 observer ends: other protocol follows"
                );
            }
            Self::Http1 { error, under_way: true } => {
                let module = LogModule::Http1Observer;
                log!(module, Level::Error, conn = conn, "HTTP/1.1 observer disabled due to protocol error: {error}");
            }
            Self::Http1 { error, under_way: false } => {
                log!(LogModule::Http1Observer, Level::Debug, conn = conn, "HTTP/1.1 observer protocol error: {error}");
            }
            Self::Http2(error) => {
                log!(LogModule::Http2Decoder, Level::Error, conn = conn, "parser_error - reason={error}");
            }
        }
    }
}
