//! Which protocol a connection carries, from the first octets of its client.

use super::Side;

/// How an HTTP/2 client begins (RFC 9113 section 3.4).
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Octets of a server whose client has not said enough: so many are too many.
const SERVER_LIMIT: usize = 16_384;

/// Compares what a client sends with the preface of HTTP/2.
#[derive(Debug)]
pub(super) struct Detector {
    /// How much of the preface the client has sent, and nothing else.
    matched: usize,
    /// What the server has sent meanwhile.
    server: Vec<u8>,
}

/// What octets told of the protocol.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The next ones will tell.
    Undecided,
    /// Nobody can wait any longer.
    Unknown,
    /// It is not HTTP/2. It may be HTTP/1, which only its observer can tell.
    Http1(Replay),
    /// It is HTTP/2.
    Http2(Replay),
}

/// What has passed before the octets that decided.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Replay {
    pub(super) client: &'static [u8],
    pub(super) server: Vec<u8>,
}

// === impl Detector ===

impl Detector {
    pub(super) const fn new() -> Self {
        Self { matched: 0, server: Vec::new() }
    }

    pub(super) fn watch(&mut self, side: Side, octets: &[u8]) -> Verdict {
        match side {
            Side::Client => self.on_client(octets),
            Side::Server => self.on_server(octets),
        }
    }

    fn on_client(&mut self, octets: &[u8]) -> Verdict {
        let wanted = &PREFACE[self.matched..];
        let compared = wanted.len().min(octets.len());
        if octets[..compared] != wanted[..compared] {
            return Verdict::Http1(self.replay());
        }
        if compared == wanted.len() {
            return Verdict::Http2(self.replay());
        }
        self.matched += compared;
        Verdict::Undecided
    }

    fn on_server(&mut self, octets: &[u8]) -> Verdict {
        if self.server.len() + octets.len() >= SERVER_LIMIT {
            return Verdict::Unknown;
        }
        self.server.reserve_exact(octets.len());
        self.server.extend_from_slice(octets);
        Verdict::Undecided
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) const fn footprint(&self) -> usize {
        self.server.capacity()
    }

    fn replay(&mut self) -> Replay {
        Replay { client: &PREFACE[..self.matched], server: std::mem::take(&mut self.server) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http1(client: &'static [u8], server: &[u8]) -> Verdict {
        Verdict::Http1(Replay { client, server: server.to_vec() })
    }

    #[test]
    fn the_first_octet_that_differs_decides() {
        let mut detector = Detector::new();
        assert_eq!(detector.watch(Side::Server, b"hello"), Verdict::Undecided);
        assert_eq!(detector.watch(Side::Client, b"PRI * HTTP"), Verdict::Undecided);
        assert_eq!(detector.watch(Side::Client, b"/2."), Verdict::Undecided);
        assert_eq!(detector.watch(Side::Client, b"1\r\n"), http1(b"PRI * HTTP/2.", b"hello"));
        assert_eq!(Detector::new().watch(Side::Client, b"GET / HTTP/1.1\r\n"), http1(b"", b""));
        assert_eq!(Detector::new().watch(Side::Client, b"POST"), http1(b"", b""));
    }

    #[test]
    fn the_preface_decides() {
        for cut in 0..PREFACE.len() {
            let mut detector = Detector::new();
            assert_eq!(detector.watch(Side::Client, &PREFACE[..cut]), Verdict::Undecided);
            let replay = Replay { client: &PREFACE[..cut], server: vec![] };
            assert_eq!(detector.watch(Side::Client, &PREFACE[cut..]), Verdict::Http2(replay));
        }
        let replay = Replay { client: b"", server: vec![] };
        let longer = [PREFACE, &b"\0\0\0"[..]].concat();
        assert_eq!(Detector::new().watch(Side::Client, &longer), Verdict::Http2(replay));
    }

    #[test]
    fn a_server_says_only_so_much_first() {
        let mut detector = Detector::new();
        assert_eq!(detector.watch(Side::Server, &[0; SERVER_LIMIT - 1]), Verdict::Undecided);
        assert!(detector.footprint() < SERVER_LIMIT);
        assert_eq!(detector.watch(Side::Server, b"x"), Verdict::Unknown);
        assert_eq!(Detector::new().watch(Side::Server, &[0; SERVER_LIMIT]), Verdict::Unknown);
    }
}
