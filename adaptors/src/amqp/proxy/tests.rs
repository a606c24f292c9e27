use super::*;
use tokio::net::TcpListener;

fn profile(port: &str, username: Option<&str>, password: Option<&str>) -> ProxyProfile {
    ProxyProfile {
        host: "127.0.0.1".to_owned(),
        port: port.to_owned(),
        username: username.map(str::to_owned),
        password: password.map(Secret::from),
    }
}

fn target(host: &str, port: &str) -> Target {
    Target { scheme: "amqp".to_owned(), host: host.to_owned(), port: port.to_owned() }
}

#[test]
fn requests_name_host_and_user() {
    let text = |host: &str, username, password| request(host, 5671, &profile("1", username, password));
    let plain = "CONNECT h:5671 HTTP/1.1\r\nHost: h:5671\r\n\r\n";
    assert_eq!(text("h", None, Some("unused")).as_ref().map(|r| r.as_str()), Some(plain));
    let six = text("::1", Some("Aladdin"), Some("open sesame")).expect("a request");
    let expected = "CONNECT [::1]:5671 HTTP/1.1\r\nHost: [::1]:5671\r\n\
                    Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n";
    assert_eq!(six.as_str(), expected);
    assert!(text("h", Some("u"), None).expect("a request").contains("Basic dTo=\r\n"));
    for host in ["", "a b", "a\r\nb", "a/b", "[::1]", "a:1", "\u{e9}", "a@b"] {
        assert_eq!(text(host, None, None), None, "{host:?}");
    }
}

/// What comes of a proxy that answers so, to whatever it is asked; without an answer it is silent.
async fn answered(answer: Option<&'static [u8]>) -> Result<Vec<u8>, String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let port = listener.local_addr().expect("bound").port().to_string();
    let proxy = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("a client");
        let mut asked = [0; CHUNK];
        let length = socket.read(&mut asked).await.expect("a request");
        assert!(asked[..length].ends_with(b"\r\n\r\n"));
        match answer {
            Some(answer) => socket.write_all(answer).await.expect("sent"),
            None => std::future::pending::<()>().await,
        }
    });
    let profiles = ProxyProfiles::default();
    profiles.set("p", profile(&port, None, None));
    let via = ViaProxy { name: "p".to_owned(), profiles };
    let limit = Duration::from_millis(if answer.is_some() { 20_000 } else { 50 });
    let connected = via.connect(&target("h", "amqp"), None, limit).await;
    let proxy_text = format!("127.0.0.1:{port}");
    let connected = match connected {
        Ok(mut stream) => {
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.expect("the end");
            Ok(rest)
        }
        Err(text) => Err(text.replace(&proxy_text, "PROXY")),
    };
    proxy.abort();
    connected
}

#[tokio::test]
async fn the_tunnel_begins_behind_the_answer() {
    assert_eq!(answered(Some(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nAMQP")).await.as_deref(), Ok(&b"AMQP"[..]));
}

#[tokio::test]
async fn causes_are_named() {
    const FAILED: &str = "Proxy connection negotiation failed through PROXY for h:amqp, ";
    for (answer, cause) in [
        (Some(&b"HTTP/1.1 403 Forbidden\r\n\r\n"[..]), "proxy request denied 403 Forbidden"),
        (
            Some(b"HTTP/1.0 407 Proxy Authentication Required\r\n"),
            "proxy request denied 407 Proxy Authentication Required",
        ),
        (Some(b"\x16\x03\x01"), "proxy response invalid character"),
        (Some(b"HTTP/1.1 200 OK\r\n"), "proxy response EOF"),
        (Some(b""), "proxy response EOF"),
        (None, "proxy response not within 0 s"),
    ] {
        assert_eq!(answered(answer).await, Err(format!("{FAILED}{cause}")), "{answer:?}");
    }
}

#[tokio::test]
async fn a_proxy_has_to_be_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let port = listener.local_addr().expect("bound").port().to_string();
    drop(listener);
    let profiles = ProxyProfiles::default();
    let via = ViaProxy { name: "p".to_owned(), profiles: profiles.clone() };
    let target = target("h", "1");
    let connect = || via.connect(&target, None, Duration::from_secs(20));
    let unknown = "Proxy connection negotiation failed trying to reach h:1, no proxy profile named p";
    assert_eq!(connect().await.expect_err("no profile"), unknown);
    profiles.set("p", profile(&port, None, None));
    let refused =
        format!("Proxy connection not established to 127.0.0.1:{port}, connect error 111 (Connection refused)");
    assert_eq!(connect().await.expect_err("no proxy"), refused);
    profiles.remove("p");
    assert_eq!(connect().await.expect_err("no profile any more"), unknown);
}
