//! The SASL layer, done before the AMQP client gets the stream: it can offer one mechanism only, without having seen
//! which ones the router has.

use fe2o3_amqp::types::primitives::{Binary, Symbol};
use fe2o3_amqp::types::sasl::{SaslCode, SaslInit, SaslMechanisms, SaslOutcome};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::handshake::HandshakeError;

/// The protocol header of the layer.
const HEADER: &[u8; 8] = b"AMQP\x03\x01\x00\x00";
/// Frames of the layer are at most this long (AMQP 1.0 section 5.3.1).
const MAX_FRAME: usize = 512;
/// Size, data offset, type, channel.
const FRAME_HEADER: usize = 8;

/// Who we say we are.
#[derive(Clone, Debug, Default)]
pub struct Sasl {
    /// The mechanisms that may be used, if not all.
    pub allowed: Option<Vec<String>>,
    /// User of PLAIN.
    pub user: Option<String>,
    /// Password of PLAIN.
    pub password: Option<String>,
    /// Whether TLS showed a certificate of ours.
    pub certified: bool,
}

// === impl Sasl ===

impl Sasl {
    /// Goes through the layer: afterwards the stream is where AMQP begins.
    pub(super) async fn negotiate<S>(&self, stream: &mut S, host: &str) -> Result<(), HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        stream.write_all(HEADER).await?;
        stream.flush().await?;
        let mut header = [0; 8];
        stream.read_exact(&mut header).await.map_err(HandshakeError::no_header)?;
        if header != *HEADER {
            return Err(HandshakeError::header(header));
        }
        let offered: SaslMechanisms = decode(&read_frame(stream).await?)?;
        let offered: Vec<String> = offered.sasl_server_mechanisms.0.into_iter().map(|name| name.0).collect();
        let mechanism = self.choose(&offered).ok_or_else(|| no_mechanism(&offered))?;
        write_frame(stream, &self.init(mechanism, host)).await?;
        let outcome: SaslOutcome = decode(&read_frame(stream).await?)?;
        match outcome.code {
            SaslCode::Ok => Ok(()),
            _ => Err(HandshakeError::unauthorized(format!("Authentication failed [mech={mechanism}]"))),
        }
    }

    /// The strongest mechanism that the router offers and we can do.
    fn choose(&self, offered: &[String]) -> Option<&'static str> {
        let explicit = |name: &str| self.allowed.as_ref().is_some_and(|allowed| allowed.iter().any(|one| one == name));
        let candidates = [
            ("EXTERNAL", self.certified || explicit("EXTERNAL")),
            ("PLAIN", self.user.is_some() && self.password.is_some()),
            ("ANONYMOUS", true),
        ];
        let usable = candidates.iter().filter(|(_, possible)| *possible).map(|(name, _)| *name);
        let mut usable = usable.filter(|name| self.allowed.is_none() || explicit(name));
        usable.find(|name| offered.iter().any(|one| one == name))
    }

    fn init(&self, mechanism: &'static str, host: &str) -> SaslInit {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let response = match mechanism {
            "PLAIN" => format!("\0{}\0{}", text(&self.user), text(&self.password)),
            "ANONYMOUS" => "anonymous".to_owned(),
            _ => String::new(),
        };
        SaslInit {
            mechanism: Symbol::from(mechanism),
            initial_response: Some(Binary::from(response.into_bytes())),
            hostname: Some(host.to_owned()),
        }
    }
}

fn no_mechanism(offered: &[String]) -> HandshakeError {
    let offered = offered.join(" ");
    HandshakeError::unauthorized(format!("Authentication failed [mech=none], the router offers: {offered}"))
}

async fn read_frame<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Vec<u8>, HandshakeError> {
    let mut header = [0; FRAME_HEADER];
    stream.read_exact(&mut header).await?;
    let size = u32::from_be_bytes([header[0], header[1], header[2], header[3]]) as usize;
    let skipped = usize::from(header[4]) * 4;
    if header[5] != 1 || skipped < FRAME_HEADER || !(skipped..=MAX_FRAME).contains(&size) {
        return Err(HandshakeError::framing("not a SASL frame"));
    }
    let mut rest = vec![0; size - FRAME_HEADER];
    stream.read_exact(&mut rest).await?;
    Ok(rest.split_off(skipped - FRAME_HEADER))
}

async fn write_frame<S: AsyncWrite + Unpin>(stream: &mut S, init: &SaslInit) -> Result<(), HandshakeError> {
    let body = serde_amqp::to_vec(init).map_err(|error| HandshakeError::framing(error.to_string()))?;
    let size = u32::try_from(body.len() + FRAME_HEADER).unwrap_or(u32::MAX);
    let mut frame = size.to_be_bytes().to_vec();
    frame.extend([2, 1, 0, 0]);
    frame.extend(body);
    stream.write_all(&frame).await?;
    Ok(stream.flush().await?)
}

fn decode<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, HandshakeError> {
    serde_amqp::from_slice(body).map_err(|error| HandshakeError::framing(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(sasl: &Sasl, offered: &str) -> Option<&'static str> {
        sasl.choose(&offered.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn the_strongest_possible_mechanism_is_chosen() {
        let named = Sasl { user: Some("u".into()), password: Some("p".into()), ..Sasl::default() };
        let certified = Sasl { certified: true, ..named.clone() };
        assert_eq!(choice(&certified, "ANONYMOUS PLAIN EXTERNAL"), Some("EXTERNAL"));
        assert_eq!(choice(&named, "ANONYMOUS PLAIN EXTERNAL"), Some("PLAIN"));
        assert_eq!(choice(&Sasl::default(), "PLAIN ANONYMOUS"), Some("ANONYMOUS"));
        assert_eq!(choice(&Sasl::default(), "PLAIN EXTERNAL"), None);
    }

    #[test]
    fn only_allowed_mechanisms_are_chosen() {
        let external = Sasl { allowed: Some(vec!["EXTERNAL".into()]), ..Sasl::default() };
        assert_eq!(choice(&external, "ANONYMOUS EXTERNAL"), Some("EXTERNAL"));
        assert_eq!(choice(&external, "ANONYMOUS"), None);
    }
}
