//! The reference of the configuration, made from the schema.
//!
//! `UPDATE_REFERENCE=1 cargo test --test book reference` writes it anew.

use crate::pages;
use management::schema::{Attribute, Default, EntityType, Origin, ValueType};
use std::fmt::Write;

const FILE: &str = "docs/src/reference.md";

const HEAD: &str = "\
# Configuration reference

<!-- Made from the schema by `make docs`. -->

What a configuration file may hold, and what management shows. Each section of a file is an entity of the type that it names.
An attribute without a default may be absent. *At creation* says that a value is chosen in the file or in a CREATE request and
stays; *updated* that an UPDATE changes it while the router runs. What neither is written by the router: it is there to be read.

`true` and `false` may be written `yes`, `no`, `on` and `off`. Every entity has a `name`, by which requests refer to it, an
`identity`, which the router makes, and a `type`.

An entity of a type that offers CREATE, UPDATE or DELETE can be made, changed or removed at run time, by `skmanage` for
instance. Whatever else is in the file takes effect at the next start.
";

/// Types whose entities files may hold.
fn is_configured(ty: EntityType) -> bool {
    matches!(ty.def().origin, Origin::Configured { .. })
}

/// What every entity has is told once.
fn own_attributes(ty: EntityType) -> impl Iterator<Item = &'static Attribute> {
    ty.attributes().filter(|attribute| !matches!(attribute.name, "name" | "identity" | "type"))
}

fn type_of(attribute: &Attribute) -> String {
    match (attribute.ty, attribute.range) {
        (ValueType::Enum(words), _) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
        (ValueType::Port, _) => "port".to_owned(),
        (ty, Some((least, i64::MAX))) => format!("{}, at least {least}", ty.name()),
        (ty, Some((least, most))) => format!("{}, {least} to {most}", ty.name()),
        (ty, None) => ty.name().to_owned(),
    }
}

fn default_of(attribute: &Attribute) -> String {
    match attribute.default {
        Some(Default::Text("")) => "empty".to_owned(),
        Some(Default::Text(text)) => format!("`{text}`"),
        Some(Default::Number(number)) => format!("`{number}`"),
        Some(Default::Flag(flag)) => format!("`{flag}`"),
        None if attribute.required => "required".to_owned(),
        None => String::new(),
    }
}

fn set_of(attribute: &Attribute, is_made_by_file: bool) -> &'static str {
    match (attribute.create || is_made_by_file && attribute.required, attribute.update) {
        (_, true) => "updated",
        (true, false) => "at creation",
        (false, false) => "",
    }
}

fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('*', "\\*")
}

fn configured(out: &mut String, ty: EntityType) {
    let def = ty.def();
    let _ = writeln!(out, "\n### {}\n\n{}", ty.identity_prefix(), def.description);
    let changes: Vec<_> = ["CREATE", "UPDATE", "DELETE"].into_iter().filter(|operation| ty.offers(operation)).collect();
    let changes = if changes.is_empty() { "nothing, it is read at the start".to_owned() } else { changes.join(", ") };
    let one = if def.singleton { " There is one at most." } else { "" };
    let _ = writeln!(out, "At run time: {changes}.{one}\n");
    let _ = writeln!(out, "| Attribute | Type | Default | Set | Meaning |\n|---|---|---|---|---|");
    for a in own_attributes(ty) {
        let (kind, default, set) = (type_of(a), default_of(a), set_of(a, !ty.offers("CREATE")));
        let _ = writeln!(out, "| `{}` | {kind} | {default} | {set} | {} |", a.name, escaped(a.description));
    }
}

fn shown(out: &mut String, ty: EntityType) {
    let _ = writeln!(out, "\n### {}\n\n{}\n", ty.identity_prefix(), ty.def().description);
    let _ = writeln!(out, "| Attribute | Type | Meaning |\n|---|---|---|");
    for a in own_attributes(ty) {
        let updated = if a.update { " Can be updated." } else { "" };
        let _ = writeln!(out, "| `{}` | {} | {}{updated} |", a.name, type_of(a), escaped(a.description));
    }
}

fn markdown() -> String {
    let mut out = HEAD.to_owned();
    out += "\n## What files may hold\n";
    let types = || EntityType::ALL.iter().copied();
    types().filter(|ty| is_configured(*ty)).for_each(|ty| configured(&mut out, ty));
    out += "\n## What management shows\n\nThese come by themselves, and are read with `skmanage query --type TYPE` or `skstat`.\n";
    let is_shown = |ty: &EntityType| !is_configured(*ty) && own_attributes(*ty).next().is_some();
    types().filter(is_shown).for_each(|ty| shown(&mut out, ty));
    out
}

#[test]
fn reference_is_that_of_the_schema() {
    let made = markdown();
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(pages::root().join(FILE), &made).unwrap();
    }
    assert!(made == pages::read(FILE), "{FILE} is stale: `make docs` writes it anew");
}

/// Attributes that can be given and that the C router has not, by the schema that it tells.
#[test]
fn the_way_back_names_what_the_c_router_has_not() {
    let theirs: serde_json::Value = serde_json::from_str(&pages::read("management/src/schema/reference.json")).unwrap();
    let chapter = pages::read("docs/src/from-the-c-router.md");
    let mut found = 0;
    for ty in EntityType::ALL.iter().filter(|ty| is_configured(**ty)) {
        // What it has no entity of is named itself.
        let Some(theirs) = theirs.as_array().unwrap().iter().find(|known| known["name"] == ty.short()) else {
            assert!(chapter.contains(&format!("`{}`", ty.short())), "{ty}");
            continue;
        };
        let names: Vec<_> = theirs["attributes_own"].as_array().unwrap().iter().map(|a| &a["name"]).collect();
        let settable = ty.def().attributes.iter().filter(|a| a.create || a.update);
        for attribute in settable.filter(|a| !names.iter().any(|name| *name == a.name)) {
            assert!(chapter.contains(&format!("`{}`", attribute.name)), "{ty}: {}", attribute.name);
            found += 1;
        }
    }
    assert!(found > 10);
}
