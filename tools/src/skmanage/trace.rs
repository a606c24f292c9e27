//! `skmanage trace ROUTER`: the routers on the way to another, and the time to each of them and back.

use super::ping::{milliseconds, round_trip};
use crate::cli::Output;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::network::{Hop, next_hop, own_id};

/// More than any sound way has. While routes change, tables may send us in circles.
const MOST_HOPS: usize = 64;

/// Follows the way hop by hop: each router is asked for the next one.
pub(super) async fn run(client: &mut Client, arguments: &[String], output: &mut Output) -> Result<()> {
    let destination = match arguments {
        [router] => router,
        [] => return Err(Error::Usage("trace needs the id of a router".to_owned())),
        [_, surplus @ ..] => return Err(Error::Usage(format!("Unexpected arguments: {}", surplus.join(" ")))),
    };
    let mut hop = Hop { id: own_id(client).await?, address: client.address().to_owned(), cost: None };
    for number in 1..=MOST_HOPS {
        client.set_address(&hop.address);
        round_trip(client).await?;
        let time = milliseconds(round_trip(client).await?);
        let cost = hop.cost.map(|cost| format!("  cost {cost}")).unwrap_or_default();
        output.line(format!("{number:2}  {}  {time} ms{cost}", hop.id));
        output.flush()?;
        if hop.id == *destination {
            return Ok(());
        }
        hop = next_hop(client, &hop.id, destination).await?;
    }
    Err(Error::Value(format!("no end of the way to {destination} after {MOST_HOPS} routers")))
}
