use super::*;
use crate::sasl::exchange::Exchange;
use crate::sasl::scram::server::Passwords;
use proptest::prelude::*;
use router_engine::port::{AuthReply, Secret};

const HASHES: [Hash; 3] = [Hash::Sha1, Hash::Sha256, Hash::Sha512];

fn only(user: &'static str, password: &'static str) -> Passwords {
    Box::new(move |name| (name == user).then(|| Zeroizing::new(password.as_bytes().to_vec())))
}

fn message(reply: AuthReply) -> String {
    match reply {
        AuthReply::Message(message) => String::from_utf8(message.to_vec()).expect("text"),
        other => panic!("{other:?}"),
    }
}

/// Both sides with the choices of an example of a specification, and what each says.
fn example(hash: Hash, nonces: [&str; 2], salt: fn(Hash, &str) -> Vec<u8>, messages: [&str; 4]) {
    let mut client = ScramClient::fixed(hash, "user", "pencil", nonces[0]);
    let mut server = ScramServer::fixed(hash, only("user", "pencil"), nonces[1], salt);
    assert_eq!(message(client.step(b"")), messages[0]);
    assert_eq!(message(server.step(messages[0].as_bytes())), messages[1]);
    assert_eq!(message(client.step(messages[1].as_bytes())), messages[2]);
    let last = Some(messages[3].to_owned().into());
    assert_eq!(server.step(messages[2].as_bytes()), AuthReply::Accepted { user: "user".to_owned(), last });
    assert!(matches!(client.step(messages[3].as_bytes()), AuthReply::Accepted { .. }));
}

