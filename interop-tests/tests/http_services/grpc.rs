//! gRPC: calls of each kind, and all the ways in which they end.

use anyhow::Result;
use interop_tests::apps::{Encryption, Server, script};
use interop_tests::harness::output_of;
use interop_tests::http_services::{Shape, Version};

use crate::{Scene, through};

fn through_script(name: &str, shape: Shape, encryption: Encryption) -> Result<()> {
    let scene = Scene::open(shape, Version::Http2, encryption, |port, site| {
        let mut command = script("grpc", name)?;
        command.args(["serve", &port.address().to_string()]);
        if let Some(files) = site.tls {
            command.arg("--certificate").arg(&files.certificate).arg("--key").arg(&files.key);
        }
        Server::start(port, site.folder, &mut command)
    })?;
    let mut client = script("grpc", name)?;
    client.args(["call", &format!("localhost:{}", scene.entrance.port())]);
    if let Some(files) = scene.client_tls() {
        client.arg("--ca").arg(&files.ca);
    }
    output_of(&mut client, &[])?;
    scene.net.expect_no_errors()
}

/// Single ones, streams, many at a time, refused and cancelled ones.
fn calls(shape: Shape, encryption: Encryption) -> Result<()> {
    through_script("grpc_calls.py", shape, encryption)
}

/// Deadlines, cancellations that the server sees, and failures with trailers.
fn endings(shape: Shape, encryption: Encryption) -> Result<()> {
    through_script("grpc_endings.py", shape, encryption)
}

through! { calls;
    calls_one_router: One, Plain;
    calls_two_routers_tls_at_both_ends: Two, AtBothEnds;
    calls_clients_at_an_edge: EdgeClients, Plain;
    calls_servers_at_an_edge_tls_from_connector: EdgeServers, FromConnector;
}

through! { endings;
    endings_one_router: One, Plain;
    endings_two_routers_tls_to_listener: Two, ToListener;
    endings_clients_at_an_edge: EdgeClients, Plain;
}
