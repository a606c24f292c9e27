//! The thread of the management node.
//!
//! Requests read files (certificates, user names, SASL configuration) and walk large tables. None of that may happen
//! on a thread that moves traffic, so the node does not share the workers' executor.

use super::node::Node;
use super::{Agent, Backend};
use std::future::Future;
use std::io;
use std::thread::{Builder, JoinHandle};

/// Serves requests until `stopped` is ready. A request that is being served then is not interrupted: whoever ends the
/// process need not wait for the thread.
///
/// # Errors
/// Of the operating system.
pub fn spawn<B: Backend + 'static>(
    node: Node,
    agent: Agent<B>,
    stopped: impl Future<Output = ()> + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let executor = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let serve = async move {
        tokio::select! {
            () = node.run(agent) => {}
            () = stopped => {}
        }
    };
    Builder::new().name("management".to_owned()).spawn(move || executor.block_on(serve))
}
