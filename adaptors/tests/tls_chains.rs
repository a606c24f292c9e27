//! Which certificate chains are accepted: what OpenSSL accepts with partial chains allowed. Where the `openssl`
//! command is there, it judges every chain too.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod common;

use adaptors::tls::{Purpose, Reason, judge, subject_name};
use common::pki::{Party, authority, host, params, pem, with};
use rcgen::{
    BasicConstraints, CustomExtension, DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose, GeneralSubtree,
    IsCa, KeyUsagePurpose, NameConstraints, date_time_ymd,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// What becomes of a chain, as the server's and as the client's: accepted, or refused with such words.
type Expected = Result<(), &'static str>;

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

struct Case {
    name: &'static str,
    trusted: Vec<CertificateDer<'static>>,
    chain: Vec<CertificateDer<'static>>,
    server: Expected,
    client: Expected,
    /// OpenSSL accepts this chain although we do not.
    stricter: bool,
}

fn case(name: &'static str, trusted: &[&Party], chain: &[&Party], server: Expected, client: Expected) -> Case {
    let certs = |parties: &[&Party]| parties.iter().map(|party| party.cert.clone()).collect();
    Case { name, trusted: certs(trusted), chain: certs(chain), server, client, stricter: false }
}

fn both(name: &'static str, trusted: &[&Party], chain: &[&Party], expected: Expected) -> Case {
    case(name, trusted, chain, expected, expected)
}

fn check(cases: &[Case]) {
    for case in cases {
        for (purpose, expected) in [(Purpose::Server, case.server), (Purpose::Client, case.client)] {
            let found = judge(case.trusted.clone(), &case.chain, purpose, None, now()).map_err(|e| e.to_string());
            match (&found, expected) {
                (Ok(()), Ok(())) => {}
                (Err(found), Err(expected)) if found.contains(expected) => {}
                _ => panic!("{}, {purpose:?}: {found:?} instead of {expected:?}", case.name),
            }
            if let Some(accepted) = openssl_accepts(case, purpose) {
                assert!(accepted == found.is_ok() || accepted && case.stricter, "{}, {purpose:?}: OpenSSL", case.name);
            }
        }
    }
}

fn openssl_accepts(case: &Case, purpose: Purpose) -> Option<bool> {
    if !Command::new("openssl").arg("version").stdout(Stdio::null()).status().is_ok_and(|status| status.success()) {
        return None;
    }
    let certs = common::Certs::new();
    let write = |name: &str, list: &[CertificateDer<'_>]| {
        std::fs::write(certs.path(name), list.iter().map(|der| pem(der)).collect::<String>()).unwrap();
        certs.path(name)
    };
    let leaf = write("leaf.pem", &case.chain[..1]);
    let mut command = Command::new("openssl");
    command.args(["verify", "-no-CApath", "-no-CAstore", "-partial_chain", "-auth_level", "2", "-purpose"]);
    command.arg(if purpose == Purpose::Server { "sslserver" } else { "sslclient" });
    command.args(["-CAfile", &write("trusted.pem", &case.trusted)]);
    if case.chain.len() > 1 {
        command.args(["-untrusted", &write("presented.pem", &case.chain[1..])]);
    }
    Some(command.arg(leaf).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success())
}

#[test]
fn version_1() {
    let root = Party::own(authority("root"));
    let old_root = Party::own_v1("old root");
    let by_root = root.issue_v1("peer");
    let by_old_root = old_root.issue_v1("peer");
    let modern = old_root.issue(host(&["localhost"]));
    let alone = Party::own_v1("peer");
    let between = root.issue_v1("between");
    let below = between.issue(host(&["localhost"]));
    check(&[
        both("v1 by a v3 root", &[&root], &[&by_root], Ok(())),
        both("v1 by a v1 root", &[&old_root], &[&by_old_root], Ok(())),
        both("v3 by a v1 root", &[&old_root], &[&modern], Ok(())),
        both("v1 that is trusted itself", &[&alone], &[&alone], Ok(())),
        both("v1 that is trusted itself, not its root", &[&by_root], &[&by_root], Ok(())),
        both("v1 that issued itself", &[&root], &[&alone], Err("self-signed certificate")),
        both("v1 by an unknown root", &[&root], &[&by_old_root], Err("issuer 'CN=old root'")),
        both("v1 as authority", &[&root], &[&below, &between], Err("invalid CA certificate: X.509 version 1")),
        both("v1 as trusted authority that is no root", &[&between], &[&below], Err("invalid CA certificate")),
    ]);
}

#[test]
fn trusted_themselves() {
    let root = Party::own(authority("root"));
    let plain = Party::own(host(&["localhost"]));
    let issued = root.issue(host(&["localhost"]));
    let authority_below = root.issue(authority("below"));
    let lookalike = Party::own(authority("root"));
    check(&[
        both("a root for itself", &[&root], &[&root], Ok(())),
        both("a self-signed one that is no authority", &[&plain], &[&plain], Ok(())),
        both("an issued one, without its root", &[&issued], &[&issued], Ok(())),
        both("an authority for itself", &[&root], &[&authority_below], Ok(())),
        both("another root of the same name", &[&root], &[&lookalike], Err("")),
        both("an authority without its root", &[&authority_below], &[&authority_below.issue(params("x"))], Ok(())),
    ]);
}

#[test]
fn ordinary_chains() {
    let root = Party::own(authority("root"));
    let below = root.issue(authority("below"));
    let leaf = below.issue(host(&["localhost"]));
    let other = Party::own(authority("other"));
    let impostor = Party::own(authority("root"));
    let forged = impostor.issue(host(&["localhost"]));
    let without = with(params("below"), |params| params.is_ca = IsCa::ExplicitNoCa);
    let no_authority = root.issue(without);
    let silent = root.issue(params("below"));
    check(&[
        both("complete", &[&root], &[&leaf, &below], Ok(())),
        both("with its root", &[&root], &[&leaf, &below, &root], Ok(())),
        both("in any order, with others", &[&root], &[&leaf, &other, &root, &below], Ok(())),
        both("the trusted authority is no root", &[&below], &[&leaf], Ok(())),
        both("an authority is missing", &[&root], &[&leaf], Err("issuer 'CN=below'")),
        both("the root is not trusted", &[&other], &[&leaf, &below, &root], Err("self-signed")),
        both("the signature is another key's", &[&root], &[&forged], Err("certificate signature failure")),
        both("CA:FALSE", &[&root], &[&no_authority.issue(params("x")), &no_authority], Err("no CA:TRUE")),
        both("no constraints", &[&root], &[&silent.issue(params("x")), &silent], Err("no basic constraints")),
    ]);
}

#[test]
fn times() {
    let past = |params| with(params, |params| params.not_after = date_time_ymd(2001, 1, 1));
    let future = |params| with(params, |params| params.not_before = date_time_ymd(2300, 1, 1));
    let root = Party::own(authority("root"));
    let old_root = Party::own(past(authority("old")));
    let below = root.issue(past(authority("below")));
    check(&[
        both(
            "expired",
            &[&root],
            &[&root.issue(past(params("x")))],
            Err("certificate has expired: on Jan  1 00:00:00 2001"),
        ),
        both(
            "not yet",
            &[&root],
            &[&root.issue(future(params("x")))],
            Err("not yet valid: before Jan  1 00:00:00 2300"),
        ),
        both("expired authority", &[&root], &[&below.issue(params("x")), &below], Err("(certificate of 'CN=below')")),
        both("expired root", &[&old_root], &[&old_root.issue(params("x"))], Err("(certificate of 'CN=old')")),
        both("expired, trusted itself", &[&old_root], &[&old_root], Err("has expired")),
    ]);
}

#[test]
fn usages() {
    let purposes =
        |list: &[ExtendedKeyUsagePurpose], params| with(params, |params| params.extended_key_usages = list.to_vec());
    let usages = |list: &[KeyUsagePurpose], params| with(params, |params| params.key_usages = list.to_vec());
    use ExtendedKeyUsagePurpose::{Any, ClientAuth, CodeSigning, ServerAuth};
    use KeyUsagePurpose::{CrlSign, DigitalSignature, KeyAgreement, KeyCertSign, KeyEncipherment};
    let root = Party::own(authority("root"));
    let for_servers = root.issue(purposes(&[ServerAuth], authority("servers")));
    let silent = root.issue(usages(&[CrlSign], authority("silent")));
    let by_usage = Party::own(usages(&[KeyCertSign], params("by usage")));
    let by_usage_below = root.issue(usages(&[KeyCertSign], params("by usage")));
    let own = Party::own(usages(&[KeyCertSign], authority("own")));
    let leaf = |params| root.issue(params);
    let purpose = Err("unsuitable certificate purpose");
    check(&[
        case("for servers", &[&root], &[&leaf(purposes(&[ServerAuth], params("x")))], Ok(()), purpose),
        case("for clients", &[&root], &[&leaf(purposes(&[ClientAuth], params("x")))], purpose, Ok(())),
        both("for both", &[&root], &[&leaf(purposes(&[ServerAuth, ClientAuth], params("x")))], Ok(())),
        both("for any", &[&root], &[&leaf(purposes(&[Any], params("x")))], Err("anyExtendedKeyUsage")),
        both("for code", &[&root], &[&leaf(purposes(&[CodeSigning], params("x")))], purpose),
        case("an authority for servers", &[&root], &[&for_servers.issue(params("x")), &for_servers], Ok(()), purpose),
        case("a trusted one for servers", &[&for_servers], &[&for_servers.issue(params("x"))], Ok(()), purpose),
        both("signs", &[&root], &[&leaf(usages(&[DigitalSignature], params("x")))], Ok(())),
        both("agrees", &[&root], &[&leaf(usages(&[KeyAgreement], params("x")))], Ok(())),
        case("encrypts", &[&root], &[&leaf(usages(&[KeyEncipherment], params("x")))], Ok(()), purpose),
        both("issues only", &[&own], &[&own], purpose),
        both("may not issue", &[&root], &[&silent.issue(params("x")), &silent], Err("no keyCertSign")),
        both("a trusted one may not issue", &[&silent], &[&silent.issue(params("x"))], Err("no keyCertSign")),
        both("a root by key usage", &[&by_usage], &[&by_usage.issue(params("x"))], Ok(())),
        both(
            "an authority by key usage",
            &[&root],
            &[&by_usage_below.issue(params("x")), &by_usage_below],
            Err("invalid CA"),
        ),
    ]);
}

#[test]
fn path_lengths() {
    let limited = |n, name| with(params(name), |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(n)));
    let root = Party::own(limited(1, "root"));
    let first = root.issue(limited(0, "first"));
    let second = first.issue(authority("second"));
    let loose = root.issue(authority("loose"));
    let third = loose.issue(authority("third"));
    // A new certificate of the same authority is not one more.
    let renewed = loose.issue(with(authority("loose"), |params| params.use_authority_key_identifier_extension = true));
    let mut long = vec![Party::own(authority("0"))];
    for i in 1..20 {
        long.push(long[i - 1].issue(authority(&i.to_string())));
    }
    let chain: Vec<&Party> = long[1..].iter().rev().collect();
    check(&[
        both("as far as allowed", &[&root], &[&first.issue(params("x")), &first], Ok(())),
        both(
            "one too far",
            &[&root],
            &[&second.issue(params("x")), &second, &first],
            Err("path length constraint exceeded"),
        ),
        both("too far for the root", &[&root], &[&third.issue(params("x")), &third, &loose], Err("1 allowed")),
        both("renewed", &[&root], &[&renewed.issue(params("x")), &renewed, &loose], Ok(())),
        both("eight", &[&long[0]], &chain[12..], Ok(())),
        Case { stricter: true, ..both("twenty", &[&long[0]], &chain, Err("chain too long")) },
    ]);
}

