//! Clients that are held to the rules of a vhost.

use anyhow::{Result, ensure};
use interop_tests::harness::{Binary, Certificates, Management, Port, Router, RouterConfig, run};
use interop_tests::peers::Route;
use interop_tests::scenarios::amqp;
use serde_json::json;
use tempfile::TempDir;

const RULES: &str = r#"{
        "$default": {"remoteHosts": "127.0.0.1", "sources": "orders", "targets": "orders", "allowAnonymousSender": true,
                     "maxSenders": 2, "maxSessions": 7, "maxFrameSize": 4096, "maxMessageSize": 20000}
    }"#;

#[test]
fn proton_is_held_to_the_rules() {
    run(|| {
        let proton = amqp::proton()?;
        let folder = TempDir::new()?;
        let [allowed, denied, free] = [Port::reserve()?, Port::reserve()?, Port::reserve()?];
        let numbers = [&allowed, &denied, &free].map(|port| port.number().to_string());
        let listener = |port, vhost| [("host", "127.0.0.1"), ("port", port), ("policyVhost", vhost)];
        let admins = r#"{
        "$default": {"remoteHosts": "*", "sources": "*", "targets": "*", "allowDynamicSource": true}
    }"#;
        let config = RouterConfig::standalone("P")
            .section("policy", &[("enableVhostPolicy", "true")])
            .section("listener", &listener(numbers[0].as_str(), "clients"))
            .section("listener", &listener(numbers[1].as_str(), "nobody"))
            .section("listener", &listener(numbers[2].as_str(), "admins"))
            .section("vhost", &[("hostname", "clients"), ("allowUnknownUser", "true"), ("groups", RULES)])
            .section("vhost", &[("hostname", "admins"), ("allowUnknownUser", "true"), ("groups", admins)]);
        let router = Router::start(&Binary::ours()?, &config, folder.path())?;
        let route = Route {
            send: allowed.address(),
            recv: denied.address(),
            send_tls: allowed.address(),
            recv_tls: denied.address(),
            routers: vec!["P".to_owned()],
            certificates: Certificates::make(folder.path())?,
            over_websocket: false,
        };
        proton.run("policed", &route)?;
        check_figures(&mut Management::connect(free.address())?)?;
        drop(router);
        Ok(())
    });
}

fn check_figures(management: &mut Management) -> Result<()> {
    let vhosts = management.query("vhostStats")?;
    let clients = vhosts.iter().find(|vhost| vhost["hostname"] == "clients");
    let clients = clients.ok_or_else(|| anyhow::anyhow!("no statistics in {vhosts:?}"))?;
    for (name, wanted) in [
        ("connectionsCurrent", json!(0)),
        ("perUserState", json!({})),
        ("perHostState", json!({})),
        ("senderDenied", json!(2)),
        ("receiverDenied", json!(2)),
        ("maxMessageSizeDenied", json!(1)),
        ("connectionsDenied", json!(0)),
    ] {
        ensure!(clients[name] == wanted, "{name} is {} and not {wanted}", clients[name]);
    }
    let policy = management.query("policy")?.remove(0);
    for (name, wanted) in
        [("linksDenied", 4), ("maxMessageSizeDenied", 1), ("totalDenials", 5), ("connectionsDenied", 0)]
    {
        ensure!(policy[name] == json!(wanted), "{name} is {} and not {wanted}", policy[name]);
    }
    Ok(())
}
