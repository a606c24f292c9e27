//! The PROXY protocol, version 2: a proxy tells at the beginning of a connection on whose behalf it was made
//! (<https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt>).

#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod header;

pub use header::{ADDRESSES_MAX, FIXED, Fixed, HeaderError, compose};

use router_engine::exchange::head::ClientEnds;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Octets of TLVs that are passed over at a time.
const SKIP: usize = 256;

/// Why a connection does not begin as a proxy's should.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// Its header cannot be used.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// It ended or failed before.
    #[error("{0} within the PROXY protocol header")]
    Io(#[from] io::Error),
}

/// Reads a header, and not an octet more. None when the connection is the proxy's own, or the header tells nothing that
/// could be used.
///
/// # Errors
/// When there is no header, or no end of it.
pub async fn accept(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<ClientEnds>, ProxyError> {
    let mut octets = [0; FIXED];
    stream.read_exact(&mut octets).await?;
    let fixed = Fixed::parse(&octets)?;
    let mut addresses = [0; ADDRESSES_MAX];
    let addresses = &mut addresses[..fixed.len.min(ADDRESSES_MAX)];
    stream.read_exact(addresses).await?;
    let mut left = fixed.len - addresses.len();
    let mut passed_over = [0; SKIP];
    while left > 0 {
        let next = left.min(SKIP);
        stream.read_exact(&mut passed_over[..next]).await?;
        left -= next;
    }
    Ok(fixed.ends(addresses))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    #[tokio::test]
    async fn nothing_behind_the_header_is_read() {
        let ends = ClientEnds {
            client: "192.0.2.1:1".parse().expect("an address"),
            server: "192.0.2.2:2".parse().expect("an address"),
        };
        for told in [None, Some(ends)] {
            for tlvs in [0, 1, 30, SKIP, 5 * SKIP + 1, 65535 - ADDRESSES_MAX] {
                let mut header = compose(told).to_vec();
                let len = u16::try_from(header.len() - FIXED + tlvs).expect("fits");
                header[14..FIXED].copy_from_slice(&len.to_be_bytes());
                header.resize(header.len() + tlvs, 0xff);
                header.extend_from_slice(b"payload");
                let (mut near, mut far) = tokio::io::duplex(7);
                let sent = async {
                    far.write_all(&header).await.expect("sent");
                    drop(far);
                };
                let received = async {
                    assert_eq!(accept(&mut near).await.expect("a header"), told);
                    let mut rest = Vec::new();
                    near.read_to_end(&mut rest).await.expect("received");
                    assert_eq!(rest, b"payload");
                };
                tokio::join!(sent, received);
            }
        }
    }

    #[tokio::test]
    async fn a_header_without_its_end_is_named() {
        let header = compose(None);
        for end in 0..header.len() {
            let error = accept(&mut &header[..end]).await.expect_err("too short");
            assert!(error.to_string().ends_with("within the PROXY protocol header"), "{error}");
        }
        let error = accept(&mut &b"SSH-2.0-OpenSSH_9.2"[..]).await.expect_err("no header");
        assert_eq!(error.to_string(), "no PROXY protocol header");
    }
}
