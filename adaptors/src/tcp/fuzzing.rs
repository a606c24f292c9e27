//! What the fuzz target and the property tests of the head of a stream run: each takes anything and panics when
//! something is wrong.
#![allow(clippy::missing_panics_doc, reason = "they are there to panic")]

use bytes::Bytes;
use router_engine::exchange::head::{ClientEnds, RequestHead, client_head, parse};
use std::net::{IpAddr, SocketAddr};

/// A message of any octets, in pieces that the first two octets choose. What is told of a part holds of the whole,
/// however that comes in pieces.
pub fn head(octets: &[u8]) {
    let Some((cuts, message)) = octets.split_at_checked(2) else { return };
    let message = Bytes::copy_from_slice(message);
    let mut cuts = [cuts[0], cuts[1]].map(|cut| usize::from(cut) * message.len() / 255);
    cuts.sort_unstable();
    let pieces = [message.slice(..cuts[0]), message.slice(cuts[0]..cuts[1]), message.slice(cuts[1]..)];
    let whole = parse(std::slice::from_ref(&message), true);
    assert_eq!(parse(&pieces, true), whole, "in pieces");
    for there in 0..=pieces.len() {
        match parse(&pieces[..there], false) {
            Ok(None) => {}
            Ok(head) => assert_eq!(Ok(head), whole, "with {there} pieces"),
            Err(_) => assert!(whole.is_err(), "refused with {there} pieces: {whole:?}"),
        }
    }
    if let Ok(Some(head)) = whole {
        let alone = message.slice(..head.len);
        assert_eq!(parse(&[alone], false), Ok(Some(head)), "without what follows");
    }
}

/// The ends of a client's connection.
pub type Ends = [(IpAddr, u16); 2];

fn request(to: &str, alpn: Option<&str>, ends: Option<Ends>) -> RequestHead {
    let ends = ends.map(|ends| ends.map(SocketAddr::from)).map(|[client, server]| ClientEnds { client, server });
    RequestHead { alpn: alpn.map(str::to_owned), ends, ..RequestHead::new(to) }
}

/// A head that this router writes is read back, with `payload` behind it.
pub fn written_head(to: &str, reply_to: &str, alpn: Option<&str>, ends: Option<Ends>, payload: &[u8]) {
    let request = request(to, alpn, ends);
    let written = client_head(&request, reply_to);
    let read = parse(&[written.clone(), Bytes::copy_from_slice(payload)], false).expect("a head");
    let read = read.expect("all of it");
    assert_eq!((read.len, read.reply_to.as_deref(), read.alpn.as_deref()), (written.len(), Some(reply_to), alpn));
    assert_eq!(read.ends, request.ends);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn heads_are_read_back(
            (to, reply_to) in (".{0,300}", ".{0,300}"),
            alpn in proptest::option::of(".{0,9}"),
            ends: Option<Ends>,
            payload in vec(any::<u8>(), 0..100),
        ) {
            written_head(&to, &reply_to, alpn.as_deref(), ends, &payload);
        }

        #[test]
        fn damaged_heads_are_the_same_in_pieces(cuts: (u8, u8), changes in vec((any::<usize>(), any::<u8>()), 0..4)) {
            let mut message = vec![cuts.0, cuts.1];
            let ends = [([192, 0, 2, 1].into(), 1), ([192, 0, 2, 2].into(), 2)];
            message.extend_from_slice(&client_head(&request("svc", Some("h2"), Some(ends)), "amqp:/_topo/0/R/temp.x"));
            message.extend_from_slice(b"payload");
            for (at, octet) in changes {
                let at = at % message.len();
                message[at] = octet;
            }
            head(&message);
        }
    }
}
