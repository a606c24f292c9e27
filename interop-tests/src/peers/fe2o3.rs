//! Themes for fe2o3-amqp 0.18, in this process: the same as for the other peers.
//!
//! Quirks that the themes live with: a message is handed out only when all of it has arrived, and `Sender::drop` needs
//! a runtime, so everything happens inside [`run`]'s.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail, ensure};
use fe2o3_amqp::connection::ConnectionHandle;
use fe2o3_amqp::link::SendError;
use fe2o3_amqp::link::delivery::DeliveryFut;
use fe2o3_amqp::link::receiver::CreditMode;
use fe2o3_amqp::session::SessionHandle;
use fe2o3_amqp::types::definitions::{self, ErrorCondition, SenderSettleMode};
use fe2o3_amqp::types::messaging::{AmqpValue, Body, Data, Message, Modified, Outcome, Properties, Source, Target};
use fe2o3_amqp::types::primitives::{Symbol, Value};
use fe2o3_amqp::{Connection, Delivery, Receiver, Sendable, Sender, Session};
use tokio::time::timeout;

use super::Route;
use crate::harness::{Management, eventually, patience};

type Pending = DeliveryFut<Result<Outcome, SendError>>;
type Numbered = Message<AmqpValue<Value>>;

const LARGE_OCTETS: usize = 20 << 20;

/// A connection with one session.
struct Client {
    connection: ConnectionHandle<()>,
    session: SessionHandle<()>,
}

/// Runs one theme.
pub fn run(theme: &str, route: &Route) -> Result<()> {
    limited(async {
        match theme {
            "unsettled" => pass_in_order(route, 500, false).await,
            "presettled" => pass_in_order(route, 200, true).await,
            "many" => pass_in_order(route, 5000, false).await,
            "large_stream" => large_stream(route).await,
            "anonymous" => anonymous(route).await,
            "outcomes" => outcomes(route).await,
            "drain" => drain(route).await,
            "link_close" => link_close(route).await,
            "multicast" => multicast(route).await,
            "closest" => closest(route).await,
            "balanced" => balanced(route).await,
            "request_reply" => requests(route).await,
            "query" => query(route.clone()).await,
            _ => bail!("unknown theme"),
        }
    })
    .with_context(|| format!("theme {theme} of fe2o3-amqp"))
}

/// Requests from a client at one router to a server at another, and their answers. The service's address may be another at
/// the client's.
pub fn exchange(client: (SocketAddr, &str), server: (SocketAddr, &str)) -> Result<()> {
    limited(request_reply(client, server)).context("requests")
}

/// A large message, in the same way.
pub fn send_large(from: (SocketAddr, &str), to: (SocketAddr, &str)) -> Result<()> {
    limited(large(from, to)).context("large message")
}

fn limited(work: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async { timeout(2 * patience(), work).await }).context("timed out").flatten()
}

async fn pass_in_order(route: &Route, count: i32, presettled: bool) -> Result<()> {
    let (mut near, mut far) = (Client::open(route.send).await?, Client::open(route.recv).await?);
    let address = unique("queue");
    let mut receiver = far.receiver(&address).await?;
    let mut sender =
        if presettled { near.presettling_sender(&address).await? } else { near.sender(Some(&address)).await? };
    let receiving = tokio::spawn(async move {
        for number in 0..count {
            expect_number(&mut receiver, number).await?;
        }
        receiver.close().await.context("closing the receiver")
    });
    send_numbers(&mut sender, 0..count).await?;
    receiving.await??;
    sender.close().await.context("closing the sender")?;
    near.close().await?;
    far.close().await
}

async fn large_stream(route: &Route) -> Result<()> {
    let address = unique("queue");
    large((route.send, &address), (route.recv, &address)).await
}

