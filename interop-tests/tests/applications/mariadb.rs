//! MariaDB: rows loaded and read, a dump restored while it is made, and many clients.

use std::fs;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use interop_tests::apps::{Encryption, Routers, Stage, mariadb};
use interop_tests::harness::output_of;

use crate::rows;

/// Rows that are loaded and read.
const ROWS: usize = 20_000;

fn check(routers: Routers, encryption: Encryption) -> Result<()> {
    let mut stage = Stage::open(routers, encryption)?;
    let _server = stage.serve(mariadb::serve)?;
    loads(&stage)?;
    restores(&stage)?;
    benchmark(&stage)?;
    stage.expect_no_errors()
}

fn query(stage: &Stage, database: &str, statement: &str) -> Result<String> {
    let mut command = mariadb::client("mariadb", stage)?;
    command.args(["--batch", "--skip-column-names", "--local-infile=1", "-e", statement, database]);
    Ok(String::from_utf8(output_of(&mut command, &[])?)?)
}

fn loads(stage: &Stage) -> Result<()> {
    let (file, rows) = (stage.file("rows.tsv"), rows(ROWS));
    fs::write(&file, &rows)?;
    query(stage, "test", "create table loaded (n integer primary key, line text)")?;
    query(stage, "test", &format!("load data local infile '{}' into table loaded", file.display()))?;
    let back = query(stage, "test", "select * from loaded order by n")?;
    ensure!(back == rows, "the rows changed on the way");
    let large = query(stage, "test", "select repeat('0123456789abcdef', 200000)")?;
    ensure!(large.trim_end() == "0123456789abcdef".repeat(200_000), "the large value changed on the way");
    Ok(())
}

/// One client reads the table while another fills a copy of it.
fn restores(stage: &Stage) -> Result<()> {
    query(stage, "test", "create database copy")?;
    let mut dump = mariadb::client("mariadb-dump", stage)?;
    let mut dump = dump.args(["test", "loaded"]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let dumped = dump.stdout.take().context("stdout")?;
    let restored = mariadb::client("mariadb", stage)?.arg("copy").stdin(dumped).status()?;
    ensure!(dump.wait()?.success() && restored.success(), "dump or restoration failed");
    let checksum = |database| query(stage, database, "checksum table loaded");
    let sums = [checksum("test")?, checksum("copy")?].map(|row| row.split('\t').next_back().map(str::to_owned));
    ensure!(sums[0] == sums[1], "{sums:?}");
    Ok(())
}

fn benchmark(stage: &Stage) -> Result<()> {
    let mut slap = mariadb::client("mariadb-slap", stage)?;
    slap.args(["--concurrency=10", "--number-of-queries=500", "--auto-generate-sql"]);
    output_of(&mut slap, &[]).map(drop)
}

through! { check;
    one_router: One, Plain;
    two_routers_tls_passed_through: Two, PassedThrough;
    upstream_first_tls_passed_through: UpstreamFirst, PassedThrough;
    upstream_last: UpstreamLast, Plain;
}
