//! A connection that speaks something else from now on, carried in the bodies of a request and its answer.

use super::body::MessageBody;
use super::io::ServiceIo;
use super::message::{BodyForm, Dialect, Part};
use crate::clock;
use bytes::Bytes;
use router_engine::port::local::SendStream;
use router_engine::stream::Pressure;
use std::future::poll_fn;
use std::io::IoSlice;
use std::task::{Context, Poll};

/// Turns of copying before other tasks get theirs.
const TURNS: usize = 16;

/// Copies between a socket and a pair of streams.
pub(super) struct Tunnel<'a, W, R> {
    pub(super) io: &'a mut ServiceIo,
    pub(super) incoming: MessageBody,
    /// Told whom to wake when more comes.
    pub(super) wait: W,
    /// Ready once there is room again.
    pub(super) room: R,
}

/// How far both directions are.
struct Copying {
    pending: Bytes,
    /// The stream that comes in has ended.
    received: bool,
    /// And so has the socket's sending half.
    shut: bool,
    /// The socket has ended.
    sent: bool,
    full: bool,
}

/// One side has failed.
#[derive(Debug)]
pub(super) struct Broken;

impl<W: FnMut(&mut Context<'_>), R: FnMut(&mut Context<'_>) -> Poll<()>> Tunnel<'_, W, R> {
    /// Copies until both directions have ended, or one has failed: then the stream that is sent is broken off.
    ///
    /// # Errors
    /// When one side has failed.
    pub(super) async fn run(mut self, stream: SendStream) -> Result<(), Broken> {
        let mut copying = Copying { pending: Bytes::new(), received: false, shut: false, sent: false, full: false };
        let mut stream = Some(stream);
        poll_fn(|cx| {
            for _ in 0..TURNS {
                let mut busy = self.receive(cx, &mut copying)?;
                busy |= self.send(cx, &mut copying, stream.as_ref())?;
                if copying.sent
                    && let Some(stream) = stream.take()
                {
                    stream.finish(clock::now());
                }
                if copying.sent && copying.shut {
                    return Poll::Ready(Ok(()));
                }
                if !busy {
                    return Poll::Pending;
                }
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }

    /// From the stream to the socket. True: something was done.
    fn receive(&mut self, cx: &mut Context<'_>, copying: &mut Copying) -> Result<bool, Broken> {
        if !copying.pending.is_empty() {
            return match self.io.poll_send(cx, &[IoSlice::new(&copying.pending)]) {
                Poll::Pending => Ok(false),
                Poll::Ready(Err(_)) => Err(Broken),
                Poll::Ready(Ok(written)) => {
                    drop(copying.pending.split_to(written));
                    Ok(true)
                }
            };
        }
        if !copying.received {
            match self.incoming.poll_part(cx, &mut self.wait) {
                Poll::Ready(Ok(Some(Part::Data(data)))) => {
                    copying.pending = data;
                    return Ok(true);
                }
                Poll::Ready(Ok(Some(Part::Trailers(_)))) => return Ok(true),
                Poll::Ready(Ok(None)) => copying.received = true,
                Poll::Ready(Err(_)) => return Err(Broken),
                Poll::Pending => {}
            }
        }
        match self.io.poll_flushed(cx) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Err(_)) => return Err(Broken),
            Poll::Ready(Ok(())) => {}
        }
        if copying.received && !copying.shut && self.io.poll_ended(cx).is_ready() {
            copying.shut = true;
            return Ok(true);
        }
        Ok(false)
    }

    /// From the socket to the stream. True: something was done.
    fn send(
        &mut self,
        cx: &mut Context<'_>,
        copying: &mut Copying,
        stream: Option<&SendStream>,
    ) -> Result<bool, Broken> {
        let Some(stream) = stream else { return Ok(false) };
        if copying.full {
            if (self.room)(cx).is_pending() {
                return Ok(false);
            }
            copying.full = false;
        }
        match self.io.poll_octets(cx) {
            Poll::Pending => Ok(false),
            Poll::Ready(Err(_)) => Err(Broken),
            Poll::Ready(Ok(None)) => {
                copying.sent = true;
                Ok(true)
            }
            Poll::Ready(Ok(Some(data))) => {
                match stream.push_all(BodyForm::Bare(Dialect::Http1).data(data)) {
                    Pressure::Open => {}
                    Pressure::Full => copying.full = true,
                    Pressure::Discarded => return Err(Broken),
                }
                Ok(true)
            }
        }
    }
}
