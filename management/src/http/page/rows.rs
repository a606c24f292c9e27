//! Answers of management nodes. They may come from anybody: what has not the type that it should have is not there, and
//! texts are cut.

use amqp_core::Value;
use amqp_core::message::{Body, Message};
use amqp_core::value::Map;
use bytes::Bytes;

/// Octets of the longest text that is kept.
pub(super) const MAX_TEXT: usize = 256;

/// Columns of an answer that are looked at.
const MAX_COLUMNS: usize = 64;

/// The answer to a query.
#[derive(Debug)]
pub(super) struct Answer {
    /// Of the request.
    pub(super) id: u64,
    /// The rows, or the status code of the refusal.
    pub(super) rows: Result<Rows, i64>,
}

/// What a query found.
#[derive(Debug, Default)]
pub(super) struct Rows {
    columns: Vec<String>,
    rows: Vec<Value>,
}

/// One entity.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a> {
    columns: &'a [String],
    values: &'a [Value],
}

// === impl Answer ===

impl Answer {
    /// None: it is no answer to any request.
    pub(super) fn read(chunks: &[Bytes]) -> Option<Self> {
        let message = Message::decode(chunks).ok()?;
        let id = message.properties.correlation_id.as_u64()?;
        let status = message.application_properties.get("statusCode").and_then(Value::as_i64).unwrap_or_default();
        let rows = match message.body {
            Body::Value(Value::Map(body)) if status == 200 => Ok(Rows::of(body)),
            _ => Err(status),
        };
        Some(Self { id, rows })
    }
}

// === impl Rows ===

impl Rows {
    pub(super) fn of(body: Map) -> Self {
        let mut rows = Self::default();
        for (key, value) in body.0 {
            match (key.as_str(), value) {
                (Some("attributeNames"), Value::List(names)) => {
                    let names = names.iter().take(MAX_COLUMNS).map(|name| cut(name.as_str().unwrap_or_default()));
                    rows.columns = names.collect();
                }
                (Some("results"), Value::List(results)) => rows.rows = results,
                _ => {}
            }
        }
        rows
    }

    /// How many there are, whatever they are.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        let values = self.rows.iter().filter_map(Value::as_list);
        values.map(|values| Row { columns: &self.columns, values })
    }
}

// === impl Row ===

impl Row<'_> {
    fn get(&self, name: &str) -> Option<&Value> {
        let at = self.columns.iter().position(|column| column == name)?;
        self.values.get(at)
    }

    /// A text, or a number as text. Empty where there is neither.
    pub(super) fn text(&self, name: &str) -> String {
        let number = |value: &Value| Some(value.as_u64()?.to_string());
        let text = |value: &Value| value.as_str().map(cut).or_else(|| number(value));
        self.get(name).and_then(text).unwrap_or_default()
    }

    /// A text that names something, which is of no use when it is cut.
    pub(super) fn whole(&self, name: &str) -> Option<String> {
        let text = self.get(name)?.as_str()?;
        (!text.is_empty() && text.len() <= MAX_TEXT).then(|| text.to_owned())
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.as_u64()
    }

    /// A number; none is zero.
    pub(super) fn count(&self, name: &str) -> u64 {
        self.number(name).unwrap_or_default()
    }

    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.get(name)?.as_bool()
    }

    /// The texts of a list, so many at most.
    pub(super) fn texts(&self, name: &str, most: usize) -> Vec<String> {
        let list = self.get(name).and_then(Value::as_list).unwrap_or_default();
        list.iter().filter_map(Value::as_str).filter(|text| text.len() <= MAX_TEXT).take(most).map(cut).collect()
    }

    /// A number in a map.
    pub(super) fn entry(&self, name: &str, key: &str) -> u64 {
        self.get(name).and_then(Value::as_map).and_then(|map| map.get(key)?.as_u64()).unwrap_or_default()
    }
}

/// As much of a text as is kept.
pub(super) fn cut(text: &str) -> String {
    if text.len() <= MAX_TEXT {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(MAX_TEXT - '…'.len_utf8())])
}

