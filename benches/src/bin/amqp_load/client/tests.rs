//! The client against the project's own engine.

use super::super::message::Template;
use super::super::sender::Pace;
use super::*;
use amqp_core::Instant;
use amqp_core::engine::{AttachAnswer, Config, Connection, Event, LinkKey, Outgoing, Sent};
use amqp_core::performative::{DeliveryState, Open};
use bytes::Bytes;
use std::collections::VecDeque;
use std::io::IoSlice;

const NOW: Instant = Instant::from_micros(1);

/// A client and a server that are joined.
struct Pair {
    client: Client,
    server: Connection,
    link: Option<LinkKey>,
    /// Payload of the deliveries that came to the server, all frames together.
    messages: Vec<Vec<u8>>,
    accepted: usize,
    /// Octets handed over at a time.
    step: usize,
    carry: Vec<u8>,
}

impl Pair {
    fn new(end: End, step: usize) -> Self {
        let config = Config { max_frame_size: 512, session_window: 8, ..Config::default() };
        let (client, server) = (Client::new("client".to_owned(), "a", end), Connection::new(config));
        Self { client, server, link: None, messages: Vec::new(), accepted: 0, step, carry: Vec::new() }
    }

    /// Goes on until nothing moves.
    fn run(&mut self) {
        loop {
            while let Some(event) = self.server.poll_event(NOW) {
                self.on_event(event);
            }
            self.server.flush(NOW);
            let mut slices = [IoSlice::new(&[]); 1];
            let filled = self.server.output().fill_slices(&mut slices);
            let down: Vec<u8> = slices[..filled].iter().flat_map(|s| s.iter().copied()).take(self.step).collect();
            self.server.output().advance(down.len());
            self.carry.extend_from_slice(&down);
            let used = self.client.receive(&self.carry, 0, None).unwrap();
            self.carry.drain(..used);
            let output = self.client.output(0);
            let up = Bytes::copy_from_slice(&output[..output.len().min(self.step)]);
            if up.is_empty() && down.is_empty() {
                return;
            }
            self.client.advance(up.len());
            self.server.receive(up);
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::RemoteOpen(_) => self.server.open(Open { container_id: "server".to_owned(), ..Open::default() }),
            Event::Attach { link, attach } => {
                let answer = AttachAnswer { source: attach.source.clone(), target: attach.target.clone() };
                self.server.answer_attach(link, answer);
                self.link = Some(link);
            }
            Event::Transfer(transfer) => {
                if transfer.first {
                    self.messages.push(Vec::new());
                }
                self.messages.last_mut().unwrap().extend_from_slice(&transfer.payload);
                if !transfer.more {
                    self.server.update_in(transfer.delivery, Some(DeliveryState::Accepted), true);
                }
            }
            Event::Update(update) => {
                assert_eq!((update.state, update.settled), (Some(DeliveryState::Accepted), true));
                self.accepted += 1;
            }
            Event::Failed(violation) => panic!("{violation}"),
            _ => {}
        }
    }
}

#[test]
fn sends_what_there_is_credit_for() {
    for (size, step) in [(0, 1), (100, 7), (100, 1000), (2000, 100), (2000, 100_000)] {
        let template = Template::new(size);
        let mut pair = Pair::new(End::Sender(Sender::new(template.clone(), false, false)), step);
        pair.run();
        let link = pair.link.unwrap();
        assert!(!pair.client.is_ready());
        for credit in [3, 40] {
            pair.server.grant_credit(link, credit);
            if let End::Sender(sender) = pair.client.end_mut() {
                sender.set_pace(Pace::Credit);
            }
            pair.run();
        }
        assert_eq!(pair.messages.len(), 43);
        assert!(pair.messages.iter().all(|message| message.len() == template.message().len()));
        let End::Sender(sender) = pair.client.end() else { panic!("no sender") };
        assert_eq!((sender.sent(), sender.outcomes().accepted(), sender.is_told_all()), (43, 43, true));
    }
}

#[test]
fn receives_settles_and_grants() {
    for (size, step) in [(100, 7), (100, 1000), (2000, 333)] {
        let template = Template::new(size);
        let mut pair = Pair::new(End::Receiver(Receiver::new(template.clone(), 10, false)), step);
        pair.run();
        let link = pair.link.unwrap();
        for number in 0..100_u64 {
            let mut message = template.message().to_vec();
            let at = template.number_at().unwrap();
            message[at..at + 8].copy_from_slice(&number.to_le_bytes());
            let mut payload = VecDeque::from([Bytes::from(message)]);
            let settled = number % 3 == 0;
            assert!(pair.server.start(link, Outgoing { tag: number, settled, state: None, token: number }));
            while pair.server.send(link, &mut payload, Some(settled), usize::MAX) != Sent::Done {
                pair.run();
            }
            if number % 5 == 4 {
                pair.run();
            }
        }
        pair.run();
        let End::Receiver(receiver) = pair.client.end() else { panic!("no receiver") };
        let tally = receiver.tally();
        assert_eq!((tally.received, tally.missing, tally.repeated, receiver.faults()), (100, 0, 0, (0, 0)));
        assert_eq!(pair.accepted, 66);
    }
}

#[test]
fn ends_are_told() {
    let mut client = Client::new("client".to_owned(), "a", End::Receiver(Receiver::new(Template::new(0), 1, false)));
    let mut input = BytesMut::from(&Preface::Amqp.octets()[..]);
    put(&mut input, Close::default());
    assert!(client.receive(&input, 0, None).is_err());
    let mut client = Client::new("client".to_owned(), "a", End::Receiver(Receiver::new(Template::new(0), 1, false)));
    assert!(client.receive(Preface::Sasl.octets(), 0, None).is_err());
}
