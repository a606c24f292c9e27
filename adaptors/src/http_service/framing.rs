//! How the requests of an HTTP/1 connection are framed (RFC 9112), told before hyper gets them.
//!
//! Where two programs could take the end of a message for different places, requests can be smuggled past one of them. hyper
//! takes one place and repairs what it passes on; here such a request is refused.
//!
//! ```text
//!  Head --empty line--> Length --all octets--> Head
//!    |                                          ^
//!    '----> ChunkSize --> Chunk --> ChunkEnd --.|
//!               ^                              ||
//!               '------------------------------'|
//!           ChunkSize --0--> Trailers ----------'
//!  Head --CONNECT--> Open: from here on it may be anything
//! ```

/// Octets in a line of a head or in that of a chunk's size; hyper's bound for a whole head is the same.
const LINE_MAX: usize = 64 * 1024;

/// Digits of a length that are believed.
const DIGITS_MAX: usize = 18;

/// What becomes of octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// They may be a request.
    Pass,
    /// So many are good, then comes what is not.
    Refuse(usize),
}

/// Where in a conversation the next octet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In the request line or the fields, which have begun or not.
    Head,
    /// In a body of known length.
    Length(u64),
    ChunkSize,
    Chunk(u64),
    /// In the line end after a chunk.
    ChunkEnd,
    Trailers,
    /// Nothing is known of what comes.
    Open,
}

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Framing {
    state: State,
    /// Of the line that is being read, without its end.
    line: Vec<u8>,
    head: Head,
    /// Heads that are complete.
    heads: u64,
}

/// What the fields of a head say so far.
#[derive(Debug, Default)]
struct Head {
    /// The request line was read.
    begun: bool,
    /// HTTP/1.1 or later.
    current: bool,
    /// It is CONNECT: what comes next may be anything. The connection ends unless it is granted.
    opens: bool,
    length: Option<u64>,
    chunked: bool,
    hosts: usize,
}

/// It is no request that all would understand alike.
#[derive(Debug)]
struct Refused;

// === impl Framing ===

impl Default for Framing {
    fn default() -> Self {
        Self { state: State::Head, line: Vec::new(), head: Head::default(), heads: 0 }
    }
}

impl Framing {
    /// Looks at the next octets of a client.
    pub(super) fn look(&mut self, octets: &[u8]) -> Verdict {
        let mut at = 0;
        while at < octets.len() {
            match self.step(&octets[at..]) {
                Ok(taken) => at += taken,
                Err(Refused) => return Verdict::Refuse(at),
            }
        }
        Verdict::Pass
    }

    /// Whether what comes next belongs to a head.
    pub(super) fn is_at_head(&self) -> bool {
        self.state == State::Head
    }

    /// Whether a head has begun and is not complete.
    pub(super) fn is_within_head(&self) -> bool {
        self.state == State::Head && (self.head.begun || !self.line.is_empty())
    }

    /// Heads that were complete so far.
    pub(super) const fn heads(&self) -> u64 {
        self.heads
    }

    /// Takes some octets, at least one.
    fn step(&mut self, octets: &[u8]) -> Result<usize, Refused> {
        match self.state {
            State::Open => Ok(octets.len()),
            State::Length(left) => Ok(self.pass(octets, left, State::Length, State::Head)),
            State::Chunk(left) => Ok(self.pass(octets, left, State::Chunk, State::ChunkEnd)),
            State::Head | State::ChunkSize | State::ChunkEnd | State::Trailers => self.take_line(octets),
        }
    }

    fn pass(&mut self, octets: &[u8], left: u64, within: fn(u64) -> State, behind: State) -> usize {
        let taken = octets.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let left = left - taken as u64;
        self.state = if left == 0 { behind } else { within(left) };
        taken
    }

