//! `-a` and `--autolinks`: addresses, and the links that the router makes for them.

use super::listing::{Column, Listing};
use crate::client::Row;
use crate::display::Cell;

/// All addresses.
pub(super) const ADDRESSES: Listing = Listing {
    title: |_| "Router Addresses".to_owned(),
    kind: "router.address",
    attributes: &[
        "distribution",
        "inProcess",
        "subscriberCount",
        "remoteCount",
        "deliveriesIngress",
        "deliveriesEgress",
        "deliveriesTransit",
        "deliveriesToContainer",
        "deliveriesFromContainer",
        "name",
        "priority",
        "watch",
    ],
    columns: &[
        Column::new("class", |row| Cell::Text(address_class(row.text("name")))),
        Column::new("addr", |row| Cell::Text(address_text(row.text("name")))),
        Column::new("distrib", |row| Cell::plain(row.get("distribution"))),
        Column::new("pri", priority).if_reported("priority"),
        Column::new("in-proc", |row| Cell::number(row.get("inProcess"), Cell::Commas)).verbose(),
        Column::new("local", |row| Cell::number(row.get("subscriberCount"), Cell::Commas)),
        Column::new("remote", |row| Cell::number(row.get("remoteCount"), Cell::Commas)),
        Column::new("in", |row| Cell::number(row.get("deliveriesIngress"), Cell::Commas)),
        Column::new("out", |row| Cell::number(row.get("deliveriesEgress"), Cell::Commas)),
        Column::new("thru", |row| Cell::number(row.get("deliveriesTransit"), Cell::Commas)),
        Column::new("to-proc", |row| Cell::number(row.get("deliveriesToContainer"), Cell::Commas)).verbose(),
        Column::new("from-proc", |row| Cell::number(row.get("deliveriesFromContainer"), Cell::Commas)).verbose(),
        Column::new("watch", |row| Cell::text(if row.get("watch") == true { "Y" } else { "" })).verbose(),
    ],
    sorted_by: Some("addr"),
    ..Listing::PLAIN
};

/// All auto-links.
pub(super) const AUTO_LINKS: Listing = Listing {
    title: |_| "AutoLinks".to_owned(),
    kind: "router.config.autoLink",
    attributes: &["address", "direction", "externalAddress", "linkRef", "operStatus", "lastError"],
    columns: &[
        Column::new("addr", |row| Cell::plain(row.get("address"))),
        Column::new("dir", |row| Cell::plain(row.get("direction"))),
        Column::new("extAddr", |row| Cell::plain(row.get("externalAddress"))),
        Column::new("link", |row| Cell::plain(row.get("linkRef"))),
        Column::new("status", |row| Cell::plain(row.get("operStatus"))),
        Column::new("lastErr", |row| Cell::plain(row.get("lastError"))),
    ],
    sorted_by: Some("addr"),
    none: Some("AutoLinks\nNo AutoLinks found"),
    ..Listing::PLAIN
};

/// The class that the first letter of an address' key stands for.
pub(super) fn address_class(key: &str) -> String {
    let class = match key.chars().next() {
        None => "",
        Some('M') => "mobile",
        Some('N') => "network",
        Some('R') => "router",
        Some('A') => "area",
        Some('L') => "local",
        Some('T') => "topo",
        Some('H') => "edge",
        Some(other) => return format!("unknown: {other}"),
    };
    class.to_owned()
}

/// The text behind the first letter of an address' key.
pub(super) fn address_text(key: &str) -> String {
    key.chars().skip(1).collect()
}

fn priority(row: Row<'_>) -> Cell {
    match row.number("priority") {
        Some(priority) if priority < 0 => Cell::text("-"),
        _ => Cell::plain(row.get("priority")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Rows;
    use serde_json::json;

    #[test]
    fn keys_are_class_and_text() {
        assert_eq!((address_class("Mecho"), address_text("Mecho")), ("mobile".to_owned(), "echo".to_owned()));
        assert_eq!((address_class("Qx"), address_text("")), ("unknown: Q".to_owned(), String::new()));
    }

    #[test]
    fn columns_depend_on_the_router_and_on_verbosity() {
        let names = ["name", "priority", "subscriberCount", "watch"].map(str::to_owned).to_vec();
        let rows = vec![
            vec![json!("Mb"), json!(-1), json!(1000), json!(true)],
            vec![json!("La"), json!(4), json!(1), json!(false)],
        ];
        let table = &ADDRESSES.of_rows(&Rows::new(names, rows), true).tables[0];
        assert_eq!(table.heads.len(), 13);
        assert_eq!(table.rows[0][..2], [Cell::text("local"), Cell::text("a")]);
        assert_eq!((table.rows[1][3].show(), table.rows[1][5].show()), ("-".to_owned(), "1,000".to_owned()));
        let old = Rows::new(vec!["name".to_owned()], vec![vec![json!("Mb")]]);
        assert!(!ADDRESSES.of_rows(&old, false).tables[0].heads.contains(&"pri"));
        assert_eq!(AUTO_LINKS.of_rows(&Rows::default(), false).note.as_deref(), AUTO_LINKS.none);
    }
}
