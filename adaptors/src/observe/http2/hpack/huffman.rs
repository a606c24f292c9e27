//! Huffman coding of strings (RFC 7541 section 5.2 and appendix B), four bits at a time.

use super::Error;

/// Octets, and the symbol that ends what is encoded.
const SYMBOLS: usize = 257;

const END: u16 = 256;

/// The lengths of the codes of all symbols, in bits. The code is canonical: of codes of one length those of lower symbols
/// are lower, and the longer ones follow the shorter ones.
#[rustfmt::skip]
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7,
    7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21,
    23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24,
    21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

const LONGEST: u8 = 30;

/// Inner nodes of the tree of all codes.
const NODES: usize = SYMBOLS - 1;

/// What an edge of the tree leads to.
#[derive(Clone, Copy)]
enum Edge {
    Node(u8),
    Leaf(u16),
    /// While the tree is built.
    Nothing,
}

type Tree = [[Edge; 2]; NODES];

/// What four bits do at a node.
#[derive(Clone, Copy)]
struct Step {
    next: u8,
    symbol: Option<u8>,
    /// They end with the symbol that must not occur.
    refused: bool,
}

static STEPS: [[Step; 16]; NODES] = steps();

/// Nodes at which a string may end: behind fewer than eight bits of the symbol [`END`], which are ones.
static ENDS: [bool; NODES] = ends();

/// Decodes a string and gives its octets to `sink`.
pub(super) fn decode(encoded: &[u8], mut sink: impl FnMut(u8)) -> Result<(), Error> {
    let mut node = 0;
    for octet in encoded {
        for nibble in [octet >> 4, octet & 0xF] {
            let step = STEPS[usize::from(node)][usize::from(nibble)];
            if step.refused {
                return Err(Error::Huffman);
            }
            if let Some(symbol) = step.symbol {
                sink(symbol);
            }
            node = step.next;
        }
    }
    if ENDS[usize::from(node)] { Ok(()) } else { Err(Error::Huffman) }
}

const fn tree() -> Tree {
    let mut tree = [[Edge::Nothing; 2]; NODES];
    let (mut nodes, mut code, mut length) = (1, 0_u32, 1);
    while length <= LONGEST {
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] == length {
                nodes = insert(&mut tree, nodes, code, length, symbol as u16);
                code += 1;
            }
            symbol += 1;
        }
        code <<= 1;
        length += 1;
    }
    tree
}

/// Adds a code to a tree of so many nodes. Returns how many it has then.
const fn insert(tree: &mut Tree, mut nodes: usize, code: u32, length: u8, symbol: u16) -> usize {
    let (mut node, mut left) = (0, length);
    while left > 1 {
        left -= 1;
        let bit = (code >> left & 1) as usize;
        node = match tree[node][bit] {
            Edge::Node(next) => next as usize,
            _ => {
                tree[node][bit] = Edge::Node(nodes as u8);
                nodes += 1;
                nodes - 1
            }
        };
    }
    tree[node][(code & 1) as usize] = Edge::Leaf(symbol);
    nodes
}

const fn steps() -> [[Step; 16]; NODES] {
    let tree = tree();
    let mut steps = [[Step { next: 0, symbol: None, refused: false }; 16]; NODES];
    let mut at = 0;
    while at < NODES * 16 {
        steps[at / 16][at % 16] = step(&tree, at / 16, at % 16);
        at += 1;
    }
    steps
}

/// Every code has five bits at least, so that four bits end one symbol at most.
const fn step(tree: &Tree, mut node: usize, nibble: usize) -> Step {
    let mut step = Step { next: 0, symbol: None, refused: false };
    let mut left = 4;
    while left > 0 {
        left -= 1;
        node = match tree[node][nibble >> left & 1] {
            Edge::Node(next) => next as usize,
            Edge::Leaf(END) | Edge::Nothing => {
                step.refused = true;
                0
            }
            Edge::Leaf(symbol) => {
                step.symbol = Some(symbol as u8);
                0
            }
        };
    }
    step.next = node as u8;
    step
}

const fn ends() -> [bool; NODES] {
    let tree = tree();
    let mut ends = [false; NODES];
    let (mut node, mut depth) = (0, 0);
    while depth < 8 {
        ends[node] = true;
        let Edge::Node(next) = tree[node][1] else { break };
        node = next as usize;
        depth += 1;
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(encoded: &[u8]) -> Result<Vec<u8>, Error> {
        let mut octets = Vec::new();
        decode(encoded, |octet| octets.push(octet)).map(|()| octets)
    }

    /// The examples of RFC 7541 appendix C.
    #[test]
    fn examples() {
        let cases: [(&[u8], &str); 4] = [
            (b"\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff", "www.example.com"),
            (b"\xa8\xeb\x10\x64\x9c\xbf", "no-cache"),
            (b"\x64\x02", "302"),
            (b"", ""),
        ];
        for (encoded, text) in cases {
            assert_eq!(decoded(encoded), Ok(text.as_bytes().to_vec()), "{text}");
        }
    }

    #[test]
    fn padding() {
        let (zero, padded) = (0b0000_0111, 0b0000_0111);
        assert_eq!(decoded(&[zero]), Ok(b"0".to_vec()));
        assert_eq!(decoded(&[0b0000_0110]), Err(Error::Huffman), "not of ones");
        assert_eq!(decoded(&[padded, 0xFF]), Err(Error::Huffman), "more than seven bits");
        assert_eq!(decoded(&[0xFF]), Err(Error::Huffman), "more than seven bits");
        assert_eq!(decoded(&[0xFF, 0xFF, 0xFF, 0xFF]), Err(Error::Huffman), "the symbol that ends");
    }

    #[test]
    fn every_octet() {
        for octet in 0..=u8::MAX {
            let mut encoded = Vec::new();
            httlib_huffman::encode(&[octet; 9], &mut encoded).unwrap();
            assert_eq!(decoded(&encoded), Ok(vec![octet; 9]), "{octet}");
        }
    }
}
