//! Private keys in every form that the `openssl` command writes, and what is said of those that are not taken.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod common;

use adaptors::tls::{Consumer, ServerOptions, TlsProfile, TlsServer};
use common::Certs;
use std::process::{Command, Stdio};

const PASSWORD: &str = "pass:wörd secret";

/// Runs `openssl`. False when it is not there, or cannot do this.
fn openssl(certs: &Certs, arguments: &str) -> bool {
    let arguments = arguments.split(' ').filter(|argument| !argument.is_empty());
    let arguments = arguments.map(|argument| if argument == "PASS" { PASSWORD } else { argument });
    let mut command = Command::new("openssl");
    command.current_dir(&certs.dir).args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn load(certs: &Certs, key: &str, password: Option<&str>) -> Result<(), String> {
    let profile = TlsProfile {
        private_key_file: Some(certs.path(key)),
        cert_file: Some(certs.path("own.crt")),
        password: password.map(str::to_owned),
        ..certs.profile()
    };
    TlsServer::load(&profile, Consumer::Amqp, &ServerOptions::default()).map(|_| ()).map_err(|e| e.to_string())
}

/// A key of each kind, with a certificate of its own.
fn with_keys(each: impl Fn(&Certs, &str)) {
    for kind in ["RSA -pkeyopt rsa_keygen_bits:2048", "EC -pkeyopt ec_paramgen_curve:P-256", "ED25519"] {
        let certs = Certs::new();
        if !openssl(&certs, &format!("genpkey -algorithm {kind} -out clear.key")) {
            eprintln!("skipped: openssl is not there");
            return;
        }
        assert!(openssl(&certs, "req -x509 -new -key clear.key -subj /CN=own -out own.crt"));
        each(&certs, kind);
    }
}

#[test]
fn pkcs8() {
    let forms = "-v2 aes-128-cbc\n-v2 aes-192-cbc\n-v2 aes-256-cbc\n-v2 des3\n-v2 aes-256-cbc -v2prf hmacWithSHA1\n\
                 -v2 aes-256-cbc -v2prf hmacWithSHA512\n-scrypt -scrypt_N 1024\n-v1 PBE-SHA1-3DES\n-v1 PBE-SHA1-2DES\n\
                 -v1 PBE-MD5-DES -provider default -provider legacy\n-v1 PBE-SHA1-DES -provider default -provider legacy\n\
                 -v2 des -provider default -provider legacy";
    with_keys(|certs, kind| {
        assert_eq!(load(certs, "clear.key", None), Ok(()), "{kind}");
        for form in forms.lines() {
            let made = format!("pkcs8 -topk8 -in clear.key -out new.key -passout PASS {form}");
            if !openssl(certs, &made) {
                assert!(form.contains("legacy"), "{form}");
                eprintln!("skipped: openssl does not write {form}");
                continue;
            }
            check_encrypted(certs, form);
        }
    });
}

#[test]
fn traditional() {
    with_keys(|certs, kind| {
        let tool = match kind.split(' ').next() {
            Some("RSA") => "rsa -traditional",
            Some("EC") => "ec",
            // There is no traditional form of this.
            _ => return,
        };
        assert!(openssl(certs, &format!("{tool} -in clear.key -out new.key")), "{kind}");
        assert_eq!(load(certs, "new.key", None), Ok(()), "{kind}");
        for cipher in ["-aes128", "-aes192", "-aes256", "-des3", "-des"] {
            // A cipher that only the provider of old ones has.
            let old = if cipher == "-des" { "-provider default -provider legacy" } else { "" };
            let made = format!("{tool} -in clear.key -out new.key {cipher} -passout PASS {old}");
            if !openssl(certs, &made) {
                assert!(!old.is_empty(), "{made}");
                continue;
            }
            let text = std::fs::read_to_string(certs.path("new.key")).unwrap();
            assert!(text.contains("Proc-Type: 4,ENCRYPTED"), "{cipher}");
            check_encrypted(certs, cipher);
            std::fs::write(certs.path("new.key"), text.replace('\n', "\r\n")).unwrap();
            check_encrypted(certs, cipher);
        }
    });
}

fn check_encrypted(certs: &Certs, form: &str) {
    let password = PASSWORD.strip_prefix("pass:").unwrap();
    assert_eq!(load(certs, "new.key", Some(password)), Ok(()), "{form}");
    let wrong = load(certs, "new.key", Some("wrong")).unwrap_err();
    assert!(wrong.contains("new.key' cannot be decrypted: the password is wrong"), "{form}: {wrong}");
    let missing = load(certs, "new.key", None).unwrap_err();
    assert!(missing.contains("new.key' is encrypted, and the sslProfile has no password"), "{form}: {missing}");
}

#[test]
fn refused_forms_are_named() {
    with_keys(|certs, kind| {
        let error = |key: &str| load(certs, key, Some("wörd secret")).unwrap_err();
        assert!(error("tls.key").ends_with("does not belong to the certificate"), "{kind}");
        assert!(error("missing.key").ends_with("missing.key' cannot be read: No such file or directory"));
        assert!(error("own.crt").ends_with("own.crt' holds no private key in PEM form, only certificates"));
        assert!(openssl(certs, "pkcs12 -export -inkey clear.key -in own.crt -passout PASS -out both.p12"));
        assert!(error("both.p12").contains("DER and PKCS#12 files have to be converted"));
        assert!(error("both.p12").starts_with("Failed to configure TLS certFile"));
        if openssl(certs, "pkcs8 -topk8 -in clear.key -out new.key -passout PASS -v2 camellia-256-cbc") {
            let error = error("new.key");
            assert!(error.contains("form that is not supported") && error.contains("openssl pkcs8 -topk8"), "{error}");
        }
        let old = "-v1 PBE-SHA1-RC2-40 -provider default -provider legacy";
        if openssl(certs, &format!("pkcs8 -topk8 -in clear.key -out new.key -passout PASS {old}")) {
            assert!(error("new.key").contains("(pbeWithSHA1And40BitRC2-CBC)"));
        }
    });
}

#[test]
fn weak_keys_and_files_of_certificates() {
    let certs = Certs::new();
    if !openssl(&certs, "genrsa -out weak.key 1024") {
        return;
    }
    assert!(openssl(&certs, "req -x509 -new -key weak.key -subj /CN=own -out own.crt"));
    assert!(load(&certs, "weak.key", None).unwrap_err().contains("kind of key that is not supported"));
    let with_ca = |file: &str| {
        let profile = TlsProfile { ca_cert_file: Some(certs.path(file)), ..certs.profile() };
        let loaded = TlsServer::load(&profile, Consumer::Tcp, &ServerOptions::default());
        loaded.map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(with_ca("ca.crt"), Ok(()));
    assert!(with_ca("none.crt").unwrap_err().ends_with("(-1): No such file or directory"));
    assert!(with_ca("tls.key").unwrap_err().ends_with("(-1): it holds no certificate in PEM form"));
    std::fs::write(certs.path("bad.crt"), "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n").unwrap();
    assert!(with_ca("bad.crt").unwrap_err().ends_with("it holds no certificate that can be read"));
}
