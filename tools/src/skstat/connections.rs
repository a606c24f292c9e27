//! `-c` and `-e`: connections, and those of edge routers.

use super::listing::{Column, Listing};
use crate::client::Row;
use crate::display::Cell;

/// All connections.
pub(super) const CONNECTIONS: Listing = Listing {
    title: |_| "Connections".to_owned(),
    kind: "connection",
    columns: &[
        ID,
        HOST,
        CONTAINER,
        Column::new("role", |row| Cell::plain(row.get("role"))),
        Column::new("proto", |row| Cell::plain(row.get("protocol"))),
        DIRECTION,
        SECURITY,
        AUTHENTICATION,
        Column::new("meshId", |row| Cell::plain(row.get("meshId"))),
        Column::new("last dlv", last_delivery).if_reported("lastDlvSeconds"),
        Column::new("uptime", |row| Cell::number(row.get("uptimeSeconds"), Cell::LongTime))
            .if_reported("uptimeSeconds"),
    ],
    ..Listing::PLAIN
};

/// Connections of the role `edge`.
pub(super) const EDGES: Listing = Listing {
    title: |_| "Connections".to_owned(),
    kind: "connection",
    columns: &[
        ID,
        HOST,
        CONTAINER,
        DIRECTION,
        SECURITY,
        AUTHENTICATION,
        Column::new("active", |row| yes_no(row.get("active") == true)).if_reported("active"),
    ],
    filter: |row| row.text("role") == "edge",
    none: Some("No Edge Router Connections"),
    ..Listing::PLAIN
};

const ID: Column = Column::new("id", |row| Cell::plain(row.get("identity")));
const HOST: Column = Column::new("host", |row| Cell::plain(row.get("host")));
const CONTAINER: Column = Column::new("container", |row| Cell::plain(row.get("container")));
const DIRECTION: Column = Column::new("dir", |row| Cell::plain(row.get("dir")));
const SECURITY: Column = Column::new("security", |row| Cell::Text(security(row)));
const AUTHENTICATION: Column = Column::new("authentication", |row| Cell::Text(authentication(row)));

/// `yes` or `no`.
pub(super) fn yes_no(value: bool) -> Cell {
    Cell::text(if value { "yes" } else { "no" })
}

fn last_delivery(row: Row<'_>) -> Cell {
    match row.get("lastDlvSeconds") {
        value if value.is_null() => Cell::text("-"),
        value => Cell::number(value, Cell::LongTime),
    }
}

fn security(row: Row<'_>) -> String {
    match row.get("isEncrypted") == true {
        false => "no-security".to_owned(),
        true if row.text("sasl") == "GSSAPI" => "Kerberos".to_owned(),
        true => format!("{}({})", row.text("sslProto"), row.text("sslCipher")),
    }
}

fn authentication(row: Row<'_>) -> String {
    let mechanism = match row.text("sasl") {
        _ if row.get("isAuthenticated") != true => return "no-auth".to_owned(),
        "ANONYMOUS" => return "anonymous-user".to_owned(),
        "GSSAPI" => "Kerberos",
        "EXTERNAL" => "x.509",
        other => other,
    };
    match row.text("user") {
        "" => mechanism.to_owned(),
        user => format!("{user}({mechanism})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Rows;
    use serde_json::json;

    fn row(sasl: &str, user: &str, encrypted: bool) -> Rows {
        let names = ["isAuthenticated", "sasl", "user", "isEncrypted", "sslProto", "sslCipher"];
        let values = vec![json!(!sasl.is_empty()), json!(sasl), json!(user), json!(encrypted), json!("P"), json!("C")];
        Rows::new(names.map(str::to_owned).to_vec(), vec![values])
    }

    #[test]
    fn who_and_how_securely() {
        for (sasl, user, encrypted, known, secure) in [
            ("", "", false, "no-auth", "no-security"),
            ("ANONYMOUS", "anonymous", true, "anonymous-user", "P(C)"),
            ("EXTERNAL", "CN=a", true, "CN=a(x.509)", "P(C)"),
            ("PLAIN", "me", false, "me(PLAIN)", "no-security"),
            ("GSSAPI", "", true, "Kerberos", "Kerberos"),
        ] {
            let rows = row(sasl, user, encrypted);
            let row = rows.first().expect("row");
            assert_eq!((authentication(row).as_str(), security(row).as_str()), (known, secure));
        }
    }
}