#[test]
fn name_constraints() {
    let permitted = |list: Vec<GeneralSubtree>| {
        let name_constraints = Some(NameConstraints { permitted_subtrees: list, excluded_subtrees: Vec::new() });
        with(authority("limited"), |params| params.name_constraints = name_constraints)
    };
    let excluded = |list: Vec<GeneralSubtree>| {
        let name_constraints = Some(NameConstraints { permitted_subtrees: Vec::new(), excluded_subtrees: list });
        with(authority("limited"), |params| params.name_constraints = name_constraints)
    };
    let dns = |name: &str| GeneralSubtree::DnsName(name.to_owned());
    let root = Party::own(authority("root"));
    let within = root.issue(permitted(vec![dns("example.com")]));
    let without = root.issue(excluded(vec![dns("example.com")]));
    let nets =
        root.issue(permitted(vec![GeneralSubtree::IpAddress(rcgen::CidrSubnet::from_v4_prefix([10, 0, 0, 0], 8))]));
    let mut base = DistinguishedName::new();
    base.push(DnType::OrganizationName, "Org");
    let orgs = root.issue(permitted(vec![GeneralSubtree::DirectoryName(base.clone())]));
    let member = || {
        let mut params = params("x");
        params.distinguished_name = base.clone();
        params.distinguished_name.push(DnType::CommonName, "x");
        params
    };
    let trusted_limited = Party::own(permitted(vec![dns("example.com")]));
    let named = |names: &[&str], common: &str| {
        let mut params = host(names);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common);
        params
    };
    let violation = Err("permitted subtree violation");
    check(&[
        both("within", &[&root], &[&within.issue(host(&["a.example.com"])), &within], Ok(())),
        both("one outside", &[&root], &[&within.issue(host(&["a.example.com", "a.org"])), &within], violation),
        both("no DNS name", &[&root], &[&within.issue(params("peer")), &within], Ok(())),
        both("common name outside", &[&root], &[&within.issue(params("a.example.org")), &within], violation),
        both("version 1 outside", &[&root], &[&within.issue_v1("a.example.org"), &within], violation),
        Case {
            stricter: true,
            ..both("outside beside", &[&root], &[&within.issue(named(&["a.example.com"], "a.org")), &within], violation)
        },
        both("excluded", &[&root], &[&without.issue(host(&["a.example.com"])), &without], Err("excluded subtree")),
        both("not excluded", &[&root], &[&without.issue(host(&["a.example.org"])), &without], Ok(())),
        both("an address within", &[&root], &[&nets.issue(host(&["10.1.2.3"])), &nets], Ok(())),
        both("an address outside", &[&root], &[&nets.issue(host(&["11.1.2.3"])), &nets], violation),
        both("a subject within", &[&root], &[&orgs.issue(member()), &orgs], Ok(())),
        both("a subject outside", &[&root], &[&orgs.issue(params("x")), &orgs], violation),
        both("of the root", &[&trusted_limited], &[&trusted_limited.issue(host(&["a.org"]))], violation),
    ]);
}

