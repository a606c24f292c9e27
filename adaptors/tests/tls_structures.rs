//! Certificates that are built in odd ways: none is accepted that OpenSSL refuses, and where it is the other way
//! round, that is known. Where the `openssl` command is there, it judges every one.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod common;

use adaptors::tls::{Purpose, Reason, Refusal, judge};
use common::pki::{Party, authority, name, params, pem, sequence, tlv, with};
use rcgen::{KeyPair, PublicKeyData, SigningKey};
use rustls::pki_types::CertificateDer;
use std::process::{Command, Stdio};

const SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3];
/// Chains that are made up.
const ROUNDS: u32 = 60;
/// A time within the validity of what is built here.
const NOW: u64 = 1_750_000_000;

/// A certificate in parts, each in DER.
#[derive(Clone)]
struct Parts {
    version: Vec<u8>,
    serial: Vec<u8>,
    inner: Vec<u8>,
    outer: Vec<u8>,
    issuer: Vec<u8>,
    times: [Vec<u8>; 2],
    subject: Vec<u8>,
    extensions: Vec<Vec<u8>>,
    /// What follows in the signed part.
    more: Vec<u8>,
    /// What follows the signature.
    after: Vec<u8>,
    unused_bits: u8,
}

fn algorithm(id: &[u8]) -> Vec<u8> {
    sequence(&[&tlv(6, id)])
}

fn extension(id: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { tlv(1, &[0xff]) } else { Vec::new() };
    sequence(&[&tlv(6, id), &critical, &tlv(4, value)])
}

/// One of the extensions of X.509 itself.
fn standard(number: u8, critical: bool, value: &[u8]) -> Vec<u8> {
    extension(&[0x55, 0x1d, number], critical, value)
}

fn utc(text: &str) -> Vec<u8> {
    tlv(23, text.as_bytes())
}

fn general(text: &str) -> Vec<u8> {
    tlv(24, text.as_bytes())
}

// === impl Parts ===

impl Parts {
    fn new(subject: &str, issuer: &str) -> Self {
        Self {
            version: tlv(0xa0, &tlv(2, &[2])),
            serial: tlv(2, &[7]),
            inner: algorithm(SHA256),
            outer: algorithm(SHA256),
            issuer: name(issuer),
            times: [utc("200101000000Z"), utc("490101000000Z")],
            subject: name(subject),
            extensions: Vec::new(),
            more: Vec::new(),
            after: Vec::new(),
            unused_bits: 0,
        }
    }

    fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut parts = self.clone();
        change(&mut parts);
        parts
    }

    fn extended(&self, extensions: &[Vec<u8>]) -> Self {
        self.with(|parts| parts.extensions = extensions.to_vec())
    }

    fn sign(&self, key: &KeyPair, issuer: &KeyPair) -> Vec<u8> {
        let info = key.subject_public_key_info();
        let extensions = match self.extensions.as_slice() {
            [] => Vec::new(),
            list => tlv(0xa3, &tlv(0x30, &list.concat())),
        };
        let validity = sequence(&[&self.times[0], &self.times[1]]);
        let first =
            [&self.version, &self.serial, &self.inner, &self.issuer, &validity, &self.subject].map(Vec::as_slice);
        let tbs = sequence(&[&first.concat(), &info, &extensions, &self.more]);
        let signature = [&[self.unused_bits], issuer.sign(&tbs).unwrap().as_slice()].concat();
        sequence(&[&tbs, &self.outer, &tlv(3, &signature), &self.after])
    }
}

