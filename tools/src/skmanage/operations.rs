//! The operations that management nodes offer.

use serde_json::{Map, Value as Json};

use super::attributes::{from_words, long_type};
use super::options::Options;
use crate::cli::Output;
use crate::client::{Client, Request};
use crate::error::{Error, Result};
use crate::value::{decode, encode};

/// One operation at work: where it is sent, and what the command line says.
pub(super) struct Operation<'a> {
    /// The connection.
    pub client: &'a mut Client,
    /// The options; the type is expanded already.
    pub options: &'a Options,
    /// The words behind the operation.
    pub arguments: &'a [String],
    /// What was read from standard input.
    pub input: Option<Json>,
    /// Where the result goes.
    pub output: &'a mut Output,
}

// === impl Operation ===

impl Operation<'_> {
    /// Does the operation of this name: one of those known here, else one that the router may know.
    pub(super) async fn run(&mut self, name: &str) -> Result<()> {
        match name.to_uppercase().as_str() {
            "QUERY" => self.query().await,
            "CREATE" => self.write("CREATE", 201).await,
            "UPDATE" => self.write("UPDATE", 200).await,
            "READ" => {
                let read = self.on_entity("READ", 200).await?;
                self.print(&read)
            }
            "DELETE" => self.on_entity("DELETE", 204).await.map(drop),
            operation @ ("GET-TYPES" | "GET-ANNOTATIONS" | "GET-ATTRIBUTES" | "GET-OPERATIONS") => {
                self.list(operation).await
            }
            "GET-MGMT-NODES" => {
                self.expect_arguments(0)?;
                let nodes = self.client.call(Request::to_node("GET-MGMT-NODES"), 200).await?;
                self.print(&nodes)
            }
            _ => self.custom(name).await,
        }
    }

    async fn query(&mut self) -> Result<()> {
        let names: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let rows = self.client.query(self.options.kind.as_deref(), &names, 0).await?;
        let entity = |row: crate::client::Row<'_>| {
            let known = row.pairs().filter(|(_, value)| !value.is_null());
            Json::Object(known.map(|(name, value)| (name.to_owned(), value.clone())).collect())
        };
        let entities = rows.iter().map(entity).collect();
        self.print(&entities)
    }

    async fn list(&mut self, operation: &str) -> Result<()> {
        let mut kind = self.options.kind.clone();
        if kind.is_none() {
            self.expect_arguments(1)?;
            kind = self.arguments.first().cloned();
        }
        let listed = self.client.call(Request::to_node(operation).with("entityType", kind), 200).await?;
        self.print(&listed)
    }

    async fn on_entity(&mut self, operation: &str, expected: i64) -> Result<Json> {
        self.expect_arguments(0)?;
        let options = self.options;
        let request = self.selecting(operation, options.name.as_deref(), options.identity.as_deref());
        self.client.call(request, expected).await
    }

    async fn write(&mut self, operation: &str, expected: i64) -> Result<()> {
        let kind = self.options.kind.as_deref();
        let said = match self.arguments {
            [] => None,
            words => Some(from_words(self.client, words, kind).await?),
        };
        let written = match (self.input.take(), said) {
            (Some(Json::Object(one)), _) => self.write_one(operation, one, expected).await?,
            (Some(Json::Array(many)), _) => {
                let mut written = Vec::with_capacity(many.len());
                for one in many {
                    let Json::Object(one) = one else { return Err(not_maps()) };
                    written.push(self.write_one(operation, one, expected).await?);
                }
                written.into()
            }
            (Some(_), _) => return Err(not_maps()),
            (None, Some(attributes)) => self.write_one(operation, attributes, expected).await?,
            (None, None) => return Err(Error::NoAttributes),
        };
        self.print(&written)
    }

    async fn write_one(&mut self, operation: &str, mut attributes: Map<String, Json>, expected: i64) -> Result<Json> {
        if let Some(Json::String(kind)) = attributes.get_mut("type") {
            *kind = long_type(kind);
        }
        let said = |name| attributes.get(name).and_then(Json::as_str).map(str::to_owned);
        let options = self.options;
        let name = options.name.clone().or_else(|| said("name"));
        let kind = options.kind.clone().or_else(|| said("type"));
        let request = if operation == "UPDATE" {
            let identity = options.identity.clone().or_else(|| said("identity"));
            self.selecting(operation, name.as_deref(), identity.as_deref()).with("type", kind)
        } else {
            Request::new(operation).with("type", kind).with("name", name)
        };
        if operation == "UPDATE" {
            attributes.values_mut().for_each(to_boolean);
        }
        self.client.call(request.with_body(attributes.into()), expected).await
    }

    async fn custom(&mut self, operation: &str) -> Result<()> {
        let options = self.options;
        let mut said = from_words(self.client, self.arguments, options.kind.as_deref()).await?;
        match options.properties.as_deref().map(json_or_text).transpose()? {
            Some(Json::Object(more)) => said.extend(more),
            Some(_) => return Err(Error::Value("--properties is not a JSON map".to_owned())),
            None => {}
        }
        let mut request = Request::new(operation);
        for (name, value) in said {
            request = request.with(&name, value);
        }
        request = request
            .with("type", options.kind.as_deref())
            .with("name", options.name.as_deref())
            .with("identity", options.identity.as_deref());
        if let Some(body) = &options.body {
            request = request.with_body(json_or_text(body)?);
        }
        match self.client.call(request, 200).await? {
            result if is_empty(&result) => Ok(()),
            Json::String(text) => {
                self.output.line(text);
                Ok(())
            }
            result => self.print(&result),
        }
    }

    /// A request to the entity of the options. Only one of name and identity is sent.
    fn selecting(&self, operation: &str, name: Option<&str>, identity: Option<&str>) -> Request {
        let name = name.filter(|_| identity.is_none_or(str::is_empty));
        Request::new(operation).with("type", self.options.kind.as_deref()).with("name", name).with("identity", identity)
    }

    fn expect_arguments(&self, most: usize) -> Result<()> {
        match self.arguments.get(most..) {
            None | Some([]) => Ok(()),
            Some(surplus) => Err(Error::Usage(format!("Unexpected arguments: {}", surplus.join(" ")))),
        }
    }

    fn print(&mut self, value: &Json) -> Result<()> {
        let indent = self.options.indent;
        let indent = (indent != -1).then(|| usize::try_from(indent).unwrap_or(0));
        self.output.line(encode(value, indent));
        Ok(())
    }
}