async fn large(from: (SocketAddr, &str), to: (SocketAddr, &str)) -> Result<()> {
    let (mut near, mut far) = (Client::open(from.0).await?, Client::open(to.0).await?);
    let mut receiver = far.receiver(to.1).await?;
    let mut sender = near.sender(Some(from.1)).await?;
    let content: Vec<u8> = (0..LARGE_OCTETS).map(|index| (index % 251) as u8).collect();
    let message = || Message::builder().data(content.clone()).build();
    let receiving = tokio::spawn(async move {
        let delivery = receiver.recv::<Body<Value>>().await?;
        receiver.accept(&delivery).await?;
        match delivery.into_message().body {
            Body::Data(batch) => Ok(batch.into_iter().flat_map(|Data(part)| part.into_vec()).collect::<Vec<_>>()),
            other => bail!("body {other:?}"),
        }
    });
    // Until all routers on the way know of the receiver, it may come back.
    while let Outcome::Released(_) = expect_taken(sender.send(message()).await?)? {}
    ensure!(receiving.await?? == content, "content changed");
    near.close().await?;
    far.close().await
}

async fn anonymous(route: &Route) -> Result<()> {
    let (mut near, mut far) = (Client::open(route.send).await?, Client::open(route.recv).await?);
    let addresses = [unique("queue"), unique("queue")];
    let mut receivers = [far.receiver(&addresses[0]).await?, far.receiver(&addresses[1]).await?];
    let expected = if route.send == route.recv { (1, 0) } else { (0, 1) };
    for address in &addresses {
        wait_for_consumers(route.send, address, expected).await?;
    }
    let mut sender = near.sender(None).await?;
    let mut pending = Vec::new();
    for number in 0..100 {
        let to = addresses[number % 2].clone();
        let properties = Properties::builder().to(to).build();
        let message = Message::builder().properties(properties).value(Value::Int(number as i32)).build();
        pending.push(sender.send_batchable(message).await?);
    }
    for number in 0..100 {
        expect_number(&mut receivers[number % 2], number as i32).await?;
    }
    for outcome in pending {
        expect_accepted(outcome.await?)?;
    }
    let properties = Properties::builder().to(unique("nobody")).build();
    let lost = Message::builder().properties(properties).value(Value::Null).build();
    let outcome = sender.send(lost).await?;
    ensure!(matches!(outcome, Outcome::Released(_)), "{outcome:?} for an unknown address");
    near.close().await?;
    far.close().await
}

async fn outcomes(route: &Route) -> Result<()> {
    let (mut near, mut far) = (Client::open(route.send).await?, Client::open(route.recv).await?);
    let address = unique("queue");
    let mut receiver = far.receiver(&address).await?;
    let mut sender = near.sender(Some(&address)).await?;
    let judging = tokio::spawn(async move {
        let refused = ErrorCondition::Custom(Symbol::from("test:refused"));
        let error = definitions::Error::new(refused, "not today".to_owned(), None);
        let modified =
            Modified { delivery_failed: Some(true), undeliverable_here: Some(true), message_annotations: None };
        let delivery = receiver.recv::<Body<Value>>().await?;
        receiver.accept(delivery).await?;
        let delivery = receiver.recv::<Body<Value>>().await?;
        receiver.reject(delivery, error).await?;
        let delivery = receiver.recv::<Body<Value>>().await?;
        receiver.release(delivery).await?;
        let delivery = receiver.recv::<Body<Value>>().await?;
        receiver.modify(delivery, modified).await?;
        anyhow::Ok(receiver)
    });
    expect_accepted(sender.send(numbered(0)).await?)?;
    let rejected = sender.send(numbered(1)).await?;
    let Outcome::Rejected(rejected) = rejected else { bail!("{rejected:?} instead of rejected") };
    let error = rejected.error.context("rejected without error")?;
    ensure!(error.condition == ErrorCondition::Custom(Symbol::from("test:refused")), "{error:?}");
    ensure!(error.description.as_deref() == Some("not today"), "{error:?}");
    let released = sender.send(numbered(2)).await?;
    ensure!(matches!(released, Outcome::Released(_)), "{released:?} instead of released");
    let modified = sender.send(numbered(3)).await?;
    let Outcome::Modified(modified) = modified else { bail!("{modified:?} instead of modified") };
    ensure!(modified.delivery_failed == Some(true) && modified.undeliverable_here == Some(true), "{modified:?}");
    judging.await??;
    near.close().await?;
    far.close().await
}