/// What OpenSSL says, if it is there.
fn openssl_accepts(trusted: &[u8], chain: &[CertificateDer<'_>], purpose: Purpose) -> Option<bool> {
    let certs = common::Certs::new();
    let write = |name: &str, list: &[CertificateDer<'_>]| {
        std::fs::write(certs.path(name), list.iter().map(|der| pem(der)).collect::<String>()).unwrap();
        certs.path(name)
    };
    let purpose = if purpose == Purpose::Server { "sslserver" } else { "sslclient" };
    let mut command = Command::new("openssl");
    command.args(["verify", "-no-CApath", "-no-CAstore", "-partial_chain", "-auth_level", "2", "-purpose", purpose]);
    command.args(["-attime", &NOW.to_string(), "-CAfile", &write("trusted.pem", &[trusted.to_vec().into()])]);
    if chain.len() > 1 {
        command.args(["-untrusted", &write("presented.pem", &chain[1..])]);
    }
    command.arg(write("leaf.pem", &chain[..1])).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().ok().map(|status| status.success())
}

/// What is expected of a structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Accepted,
    Refused,
    /// OpenSSL alone accepts it.
    RefusedHere,
}
use Fate::{Accepted, Refused, RefusedHere};

fn check(what: &str, trusted: &[u8], chain: &[Vec<u8>], purpose: Purpose, fate: Fate) {
    let chain: Vec<CertificateDer<'_>> = chain.iter().map(|der| der.clone().into()).collect();
    let found = judge(vec![trusted.to_vec().into()], &chain, purpose, None, NOW);
    assert_eq!(found.is_ok(), fate == Accepted, "{what}, {purpose:?}: {found:?}");
    if let Some(accepted) = openssl_accepts(trusted, &chain, purpose) {
        assert_eq!(accepted, fate != Refused, "{what}, {purpose:?}: OpenSSL, when we say {found:?}");
    }
}

fn root() -> Party {
    Party::own(with(authority("root"), |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.serial_number = Some(1_u64.into());
    }))
}

#[test]
fn leaves() {
    let (root, key) = (root(), KeyPair::generate().unwrap());
    let plain = Parts::new("leaf", "root");
    let san = |critical| standard(17, critical, &sequence(&[&tlv(0x82, b"a.example.com")]));
    let times = |before: Vec<u8>, after: Vec<u8>| plain.with(|parts| parts.times = [before, after]);
    let (start, end) = (utc("200101000000Z"), utc("490101000000Z"));
    for (what, parts, fate) in [
        ("plain", plain.clone(), Accepted),
        ("another algorithm inside", plain.with(|p| p.inner = algorithm(SHA384)), Refused),
        ("another algorithm outside", plain.with(|p| p.outer = algorithm(SHA384)), Refused),
        ("a parameter outside", plain.with(|p| p.outer = sequence(&[&tlv(6, SHA256), &[5, 0]])), Refused),
        (
            "more than a parameter outside",
            plain.with(|p| p.outer = sequence(&[&tlv(6, SHA256), &[5, 0, 5, 0]])),
            Refused,
        ),
        ("more in the signed part", plain.with(|p| p.more = vec![5, 0]), Refused),
        ("more after the signature", plain.with(|p| p.after = vec![5, 0]), Refused),
        ("unused bits", plain.with(|p| p.unused_bits = 1), Refused),
        ("version 1", plain.with(|p| p.version = Vec::new()), Accepted),
        ("version 1, spelled out", plain.with(|p| p.version = tlv(0xa0, &tlv(2, &[0]))), Accepted),
        ("extensions of version 1", plain.extended(&[san(false)]).with(|p| p.version = Vec::new()), RefusedHere),
        (
            "extensions of version 2",
            plain.extended(&[san(false)]).with(|p| p.version = tlv(0xa0, &tlv(2, &[1]))),
            RefusedHere,
        ),
        ("a negative serial number", plain.with(|p| p.serial = tlv(2, &[0x80])), Accepted),
        ("a huge serial number", plain.with(|p| p.serial = tlv(2, &[0x7f; 100])), Accepted),
        ("an empty serial number", plain.with(|p| p.serial = tlv(2, &[])), Refused),
        ("an extension twice", plain.extended(&[san(false), san(false)]), Refused),
        ("critical names", plain.extended(&[san(true)]), Accepted),
        ("damaged names", plain.extended(&[standard(17, false, &[0x30, 5, 0x82, 9])]), Refused),
        (
            "more after the names",
            plain.extended(&[standard(17, false, &[&sequence(&[&tlv(0x82, b"a")])[..], &[0]].concat())]),
            RefusedHere,
        ),
        (
            "critical names of the issuer",
            plain.extended(&[standard(18, true, &sequence(&[&tlv(0x82, b"a")]))]),
            Refused,
        ),
        ("a critical proxy", plain.extended(&[extension(&[0x2b, 6, 1, 5, 5, 7, 1, 14], true, &[0x30, 0])]), Refused),
        ("no usage at all", plain.extended(&[standard(15, true, &tlv(3, &[0]))]), Refused),
        ("no purpose at all", plain.extended(&[standard(37, true, &[0x30, 0])]), Refused),
        ("ends in time", times(start.clone(), general("20490101000000Z")), Accepted),
        ("ended", times(start.clone(), utc("250101000000Z")), Refused),
        ("in the last century", times(utc("500101000000Z"), utc("990101000000Z")), Refused),
        ("for ever", times(start.clone(), general("99991231235959Z")), Accepted),
        ("no time zone", times(start.clone(), general("20490101000000")), Refused),
        ("another time zone", times(start.clone(), general("20490101000000+0100")), Refused),
        ("parts of seconds", times(start.clone(), general("20490101000000.5Z")), Refused),
        ("no seconds", times(utc("2001010000Z"), end.clone()), Refused),
        ("another time zone, short", times(utc("200101000000+0100"), end.clone()), Refused),
        ("no such month", times(start.clone(), utc("491301000000Z")), Refused),
        ("no such day", times(start.clone(), utc("490230000000Z")), Refused),
        ("not a time", times(tlv(12, b"200101000000Z"), end.clone()), Refused),
    ] {
        let leaf = [parts.sign(&key, &root.key)];
        check(what, &root.cert, &leaf, Purpose::Server, fate);
        check(what, &root.cert, &leaf, Purpose::Client, fate);
    }
}