    fn take_line(&mut self, octets: &[u8]) -> Result<usize, Refused> {
        let Some(end) = octets.iter().position(|&octet| octet == b'\n') else {
            self.line.extend_from_slice(octets);
            return if self.line.len() > LINE_MAX { Err(Refused) } else { Ok(octets.len()) };
        };
        let mut kept = std::mem::take(&mut self.line);
        let line = if kept.is_empty() {
            &octets[..end]
        } else {
            kept.extend_from_slice(&octets[..end]);
            &kept[..]
        };
        let line = line.strip_suffix(b"\r").ok_or(Refused)?;
        if line.contains(&b'\r') || line.contains(&0) || line.len() > LINE_MAX {
            return Err(Refused);
        }
        self.on_line(line)?;
        kept.clear();
        self.line = kept;
        Ok(end + 1)
    }

    fn on_line(&mut self, line: &[u8]) -> Result<(), Refused> {
        self.state = match self.state {
            State::Head if line.is_empty() && !self.head.begun => State::Head,
            State::Head if line.is_empty() => {
                self.heads += 1;
                std::mem::take(&mut self.head).body()?
            }
            State::Head => {
                self.head.line(line)?;
                State::Head
            }
            State::ChunkSize => match chunk_size(line)? {
                0 => State::Trailers,
                size => State::Chunk(size),
            },
            State::ChunkEnd if line.is_empty() => State::ChunkSize,
            State::ChunkEnd => return Err(Refused),
            State::Trailers if line.is_empty() => State::Head,
            State::Trailers => {
                split_field(line)?;
                State::Trailers
            }
            other => other,
        };
        Ok(())
    }
}

// === impl Head ===

impl Head {
    fn line(&mut self, line: &[u8]) -> Result<(), Refused> {
        if !self.begun {
            if !line.iter().all(|octet| (b' '..=b'~').contains(octet)) {
                return Err(Refused);
            }
            self.begun = true;
            self.opens = line.starts_with(b"CONNECT ");
            self.current = line.ends_with(b" HTTP/1.1");
            return Ok(());
        }
        let (name, value) = split_field(line)?;
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = number(value, 10)?;
            if self.length.replace(length).is_some() {
                return Err(Refused);
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if std::mem::replace(&mut self.chunked, true) || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Refused);
            }
        } else if name.eq_ignore_ascii_case(b"host") {
            if !is_authority(value) {
                return Err(Refused);
            }
            self.hosts += 1;
        }
        Ok(())
    }

    /// The head is complete.
    fn body(self) -> Result<State, Refused> {
        let both = self.chunked && self.length.is_some();
        let old_and_chunked = self.chunked && !self.current;
        let hosts_fit = if self.current { self.hosts == 1 } else { self.hosts <= 1 };
        if both || old_and_chunked || !hosts_fit {
            return Err(Refused);
        }
        Ok(match self.length {
            _ if self.opens => State::Open,
            _ if self.chunked => State::ChunkSize,
            None | Some(0) => State::Head,
            Some(length) => State::Length(length),
        })
    }
}

/// Name and value of a field, which begins its line, and whose colon follows the name at once.
fn split_field(line: &[u8]) -> Result<(&[u8], &[u8]), Refused> {
    let colon = line.iter().position(|&octet| octet == b':').ok_or(Refused)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if name.is_empty() || !name.iter().all(|&octet| is_token(octet)) {
        return Err(Refused);
    }
    Ok((name, value.trim_ascii()))
}

/// Whether it is a host, with or without a port (RFC 3986 3.2), or nothing.
#[must_use]
pub fn is_authority(value: &[u8]) -> bool {
    let is_digits = |digits: &[u8]| digits.iter().all(u8::is_ascii_digit);
    if let Some(value) = value.strip_prefix(b"[") {
        let Some(end) = value.iter().position(|&octet| octet == b']') else { return false };
        let (literal, port) = (&value[..end], &value[end + 1..]);
        let is_literal = |octet: &u8| octet.is_ascii_alphanumeric() || b":.-_~%".contains(octet);
        return !literal.is_empty()
            && literal.iter().all(is_literal)
            && (port.is_empty() || port.strip_prefix(b":").is_some_and(is_digits));
    }
    let end = value.iter().position(|&octet| octet == b':').unwrap_or(value.len());
    let (name, port) = (&value[..end], &value[end..]);
    name.iter().all(|octet| octet.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(octet))
        && (port.is_empty() || is_digits(&port[1..]))
}

