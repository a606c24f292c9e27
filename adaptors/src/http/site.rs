//! What a listener answers: pages, files, or an error.

use super::body::{AnswerBody, Content};
use super::documents::Documents;
use super::files::{self, Found};
use super::seats::Busy;
use super::thread::READING;
use super::websocket::{Offer, OfferError};
use crate::runtime::Io;
use crate::tasks::blocking::{FILES, PAGES};
use bytes::Bytes;
use hyper::body::Body;
use hyper::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue};
use hyper::header::{IF_NONE_MATCH, SERVER};
use hyper::{Method, Request, Response, StatusCode};
use std::fmt;
use std::future::poll_fn;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How long the core may take for a page, and a disk to find a file.
const PAGE_LIMIT: Duration = Duration::from_secs(3);

/// How long a peer may take to send what nobody reads.
const BODY_LIMIT: Duration = Duration::from_secs(10);

/// Octets of a request's body that are taken, and not looked at.
const MAX_BODY: usize = 64 * 1024;

const NOT_FOUND: &str = "<html><head><meta charset=utf-8 http-equiv=\"Content-Language\" content=\"en\"/>\
    <link rel=\"stylesheet\" type=\"text/css\" href=\"/error.css\"/></head><body><h1>404</h1></body></html>";

/// A page that is made anew for each request.
#[derive(Clone)]
pub struct Page {
    path: &'static str,
    closes: bool,
    is_probe: bool,
    make: Arc<dyn Fn(&Io) -> String + Send + Sync>,
}

/// What a listener answers.
#[derive(Debug)]
pub(super) struct Site {
    io: Io,
    pages: Vec<Page>,
    /// None where there are files.
    documents: Option<Arc<dyn Documents>>,
    /// The directory of files.
    root: Option<PathBuf>,
    /// Whoever makes a page has a permit, so that a core that hangs costs a thread for probes and one for the others.
    making: Arc<Semaphore>,
    probing: Arc<Semaphore>,
}

/// An answer but for what all have.
type Answer = Response<Content>;

// === impl Page ===

impl Page {
    /// A page at a path, and at longer ones with `/` behind it. `make` makes its text; it may wait for the core, and is
    /// called on a thread of its own, one at a time.
    pub fn new(path: &'static str, make: impl Fn(&Io) -> String + Send + Sync + 'static) -> Self {
        Self { path, closes: false, is_probe: false, make: Arc::new(make) }
    }

    /// It waits for no other page but such ones: it is made in no time, and whoever asks has little patience.
    #[must_use]
    pub fn probe(self) -> Self {
        Self { is_probe: true, ..self }
    }

    /// The connection ends with the answer.
    #[must_use]
    pub fn closing(self) -> Self {
        Self { closes: true, ..self }
    }

    /// The path.
    #[must_use]
    pub const fn path(&self) -> &'static str {
        self.path
    }

    fn has(&self, path: &str) -> bool {
        path.strip_prefix(self.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").field("path", &self.path).finish_non_exhaustive()
    }
}

// === impl Site ===

impl Site {
    pub(super) fn new(io: Io, pages: Vec<Page>, documents: Option<Arc<dyn Documents>>, root: Option<PathBuf>) -> Self {
        let documents = documents.filter(|_| root.is_none());
        let [making, probing] = [(); 2].map(|()| Arc::new(Semaphore::new(1)));
        Self { io, pages, documents, root, making, probing }
    }

    /// Answers a request.
    pub(super) async fn answer<B: Body<Data = Bytes>>(&self, request: Request<B>, busy: Busy) -> Response<AnswerBody> {
        let (head, body) = request.into_parts();
        let answer = if !matches!(timeout(BODY_LIMIT, is_read(body)).await, Ok(true)) {
            last(text(StatusCode::PAYLOAD_TOO_LARGE, "The body is too large, or takes too long\n"))
        } else if let Some(page) = self.pages.iter().find(|page| page.has(head.uri.path())) {
            self.page(page).await
        } else if let Some(document) = self.documents.as_ref().and_then(|known| known.find(head.uri.path())) {
            document.answer(&head.method, &head.headers)
        } else {
            self.file(&head.method, head.uri.path(), &head.headers).await
        };
        signed(answer, busy)
    }