#[test]
fn lengths() {
    let (root, key) = (root(), KeyPair::generate().unwrap());
    let good = Parts::new("leaf", "root").sign(&key, &root.key);
    assert_eq!(good[1], 0x82);
    let long = [&[0x30, 0x83, 0], &good[2..]].concat();
    let endless = [&[0x30, 0x80], &good[4..], &[0, 0]].concat();
    for (what, der, fate) in [
        ("good", good.clone(), Accepted),
        ("a length in more octets than it takes", long, RefusedHere),
        ("a length that is not told", endless, RefusedHere),
        ("an octet more", [&good[..], &[0]].concat(), RefusedHere),
    ] {
        check(what, &root.cert, &[der], Purpose::Server, fate);
    }
}

#[test]
fn authorities() {
    let (root, key, leaf_key) = (root(), KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let ca = |constraints: &[u8]| standard(19, true, constraints);
    let good = ca(&[0x30, 3, 1, 1, 0xff]);
    let names = |id: u8, subtree: &[u8]| {
        let base = sequence(&[&sequence(&[subtree])]);
        standard(30, true, &sequence(&[&tlv(id, &base[2..])]))
    };
    let (permitted, excluded) = (0xa0, 0xa1);
    let other = sequence(&[&tlv(6, &[0x2a, 3]), &tlv(0xa0, &tlv(12, b"x"))]);
    let other = tlv(0xa0, &other[2..]);
    let plain: &[Vec<u8>] = &[];
    let san = |name: &[u8]| vec![standard(17, false, &sequence(&[name]))];
    for (what, extensions, leaf, fate) in [
        ("plain", vec![good.clone()], plain, Accepted),
        ("nothing", vec![], plain, Refused),
        ("no authority", vec![ca(&[0x30, 0])], plain, Refused),
        ("another kind of true", vec![ca(&[0x30, 3, 1, 1, 1])], plain, RefusedHere),
        ("a path length", vec![ca(&[0x30, 6, 1, 1, 0xff, 2, 1, 0])], plain, Accepted),
        ("a negative path length", vec![ca(&[0x30, 6, 1, 1, 0xff, 2, 1, 0xff])], plain, Refused),
        ("a huge path length", vec![ca(&[0x30, 14, 1, 1, 0xff, 2, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0])], plain, RefusedHere),
        ("more than constraints", vec![ca(&[0x30, 5, 1, 1, 0xff, 5, 0])], plain, Refused),
        ("constraints twice", vec![good.clone(), good.clone()], plain, Refused),
        ("may not issue", vec![good.clone(), standard(15, true, &tlv(3, &[7, 0x80]))], plain, Refused),
        ("may issue", vec![good.clone(), standard(15, true, &tlv(3, &[2, 4]))], plain, Accepted),
        (
            "for mail",
            vec![good.clone(), extension(&[0x60, 0x86, 0x48, 1, 0x86, 0xf8, 0x42, 1, 1], false, &tlv(3, &[1, 2]))],
            plain,
            Accepted,
        ),
        (
            "a known name",
            vec![good.clone(), names(permitted, &tlv(0x82, b"example.com"))],
            &san(&tlv(0x82, b"a.example.com")),
            Accepted,
        ),
        (
            "a subtree with a depth",
            vec![good.clone(), names(permitted, &[&tlv(0x82, b"example.com")[..], &[0x80, 1, 1]].concat())],
            &san(&tlv(0x82, b"a.example.com")),
            Refused,
        ),
        ("another kind of name, permitted", vec![good.clone(), names(permitted, &other)], &san(&other), Refused),
        ("another kind of name, excluded", vec![good.clone(), names(excluded, &other)], &san(&other), Refused),
        (
            "another kind of name, without it",
            vec![good.clone(), names(permitted, &other)],
            &san(&tlv(0x82, b"a")),
            Accepted,
        ),
        (
            "a registered name",
            vec![good.clone(), names(excluded, &tlv(0x88, &[0x2a, 3]))],
            &san(&tlv(0x88, &[0x2a, 3])),
            Refused,
        ),
        (
            "an address with a short mask",
            vec![good.clone(), names(permitted, &tlv(0x87, &[10, 0, 0, 0, 255]))],
            &san(&tlv(0x87, &[10, 0, 0, 1])),
            Refused,
        ),
        (
            "a site",
            vec![good.clone(), names(permitted, &tlv(0x86, b".b.c"))],
            &san(&tlv(0x86, b"amqps://a.b.c:5671/x")),
            Accepted,
        ),
        (
            "another site",
            vec![good.clone(), names(permitted, &tlv(0x86, b".b.c"))],
            &san(&tlv(0x86, b"amqps://a.b.d/x")),
            Refused,
        ),
        ("not a site", vec![good.clone(), names(permitted, &tlv(0x86, b".b.c"))], &san(&tlv(0x86, b"urn:a")), Refused),
        ("damaged constraints", vec![good.clone(), standard(30, true, &[0x30, 2, 0xa2, 0])], plain, Refused),
    ] {
        let below = Parts::new("below", "root").extended(&extensions).sign(&key, &root.key);
        let leaf = Parts::new("leaf", "below").extended(leaf).sign(&leaf_key, &key);
        check(what, &root.cert, &[leaf, below], Purpose::Server, fate);
    }
}

/// A small generator that gives the same numbers every time.
struct Random(u64);

// === impl Random ===

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 as usize % n
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}

