//! Known answers: RFC 8448, records made with another implementation (OpenSSL), and the key schedule worked
//! out apart from rustls.

use super::super::fuzzing::seal;
use super::super::handshake::{Established, Handshake, Progress};
use super::super::record::{MAX_PLAINTEXT, Protector, content};
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Algorithm, CHACHA20_POLY1305};
use aws_lc_rs::hmac;
use parking_lot::Mutex;
use rustls::crypto::aws_lc_rs as provider;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ClientConfig, KeyLog, RootCertStore, ServerConfig, SupportedCipherSuite};
use std::collections::HashMap;
use std::sync::Arc;

/// RFC 8448 section 3: the client's and the server's application keys, and what they protect in order.
const CLIENT_SECRET: &str = "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5";
const CLIENT_KEY: &str = "17422dda596ed5d9acd890e3c63f5051";
const CLIENT_IV: &str = "5b78923dee08579033e523d9";
const CLIENT_RECORDS: [(u8, &str, &str); 2] = [
    (
        content::DATA,
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031",
        "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b62974e1f\
         5a6292a2977014bd1e3deae63aeebb21694915e4",
    ),
    (content::ALERT, "0100", "1703030013c9872760655666b74d7ff1153efd6db6d0b0e3"),
];
const SERVER_KEY: &str = "9f02283b6c9c07efc26bb9f2ac92e356";
const SERVER_IV: &str = "cf782b88dd83549aadf1e984";
const SERVER_RECORDS: [(u8, &str, &str); 3] = [
    (
        content::HANDSHAKE,
        "040000c90000001efad6aac502000000b22c035d829359ee5ff7af4ec900000000262a6494dc486d2c8a34cb33fa90bf1b0070ad\
         3c498883c9367c09a2be785abc55cd226097a3a982117283f82a03a143efd3ff5dd36d64e861be7fd61d2827db279cce145077d4\
         54a3664d4e6da4d29ee03725a6a4dafcd0fc67d2aea70529513e3da2677fa5906c5b3f7d8f92f228bda40dda721470f9fbf297b5\
         aea617646fac5c03272e970727c621a79141ef5f7de6505e5bfbc388e93343694093934ae4d3570008002a000400000400",
        "17030300de3a6b8f90414a97d6959c3487680de5134a2b240e6cffac116e95d41d6af8f6b580dcf3d11d63c758db289a01594025\
         2f55713e061dc13e078891a38efbcf5753ad8ef170ad3c7353d16d9da773b9ca7f2b9fa1b6c0d4a3d03f75e09c30ba1e62972ac4\
         6f75f7b981be63439b2999ce13064615139891d5e4c5b406f16e3fc181a77ca475840025db2f0a77f81b5ab05b94c01346755f69\
         232c86519d86cbeeac87aac347d143f9605d64f650db4d023e70e952ca49fe5137121c74bc2697687e248746d6df353005f3bce1\
         8696129c8153556b3b6c6779b37bf15985684f",
    ),
    (
        content::DATA,
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031",
        "17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a59a8fcc49c4b\
         f2e5f0a21c0047c2abf332540dd032e167c2955d",
    ),
    (content::ALERT, "0100", "1703030013b58fd67166ebf599d24720cfbe7efa7a8864a9"),
];

#[test]
fn records_of_rfc_8448() {
    for (key, iv, records) in
        [(CLIENT_KEY, CLIENT_IV, CLIENT_RECORDS.as_slice()), (SERVER_KEY, SERVER_IV, SERVER_RECORDS.as_slice())]
    {
        let protector = || Protector::with_key(true, 0, &AES_128_GCM, &hex(key), &hex(iv)).unwrap();
        let (mut sealer, mut opener) = (protector(), protector());
        for &(content, text, record) in records {
            assert_eq!(seal(&mut sealer, content, &hex(text), 0), hex(record));
            opens_to(&mut opener, &hex(record), content, &hex(text));
        }
    }
}

/// Made with OpenSSL's AES-GCM and ChaCha20-Poly1305: one key, one iv, and the nonces and additional data
/// of RFC 8446 5.2 and 5.3, RFC 5288 3, and RFC 7905 2.
const SEQUENCE: u64 = 0x0102_0304_0506_0708;
const TEXT: &[u8] = b"The quick brown fox";

