//! What the fuzz targets of this room run.

use super::framing::{Framing, Verdict};
use super::message;

/// Reads octets as the message of a request, as that of an answer, and as a body.
pub fn messages(octets: &[u8]) {
    message::fuzzing::run(octets);
}

/// Looks at octets as what a client of HTTP/1 says: in one piece, in two, and octet by octet the same is found.
pub fn framing(octets: &[u8]) {
    let (&cut, octets) = octets.split_first().unwrap_or((&0, octets));
    let whole = refused_at(octets, octets.len().max(1));
    assert_eq!(refused_at(octets, usize::from(cut).max(1)), whole, "in pieces");
    assert_eq!(refused_at(octets, 1), whole, "octet by octet");
}

/// Whether octets that come in pieces of such a size are refused.
fn refused_at(octets: &[u8], size: usize) -> bool {
    let mut framing = Framing::default();
    octets.chunks(size).any(|piece| match framing.look(piece) {
        Verdict::Pass => false,
        Verdict::Refuse(good) => {
            assert!(good <= piece.len());
            true
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_octets(octets in prop::collection::vec(any::<u8>(), 0..400)) {
            messages(&octets);
            framing(&octets);
        }

        /// Of what conversations are made of, in any order.
        #[test]
        fn any_words(words in prop::collection::vec(prop::sample::select(WORDS), 0..24), cut in any::<u8>()) {
            framing(&[&[cut][..], words.concat().as_bytes()].concat());
        }
    }

    const WORDS: &[&str] = &[
        "GET / HTTP/1.1",
        "POST / HTTP/1.0",
        "CONNECT h:1 HTTP/1.1",
        "\r\n",
        "\n",
        "\r",
        ": ",
        "host: h",
        "content-length: 5",
        "transfer-encoding: chunked",
        "5",
        "0",
        "a;x",
        "hello",
        " ",
        "\0",
        "x",
        "upgrade: y",
        "\r\n\r\n",
    ];
}
