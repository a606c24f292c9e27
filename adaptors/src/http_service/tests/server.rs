//! A server of HTTP/1 that does as its requests say, and remembers them.

use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// See the module documentation. It is gone, with its connections, when this is dropped.
pub(super) struct Server {
    pub(super) at: SocketAddr,
    pub(super) name: &'static str,
    heard: Arc<Heard>,
    _tasks: JoinSet<()>,
}

/// What all its connections know.
#[derive(Default)]
struct Heard {
    /// Method, path and body of each request.
    requests: Mutex<Vec<String>>,
    /// Heads, as they came.
    heads: Mutex<Vec<String>>,
    connections: Mutex<usize>,
    /// Clients that have left while they were to wait, or within a request.
    left: Mutex<usize>,
    news: Notify,
    go_on: Notify,
}

// === impl Server ===

impl Server {
    pub(super) async fn new(name: &'static str) -> Self {
        Self::at(name, ([127, 0, 0, 1], 0).into()).await
    }

    /// At the address of one that is gone.
    pub(super) async fn at(name: &'static str, at: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("reusable");
        socket.bind(at).expect("free");
        let listener = socket.listen(64).expect("listens");
        let at = listener.local_addr().expect("bound");
        let heard = Arc::<Heard>::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, name, Arc::clone(&heard)));
        Self { at, name, heard, _tasks: tasks }
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.heard.requests.lock().clone()
    }

    /// Requests whose heads have come so far.
    pub(super) fn heads(&self) -> usize {
        self.heard.heads.lock().len()
    }

    pub(super) fn last_head(&self) -> String {
        self.heard.heads.lock().last().cloned().unwrap_or_default()
    }

    /// Connections so far.
    pub(super) fn connections(&self) -> usize {
        *self.heard.connections.lock()
    }

    /// Ready when that holds.
    pub(super) async fn until(&self, holds: impl Fn(&Self) -> bool) {
        let wait = async {
            loop {
                let news = self.heard.news.notified();
                if holds(self) {
                    return;
                }
                news.await;
            }
        };
        tokio::time::timeout(super::PATIENCE, wait).await.expect("in time");
    }

    pub(super) fn left(&self) -> usize {
        *self.heard.left.lock()
    }

    /// Those that wait get their answers.
    pub(super) fn go_on(&self) {
        self.heard.go_on.notify_waiters();
    }
}

async fn accept(listener: TcpListener, name: &'static str, heard: Arc<Heard>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        *heard.connections.lock() += 1;
        heard.news.notify_waiters();
        let heard = Arc::clone(&heard);
        connections.spawn(async move { converse(stream, name, &heard).await.unwrap_or_default() });
    }
}