/// What somebody may not be called is the same name in every encoding.
#[test]
fn excluded_names_in_other_encodings() {
    use rcgen::string::{BmpString, Ia5String, PrintableString, TeletexString, UniversalString};
    let named = |value: DnValue| {
        let mut name = DistinguishedName::new();
        name.push(DnType::OrganizationName, value);
        name
    };
    let root = Party::own(authority("root"));
    let base = GeneralSubtree::DirectoryName(named(DnValue::Utf8String("Some  Org".to_owned())));
    let name_constraints = NameConstraints { permitted_subtrees: Vec::new(), excluded_subtrees: vec![base] };
    let without = root.issue(with(authority("limited"), |params| params.name_constraints = Some(name_constraints)));
    for value in [
        DnValue::Utf8String("some org".to_owned()),
        DnValue::PrintableString(PrintableString::try_from("Some Org").unwrap()),
        DnValue::Ia5String(Ia5String::try_from("SOME ORG").unwrap()),
        DnValue::TeletexString(TeletexString::try_from("Some Org ").unwrap()),
        DnValue::BmpString(BmpString::try_from("Some Org").unwrap()),
        DnValue::UniversalString(UniversalString::try_from("Some Org").unwrap()),
    ] {
        let leaf = without.issue(with(params("x"), |params| params.distinguished_name = named(value)));
        check(&[both("excluded", &[&root], &[&leaf, &without], Err("excluded subtree violation"))]);
    }
}

