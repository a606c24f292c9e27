//! Mail: messages of a megabyte, over one connection.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use interop_tests::apps::{Encryption, Routers, Stage, smtp};
use interop_tests::harness::output_of;

/// Mails that are sent.
const MAILS: usize = 3;
/// Lines of a mail, each of 64 octets without its end.
const LINES: usize = 16 * 1024;

fn check(routers: Routers, encryption: Encryption) -> Result<()> {
    let mut stage = Stage::open(routers, encryption)?;
    let _server = stage.serve(smtp::serve)?;
    let mails: Vec<_> = (0..MAILS).map(|n| stage.file(&format!("mail-{n}"))).collect();
    mails.iter().enumerate().try_for_each(|(n, mail)| fs::write(mail, text(n).replace('\n', "\r\n")))?;
    let starttls = encryption == Encryption::PassedThrough;
    output_of(&mut smtp::client(&stage, &mails, starttls)?, &[])?;
    let kept = kept(&smtp::mailbox(&stage))?;
    ensure!(kept.len() == MAILS, "{} mails", kept.len());
    for n in 0..MAILS {
        let subject = format!("Subject: number {n}");
        ensure!(kept.get(&subject).is_some_and(|body| *body == body_of(n)), "mail {n} changed on the way");
    }
    stage.expect_no_errors()
}

fn text(n: usize) -> String {
    format!("From: from@example.org\nTo: to@example.org\nSubject: number {n}\n\n{}", body_of(n))
}

/// Some lines begin with dots, which the protocol doubles.
fn body_of(n: usize) -> String {
    (0..LINES).map(|index| format!("{}{n:07}{index:<50}\n", [".line:.", " line: "][index % 2])).collect()
}

/// What the server keeps, by subject: it adds header fields of its own.
fn kept(mailbox: &Path) -> Result<BTreeMap<String, String>> {
    let files: Vec<PathBuf> = fs::read_dir(mailbox)?.map(|file| Ok(file?.path())).collect::<Result<_>>()?;
    let read = |file: &PathBuf| {
        let mail = fs::read_to_string(file)?;
        let (head, body) = mail.split_once("\n\n").context("no end of the header")?;
        let subject = head.lines().find(|line| line.starts_with("Subject: ")).context("no subject")?;
        Ok((subject.to_owned(), body.to_owned()))
    };
    files.iter().map(read).collect()
}

through! { check;
    one_router_tls_to_listener: One, ToListener;
    two_routers_starttls_passed_through: Two, PassedThrough;
    upstream_first: UpstreamFirst, Plain;
    upstream_last: UpstreamLast, Plain;
}
