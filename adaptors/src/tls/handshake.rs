//! The TLS handshake, driven through rustls without buffers of its own.
//!
//! Records are shown to rustls one at a time, so that nothing behind the last handshake record is
//! touched before the traffic keys are taken over (see [`super::record`]). A record that holds a part
//! of a message stays in the input, opened in place, until rustls discards it with the message's end.

use super::error::TlsError;
use super::names;
use super::record::{Framed, Protector, frame};
use super::refusal::Verdict;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::kernel::KernelConnection;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedConnectionCommon, UnbufferedStatus};
use rustls::{ClientConfig, ConnectionTrafficSecrets, ExtractedSecrets, ServerConfig};
use std::sync::Arc;

/// Octets of handshake that a peer may send before it has to be complete.
const MAX_INPUT: usize = 128 * 1024;

/// What a completed handshake established.
#[derive(Debug, Clone)]
pub struct SessionInfo {
    /// The protocol name, for instance `TLSv1.3`.
    pub protocol: &'static str,
    /// The cipher's OpenSSL name.
    pub cipher: &'static str,
    /// Secret bits of the cipher.
    pub ssf: u32,
    /// The application protocol, when one was negotiated.
    pub alpn: Option<Vec<u8>>,
    /// The peer's own certificate.
    pub peer_certificate: Option<CertificateDer<'static>>,
}

/// Produces new traffic keys after the handshake.
pub(crate) enum KeySource {
    Client(KernelConnection<ClientConnectionData>),
    Server(KernelConnection<ServerConnectionData>),
    /// Known keys, of no handshake.
    #[cfg(any(test, feature = "fuzzing"))]
    Fixed(super::fuzzing::FixedKeys),
}

/// Everything that the record layer goes on with.
pub(crate) struct Established {
    pub(crate) sealer: Protector,
    pub(crate) opener: Protector,
    pub(crate) keys: KeySource,
    pub(crate) info: SessionInfo,
    /// Octets received behind the handshake.
    pub(crate) rest: Vec<u8>,
}

/// A handshake in progress.
pub(crate) struct Handshake {
    conn: Connection,
    /// Why the peer's certificate was refused, if it was.
    verdict: Verdict,
    input: Input,
    /// Octets to be sent.
    pub(crate) output: Vec<u8>,
}

/// Octets that came and that rustls has not discarded.
#[derive(Default)]
struct Input {
    octets: Vec<u8>,
    /// So many of them, whole records, rustls has been shown. It remembers places in them between calls,
    /// so that it has to be shown them again each time.
    shown: usize,
}

enum Connection {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
}

/// What a handshake needs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    NeedInput,
    Done,
}

// === impl Handshake ===

impl Handshake {
    /// The verifier of `config` leaves its reasons in `verdict`.
    pub(crate) fn client(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        verdict: Verdict,
    ) -> Result<Self, TlsError> {
        let conn = UnbufferedClientConnection::new(config, name)?;
        Ok(Self { conn: Connection::Client(Box::new(conn)), verdict, input: Input::default(), output: Vec::new() })
    }

    /// The verifier of `config` leaves its reasons in `verdict`.
    pub(crate) fn server(config: Arc<ServerConfig>, verdict: Verdict) -> Result<Self, TlsError> {
        let conn = UnbufferedServerConnection::new(config)?;
        Ok(Self { conn: Connection::Server(Box::new(conn)), verdict, input: Input::default(), output: Vec::new() })
    }

    /// Adds octets that came from the peer.
    pub(crate) fn feed(&mut self, data: &[u8]) -> Result<(), TlsError> {
        if self.input.octets.is_empty() && is_http(data) && matches!(self.conn, Connection::Server(_)) {
            return Err(TlsError::HttpRequest);
        }
        if self.input.octets.len() + data.len() > MAX_INPUT {
            return Err(TlsError::RecordTooLong);
        }
        self.input.octets.extend_from_slice(data);
        Ok(())
    }

    /// Goes on as far as the input allows. What is to be sent is left in `output`, also (the alert) after an error.
    pub(crate) fn advance(&mut self) -> Result<Progress, TlsError> {
        let progress = match &mut self.conn {
            Connection::Client(conn) => advance(&mut **conn, &mut self.input, &mut self.output),
            Connection::Server(conn) => advance(&mut **conn, &mut self.input, &mut self.output),
        };
        progress.map_err(|error| self.verdict.get().cloned().map_or(error, TlsError::Refused))
    }

    /// Takes over the traffic keys after [`Progress::Done`].
    pub(crate) fn finish(self) -> Result<Established, TlsError> {
        if self.input.shown > 0 {
            // A part of a message behind the last one: its record's key is no longer the one in use.
            return Err(TlsError::UnexpectedMessage);
        }
        let rest = self.input.octets;
        match self.conn {
            Connection::Client(conn) => {
                let info = info(&conn)?;
                let version = conn.protocol_version();
                let (secrets, keys) = conn.dangerous_into_kernel_connection()?;
                establish(version, secrets, KeySource::Client(keys), info, rest)
            }
            Connection::Server(conn) => {
                let info = info(&conn)?;
                let version = conn.protocol_version();
                let (secrets, keys) = conn.dangerous_into_kernel_connection()?;
                establish(version, secrets, KeySource::Server(keys), info, rest)
            }
        }
    }
}

fn establish(
    version: Option<rustls::ProtocolVersion>,
    secrets: ExtractedSecrets,
    keys: KeySource,
    info: SessionInfo,
    rest: Vec<u8>,
) -> Result<Established, TlsError> {
    let version = version.ok_or(TlsError::Internal("no protocol version"))?;
    let ((tx_sequence, tx), (rx_sequence, rx)) = (secrets.tx, secrets.rx);
    Ok(Established {
        sealer: Protector::new(version, tx_sequence, &tx)?,
        opener: Protector::new(version, rx_sequence, &rx)?,
        keys,
        info,
        rest,
    })
}