/// Subjects are written as OpenSSL writes them, for policies have users by that.
#[test]
fn subjects() {
    use rcgen::string::{BmpString, Ia5String, PrintableString, TeletexString, UniversalString};
    let utf8 = |text: &str| DnValue::Utf8String(text.to_owned());
    let custom = |id: &[u64]| DnType::CustomDnType(id.to_vec());
    let certs = common::Certs::new();
    for (kind, value, expected) in [
        (DnType::OrganizationName, utf8("Böse Org"), "CN=x,O=B\\C3\\B6se Org"),
        (DnType::OrganizationName, utf8(" #a, \"b\"; \\<c>+ "), "CN=x,O=\\ #a\\, \\\"b\\\"\\; \\\\\\<c\\>\\+\\ "),
        (DnType::OrganizationName, utf8("#a\n\u{7f}"), "CN=x,O=\\#a\\0A\\7F"),
        (DnType::OrganizationName, utf8(" "), "CN=x,O=\\ "),
        (DnType::LocalityName, DnValue::BmpString(BmpString::try_from("Aö").unwrap()), "CN=x,L=A\\C3\\B6"),
        (
            DnType::LocalityName,
            DnValue::UniversalString(UniversalString::try_from("€").unwrap()),
            "CN=x,L=\\E2\\82\\AC",
        ),
        (DnType::LocalityName, DnValue::TeletexString(TeletexString::try_from("A").unwrap()), "CN=x,L=A"),
        (DnType::CountryName, DnValue::PrintableString(PrintableString::try_from("DE").unwrap()), "CN=x,C=DE"),
        (custom(&[2, 5, 4, 9]), utf8("a"), "CN=x,street=a"),
        (custom(&[2, 5, 4, 17]), utf8("a"), "CN=x,postalCode=a"),
        (custom(&[2, 5, 4, 97]), utf8("a"), "CN=x,organizationIdentifier=a"),
        (custom(&[1, 3, 6, 1, 4, 1, 311, 60, 2, 1, 3]), utf8("DE"), "CN=x,jurisdictionC=DE"),
        (
            custom(&[0, 9, 2342, 19_200_300, 100, 1, 25]),
            DnValue::Ia5String(Ia5String::try_from("a").unwrap()),
            "CN=x,DC=a",
        ),
        (custom(&[1, 2, 3, 4]), utf8("abc"), "CN=x,1.2.3.4=#0C03616263"),
    ] {
        let mut name = DistinguishedName::new();
        name.push(kind, value);
        name.push(DnType::CommonName, "x");
        let party = Party::own(with(params("x"), |params| params.distinguished_name = name));
        assert_eq!(subject_name(&party.cert).as_deref(), Some(expected));
        std::fs::write(certs.path("x.pem"), pem(&party.cert)).unwrap();
        let arguments = ["x509", "-noout", "-subject", "-nameopt", "RFC2253", "-in", &certs.path("x.pem")];
        if let Ok(output) = Command::new("openssl").args(arguments).output() {
            assert_eq!(String::from_utf8_lossy(&output.stdout), format!("subject={expected}\n"));
        }
    }
}

