//! `ATTR=VALUE`, in the types of the schema.

use serde_json::{Map, Value as Json};

use crate::client::{Client, Request};
use crate::error::{Error, Result};
use crate::value::parse_integer;

/// Prefix of all types.
pub(super) const PREFIX: &str = "io.skupper.router.";

/// The full name of a type. One with a dot is taken as it is.
pub(super) fn long_type(kind: &str) -> String {
    match kind {
        _ if kind.is_empty() || kind.contains('.') => kind.to_owned(),
        "link" | "node" => format!("{PREFIX}router.{kind}"),
        "address" | "autoLink" => format!("{PREFIX}router.config.{kind}"),
        _ => format!("{PREFIX}{kind}"),
    }
}

/// The attributes that the words say, in their order. Text that the schema of `kind` has as integer becomes one.
///
/// The router is asked for its schema, and only if there is such text: so this knows types that are newer than it.
///
/// # Errors
/// [`Error::Validation`], [`Error::Value`], and those of [`Client::call`].
pub(super) async fn from_words(client: &mut Client, words: &[String], kind: Option<&str>) -> Result<Map<String, Json>> {
    let mut attributes: Map<String, Json> = words.iter().map(|word| split(word)).collect();
    let Some(kind) = kind.filter(|_| attributes.values().any(Json::is_string)) else { return Ok(attributes) };
    let schema = client.call(Request::to_node("GET-SCHEMA"), 200).await?;
    let known = find_type(&schema, kind)?;
    for (name, value) in &mut attributes {
        if let Json::String(text) = value
            && is_integer(known, kind, name)?
        {
            *value = parse_integer(text)?.into();
        }
    }
    Ok(attributes)
}

fn split(word: &str) -> (String, Json) {
    match word.split_once('=') {
        None => (word.to_owned(), Json::Null),
        Some((name, "true")) => (name.to_owned(), true.into()),
        Some((name, "false")) => (name.to_owned(), false.into()),
        Some((name, text)) => (name.to_owned(), text.into()),
    }
}

fn find_type<'a>(schema: &'a Json, kind: &str) -> Result<&'a Json> {
    let types = schema["entityTypes"].as_object();
    let short = kind.strip_prefix(PREFIX).unwrap_or(kind);
    let is_it = |(name, one): &(&String, &Json)| one["fullyQualifiedType"] == kind || *name == short;
    let found = types.and_then(|types| types.iter().find(is_it)).map(|(_, found)| found);
    found.ok_or_else(|| Error::Validation(format!("No such entity type '{kind}'")))
}

fn is_integer(known: &Json, kind: &str, name: &str) -> Result<bool> {
    match known["attributes"].get(name) {
        Some(attribute) => Ok(attribute["type"] == "integer"),
        // The schema's listing leaves this one out.
        None if name == "type" => Ok(false),
        None => Err(Error::Validation(format!("Unknown attribute '{name}' for '{kind}'"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn types_are_expanded() {
        for (short, long) in [
            ("listener", "io.skupper.router.listener"),
            ("link", "io.skupper.router.router.link"),
            ("autoLink", "io.skupper.router.router.config.autoLink"),
            ("router.address", "router.address"),
            ("", ""),
        ] {
            assert_eq!(long_type(short), long);
        }
    }

    #[test]
    fn words_are_split_at_the_first_sign() {
        assert_eq!(split("a=b=c"), ("a".to_owned(), json!("b=c")));
        assert_eq!(split("a"), ("a".to_owned(), Json::Null));
        assert_eq!(split("a="), ("a".to_owned(), json!("")));
        assert_eq!(split("a=true"), ("a".to_owned(), json!(true)));
        assert_eq!(split("a=True"), ("a".to_owned(), json!("True")));
    }

    #[test]
    fn the_schema_names_integers() {
        let schema = json!({"entityTypes": {"dummy": {
            "fullyQualifiedType": "io.skupper.router.dummy",
            "attributes": {"num1": {"type": "integer"}, "arg1": {"type": "string"}}}}});
        let kind = "io.skupper.router.dummy";
        let dummy = find_type(&schema, kind).expect("type");
        assert!(is_integer(dummy, kind, "num1").expect("attribute"));
        assert!(!is_integer(dummy, kind, "arg1").expect("attribute"));
        let unknown = is_integer(dummy, kind, "foo").expect_err("unknown").to_string();
        assert_eq!(unknown, "Unknown attribute 'foo' for 'io.skupper.router.dummy'");
        let no_type = find_type(&schema, "io.skupper.router.nosuchtype").expect_err("unknown").to_string();
        assert_eq!(no_type, "No such entity type 'io.skupper.router.nosuchtype'");
    }
}
