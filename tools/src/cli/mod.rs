//! What both command lines share.

mod connection;
mod run;
mod usage;

pub use connection::{ConnectionOptions, edge_address, interior_address};
pub use run::{Output, run};
pub use usage::{Generate, integer};
