//! PostgreSQL: copies in and out, a benchmark, and a query that is cancelled over another connection.

use anyhow::{Result, ensure};
use interop_tests::apps::{Encryption, Routers, Stage, postgres};
use interop_tests::harness::{Dialogue, eventually, output_of, run};

use crate::rows;

/// Rows that are copied each way.
const ROWS: usize = 20_000;

fn check(routers: Routers, encryption: Encryption) -> Result<()> {
    let mut stage = Stage::open(routers, encryption)?;
    let _server = stage.serve(postgres::serve)?;
    copies(&stage)?;
    cancelled(&stage)?;
    benchmark(&stage, &["-t", "25"])?;
    stage.expect_no_errors()
}

fn psql(stage: &Stage, statement: &str, input: &[u8]) -> Result<String> {
    let mut command = postgres::client("psql", stage)?;
    command.args(["--no-psqlrc", "-qAt", "-v", "ON_ERROR_STOP=1", "-c", statement]);
    Ok(String::from_utf8(output_of(&mut command, input)?)?)
}

fn copies(stage: &Stage) -> Result<()> {
    psql(stage, "create table copied (n integer, line text)", &[])?;
    let rows = rows(ROWS);
    psql(stage, "copy copied from stdin", rows.as_bytes())?;
    let back = psql(stage, "copy (select * from copied order by n) to stdout", &[])?;
    ensure!(back == rows, "the rows changed on the way");
    let large = psql(stage, "select repeat('0123456789abcdef', 200000)", &[])?;
    ensure!(large.trim_end() == "0123456789abcdef".repeat(200_000), "the large value changed on the way");
    Ok(())
}

/// The client asks for the end of its query over a second connection.
fn cancelled(stage: &Stage) -> Result<()> {
    let mut command = postgres::client("psql", stage)?;
    let sleeper = Dialogue::start(command.args(["--no-psqlrc", "-c", "select pg_sleep(600)"]))?;
    let asleep = "select count(*) from pg_stat_activity where query = 'select pg_sleep(600)' and state = 'active'";
    eventually("the query runs", || {
        ensure!(psql(stage, asleep, &[])?.trim_end() == "1", "not yet");
        Ok(())
    })?;
    sleeper.interrupt()?;
    sleeper.hear("canceling statement due to user request").map(drop)
}

fn benchmark(stage: &Stage, length: &[&str]) -> Result<()> {
    let pgbench = || postgres::client("pgbench", stage);
    output_of(pgbench()?.args(["--initialize", "--quiet"]), &[])?;
    let said = output_of(pgbench()?.args(["--client=8", "--jobs=2", "--no-vacuum"]).args(length), &[])?;
    let said = String::from_utf8(said)?;
    println!("{said}");
    ensure!(said.contains("number of failed transactions: 0 ("), "{said}");
    Ok(())
}

through! { check;
    one_router: One, Plain;
    two_routers_tls_passed_through: Two, PassedThrough;
    upstream_first: UpstreamFirst, Plain;
    upstream_last_tls_passed_through: UpstreamLast, PassedThrough;
}

#[test]
#[ignore = "takes a minute"]
fn benchmark_of_a_minute() {
    run(|| {
        let mut stage = Stage::open(Routers::Two, Encryption::Plain)?;
        let _server = stage.serve(postgres::serve)?;
        benchmark(&stage, &["-T", "60"])?;
        stage.expect_no_errors()
    });
}
