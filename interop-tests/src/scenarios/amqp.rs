//! AMQP clients: every theme of every peer between two routers of a line.

use anyhow::{Context, Result};

use crate::harness::skip_unless;
use crate::peers::{ProcessPeer, fe2o3};
use crate::topology::{Line, LineBuilder};

/// An AMQP client implementation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Proton's Python client.
    Proton,
    /// rhea for Node.js.
    Rhea,
    /// The same over WebSocket.
    RheaOverWebSocket,
    /// fe2o3-amqp for Rust.
    Fe2o3,
}

/// Themes that all peers have.
pub const COMMON_THEMES: [&str; 13] = [
    "unsettled",
    "presettled",
    "many",
    "large_stream",
    "anonymous",
    "outcomes",
    "drain",
    "link_close",
    "multicast",
    "closest",
    "balanced",
    "request_reply",
    "query",
];

/// A line of routers with the address treatments that the themes use.
pub fn line(line: LineBuilder) -> LineBuilder {
    // Whatever the default is, `queue` is balanced.
    ["multicast", "closest", "balanced"]
        .into_iter()
        .fold(line.distribution("queue", "balanced"), |line, treatment| line.distribution(treatment, treatment))
}

/// A line of such routers for one peer.
pub fn line_for(peer: Peer, builder: LineBuilder) -> LineBuilder {
    let builder = line(builder);
    if peer == Peer::RheaOverWebSocket { builder.over_websocket() } else { builder }
}

/// Runs one theme of one peer, with messages that start at router `from` and end at router `to`.
pub fn theme(line: &Line, peer: Peer, theme: &str, from: usize, to: usize) -> Result<()> {
    let route = line.route(from, to);
    let run = || match peer {
        Peer::Fe2o3 => fe2o3::run(theme, &route),
        Peer::Proton => proton()?.run(theme, &route),
        Peer::Rhea | Peer::RheaOverWebSocket => rhea()?.run(theme, &route),
    };
    run().with_context(|| format!("messages from {} to {}", line.node(from).router.id(), line.node(to).router.id()))
}

/// Runs all common themes of one peer.
pub fn all_themes(line: &Line, peer: Peer, from: usize, to: usize) -> Result<()> {
    COMMON_THEMES.iter().try_for_each(|name| theme(line, peer, name, from, to))
}

/// Ends the test if a peer is not installed.
pub fn require(peer: Peer) -> Result<()> {
    match peer {
        Peer::Fe2o3 => Ok(()),
        Peer::Proton => proton().map(drop),
        Peer::Rhea | Peer::RheaOverWebSocket => rhea().map(drop),
    }
}

/// Proton's client. Ends the test if it is not installed.
pub fn proton() -> Result<ProcessPeer> {
    let reason = "there is no Python with python-qpid-proton: set INTEROP_PYTHON or run `make peers`";
    skip_unless(ProcessPeer::proton(), reason)
}

fn rhea() -> Result<ProcessPeer> {
    skip_unless(ProcessPeer::rhea(), "rhea is not installed: set INTEROP_NODE_MODULES or run `make peers`")
}
