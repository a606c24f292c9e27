//! `skstat`: views of one router, or of each router of the network.

mod addresses;
mod connections;
mod facts;
mod links;
mod listing;
mod log;
mod memory;
mod nodes;
mod options;
mod report;
mod topology;
mod vhosts;
mod view;

use std::io::IsTerminal;
use std::process::ExitCode;

use chrono::Utc;
use serde_json::{Map, Value as Json};

use crate::cli::{Output, run};
use crate::client::{Client, Request, Target};
use crate::display::{Form, Style};
use crate::error::{Error, Result};
use crate::network::own_id;
use crate::value::encode;
pub use options::{Options, command};
pub use view::View;

/// One run: what to show, how, and where to.
struct Show<'a> {
    client: &'a mut Client,
    options: &'a Options,
    view: View,
    form: Form,
    style: Style,
    output: Output,
}

/// The program.
pub fn main() -> ExitCode {
    run(command(), "", show)
}

async fn show(options: Options) -> Result<()> {
    if options.version {
        let mut output = Output::default();
        output.line(crate::VERSION);
        return output.flush();
    }
    let target = options.connection.target(options.router.as_deref(), options.edge_router.as_deref())?;
    match options.watch {
        None => once(&target, &options).await,
        Some(interval) => loop {
            clear_screen();
            match once(&target, &options).await {
                // A router that is restarted comes back.
                Err(error @ (Error::Disconnected { .. } | Error::Timeout { .. })) => {
                    eprintln!("{}: {error}", error.name());
                }
                ended => ended?,
            }
            tokio::time::sleep(interval).await;
        },
    }
}

fn clear_screen() {
    if std::io::stdout().is_terminal() {
        print!("\x1b[H\x1b[2J");
    }
}

async fn once(target: &Target, options: &Options) -> Result<()> {
    let mut client = Client::connect(target).await?;
    let mut show = Show {
        client: &mut client,
        options,
        view: options.display.view(),
        form: options.form(),
        style: Style::of_stdout(),
        output: Output::default(),
    };
    let ended = show.run().await;
    client.close().await;
    ended
}

// === impl Show ===

impl Show<'_> {
    async fn run(&mut self) -> Result<()> {
        let nodes = self.client.call(Request::to_node("GET-MGMT-NODES"), 200).await?;
        let nodes: Vec<&str> = nodes.as_array().into_iter().flatten().filter_map(Json::as_str).collect();
        if !self.options.all_routers || nodes.len() < 2 {
            return self.one_router().await;
        }
        if self.form != Form::Json {
            self.output.line(now());
        }
        for node in nodes {
            let address = node.strip_prefix("amqp:/").unwrap_or(node);
            self.client.set_address(address);
            self.router_of_many(address.split('/').nth(2).unwrap_or(address)).await?;
            self.output.flush()?;
        }
        Ok(())
    }

    async fn one_router(&mut self) -> Result<()> {
        if self.form == Form::Json {
            let id = own_id(self.client).await?;
            self.document(&id).await?;
        } else if self.view.has_frame() {
            let id = own_id(self.client).await?;
            self.output.line(now());
            self.output.line(id);
            self.output.line("");
            self.content().await?;
        } else {
            self.content().await?;
        }
        self.output.flush()
    }

    async fn router_of_many(&mut self, id: &str) -> Result<()> {
        if self.form == Form::Json {
            return self.document(id).await;
        }
        self.output.line(format!("Router  {id}"));
        self.output.line("");
        self.content().await?;
        self.output.line("");
        Ok(())
    }

    async fn content(&mut self) -> Result<()> {
        let view = self.view;
        for part in view.parts() {
            let report = part.report(self.client, self.options).await?;
            report.write(&mut self.output, self.form, self.style);
            if view == View::All {
                self.output.line("");
            }
        }
        Ok(())
    }

    /// One JSON document. While watching it is one line, so that each line is one.
    async fn document(&mut self, id: &str) -> Result<()> {
        let mut document =
            Map::from_iter([("time".to_owned(), Utc::now().to_rfc3339().into()), ("router".to_owned(), id.into())]);
        let view = self.view;
        for part in view.parts() {
            part.report(self.client, self.options).await?.add_to(&mut document);
        }
        let one_line = self.options.watch.is_some() || self.options.all_routers;
        self.output.line(encode(&document.into(), (!one_line).then_some(2)));
        Ok(())
    }
}

fn now() -> String {
    Utc::now().format("%Y-%m-%d %H:%M:%S.%6f+00:00 UTC").to_string()
}