async fn drain(route: &Route) -> Result<()> {
    let (mut near, mut far) = (Client::open(route.send).await?, Client::open(route.recv).await?);
    let address = unique("queue");
    let mut receiver = far.receiver_with(&address, CreditMode::Manual).await?;
    let mut sender = near.sender(Some(&address)).await?;
    for batch in [0..3, 3..5] {
        receiver.set_credit(10).await?;
        for number in batch {
            let sent = sender.send_batchable(numbered(number)).await?;
            expect_number(&mut receiver, number).await?;
            expect_accepted(sent.await?)?;
        }
        receiver.drain().await?;
        // The client does not show what became of its credit, so the router is asked.
        wait_until_without_credit(route.recv, &address).await?;
    }
    near.close().await?;
    far.close().await
}

async fn link_close(route: &Route) -> Result<()> {
    let (mut near, mut far) = (Client::open(route.send).await?, Client::open(route.recv).await?);
    let address = unique("queue");
    let mut receiver = far.receiver_with(&address, CreditMode::Manual).await?;
    receiver.set_credit(5).await?;
    let mut sender = near.sender(Some(&address)).await?;
    let mut pending = Vec::new();
    for number in 0..5 {
        pending.push(sender.send_batchable(numbered(number)).await?);
    }
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(receiver.recv::<Body<Value>>().await?);
    }
    receiver.close().await.context("the end of the link is not answered")?;
    for outcome in pending {
        let outcome = outcome.await?;
        ensure!(matches!(outcome, Outcome::Modified(_)), "{outcome:?} for a message at a receiver that went");
    }
    near.close().await?;
    far.close().await
}

async fn multicast(route: &Route) -> Result<()> {
    let (mut near, mut far) = (Client::open(route.send).await?, Client::open(route.recv).await?);
    let address = unique("multicast");
    let mut receivers = Vec::new();
    for _ in 0..3 {
        receivers.push(far.receiver(&address).await?);
    }
    wait_for_consumers(route.recv, &address, (3, 0)).await?;
    if route.send != route.recv {
        wait_for_consumers(route.send, &address, (0, 1)).await?;
    }
    let mut sender = near.sender(Some(&address)).await?;
    let sending = tokio::spawn(async move {
        send_numbers(&mut sender, 0..100).await?;
        anyhow::Ok(sender)
    });
    for number in 0..100 {
        for receiver in &mut receivers {
            expect_number(receiver, number).await?;
        }
    }
    sending.await??;
    near.close().await?;
    far.close().await
}

async fn closest(route: &Route) -> Result<()> {
    let (mut near, mut far) = (Client::open(route.send).await?, Client::open(route.recv).await?);
    let address = unique("closest");
    let two_routers = route.send != route.recv;
    let mut here = near.receiver(&address).await?;
    let mut there = far.receiver(&address).await?;
    wait_for_consumers(route.send, &address, if two_routers { (1, 1) } else { (2, 0) }).await?;
    let mut sender = near.sender(Some(&address)).await?;
    for number in 0..40 {
        let sent = sender.send_batchable(numbered(number)).await?;
        // Equal receivers take turns; which one begins is open.
        let arrived = tokio::select! {
            delivery = here.recv::<Body<Value>>() => { here.accept(delivery?).await?; true }
            delivery = there.recv::<Body<Value>>() => { there.accept(delivery?).await?; false }
        };
        ensure!(arrived || !two_routers, "message {number} went to the farther receiver");
        expect_accepted(sent.await?)?;
    }
    near.close().await?;
    far.close().await
}

