//! `--vhosts`, `--vhostgroups`, `--vhoststats`: the policy of virtual hosts.

use serde_json::{Map, Value as Json};

use super::listing::{Column, Listing};
use super::report::Report;
use crate::client::{Client, Request, Row};
use crate::display::{Cell, Table};
use crate::error::Result;

/// All vhosts.
pub(super) const VHOSTS: Listing = Listing {
    title: |_| "Vhosts".to_owned(),
    kind: "vhost",
    columns: &[
        Column::new("hostname", |row| Cell::plain(row.get("hostname"))),
        Column::new("maxConnections", |row| or_none(row, "maxConnections")),
        Column::new("maxMessageSize", |row| or_none(row, "maxMessageSize")).if_reported("maxMessageSize"),
        Column::new("maxConnectionsPerUser", |row| or_none(row, "maxConnectionsPerUser")),
        Column::new("maxConnectionsPerHost", |row| or_none(row, "maxConnectionsPerHost")),
        Column::new("allowUnknownUser", |row| Cell::plain(row.get("allowUnknownUser"))),
        Column::new("groups", |row| Cell::Number(i64::try_from(groups(row).count()).unwrap_or(i64::MAX))),
    ],
    none: Some("No Vhosts"),
    limited: false,
    ..Listing::PLAIN
};

const STATS: Listing = Listing {
    title: |_| "Vhost Stats".to_owned(),
    kind: "vhostStats",
    columns: &[
        Column::new("hostname", |row| Cell::plain(row.get("hostname"))),
        Column::new("connectionsApproved", |row| Cell::plain(row.get("connectionsApproved"))),
        Column::new("connectionsDenied", |row| Cell::plain(row.get("connectionsDenied"))),
        Column::new("connectionsCurrent", |row| Cell::plain(row.get("connectionsCurrent"))),
        Column::new("sessionDenied", |row| Cell::plain(row.get("sessionDenied"))),
        Column::new("senderDenied", |row| Cell::plain(row.get("senderDenied"))),
        Column::new("receiverDenied", |row| Cell::plain(row.get("receiverDenied"))),
        Column::new("maxMessageSizeDenied", |row| Cell::plain(row.get("maxMessageSizeDenied")))
            .if_reported("maxMessageSizeDenied"),
    ],
    none: Some("No Vhost Stats"),
    limited: false,
    ..Listing::PLAIN
};

/// Settings of a group that are short, and what is shown for one that has neither value nor default.
const SETTINGS: [(&str, &str); 12] = [
    ("maxConnectionsPerUser", NIL),
    ("maxConnectionsPerHost", NIL),
    ("maxMessageSize", NIL),
    ("maxFrameSize", NIL),
    ("maxSessionWindow", NIL),
    ("maxSessions", NIL),
    ("maxSenders", NIL),
    ("maxReceivers", NIL),
    ("allowDynamicSource", "False"),
    ("allowAnonymousSender", "False"),
    ("allowUserIdProxy", "False"),
    ("allowAdminStatusUpdate", "False"),
];

/// Settings of a group that may be long.
const LISTS: [&str; 6] = ["users", "remoteHosts", "sources", "targets", "sourcePattern", "targetPattern"];

const NIL: &str = "(nil)";

/// A table of all groups, and one for the long settings of each.
///
/// # Errors
/// Those of [`Client::query`].
pub(super) async fn groups_report(client: &mut Client) -> Result<Report> {
    let vhosts = client.query(Some("io.skupper.router.vhost"), &[], 0).await?;
    if vhosts.is_empty() {
        return Ok(Report::note("No Vhosts"));
    }
    let schema = client.call(Request::to_node("GET-SCHEMA"), 200).await?;
    let schema = &schema["entityTypes"]["vhostUserGroupSettings"]["attributes"];
    let shown = |name: &str| name != "maxMessageSize" || vhosts.has("maxMessageSize");
    let settings: Vec<_> = SETTINGS.iter().filter(|(name, _)| shown(name)).collect();
    let mut all = Table { title: "Vhost Groups".to_owned(), heads: vec!["vhost", "group"], rows: Vec::new() };
    all.heads.extend(settings.iter().map(|(name, _)| *name));
    let mut tables = Vec::new();
    for vhost in vhosts.iter() {
        let host = vhost.text("hostname");
        for (name, group) in groups(vhost) {
            let mut cells = vec![Cell::text(host), Cell::text(name)];
            cells.extend(settings.iter().map(|(setting, nothing)| setting_cell(group, setting, schema, nothing)));
            all.rows.push(cells);
            tables.push(lists_of(host, name, group, schema));
        }
    }
    tables.insert(0, all);
    Ok(Report { tables, ..Report::default() })
}

/// Counters of vhosts, and who is connected.
///
/// # Errors
/// Those of [`Client::query`].
pub(super) async fn stats_report(client: &mut Client) -> Result<Report> {
    let stats = client.query(Some("io.skupper.router.vhostStats"), &[], 0).await?;
    let mut report = STATS.of_rows(&stats, false);
    if report.note.is_none() {
        let mut users = Table {
            title: "Vhost User Stats".to_owned(),
            heads: vec!["vhost", "user", "remote hosts"],
            rows: Vec::new(),
        };
        for vhost in stats.iter() {
            let states = vhost.get("perUserState").as_object().into_iter().flatten();
            let cells = |(user, hosts): (&String, &Json)| {
                vec![Cell::text(vhost.text("hostname")), Cell::text(user), Cell::Value(hosts.clone())]
            };
            users.rows.extend(states.map(cells));
        }
        report.tables.push(users);
    }
    Ok(report)
}

fn lists_of(host: &str, name: &str, group: &Map<String, Json>, schema: &Json) -> Table {
    let mut values = vec![("vhost".to_owned(), Cell::text(host)), ("group".to_owned(), Cell::text(name))];
    values.extend(LISTS.iter().map(|list| ((*list).to_owned(), setting_cell(group, list, schema, NIL))));
    Table::of_values(format!("Vhost '{host}' UserGroup '{name}'"), values)
}

fn groups(row: Row<'_>) -> impl Iterator<Item = (&String, &Map<String, Json>)> {
    let groups = row.get("groups").as_object().into_iter().flatten();
    groups.filter_map(|(name, group)| Some((name, group.as_object()?)))
}

fn or_none(row: Row<'_>, name: &str) -> Cell {
    match row.get(name) {
        value if value.is_null() => Cell::text("None"),
        value => Cell::plain(value),
    }
}

/// The group's value, else the schema's default, else what stands for nothing.
fn setting_cell(group: &Map<String, Json>, name: &str, schema: &Json, nothing: &str) -> Cell {
    match group.get(name).unwrap_or(&schema[name]["default"]) {
        Json::Null => Cell::text(nothing),
        value => Cell::plain(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_fall_back_to_the_schema() {
        let schema = json!({"maxSenders": {"default": 7}, "users": {}});
        let Json::Object(group) = json!({"users": "*", "allowDynamicSource": true}) else { unreachable!() };
        let cell = |name, nothing| setting_cell(&group, name, &schema, nothing).show();
        assert_eq!(cell("users", NIL), "*");
        assert_eq!(cell("maxSenders", NIL), "7");
        assert_eq!(cell("maxReceivers", NIL), "(nil)");
        assert_eq!(
            (cell("allowDynamicSource", "False"), cell("allowUserIdProxy", "False")),
            ("True".into(), "False".into())
        );
    }
}