#[test]
fn records_of_tls13_with_every_cipher() {
    for (cipher, record, padded) in [
        (
            &AES_128_GCM,
            "1703030024739c6774127c0a1e10bb6bfe4ddbd1983b683a131d3b257a8a225f31bcace375a3e1e4cf",
            "170303002b37e8ccdf8805bd364a737e8f72076a9ae962ef56021fc37b4b762e7433937ae442dcea80e5b7767db279ed",
        ),
        (
            &AES_256_GCM,
            "17030300240dd4188246169a2b2834c2f64c642774d7b889fd57bf3b786d25af12761686f2f61e232a",
            "170303002be457395e9c0c6c752ac74bb055d7a176eb1e110a0da0c031ae660a0327c8ee41da19864cae5459a3ad561e",
        ),
        (
            &CHACHA20_POLY1305,
            "17030300243d6f0d4941120ee0038d6d7db493056bf0d93d291372b33d8d6be5f64690bb820d5d4692",
            "170303002b95c232e95ba58a5b12e73566c68aec6330482864f625a1f9b800d9e8b5e54e6fafedb21bc5dc0b4fd3a063",
        ),
    ] {
        assert_eq!(seal(&mut protector(true, SEQUENCE, cipher), content::DATA, TEXT, 0), hex(record));
        opens_to(&mut protector(true, SEQUENCE, cipher), &hex(record), content::DATA, TEXT);
        assert_eq!(seal(&mut protector(true, 0, cipher), content::HANDSHAKE, TEXT, 7), hex(padded));
        opens_to(&mut protector(true, 0, cipher), &hex(padded), content::HANDSHAKE, TEXT);
    }
}

#[test]
fn records_of_tls12_with_every_cipher() {
    for (cipher, record) in [
        (
            &AES_128_GCM,
            "170303002b151715131d1f1d13739c6774127c0a1e10bb6bfe4ddbd1983b683a3936de0b0b29126494cf017add338db1",
        ),
        (
            &AES_256_GCM,
            "170303002b151715131d1f1d130dd4188246169a2b2834c2f64c642774d7b889af23230f6fb9726dfecabe2bba403d40",
        ),
        (&CHACHA20_POLY1305, "17030300233d6f0d4941120ee0038d6d7db493056bf0d93db4c7d9eb06191cacad78d52b6dd36df2"),
    ] {
        assert_eq!(seal(&mut protector(false, SEQUENCE, cipher), content::DATA, TEXT, 0), hex(record));
        opens_to(&mut protector(false, SEQUENCE, cipher), &hex(record), content::DATA, TEXT);
        // The version of the header is protected too.
        let mut changed = hex(record);
        changed[2] = 1;
        assert!(protector(false, SEQUENCE, cipher).open(&changed, &mut [0; 64]).is_err());
    }
}

/// A peer of TLS 1.2 chooses its explicit nonces as it likes.
#[test]
fn explicit_nonces_are_those_of_the_record() {
    let (key, mut iv) = ([7; 16], [1; 12]);
    let opener = Protector::with_key(false, 0, &AES_128_GCM, &key, &iv);
    iv[4..].copy_from_slice(&0xfeed_u64.to_be_bytes());
    let record = seal(&mut Protector::with_key(false, 0, &AES_128_GCM, &key, &iv).unwrap(), content::DATA, TEXT, 0);
    opens_to(&mut opener.unwrap(), &record, content::DATA, TEXT);
}

#[test]
fn key_and_iv_of_rfc_8448() {
    assert_eq!(expand(hmac::HMAC_SHA256, &hex(CLIENT_SECRET), "key", 16), hex(CLIENT_KEY));
    assert_eq!(expand(hmac::HMAC_SHA256, &hex(CLIENT_SECRET), "iv", 12), hex(CLIENT_IV));
}

