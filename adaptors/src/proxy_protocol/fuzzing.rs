//! What the fuzz target and the property tests run: each takes anything and panics when something is wrong.
#![allow(clippy::missing_panics_doc, reason = "they are there to panic")]

use super::{FIXED, Fixed, compose};
use router_engine::exchange::head::ClientEnds;
use std::net::{IpAddr, SocketAddr};

/// A header of any octets. What it tells is told again by the header that is written of it.
pub fn header(octets: &[u8]) {
    let Some((fixed, rest)) = octets.split_first_chunk::<FIXED>() else { return };
    let Ok(fixed) = Fixed::parse(fixed) else { return };
    let told = fixed.ends(&rest[..fixed.len.min(rest.len())]);
    if told.is_some() {
        assert_eq!(read_back(told), told);
    }
}

/// A header that this router writes, of any addresses.
pub fn written(client: (IpAddr, u16), server: (IpAddr, u16)) {
    let [client, server] = [client, server].map(SocketAddr::from);
    let read = read_back(Some(ClientEnds { client, server })).expect("addresses");
    for (told, read) in [(client, read.client), (server, read.server)] {
        assert_eq!((told.ip().to_canonical(), told.port()), (read.ip().to_canonical(), read.port()));
    }
}

fn read_back(told: Option<ClientEnds>) -> Option<ClientEnds> {
    let written = compose(told);
    let (fixed, rest) = written.split_first_chunk::<FIXED>().expect("a fixed part");
    let fixed = Fixed::parse(fixed).expect("a header");
    assert_eq!(fixed.len, rest.len());
    fixed.ends(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_addresses_are_read_back(client: (IpAddr, u16), server: (IpAddr, u16)) {
            written(client, server);
        }

        #[test]
        fn damaged_headers_do_no_harm(
            client: (IpAddr, u16),
            changes in vec((any::<usize>(), any::<u8>()), 0..4),
            end in 0..60_usize,
        ) {
            let client = SocketAddr::from(client);
            let mut octets = compose(Some(ClientEnds { client, server: client })).to_vec();
            for (at, octet) in changes {
                let at = at % octets.len();
                octets[at] = octet;
            }
            octets.truncate(end);
            header(&octets);
        }
    }
}
