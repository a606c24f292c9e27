//! What the page's script is told, in JSON.

use super::problems::Problem;
use super::survey::{Network, Port};
use serde_json::{Value as Json, json};

/// A network at a time, in milliseconds since 1970, and when there will be news, in milliseconds.
pub(super) fn document(network: &Network, problems: &[Problem], time: u64, interval: u64) -> String {
    let routers = network.routers.iter().map(|(id, router)| {
        let figures = &router.figures;
        json!({
            "id": id,
            "mode": router.mode,
            "answered": router.answered,
            "version": router.version,
            "host": router.host,
            "uptime": figures.uptime,
            "resident": figures.resident,
            "connections": figures.connections,
            "addresses": figures.addresses,
            "deliveries": figures.ingress.saturating_add(figures.egress).saturating_add(figures.transit),
        })
    });
    let links = network.links.iter().map(|link| {
        json!({
            "ends": link.ends,
            "role": link.role,
            "cost": link.cost,
            "encrypted": link.encrypted,
            "standby": link.standby,
        })
    });
    let services = network.services.iter().map(|(address, service)| {
        json!({
            "address": address,
            "listeners": service.listeners.iter().map(port).collect::<Vec<_>>(),
            "connectors": service.connectors.iter().map(port).collect::<Vec<_>>(),
        })
    });
    let problems = problems
        .iter()
        .map(|problem| json!({ "severity": problem.severity.name(), "router": problem.router, "text": problem.text }));
    json!({
        "router": network.here,
        "time": time,
        "interval": interval,
        "routers": routers.collect::<Vec<_>>(),
        "links": links.collect::<Vec<_>>(),
        "services": services.collect::<Vec<_>>(),
        "problems": problems.collect::<Vec<_>>(),
        "leftOut": network.left_out,
    })
    .to_string()
}

fn port(port: &Port) -> Json {
    json!({
        "router": port.router,
        "name": port.name,
        "target": port.target,
        "up": port.up,
        "message": port.message,
        "opened": port.opened,
        "open": port.opened.saturating_sub(port.closed),
        "bytesIn": port.bytes_in,
        "bytesOut": port.bytes_out,
    })
}