fn info(conn: &rustls::CommonState) -> Result<SessionInfo, TlsError> {
    let suite = conn.negotiated_cipher_suite().ok_or(TlsError::Internal("no cipher suite"))?;
    let (cipher, ssf) = names::cipher(suite.suite());
    Ok(SessionInfo {
        protocol: names::protocol(conn.protocol_version()),
        cipher,
        ssf,
        alpn: conn.alpn_protocol().map(<[u8]>::to_vec),
        peer_certificate: conn.peer_certificates().and_then(|c| c.first()).map(|c| c.clone().into_owned()),
    })
}

// === impl KeySource ===

impl KeySource {
    /// Whether these are a client's keys.
    pub(crate) const fn is_client(&self) -> bool {
        match self {
            Self::Client(_) => true,
            Self::Server(_) => false,
            #[cfg(any(test, feature = "fuzzing"))]
            Self::Fixed(keys) => keys.is_client(),
        }
    }

    /// The next keys for sending.
    pub(crate) fn update_sender(&mut self) -> Result<Protector, TlsError> {
        match self {
            Self::Client(keys) => protector(keys.protocol_version(), keys.update_tx_secret()?),
            Self::Server(keys) => protector(keys.protocol_version(), keys.update_tx_secret()?),
            #[cfg(any(test, feature = "fuzzing"))]
            Self::Fixed(keys) => Ok(keys.next_sender()),
        }
    }

    /// The next keys for receiving.
    pub(crate) fn update_receiver(&mut self) -> Result<Protector, TlsError> {
        match self {
            Self::Client(keys) => protector(keys.protocol_version(), keys.update_rx_secret()?),
            Self::Server(keys) => protector(keys.protocol_version(), keys.update_rx_secret()?),
            #[cfg(any(test, feature = "fuzzing"))]
            Self::Fixed(keys) => Ok(keys.next_receiver()),
        }
    }
}

fn protector(
    version: rustls::ProtocolVersion,
    (sequence, secrets): (u64, ConnectionTrafficSecrets),
) -> Result<Protector, TlsError> {
    Protector::new(version, sequence, &secrets)
}

/// What both kinds of rustls connection can do.
trait Side {
    type Data;
    fn process<'c, 'i>(&'c mut self, records: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
    fn handshaking(&self) -> bool;
}

impl Side for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(&'c mut self, records: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        UnbufferedConnectionCommon::<ClientConnectionData>::process_tls_records(self, records)
    }

    fn handshaking(&self) -> bool {
        self.is_handshaking()
    }
}

impl Side for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(&'c mut self, records: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        UnbufferedConnectionCommon::<ServerConnectionData>::process_tls_records(self, records)
    }

    fn handshaking(&self) -> bool {
        self.is_handshaking()
    }
}

fn advance<C: Side>(conn: &mut C, input: &mut Input, output: &mut Vec<u8>) -> Result<Progress, TlsError> {
    loop {
        let UnbufferedStatus { discard, state } = conn.process(input.shown());
        let blocked = match state {
            Ok(ConnectionState::EncodeTlsData(data)) => {
                encode(data, output)?;
                false
            }
            Ok(ConnectionState::TransmitTlsData(data)) => {
                data.done();
                false
            }
            Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => true,
            Ok(_) => return Err(TlsError::UnexpectedMessage),
            Err(error) => {
                input.discard(discard);
                take_alert(conn, input, output);
                return Err(error.into());
            }
        };
        input.discard(discard);
        if !blocked {
            continue;
        }
        if !conn.handshaking() {
            return Ok(Progress::Done);
        }
        if !input.show_next()? {
            return Ok(Progress::NeedInput);
        }
    }
}

fn encode<D>(mut data: EncodeTlsData<'_, D>, output: &mut Vec<u8>) -> Result<(), TlsError> {
    let at = output.len();
    let need = match data.encode(&mut []) {
        Ok(_) => return Ok(()),
        Err(EncodeError::InsufficientSize(size)) => size.required_size,
        Err(EncodeError::AlreadyEncoded) => return Err(TlsError::Internal("record encoded twice")),
    };
    output.resize(at + need, 0);
    let written = data.encode(&mut output[at..]).map_err(|_| TlsError::Internal("record does not fit"))?;
    output.truncate(at + written);
    Ok(())
}

/// Fetches the alert that rustls queued with an error.
fn take_alert<C: Side>(conn: &mut C, input: &mut Input, output: &mut Vec<u8>) {
    while let Ok(ConnectionState::EncodeTlsData(data)) = conn.process(input.shown()).state {
        if encode(data, output).is_err() {
            return;
        }
    }
}

// === impl Input ===

impl Input {
    fn shown(&mut self) -> &mut [u8] {
        &mut self.octets[..self.shown]
    }

    /// Removes octets from the front of what was shown.
    fn discard(&mut self, len: usize) {
        let len = len.min(self.shown);
        self.octets.drain(..len);
        self.shown -= len;
    }

    /// Shows one more record. False when there is no whole one.
    fn show_next(&mut self) -> Result<bool, TlsError> {
        match frame(&self.octets[self.shown..])? {
            Framed::Partial => Ok(false),
            Framed::Whole(len) => {
                self.shown += len;
                Ok(true)
            }
        }
    }
}

fn is_http(data: &[u8]) -> bool {
    [b"GET ".as_slice(), b"POST", b"HEAD", b"PUT ", b"DELE", b"OPTI", b"PRI "].iter().any(|m| data.starts_with(m))
}