/// RFC 8446 7.2: each key update derives the next secret from the one before.
#[test]
fn key_updates_of_every_suite_derive_the_next_secret() {
    for (suite, cipher, hash) in [
        (provider::cipher_suite::TLS13_AES_128_GCM_SHA256, &AES_128_GCM, hmac::HMAC_SHA256),
        (provider::cipher_suite::TLS13_AES_256_GCM_SHA384, &AES_256_GCM, hmac::HMAC_SHA384),
        (provider::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256, &CHACHA20_POLY1305, hmac::HMAC_SHA256),
    ] {
        let log = Arc::new(Secrets::default());
        let (mut client, mut server) = handshake(suite, &log);
        for label in ["CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"] {
            let mut secret = log.0.lock()[label].clone();
            let (from, to) =
                if label.starts_with('C') { (&mut client, &mut server) } else { (&mut server, &mut client) };
            for generation in 0..4 {
                let (mut sealer, mut opener) = if generation == 0 {
                    (from.sealer.take().unwrap(), to.opener.take().unwrap())
                } else {
                    secret = expand(hash, &secret, "traffic upd", secret.len());
                    (from.keys.update_sender().unwrap(), to.keys.update_receiver().unwrap())
                };
                let (key, iv) = (expand(hash, &secret, "key", cipher.key_len()), expand(hash, &secret, "iv", 12));
                let mut known = Protector::with_key(true, 0, cipher, &key, &iv).unwrap();
                let record = seal(&mut sealer, content::DATA, TEXT, 0);
                assert_eq!(record, seal(&mut known, content::DATA, TEXT, 0), "{label} {generation}");
                opens_to(&mut opener, &record, content::DATA, TEXT);
            }
        }
    }
}

// --- helpers

/// Secrets by their label.
#[derive(Debug, Default)]
struct Secrets(Mutex<HashMap<String, Vec<u8>>>);

impl KeyLog for Secrets {
    fn log(&self, label: &str, _: &[u8], secret: &[u8]) {
        self.0.lock().insert(label.to_owned(), secret.to_owned());
    }
}

/// One end after its handshake.
struct End {
    sealer: Option<Protector>,
    opener: Option<Protector>,
    keys: super::super::handshake::KeySource,
}

impl From<Established> for End {
    fn from(Established { sealer, opener, keys, .. }: Established) -> Self {
        Self { sealer: Some(sealer), opener: Some(opener), keys }
    }
}

/// A handshake in memory; the client notes the secrets.
fn handshake(suite: SupportedCipherSuite, log: &Arc<Secrets>) -> (End, End) {
    let provider =
        Arc::new(rustls::crypto::CryptoProvider { cipher_suites: vec![suite], ..provider::default_provider() });
    let issued = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(issued.cert.der().clone()).unwrap();
    let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.enable_secret_extraction = true;
    client.key_log = Arc::clone(log) as Arc<dyn KeyLog>;
    let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![issued.cert.der().clone()], key)
        .unwrap();
    server.enable_secret_extraction = true;
    server.send_tls13_tickets = 0;
    let mut client = Handshake::client(Arc::new(client), "localhost".try_into().unwrap(), Default::default()).unwrap();
    let mut server = Handshake::server(Arc::new(server), Default::default()).unwrap();
    loop {
        let client_done = client.advance().unwrap() == Progress::Done;
        server.feed(&std::mem::take(&mut client.output)).unwrap();
        let server_done = server.advance().unwrap() == Progress::Done;
        client.feed(&std::mem::take(&mut server.output)).unwrap();
        if client_done && server_done {
            return (client.finish().unwrap().into(), server.finish().unwrap().into());
        }
    }
}

fn protector(tls13: bool, sequence: u64, cipher: &'static Algorithm) -> Protector {
    let (key, iv): (Vec<u8>, Vec<u8>) = ((0x80..0xa0).collect(), (0x10..0x1c).collect());
    Protector::with_key(tls13, sequence, cipher, &key[..cipher.key_len()], &iv).unwrap()
}

fn opens_to(opener: &mut Protector, record: &[u8], content: u8, text: &[u8]) {
    let mut out = vec![0; MAX_PLAINTEXT];
    let opened = opener.open(record, &mut out).unwrap();
    assert_eq!((opened.content, &out[..opened.len]), (content, text));
}

/// HKDF-Expand-Label with no context (RFC 8446 7.1), for at most one output of the hash.
fn expand(hash: hmac::Algorithm, secret: &[u8], label: &str, len: usize) -> Vec<u8> {
    let label = format!("tls13 {label}");
    let lens = [0, u8::try_from(len).unwrap(), u8::try_from(label.len()).unwrap()];
    let info = [&lens, label.as_bytes(), &[0, 1]].concat();
    let mut out = hmac::sign(&hmac::Key::new(hash, secret), &info).as_ref().to_vec();
    out.truncate(len);
    out
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
