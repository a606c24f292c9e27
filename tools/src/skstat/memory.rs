//! `-m`: pools of memory.

use super::report::Report;
use crate::client::{Client, Row, Rows};
use crate::display::{Cell, Table};
use crate::error::Result;

const ATTRIBUTES: [&str; 9] = [
    "identity",
    "typeSize",
    "transferBatchSize",
    "localFreeListMax",
    "totalAllocFromHeap",
    "totalFreeToHeap",
    "heldByThreads",
    "batchesRebalancedToThreads",
    "batchesRebalancedToGlobal",
];

const HEADS: [&str; 8] = ["type", "size", "batch", "thread-max", "total", "in-threads", "rebal-in", "rebal-out"];

/// Pools that were ever used, and what the process has in all.
///
/// # Errors
/// Those of [`Client::query`].
pub(super) async fn memory(client: &mut Client) -> Result<Report> {
    let pools = client.query(Some("io.skupper.router.allocator"), &ATTRIBUTES, 0).await?;
    let unknown = pools.iter().any(|pool| pool.get("totalAllocFromHeap").is_null());
    let table = pool_table(&pools);
    if unknown || table.rows.is_empty() {
        return Ok(Report::note("No memory statistics available"));
    }
    let pooled = pools.iter().map(|pool| pool.number("typeSize").unwrap_or(0).saturating_mul(in_use(pool))).sum();
    let metrics = client.query(Some("io.skupper.router.routerMetrics"), &[], 0).await?;
    Ok(Report { tables: vec![table, summary(&metrics, pooled)], ..Report::default() })
}

fn pool_table(pools: &Rows) -> Table {
    let used = pools.iter().filter(|pool| pool.number("totalAllocFromHeap") != Some(0));
    let commas = |pool: &Row<'_>, name| Cell::number(pool.get(name), Cell::Commas);
    let cells = |pool: Row<'_>| {
        vec![
            Cell::text(pool.text("identity").split_once('/').map_or(pool.text("identity"), |(_, name)| name)),
            commas(&pool, "typeSize"),
            Cell::plain(pool.get("transferBatchSize")),
            commas(&pool, "localFreeListMax"),
            Cell::Commas(in_use(pool)),
            commas(&pool, "heldByThreads"),
            commas(&pool, "batchesRebalancedToThreads"),
            commas(&pool, "batchesRebalancedToGlobal"),
        ]
    };
    let mut table = Table { title: "Memory Pools".to_owned(), heads: HEADS.to_vec(), rows: used.map(cells).collect() };
    table.sort_by("type");
    table
}

/// Objects that came from the heap and did not go back.
fn in_use(pool: Row<'_>) -> i64 {
    let count = |name| pool.number(name).unwrap_or(0);
    count("totalAllocFromHeap").saturating_sub(count("totalFreeToHeap"))
}

fn summary(metrics: &Rows, pooled: i64) -> Table {
    let metric = |name| metrics.first().and_then(|row| row.number(name));
    let sizes = [("VmSize", metric("memoryUsage")), ("RSS", metric("residentMemoryUsage")), ("Pooled", Some(pooled))];
    let known = sizes.iter().filter_map(|(head, size)| size.map(|size| (*head, Cell::Octets(size))));
    let (heads, cells) = known.unzip();
    Table { title: "Memory Summary".to_owned(), heads, rows: vec![cells] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unused_pools_are_left_out() {
        let names = ATTRIBUTES.map(str::to_owned).to_vec();
        let pool = |name: &str, taken: i64| {
            let numbers = [4096, 16, 32, taken, 8, 80, 4, 6].map(|number| json!(number));
            [json!(format!("allocator/{name}"))].into_iter().chain(numbers).collect()
        };
        let table = pool_table(&Rows::new(names, vec![pool("b", 120), pool("unused", 0), pool("a", 9)]));
        let shown: Vec<Vec<String>> = table.rows.iter().map(|row| row.iter().map(Cell::show).collect()).collect();
        assert_eq!(shown[1], ["b", "4,096", "16", "32", "112", "80", "4", "6"]);
        assert_eq!((shown.len(), shown[0][4].as_str()), (2, "1"));
    }
}
