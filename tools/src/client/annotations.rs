//! Takes the routers' own section off what arrives: a listener with `stripAnnotations: no` leaves it in front of messages,
//! and AMQP libraries take only the sections of the standard.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Octets that are read at a time.
const CHUNK: usize = 16 * 1024;

/// Octets of the largest frame that is looked at.
const MAX_FRAME: usize = 16 * 1024 * 1024;

/// The constructor of the section: described by the number that spells `SKPR--RA`.
const SECTION: &[u8] = b"\x00\x80SKPR--RA";

/// The constructor of a transfer performative.
const TRANSFER: &[u8] = b"\x00\x53\x14";

/// A stream of AMQP without that section in what is read.
#[derive(Debug)]
pub(super) struct WithoutAnnotations<S> {
    stream: S,
    /// What was read and not handed out.
    input: Vec<u8>,
    /// How much of it is ready.
    ready: usize,
}

/// What comes next in the input.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// Not all of it is there.
    Incomplete,
    /// So many octets, as they are.
    Whole(usize),
    /// A frame with octets that are to be taken out.
    Cut { frame: usize, from: usize, to: usize },
}

// === impl Next ===

impl Next {
    fn of(input: &[u8]) -> Self {
        const HEADER: usize = 8;
        let Some(size) = input.first_chunk::<4>() else { return Self::Incomplete };
        if size == b"AMQP" {
            return if input.len() < HEADER { Self::Incomplete } else { Self::Whole(HEADER) };
        }
        let size = u32::from_be_bytes(*size) as usize;
        if !(HEADER..=MAX_FRAME).contains(&size) {
            // For the library to judge.
            return Self::Whole(input.len());
        }
        let Some(frame) = input.get(..size) else { return Self::Incomplete };
        match section(frame) {
            Some((from, to)) => Self::Cut { frame: size, from, to },
            None => Self::Whole(size),
        }
    }
}

/// Where the section is in a frame.
fn section(frame: &[u8]) -> Option<(usize, usize)> {
    let data_offset = 4 * usize::from(*frame.get(4)?);
    let performative = frame.get(data_offset..)?.strip_prefix(TRANSFER)?;
    let payload = list(performative)?;
    let value = payload.strip_prefix(SECTION)?;
    let rest = list(value)?;
    Some((frame.len() - payload.len(), frame.len() - rest.len()))
}

/// What follows a list.
fn list(octets: &[u8]) -> Option<&[u8]> {
    let (&constructor, rest) = octets.split_first()?;
    match constructor {
        0x45 => Some(rest),
        0xc0 => rest.get(1 + usize::from(*rest.first()?)..),
        0xd0 => {
            let size = u32::from_be_bytes(*rest.first_chunk::<4>()?) as usize;
            rest.get(size.checked_add(4)?..)
        }
        _ => None,
    }
}

// === impl WithoutAnnotations ===

impl<S> WithoutAnnotations<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self { stream, input: Vec::new(), ready: 0 }
    }

    /// Makes what is complete ready.
    fn advance(&mut self) {
        match Next::of(&self.input) {
            Next::Incomplete => {}
            Next::Whole(octets) => self.ready = octets,
            Next::Cut { frame, from, to } => {
                self.input.drain(from..to);
                self.ready = frame - (to - from);
                // Frames have a limit of 32 bits, so their size has no more.
                let size = u32::try_from(self.ready).unwrap_or(u32::MAX);
                self.input[..4].copy_from_slice(&size.to_be_bytes());
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WithoutAnnotations<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.ready == 0 {
            this.advance();
            if this.ready > 0 {
                break;
            }
            let before = this.input.len();
            this.input.resize(before + CHUNK, 0);
            let mut chunk = ReadBuf::new(&mut this.input[before..]);
            let read = Pin::new(&mut this.stream).poll_read(cx, &mut chunk);
            let octets = chunk.filled().len();
            this.input.truncate(before + octets);
            ready!(read)?;
            if octets == 0 {
                // Half a frame at the end is for the library to judge.
                this.ready = before;
                break;
            }
        }
        let taken = this.ready.min(buf.remaining());
        buf.put_slice(&this.input[..taken]);
        this.input.drain(..taken);
        this.ready -= taken;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WithoutAnnotations<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, octets)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn frame(body: &[u8]) -> Vec<u8> {
        let size = u32::try_from(8 + body.len()).expect("small");
        [&size.to_be_bytes(), &b"\x02\x00\x00\x00"[..], body].concat()
    }

    fn transfer(payload: &[u8]) -> Vec<u8> {
        frame(&[TRANSFER, b"\xc0\x03\x01\x43\x43", payload].concat())
    }

    fn filtered(octets: &[u8], at_a_time: usize) -> Vec<u8> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let (mut ours, theirs) = tokio::io::duplex(at_a_time);
            let write = async move {
                ours.write_all(octets).await.expect("read");
                ours.shutdown().await.expect("read");
            };
            let mut read = Vec::new();
            let mut stream = WithoutAnnotations::new(theirs);
            let (_, ended) = tokio::join!(write, stream.read_to_end(&mut read));
            ended.expect("no error");
            read
        })
    }

    #[test]
    fn the_section_is_taken_off_and_nothing_else() {
        let body = b"\x00\x53\x77\xa1\x02hi";
        for list in [&b"\x45"[..], b"\xc0\x03\x01\x43\x43", b"\xd0\x00\x00\x00\x05\x00\x00\x00\x01\x43"] {
            let octets = [
                b"AMQP\x00\x01\x00\x00".to_vec(),
                frame(b"\x00\x53\x10\x45"),
                transfer(&[SECTION, list, body].concat()),
                frame(b""),
                transfer(body),
            ]
            .concat();
            let expected = [
                b"AMQP\x00\x01\x00\x00".to_vec(),
                frame(b"\x00\x53\x10\x45"),
                transfer(body),
                frame(b""),
                transfer(body),
            ];
            for at_a_time in [1, 7, 4096] {
                assert_eq!(filtered(&octets, at_a_time), expected.concat());
            }
        }
    }

    #[test]
    fn what_is_broken_passes() {
        let cut_list = transfer(&[SECTION, b"\xc0\xff\x01\x43"].concat());
        for octets in [
            &b"AM"[..],
            b"AMQP\x00",
            b"\x00\x00\x00\x01garbage",
            b"\xff\xff\xff\xffgarbage",
            b"\x00\x00\x00\x20\x02",
            b"\x00\x00\x00\x08\xff\x00\x00\x00",
            &cut_list,
        ] {
            assert_eq!(filtered(octets, 3), octets);
        }
    }
}
