//! gRPC: a call of each kind, many at a time, refused and cancelled ones.

use anyhow::Result;
use interop_tests::apps::{Encryption, Routers, Stage, grpc};
use interop_tests::harness::output_of;

fn check(routers: Routers, encryption: Encryption) -> Result<()> {
    let mut stage = Stage::open(routers, encryption)?;
    let _server = stage.serve(grpc::serve)?;
    output_of(&mut grpc::client(&stage)?, &[])?;
    stage.expect_no_errors()
}

through! { check;
    one_router_tls_to_listener: One, ToListener;
    two_routers_tls_at_both_ends: Two, AtBothEnds;
    two_routers_tls_passed_through: Two, PassedThrough;
    upstream_first: UpstreamFirst, Plain;
    upstream_last_tls_at_both_ends: UpstreamLast, AtBothEnds;
}
