//! Queries to the management nodes of this router and others, from inside the process.

use crate::runtime::now;
use amqp_core::Value;
use amqp_core::message::{Body, Header, Message, MessageBuilder, Properties};
use amqp_core::performative::DeliveryState;
use amqp_core::value::Map;
use bytes::Bytes;
use router_engine::port::local::{Attach, Attached, Delivery, Endpoint, Envelope, Event, GatherLimits, Identity};
use router_engine::stream::Payload;
use router_engine::{InToken, LinkId, Router};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long all answers of a round may take.
const LIMIT: Duration = Duration::from_secs(3);

/// Requests that are under way at a time.
const TOGETHER: usize = 64;

/// What of answers that are still arriving is held, in octets. Whoever sends a larger one has not answered.
const ARRIVING: GatherLimits = GatherLimits { message: 4 * 1024 * 1024, total: 16 * 1024 * 1024 };

/// Rows of an answer that count.
pub(super) const MAX_ROWS: usize = 2000;

/// Octets of a text that is shown.
const MAX_TEXT: usize = 256;

/// Entities that a router is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Query {
    /// The type, without its prefix.
    pub(super) kind: &'static str,
    pub(super) attributes: &'static [&'static str],
}

/// What a router has answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Rows {
    names: Vec<String>,
    rows: Vec<Vec<Value>>,
    /// There were more.
    pub(super) is_cut: bool,
}

/// One entity.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    names: &'a [String],
    values: &'a [Value],
}

/// A peer of the core that asks.
pub(super) struct Client {
    endpoint: Endpoint,
    out: LinkId,
    reply_to: String,
    /// The correlation id of the next request.
    next: u64,
}

/// Requests of which some are under way.
struct Round {
    /// The correlation id of the first.
    first: u64,
    answers: Vec<Option<Rows>>,
    /// The deliveries that are under way, and the places of their answers.
    pending: Vec<(InToken, usize)>,
}

// === impl Client ===

impl Client {
    /// None: the core has no room for it.
    pub(super) fn join(router: &Arc<Router>) -> Option<Self> {
        let mut endpoint = Endpoint::join(router, Identity::hidden("page", 250), Default::default(), now());
        endpoint.gather(ARRIVING);
        let links = [Attach::anonymous_sender("page"), Attach::dynamic_receiver("page.answers").with_credit(250)];
        let [Ok(out), Ok(Attached { source: Some(source), .. })] = endpoint.attach(links, now()) else { return None };
        let reply_to = if source.starts_with('_') { source } else { format!("_topo/0/{}/{source}", router.id()) };
        Some(Self { endpoint, out: out.link, reply_to, next: 0 })
    }

    /// Asks management nodes, all at once, and waits for their answers. `None`: there was none in time.
    pub(super) async fn ask(&mut self, requests: &[(String, Query)]) -> Vec<Option<Rows>> {
        let deadline = Instant::now() + LIMIT;
        let mut round = Round { first: self.next, answers: vec![None; requests.len()], pending: Vec::new() };
        let mut unsent = requests.iter().enumerate();
        loop {
            while round.pending.len() < TOGETHER
                && let Some((place, (to, query))) = unsent.next()
            {
                let token = self.send(to, *query, round.first + place as u64);
                round.pending.push((token, place));
            }
            self.endpoint.submit(now());
            if round.pending.is_empty() {
                break;
            }
            let Ok(event) = timeout_at(deadline, poll_fn(|cx| self.endpoint.poll_event(cx))).await else { break };
            self.on_event(event, &mut round);
        }
        self.next += requests.len() as u64;
        round.answers
    }

    fn send(&mut self, to: &str, Query { kind, attributes }: Query, id: u64) -> InToken {
        let properties = Properties {
            to: Some(to.to_owned()),
            reply_to: Some(self.reply_to.clone()),
            correlation_id: Value::Ulong(id),
            ..Properties::default()
        };
        let application = Map::new()
            .with("operation", "QUERY")
            .with("entityType", format!("io.skupper.router.{kind}"))
            .with("count", Value::Int(i32::try_from(MAX_ROWS).unwrap_or(i32::MAX)))
            .with("offset", Value::Int(0));
        let names = attributes.iter().map(|name| Value::from(*name)).collect();
        let message = MessageBuilder::new()
            .header(&Header::default())
            .properties(&properties)
            .application_properties(&application)
            .value(Map::new().with("attributeNames", Value::List(names)));
        self.endpoint.send(self.out, Payload::One(message), Envelope::to(to))
    }