async fn balanced(route: &Route) -> Result<()> {
    let (mut near, mut far) = (Client::open(route.send).await?, Client::open(route.recv).await?);
    let address = unique("balanced");
    let expected = if route.send == route.recv { (2, 0) } else { (1, 1) };
    let mut receivers = [near.receiver(&address).await?, far.receiver(&address).await?];
    wait_for_consumers(route.send, &address, expected).await?;
    let mut sender = near.sender(Some(&address)).await?;
    let mut pending = Vec::new();
    for number in 0..100 {
        pending.push(sender.send_batchable(numbered(number)).await?);
    }
    let [first, second] = &mut receivers;
    let (mut held_first, mut held_second) = (Vec::new(), Vec::new());
    while held_first.len() + held_second.len() < 100 {
        tokio::select! {
            delivery = first.recv::<Body<Value>>() => held_first.push(delivery?),
            delivery = second.recv::<Body<Value>>() => held_second.push(delivery?),
        }
    }
    let spread = (held_first.len(), held_second.len());
    ensure!(spread.0.min(spread.1) >= 40, "spread {spread:?}");
    first.accept_all(held_first).await?;
    second.accept_all(held_second).await?;
    for outcome in pending {
        expect_accepted(outcome.await?)?;
    }
    near.close().await?;
    far.close().await
}

async fn requests(route: &Route) -> Result<()> {
    let address = unique("queue");
    request_reply((route.send, &address), (route.recv, &address)).await
}

async fn request_reply(client: (SocketAddr, &str), server: (SocketAddr, &str)) -> Result<()> {
    let (mut near, mut far) = (Client::open(client.0).await?, Client::open(server.0).await?);
    let mut questions = far.receiver(server.1).await?;
    let mut replies = far.sender(None).await?;
    let server = tokio::spawn(async move {
        for _ in 0..50 {
            let delivery = questions.recv::<Body<Value>>().await?;
            questions.accept(&delivery).await?;
            let question = delivery.into_message();
            let asked = question.properties.context("request without properties")?;
            let to = asked.reply_to.context("request without reply address")?;
            let mut properties = Properties::builder().to(to).build();
            properties.correlation_id = asked.correlation_id;
            let Body::Value(AmqpValue(value)) = question.body else { bail!("body of the request") };
            let answer = Message::builder().properties(properties).value(value).build();
            expect_accepted(replies.send(answer).await?)?;
        }
        anyhow::Ok((questions, replies))
    });
    let mut answers = Receiver::builder()
        .name(unique("answers"))
        .source(Source::builder().dynamic(true).build())
        .attach(&mut near.session)
        .await?;
    let own = answers.source().as_ref().and_then(|source| source.address.clone()).context("no dynamic address")?;
    let mut sender = near.sender(Some(client.1)).await?;
    for number in 0..50_u64 {
        let properties = Properties::builder().reply_to(own.clone()).correlation_id(number).build();
        let question = || Message::builder().properties(properties.clone()).value(Value::Ulong(number)).build();
        // Only the first one, as above.
        while let Outcome::Released(_) = expect_taken(sender.send(question()).await?)? {
            ensure!(number == 0, "question {number} came back");
        }
        let delivery = answers.recv::<Body<Value>>().await?;
        answers.accept(&delivery).await?;
        let answer = delivery.into_message();
        let correlation = answer.properties.and_then(|properties| properties.correlation_id);
        ensure!(correlation == Some(number.into()), "answer {correlation:?} to question {number}");
    }
    server.await??;
    near.close().await?;
    far.close().await
}

async fn query(route: Route) -> Result<()> {
    let queries = move || {
        for address in [route.send, route.recv] {
            let mut management = Management::connect(address)?;
            for router in &route.routers {
                let node = format!("_topo/0/{router}/$management");
                for kind in ["router", "listener", "connection", "router.link", "router.address", "log"] {
                    let rows = management.query_at(&node, kind)?;
                    ensure!(!rows.is_empty(), "no {kind} at {router}");
                    ensure!(kind != "router" || rows[0]["id"] == **router, "{rows:?} at {router}");
                }
            }
        }
        Ok(())
    };
    // The management client blocks and has a runtime of its own.
    tokio::task::spawn_blocking(queries).await?
}

// === impl Client ===

impl Client {
    async fn open(address: SocketAddr) -> Result<Self> {
        let url = format!("amqp://{address}");
        let builder = Connection::builder().container_id(unique("fe2o3"));
        let mut connection = builder.open(url.as_str()).await.context("open")?;
        let session = Session::begin(&mut connection).await.context("begin")?;
        Ok(Self { connection, session })
    }

