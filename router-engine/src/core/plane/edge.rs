//! The plane of an edge router, which has its clients' links attached again at an interior router.

/// What an edge router knows of its uplink: until it can have one, its clients reach each other alone.
#[derive(Debug)]
pub(in crate::core) struct Edge;
