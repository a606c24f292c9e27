//! The command line.

use anyhow::{Context, Result, bail, ensure};
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

/// What load to apply.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Where senders connect to.
    pub(crate) sender: SocketAddr,
    /// Where receivers connect to.
    pub(crate) receiver: SocketAddr,
    /// Octets of body.
    pub(crate) size: usize,
    /// Messages are settled when they are sent.
    pub(crate) settled: bool,
    pub(crate) shape: Shape,
    /// Messages a second, all senders together; `None` is as many as there is credit for.
    pub(crate) rate: Option<u64>,
    /// What each receiver grants.
    pub(crate) credit: u32,
    pub(crate) warm_up: Duration,
    pub(crate) time: Duration,
    /// Processes whose use of the processor is told.
    pub(crate) pids: Vec<u32>,
}

/// Who sends to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// So many addresses with a sender and a receiver each.
    Pairs(usize),
    /// One multicast address with a sender and so many receivers.
    Multicast(usize),
}

// === impl Shape ===

impl Shape {
    pub(crate) const fn senders(self) -> usize {
        match self {
            Self::Pairs(pairs) => pairs,
            Self::Multicast(_) => 1,
        }
    }

    pub(crate) const fn receivers(self) -> usize {
        match self {
            Self::Pairs(count) | Self::Multicast(count) => count,
        }
    }

    /// The address of a sender or receiver. Multicast is what the routers' configuration makes of the prefix.
    pub(crate) fn address(self, index: usize) -> String {
        match self {
            Self::Pairs(_) => format!("load/{index}"),
            Self::Multicast(_) => "multicast/load".to_owned(),
        }
    }

    /// Receivers that get each message.
    pub(crate) const fn copies(self) -> usize {
        match self {
            Self::Pairs(_) => 1,
            Self::Multicast(receivers) => receivers,
        }
    }
}

// === impl Options ===

impl Options {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let (mut sender, mut receiver) = (None, None);
        let (mut size, mut settled, mut shape, mut rate) = (100, false, Shape::Pairs(1), None);
        let (mut credit, mut warm_up, mut seconds, mut pids) = (10_000, 1, 4, Vec::new());
        while let Some(name) = arguments.next() {
            if name == "--settled" {
                settled = true;
                continue;
            }
            let value = arguments.next().with_context(|| format!("{name} needs a value"))?;
            let number = || value.parse::<u64>().with_context(|| format!("{name} {value}"));
            match name.as_str() {
                "--sender" => sender = Some(address(&value)?),
                "--receiver" => receiver = Some(address(&value)?),
                "--size" => size = usize::try_from(number()?)?,
                "--pairs" => shape = Shape::Pairs(usize::try_from(number()?)?),
                "--multicast" => shape = Shape::Multicast(usize::try_from(number()?)?),
                "--rate" => rate = Some(number()?),
                "--credit" => credit = u32::try_from(number()?)?,
                "--warm-up" => warm_up = number()?,
                "--seconds" => seconds = number()?,
                "--pid" => pids.push(u32::try_from(number()?)?),
                _ => bail!("unknown argument {name}"),
            }
        }
        ensure!(shape.receivers() > 0 && credit > 0 && seconds > 0 && rate != Some(0), "zero makes no load");
        ensure!(
            rate.is_none() || !settled || size >= 8,
            "what is dropped shifts latency, unless messages are numbered"
        );
        Ok(Self {
            sender: sender.context("--sender is needed")?,
            receiver: receiver.context("--receiver is needed")?,
            size,
            settled,
            shape,
            rate,
            credit,
            warm_up: Duration::from_secs(warm_up),
            time: Duration::from_secs(seconds),
            pids,
        })
    }
}

fn address(text: &str) -> Result<SocketAddr> {
    let mut found = text.to_socket_addrs().with_context(|| format!("{text:?}"))?;
    found.next().with_context(|| format!("{text:?} has no address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn shapes() {
        let ends = "--sender 127.0.0.1:1 --receiver 127.0.0.1:2";
        let pairs = parse(&format!("{ends} --pairs 8 --settled --pid 3 --pid 4")).unwrap();
        assert_eq!((pairs.shape, pairs.settled, pairs.pids), (Shape::Pairs(8), true, vec![3, 4]));
        assert_eq!((pairs.shape.senders(), pairs.shape.receivers(), pairs.shape.copies()), (8, 8, 1));
        let multicast = parse(&format!("{ends} --multicast 10")).unwrap().shape;
        assert_eq!((multicast.senders(), multicast.receivers(), multicast.copies()), (1, 10, 10));
        assert_eq!(multicast.address(0), multicast.address(9));
    }

    #[test]
    fn nonsense_is_refused() {
        let ends = "--sender 127.0.0.1:1 --receiver 127.0.0.1:2";
        for line in ["--pairs 0", "--rate 0", "--seconds", "--size x", "--other 1", "--rate 5 --settled --size 0"] {
            assert!(parse(&format!("{ends} {line}")).is_err(), "{line}");
        }
        assert!(parse("--sender 127.0.0.1:1").is_err());
    }
}