/// Where a part of a subject is several values, as `openssl` makes it.
#[test]
fn subjects_with_several_values_in_a_part() {
    let certs = common::Certs::new();
    let file = certs.path("x.pem");
    let arguments = ["req", "-x509", "-new", "-key", &certs.path("tls.key"), "-subj", "/O=x/CN=a+UID=b/L=c"];
    let made = Command::new("openssl").args(arguments).args(["-multivalue-rdn", "-out", &file]).status();
    if made.is_ok_and(|status| status.success()) {
        let cert = CertificateDer::from_pem_file(file).unwrap();
        assert_eq!(subject_name(&cert).as_deref(), Some("L=c,UID=b+CN=a,O=x"));
    }
}

/// A mailbox of any form counts against constraints on mailboxes.
#[test]
fn mailboxes() {
    let mail = |name: &str| GeneralSubtree::Rfc822Name(name.to_owned());
    let limited = |permitted: Vec<GeneralSubtree>, excluded: Vec<GeneralSubtree>| {
        let constraints = NameConstraints { permitted_subtrees: permitted, excluded_subtrees: excluded };
        with(authority("limited"), |params| params.name_constraints = Some(constraints))
    };
    let email = DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]);
    let subject = |value: DnValue| with(params("x"), |params| params.distinguished_name.push(email.clone(), value));
    let ia5 = |text: &str| DnValue::Ia5String(rcgen::string::Ia5String::try_from(text).unwrap());
    let root = Party::own(authority("root"));
    let within = root.issue(limited(vec![mail("example.com")], Vec::new()));
    let without = root.issue(limited(Vec::new(), vec![mail("@example.com")]));
    let bmp = DnValue::BmpString(rcgen::string::BmpString::try_from("a@example.org").unwrap());
    let utf8_mailbox = rcgen::SanType::OtherName((vec![1, 3, 6, 1, 5, 5, 7, 8, 9], "a@example.org".into()));
    let other = with(params("x"), |params| params.subject_alt_names = vec![utf8_mailbox]);
    let violation = Err("name constraint violation");
    check(&[
        both("a mailbox within", &[&root], &[&within.issue(subject(ia5("a@example.com"))), &within], Ok(())),
        both("a mailbox outside", &[&root], &[&within.issue(subject(ia5("a@example.org"))), &within], violation),
        both("in wide letters", &[&root], &[&within.issue(subject(bmp)), &within], violation),
        both("as another name", &[&root], &[&within.issue(other), &within], violation),
        both("of an excluded host", &[&root], &[&without.issue(subject(ia5("a@example.com"))), &without], violation),
    ]);
}

