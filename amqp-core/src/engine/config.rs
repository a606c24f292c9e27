//! How an engine is told to behave.

use crate::sasl::Secret;
use std::time::Duration;

/// Parameters of a connection.
#[derive(Debug, Clone)]
pub struct Config {
    /// The max-frame-size to advertise, octets.
    pub max_frame_size: u32,
    /// The channel-max to advertise.
    pub channel_max: u16,
    /// The incoming-window of every session, frames.
    pub session_window: u32,
    /// Close when nothing is received for this long. Half of it is advertised.
    pub idle_timeout: Option<Duration>,
    /// Which side of the connection, and its security layer.
    pub sasl: SaslConfig,
}

/// Which side of the connection, and its security layer.
#[derive(Debug, Clone)]
pub enum SaslConfig {
    /// A server.
    Server {
        /// Drop peers that do not authenticate.
        require: bool,
        /// The mechanisms to offer, in order, as far as they are known ([`crate::sasl::Mechanism`]).
        mechanisms: Vec<String>,
        /// Who the peer is by the layer below; EXTERNAL is offered only with it.
        external_identity: Option<String>,
    },
    /// A client that authenticates.
    Client {
        /// The only mechanisms to use; `None` is all.
        mechanisms: Option<Vec<String>>,
        /// For SCRAM and PLAIN.
        username: Option<String>,
        /// For SCRAM and PLAIN.
        password: Option<Secret>,
        /// EXTERNAL can be used.
        external: bool,
        /// The hostname to name in sasl-init.
        hostname: Option<String>,
    },
    /// A client without security layer.
    BareClient,
}

// === impl Default for Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            max_frame_size: 16384,
            channel_max: 32767,
            session_window: 512,
            idle_timeout: None,
            sasl: SaslConfig::Server {
                require: false,
                mechanisms: vec!["ANONYMOUS".to_owned()],
                external_identity: None,
            },
        }
    }
}