/// A certificate of a chain, mostly a good one. `keys` are the numbers of the issuer's and its own.
fn random_parts(
    random: &mut Random,
    [issuer, subject]: [&str; 2],
    keys: [u8; 2],
    leaf: bool,
    version_1: bool,
) -> Parts {
    // OpenSSL tells authorities of one name apart by nothing else.
    let ids = [standard(35, false, &sequence(&[&tlv(0x80, &[keys[0]])])), standard(14, false, &tlv(4, &[keys[1]]))];
    let mut extensions = ids.to_vec();
    if !leaf || random.one_in(4) {
        let forms: [&[u8]; 6] = [
            &[0x30, 3, 1, 1, 0xff],
            &[0x30, 6, 1, 1, 0xff, 2, 1, 0],
            &[0x30, 6, 1, 1, 0xff, 2, 1, 1],
            &[0x30, 6, 1, 1, 0xff, 2, 1, 2],
            &[0x30, 0],
            &[],
        ];
        let usual = if random.one_in(3) { 6 } else { 4 };
        extensions.extend(
            Some(random.pick(&forms[..usual])).filter(|form| !form.is_empty()).map(|form| standard(19, true, form)),
        );
    }
    if random.one_in(4) {
        let usages: [&[u8]; 5] = [&[7, 0x80], &[2, 4], &[1, 0x86], &[5, 0x20], &[3, 8]];
        extensions.push(standard(15, true, &tlv(3, random.pick(&usages))));
    }
    if random.one_in(4) {
        let purpose = |n: u8| tlv(6, &[0x2b, 6, 1, 5, 5, 7, 3, n]);
        let any = tlv(6, &[0x55, 0x1d, 0x25, 0]);
        let purposes = [
            purpose(1),
            purpose(2),
            [purpose(1), purpose(2)].concat(),
            any.clone(),
            [any, purpose(1)].concat(),
            purpose(3),
        ];
        extensions.push(standard(37, random.one_in(2), &tlv(0x30, &random.pick(&purposes))));
    }
    if random.one_in(8) {
        let kinds: [&[u8]; 4] = [&[6, 0x40], &[7, 0x80], &[2, 4], &[0, 0xff]];
        extensions.push(extension(&[0x60, 0x86, 0x48, 1, 0x86, 0xf8, 0x42, 1, 1], false, &tlv(3, random.pick(&kinds))));
    }
    let hosts: [&[u8]; 4] = [b"a.example.com", b"example.com", b"b.example.org", b"*.example.com"];
    if leaf && random.one_in(2) {
        extensions.push(standard(17, false, &sequence(&[&tlv(0x82, random.pick(&hosts))])));
    }
    if !leaf && random.one_in(5) {
        let bases: [&[u8]; 5] = [b"example.com", b".example.com", b"example.org", b"com", b""];
        let subtree = sequence(&[&tlv(0x82, random.pick(&bases))]);
        extensions.push(standard(30, true, &sequence(&[&tlv(random.pick(&[0xa0, 0xa1]), &subtree)])));
    }
    let mut parts = Parts::new(subject, issuer).extended(&extensions);
    if random.one_in(25) {
        parts.times[1] = utc("210101000000Z");
    }
    if version_1 && random.one_in(15) {
        (parts.version, parts.extensions) = (Vec::new(), Vec::new());
    }
    parts
}

