//! Every way in which a flow is cut, by what its ends do at the time, with and without TLS, through one to three routers.

use anyhow::Result;
use interop_tests::harness::run;
use interop_tests::scenarios::cut::CutStage;
use interop_tests::scenarios::tcp::bulk_octets;
use interop_tests::topology::Dialler::Right;
use interop_tests::topology::LineBuilder;
use interop_tests::topology::Security::{self, MutualTls, Plain};

fn stage(routers: usize, security: Security, tls: bool) -> Result<CutStage> {
    CutStage::start(LineBuilder::ours(routers)?.joined(security, Right), routers - 1, tls)
}

/// Declares, per topology, one test that goes through all causes.
macro_rules! cuts {
    ($($name:ident: $routers:literal, $security:ident, $tls:literal;)*) => {$(
        #[test]
        fn $name() {
            run(|| stage($routers, $security, $tls)?.every_cause());
        }
    )*};
}

cuts! {
    one_router_plain: 1, Plain, false;
    one_router_tls_service: 1, Plain, true;
    two_routers_plain: 2, Plain, false;
    two_routers_tls_service: 2, Plain, true;
    two_routers_tls_mesh: 2, MutualTls, false;
    three_routers_plain: 3, Plain, false;
    three_routers_tls_service: 3, Plain, true;
    three_routers_tls_mesh: 3, MutualTls, false;
}

#[test]
fn a_download_cut_by_the_death_of_the_servers_router_is_not_complete() {
    run(|| stage(2, Plain, false)?.truncated_download(bulk_octets()));
}

#[test]
fn a_download_over_tls_cut_by_the_death_of_the_servers_router_is_not_complete() {
    run(|| stage(2, MutualTls, true)?.truncated_download(bulk_octets()));
}
