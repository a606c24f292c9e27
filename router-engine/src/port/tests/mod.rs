//! Ports joined by a router.
