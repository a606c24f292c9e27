//! Answers what the port asks about authentication, on threads that may wait for files and work for milliseconds.

use super::params::Authenticator;
use crate::sasl::Exchange;
use crate::tasks::blocking::PASSWORD_CHECKS;
use router_engine::port::{AmqpPort, AuthReply, AuthRequest};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::Semaphore;

/// Questions that are worked on at a time, of peers that log in here: each may hold a whole database.
static LOGINS: Semaphore = Semaphore::const_new(4);

/// The same of routers that log in here: clients keep none waiting.
static NEIGHBOUR_LOGINS: Semaphore = Semaphore::const_new(4);

/// The same for our own: strangers who log in, right or wrong, keep no connector waiting.
static OWN_LOGINS: Semaphore = Semaphore::const_new(4);

/// An answer, and the exchange that goes on.
type Answer = (AuthReply, Option<Box<dyn Exchange>>);

/// The authentication of one connection.
#[derive(Default)]
pub(super) struct Authentication {
    authenticator: Option<Arc<dyn Authenticator>>,
    /// The exchange that waits for the peer's next message.
    exchange: Option<Box<dyn Exchange>>,
    /// What is worked on.
    work: Option<Pin<Box<dyn Future<Output = Answer> + Send>>>,
}

// === impl Authentication ===

impl Authentication {
    pub(super) fn new(authenticator: Option<Arc<dyn Authenticator>>) -> Self {
        Self { authenticator, ..Self::default() }
    }

    /// Takes what the port asks, and answers it when the answer is there. True if it was; the port's turn must follow.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, port: &mut AmqpPort) -> bool {
        if let Some(request) = port.take_auth_request() {
            let places = match port.role() {
                _ if port.is_initiator() => &OWN_LOGINS,
                role if role.is_router() => &NEIGHBOUR_LOGINS,
                _ => &LOGINS,
            };
            self.work = Some(Box::pin(answer(places, self.authenticator.clone(), self.exchange.take(), request)));
        }
        let Some(work) = &mut self.work else { return false };
        let Poll::Ready((reply, exchange)) = work.as_mut().poll(cx) else { return false };
        self.work = None;
        self.exchange = exchange;
        port.auth_result(reply);
        true
    }
}

async fn answer(
    places: &'static Semaphore,
    authenticator: Option<Arc<dyn Authenticator>>,
    exchange: Option<Box<dyn Exchange>>,
    request: AuthRequest,
) -> Answer {
    let refused = || (AuthReply::bad_credentials(), None);
    let Some(authenticator) = authenticator else { return refused() };
    let Ok(permit) = places.acquire().await else { return refused() };
    let work = move || {
        // Held until the work is over, even if its connection is gone before.
        let _permit = permit;
        work(&*authenticator, exchange, request)
    };
    PASSWORD_CHECKS.run(work).await.unwrap_or_else(|_| refused())
}

fn work(authenticator: &dyn Authenticator, exchange: Option<Box<dyn Exchange>>, request: AuthRequest) -> Answer {
    match request {
        AuthRequest::Password(credentials) if authenticator.check(&credentials) => {
            (AuthReply::Accepted { user: credentials.username, last: None }, None)
        }
        AuthRequest::Password(_) => (AuthReply::bad_credentials(), None),
        AuthRequest::Exchange { mechanism, begins, message } => {
            match if begins { authenticator.begin(mechanism) } else { exchange } {
                Some(mut exchange) => {
                    let reply = exchange.step(&message);
                    // One that is over needs its password no more.
                    let goes_on = matches!(reply, AuthReply::Message(_));
                    (reply, goes_on.then_some(exchange))
                }
                None => (AuthReply::refused("the mechanism is not available"), None),
            }
        }
    }
}
