//! TCP services through one router and through two.

use anyhow::Result;
use interop_tests::harness::run;
use interop_tests::scenarios::tcp::{Stage, bulk_octets};
use interop_tests::topology::LineBuilder;

/// Declares one test per scenario for a service whose listener and connector are on the given routers of a line.
macro_rules! scenarios {
    ($topology:ident: $routers:literal routers, $listener:literal to $connector:literal) => {
        mod $topology {
            use super::*;

            fn stage() -> Result<Stage> {
                Stage::start(LineBuilder::ours($routers)?, $listener, $connector)
            }

            scenarios!(@each stage: echo, server_speaks_first, client_closes_first, server_closes_first,
                client_resets, server_resets, refused, connector_comes_and_goes, concurrent_flows);

            #[test]
            fn bulk() {
                run(|| stage()?.bulk(bulk_octets()));
            }
        }
    };
    (@each $stage:ident: $($scenario:ident),*) => {$(
        #[test]
        fn $scenario() {
            run(|| $stage()?.$scenario());
        }
    )*};
}

scenarios!(one_router: 1 routers, 0 to 0);
scenarios!(two_routers: 2 routers, 0 to 1);
scenarios!(two_routers_reversed: 2 routers, 1 to 0);

#[test]
fn service_returns_after_the_connectors_router_died() {
    run(|| Stage::start(LineBuilder::ours(2)?, 0, 1)?.survives_death_of(1));
}

#[test]
fn service_returns_after_the_listeners_router_died() {
    run(|| Stage::start(LineBuilder::ours(2)?, 0, 1)?.survives_death_of(0));
}

#[test]
fn service_returns_after_the_router_between_died() {
    run(|| Stage::start(LineBuilder::ours(3)?, 0, 2)?.survives_death_of(1));
}
