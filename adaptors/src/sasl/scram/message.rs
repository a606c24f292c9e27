//! The messages (RFC 5802, section 7).

use super::{Fault, decoded};
use std::borrow::Cow;

/// A SASL frame is not longer.
const MAX_MESSAGE: usize = 2048;
/// The server's first message repeats the client's nonce, and fits into the SASL frame that any peer takes.
const MAX_CLIENT_NONCE: usize = 256;

/// What a client says first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFirst<'a> {
    /// What is before the name; repeated by the last message.
    pub(super) gs2_header: &'a str,
    /// What is behind it; a part of the conversation.
    pub(super) bare: &'a str,
    pub(super) username: String,
    pub(super) nonce: &'a str,
}

/// What the server says first.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ServerFirst<'a> {
    pub(super) nonce: &'a str,
    pub(super) salt: Vec<u8>,
    pub(super) iterations: u32,
}

/// What the client says last.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFinal<'a> {
    /// The header of the first message.
    pub(super) gs2_header: Vec<u8>,
    pub(super) nonce: &'a str,
    pub(super) proof: Vec<u8>,
    /// A part of the conversation.
    pub(super) without_proof: &'a str,
}

/// What the server says last.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ServerFinal<'a> {
    Signature(Vec<u8>),
    Error(&'a str),
}

// === impl ClientFirst ===

impl<'a> ClientFirst<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Result<Self, Fault> {
        let text = text(message)?;
        let (binding, rest) = text.split_once(',').ok_or(Fault::Malformed("header"))?;
        match binding {
            // `y`: the client could bind to the channel, but thinks rightly that we cannot.
            "n" | "y" => {}
            _ if binding.starts_with("p=") => return Err(Fault::ChannelBinding),
            _ => return Err(Fault::Malformed("header")),
        }
        let (authzid, bare) = rest.split_once(',').ok_or(Fault::Malformed("header"))?;
        if let Some(name) = authzid.strip_prefix("a=") {
            unescaped(name)?;
        } else if !authzid.is_empty() {
            return Err(Fault::Malformed("header"));
        }
        let mut fields = Fields(bare.split(','));
        let username = unescaped(fields.first("n=", "name")?)?;
        let nonce = printable(fields.next("r=", "nonce")?)?;
        if nonce.len() > MAX_CLIENT_NONCE {
            return Err(Fault::TooLong);
        }
        Ok(Self { gs2_header: &text[..text.len() - bare.len()], bare, username, nonce })
    }
}

// === impl ServerFirst ===

impl<'a> ServerFirst<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Result<Self, Fault> {
        let text = text(message)?;
        let mut fields = Fields(text.split(','));
        let nonce = printable(fields.first("r=", "nonce")?)?;
        let salt = decoded(fields.next("s=", "salt")?, "salt")?;
        let iterations = fields.next("i=", "iteration count")?;
        if salt.is_empty() {
            return Err(Fault::Malformed("salt"));
        }
        let is_number = !iterations.is_empty() && iterations.bytes().all(|octet| octet.is_ascii_digit());
        let iterations = if is_number { iterations.parse() } else { Ok(0) };
        Ok(Self { nonce, salt, iterations: iterations.unwrap_or(u32::MAX) })
    }
}

// === impl ClientFinal ===

impl<'a> ClientFinal<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Result<Self, Fault> {
        let text = text(message)?;
        let (without_proof, proof) = text.rsplit_once(",p=").ok_or(Fault::Malformed("proof"))?;
        let proof = decoded(proof, "proof")?;
        let mut fields = Fields(without_proof.split(','));
        let gs2_header = decoded(fields.first("c=", "channel binding")?, "channel binding")?;
        Ok(Self { gs2_header, nonce: fields.next("r=", "nonce")?, proof, without_proof })
    }
}

// === impl ServerFinal ===

impl<'a> ServerFinal<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Result<Self, Fault> {
        let first = text(message)?.split(',').next().unwrap_or_default();
        match first.strip_prefix("e=") {
            Some(error) => Ok(Self::Error(error)),
            None => {
                let signature = first.strip_prefix("v=").ok_or(Fault::Malformed("signature"))?;
                Ok(Self::Signature(decoded(signature, "signature")?))
            }
        }
    }
}

/// The fields of a message, in their order. Those behind the last that is known are extensions, which may be ignored.
struct Fields<'a>(std::str::Split<'a, char>);

// === impl Fields ===