/// A chain, the peer's own certificate first.
fn random_chain(random: &mut Random, keys: &[KeyPair]) -> Vec<CertificateDer<'static>> {
    let len = 1 + random.below(keys.len() - 1);
    // Without identifiers of keys there can be no authority that issues itself a certificate.
    let version_1 = random.one_in(2);
    let mut issuer = "root".to_owned();
    let mut chain = Vec::new();
    for i in 0..len {
        let leaf = i + 1 == len;
        let subject = match i {
            0 => issuer.clone(),
            _ if leaf => random.pick(&["leaf", "c.example.com", "c.example.net"]).to_owned(),
            _ if !version_1 && random.one_in(4) => issuer.clone(),
            _ => format!("authority {i}"),
        };
        let above = i.saturating_sub(1);
        let parts = random_parts(random, [&issuer, &subject], [above as u8, i as u8], leaf, version_1);
        chain.insert(0, CertificateDer::from(parts.sign(&keys[i], &keys[above])));
        issuer = subject;
    }
    chain
}

/// Chains of any length, with whatever their certificates may say, ending where somebody is trusted.
#[test]
fn random_chains() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let keys: Vec<KeyPair> = (0..6).map(|_| KeyPair::generate().unwrap()).collect();
    let mut fates = [0, 0];
    for round in 0..ROUNDS {
        let mut chain = random_chain(&mut random, &keys);
        let trusted = if random.one_in(3) { random.below(chain.len()) } else { chain.len() - 1 };
        let anchor = chain[trusted].clone();
        // OpenSSL would judge what is presented beside a trusted one too.
        chain.truncate(trusted.max(1));
        for purpose in [Purpose::Server, Purpose::Client] {
            let found = judge(vec![anchor.clone()], &chain, purpose, None, NOW);
            fates[usize::from(found.is_ok())] += 1;
            // Common names beside others count here, and not for OpenSSL.
            let stricter = matches!(&found, Err(Refusal { reason: Reason::NameConstraint(_), .. }));
            if let Some(accepted) = openssl_accepts(&anchor, &chain, purpose) {
                assert!(found.is_ok() == accepted || stricter, "{round}, {purpose:?}, OpenSSL {accepted}: {found:?}");
            }
        }
    }
    assert!(fates[0] > 20 && fates[1] > 20, "{fates:?}");
}