    async fn receiver(&mut self, address: &str) -> Result<Receiver> {
        self.receiver_with(address, CreditMode::Auto(1000)).await
    }

    async fn receiver_with(&mut self, address: &str, credit: CreditMode) -> Result<Receiver> {
        let builder = Receiver::builder().name(unique("receiver")).source(address).credit_mode(credit);
        builder.attach(&mut self.session).await.context("attach of a receiver")
    }

    async fn sender(&mut self, address: Option<&str>) -> Result<Sender> {
        let target = Target { address: address.map(str::to_owned), ..Target::default() };
        let builder = Sender::builder().name(unique("sender")).target(target);
        builder.attach(&mut self.session).await.context("attach of a sender")
    }

    async fn presettling_sender(&mut self, address: &str) -> Result<Sender> {
        let builder = Sender::builder().name(unique("sender")).target(address);
        let builder = builder.sender_settle_mode(SenderSettleMode::Settled);
        builder.attach(&mut self.session).await.context("attach of a sender")
    }

    async fn close(mut self) -> Result<()> {
        self.session.end().await.context("end")?;
        self.connection.close().await.context("close")
    }
}

/// An address or name that nothing else uses. The prefix of an address chooses its treatment.
fn unique(prefix: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{prefix}.fe2o3.{}.{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn numbered(number: i32) -> Numbered {
    Message::builder().value(Value::Int(number)).build()
}

async fn send_numbers(sender: &mut Sender, numbers: std::ops::Range<i32>) -> Result<()> {
    let mut pending: Vec<Pending> = Vec::new();
    for number in numbers {
        let sendable: Sendable<AmqpValue<Value>> = numbered(number).into();
        pending.push(sender.send_batchable(sendable).await?);
    }
    for outcome in pending {
        expect_accepted(outcome.await?)?;
    }
    Ok(())
}

async fn expect_number(receiver: &mut Receiver, number: i32) -> Result<()> {
    let delivery: Delivery<Body<Value>> = receiver.recv().await?;
    receiver.accept(&delivery).await?;
    match delivery.body() {
        Body::Value(AmqpValue(Value::Int(received))) if *received == number => Ok(()),
        other => bail!("received {other:?} instead of {number}"),
    }
}

/// Accepted, or released for now.
fn expect_taken(outcome: Outcome) -> Result<Outcome> {
    ensure!(matches!(outcome, Outcome::Accepted(_) | Outcome::Released(_)), "{outcome:?} instead of accepted");
    Ok(outcome)
}

fn expect_accepted(outcome: Outcome) -> Result<()> {
    ensure!(matches!(outcome, Outcome::Accepted(_)), "{outcome:?} instead of accepted");
    Ok(())
}

async fn wait_for_consumers(router: SocketAddr, address: &str, expected: (u64, u64)) -> Result<()> {
    let name = format!("M{address}");
    let wait = move || {
        let mut management = Management::connect(router)?;
        eventually(&format!("{name} has {expected:?} local and remote consumers"), || {
            let rows = management.query("router.address")?;
            let row = rows.iter().find(|row| row["name"] == *name).context("address unknown")?;
            let seen = (row["subscriberCount"].as_u64(), row["remoteCount"].as_u64());
            ensure!(seen == (Some(expected.0), Some(expected.1)), "{seen:?}");
            Ok(())
        })
    };
    tokio::task::spawn_blocking(wait).await?
}

async fn wait_until_without_credit(router: SocketAddr, address: &str) -> Result<()> {
    let owner = format!("M{address}");
    let wait = move || {
        let mut management = Management::connect(router)?;
        eventually("the credit is drained", || {
            let rows = management.query("router.link")?;
            let row = rows.iter().find(|row| row["owningAddr"] == *owner && row["linkDir"] == "out");
            let credit = &row.context("no link of the receiver")?["creditAvailable"];
            ensure!(*credit == 0, "credit {credit}");
            Ok(())
        })
    };
    tokio::task::spawn_blocking(wait).await?
}
