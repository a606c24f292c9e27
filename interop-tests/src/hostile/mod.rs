//! Peers that mean harm: bytes that no decent client sends, at every kind of listener.

mod attacks;
mod dice;
mod siege;
mod wire;

pub use attacks::{Attack, Pace};
pub use dice::Dice;
pub use siege::{Report, Siege, Target};
