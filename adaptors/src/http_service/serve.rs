//! What becomes of a request at a server: its head and body go there, the answer comes back.
//!
//! | What happened | The request is | Its client gets |
//! |---|---|---|
//! | answered | accepted | the answer |
//! | nothing of it has left for the server | released: somebody else may take it | that of somebody else, or 503 |
//! | part of it has left, no answer has come | modified | the answer of another attempt if it is idempotent, or 502 |
//! | the answer broke off | accepted | what there was, broken off |
//! | it makes no sense | rejected | 400 |

use super::HttpVersion;
use super::body::{BodyError, Broken, Inbound, Length, MessageBody, Patience, Pumped, Sending, gather, pump};
use super::connector::Registration;
use super::message::{
    Address, BodyForm, BodyReader, Decoded, Dialect, MessageError, Part, RequestMessage, answer_head,
    request as decode_request, strip_hop_by_hop,
};
use super::responder::{Progress, Serving};
use super::tally::{Answered, Outcome, Tally};
use crate::clock;
use amqp_core::Instant;
use amqp_core::performative::DeliveryState;
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Uri, Version};
use router_engine::port::local::Delivery;
use router_engine::stream::Pull;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::timeout;

/// How long an answer may take that nobody wants.
const SWALLOW_LIMIT: Duration = Duration::from_secs(30);

/// Octets of a head that are pulled at once.
const HEAD_PULL: usize = 64 * 1024;

/// A request for a server.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) request: Taken,
    pub(super) progress: Arc<Progress>,
    /// Connections that could not take it.
    pub(super) refused: u32,
    /// It was sent by a connection that was none any more.
    pub(super) renewed: bool,
}

/// A request that was taken from the network. Dropped before it was settled, it has failed.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) delivery: Delivery,
    /// Ends after the delivery.
    pub(super) _registration: Registration,
}

impl Taken {
    pub(super) fn settle(self, outcome: DeliveryState) {
        self.delivery.settle(outcome, clock::now());
    }
}

/// What a server is, as far as requests to it are concerned.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) version: Version,
    pub(super) speaks: HttpVersion,
    /// `http` or `https`.
    pub(super) scheme: &'static str,
    /// In place of what the client has said.
    pub(super) host_override: Option<HeaderValue>,
    /// Where the client has said nothing.
    pub(super) host: String,
    pub(super) site: Option<String>,
    /// Answers are not wanted.
    pub(super) event_channel: bool,
    /// Answers are put together.
    pub(super) aggregates: bool,
    pub(super) tally: Tally,
}

/// A request that was read, and its body.
pub(super) struct Read {
    pub(super) request: RequestMessage,
    pub(super) body: MessageBody,
}

/// The body of a request, for hyper.
#[derive(Debug)]
pub(super) enum RequestBody {
    Empty,
    Whole { data: VecDeque<Bytes>, trailers: Option<HeaderMap> },
    Stream { body: Box<MessageBody>, serving: Arc<Serving>, length: Length, ended: bool },
}

// === impl Job ===

impl Job {
    /// Settles the request.
    pub(super) fn settle(self, outcome: DeliveryState) {
        self.request.settle(outcome);
    }

    /// Whether all of it is here, so that it can be read again.
    pub(super) fn is_whole(&self) -> bool {
        self.request.delivery.message().is_some()
    }

