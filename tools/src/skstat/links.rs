//! `-l`: links.

use super::addresses::{address_class, address_text};
use super::listing::{Column, Listing};
use crate::client::Row;
use crate::display::Cell;

/// All links.
pub(super) const LINKS: Listing = Listing {
    title: |_| "Router Links".to_owned(),
    kind: "router.link",
    attributes: &[
        "linkType",
        "linkDir",
        "connectionId",
        "identity",
        "owningAddr",
        "capacity",
        "undeliveredCount",
        "unsettledCount",
        "deliveryCount",
        "presettledCount",
        "droppedPresettledCount",
        "acceptedCount",
        "rejectedCount",
        "releasedCount",
        "modifiedCount",
        "deliveriesDelayed1Sec",
        "deliveriesDelayed10Sec",
        "deliveriesStuck",
        "creditAvailable",
        "zeroCreditSeconds",
        "adminStatus",
        "operStatus",
        "linkName",
        "priority",
        "settleRate",
    ],
    columns: &[
        Column::new("type", |row| Cell::plain(row.get("linkType"))),
        Column::new("dir", |row| Cell::plain(row.get("linkDir"))),
        Column::new("conn id", |row| Cell::plain(row.get("connectionId"))),
        Column::new("id", |row| Cell::plain(row.get("identity"))),
        Column::new("class", |row| Cell::Text(address_class(row.text("owningAddr")))),
        Column::new("addr", |row| Cell::Text(address_text(row.text("owningAddr")))),
        Column::new("cap", |row| Cell::plain(row.get("capacity"))),
        Column::new("pri", |row| Cell::plain(row.get("priority"))).if_reported("priority"),
        Column::new("undel", |row| Cell::plain(row.get("undeliveredCount"))),
        Column::new("unsett", |row| Cell::plain(row.get("unsettledCount"))),
        Column::new("deliv", |row| Cell::plain(row.get("deliveryCount"))),
        Column::new("presett", |row| Cell::plain(row.get("presettledCount"))),
        Column::new("psdrop", |row| Cell::plain(row.get("droppedPresettledCount")))
            .if_reported("droppedPresettledCount"),
        Column::new("acc", |row| Cell::plain(row.get("acceptedCount"))),
        Column::new("rej", |row| Cell::plain(row.get("rejectedCount"))),
        Column::new("rel", |row| Cell::plain(row.get("releasedCount"))),
        Column::new("mod", |row| Cell::plain(row.get("modifiedCount"))),
        Column::new("delay", delayed).if_reported("deliveriesDelayed1Sec"),
        Column::new("rate", |row| Cell::plain(row.get("settleRate"))).if_reported("deliveriesDelayed1Sec"),
        Column::new("stuck", |row| Cell::plain(row.get("deliveriesStuck"))).if_reported("deliveriesStuck"),
        Column::new("cred", |row| Cell::plain(row.get("creditAvailable"))).if_reported("creditAvailable"),
        Column::new("blkd", blocked).if_reported("creditAvailable"),
        Column::new("admin", |row| Cell::plain(row.get("adminStatus"))).verbose(),
        Column::new("oper", |row| Cell::plain(row.get("operStatus"))).verbose(),
        Column::new("name", |row| Cell::plain(row.get("linkName"))).verbose(),
    ],
    ..Listing::PLAIN
};

fn delayed(row: Row<'_>) -> Cell {
    let count = |name| row.number(name).unwrap_or(0);
    Cell::Number(count("deliveriesDelayed1Sec") + count("deliveriesDelayed10Sec"))
}

fn blocked(row: Row<'_>) -> Cell {
    match row.number("zeroCreditSeconds") {
        Some(seconds) if seconds > 0 => Cell::ShortTime(seconds),
        _ => Cell::text("-"),
    }
}
