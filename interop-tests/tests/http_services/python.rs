//! Python's HTTP server and clients: requests, its own library's, and plain sockets.

use anyhow::Result;
use interop_tests::apps::{Encryption, Server, script};
use interop_tests::harness::output_of;
use interop_tests::http_services::{Shape, Version};

use crate::{Scene, through};

fn check(shape: Shape, encryption: Encryption) -> Result<()> {
    let scene = Scene::open(shape, Version::Http1, encryption, |port, site| {
        let mut command = script("requests", "web.py")?;
        command.args(["serve", &port.number().to_string()]);
        Server::start(port, site.folder, &mut command)
    })?;
    let mut client = script("requests", "web.py")?;
    client.args(["call", &scene.entrance.port().to_string()]);
    if let Some(files) = scene.client_tls() {
        client.arg("--ca").arg(&files.ca);
    }
    output_of(&mut client, &[])?;
    scene.net.expect_no_errors()
}

through! { check;
    one_router: One, Plain;
    two_routers_tls_to_listener: Two, ToListener;
    clients_at_an_edge: EdgeClients, Plain;
    servers_at_an_edge: EdgeServers, Plain;
}
