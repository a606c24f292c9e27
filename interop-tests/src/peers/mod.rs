//! Foreign AMQP clients.

pub mod fe2o3;
mod process;

pub use process::ProcessPeer;
pub(crate) use process::{python, scripts};

use std::net::SocketAddr;

use crate::harness::Certificates;

/// Between which routers a theme sends its messages.
#[derive(Clone, Debug)]
pub struct Route {
    /// Listener where messages start.
    pub send: SocketAddr,
    /// Listener where messages end.
    pub recv: SocketAddr,
    /// The first router's listener with TLS.
    pub send_tls: SocketAddr,
    /// The second router's listener with TLS.
    pub recv_tls: SocketAddr,
    /// Ids of all routers.
    pub routers: Vec<String>,
    /// What TLS clients use.
    pub certificates: Certificates,
    /// The listeners take AMQP over WebSocket.
    pub over_websocket: bool,
}
