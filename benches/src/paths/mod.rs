//! The paths. Each is a value that is set up once, and goes its way as often as it is told to.

pub mod codec;
pub mod core;
pub mod flows;
pub mod messages;
pub mod ring;

/// A path that is set up: goes it so many times.
pub type Path = Box<dyn FnMut(u64)>;

/// Sets a path up.
pub type SetUp = fn() -> Path;

/// All that are counted: a name, how often it is gone for a count, and what sets it up.
///
/// The counts are large enough that tables grow to their size, and small enough that all take well under a minute where
/// each instruction takes as long as fifty.
pub const ALL: &[(&str, u64, SetUp)] = &[
    ("codec-encode-transfer", 4000, || codec::encode("transfer")),
    ("codec-decode-transfer", 4000, || codec::decode("transfer")),
    ("codec-decode-disposition", 4000, || codec::decode("disposition")),
    ("codec-decode-flow", 4000, || codec::decode("flow")),
    ("message-scan-properties", 4000, || codec::scan_message("properties")),
    ("ring-push-pull", 4000, ring::hand_over),
    ("core-unsettled-batch", 200, core::unsettled_batch),
    ("router-message-unsettled", 2048, || messages::through(messages::Kind::Unsettled)),
    ("router-message-unsettled-policed", 2048, || messages::through(messages::Kind::UnsettledPoliced)),
    ("router-message-settled", 2048, || messages::through(messages::Kind::Settled)),
    ("router-message-64k", 256, || messages::through(messages::Kind::Large)),
    ("flow-two-routers-connection", 64, flows::connections),
    ("flow-two-routers-megabyte", 8, flows::megabytes),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_can_be_gone_again_and_again() {
        for (name, _, set_up) in ALL {
            println!("{name}");
            let mut path = set_up();
            path(2);
            path(3);
        }
    }
}
