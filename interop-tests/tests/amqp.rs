//! AMQP clients of three implementations, through one router and through two that are joined with mutual TLS.

use interop_tests::harness::run;
use interop_tests::scenarios::amqp::{Peer, line_for, require, theme};
use interop_tests::topology::LineBuilder;

/// Declares a module with the given tests for each topology, for one peer.
macro_rules! themes {
    ($module:ident: $peer:expr, $themes:tt) => {
        mod $module {
            use super::*;

            themes!(@topology one_router, $peer, 1 routers, 0 to 0, $themes);
            themes!(@topology two_routers, $peer, 2 routers, 0 to 1, $themes);
        }
    };
    (@topology $topology:ident, $peer:expr, $count:literal routers, $from:literal to $to:literal,
        [$($theme:ident),* $(,)?]) => {
        mod $topology {
            use super::*;

            $(
                #[test]
                fn $theme() {
                    run(|| {
                        require($peer)?;
                        let line = line_for($peer, LineBuilder::ours($count)?).start()?;
                        theme(&line, $peer, stringify!($theme), $from, $to)
                    });
                }
            )*
        }
    };
}

themes!(proton: Peer::Proton, [
    unsettled, presettled, many, large_stream, anonymous, outcomes, drain, link_close, suspend, multicast, closest,
    balanced, request_reply, query, tls,
]);
themes!(rhea: Peer::Rhea, [
    unsettled, presettled, many, large_stream, anonymous, outcomes, drain, link_close, suspend, multicast, closest,
    balanced, request_reply, query, tls,
]);
themes!(rhea_over_websocket: Peer::RheaOverWebSocket, [
    unsettled, presettled, many, large_stream, anonymous, outcomes, drain, link_close, suspend, multicast, closest,
    balanced, request_reply, query, tls,
]);
themes!(fe2o3: Peer::Fe2o3, [
    unsettled, presettled, many, large_stream, anonymous, outcomes, drain, link_close, multicast, closest,
    balanced, request_reply, query,
]);