    /// Reads the head of the request.
    ///
    /// # Errors
    /// How the request is to be settled when it has none.
    pub(super) async fn read(&mut self, serving: &Serving) -> Result<Read, (DeliveryState, Option<MessageError>)> {
        let rejected = |error| (DeliveryState::Rejected(None), Some(error));
        if let Some(chunks) = self.request.delivery.message() {
            let Decoded { head, len } =
                decode_request(chunks, true).map_err(rejected)?.ok_or_else(|| rejected(MessageError::Malformed))?;
            let reader = BodyReader::new(head.dialect, &head.headers);
            let body = MessageBody::whole(chunks, len, reader);
            return Ok(Read { request: head, body });
        }
        let reader = self.request.delivery.take_reader(serving.notify());
        let mut chunks = VecDeque::new();
        let (decoded, complete) = poll_fn(|cx| {
            loop {
                self.progress.wait_for_data(cx);
                let pull = reader.pull(HEAD_PULL, &mut chunks);
                let complete = matches!(pull, Pull::Done(_));
                if pull == Pull::Aborted {
                    return Poll::Ready(Err((DeliveryState::failed(), None)));
                }
                match decode_request(chunks.make_contiguous(), complete) {
                    Ok(Some(decoded)) => return Poll::Ready(Ok((decoded, complete))),
                    Err(error) => return Poll::Ready(Err(rejected(error))),
                    Ok(None) if complete => return Poll::Ready(Err(rejected(MessageError::Malformed))),
                    Ok(None) if pull == Pull::Empty => return Poll::Pending,
                    Ok(None) => {}
                }
            }
        })
        .await?;
        let Decoded { head, len } = decoded;
        let body = BodyReader::new(head.dialect, &head.headers);
        let body = MessageBody::stream(reader, chunks, len, body, complete);
        Ok(Read { request: head, body })
    }
}

// === impl Target ===

impl Target {
    /// The request as that server gets it.
    ///
    /// # Errors
    /// When it cannot be had in that form.
    pub(super) fn request(&self, read: Read, serving: &Arc<Serving>) -> Result<Request<RequestBody>, MessageError> {
        let Read { request, mut body } = read;
        let RequestMessage { method, path, authority, mut headers, upgrade, .. } = request;
        let expects = headers.contains_key(header::EXPECT);
        strip_hop_by_hop(&mut headers);
        let length: Option<u64> =
            headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        let body = if body.is_whole() {
            let (data, trailers) = body.take_whole()?;
            let there = data.iter().map(Bytes::len).sum::<usize>() as u64;
            if length.is_some_and(|length| length != there) {
                return Err(MessageError::Bad("content-length"));
            }
            serving.progress().count(there as usize);
            match data.is_empty() && trailers.is_none() {
                true => RequestBody::Empty,
                false => RequestBody::Whole { data, trailers },
            }
        } else {
            let (serving, length) = (Arc::clone(serving), Length::new(length));
            RequestBody::Stream { body: Box::new(body), serving, length, ended: false }
        };
        if expects && body.is_end_stream() {
            headers.remove(header::EXPECT);
        }
        let host = self.host_override.clone().or_else(|| headers.remove(header::HOST));
        headers.remove(header::HOST);
        let authority = match (&self.host_override, authority) {
            (None, Some(authority)) => HeaderValue::try_from(authority).ok(),
            _ => host,
        };
        let authority = match authority {
            Some(authority) => authority,
            None => HeaderValue::try_from(&self.host).map_err(|_| MessageError::Bad("host"))?,
        };
        let uri = self.uri(&method, &path, &authority)?;
        if self.version != Version::HTTP_2 {
            headers.insert(header::HOST, authority);
            if let Some(upgrade) = upgrade {
                headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                let upgrade = HeaderValue::try_from(upgrade).map_err(|_| MessageError::Bad("upgrade"))?;
                headers.insert(header::UPGRADE, upgrade);
            } else if length.is_none() && body.size_hint().exact().is_none() {
                headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            }
        }
        let mut request = Request::new(body);
        (*request.method_mut(), *request.uri_mut(), *request.version_mut()) = (method, uri, self.version);
        *request.headers_mut() = headers;
        Ok(request)
    }

    fn uri(&self, method: &Method, path: &str, authority: &HeaderValue) -> Result<Uri, MessageError> {
        let bad = |_| MessageError::Bad("path");
        if self.version != Version::HTTP_2 || method == Method::CONNECT {
            return path.parse().map_err(bad);
        }
        let parts = Uri::builder().scheme(self.scheme).authority(authority.as_bytes()).path_and_query(path);
        parts.build().map_err(|_| MessageError::Bad("path"))
    }

