use super::*;
use crate::tcp::capture;
use crate::tcp::tests::{io, router};
use router_engine::{Effect, Mailbox};
use std::future::pending;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use tokio::sync::oneshot;
use tokio::time::Instant;

const GRACE: Duration = Duration::from_millis(200);

fn tasks() -> Tasks {
    Tasks::new(Handle::current())
}

fn active(tasks: &Tasks, name: &str, stage: Stage) -> Arc<Owner> {
    let owner = tasks.owner(name.to_owned(), stage);
    assert!(owner.activate());
    owner
}

/// A future that is polled by hand.
struct Polled<F> {
    future: Pin<Box<F>>,
    woken: Arc<Woken>,
}

#[derive(Default)]
struct Woken(AtomicBool);

fn polled<F: Future<Output = ()>>(future: F) -> Polled<F> {
    Polled { future: Box::pin(future), woken: Arc::default() }
}

impl<F: Future<Output = ()>> Polled<F> {
    fn poll(&mut self) -> Poll<()> {
        self.future.as_mut().poll(&mut Context::from_waker(&Waker::from(Arc::clone(&self.woken))))
    }

    fn is_woken(&self) -> bool {
        self.woken.0.load(Ordering::Relaxed)
    }

    fn with_other_waker(self) -> Self {
        Self { woken: Arc::default(), ..self }
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_panic_is_contained() {
    assert_eq!(contained(async { 7 }).await, Some(7));
    let lost = contained(async {
        tokio::task::yield_now().await;
        panic!("on purpose")
    });
    assert_eq!(lost.await, None::<()>);
}

#[tokio::test]
async fn an_owner_never_goes_back() {
    let tasks = tasks();
    let owner = tasks.owner("listener l".to_owned(), Stage::Last);
    assert_eq!(owner.phase(), Phase::Created);
    assert!(!owner.spawn("early", pending()));
    assert!(owner.activate() && !owner.activate());
    assert!(owner.spawn("task", pending()));
    assert_eq!(tasks.live(), BTreeMap::from([("task", 1)]));
    owner.drain();
    owner.draining().await;
    assert!(!owner.activate() && !owner.spawn("late", pending()));
    assert!(owner.join("late", &Arc::default()).is_none());
    owner.stop();
    owner.stopped().await;
    owner.drain();
    assert_eq!(owner.phase(), Phase::Stopped);
    assert_eq!(tasks.phase(), Phase::Running, "others go on");
}

#[tokio::test]
async fn who_waits_for_a_phase_is_told_of_that_one_whoever_asks() {
    let tasks = tasks();
    let owner = active(&tasks, "listener l", Stage::Last);
    let (mut draining, mut stopped) = (polled(owner.draining()), polled(owner.stopped()));
    for _ in 0..2 {
        assert!(draining.poll().is_pending() && stopped.poll().is_pending());
    }
    owner.drain();
    assert!(draining.is_woken() && !stopped.is_woken());
    assert!(draining.poll().is_ready() && stopped.poll().is_pending());
    let mut moved = stopped.with_other_waker();
    assert!(moved.poll().is_pending());
    owner.stop();
    assert!(moved.is_woken() && moved.poll().is_ready());
    assert!(polled(owner.draining()).poll().is_ready(), "the phase has come already");
}

#[tokio::test]
async fn an_owner_that_was_never_active_may_be_deleted() {
    let owner = tasks().owner("listener l".to_owned(), Stage::Last);
    owner.drain();
    assert!(!owner.activate() && !owner.spawn("late", pending()));
    owner.left().await;
}

#[tokio::test]
async fn whoever_comes_during_a_shutdown_is_late() {
    let tasks = tasks();
    tasks.drain();
    assert_eq!(tasks.owner("listener l".to_owned(), Stage::Last).phase(), Phase::Draining);
    tasks.shutdown(GRACE).await;
    assert_eq!(tasks.owner("listener l".to_owned(), Stage::Last).phase(), Phase::Stopped);
}

#[tokio::test]
async fn a_task_that_panics_is_named_once_and_its_owner_goes_on() {
    capture::start();
    let tasks = tasks();
    let owner = active(&tasks, "listener l", Stage::Last);
    assert!(owner.spawn("connection", async { panic!("on purpose") }));
    owner.left().await;
    // One that passed its membership on.
    let member = owner.join("flow", &Arc::default()).expect("running");
    owner.run(member.seat(), async move {
        let _member = member;
        tokio::task::yield_now().await;
        panic!("on purpose");
    });
    owner.left().await;
    let line = |task| format!("ERROR (error) Internal error: a task has panicked: {task} of listener l");
    assert_eq!(capture::with("Internal error"), ["connection", "flow"].map(line));
    let (done, over) = oneshot::channel();
    assert!(owner.spawn("connection", async { done.send(()).expect("awaited") }));
    over.await.expect("it ran");
}

/// A shutdown before which services have the time to drain.
async fn shutdown(tasks: &Tasks, drain: Duration) -> Vec<Straggler> {
    tasks.drain();
    let services = tasks.of(Stage::First);
    let _ = timeout(drain, super::left(&services)).await;
    assert_eq!(tasks.services_have_left(), services.iter().all(|owner| owner.has_left()));
    tasks.shutdown(GRACE).await
}

#[tokio::test(start_paused = true)]
async fn what_drains_in_time_is_not_stopped() {
    let tasks = tasks();
    let owner = active(&tasks, "tcpListener l", Stage::First);
    let (drained, over) = oneshot::channel();
    let heeding = Arc::clone(&owner);
    owner.spawn("flow", async move {
        heeding.draining().await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        drained.send(heeding.phase()).expect("awaited");
    });
    let begun = Instant::now();
    assert_eq!(shutdown(&tasks, Duration::from_secs(60)).await, []);
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    assert_eq!(over.await.expect("drained"), Phase::Draining);
    assert_eq!((tasks.phase(), tasks.live()), (Phase::Stopped, BTreeMap::new()));
}

#[tokio::test(start_paused = true)]
async fn what_carries_flows_has_no_time_to_drain() {
    let tasks = tasks();
    let owner = active(&tasks, "listener l", Stage::Last);
    let heeding = Arc::clone(&owner);
    owner.spawn("connection", async move { heeding.stopped().await });
    let begun = Instant::now();
    assert_eq!(shutdown(&tasks, Duration::from_secs(60)).await, []);
    assert_eq!((begun.elapsed(), tasks.live()), (Duration::ZERO, BTreeMap::new()));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_drain_in_time_is_stopped() {
    for drain in [Duration::ZERO, Duration::from_secs(60)] {
        let tasks = tasks();
        let owner = active(&tasks, "tcpListener l", Stage::First);
        let heeding = Arc::clone(&owner);
        owner.spawn("flow", async move { heeding.stopped().await });
        let begun = Instant::now();
        assert_eq!(shutdown(&tasks, drain).await, []);
        assert_eq!((begun.elapsed(), tasks.live()), (drain, BTreeMap::new()));
    }
}

#[tokio::test(start_paused = true)]
async fn what_heeds_nothing_is_cut_and_named() {
    capture::start();
    let tasks = tasks();
    let owner = active(&tasks, "listener l", Stage::Last);
    owner.spawn("connection", pending());
    tasks.process().spawn("timer", pending());
    let begun = Instant::now();
    let cut = [("connection", "listener l"), ("timer", "process")];
    let cut = cut.map(|(task, owner)| Straggler { task, owner: owner.to_owned() });
    assert_eq!(tasks.shutdown(GRACE).await, cut);
    assert_eq!((begun.elapsed(), tasks.live()), (GRACE, BTreeMap::new()));
    let text = "Tasks that did not end in time were cut: connection of listener l, timer of process";
    assert_eq!(capture::with("Tasks that"), [format!("ROUTER (warning) {text}")]);
}

/// Passes its membership on as soon as it runs, to a task that does not look into its mailbox.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flows_that_do_not_listen_are_cut_too() {
    let tasks = tasks();
    let service = active(&tasks, "tcpListener l", Stage::First);
    let mut dropped = Vec::new();
    for _ in 0..100 {
        let member = service.join("flow", &Arc::default()).expect("running");
        let (alive, gone) = oneshot::channel::<()>();
        dropped.push(gone);
        let owner = Arc::clone(&service);
        service.run(member.seat(), async move {
            owner.run(member.seat(), async move {
                let _held = (alive, member);
                pending().await
            });
        });
    }
    assert_eq!(tasks.shutdown(GRACE).await.len(), 100);
    assert!(tasks.live().is_empty());
    for gone in dropped {
        gone.await.expect_err("it was cut");
    }
}

#[tokio::test]
async fn flows_are_told_in_their_mailboxes_and_leave_before_what_carries_their_ends() {
    let tasks = tasks();
    let service = active(&tasks, "tcpListener l", Stage::First);
    let carrier = active(&tasks, "listener l", Stage::Last);
    let mailbox = Arc::new(Mailbox::default());
    let member = service.join("flow", &mailbox).expect("running");
    let (told, phase) = oneshot::channel();
    let (heeding, watched) = (Arc::clone(&carrier), Arc::clone(&carrier));
    carrier.spawn("connection", async move { heeding.stopped().await });
    service.run(member.seat(), async move {
        let _member = member;
        poll_fn(|cx| if mailbox.park(cx.waker()) { Poll::Pending } else { Poll::Ready(()) }).await;
        let mut effects = Vec::new();
        mailbox.take(&mut effects, &mut Vec::new());
        assert!(matches!(effects[..], [Effect::Close { error: None, hard: true }]));
        told.send(watched.phase()).expect("awaited");
    });
    tokio::task::yield_now().await;
    assert_eq!(tasks.shutdown(GRACE).await, []);
    assert_eq!(phase.await.expect("told"), Phase::Draining);
}

#[test]
fn a_task_of_an_executor_that_has_ended_is_over_at_once() {
    let executor = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("an executor");
    let tasks = Tasks::new(executor.handle().clone());
    let owner = active(&tasks, "listener l", Stage::Last);
    drop(executor);
    owner.spawn("connection", pending());
    assert!(tasks.live().is_empty());
}

#[tokio::test]
async fn the_tasks_of_the_process_end_with_it() {
    let io = io(&router());
    io.start();
    io.spawn("governor", pending());
    assert_eq!(io.tasks().live(), BTreeMap::from([("core timer", 1), ("governor", 1), ("trim", 1)]));
    io.tasks().drain();
    assert_eq!(io.tasks().live().len(), 3, "they go on for those who drain");
    assert_eq!(io.shutdown().await, []);
    io.stopped().await;
    assert!(io.tasks().live().is_empty());
}
