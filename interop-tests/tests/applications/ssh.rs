//! OpenSSH: copies of files, commands whose input ends, and their exit status.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use interop_tests::apps::{Encryption, Routers, Stage, ssh};
use interop_tests::harness::{finish, output_of};

use crate::octets;

/// Octets of a file.
const FILE: usize = 4 << 20;

fn check(routers: Routers, encryption: Encryption) -> Result<()> {
    let mut stage = Stage::open(routers, encryption)?;
    let _server = stage.serve(ssh::serve)?;
    commands(&stage)?;
    copies(&stage)?;
    stage.expect_no_errors()
}

fn commands(stage: &Stage) -> Result<()> {
    let input = octets(2, 4 << 20);
    let said = output_of(ssh::client("ssh", stage)?.args(["127.0.0.1", "cat; echo over"]), &input)?;
    ensure!(said.strip_suffix(b"over\n") == Some(&input), "the command's input and output changed on the way");
    let mut failing = ssh::client("ssh", stage)?;
    let ended = finish(failing.args(["127.0.0.1", "exit 7"]), &[], Duration::from_secs(60))?;
    ensure!(ended.status.code() == Some(7), "{}", ended.status);
    Ok(())
}

fn copies(stage: &Stage) -> Result<()> {
    let [source, there, back] = ["source", "there", "back"].map(|name| stage.file(name));
    fs::write(&source, octets(3, FILE))?;
    let remote = format!("127.0.0.1:{}", there.display());
    output_of(ssh::client("scp", stage)?.arg(&source).arg(&remote), &[])?;
    output_of(ssh::client("scp", stage)?.arg(&remote).arg(&back), &[])?;
    ensure!(fs::read(&source)? == fs::read(&back)?, "the file changed on the way");
    Ok(())
}

through! { check;
    one_router: One, Plain;
    two_routers: Two, Plain;
    upstream_first: UpstreamFirst, Plain;
    upstream_last: UpstreamLast, Plain;
}
