//! RFC 9113, section 3: how a connection begins.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use anyhow::{Result, ensure};
use interop_tests::harness::run;
use interop_tests::http_services::{Front, Version};
use interop_tests::raw_http::LIMIT;
use interop_tests::raw_http::frame::{Frame, PREFACE, code::*, flag, kind, setting};

use super::{Case, answered, canary, connection, either, run_cases};

crate::tables! { run_cases;
    prefaces;
}

mod cases {
    use super::*;

    pub(super) fn prefaces() -> Vec<Case> {
        vec![
            answered("3.4: a request in one write with the preface", |c| {
                let request = Frame::new(kind::HEADERS, flag::END, 1, c.request_block("GET", &[]));
                let all = [PREFACE, &Frame::settings(&[]).octets(), &request.octets()].concat();
                c.raw(&all)
            })
            .bare(),
            answered("3.4: a preface octet by octet", |c| {
                c.slowly(PREFACE).slowly(&Frame::settings(&[]).octets()).get(1)
            })
            .bare(),
            answered("3.4: the server speaks before the client's settings", |c| {
                c.raw(PREFACE).settings(&[]).until("settings", |c| !c.settings.is_empty() || c.confirmed > 0).get(1)
            })
            .bare(),
            answered("3.4: all settings of the client", |c| {
                let settings = [
                    (setting::HEADER_TABLE_SIZE, 4096),
                    (setting::ENABLE_PUSH, 0),
                    (setting::MAX_CONCURRENT_STREAMS, 100),
                    (setting::INITIAL_WINDOW_SIZE, 65_535),
                    (setting::MAX_FRAME_SIZE, 16_384),
                    (setting::MAX_HEADER_LIST_SIZE, 65_536),
                ];
                c.handshake_with(&settings).get(1)
            })
            .bare(),
            connection("3.4: another preface", &[PROTOCOL_ERROR], |c| c.raw(b"INVALID CONNECTION PREFACE\r\n\r\n"))
                .bare(),
            connection("3.4: a preface with a wrong end", &[PROTOCOL_ERROR], |c| {
                c.raw(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n").settings(&[])
            })
            .bare(),
            // The h2 crate does not insist on the settings.
            either("3.4: PING before the settings", |c| {
                c.raw(PREFACE).frame(kind::PING, 0, 0, [0; 8]).settings(&[]).get(1)
            })
            .bare(),
            either("3.4: HEADERS before the settings", |c| c.raw(PREFACE).get(1)).bare(),
            connection("3.4: the preface once more", &[PROTOCOL_ERROR, FRAME_SIZE_ERROR], |c| c.raw(PREFACE)),
        ]
    }
}

/// Sends octets that are no HTTP/2, and sees that the connection ends.
fn strangers(front: &Front, octets: &[u8]) -> Result<()> {
    let mut stream = TcpStream::connect(front.entrance)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(octets)?;
    let ended = stream.read_to_end(&mut Vec::new());
    ensure!(!ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock), "it goes on");
    Ok(())
}

#[test]
fn what_is_no_http2() {
    run(|| {
        let front = Front::open(Version::Http2)?;
        strangers(&front, b"GET /stranger HTTP/1.1\r\nHost: a\r\n\r\n")?;
        strangers(&front, &[0; 100])?;
        strangers(&front, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")?;
        for octets in [0, 10, PREFACE.len()] {
            let mut stream = TcpStream::connect(front.entrance)?;
            stream.write_all(&PREFACE[..octets])?;
            stream.shutdown(Shutdown::Write)?;
            stream.set_read_timeout(Some(LIMIT))?;
            stream.read_to_end(&mut Vec::new()).or_else(|error| match error.kind() {
                std::io::ErrorKind::WouldBlock => Err(error),
                _ => Ok(0),
            })?;
        }
        canary(&front, "/strangers")?;
        ensure!(front.server.about("/stranger").is_empty(), "it was passed on");
        Ok(())
    });
}