fn not_maps() -> Error {
    Error::Value("stdin is not a JSON map or list".to_owned())
}

/// What UPDATE takes for booleans.
fn to_boolean(value: &mut Json) {
    match value.as_str() {
        Some("yes" | "true" | "on") => *value = true.into(),
        Some("no" | "false" | "off") => *value = false.into(),
        _ => {}
    }
}

/// JSON, or text that does not look like JSON.
fn json_or_text(text: &str) -> Result<Json> {
    match decode(text) {
        Ok(value) => Ok(value),
        Err(_) if !text.contains(['"', '{', '}', '[', ']']) => Ok(text.into()),
        Err(error) => Err(Error::Value(format!("Invalid JSON '{text}': {error}"))),
    }
}

fn is_empty(value: &Json) -> bool {
    match value {
        Json::Null | Json::Bool(false) => true,
        Json::Number(number) => number.as_f64() == Some(0.0),
        Json::String(text) => text.is_empty(),
        Json::Array(items) => items.is_empty(),
        Json::Object(map) => map.is_empty(),
        Json::Bool(true) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_or_plain_text() {
        assert_eq!(json_or_text("{\"a\": 1}").expect("json"), json!({"a": 1}));
        assert_eq!(json_or_text("plain").expect("text"), json!("plain"));
        let error = json_or_text("{bad").expect_err("neither").to_string();
        assert!(error.starts_with("Invalid JSON '{bad': "), "{error}");
    }

    #[test]
    fn update_knows_words_for_booleans() {
        let mut values = json!(["yes", "off", "Yes", 1]);
        values.as_array_mut().expect("list").iter_mut().for_each(to_boolean);
        assert_eq!(values, json!([true, false, "Yes", 1]));
    }
}
