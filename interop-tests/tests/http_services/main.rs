//! HTTP services with real clients and servers: through one router, two, and edge routers, with TLS and without; how
//! requests are balanced, and what becomes of them when servers die.

use std::net::SocketAddr;

use anyhow::Result;
use interop_tests::apps::{Encryption, Server, Site};
use interop_tests::harness::{Certificates, Port};
use interop_tests::http_services::{Net, Shape, Version};

mod attributes;
mod balancing;
mod beside_c;
mod curl;
mod failures;
mod grpc;
mod load;
mod python;
mod slow_readers;
mod websocket;

/// The attribute that gives listeners and connectors their certificates.
const TLS: [(&str, &str); 1] = [("sslProfile", "mesh")];

/// Tests of one check, each with the routers, the protocol and the encryption that it names.
macro_rules! through {
    ($check:path; $($name:ident: $shape:ident, $encryption:ident;)*) => {$(
        #[test]
        fn $name() {
            interop_tests::harness::run(|| {
                $check(interop_tests::http_services::Shape::$shape, interop_tests::apps::Encryption::$encryption)
            });
        }
    )*};
}
use through;

/// A service with a real server.
struct Scene {
    net: Net,
    entrance: SocketAddr,
    encryption: Encryption,
    // It is kept while it runs.
    _server: Server,
}

impl Scene {
    /// Starts the routers, the server and the service.
    fn open(
        shape: Shape,
        version: Version,
        encryption: Encryption,
        serve: impl FnOnce(Port, Site<'_>) -> Result<Server>,
    ) -> Result<Self> {
        let mut net = Net::start(shape)?;
        let folder = net.line.folder().join("server");
        std::fs::create_dir(&folder)?;
        let tls = encryption.is_at_server().then(|| net.certificates().clone());
        let server = serve(Port::reserve()?, Site { folder: &folder, tls: tls.as_ref() })?;
        let with_tls = |wanted: bool| if wanted { &TLS[..] } else { &[] };
        let (listener, connector) = (with_tls(encryption.is_at_client()), with_tls(encryption.is_at_server()));
        let entrance = net.serve_with(version, server.address(), listener, connector)?;
        Ok(Self { net, entrance, encryption, _server: server })
    }

    /// What clients use, if they are to speak TLS.
    fn client_tls(&self) -> Option<&Certificates> {
        self.encryption.is_at_client().then(|| self.net.certificates())
    }

    /// The beginning of URLs.
    fn base(&self) -> String {
        let scheme = if self.encryption.is_at_client() { "https" } else { "http" };
        format!("{scheme}://localhost:{}", self.entrance.port())
    }

    /// A file of the client's.
    fn file(&self, name: &str) -> std::path::PathBuf {
        self.net.line.folder().join(name)
    }

    /// A file of the server's.
    fn served(&self, name: &str) -> std::path::PathBuf {
        self.net.line.folder().join("server").join(name)
    }
}
