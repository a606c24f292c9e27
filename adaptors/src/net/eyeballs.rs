//! Which of a host's addresses to connect to: Happy Eyeballs (RFC 8305, sections 4 and 5).
//!
//! The families take turns, beginning with that of the first address. An attempt gets a start of 250 ms, or until it
//! fails, before the next one joins it. The first to succeed wins, and the others are dropped.

use crate::retry::at;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;

/// The start that an attempt gets.
const START: Duration = Duration::from_millis(250);

/// Attempts under way.
struct Race<F> {
    /// With their places in the order.
    attempts: Vec<(usize, Pin<Box<F>>)>,
    /// That of the last address so far that failed.
    failure: Option<(usize, io::Error)>,
}

/// The first success of attempts at the addresses; `deadline` ends them all.
///
/// # Errors
/// That of the last address.
pub(super) async fn first<T, F: Future<Output = io::Result<T>>>(
    addresses: &[SocketAddr],
    deadline: Option<Instant>,
    attempt: impl Fn(SocketAddr) -> F,
) -> io::Result<T> {
    match addresses {
        [address] => tokio::select! {
            outcome = attempt(*address) => outcome,
            () = at(deadline) => Err(io::ErrorKind::TimedOut.into()),
        },
        // What a race takes is rarely needed.
        _ => Box::pin(race(addresses, deadline, attempt)).await,
    }
}

async fn race<T, F: Future<Output = io::Result<T>>>(
    addresses: &[SocketAddr],
    deadline: Option<Instant>,
    attempt: impl Fn(SocketAddr) -> F,
) -> io::Result<T> {
    let mut waiting = interleaved(addresses).into_iter().enumerate();
    let mut race = Race { attempts: Vec::new(), failure: None };
    loop {
        if let Some((place, address)) = waiting.next() {
            race.attempts.push((place, Box::pin(attempt(address))));
        }
        if race.attempts.is_empty() {
            return Err(race.failure_at(addresses.len()).unwrap_or_else(super::no_address));
        }
        let next_start = (waiting.len() > 0).then(|| Instant::now() + START);
        tokio::select! {
            biased;
            outcome = race.next() => if let Some(success) = outcome {
                return Ok(success);
            },
            () = at(deadline) => {
                return Err(race.failure_at(addresses.len()).unwrap_or_else(|| io::ErrorKind::TimedOut.into()));
            }
            () = at(next_start) => {}
        }
    }
}

/// The families in turns, as far as there are addresses of both.
fn interleaved(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first = addresses.first().map(SocketAddr::is_ipv4);
    let (like_first, others): (Vec<_>, Vec<_>) =
        addresses.iter().copied().partition(|address| Some(address.is_ipv4()) == first);
    let turns = like_first.len().max(others.len());
    let in_turn = (0..turns).flat_map(|turn| [like_first.get(turn), others.get(turn)]);
    in_turn.flatten().copied().collect()
}

// === impl Race ===

impl<T, F: Future<Output = io::Result<T>>> Race<F> {
    /// How the next attempt ends; none is a failure.
    async fn next(&mut self) -> Option<T> {
        poll_fn(|cx| {
            for at in 0..self.attempts.len() {
                let (place, attempt) = &mut self.attempts[at];
                let (place, outcome) = (*place, attempt.as_mut().poll(cx));
                let Poll::Ready(outcome) = outcome else { continue };
                self.attempts.swap_remove(at);
                return Poll::Ready(outcome.map_err(|error| self.fail(place, error)).ok());
            }
            Poll::Pending
        })
        .await
    }

    fn fail(&mut self, place: usize, error: io::Error) {
        if self.failure.as_ref().is_none_or(|(last, _)| *last < place) {
            self.failure = Some((place, error));
        }
    }

