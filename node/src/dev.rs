//! The network of `printsyd run --dev`: one node, blocks in milliseconds, the well-known keys.
//!
//! No rule is off on it; it is easy by its genesis alone. Its target is the easiest there is and stays so (a
//! half-life of 2^40 ms moves nothing in a lifetime), any image may be bought, and anybody may buy.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;

use printsy_consensus::{Admission, Catalogue, Genesis, GenesisMiner, Params, PublicKey, SecretKey};

use crate::config::DEFAULT_RPC_LISTEN;

/// The network's name.
pub const NETWORK: &str = "dev-solo";

/// The key that mines unless another is given, as it is written on a command line.
pub const MINER_KEY: &str = "dev:miner-1";

/// The miners there from genesis, by the names of their development keys.
const MINERS: [&str; 3] = ["miner-1", "miner-2", "miner-3"];

/// The network's genesis, the same on every machine.
///
/// # Panics
/// Never: its parameters are constants, and a test holds them against the rules.
#[must_use]
pub fn genesis() -> Genesis {
    Genesis::new(params()).expect("constants that a test holds against the rules")
}

fn params() -> Params {
    let miner = |name: &str| GenesisMiner { key: key(name), name: list(name.as_bytes().to_vec()) };
    Params {
        network: list(NETWORK.as_bytes().to_vec()),
        time: 1_790_000_000_000,
        max_images: 1_000_000_000,
        max_editions: 100,
        max_per_account: 0,
        catalogue: Catalogue::Open,
        admission: Admission::Open,
        target_interval_ms: 1_000,
        min_interval_ms: 1,
        half_life_ms: 1 << 40,
        bits: 0x207f_ffff,
        finality_depth: 100,
        max_validity: 300,
        max_block_bytes: 4_194_304,
        max_per_sender: 0,
        miner_spacing: 0,
        max_future_ms: 10_000,
        registrars: list(vec![key("registrar")]),
        issuers: list(vec![key("issuer")]),
        miners: list(MINERS.iter().map(|name| miner(name)).collect()),
    }
}

fn key(name: &str) -> PublicKey {
    SecretKey::development(name).public_key()
}

fn list<T, const MAX: usize>(items: Vec<T>) -> printsy_consensus::codec::List<T, MAX> {
    items.try_into().unwrap_or_else(|_| panic!("constants within {MAX}"))
}

/// What is printed once the node answers at `rpc`: where it is, and how to buy.
#[must_use]
pub fn welcome(rpc: SocketAddr, datadir: Option<&Path>) -> String {
    let option =
        if rpc.to_string() == DEFAULT_RPC_LISTEN { String::new() } else { format!(" --rpc http://{rpc}") };
    let kept = match datadir {
        Some(path) => format!("kept in {}", path.display()),
        None => "in memory, gone when it stops".to_owned(),
    };
    let mut text = format!("{NETWORK} is ready at http://{rpc} ({kept}). In another terminal:\n");
    for (command, what) in [
        ("available 25", "how many editions of image 25 are left"),
        ("buy 25 --key dev:alice", "buy one, confirmed within a second"),
        ("issue dev:bob 1000 --key dev:issuer", "give bob money, for images that cost some"),
    ] {
        let command = format!("printsy{option} {command}");
        writeln!(text, "  {command:<44} # {what}").expect("a string takes all");
    }
    text.push_str("Ctrl-C stops it.");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constants_are_a_genesis_of_development() {
        let genesis = genesis();
        assert!(genesis.params().is_development());
        assert_eq!(Genesis::from_json(&genesis.to_json()).unwrap().hash(), genesis.hash());
    }

    #[test]
    fn its_difficulty_never_moves() {
        let genesis = genesis();
        let mut parent = genesis.header().header;
        for elapsed in [1, 1_000, 86_400_000, 1 << 40] {
            let before = parent.time;
            parent.time += elapsed;
            let bits = printsy_consensus::next_bits(genesis.params(), &parent, Some(before));
            let work = |bits| printsy_consensus::Target::from_bits(bits).unwrap().work();
            assert_eq!(work(bits), work(genesis.params().bits), "after {elapsed} ms");
        }
    }

    #[test]
    fn the_welcome_says_how_to_buy_here() {
        let text = welcome(DEFAULT_RPC_LISTEN.parse().unwrap(), None);
        assert!(text.contains("printsy buy 25 --key dev:alice"), "{text}");
        let text = welcome("127.0.0.1:9999".parse().unwrap(), Some(Path::new("/d")));
        assert!(text.contains("printsy --rpc http://127.0.0.1:9999 buy 25 --key dev:alice"), "{text}");
        assert!(text.contains("kept in /d"), "{text}");
    }
}
