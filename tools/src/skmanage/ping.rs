//! `skmanage ping ROUTER`: the time of a management request to a router and back.

use std::time::{Duration, Instant};

use super::options::Options;
use crate::cli::Output;
use crate::client::{Client, Request};
use crate::error::{Error, Result};
use crate::network::management_address;

/// Between two requests.
const PAUSE: Duration = Duration::from_millis(250);

/// Pings the router that the arguments name, or the one that requests go to.
pub(super) async fn run(
    client: &mut Client,
    options: &Options,
    arguments: &[String],
    output: &mut Output,
) -> Result<()> {
    match arguments {
        [] => {}
        [router] => {
            let address = management_address(client, router).await?;
            client.set_address(&address);
        }
        [_, surplus @ ..] => return Err(Error::Usage(format!("Unexpected arguments: {}", surplus.join(" ")))),
    }
    // The first one makes the link too.
    round_trip(client).await?;
    let mut times = Vec::new();
    for number in 1..=options.count {
        let time = round_trip(client).await?;
        output.line(format!("{}: seq={number} time={} ms", client.address(), milliseconds(time)));
        output.flush()?;
        times.push(time);
        if number != options.count {
            tokio::time::sleep(PAUSE).await;
        }
    }
    if let Some(summary) = summary(&times) {
        output.line(summary);
    }
    Ok(())
}

/// The time of one request.
pub(super) async fn round_trip(client: &mut Client) -> Result<Duration> {
    let begin = Instant::now();
    client.call(Request::new("READ"), 200).await?;
    Ok(begin.elapsed())
}

/// Milliseconds with three decimals.
pub(super) fn milliseconds(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64() * 1000.0)
}

fn summary(times: &[Duration]) -> Option<String> {
    let (least, most) = (times.iter().min()?, times.iter().max()?);
    let mean = times.iter().sum::<Duration>() / u32::try_from(times.len()).ok()?;
    let [least, mean, most] = [*least, mean, *most].map(milliseconds);
    Some(format!("{} requests, min/avg/max = {least}/{mean}/{most} ms", times.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries() {
        let times = [1, 2, 6].map(Duration::from_millis);
        assert_eq!(summary(&times).as_deref(), Some("3 requests, min/avg/max = 1.000/3.000/6.000 ms"));
        assert_eq!(summary(&[]), None);
    }
}