/// An authority cannot name hosts that it may not, whatever form it finds for them.
#[test]
fn hosts_outside_of_constraints() {
    let limited = |permitted: Vec<GeneralSubtree>, excluded: Vec<GeneralSubtree>| {
        let constraints = NameConstraints { permitted_subtrees: permitted, excluded_subtrees: excluded };
        with(authority("limited"), |params| params.name_constraints = Some(constraints))
    };
    let dns = |name: &str| GeneralSubtree::DnsName(name.to_owned());
    let net = GeneralSubtree::IpAddress(rcgen::CidrSubnet::from_v4_prefix([10, 0, 0, 0], 8));
    let root = Party::own(authority("root"));
    let within = root.issue(limited(vec![dns("example.com")], Vec::new()));
    let without = root.issue(limited(Vec::new(), vec![dns("secret.example.com"), dns("secret")]));
    let nets = root.issue(limited(vec![net], Vec::new()));
    for (issuer, party, host, allowed) in [
        (&within, host(&["a.example.com"]), "a.example.com", true),
        (&within, params("localhost"), "localhost", false),
        (&within, params("l*"), "localhost", false),
        (&without, host(&["*.example.com"]), "public.example.com", false),
        (&without, host(&["s*.example.com"]), "stage.example.com", true),
        (&without, host(&["s*.example.com"]), "secret.example.com", false),
        (&without, host(&["*.*.com"]), "secret.example.com", false),
        (&without, params("secret"), "secret", false),
        (&without, params("sec*"), "secret", false),
        (&nets, params("10.0.0.1"), "10.0.0.1", true),
        (&nets, params("11.0.0.1"), "11.0.0.1", false),
    ] {
        let chain = [issuer.issue(party).cert, issuer.cert.clone()];
        let found = judge(vec![root.cert.clone()], &chain, Purpose::Server, Some(host), now());
        match found.map_err(|refusal| refusal.reason) {
            Ok(()) => assert!(allowed, "{host}"),
            Err(Reason::NameConstraint(_)) => assert!(!allowed, "{host}"),
            Err(other) => panic!("{host}: {other}"),
        }
    }
}

#[test]
fn unknown_extensions() {
    let unknown = |critical, params| {
        let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
        extension.set_criticality(critical);
        with(params, |params| params.custom_extensions = vec![extension])
    };
    let root = Party::own(authority("root"));
    let strange = root.issue(unknown(true, authority("strange")));
    let strange_root = Party::own(unknown(true, authority("strange root")));
    let critical = Err("unhandled critical extension: 1.2.3.4");
    check(&[
        both("harmless", &[&root], &[&root.issue(unknown(false, params("x")))], Ok(())),
        both("critical", &[&root], &[&root.issue(unknown(true, params("x")))], critical),
        both("critical in an authority", &[&root], &[&strange.issue(params("x")), &strange], critical),
        both("critical in a root", &[&strange_root], &[&strange_root.issue(params("x"))], critical),
    ]);
}

