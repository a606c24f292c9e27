//! Addresses: from text to look-up key, and patterns that configure them.

pub mod name;
pub mod pattern;
