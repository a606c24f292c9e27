//! The header: what it tells, read and written.
//!
//! ```text
//!   0            12         13         14        16
//!   | signature  | version, | family,  | length  | addresses, TLVs: `length` octets
//!   |            | command  | protocol | of rest |
//! ```

use router_engine::exchange::head::ClientEnds;
use smallvec::SmallVec;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Octets that every header has.
pub const FIXED: usize = 16;
/// Octets of the addresses, at most.
pub const ADDRESSES_MAX: usize = 36;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Where a header of version 1 begins.
const TEXT: &[u8] = b"PROXY ";
/// Version 2 and command.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
/// Families and protocols.
const UNSPEC: u8 = 0x00;
const TCP_V4: u8 = 0x11;
const TCP_V6: u8 = 0x21;

/// The fixed part of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fixed {
    /// Octets of addresses and TLVs.
    pub len: usize,
    /// Of the addresses among them, if there are any that could be used.
    addresses: Option<Family>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

/// Why a header cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Something else comes.
    #[error("no PROXY protocol header")]
    Missing,
    /// It is of the version that is text.
    #[error("PROXY protocol of version 1; version 2 is expected")]
    Version1,
    /// The version is another, or the command unknown.
    #[error("unknown version or command 0x{0:02x} of the PROXY protocol")]
    Command(u8),
    /// There is no such family, or protocol.
    #[error("unknown address family or protocol 0x{0:02x} in a PROXY protocol header")]
    Family(u8),
    /// The addresses are longer than the header.
    #[error("PROXY protocol header too short for its addresses")]
    Short,
}

// === impl Fixed ===

impl Fixed {
    /// Reads the fixed part.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(octets: &[u8; FIXED]) -> Result<Self, HeaderError> {
        if octets.starts_with(TEXT) {
            return Err(HeaderError::Version1);
        }
        if !octets.starts_with(&SIGNATURE) {
            return Err(HeaderError::Missing);
        }
        let [command, family, high, low] = [octets[12], octets[13], octets[14], octets[15]];
        let len = usize::from(u16::from_be_bytes([high, low]));
        let addresses = match command {
            // Whatever the rest says.
            LOCAL => None,
            PROXY => Family::parse(family)?,
            other => return Err(HeaderError::Command(other)),
        };
        if addresses.is_some_and(|family| family.len() > len) {
            return Err(HeaderError::Short);
        }
        Ok(Self { len, addresses })
    }

    /// What the rest tells, of which this is the beginning; none when the connection is the proxy's own, or no TCP. TLVs
    /// are not looked at.
    #[must_use]
    pub fn ends(&self, rest: &[u8]) -> Option<ClientEnds> {
        let (client, server, ports) = match self.addresses? {
            Family::V4 => addresses::<4>(rest)?,
            Family::V6 => addresses::<16>(rest)?,
        };
        let [high, low, server_high, server_low] = *ports.first_chunk()?;
        let client = SocketAddr::new(client, u16::from_be_bytes([high, low]));
        let server = SocketAddr::new(server, u16::from_be_bytes([server_high, server_low]));
        Some(ClientEnds { client, server })
    }
}

/// Two addresses of so many octets, and what comes behind them.
fn addresses<const N: usize>(octets: &[u8]) -> Option<(IpAddr, IpAddr, &[u8])>
where
    IpAddr: From<[u8; N]>,
{
    let (client, rest) = octets.split_first_chunk()?;
    let (server, rest) = rest.split_first_chunk()?;
    Some(((*client).into(), (*server).into(), rest))
}

// === impl Family ===

impl Family {
    /// None of what is known, and has no addresses that could be used.
    const fn parse(octet: u8) -> Result<Option<Self>, HeaderError> {
        match octet {
            TCP_V4 => Ok(Some(Self::V4)),
            TCP_V6 => Ok(Some(Self::V6)),
            // Unspecified, IPv4, IPv6 or UNIX; over an unspecified protocol, streams or datagrams.
            other if other >> 4 <= 3 && other & 0xf <= 2 => Ok(None),
            other => Err(HeaderError::Family(other)),
        }
    }

    /// Octets of two addresses and two ports.
    const fn len(self) -> usize {
        match self {
            Self::V4 => 12,
            Self::V6 => ADDRESSES_MAX,
        }
    }
}

