//! HTTP as octets: clients that can break every rule, and a server that writes down what it was asked.
//!
//! ```text
//!   http2::Client --+                       +-- Recorder: Record of each request, with what is wrong with it
//!                   +--> what is tested --> |
//!   http1::Client --+                       +-- answers by what the target says, or by a script
//! ```
//!
//! No HTTP library is at work here: one that refuses to send nonsense is no use, and one that accepts it hides what a
//! proxy has passed on.

pub mod frame;
pub mod hpack;
pub mod http1;
pub mod http2;
mod recorder;
mod recorder_http1;
mod recorder_http2;

pub use recorder::{Record, Recorder, Script, pattern};

use std::time::Duration;

/// How long one exchange of octets may take. It only bounds failures.
pub const LIMIT: Duration = Duration::from_secs(10);

/// A field's name and value.
pub type Field = (String, Vec<u8>);

/// The value of the first field of that name.
pub fn field<'a>(fields: &'a [Field], name: &str) -> Option<&'a [u8]> {
    fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_slice())
}

/// All values of that name.
pub fn fields<'a>(fields: &'a [Field], name: &str) -> Vec<&'a [u8]> {
    fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_slice()).collect()
}

/// Octets for messages, which nobody wants to have whole where they are many.
fn shown(octets: &[u8]) -> String {
    const SHOWN: usize = 60;
    let begin = octets[..octets.len().min(SHOWN)].escape_ascii();
    if octets.len() > SHOWN { format!("{begin}... ({} octets)", octets.len()) } else { begin.to_string() }
}

/// Fields for messages.
fn shown_fields(fields: &[Field]) -> String {
    let field = |(name, value): &Field| format!("{name}: {}", shown(value));
    fields.iter().map(field).collect::<Vec<_>>().join(", ")
}

/// Whether it is a token: what methods and names of fields are.
fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|octet| octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(octet))
}

/// Whether it may be the value of a field: no control characters but tabs, and no space around it.
fn is_field_value(value: &[u8]) -> bool {
    let is_space = |octet: Option<&u8>| matches!(octet, Some(b' ' | b'\t'));
    let is_allowed = |octet: &u8| *octet == b'\t' || !octet.is_ascii_control();
    value.iter().all(is_allowed) && !is_space(value.first()) && !is_space(value.last())
}

#[cfg(test)]
mod tests {
    use anyhow::Result;

    use super::frame::flag;
    use super::*;

    #[test]
    fn an_http1_client_and_the_recorder() -> Result<()> {
        let server = Recorder::start("alone")?;
        let mut client = http1::Client::connect(server.address())?;
        client.send("POST /a HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n");
        assert_eq!(client.answer("POST")?.body, b"/a");
        client.send("GET /a/chunked HTTP/1.1\r\nHost: b\r\n\r\n");
        assert_eq!(client.answer("GET")?.trailers, [("sum".to_owned(), b"1".to_vec())]);
        client.send("GET /a HTTP/1.1\nHost: b\r\n\r\n");
        client.expect_end()?;
        let records = server.about("/a");
        assert_eq!(records[0].body, b"body");
        assert!(records[0].is_whole && records[2].fault.is_some(), "{records:?}");
        Ok(())
    }

    #[test]
    fn an_http2_client_and_the_recorder() -> Result<()> {
        let server = Recorder::start("alone")?;
        let mut client = http2::Client::connect(server.address(), "/a")?;
        client.handshake().post(1).body(1, &pattern(200_000)).answer(1);
        client.request_at(3, flag::END, "GET", "/chunked/bytes/200000").answer(3).outcome()?;
        assert_eq!(client.answers[&1].body, b"/a");
        assert_eq!(client.answers[&3].body, pattern(200_000));
        assert_eq!(client.answers[&3].trailers, [("sum".to_owned(), b"1".to_vec())]);
        assert_eq!(server.about("/a")[0].body, pattern(200_000));
        client.request(5, flag::END, "GET", &[("Upper", "1")]).until("the end", |client| client.closed).outcome()?;
        assert!(server.about("").iter().any(|record| record.fault.is_some()));
        Ok(())
    }
}
