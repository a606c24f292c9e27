//! Router annotations as the core carries them with a delivery.

pub use amqp_core::message::{RouterAnnotations as Annotations, Trace};

/// Flag bits of the annotations (spec `inter-router-protocol.md` section 4.1).
pub mod flags {
    /// Forward at once.
    pub const STREAMING: u32 = 0x01;
    /// Try another destination when a consumer releases.
    pub const RESEND_RELEASED: u32 = 0x02;
    /// No per-message receive back-pressure.
    pub const DISABLE_Q2: u32 = 0x04;
    /// How many routers with consumers the delivery is to pass by, if there are any beyond: what its sender sent before was
    /// refused. Of this implementation; others hand it on.
    pub const PASSES_BY: u32 = 0x300;
    /// One such router, in [`PASSES_BY`].
    pub const PASS_BY_ONE: u32 = 0x100;
    /// The sender takes a window of the receiver's choice, and so do all routers so far: towards one that has not agreed
    /// to that it is cleared. Of this implementation, as the former.
    pub const WIDE: u32 = 0x400;
}