/// Whether an octet may be in a token (RFC 9110 5.6.2).
const fn is_token(octet: u8) -> bool {
    octet.is_ascii_alphanumeric()
        || matches!(
            octet,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

fn chunk_size(line: &[u8]) -> Result<u64, Refused> {
    let (size, extension) = match line.iter().position(|octet| !octet.is_ascii_hexdigit()) {
        Some(end) => line.split_at(end),
        None => (line, &[][..]),
    };
    if !(extension.is_empty() || extension.trim_ascii_start().starts_with(b";")) {
        return Err(Refused);
    }
    number(size, 16)
}

fn number(digits: &[u8], radix: u32) -> Result<u64, Refused> {
    if digits.is_empty() || digits.len() > DIGITS_MAX || !digits.iter().all(|&octet| (octet as char).is_digit(radix)) {
        return Err(Refused);
    }
    let digits = std::str::from_utf8(digits).map_err(|_| Refused)?;
    u64::from_str_radix(digits, radix).map_err(|_| Refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn verdict(octets: &[u8]) -> Verdict {
        Framing::default().look(octets)
    }

    const GOOD: &[&[u8]] = &[
        b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"\r\nGET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost:h\r\ncontent-length: 5\r\n\r\nab\ncdGET / HTTP/1.1\r\nhost: h\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost:h\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=y\r\na\nb\r\n0\r\nx: y\r\n\r\nGET / HTTP/1.1\r\nhost: h\r\n\r\n",
        b"CONNECT h:1 HTTP/1.1\r\nhost: h:1\r\n\r\n\0\n\n",
    ];

    const BAD: &[&[u8]] = &[
        b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 5, 5\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: +5\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked, identity\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: xchunked\r\n\r\n",
        b"POST / HTTP/1.0\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: h\r\nx: a\r\n b\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: h\r\nx: a\rb\r\n\r\n",
        b"GET / HTTP/1.1\nhost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: h\n\r\n",
        b"GET / HTTP/1.1\r\nhost: h\r\nx : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: h\r\nx: a\0\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: h\r\nhost: i\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: h\r\n: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: h\r\nno field\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n",
        b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n0x3\r\nabc\r\n",
        b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffffff\r\n",
        b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabcd\r\n",
        b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\nabc\r\n",
        b"GET / HTTP/1.1\r\nhost: h\r\nupgrade: x\r\n\r\nGET / HTTP/1.1\n\n",
    ];

    #[test]
    fn what_all_understand_alike_passes() {
        for octets in GOOD {
            assert_eq!(verdict(octets), Verdict::Pass, "{:?}", String::from_utf8_lossy(octets));
        }
    }

    #[test]
    fn what_could_be_two_things_is_refused() {
        for octets in BAD {
            assert_ne!(verdict(octets), Verdict::Pass, "{:?}", String::from_utf8_lossy(octets));
        }
    }

    #[test]
    fn a_line_without_end_is_refused_in_time() {
        let mut framing = Framing::default();
        let most = (0..).find(|_| framing.look(&[b'x'; 1024]) != Verdict::Pass).expect("at some time");
        assert!((60..=66).contains(&most), "{most}");
    }

    #[test]
    fn a_head_is_under_way_from_its_first_octet_to_its_last() {
        let mut framing = Framing::default();
        assert!(!framing.is_within_head());
        for piece in [&b"G"[..], b"ET / HTTP/1.1\r\n", b"host: h\r\n", b"\r"] {
            framing.look(piece);
            assert!(framing.is_within_head());
        }
        framing.look(b"\n");
        assert!(!framing.is_within_head());
    }

    proptest! {
        #[test]
        fn the_pieces_do_not_matter(which in 0..GOOD.len() + BAD.len(), cuts in prop::collection::vec(any::<usize>(), 0..8)) {
            let octets = GOOD.iter().chain(BAD).nth(which).expect("there");
            let mut framing = Framing::default();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % octets.len()).chain([octets.len()]).collect();
            cuts.sort_unstable();
            let mut from = 0;
            let mut passes = true;
            for cut in cuts {
                passes &= framing.look(&octets[from..cut]) == Verdict::Pass;
                from = cut;
            }
            prop_assert_eq!(passes, which < GOOD.len());
        }
    }
}
