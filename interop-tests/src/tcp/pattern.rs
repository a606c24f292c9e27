//! Long streams of reproducible bytes, compared by length and checksum.

use std::io::{Read, Write};

use anyhow::{Context, Result};

const BLOCK: usize = 64 * 1024;

/// Length and checksum of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest {
    /// Octets seen.
    pub octets: u64,
    /// CRC-32 of them.
    pub crc: u32,
}

/// Writes `octets` bytes that depend on `seed` and on their position, and returns what was written.
pub fn send_pattern(mut to: impl Write, seed: u64, octets: u64) -> Result<Digest> {
    let mut block = random_block(seed);
    let mut crc = crc32fast::Hasher::new();
    let mut sent = 0;
    while sent < octets {
        // The position makes every block different, so lost, repeated or swapped blocks show.
        block[..8].copy_from_slice(&sent.to_be_bytes());
        let left = usize::try_from(octets - sent).unwrap_or(BLOCK).min(BLOCK);
        to.write_all(&block[..left]).with_context(|| format!("sending after {sent} of {octets} octets"))?;
        crc.update(&block[..left]);
        sent += left as u64;
    }
    Ok(Digest { octets: sent, crc: crc.finalize() })
}

/// Reads until the end of the stream and returns what was read.
pub fn receive_all(mut from: impl Read) -> Result<Digest> {
    let mut block = vec![0; BLOCK];
    let mut crc = crc32fast::Hasher::new();
    let mut octets = 0;
    loop {
        let count = from.read(&mut block).with_context(|| format!("receiving after {octets} octets"))?;
        if count == 0 {
            return Ok(Digest { octets, crc: crc.finalize() });
        }
        crc.update(&block[..count]);
        octets += count as u64;
    }
}

fn random_block(seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut block = vec![0; BLOCK];
    for word in block.chunks_exact_mut(8) {
        // xorshift64: cheap, and no compressible pattern.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        word.copy_from_slice(&state.to_le_bytes());
    }
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_what_is_received() -> Result<()> {
        let mut wire = Vec::new();
        let sent = send_pattern(&mut wire, 7, 200_001)?;
        assert_eq!(receive_all(wire.as_slice())?, sent);
        assert_ne!(wire[BLOCK + 20], wire[11], "the exchange must change something");
        wire.swap(BLOCK + 20, 11);
        assert_ne!(receive_all(wire.as_slice())?, sent);
        Ok(())
    }
}
