//! Work that wakes itself.

use futures_util::task::{ArcWake, AtomicWaker, waker};
use pin_project_lite::pin_project;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Waker};
use tokio::task::coop::has_budget_remaining;

/// How often work is done at once before others have their turn: what a request needs.
const TURNS: usize = 4;

/// Nobody is at it.
const IDLE: u8 = 0;
/// It is being done.
const BUSY: u8 = 1;
/// It was woken since it was begun, or is about to begin.
const WOKEN: u8 = 2;

pin_project! {
    /// Work whose parts wake each other, as those of a connection of hyper do. What wakes it while it is being done has it
    /// done again at once: the executor, which would wake another thread for that, does not hear of it.
    pub(crate) struct Steady<F> {
        #[pin]
        work: F,
        state: Arc<State>,
        waker: Waker,
    }

    impl<F> PinnedDrop for Steady<F> {
        fn drop(this: Pin<&mut Self>) {
            // Wakers that others still have keep nothing of the task.
            drop(this.state.task.take());
        }
    }
}

#[derive(Debug, Default)]
struct State {
    /// [`IDLE`], [`BUSY`] or [`WOKEN`].
    phase: AtomicU8,
    task: AtomicWaker,
}

// === impl Steady ===

impl<F: Future> Steady<F> {
    pub(crate) fn new(work: F) -> Self {
        let state = Arc::<State>::default();
        Self { work, waker: waker(Arc::clone(&state)), state }
    }
}

impl<F: Future> Future for Steady<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        this.state.task.register(cx.waker());
        for _ in 0..TURNS {
            // What the waker has seen is seen by the work.
            this.state.phase.swap(BUSY, Ordering::AcqRel);
            if let Poll::Ready(output) = this.work.as_mut().poll(&mut Context::from_waker(this.waker)) {
                return Poll::Ready(output);
            }
            if this.state.phase.compare_exchange(BUSY, IDLE, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                return Poll::Pending;
            }
            if !has_budget_remaining() {
                break;
            }
        }
        // It stays woken until its turn comes.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

// === impl State ===

impl ArcWake for State {
    fn wake_by_ref(state: &Arc<Self>) {
        if state.phase.swap(WOKEN, Ordering::AcqRel) == IDLE {
            state.task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::task::noop_waker;
    use std::future::poll_fn;
    use std::sync::atomic::AtomicUsize;
    use tokio::sync::oneshot;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl ArcWake for Count {
        fn wake_by_ref(count: &Arc<Self>) {
            count.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn what_wakes_itself_is_done_again_without_the_executor() {
        let (task, mut turns) = (Arc::<Count>::default(), 0);
        let mut work = std::pin::pin!(Steady::new(poll_fn(|cx| {
            turns += 1;
            if turns == TURNS {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })));
        assert!(work.as_mut().poll(&mut Context::from_waker(&waker(Arc::clone(&task)))).is_ready());
        assert_eq!(task.0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_never_ends_lets_others_have_their_turn() {
        let task = Arc::<Count>::default();
        let mut work = std::pin::pin!(Steady::new(poll_fn(|cx| -> Poll<()> {
            cx.waker().wake_by_ref();
            Poll::Pending
        })));
        for times in 1..=3 {
            assert!(work.as_mut().poll(&mut Context::from_waker(&waker(Arc::clone(&task)))).is_pending());
            assert_eq!(task.0.load(Ordering::Relaxed), times, "woken once for each time");
        }
    }

    #[test]
    fn others_wake_what_waits_once() {
        let task = Arc::<Count>::default();
        let (sender, receiver) = oneshot::channel::<()>();
        let mut work = std::pin::pin!(Steady::new(receiver));
        assert!(work.as_mut().poll(&mut Context::from_waker(&noop_waker())).is_pending());
        assert!(work.as_mut().poll(&mut Context::from_waker(&waker(Arc::clone(&task)))).is_pending());
        sender.send(()).expect("awaited");
        assert_eq!(task.0.load(Ordering::Relaxed), 1, "by the waker of the last time");
        assert!(work.as_mut().poll(&mut Context::from_waker(&noop_waker())).is_ready());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_wake_is_lost_between_threads() {
        for _ in 0..200 {
            let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
            let work = tokio::spawn(Steady::new(async move {
                let mut sum = 0;
                while let Some(number) = receiver.recv().await {
                    sum += number;
                }
                sum
            }));
            let senders: Vec<_> = (0..4).map(|_| sender.clone()).collect();
            drop(sender);
            for sender in senders {
                tokio::spawn(async move {
                    for number in 0..50 {
                        let _ = sender.send(number);
                        if number % 7 == 0 {
                            tokio::task::yield_now().await;
                        }
                    }
                });
            }
            assert_eq!(work.await.expect("no panic"), 4 * (0..50).sum::<i32>());
        }
    }
}