    fn on_event(&mut self, event: Event, round: &mut Round) {
        match event {
            Event::Delivery(delivery) => {
                round.on_answer(delivery.message().unwrap_or_default());
                self.settle(delivery);
            }
            // Its request gets no answer.
            Event::Oversized(delivery, _) => self.settle(delivery),
            Event::Update { token, state, .. } if !matches!(state, None | Some(DeliveryState::Accepted)) => {
                round.pending.retain(|&(pending, _)| pending != token);
            }
            _ => {}
        }
    }

    fn settle(&mut self, delivery: Delivery) {
        self.endpoint.settle(delivery, DeliveryState::Accepted);
    }
}

// === impl Round ===

impl Round {
    /// An answer to a request of an earlier round comes too late.
    fn on_answer(&mut self, chunks: &[Bytes]) {
        let Ok(message) = Message::decode(chunks) else { return };
        let id = message.properties.correlation_id.as_u64();
        let place = id.and_then(|id| usize::try_from(id.checked_sub(self.first)?).ok());
        let Some(place) = place.filter(|&place| place < self.answers.len()) else { return };
        self.pending.retain(|&(_, pending)| pending != place);
        let is_good = message.application_properties.get("statusCode").and_then(Value::as_i64) == Some(200);
        if let (true, Body::Value(Value::Map(body))) = (is_good, message.body) {
            self.answers[place] = Some(Rows::of(&body));
        }
    }
}

// === impl Rows ===

impl Rows {
    /// What makes no sense is no row.
    pub(super) fn of(body: &Map) -> Self {
        let list = |name: &str| body.get(name).and_then(Value::as_list).unwrap_or_default();
        let names = list("attributeNames").iter().map(|name| name.as_str().unwrap_or_default().to_owned()).collect();
        let rows = list("results");
        let values = |row: &Value| row.as_list().map(<[Value]>::to_vec);
        Self { names, rows: rows.iter().take(MAX_ROWS).filter_map(values).collect(), is_cut: rows.len() >= MAX_ROWS }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|values| Row { names: &self.names, values })
    }
}

// === impl Row ===

impl Row<'_> {
    fn get(&self, name: &str) -> Option<&Value> {
        let at = self.names.iter().position(|known| known == name)?;
        self.values.get(at)
    }

    /// A text, cut; empty where there is none.
    pub(super) fn text(&self, name: &str) -> String {
        let text = self.get(name).and_then(Value::as_str).unwrap_or_default();
        if text.len() <= MAX_TEXT {
            return text.to_owned();
        }
        format!("{}…", &text[..text.floor_char_boundary(MAX_TEXT)])
    }

    pub(super) fn is(&self, name: &str, text: &str) -> bool {
        self.get(name).and_then(Value::as_str) == Some(text)
    }

    pub(super) fn number(&self, name: &str) -> Option<i64> {
        let value = self.get(name)?;
        value.as_i64().or_else(|| value.as_u64().and_then(|number| i64::try_from(number).ok()))
    }

    pub(super) fn count(&self, name: &str) -> u64 {
        self.number(name).and_then(|number| u64::try_from(number).ok()).unwrap_or_default()
    }

    /// None where the router does not tell.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        match self.get(name)? {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_make_no_sense_have_no_rows() {
        assert_eq!(Rows::of(&Map::new()), Rows::default());
        let odd = Map::new().with("attributeNames", "name").with("results", Value::List(vec![Value::Null, 1.into()]));
        assert_eq!(Rows::of(&odd), Rows::default());
    }

    #[test]
    fn rows_are_shorter_or_longer_than_their_names_say() {
        let names = Value::List(vec!["name".into(), "bytesIn".into()]);
        let rows = vec![Value::List(vec!["a".into()]), Value::List(vec!["b".into(), 7.into(), 8.into()])];
        let rows = Rows::of(&Map::new().with("attributeNames", names).with("results", Value::List(rows)));
        let shown: Vec<_> =
            rows.iter().map(|row| (row.text("name"), row.count("bytesIn"), row.text("other"))).collect();
        assert_eq!(shown, [("a".into(), 0, "".into()), ("b".into(), 7, "".into())]);
    }

    #[test]
    fn long_texts_and_lists_are_cut() {
        let long = "é".repeat(MAX_TEXT);
        let row = Value::List(vec![long.as_str().into()]);
        let body = Map::new()
            .with("attributeNames", Value::List(vec!["name".into()]))
            .with("results", Value::List(vec![row; MAX_ROWS + 1]));
        let rows = Rows::of(&body);
        assert_eq!((rows.iter().count(), rows.is_cut), (MAX_ROWS, true));
        let shown = rows.iter().next().expect("a row").text("name");
        assert!(shown.len() <= MAX_TEXT + 3 && shown.ends_with('…'), "{}", shown.len());
    }
}
