//! Switching the users of a profile to new values, all together.

use std::fmt;

/// New values of a TLS profile, loaded for one of its users and not in force yet. Dropped, they never will be.
#[must_use = "nothing has changed before it is applied"]
pub struct TlsUpdate(Box<dyn FnOnce() + Send>);

// === impl TlsUpdate ===

impl TlsUpdate {
    /// `apply` must not fail, nor wait.
    pub(crate) fn new(apply: impl FnOnce() + Send + 'static) -> Self {
        Self(Box::new(apply))
    }

    /// Puts the values in force.
    pub fn apply(self) {
        (self.0)();
    }
}

impl fmt::Debug for TlsUpdate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsUpdate").finish_non_exhaustive()
    }
}