    /// Sends the answer of the server back. Returns whether that has come to its end.
    pub(super) async fn answer(
        &self,
        response: Response<Incoming>,
        asked: &Asked,
        serving: &Serving,
        request: Taken,
        begun: Instant,
    ) -> bool {
        let (mut parts, body) = response.into_parts();
        let mut body = Inbound::answer(body, self.speaks);
        if let Some(coding) = parts.headers.get(header::TRANSFER_ENCODING)
            && !coding.as_bytes().eq_ignore_ascii_case(b"chunked")
        {
            request.settle(DeliveryState::failed());
            self.tally.failed(Outcome::ServerFailed);
            return false;
        }
        let bodiless = asked.method == Method::HEAD || is_bodiless(parts.status);
        strip_hop_by_hop(&mut parts.headers);
        // What an answer has no data before, other routers cannot take as trailers.
        let merges = asked.dialect == Dialect::Http2 && !asked.own;
        let patience = if merges { Patience::First } else { Patience::Short };
        let gathering = tokio::select! {
            biased;
            gathered = gather(&mut body, patience) => gathered.map_err(|Broken| Outcome::ServerFailed),
            () = poll_fn(|cx| serving.progress().poll_cancelled(cx)) => Err(Outcome::Cancelled),
        };
        let mut gathered = match gathering {
            Ok(gathered) => gathered,
            Err(outcome) => {
                request.settle(DeliveryState::failed());
                self.tally.failed(outcome);
                return false;
            }
        };
        let Some(reply_to) = asked.reply_to.as_deref() else {
            return self.swallow(body, gathered.complete, request).await;
        };
        if self.event_channel {
            self.acknowledge(reply_to, asked, serving, request);
            return swallowed(body, gathered.complete).await;
        }
        let octets = gathered.octets();
        if merges && octets == 0 {
            parts.headers.extend(gathered.trailers.take().into_iter().flatten());
        }
        let known =
            (gathered.complete && (gathered.trailers.is_none() || asked.dialect == Dialect::Http2)).then_some(octets);
        let form = BodyForm::of(asked.dialect, &mut parts.headers, if bodiless { Some(0) } else { known });
        let address = Address { to: reply_to, id: asked.id, site: self.site.as_deref(), ..Address::default() };
        let room = if gathered.complete { octets + 64 } else { 0 };
        let mut message = answer_head(asked.dialect, &address, parts.status, &asked.path, &parts.headers, room);
        if gathered.complete {
            form.put_whole(&mut message, &gathered.data, gathered.trailers.as_ref(), asked.own);
            serving.answer(reply_to, message.freeze(), request, self.waits_for(asked));
            self.count(asked, parts.status, octets as u64, serving, begun);
            return true;
        }
        let sending = Sending { form, own: asked.own };
        let stream = serving.begin_answer(reply_to, message.freeze());
        let has_way = stream.id().is_some();
        let ended = {
            let mut pumping = pin!(pump(gathered, body, sending, &stream, |cx| serving.poll_room(cx)));
            poll_fn(|cx| {
                if let Poll::Ready(pumped) = pumping.as_mut().poll(cx) {
                    return Poll::Ready(Some(pumped));
                }
                serving.progress().poll_cancelled(cx).map(|()| None)
            })
            .await
        };
        match ended {
            Some(Pumped::Whole(octets)) => {
                serving.end_answer(stream, request, self.waits_for(asked));
                self.count(asked, parts.status, octets, serving, begun);
                true
            }
            Some(Pumped::Broken) => {
                serving.break_off(stream);
                request.settle(DeliveryState::Accepted);
                self.tally.failed(Outcome::ServerFailed);
                false
            }
            None => {
                serving.break_off(stream);
                // Of an answer that has no way the client's router would wait to hear.
                request.settle(if has_way { DeliveryState::Accepted } else { DeliveryState::failed() });
                self.tally.failed(Outcome::Cancelled);
                false
            }
        }
    }

    /// Whether the answers of all servers become one: who puts them together takes the outcome of the request for the end.
    const fn waits_for(&self, asked: &Asked) -> bool {
        self.aggregates || asked.aggregates
    }