/// What an authority makes us compare is bounded for all chains together.
#[test]
fn work_on_constraints() {
    let (root, key, leaf_key) = (root(), KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let directory = |common: &str| tlv(0xa4, &name(common));
    let below = |serial: u8, constraints: &[u8]| {
        let extensions = [standard(19, true, &[0x30, 3, 1, 1, 0xff]), standard(30, true, &sequence(&[constraints]))];
        let below = Parts::new("below", "root").with(|parts| parts.serial = tlv(2, &[serial])).extended(&extensions);
        CertificateDer::from(below.sign(&key, &root.key))
    };
    let constrained = |serial: u8, bases: usize| {
        let base = sequence(&[&directory("leaf")]);
        below(serial, &tlv(0xa0, &base.repeat(bases)))
    };
    let leaf = |names: usize, last: &str| {
        let names: Vec<u8> = (0..names).flat_map(|_| directory("leaf")).chain(directory(last)).collect();
        let leaf = Parts::new("leaf", "below").extended(&[standard(17, false, &sequence(&[&names]))]);
        CertificateDer::from(leaf.sign(&leaf_key, &key))
    };
    let accepted =
        |chain: &[CertificateDer<'_>]| judge(vec![root.cert.clone()], chain, Purpose::Server, None, NOW).is_ok();
    assert!(accepted(&[leaf(400, "leaf"), constrained(1, 400)]));
    assert!(!accepted(&[leaf(600, "leaf"), constrained(1, 600)]));
    let dear: Vec<_> = (1..30).map(|serial| constrained(serial, 400)).collect();
    let cheap = below(99, &tlv(0xa1, &sequence(&[&tlv(0x82, b"a")])));
    let stranger = leaf(400, "stranger");
    assert!(accepted(&[stranger.clone(), cheap.clone()]));
    assert!(!accepted(&[&[stranger], dear.as_slice(), &[cheap]].concat()));
}

/// Two authorities of one name: the key identifiers, or else the signature, tell them apart.
#[test]
fn key_identifiers() {
    let (root, key) = (root(), KeyPair::generate().unwrap());
    let id = |id: &[u8]| standard(35, false, &sequence(&[&tlv(0x80, id)]));
    let leaf = Parts::new("leaf", "root");
    let other = Party::own(params("other"));
    check("none", &root.cert, &[leaf.sign(&key, &root.key)], Purpose::Client, Accepted);
    check("another", &root.cert, &[leaf.extended(&[id(&[1])]).sign(&key, &root.key)], Purpose::Client, Refused);
    check(
        "damaged",
        &root.cert,
        &[leaf.extended(&[standard(35, false, &[4])]).sign(&key, &root.key)],
        Purpose::Client,
        Refused,
    );
    let own = |value: &[u8]| [leaf.extended(&[standard(14, false, value)]).sign(&key, &root.key)];
    check("the subject's", &root.cert, &own(&tlv(4, &[1])), Purpose::Client, Accepted);
    check("the subject's, damaged", &root.cert, &own(&[4]), Purpose::Client, Refused);
    let by_name = sequence(&[&tlv(0xa1, &tlv(0xa4, &name("root"))), &tlv(0x82, &[1])]);
    let by_name = leaf.extended(&[standard(35, false, &by_name)]).sign(&key, &root.key);
    check("by name", &root.cert, &[by_name], Purpose::Client, Accepted);
    check("another key", &root.cert, &[leaf.sign(&key, &other.key)], Purpose::Client, Refused);
}