impl<'a> Fields<'a> {
    /// The first field; an extension that must not be ignored would be before it.
    fn first(&mut self, prefix: &str, what: &'static str) -> Result<&'a str, Fault> {
        let field = self.0.next().unwrap_or_default();
        if field.starts_with("m=") {
            return Err(Fault::Extension);
        }
        field.strip_prefix(prefix).ok_or(Fault::Malformed(what))
    }

    fn next(&mut self, prefix: &str, what: &'static str) -> Result<&'a str, Fault> {
        self.0.next().and_then(|field| field.strip_prefix(prefix)).ok_or(Fault::Malformed(what))
    }
}

fn text(message: &[u8]) -> Result<&str, Fault> {
    if message.len() > MAX_MESSAGE {
        return Err(Fault::TooLong);
    }
    std::str::from_utf8(message).map_err(|_| Fault::Malformed("not UTF-8"))
}

fn printable(nonce: &str) -> Result<&str, Fault> {
    let is_printable = !nonce.is_empty() && nonce.bytes().all(|octet| octet.is_ascii_graphic());
    is_printable.then_some(nonce).ok_or(Fault::Malformed("nonce"))
}

/// A name with commas and equal signs in their form in messages.
pub(super) fn escaped(name: &str) -> Cow<'_, str> {
    if name.contains(['=', ',']) { name.replace('=', "=3D").replace(',', "=2C").into() } else { name.into() }
}

/// The name behind that form.
fn unescaped(name: &str) -> Result<String, Fault> {
    let mut parts = name.split('=');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (sign, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (None, Some(rest)) => ('=', rest),
            (None, None) => return Err(Fault::Malformed("name")),
        };
        out.push(sign);
        out.push_str(rest);
    }
    // NUL would separate other parts of the database's keys.
    if out.is_empty() || out.contains('\0') { Err(Fault::Malformed("name")) } else { Ok(out) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(text: &str) -> Result<String, Fault> {
        ClientFirst::parse(text.as_bytes()).map(|first| first.username)
    }

    #[test]
    fn what_a_client_may_say_first() {
        let message = ClientFirst::parse(b"y,a=z,n=a=2Cb=3Dc@d,r=xyz,x=ignored").expect("well-formed");
        assert_eq!((message.gs2_header, message.bare), ("y,a=z,", "n=a=2Cb=3Dc@d,r=xyz,x=ignored"));
        assert_eq!((message.username.as_str(), message.nonce), ("a,b=c@d", "xyz"));
        for (text, fault) in [
            ("", Fault::Malformed("header")),
            ("n", Fault::Malformed("header")),
            ("n,", Fault::Malformed("header")),
            ("q,,n=u,r=1", Fault::Malformed("header")),
            ("n,z,n=u,r=1", Fault::Malformed("header")),
            ("n,,", Fault::Malformed("name")),
            ("n,,n=,r=1", Fault::Malformed("name")),
            ("n,,n=a=2cb,r=1", Fault::Malformed("name")),
            ("n,,n=a=,r=1", Fault::Malformed("name")),
            ("n,,n=a\0b,r=1", Fault::Malformed("name")),
            ("n,a==,n=a,r=1", Fault::Malformed("name")),
            ("n,,n=u", Fault::Malformed("nonce")),
            ("n,,n=u,r=", Fault::Malformed("nonce")),
            ("n,,n=u,r=a b", Fault::Malformed("nonce")),
            ("n,,m=1,n=u,r=1", Fault::Extension),
            ("p=tls-exporter,,n=u,r=1", Fault::ChannelBinding),
        ] {
            assert_eq!(first(text), Err(fault), "{text}");
        }
        assert_eq!(first(&format!("n,,n=u,r={}", "1".repeat(257))), Err(Fault::TooLong));
        assert_eq!(first(&format!("n,,n={},r=1", "u".repeat(2048))), Err(Fault::TooLong));
        assert_eq!(ClientFirst::parse(b"n,,n=\xff,r=1"), Err(Fault::Malformed("not UTF-8")));
    }

    #[test]
    fn what_follows() {
        let first = |text: &'static str| ServerFirst::parse(text.as_bytes()).map(|first| first.iterations);
        assert_eq!(first("r=ab,s=QQ==,i=4096,x=y"), Ok(4096));
        for (text, iterations) in [("0", 0), ("-1", 0), ("+5", 0), ("x", 0), ("", 0), ("99999999999", u32::MAX)] {
            let text = format!("r=ab,s=QQ==,i={text}");
            assert_eq!(ServerFirst::parse(text.as_bytes()).map(|first| first.iterations), Ok(iterations), "{text}");
        }
        assert_eq!(first("m=1,r=ab,s=QQ==,i=4096"), Err(Fault::Extension));
        for text in ["r=ab,s=?,i=4096", "r=ab,s=,i=4096", "r=ab,i=4096", "s=QQ==,r=ab,i=1", "r=,s=QQ==,i=1", ""] {
            assert!(matches!(first(text), Err(Fault::Malformed(_))), "{text}");
        }
        let last = ClientFinal::parse(b"c=biws,r=ab,x=1,p=QQ==").expect("well-formed");
        assert_eq!((&*last.gs2_header, last.nonce), (&b"n,,"[..], "ab"));
        assert_eq!((&*last.proof, last.without_proof), (&b"A"[..], "c=biws,r=ab,x=1"));
        for text in ["c=biws,r=ab", "c=biws,p=QQ==", "c=?,r=ab,p=QQ==", "r=ab,p=QQ==", "c=biws,r=ab,p=Q"] {
            assert!(matches!(ClientFinal::parse(text.as_bytes()), Err(Fault::Malformed(_))), "{text}");
        }
        assert_eq!(ServerFinal::parse(b"v=QQ==,x=1"), Ok(ServerFinal::Signature(b"A".to_vec())));
        assert_eq!(ServerFinal::parse(b"e=other-error"), Ok(ServerFinal::Error("other-error")));
        assert_eq!(ServerFinal::parse(b"x=1"), Err(Fault::Malformed("signature")));
    }

    #[test]
    fn names_come_back() {
        for name in ["u", "a,b", "=2C", "==,,", "Ünï@cödé", "a=b=c,"] {
            assert_eq!(unescaped(&escaped(name)).as_deref(), Ok(name));
            assert!(!escaped(name).contains(','));
        }
    }
}