    /// Answers a request for WebSocket.
    pub(super) fn answer_offer(offer: Result<&Offer, OfferError>, busy: Busy) -> Response<AnswerBody> {
        let answer = match offer {
            Ok(offer) => {
                let mut answer = Response::new(Content::Text(Bytes::new()));
                *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                answer.headers_mut().extend(offer.headers());
                answer
            }
            Err(error) => {
                let mut answer = last(text(error.status(), error.to_string()));
                answer.headers_mut().extend(error.header());
                answer
            }
        };
        signed(answer, busy)
    }

    async fn page(&self, page: &Page) -> Answer {
        let made = timeout(PAGE_LIMIT, async {
            let permits = if page.is_probe { &self.probing } else { &self.making };
            let permit = Arc::clone(permits).acquire_owned().await.ok()?;
            let (io, make) = (self.io.clone(), Arc::clone(&page.make));
            let making = PAGES.run(move || {
                let _permit = permit;
                make(&io)
            });
            making.await.ok()
        });
        match made.await {
            Ok(Some(made)) if page.closes => last(text(StatusCode::OK, made)),
            Ok(Some(made)) => text(StatusCode::OK, made),
            Ok(None) | Err(_) => last(text(StatusCode::SERVICE_UNAVAILABLE, "The router does not respond\n")),
        }
    }

    async fn file(&self, method: &Method, path: &str, headers: &HeaderMap) -> Answer {
        let Some(root) = self.root.clone().filter(|_| matches!(*method, Method::GET | Method::HEAD)) else {
            return not_found();
        };
        let path = path.to_owned();
        let found = timeout(PAGE_LIMIT, async {
            let permit = READING.acquire().await.ok()?;
            let finding = FILES.run(move || {
                let _permit = permit;
                files::find(&root, &path)
            });
            finding.await.ok()
        });
        match found.await {
            Ok(Some(Some(found))) => whole_file(found, headers),
            Ok(Some(None)) => not_found(),
            Ok(None) | Err(_) => last(text(StatusCode::SERVICE_UNAVAILABLE, "The file cannot be read\n")),
        }
    }
}

/// An answer with what all have.
fn signed(mut answer: Answer, busy: Busy) -> Response<AnswerBody> {
    answer.headers_mut().insert(SERVER, HeaderValue::from_static("skupper-router"));
    answer.map(|content| AnswerBody::new(content, busy))
}

/// Takes a body, as far as it is small enough.
async fn is_read<B: Body<Data = Bytes>>(body: B) -> bool {
    let mut body = pin!(body);
    let mut left = MAX_BODY;
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let Ok(frame) = frame else { return false };
        let octets = frame.data_ref().map_or(0, Bytes::len);
        let Some(fewer) = left.checked_sub(octets) else { return false };
        left = fewer;
    }
    true
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    with_headers(status, Content::Text(text.into()), [(CONTENT_TYPE, HeaderValue::from_static("text/plain"))])
}

fn not_found() -> Answer {
    let content_type = (CONTENT_TYPE, HeaderValue::from_static("text/html"));
    with_headers(StatusCode::NOT_FOUND, Content::Text(Bytes::from_static(NOT_FOUND.as_bytes())), [content_type])
}

fn whole_file(found: Found, headers: &HeaderMap) -> Answer {
    let Found { file, octets, content_type, etag } = found;
    let is_known = headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes());
    let (status, content) = if is_known {
        (StatusCode::NOT_MODIFIED, Content::Text(Bytes::new()))
    } else {
        (StatusCode::OK, Content::file(file, octets))
    };
    let mut answer = with_headers(
        status,
        content,
        [(CONTENT_TYPE, HeaderValue::from_static(content_type)), (CACHE_CONTROL, HeaderValue::from_static("no-store"))],
    );
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        answer.headers_mut().insert(ETAG, etag);
    }
    answer
}

fn with_headers<const N: usize>(
    status: StatusCode,
    content: Content,
    headers: [(HeaderName, HeaderValue); N],
) -> Answer {
    let mut answer = Response::new(content);
    *answer.status_mut() = status;
    answer.headers_mut().extend(headers);
    answer
}

/// The connection ends with this answer.
fn last(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}
