//! The recorder's connections of HTTP/1.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::thread;

use super::http1::{Fault, Framing, Head, check_request, framing, read_body, read_head, says};
use super::recorder::{Record, Shared, THOUGHT, pattern, wanted};
use super::{field, fields};

pub(super) fn serve(shared: &Shared, stream: &TcpStream) {
    let mut reader = BufReader::with_capacity(65_536, stream);
    while !shared.is_stopped() {
        match read_head(&mut reader) {
            Ok(Some(head)) if serve_request(shared, &mut reader, stream, &head) => {}
            Err(Fault::Malformed(rule)) => return shared.complain(rule),
            _ => return,
        }
    }
}

/// Serves one request; whether another may follow.
fn serve_request(shared: &Shared, reader: &mut impl BufRead, mut stream: &TcpStream, head: &Head) -> bool {
    let (record, framing) = match described(head) {
        Ok(described) => described,
        Err(fault) => {
            shared.complain(format!("{fault} in {head:?}"));
            return false;
        }
    };
    let Record { method, target, .. } = record.clone();
    let is_last = is_last(&record);
    let number = shared.begin(record);
    if target.contains("/stall") {
        // Reading would be the opposite, and nothing tells of the end of a connection that has octets to be read.
        while !shared.is_stopped() {
            thread::sleep(THOUGHT);
        }
        return false;
    }
    if says(&head.fields, "expect", "100-continue") {
        if target.contains("/refuse") {
            let _ =
                stream.write_all(b"HTTP/1.1 417 Expectation Failed\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
            return false;
        }
        let _ = stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n");
    }
    let mut body = Vec::new();
    let outcome = read_body(reader, framing, &mut body);
    let is_whole = outcome.is_ok();
    shared.amend(number, &target, |record| {
        record.body = body;
        match outcome {
            Ok(trailers) => (record.trailers, record.is_whole) = (trailers, true),
            Err(Fault::Ended) => record.is_cut = true,
            Err(Fault::Malformed(rule)) => record.fault = Some(rule),
        }
    });
    if !is_whole {
        return false;
    }
    if target.contains("/hold") {
        let goes_on = wait_for_end(reader);
        shared.amend(number, &target, |record| record.is_cut = true);
        return goes_on;
    }
    if let Some(script) = shared.script_for(&target) {
        return script.play(0, &mut stream);
    }
    if target.contains("/slow") {
        thread::sleep(THOUGHT);
    }
    let (answer, ends) = answer(shared, &method, &target);
    stream.write_all(&answer).is_ok() && !ends && !is_last
}

fn wait_for_end(reader: &mut impl Read) -> bool {
    let _ = std::io::copy(reader, &mut std::io::sink());
    false
}

fn described(head: &Head) -> Result<(Record, Framing), Fault> {
    let [method, target, version] = check_request(head)?.map(str::to_owned);
    let framing = framing(&head.fields)?.unwrap_or(Framing::Length(0));
    let authority = field(&head.fields, "host").map(|host| String::from_utf8_lossy(host).into_owned());
    let (authority, fields) = (authority.unwrap_or_default(), head.fields.clone());
    Ok((Record { version, method, target, authority, fields, ..Record::default() }, framing))
}

fn is_last(record: &Record) -> bool {
    let said = fields(&record.fields, "connection").join(&b","[..]).to_ascii_lowercase();
    let said = String::from_utf8_lossy(&said);
    said.contains("close") || (record.version == "HTTP/1.0" && !said.contains("keep-alive"))
}

/// The answer to a request, and whether it ends with the connection.
fn answer(shared: &Shared, method: &str, target: &str) -> (Vec<u8>, bool) {
    let status = wanted(target, "/status/").unwrap_or(200);
    let head = format!("HTTP/1.1 {status} Said\r\nServed-By: {}\r\n", shared.name);
    if status == 204 || status == 304 {
        return (format!("{head}\r\n").into_bytes(), false);
    }
    let body = wanted(target, "/bytes/").map_or_else(|| target.as_bytes().to_vec(), pattern);
    let (fields, body, ends) = if target.contains("/chunked") {
        let half = body.len().div_ceil(2).max(1);
        let chunk = |chunk: &[u8]| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat();
        let chunks: Vec<u8> = body.chunks(half).flat_map(chunk).collect();
        let last = b"0\r\nsum: 1\r\n\r\n";
        ("Transfer-Encoding: chunked\r\nTrailer: sum\r\n".to_owned(), [&chunks[..], last].concat(), false)
    } else if target.contains("/until-end") {
        ("Connection: close\r\n".to_owned(), body, true)
    } else {
        (format!("Content-Length: {}\r\n", body.len()), body, false)
    };
    let body = if method == "HEAD" { Vec::new() } else { body };
    ([format!("{head}{fields}\r\n").into_bytes(), body].concat(), ends)
}