    fn count(&self, asked: &Asked, status: StatusCode, bytes_in: u64, serving: &Serving, begun: Instant) {
        let (bytes_out, latency) = (serving.progress().sent(), clock::now().since(begun));
        let (method, site) = (&asked.method, asked.site.as_deref());
        self.tally.answered(&Answered { method, status, site, bytes_in, bytes_out, latency });
    }

    /// Who has asked gets no more than that it has arrived.
    fn acknowledge(&self, reply_to: &str, asked: &Asked, serving: &Serving, request: Taken) {
        let address = Address { to: reply_to, id: asked.id, site: self.site.as_deref(), ..Address::default() };
        let (status, none) = (StatusCode::NO_CONTENT, HeaderMap::new());
        let mut message = answer_head(asked.dialect, &address, status, &asked.path, &none, 0);
        BodyForm::Bare(asked.dialect).put_whole(&mut message, &[], None, asked.own);
        serving.answer(reply_to, message.freeze(), request, false);
    }

    /// Nobody wants the answer.
    async fn swallow(&self, body: Inbound, complete: bool, request: Taken) -> bool {
        let swallowed = swallowed(body, complete).await;
        request.settle(DeliveryState::Accepted);
        swallowed
    }
}

/// Reads an answer to its end, which is to come soon. False when it does not.
async fn swallowed(mut body: Inbound, complete: bool) -> bool {
    let end = async {
        loop {
            match poll_fn(|cx| body.poll_frame(cx)).await {
                None => return true,
                Some(Ok(_)) => {}
                Some(Err(Broken)) => return false,
            }
        }
    };
    complete || timeout(SWALLOW_LIMIT, end).await.unwrap_or(false)
}

/// What is to be known of a request for its answer.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) dialect: Dialect,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) reply_to: Option<String>,
    pub(super) id: Option<u64>,
    /// The client's router is of this implementation.
    pub(super) own: bool,
    /// Its answers are put together.
    pub(super) aggregates: bool,
    pub(super) site: Option<String>,
}

impl Asked {
    pub(super) fn of(request: &RequestMessage) -> Self {
        let RequestMessage { dialect, method, path, reply_to, id, own, aggregates, site, .. } = request;
        let (method, path, reply_to) = (method.clone(), path.clone(), reply_to.clone());
        Self {
            dialect: *dialect,
            method,
            path,
            reply_to,
            id: *id,
            own: *own,
            aggregates: *aggregates,
            site: site.clone(),
        }
    }
}

/// Whether answers of that status have no body.
pub(super) fn is_bodiless(status: StatusCode) -> bool {
    status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Whole { data, trailers } => Poll::Ready(match data.pop_front() {
                Some(data) => Some(Ok(Frame::data(data))),
                None => trailers.take().map(|trailers| Ok(Frame::trailers(trailers))),
            }),
            Self::Stream { ended: true, .. } => Poll::Ready(None),
            Self::Stream { body, serving, length, ended } => {
                let progress = serving.progress();
                if progress.is_cancelled() {
                    *ended = true;
                    return Poll::Ready(Some(Err(BodyError::aborted())));
                }
                body.poll_part(cx, |cx| progress.wait_for_data(cx)).map(|part| match length.take(part) {
                    Ok(Some(Part::Data(data))) => {
                        progress.count(data.len());
                        Some(Ok(Frame::data(data)))
                    }
                    Ok(Some(Part::Trailers(trailers))) => Some(Ok(Frame::trailers(trailers))),
                    Ok(None) => {
                        *ended = true;
                        None
                    }
                    Err(error) => {
                        *ended = true;
                        progress.break_off();
                        Some(Err(error))
                    }
                })
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole { data, trailers } => data.is_empty() && trailers.is_none(),
            Self::Stream { ended, .. } => *ended,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Whole { data, trailers: None } => {
                SizeHint::with_exact(data.iter().map(Bytes::len).sum::<usize>() as u64)
            }
            Self::Whole { .. } | Self::Stream { .. } => SizeHint::default(),
        }
    }
}