    /// The failure of the last of so many addresses.
    fn failure_at(self, count: usize) -> Option<io::Error> {
        self.failure.filter(|(place, _)| place + 1 == count).map(|(_, error)| error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use tokio::time::sleep;

    /// An address for each letter: `4` or `6`. Their ports are their places.
    fn addresses(families: &str) -> Vec<SocketAddr> {
        let address = |(place, family)| {
            let port = u16::try_from(place).expect("few");
            if family == '4' { SocketAddr::from(([192, 0, 2, 1], port)) } else { SocketAddr::from(([1; 8], port)) }
        };
        families.chars().enumerate().map(address).collect()
    }

    #[test]
    fn families_take_turns() {
        for (families, expected) in [
            ("", &[][..]),
            ("4", &[0]),
            ("444", &[0, 1, 2]),
            ("46", &[0, 1]),
            ("6644", &[0, 2, 1, 3]),
            ("4466", &[0, 2, 1, 3]),
            ("66664", &[0, 4, 1, 2, 3]),
            ("46666", &[0, 1, 2, 3, 4]),
            ("66444", &[0, 2, 1, 3, 4]),
        ] {
            let ports: Vec<_> = interleaved(&addresses(families)).iter().map(SocketAddr::port).collect();
            assert_eq!(ports, expected, "{families}");
        }
    }

    /// How the attempt at each address ends, and after how many milliseconds.
    type Script = &'static [(u64, Result<(), io::ErrorKind>)];

    const SILENT: (u64, Result<(), io::ErrorKind>) = (3_600_000, Ok(()));

    /// Who wins or how it fails, when, and when each attempt has begun, in milliseconds.
    async fn raced(script: Script, limit: Option<u64>) -> (Result<u16, io::ErrorKind>, u128, Vec<u128>) {
        let begun = Instant::now();
        let begins = RefCell::new(Vec::new());
        let attempt = |address: SocketAddr| {
            begins.borrow_mut().push(begun.elapsed().as_millis());
            async move {
                let (after, end) = script[usize::from(address.port())];
                sleep(Duration::from_millis(after)).await;
                end.map(|()| address.port()).map_err(io::Error::from)
            }
        };
        let deadline = limit.map(|limit| begun + Duration::from_millis(limit));
        let outcome = first(&addresses(&"4".repeat(script.len())), deadline, attempt).await;
        (outcome.map_err(|error| error.kind()), begun.elapsed().as_millis(), begins.into_inner())
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_success_wins() {
        use io::ErrorKind::{ConnectionRefused, HostUnreachable, TimedOut};
        let refused = |after| (after, Err(ConnectionRefused));
        for (what, script, limit, expected) in [
            ("at once", vec![(0, Ok(())), (0, Ok(()))], None, (Ok(0), 0, vec![0])),
            ("within its start", vec![(249, Ok(())), (0, Ok(()))], None, (Ok(0), 249, vec![0])),
            ("none answers at first", vec![SILENT, (10, Ok(()))], None, (Ok(1), 260, vec![0, 250])),
            ("late, and still first", vec![(300, Ok(())), (100, Ok(()))], None, (Ok(0), 300, vec![0, 250])),
            ("refused", vec![refused(10), (10, Ok(()))], None, (Ok(1), 20, vec![0, 10])),
            ("one after the other", vec![SILENT, SILENT, (5, Ok(()))], None, (Ok(2), 505, vec![0, 250, 500])),
            (
                "a late failure starts the next",
                vec![refused(260), SILENT, (0, Ok(()))],
                None,
                (Ok(2), 260, vec![0, 250, 260]),
            ),
            (
                "all fail: the last address tells",
                vec![(300, Err(ConnectionRefused)), (10, Err(HostUnreachable))],
                None,
                (Err(HostUnreachable), 300, vec![0, 250]),
            ),
            ("alone", vec![(300, Ok(()))], Some(1000), (Ok(0), 300, vec![0])),
            ("alone and refused", vec![refused(300)], None, (Err(ConnectionRefused), 300, vec![0])),
            ("alone and out of time", vec![SILENT], Some(1000), (Err(TimedOut), 1000, vec![0])),
            ("out of time", vec![SILENT, SILENT], Some(1000), (Err(TimedOut), 1000, vec![0, 250])),
            ("out of time, after a failure", vec![refused(5), SILENT], Some(1000), (Err(TimedOut), 1000, vec![0, 5])),
            (
                "out of time, the last failed",
                vec![SILENT, refused(5)],
                Some(1000),
                (Err(ConnectionRefused), 1000, vec![0, 250]),
            ),
        ] {
            assert_eq!(raced(script.leak(), limit).await, expected, "{what}");
        }
        let none = first(&[], None, |_| std::future::ready(Ok(()))).await.expect_err("nothing to try");
        assert_eq!(none.to_string(), "Name or service not known");
    }
}
