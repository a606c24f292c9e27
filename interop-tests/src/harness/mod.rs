//! One router process and what a test needs around it.

mod binary;
mod certs;
mod config;
mod log;
mod management;
mod ports;
mod process;
mod router;
mod run;
mod wait;

pub use binary::Binary;
pub use certs::{Certificates, Identity};
pub use config::RouterConfig;
pub(crate) use config::TLS_PROFILE;
pub use log::{Level, Log, Mark};
pub use management::{Entity, Management};
pub use ports::Port;
pub use process::{Dialogue, finish, output_of};
pub use router::Router;
pub use run::{Skip, run, skip_unless};
pub use wait::{eventually, eventually_within, patience};