#[test]
fn the_example_of_rfc_5802() {
    example(
        Hash::Sha1,
        ["fyko+d2lbbFgONRv9qkxdawL", "3rfcNHYJY1ZVvWVs7j"],
        |_, _| decoded("QSXCR+Q6sek8bf92", "salt").expect("salt"),
        [
            "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
            "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
            "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
            "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        ],
    );
}

#[test]
fn the_example_of_rfc_7677() {
    example(
        Hash::Sha256,
        ["rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"],
        |_, _| decoded("W22ZaJ0SNY7soEsUEjb6gQ==", "salt").expect("salt"),
        [
            "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        ],
    );
}

/// The reply to the client's last message.
fn end(hash: Hash, client: (&str, &str), passwords: Passwords) -> AuthReply {
    let mut client = ScramClient::new(hash, client.0.to_owned(), Secret::from(client.1));
    let mut server = ScramServer::new(hash, passwords);
    let first = message(client.step(b""));
    let challenge = message(server.step(first.as_bytes()));
    let last = message(client.step(challenge.as_bytes()));
    let reply = server.step(last.as_bytes());
    if let AuthReply::Accepted { last: Some(last), .. } = &reply {
        assert!(matches!(client.step(last), AuthReply::Accepted { .. }), "{hash:?}");
        assert!(matches!(client.step(last), AuthReply::Refused { .. }), "once is enough");
    }
    reply
}

#[test]
fn who_knows_the_password_gets_in() {
    for hash in HASHES {
        let passwords = || only("a,b=c@d", "pässword");
        let reply = end(hash, ("a,b=c@d", "pässword"), passwords());
        assert!(matches!(reply, AuthReply::Accepted { user, .. } if user == "a,b=c@d"), "{hash:?}");
        for wrong in [("a,b=c@d", "password"), ("a,b=c@d", ""), ("nobody", "pässword")] {
            assert_eq!(end(hash, wrong, passwords()), AuthReply::bad_credentials());
        }
        assert_eq!(end(hash, ("u", ""), only("u", "")), AuthReply::bad_credentials(), "no password is none");
    }
}

/// What a server says of a name, without its nonce.
fn salt_and_iterations(hash: Hash, name: &str) -> String {
    let mut server = ScramServer::new(hash, only("user", "pencil"));
    let challenge = message(server.step(format!("n,,n={name},r=1").as_bytes()));
    challenge.split_once(",s=").expect("a salt").1.to_owned()
}

#[test]
fn nothing_tells_whether_a_user_exists() {
    for hash in HASHES {
        for name in ["user", "nobody"] {
            assert_eq!(salt_and_iterations(hash, name), salt_and_iterations(hash, name), "{name}");
            assert_eq!(salt_and_iterations(hash, name).len(), salt_and_iterations(hash, "user").len());
        }
        assert_ne!(salt_and_iterations(hash, "user"), salt_and_iterations(hash, "nobody"));
    }
    assert_ne!(salt_and_iterations(Hash::Sha1, "user"), salt_and_iterations(Hash::Sha256, "user"));
}

#[test]
fn a_server_refuses_what_is_not_of_this_exchange() {
    let begin = || {
        let mut server = ScramServer::fixed(Hash::Sha1, only("user", "pencil"), "N", |_, _| vec![1]);
        message(server.step(b"n,,n=user,r=C"));
        server
    };
    let refusal = |message: &[u8]| match begin().step(message) {
        AuthReply::Refused { detail } => detail,
        other => panic!("{other:?}"),
    };
    assert_eq!(refusal(b"c=biws,r=CX,p=QQ=="), Fault::Nonce.to_string());
    assert_eq!(refusal(b"c=eSws,r=CN,p=QQ=="), Fault::ChannelBinding.to_string());
    assert_eq!(refusal(b"c=biws,r=CN,p=QQ=="), "authentication failure");
    assert_eq!(refusal(b"c=biws,r=CN,p="), "authentication failure");
    let mut client = ScramClient::fixed(Hash::Sha1, "user", "pencil", "C");
    client.step(b"");
    let right = message(client.step(b"r=CN,s=AQ==,i=4096"));
    let (before, proof) = right.rsplit_once("p=").expect("a proof");
    let longer = encoded(&[decoded(proof, "proof").expect("a proof"), vec![0]].concat());
    assert_eq!(refusal(format!("{before}p={longer}").as_bytes()), "authentication failure");
    assert!(matches!(begin().step(right.as_bytes()), AuthReply::Accepted { .. }));
    assert_eq!(refusal(b"n,,n=user,r=C"), Fault::Malformed("proof").to_string());
    let mut server = begin();
    server.step(b"c=biws,r=CN,p=QQ==");
    assert_eq!(server.step(b"c=biws,r=CN,p=QQ=="), AuthReply::refused(Fault::Order.to_string()), "one attempt each");
}

#[test]
fn a_client_refuses_what_a_server_must_not_say() {
    let refusal = |messages: &[&str]| {
        let mut client = ScramClient::fixed(Hash::Sha256, "user", "pencil", "C");
        client.step(b"");
        let replies = messages.iter().map(|message| client.step(message.as_bytes())).collect::<Vec<_>>();
        match replies.last() {
            Some(AuthReply::Refused { detail }) => detail.clone(),
            other => panic!("{other:?}"),
        }
    };
    let good = "r=CN,s=QQ==,i=4096";
    for nonce in ["C", "XN", "NC"] {
        assert_eq!(refusal(&[&format!("r={nonce},s=QQ==,i=4096")]), Fault::Nonce.to_string(), "{nonce}");
    }
    for iterations in [0, 1, 4095, MAX_ITERATIONS + 1, u32::MAX] {
        let told = Fault::Iterations(iterations).to_string();
        assert_eq!(refusal(&[&format!("r=CN,s=QQ==,i={iterations}")]), told);
    }
    assert_eq!(refusal(&[good, "v=QQ=="]), "SCRAM server does not know the password");
    assert_eq!(refusal(&[good, "e=unknown-user\u{1b}[2J"]), "SCRAM server tells an error: unknown-user\\x1b[2J");
    assert_eq!(refusal(&[good, "v=?"]), Fault::Malformed("signature").to_string());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn nobody_gets_in_by_chance(
        octets in proptest::collection::vec(any::<u8>(), 0..200),
        first in "n,,n=[a-z=,\u{e9}]{0,9},r=[!-~]{0,9}",
        challenge in "r=C[!-~]{0,9},s=[A-Za-z0-9+/]{4}(,i=409[0-9])?",
        last in "(c=biws,)?r=[a-zC]{0,3}N?,p=[A-Za-z0-9+/]{4}\nv=[A-Za-z0-9+/]{4}",
    ) {
        crate::sasl::fuzzing::scram(&octets);
        crate::sasl::fuzzing::scram(format!("{first}\n{last}").as_bytes());
        crate::sasl::fuzzing::scram(format!("{challenge}\n{last}").as_bytes());
    }
}
