//! The head of a proxy's answer to CONNECT (RFC 9112), taken octet by octet: what is behind it is the tunnel's.

use super::Fault;

/// Characters of the first line.
const MAX_STATUS: usize = 256;
/// Octets of all lines, with those of answers that only inform.
const MAX_HEAD: usize = 16 * 1024;

/// An answer that is being read.
#[derive(Debug, Default)]
pub(super) struct Head {
    line: String,
    octets: usize,
    after_return: bool,
    status: Option<Status>,
}

/// The first line, from the code on.
#[derive(Debug)]
enum Status {
    /// It grants the tunnel.
    Granted(String),
    /// Another answer follows (RFC 9110, 15.2).
    Informational,
}

// === impl Head ===

impl Head {
    /// Takes an octet. `Some` with the last of an answer that grants the tunnel: its first line from the code on.
    ///
    /// # Errors
    /// Whatever is wrong; a refusal as soon as it is known.
    pub(super) fn push(&mut self, octet: u8) -> Result<Option<String>, Fault> {
        self.octets += 1;
        if self.octets > MAX_HEAD {
            return Err(Fault::NotTerminated);
        }
        match octet {
            b'\n' if self.after_return => {
                self.after_return = false;
                return self.end_line();
            }
            _ if self.after_return => return Err(Fault::CarriageReturn),
            b'\n' => return Err(Fault::LineFeed),
            b'\r' => self.after_return = true,
            b'\t' | b' '..=b'~' if octet != b'\t' || self.status.is_some() => self.line.push(char::from(octet)),
            _ => return Err(Fault::Character),
        }
        if self.status.is_none() && self.line.len() > MAX_STATUS { Err(Fault::TooLong(MAX_STATUS)) } else { Ok(None) }
    }

    fn end_line(&mut self) -> Result<Option<String>, Fault> {
        let line = std::mem::take(&mut self.line);
        match &self.status {
            None => {
                self.status = Some(status(&line)?);
                Ok(None)
            }
            Some(_) if line.is_empty() => Ok(match self.status.take() {
                Some(Status::Granted(status)) => Some(status),
                Some(Status::Informational) | None => None,
            }),
            Some(_) if line.contains(':') => Ok(None),
            Some(_) => Err(Fault::Header),
        }
    }
}

/// What the first line says, if that is not no.
fn status(line: &str) -> Result<Status, Fault> {
    let (version, status) = line.split_once(' ').ok_or(Fault::Version)?;
    if !["HTTP/1.0", "HTTP/1.1"].iter().any(|known| version.eq_ignore_ascii_case(known)) {
        return Err(Fault::Version);
    }
    match status.as_bytes() {
        [class, b'0'..=b'9', b'0'..=b'9'] | [class, b'0'..=b'9', b'0'..=b'9', b' ', ..] if class.is_ascii_digit() => {
            match class {
                b'2' => Ok(Status::Granted(status.to_owned())),
                // Nobody asked for another protocol.
                b'1' if !status.starts_with("101") => Ok(Status::Informational),
                _ => Err(Fault::Denied(status.to_owned())),
            }
        }
        _ => Err(Fault::StatusCode),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of an answer, and how many octets of it were taken.
    fn read(answer: &[u8]) -> (Result<Option<String>, Fault>, usize) {
        let mut head = Head::default();
        for (at, octet) in answer.iter().enumerate() {
            match head.push(*octet) {
                Ok(None) => {}
                end => return (end, at + 1),
            }
        }
        (Ok(None), answer.len())
    }

    #[test]
    fn what_is_behind_an_answer_is_left() {
        for (head, status) in [
            ("HTTP/1.0 200 Connection established\r\n\r\n", "200 Connection established"),
            ("http/1.1 299 \r\nVia:\t1.0 x\r\nA: b\r\n\r\n", "299 "),
            ("HTTP/1.1 200\r\n\r\n", "200"),
            ("HTTP/1.1 100\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "200 OK"),
        ] {
            let answer = format!("{head}AMQP\u{3}");
            assert_eq!(read(answer.as_bytes()), (Ok(Some(status.to_owned())), head.len()), "{head}");
        }
    }

    #[test]
    fn what_is_no_consent() {
        let many = format!("HTTP/1.1 200 OK\r\n{}", "A: 1234567890\r\n".repeat(1100));
        let long = format!("HTTP/1.1 200 {}", "x".repeat(300));
        for (answer, fault) in [
            ("HTTP/1.1 407 Authenticate\r\n", Fault::Denied("407 Authenticate".to_owned())),
            ("HTTP/1.1 101 Switching Protocols\r\n", Fault::Denied("101 Switching Protocols".to_owned())),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 No\r\n", Fault::Denied("403 No".to_owned())),
            ("HTTP/1.1 100 Continue\r\n\r\n\r\n", Fault::Version),
            (&"HTTP/1.1 102 Processing\r\n\r\n".repeat(1000), Fault::NotTerminated),
            ("HTTP/1.1 200 OK\n", Fault::LineFeed),
            ("HTTP/1.1 200 OK\r\r", Fault::CarriageReturn),
            ("HTTP/1.1 200\tOK", Fault::Character),
            ("HTTP/1.1 200 \u{e9}", Fault::Character),
            ("AMQP\u{3}", Fault::Character),
            ("HTTP/2 200 OK\r\n", Fault::Version),
            ("220 smtp.example\r\n", Fault::Version),
            ("\r\n", Fault::Version),
            ("HTTP/1.1  200 OK\r\n", Fault::StatusCode),
            ("HTTP/1.1 2000 OK\r\n", Fault::StatusCode),
            ("HTTP/1.1 2x0 OK\r\n", Fault::StatusCode),
            ("HTTP/1.1 200 OK\r\nno header\r\n", Fault::Header),
            (&many, Fault::NotTerminated),
            (&long, Fault::TooLong(MAX_STATUS)),
        ] {
            assert_eq!(read(answer.as_bytes()).0, Err(fault), "{answer}");
        }
        assert_eq!(read(b"HTTP/1.1 200 OK\r\nA: b\r\n").0, Ok(None), "more has to come");
    }
}