/// Rows of named values, all with the names of the first.
#[cfg(test)]
pub(super) fn rows(given: &[&[(&str, Value)]]) -> Rows {
    let columns = given.first().map_or(Vec::new(), |row| row.iter().map(|(name, _)| (*name).to_owned()).collect());
    let values = |row: &&[(&str, Value)]| Value::List(row.iter().map(|(_, value)| value.clone()).collect());
    Rows { columns, rows: given.iter().map(values).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amqp_core::message::{MessageBuilder, Properties};

    fn answered(id: Value, status: i32, body: impl Into<Value>) -> Option<Answer> {
        let properties = Properties { correlation_id: id, ..Properties::default() };
        let status = Map::new().with("statusCode", status);
        let message = MessageBuilder::new().properties(&properties).application_properties(&status).value(body);
        Answer::read(&[message])
    }

    #[test]
    fn an_answer_names_its_request_and_has_rows() {
        let names = vec![Value::from("a"), Value::symbol("b")];
        let results = vec![Value::List(vec![1.into(), "x".into()]), Value::List(vec![2.into()])];
        let body = Map::new().with("attributeNames", names).with("results", results);
        let answer = answered(Value::Ulong(7), 200, body).expect("an answer");
        let rows = answer.rows.expect("rows");
        let shown: Vec<_> = rows.iter().map(|row| (row.number("a"), row.text("b"))).collect();
        assert_eq!((answer.id, shown), (7, vec![(Some(1), "x".to_owned()), (Some(2), String::new())]));
        assert_eq!(answered(7.into(), 404, Map::new()).and_then(|answer| answer.rows.err()), Some(404));
    }

    #[test]
    fn what_makes_no_sense_is_not_there() {
        assert!(Answer::read(&[Bytes::from_static(b"\x00\x53\x77")]).is_none());
        assert!(answered(Value::Null, 200, Map::new()).is_none());
        assert!(answered("seven".into(), 200, Map::new()).is_none());
        let no_rows = |body: Value| answered(7.into(), 200, body).map(|answer| answer.rows.map(|rows| rows.len()));
        assert_eq!(no_rows("text".into()), Some(Err(200)));
        assert_eq!(no_rows(Map::new().with("results", 5).with(1, 2).into()), Some(Ok(0)));
        let strange = vec![5.into(), Value::Null, Value::List(vec![Value::List(vec![])])];
        let body = Map::new().with("attributeNames", vec![Value::Null]).with("results", strange);
        let rows = answered(7.into(), 200, body).expect("an answer").rows.expect("rows");
        assert_eq!((rows.len(), rows.iter().count()), (3, 1));
        let row = rows.iter().next().expect("a row");
        assert_eq!((row.text("a"), row.number("a"), row.flag("a"), row.whole("")), (String::new(), None, None, None));
    }

    #[test]
    fn values_of_another_type_are_none() {
        let long = "ä".repeat(1000);
        let given: [(&str, Value); 6] = [
            ("long", long.as_str().into()),
            ("negative", (-5).into()),
            ("number", 80.into()),
            ("list", Value::List(vec!["x".into(), 1.into(), long.as_str().into(), "y".into(), "z".into()])),
            ("map", Map::new().with("tcp", 3).with("bad", "x").into()),
            ("flag", true.into()),
        ];
        let rows = rows(&[&given]);
        let row = rows.iter().next().expect("a row");
        let cut = row.text("long");
        assert!(cut.len() <= MAX_TEXT && cut.ends_with("ä…"), "{}", cut.len());
        assert_eq!((row.whole("long"), row.number("negative"), row.text("negative")), (None, None, String::new()));
        assert_eq!((row.text("number"), row.flag("number"), row.count("flag")), ("80".to_owned(), None, 0));
        assert_eq!(row.texts("list", 2), ["x", "y"]);
        assert_eq!(["tcp", "bad", "none"].map(|key| row.entry("map", key)), [3, 0, 0]);
    }
}
