//! Our skmanage and skstat beside those of the C router, which are Python: at our router and at the C router both say the
//! same, but for what is another value with every run.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use interop_tests::harness::{Binary, Skip, eventually, run, skip_unless};
use interop_tests::topology::{Line, LineBuilder};

const VIEWS: [&str; 17] = [
    "-g",
    "-c",
    "-l",
    "-n",
    "-e",
    "-a",
    "-m",
    "-p",
    "--autolinks",
    "--vhosts",
    "--vhostgroups",
    "--vhoststats",
    "--all-entities",
    "-a -v",
    "-c -v",
    "-n -v",
    "-c --csv",
];

/// In their order, as some leave something behind.
const REQUESTS: [&str; 23] = [
    "query --type=listener",
    "query --type=connection name role",
    "query --type=router --indent=-1",
    "query -r {far} --type=connector",
    "get-types",
    "get-types --type=router",
    "get-operations",
    "get-operations --type=listener",
    "get-attributes --type=log",
    "get-annotations",
    "get-mgmt-nodes",
    "read",
    "read --name=log/DEFAULT",
    "read --identity=router/{near}",
    "read --name=nobody",
    "update --name=log/DEFAULT enable=info+",
    "update --type=listener --name=amqp port=1",
    "create --type=nothing a=b",
    "create --type=address prefix={own} name={own}",
    "query --type=address",
    "delete --name={own}",
    "delete --name={own}",
    "nonsense",
];

/// Ours and the others'.
struct Tools {
    ours: PathBuf,
    theirs: PathBuf,
    python: PathBuf,
    python_path: String,
}

/// What a tool has to say.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    status: Option<i32>,
    lines: Vec<String>,
}

impl Tools {
    fn find() -> Result<Self> {
        let unset = || Skip("UPSTREAM_TOOLS is not set".to_owned());
        let theirs = std::env::var_os("UPSTREAM_TOOLS").map(PathBuf::from).ok_or_else(unset)?;
        let python = skip_unless(std::env::var_os("INTEROP_PYTHON"), "INTEROP_PYTHON is not set")?.into();
        let python_path = std::env::var("UPSTREAM_PYTHONPATH").unwrap_or_default();
        let ours = Binary::ours()?.program().parent().map(Path::to_owned).context("no folder")?;
        Ok(Self { ours, theirs, python, python_path })
    }

    fn ours(&self, tool: &str, arguments: &[String]) -> Result<Said> {
        Said::of(Command::new(self.ours.join(tool)).args(arguments))
    }

    fn theirs(&self, tool: &str, arguments: &[String]) -> Result<Said> {
        let mut command = Command::new(&self.python);
        command.arg(self.theirs.join(tool)).args(arguments).env("PYTHONPATH", &self.python_path);
        Said::of(&mut command)
    }

    /// Rows and links may come and go between the two.
    fn agree(&self, tool: &str, arguments: &[String]) -> Result<()> {
        let what = format!("{tool} {}", arguments.join(" "));
        eventually(&what, || {
            let (ours, theirs) = (self.ours(tool, arguments)?, self.theirs(tool, arguments)?);
            ensure!(ours == theirs, "{what}: {ours:#?} instead of {theirs:#?}");
            Ok(())
        })
    }

    /// For requests that change something: one attempt.
    fn agree_at_once(&self, ours: &[String], theirs: &[String]) -> Result<()> {
        let what = ours.join(" ");
        let (ours, theirs) = (self.ours("skmanage", ours)?, self.theirs("skmanage", theirs)?);
        ensure!(ours == theirs, "skmanage {what}: {ours:#?} instead of {theirs:#?}");
        Ok(())
    }
}

impl Said {
    fn of(command: &mut Command) -> Result<Self> {
        let output = command.output().with_context(|| format!("{command:?}"))?;
        let text = String::from_utf8([output.stdout, output.stderr].concat())?;
        // What ours say in addition.
        let is_more = |line: &&str| line.starts_with("hint: ") || *line == "No Edge Router Connections";
        // Tables are as wide as what they show.
        let lines = text.lines().filter(|line| !is_more(line)).map(without_values);
        let mut lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
        lines.sort();
        Ok(Self { status: output.status.code(), lines })
    }
}

fn without_values(line: &str) -> String {
    let words = line.split([' ', '\t', ',']).filter(|word| !word.is_empty());
    words.map(without_value).collect::<Vec<_>>().join(" ")
}

fn without_value(word: &str) -> String {
    if let Some((before, _)) = word.split_once("temp.") {
        return format!("{before}temp.");
    }
    if word.len() > 2 && word.chars().all(|c| matches!(c, '=' | '-')) {
        return "---".to_owned();
    }
    let is_hexadecimal = |part: &str| part.chars().all(|c| c.is_ascii_hexdigit());
    let trimmed = word.trim_matches('"');
    if trimmed.len() == 36 && trimmed.split('-').count() == 5 && trimmed.split('-').all(is_hexadecimal) {
        return word.replace(trimmed, "UUID");
    }
    let mut shown = String::new();
    for c in word.chars() {
        let c = if c.is_ascii_digit() { '9' } else { c };
        if c != '9' || !shown.ends_with('9') {
            shown.push(c);
        }
    }
    shown
}

fn words(text: &str, line: &Line) -> Vec<String> {
    let at = ["-b".to_owned(), line.first().amqp().to_string()];
    let known = text.replace("{near}", line.first().router.id()).replace("{far}", line.last().router.id());
    at.into_iter().chain(known.split(' ').map(str::to_owned)).collect()
}

fn compare(tools: &Tools, binary: &Binary) -> Result<()> {
    let line = LineBuilder::new([binary.clone(), binary.clone()]).start()?;
    for view in VIEWS {
        tools.agree("skstat", &words(view, &line))?;
        tools.agree("skstat", &words(&format!("{view} -r {{far}}"), &line))?;
    }
    for request in REQUESTS {
        // Each makes and removes an entity of its own.
        let [ours, theirs] = ["own1", "own2"].map(|own| words(&request.replace("{own}", own), &line));
        if ours == theirs {
            tools.agree("skmanage", &ours)?;
        } else {
            tools.agree_at_once(&ours, &theirs)?;
        }
    }
    Ok(())
}

#[test]
fn both_say_the_same_of_our_router() {
    run(|| compare(&Tools::find()?, &Binary::ours()?));
}

#[test]
fn both_say_the_same_of_the_c_router() {
    run(|| compare(&Tools::find()?, &Binary::upstream()?));
}
