//! Peers that mean harm: bytes that no decent client sends, at every kind of listener; logins, crowds, routers and proxies
//! that are not what they should be.

mod attacks;
pub mod crowd;
mod dice;
pub mod liar;
pub mod proxies;
pub mod sasl;
mod siege;
mod watch;
mod wire;

pub use attacks::{Attack, Pace};
pub use dice::Dice;
pub use siege::{Report, Siege, Target};
pub use watch::{Limits, Watch};