/// The header for a connection; one of the proxy's own if none.
#[must_use]
pub fn compose(ends: Option<ClientEnds>) -> SmallVec<[u8; 64]> {
    let mut out = SmallVec::new();
    out.extend_from_slice(&SIGNATURE);
    let Some(ClientEnds { client, server }) = ends else {
        out.extend_from_slice(&[LOCAL, UNSPEC, 0, 0]);
        return out;
    };
    if let (IpAddr::V4(from), IpAddr::V4(to)) = (client.ip(), server.ip()) {
        out.extend_from_slice(&[PROXY, TCP_V4, 0, 12]);
        [from, to].iter().for_each(|address| out.extend_from_slice(&address.octets()));
    } else {
        out.extend_from_slice(&[PROXY, TCP_V6, 0, 36]);
        [client, server].iter().for_each(|end| out.extend_from_slice(&as_v6(end.ip()).octets()));
    }
    [client, server].iter().for_each(|end| out.extend_from_slice(&end.port().to_be_bytes()));
    out
}

/// A header has one family.
const fn as_v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with these octets behind the signature, and what it tells.
    fn read(rest: &[u8]) -> Result<(usize, Option<ClientEnds>), HeaderError> {
        let octets = [&SIGNATURE[..], rest].concat();
        let (fixed, rest) = octets.split_first_chunk().expect("a fixed part");
        let fixed = Fixed::parse(fixed)?;
        Ok((fixed.len, fixed.ends(rest)))
    }

    fn ends(client: &str, server: &str) -> ClientEnds {
        let [client, server] = [client, server].map(|text| text.parse().expect("an address"));
        ClientEnds { client, server }
    }

    #[test]
    fn what_headers_tell() {
        let v4 = b"\x21\x11\0\x0c\xc0\0\x02\x01\xcb\0\x71\x09\xc8\x01\x01\xbb";
        assert_eq!(read(v4), Ok((12, Some(ends("192.0.2.1:51201", "203.0.113.9:443")))));
        let mut v6 = b"\x21\x21\0\x24".to_vec();
        v6.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
        v6.extend([[0; 15].as_slice(), &[1, 0xff, 0xff, 0, 80]].concat());
        assert_eq!(read(&v6), Ok((36, Some(ends("[2001:db8::7]:65535", "[::1]:80")))));
        // With TLVs.
        let longer = [b"\x21\x11\0\x10", &v4[4..], b"\x04\0\x01x"].concat();
        assert_eq!(read(&longer), Ok((16, Some(ends("192.0.2.1:51201", "203.0.113.9:443")))));
        for (rest, len) in [
            (&b"\x20\0\0\0"[..], 0),
            (b"\x20\x11\0\x0c\xc0\0\x02\x01\xcb\0\x71\x09\xc8\x01\x01\xbb", 12),
            (b"\x20\xff\xff\xff", 65535),
            (b"\x21\0\0\x05", 5),
            (b"\x21\x31\0\xd8", 216),
            (b"\x21\x12\0\x0c", 12),
        ] {
            assert_eq!(read(rest), Ok((len, None)), "{rest:x?}");
        }
    }

    #[test]
    fn what_is_none() {
        for (rest, error) in [
            (b"\x11\x11\0\x0c", HeaderError::Command(0x11)),
            (b"\x22\x11\0\x0c", HeaderError::Command(0x22)),
            (b"\x21\x41\0\x0c", HeaderError::Family(0x41)),
            (b"\x21\x13\0\x0c", HeaderError::Family(0x13)),
            (b"\x21\x11\0\x0b", HeaderError::Short),
            (b"\x21\x21\0\x0c", HeaderError::Short),
        ] {
            assert_eq!(read(rest), Err(error), "{rest:x?}");
        }
        assert_eq!(Fixed::parse(b"GET / HTTP/1.1\r\n"), Err(HeaderError::Missing));
        assert_eq!(Fixed::parse(b"PROXY TCP4 192.0"), Err(HeaderError::Version1));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mixed = ends("192.0.2.1:1", "[2001:db8::7]:2");
        for (told, expected) in [
            (ends("192.0.2.1:1", "203.0.113.9:443"), ends("192.0.2.1:1", "203.0.113.9:443")),
            (ends("[2001:db8::7]:1", "[::1]:65535"), ends("[2001:db8::7]:1", "[::1]:65535")),
            (mixed, ends("[::ffff:192.0.2.1]:1", "[2001:db8::7]:2")),
        ] {
            let written = compose(Some(told));
            assert_eq!(read(&written[12..]), Ok((written.len() - FIXED, Some(expected))));
        }
        assert_eq!(compose(None)[..], *b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
        assert_eq!(compose(Some(mixed)).len(), FIXED + ADDRESSES_MAX);
    }
}
