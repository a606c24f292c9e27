//! A page to look at: the network of the router, its services, and what is wrong with them.
//!
//! ```text
//!  browser --/network.json--> View --first request--> thread "page": Client --queries--> management nodes
//!             (every 2 s)      ^                         |                               (this router, others)
//!                              '------ document ---------'  ends 10 s after the last request
//! ```
//!
//! Everything that is shown is what management tells anybody, of routers of the C implementation too. While nobody looks,
//! nothing is asked and nothing kept.

mod client;
mod document;
mod problems;
mod survey;

use adaptors::http::{Media, Page};
use adaptors::runtime::Io;
use client::Client;
use document::document;
use parking_lot::Mutex;
use problems::{History, problems};
use std::sync::Arc;
use std::thread::Builder;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use survey::survey;

/// How long the network is looked at after somebody has.
const WATCHED: Duration = Duration::from_secs(10);

/// Between two looks at a small network.
const INTERVAL: Duration = Duration::from_secs(2);

/// Requests that are sent in a second at most, on average.
const REQUESTS: u32 = 100;

/// What is told as long as there is nothing to tell. Nobody waits for it: pages are made one at a time, and the next may be
/// asked for by a probe.
const NOTHING: &str = "null";

/// The network as it was last seen. Shared by all HTTP listeners of a router.
#[derive(Debug, Default)]
pub(crate) struct View {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When somebody looked last; none: nobody does, and there is no thread.
    looked: Option<Instant>,
    document: Option<Arc<str>>,
}

/// The pages of a listener that has them.
pub(crate) fn pages(view: &Arc<View>) -> [Page; 4] {
    let fixed = |path, media, text: &'static str| Page::new(path, media, move |_| text.to_owned());
    let view = Arc::clone(view);
    [
        fixed("/", Media::Html, include_str!("index.html")),
        fixed("/page.css", Media::Css, include_str!("page.css")),
        fixed("/page.js", Media::Script, include_str!("page.js")),
        Page::new("/network.json", Media::Json, move |io| view.show(io)),
    ]
}

// === impl View ===

impl View {
    /// The last document. Begins to look at the network if nobody did.
    fn show(self: &Arc<Self>, io: &Io) -> String {
        let mut state = self.state.lock();
        let is_watched = state.looked.replace(Instant::now()).is_some();
        if !is_watched && !self.begin(io) {
            state.looked = None;
        }
        state.document.as_deref().unwrap_or(NOTHING).to_owned()
    }

    /// False: there can be no thread.
    fn begin(self: &Arc<Self>, io: &Io) -> bool {
        let Ok(executor) = tokio::runtime::Builder::new_current_thread().enable_time().build() else { return false };
        let (view, io) = (Arc::clone(self), io.clone());
        let look = move || {
            // Whatever becomes of it, the next request begins anew.
            let _end = End(&view);
            executor.block_on(async {
                tokio::select! {
                    () = io.stopped() => {}
                    () = view.look(&io) => {}
                }
            });
        };
        Builder::new().name("page".to_owned()).spawn(look).is_ok()
    }

    /// Looks at the network for as long as somebody is interested.
    async fn look(&self, io: &Io) {
        let Some(mut client) = Client::join(io.router()) else { return };
        let mut history = History::default();
        while self.is_watched() {
            let begun = Instant::now();
            let network = survey(&mut client, io.router().id()).await;
            let requests = network.as_ref().map_or(0, |network| network.requests);
            let interval = INTERVAL.max(Duration::from_secs(1) * u32::try_from(requests).unwrap_or(0) / REQUESTS);
            let shown = network.map(|network| {
                history.note(&network, Instant::now());
                let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
                let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis);
                Arc::from(document(&network, &problems(&network, &history), time, millis(interval)))
            });
            self.state.lock().document = shown;
            tokio::time::sleep(interval.saturating_sub(begun.elapsed())).await;
        }
    }

    fn is_watched(&self) -> bool {
        self.state.lock().looked.is_some_and(|looked| looked.elapsed() < WATCHED)
    }
}

/// The thread ends.
struct End<'a>(&'a View);

impl Drop for End<'_> {
    fn drop(&mut self) {
        *self.0.state.lock() = State::default();
    }
}
