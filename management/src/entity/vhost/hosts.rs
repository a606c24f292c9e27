//! Hosts that users may connect from (spec `security-and-policy.md` 10.5).

use router_engine::policy::HostRange;
use std::net::{IpAddr, ToSocketAddrs, UdpSocket};

/// `*`, a host, or two hosts with a hyphen between them.
pub(super) fn range(text: &str) -> Result<HostRange, String> {
    if text == "*" {
        return Ok(HostRange::Any);
    }
    let ends: Vec<_> = text.split('-').map(str::trim).collect();
    let (low, high) = match ends[..] {
        [host] => {
            let address = address(host)?;
            (address, address)
        }
        [low, high] => (address(low)?, address(high)?),
        _ => return Err("hostspec must contain 1 or 2 host names".to_owned()),
    };
    HostRange::new(low, high).map_err(|error| error.to_string())
}

/// The only address of a host.
fn address(host: &str) -> Result<IpAddr, String> {
    let failed = |why: String| format!("HostStruct: '{host}' failed to resolve: '{why}'");
    let found = (host, 0).to_socket_addrs().map_err(|error| failed(error.to_string()))?;
    let mut found: Vec<_> = found.map(|address| address.ip()).collect();
    found.sort_unstable();
    found.dedup();
    // Names may have such addresses where there is no IPv6.
    if found.len() > 1 && !has_ipv6() {
        found.retain(IpAddr::is_ipv4);
    }
    match found[..] {
        [address] => Ok(address),
        [] => Err(failed(format!("HostStruct: '{host}' did not resolve to an IP address"))),
        _ => Err(failed(format!("HostStruct: '{host}' resolves to multiple IP addresses"))),
    }
}

fn has_ipv6() -> bool {
    UdpSocket::bind("[::1]:0").is_ok()
}