#[test]
fn hosts() {
    let root = Party::own(authority("root"));
    let by_name = root.issue(host(&["a.example.com", "*.example.org", "10.0.0.1", "::1"]));
    let by_common_name = root.issue_v1("b.example.com");
    let by_address = root.issue_v1("127.0.0.1");
    let by_pattern = root.issue(host(&["*.*.*.*"]));
    let wide = DnValue::BmpString(rcgen::string::BmpString::try_from("c.example.com").unwrap());
    let by_wide_name = root.issue(with(params("x"), |params| params.distinguished_name.push(DnType::CommonName, wide)));
    let many: Vec<String> = (0..300).map(|i| format!("host-{i}.example.com")).collect();
    let crowd = root.issue(host(&many.iter().map(String::as_str).collect::<Vec<_>>()));
    for (party, host, offered) in [
        (&by_name, "a.example.com", None),
        (&by_name, "x.example.org", None),
        (&by_name, "10.0.0.1", None),
        (&by_name, "0:0:0:0:0:0:0:1", None),
        (&by_name, "peer", None),
        (&by_name, "b.example.com", Some("a.example.com, *.example.org, 10.0.0.1, ::1, CN=peer")),
        (&by_common_name, "B.example.com", None),
        (&by_common_name, "a.example.com", Some("CN=b.example.com")),
        (&by_address, "127.0.0.1", None),
        (&by_address, "localhost", Some("CN=127.0.0.1")),
        (&by_pattern, "a.b.c.d", None),
        (&by_pattern, "127.0.0.1", Some("*.*.*.*, CN=peer")),
        (&by_wide_name, "c.example.com", None),
    ] {
        let found =
            judge(vec![root.cert.clone()], std::slice::from_ref(&party.cert), Purpose::Server, Some(host), now());
        let expected = offered.map(|offered| Reason::Name { host: host.to_owned(), offered: offered.to_owned() });
        assert_eq!(found.map_err(|refusal| refusal.reason).err(), expected, "{host}");
    }
    let refusal = judge(vec![root.cert.clone()], &[crowd.cert], Purpose::Server, Some("x"), now()).unwrap_err();
    assert!(refusal.to_string().len() < 500, "{refusal}");
}

/// Nothing that somebody changes in a chain goes unnoticed, and nothing that is cut off or doubled does harm.
#[test]
fn damaged_chains() {
    let root = Party::own(authority("root"));
    let below = root.issue(authority("below"));
    for leaf in [below.issue(host(&["localhost"])), below.issue_v1("localhost")] {
        let trusted = || vec![root.cert.clone()];
        let refused =
            |chain: &[CertificateDer<'static>]| judge(trusted(), chain, Purpose::Server, None, now()).is_err();
        let good = [leaf.cert, below.cert.clone()];
        assert!(!refused(&good));
        for victim in 0..2 {
            for at in 0..good[victim].len() {
                let mut der = good[victim].to_vec();
                der[at] ^= 1 << (at % 8);
                let mut chain = good.clone();
                chain[victim] = der.into();
                assert!(refused(&chain), "octet {at} of {victim}");
            }
            for len in (0..good[victim].len()).step_by(7) {
                let mut chain = good.clone();
                chain[victim] = good[victim][..len].to_vec().into();
                assert!(refused(&chain), "cut to {len}");
            }
            let mut chain = good.clone();
            chain[victim] = [&good[victim][..], &[0]].concat().into();
            assert!(refused(&chain), "an octet more");
        }
    }
}

/// Certificates with contents of absurd size are refused, and quickly.
#[test]
fn absurd_contents_are_refused() {
    let root = Party::own(authority("root"));
    let extension = |oid: &[u64]| {
        let mut extension = CustomExtension::from_oid_content(oid, vec![5, 0]);
        extension.set_criticality(true);
        extension
    };
    let endless: Vec<u64> = [1, 2].into_iter().chain(std::iter::repeat_n(u64::MAX, 3000)).collect();
    let many = (0..3000).map(|i| extension(&[1, 2, i])).collect();
    for (extensions, reason) in [
        (vec![extension(&endless)], Reason::CriticalExtension("an overlong object identifier".to_owned())),
        (many, Reason::Malformed("too many extensions")),
    ] {
        let party = root.issue(with(params("x"), |params| params.custom_extensions = extensions));
        let found = judge(vec![root.cert.clone()], &[party.cert], Purpose::Client, None, now());
        assert_eq!(found.unwrap_err().reason, reason);
    }
}

/// Certificates that all could have issued each other do not keep us busy.
#[test]
fn contrived_chains_are_given_up() {
    let root = Party::own(authority("root"));
    let mut forest: Vec<Party> = vec![Party::own(authority("same"))];
    for i in 1..30 {
        let issuer = &forest[i - 1];
        forest.push(issuer.issue(authority("same")));
    }
    let leaf = forest[15].issue(params("x"));
    let chain: Vec<_> = [leaf.cert].into_iter().chain(forest.iter().map(|party| party.cert.clone())).collect();
    assert!(judge(vec![root.cert.clone()], &chain, Purpose::Server, None, now()).is_err());
    let crowd: Vec<_> = std::iter::repeat_n(chain[0].clone(), 40).collect();
    assert_eq!(judge(vec![root.cert], &crowd, Purpose::Server, None, now()).unwrap_err().reason, Reason::TooLong);
}