async fn converse(mut stream: TcpStream, name: &str, heard: &Heard) -> Option<()> {
    let mut buffer = Vec::new();
    loop {
        let head = head(&mut stream, &mut buffer).await?;
        heard.heads.lock().push(head.clone());
        heard.news.notify_waiters();
        let mut words = head.split(' ');
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        if head.contains("expect: 100-continue") {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.ok()?;
        }
        if path == "/early" {
            stream.write_all(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nno\n").await.ok()?;
            return None;
        }
        let Some(body) = body(&mut stream, &mut buffer, &head).await else {
            *heard.left.lock() += 1;
            heard.news.notify_waiters();
            return None;
        };
        heard.requests.lock().push(format!("{method} {path} {}", String::from_utf8_lossy(&body)));
        heard.news.notify_waiters();
        answer(&mut stream, name, heard, (&method, &path), &body).await?;
    }
}

/// An answer that is always the same, and whether the connection goes on.
fn fixed(path: &str) -> Option<(String, bool)> {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n";
    // Too large for one message, so it goes as a stream.
    let large = "x".repeat(100_000);
    Some(match path {
        "/half" => ("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\nhalf".to_owned(), false),
        "/large" => (format!("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n{large}"), true),
        "/large-chunks" => (format!("{chunked}trailer: x-sum\r\n\r\n186a0\r\n{large}\r\n0\r\nx-sum: 3\r\n\r\n"), true),
        "/chunks" => (format!("{chunked}trailer: x-sum\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\nx-sum: 3\r\n\r\n"), true),
        "/cut" => (format!("{chunked}\r\n2\r\nab\r\n"), false),
        "/trailers" => {
            let trailers = "content-length: 9\r\nset-cookie: a=b\r\nhost: h\r\nx-sum: 3\r\n\r\n";
            (format!("{chunked}trailer: x-sum\r\n\r\n2\r\nab\r\n0\r\n{trailers}"), true)
        }
        "/until-closed" => ("HTTP/1.0 200 OK\r\n\r\nto the end".to_owned(), false),
        "/none" => ("HTTP/1.1 204 No Content\r\n\r\n".to_owned(), true),
        _ => return None,
    })
}

async fn answer(
    stream: &mut TcpStream,
    name: &str,
    heard: &Heard,
    (method, path): (&str, &str),
    body: &[u8],
) -> Option<()> {
    if let Some((octets, goes_on)) = fixed(path) {
        stream.write_all(octets.as_bytes()).await.ok()?;
        return goes_on.then_some(());
    }
    let text = match path {
        "/die" => return None,
        "/wait" => {
            let go_on = heard.go_on.notified();
            let mut octet = [0];
            tokio::select! {
                () = go_on => {}
                _ = stream.read(&mut octet) => {
                    *heard.left.lock() += 1;
                    heard.news.notify_waiters();
                    return None;
                }
            }
            name.to_owned()
        }
        "/stall" => {
            let go_on = heard.go_on.notified();
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n").await.ok()?;
            let mut octet = [0];
            tokio::select! {
                () = go_on => {}
                _ = stream.read(&mut octet) => {}
            }
            return None;
        }
        // The first answer begins, the others come, and then the first one ends.
        "/in-turn" => {
            let go_on = heard.go_on.notified();
            let is_first = heard.requests.lock().len() == 1;
            if is_first {
                stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n1\r\n").await.ok()?;
                go_on.await;
                heard.go_on.notified().await;
                stream.write_all(b"0\r\n\r\n").await.ok()?;
                return Some(());
            }
            go_on.await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n2").await.ok()?;
            heard.requests.lock().push("answered".to_owned());
            heard.news.notify_waiters();
            return Some(());
        }
        "/echo" => String::from_utf8_lossy(body).into_owned(),
        "/switch" => {
            stream
                .write_all(b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nfirst")
                .await
                .ok()?;
            let (mut read, mut write) = stream.split();
            tokio::io::copy(&mut read, &mut write).await.ok()?;
            write.shutdown().await.ok()?;
            return None;
        }
        _ => name.to_owned(),
    };
    let length = text.len();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.ok()?;
    if method != "HEAD" {
        stream.write_all(text.as_bytes()).await.ok()?;
    }
    Some(())
}

/// The head of the next message, in lower case but for its first line.
pub(super) async fn head(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<String> {
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let head: Vec<u8> = buffer.drain(..end).collect();
    let head = String::from_utf8(head).ok()?;
    let (first, fields) = head.split_once("\r\n")?;
    Some(format!("{first}\r\n{}", fields.to_lowercase()))
}

/// The body of a message with that head. None when it breaks off.
pub(super) async fn body(stream: &mut TcpStream, buffer: &mut Vec<u8>, head: &str) -> Option<Vec<u8>> {
    let field = |name: &str| head.split("\r\n").find_map(|line| line.strip_prefix(name)).map(str::trim);
    if let Some(length) = field("content-length:") {
        let length = length.parse().ok()?;
        while buffer.len() < length {
            if stream.read_buf(buffer).await.ok()? == 0 {
                return None;
            }
        }
        return Some(buffer.drain(..length).collect());
    }
    let mut body = Vec::new();
    if field("transfer-encoding:").is_some() {
        loop {
            let size = usize::from_str_radix(line(stream, buffer).await?.split(';').next()?, 16).ok()?;
            if size == 0 {
                while !line(stream, buffer).await?.is_empty() {}
                break;
            }
            while buffer.len() < size + 2 {
                if stream.read_buf(buffer).await.ok()? == 0 {
                    return None;
                }
            }
            body.extend(buffer.drain(..size));
            buffer.drain(..2);
        }
    }
    Some(body)
}

async fn line(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<String> {
    let end = loop {
        if let Some(at) = buffer.windows(2).position(|two| two == b"\r\n") {
            break at;
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    };
    let line: Vec<u8> = buffer.drain(..end + 2).take(end).collect();
    String::from_utf8(line).ok()
}
