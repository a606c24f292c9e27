//! TCP services through one router and through two.

use anyhow::{Context, Result};
use interop_tests::harness::run;
use interop_tests::scenarios::tcp::{Stage, bulk_octets, opens_for_everybody};
use interop_tests::topology::{Dialler, LineBuilder, Security};

/// Declares one test per scenario for a service whose listener and connector are on the given routers of a line.
macro_rules! scenarios {
    ($topology:ident: $routers:literal routers, $listener:literal to $connector:literal) => {
        mod $topology {
            use super::*;

            fn stage() -> Result<Stage> {
                Stage::start(LineBuilder::ours($routers)?, $listener, $connector)
            }

            scenarios!(@each stage: echo, server_speaks_first, client_closes_first, server_closes_first,
                client_resets, server_resets, refused, connector_comes_and_goes, nearer_servers_refuse, concurrent_flows);

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

/// Rounds that try different moments at which the routers find each other.
const OPENINGS: usize = 4;

#[test]
fn port_opens_when_flows_succeed() {
    run(|| {
        for round in 0..OPENINGS {
            let dialler = if round % 2 == 0 { Dialler::Left } else { Dialler::Right };
            let line = LineBuilder::ours(3)?.joined(Security::Plain, dialler);
            opens_for_everybody(line, 3).with_context(|| format!("round {round}"))?;
        }
        Ok(())
    });
}

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

#[test]
fn servers_that_refuse_on_the_way_are_passed_by() {
    run(|| Stage::start(LineBuilder::ours(3)?, 0, 2)?.nearer_servers_refuse());
}
