//! `skmanage`: operations on the entities of one router, and the way to it.

mod attributes;
mod operations;
mod options;
mod ping;
mod trace;

use std::io::Read;
use std::process::ExitCode;

use serde_json::Value as Json;

use crate::cli::{Output, run};
use crate::client::Client;
use crate::error::{Error, Result};
use crate::value::decode;
use operations::Operation;
pub use options::{Options, command};

/// The program.
pub fn main() -> ExitCode {
    run(command(), " <operation>", manage)
}

async fn manage(mut options: Options) -> Result<()> {
    let mut output = Output::default();
    if options.version {
        output.line(crate::VERSION);
        return output.flush();
    }
    let words = std::mem::take(&mut options.words);
    let Some((operation, arguments)) = words.split_first() else {
        return Err(Error::Usage("No operation specified".to_owned()));
    };
    options.kind = options.kind.map(|kind| attributes::long_type(&kind));
    // Before connecting: a connection with nobody at it would be missed by the router.
    let input = if options.stdin && takes_input(operation) { Some(read_input()?) } else { None };
    let target = options.connection.target(options.router.as_deref(), options.edge_router.as_deref())?;
    let mut client = Client::connect(&target).await?;
    let ended = match operation.to_lowercase().as_str() {
        "ping" => ping::run(&mut client, &options, arguments, &mut output).await,
        "trace" => trace::run(&mut client, arguments, &mut output).await,
        _ => {
            let mut work = Operation { client: &mut client, options: &options, arguments, input, output: &mut output };
            work.run(operation).await
        }
    };
    client.close().await;
    ended.and_then(|()| output.flush())
}

fn takes_input(operation: &str) -> bool {
    ["create", "update"].iter().any(|known| operation.eq_ignore_ascii_case(known))
}

fn read_input() -> Result<Json> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    decode(&text)
}
