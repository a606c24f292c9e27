//! Connections that the core knows before they have a port.

use crate::clock;
use crate::runtime::Io;
use router_engine::Action;
use router_engine::core::connection::{ConnHandle, ConnParams};
use router_engine::core::ids::ConnId;

/// A connection in the core whose handshake is under way. Dropped for whatever reason before a port
/// takes it over, it is taken out of the core again.
#[derive(Debug)]
pub(super) struct Registration {
    io: Io,
    handle: ConnHandle,
    has_port: bool,
}

// === impl Registration ===

impl Registration {
    pub(super) fn new(io: &Io, params: ConnParams) -> Self {
        let handle = io.router().connect(params, clock::now());
        Self { io: io.clone(), handle, has_port: false }
    }

    pub(super) const fn id(&self) -> ConnId {
        self.handle.id
    }

    /// Leaves the connection to the port that is made with the handle.
    pub(super) fn into_handle(mut self) -> ConnHandle {
        self.has_port = true;
        self.handle.clone()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if !self.has_port {
            self.io.router().submit(self.handle.id, &mut vec![Action::Closed], &mut Vec::new(), clock::now());
        }
    }
}
