//! Texts of files: the router's configuration, and links for other sites.

use crate::plan::{Entity, Handout};
use crate::resource::VERSION;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A configuration as Skupper writes them: a strict JSON array of `[type, {attributes}]`. And the lines where the
/// entities begin, from one.
#[must_use]
pub fn skrouterd_json(entities: &[&Entity]) -> (String, Vec<usize>) {
    let (mut text, mut lines) = ("[\n".to_owned(), Vec::new());
    for (at, entity) in entities.iter().enumerate() {
        lines.push(text.matches('\n').count() + 1);
        let end = if at + 1 == entities.len() { "\n" } else { ",\n" };
        let _ = writeln!(text, "    [\n        {},\n        {{", json!(entity.ty));
        let members: Vec<String> =
            entity.attributes.iter().map(|(name, value)| format!("            {}: {value}", json!(name))).collect();
        let _ = write!(text, "{}\n        }}\n    ]{end}", members.join(",\n"));
    }
    text.push_str("]\n");
    (text, lines)
}

/// A Link and its Secret in YAML; `files` are those of the credentials.
#[must_use]
pub fn handout(handout: &Handout, files: &BTreeMap<String, Vec<u8>>) -> String {
    let name = &handout.name;
    let mut text = String::new();
    let _ =
        writeln!(text, "---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: {name}\ntype: kubernetes.io/tls\ndata:");
    for (file, octets) in files {
        let _ = writeln!(text, "  {file}: {}", STANDARD.encode(octets));
    }
    let _ = writeln!(
        text,
        "---\napiVersion: {VERSION}\nkind: Link\nmetadata:\n  name: {name}\nspec:\n  cost: 1\n  endpoints:"
    );
    for (role, host, port) in &handout.endpoints {
        let _ = writeln!(text, "  - host: {}\n    name: {role}\n    port: {}", quoted(host), quoted(&port.to_string()));
    }
    let _ = writeln!(text, "  tlsCredentials: {name}");
    text
}

/// In quotes, as YAML and JSON have them.
fn quoted(text: &str) -> Value {
    json!(text)
}
