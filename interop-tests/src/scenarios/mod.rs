//! What is checked, whichever routers carry it.

pub mod amqp;
pub mod cut;
pub mod long_path;
pub mod tcp;
