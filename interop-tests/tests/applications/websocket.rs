//! WebSocket: small and large messages, and an end in good order.

use anyhow::Result;
use interop_tests::apps::{Encryption, Routers, Stage, websocket};
use interop_tests::harness::Dialogue;

fn check(routers: Routers, encryption: Encryption) -> Result<()> {
    let mut stage = Stage::open(routers, encryption)?;
    let _server = stage.serve(websocket::serve)?;
    let mut client = Dialogue::start(&mut websocket::client(&stage)?)?;
    client.hear("open")?;
    for octets in [0, 1, 125, 126, 65_535, 65_536, 4_000_000].into_iter().chain(1..100) {
        client.say(&octets.to_string())?;
        client.hear(&format!("echoed {octets}"))?;
    }
    client.end_input();
    client.hear("closed 1000")?;
    // The C router's observer goes on looking for HTTP after the upgrade.
    let confused = "HTTP/1.1 observer disabled due to protocol error: protocol error: non USASCII data".to_owned();
    let explained = if routers == Routers::UpstreamFirst { vec![confused] } else { Vec::new() };
    stage.line.expect_no_errors(&explained)
}

through! { check;
    one_router_tls_at_both_ends: One, AtBothEnds;
    two_routers: Two, Plain;
    two_routers_tls_to_listener: Two, ToListener;
    upstream_first_tls_from_connector: UpstreamFirst, FromConnector;
    upstream_last_tls_passed_through: UpstreamLast, PassedThrough;
}
