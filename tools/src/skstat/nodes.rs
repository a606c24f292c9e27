//! `-n`: the routers of the network.

use chrono::DateTime;

use super::listing::{Column, Listing};
use crate::client::{Row, Rows};
use crate::display::Cell;

/// All routers.
pub(super) const NODES: Listing = Listing {
    title,
    kind: "router.node",
    columns: &[
        Column::new("router-id", |row| Cell::plain(row.get("id"))),
        Column::new("next-hop", |row| known_or_dash(row, "nextHop")),
        Column::new("link", link),
        Column::new("ver", |row| Cell::plain(row.get("protocolVersion"))).verbose(),
        Column::new("cost", cost).verbose(),
        Column::new("neighbors", |row| list(row, "linkState")).verbose(),
        Column::new("valid-origins", |row| list(row, "validOrigins")).verbose(),
    ],
    sorted_by: Some("router-id"),
    none: Some("Router is Standalone - No Router List"),
    ..Listing::PLAIN
};

fn title(rows: &Rows) -> String {
    let changes = rows.iter().filter_map(|row| row.number("lastTopoChange"));
    let last = changes.max().filter(|seconds| *seconds > 1).and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    let mut title = "Routers in the Network".to_owned();
    if let Some(time) = last {
        title.push_str(&time.format("\nLast Topology Change: %A %b %d %H:%M:%S %Y GMT").to_string());
    }
    title
}

fn known_or_dash(row: Row<'_>, name: &str) -> Cell {
    match row.get(name) {
        value if value.is_null() => Cell::text("-"),
        value => Cell::plain(value),
    }
}

fn link(row: Row<'_>) -> Cell {
    match row.get("nextHop") {
        next_hop if !next_hop.is_null() => Cell::text("-"),
        // A neighbour that is just coming has none yet.
        _ if row.get("routerLink").is_null() => Cell::text("None"),
        _ => Cell::plain(row.get("routerLink")),
    }
}

fn cost(row: Row<'_>) -> Cell {
    match row.number("cost") {
        None | Some(0) => Cell::text(""),
        Some(cost) => Cell::Number(cost),
    }
}

fn list(row: Row<'_>, name: &str) -> Cell {
    match row.get(name) {
        value if value.is_null() => Cell::Value(Vec::<String>::new().into()),
        value => Cell::plain(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::display::Style;
    use serde_json::json;

    #[test]
    fn the_known_form() {
        let names =
            ["id", "nextHop", "routerLink", "protocolVersion", "cost", "linkState", "validOrigins", "lastTopoChange"];
        let rows = vec![
            vec![json!("R2"), json!(null), json!(0), json!(1), json!(1), json!(["R1"]), json!([]), json!(null)],
            vec![
                json!("R1"),
                json!("(self)"),
                json!(null),
                json!(1),
                json!(0),
                json!(["R2"]),
                json!([]),
                json!(1_795_208_419),
            ],
        ];
        let rows = Rows::new(names.map(str::to_owned).to_vec(), rows);
        let lines = NODES.of_rows(&rows, true).tables[0].lines(Style::default());
        assert_eq!(
            lines,
            [
                "Routers in the Network",
                "Last Topology Change: Friday Nov 20 21:00:19 2026 GMT",
                "  router-id  next-hop  link  ver  cost  neighbors  valid-origins",
                "  ================================================================",
                "  R1         (self)    -     1          ['R2']     []",
                "  R2         -         0     1    1     ['R1']     []",
            ]
        );
    }
}
