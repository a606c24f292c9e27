//! What part a router plays in a network.

/// The mode of a router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// Not part of a network.
    #[default]
    Standalone,
    /// Takes part in link-state routing.
    Interior,
    /// Attached to an interior router.
    Edge,
}
