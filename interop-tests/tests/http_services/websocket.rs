//! WebSocket through listeners of HTTP/1: an upgrade, messages of every size, and an end in good order.

use anyhow::Result;
use interop_tests::apps::{Encryption, script, websocket};
use interop_tests::harness::Dialogue;
use interop_tests::http_services::{Shape, Version};

use crate::{Scene, through};

fn check(shape: Shape, encryption: Encryption) -> Result<()> {
    let scene = Scene::open(shape, Version::Http1, encryption, websocket::serve)?;
    let mut command = script("websockets", "websocket.py")?;
    command.args(["call", &scene.entrance.port().to_string()]);
    if let Some(files) = scene.client_tls() {
        command.arg("--ca").arg(&files.ca);
    }
    // A connection is that of one client, so each needs one of its own.
    let mut clients = [Dialogue::start(&mut command)?, Dialogue::start(&mut command)?];
    for octets in [0, 1, 125, 126, 65_535, 65_536, 4_000_000].into_iter().chain(1..50) {
        for client in &mut clients {
            client.say(&octets.to_string())?;
            client.hear(&format!("echoed {octets}"))?;
        }
    }
    for client in &mut clients {
        client.end_input();
        client.hear("closed 1000")?;
    }
    scene.net.expect_no_errors()
}

through! { check;
    one_router: One, Plain;
    two_routers_tls_at_both_ends: Two, AtBothEnds;
    clients_at_an_edge: EdgeClients, Plain;
}
