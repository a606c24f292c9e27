//! Meshes of this router and the C router. Each test is left out, and says so, unless `UPSTREAM_SKROUTERD` is set.

use anyhow::{Context, Result};
use interop_tests::harness::{Binary, run};
use interop_tests::scenarios::amqp::{self, Peer};
use interop_tests::scenarios::beside_c_routers;
use interop_tests::scenarios::tcp::Stage;
use interop_tests::topology::Dialler::{Left, Right};
use interop_tests::topology::Security::{MutualTls, Plain};
use interop_tests::topology::{Dialler, LineBuilder, Security};

/// Whose router stands at a place of a line.
#[derive(Clone, Copy)]
enum Whose {
    Ours,
    Upstream,
}

use Whose::{Ours, Upstream};

/// The routers of a line and how neighbours are joined.
struct Shape(&'static [Whose], Security, Dialler);

impl Shape {
    fn line(&self) -> Result<LineBuilder> {
        let binary = |whose: &Whose| match whose {
            Ours => Binary::ours(),
            Upstream => Binary::upstream(),
        };
        let binaries = self.0.iter().map(binary).collect::<Result<Vec<_>>>()?;
        Ok(LineBuilder::new(binaries).joined(self.1, self.2))
    }

    fn last(&self) -> usize {
        self.0.len() - 1
    }

    /// Clients at both ends, every theme, both ways; management of every router from both ends is one of them.
    fn amqp(&self) -> Result<()> {
        let line = amqp::line(self.line()?);
        amqp::require(Peer::Proton)?;
        let line = line.start()?;
        amqp::all_themes(&line, Peer::Proton, 0, self.last())?;
        amqp::all_themes(&line, Peer::Proton, self.last(), 0)?;
        line.expect_no_errors(&[])
    }

    fn tcp(&self, listener: usize, connector: usize) -> Result<()> {
        let stage = Stage::start(self.line()?, listener, connector)?;
        stage.beginnings_and_ends()?;
        beside_c_routers(|| stage.load())?;
        stage.line.expect_no_errors(&[])
    }

    /// Each router dies in turn with a TCP flow open, and returns.
    fn deaths(&self) -> Result<()> {
        let mut stage = Stage::start(amqp::line(self.line()?), 0, self.last())?;
        let mut explained = Vec::new();
        for index in 0..self.0.len() {
            stage.survives_death_of(index).with_context(|| format!("death of router {index}"))?;
            explained.extend(stage.line.errors_explained_by_death_of(index));
        }
        if amqp::require(Peer::Proton).is_ok() {
            amqp::theme(&stage.line, Peer::Proton, "unsettled", 0, self.last())?;
            amqp::theme(&stage.line, Peer::Proton, "query", self.last(), 0)?;
        }
        stage.line.expect_no_errors(&explained)
    }
}

macro_rules! shapes {
    ($($name:ident: $shape:expr;)*) => {$(
        mod $name {
            use super::*;

            const SHAPE: Shape = $shape;

            #[test]
            fn amqp_both_ways() {
                run(|| SHAPE.amqp());
            }

            #[test]
            fn tcp_forth() {
                run(|| SHAPE.tcp(0, SHAPE.last()));
            }

            #[test]
            fn tcp_back() {
                run(|| SHAPE.tcp(SHAPE.last(), 0));
            }

            #[test]
            fn each_router_dies_and_returns() {
                run(|| SHAPE.deaths());
            }
        }
    )*};
}

shapes! {
    ours_dials_plain: Shape(&[Ours, Upstream], Plain, Left);
    ours_dials_tls: Shape(&[Ours, Upstream], MutualTls, Left);
    upstream_dials_plain: Shape(&[Ours, Upstream], Plain, Right);
    upstream_dials_tls: Shape(&[Ours, Upstream], MutualTls, Right);
    upstream_between: Shape(&[Ours, Upstream, Ours], MutualTls, Right);
    ours_between: Shape(&[Upstream, Ours, Upstream], MutualTls, Right);
}
