//! docs/shop.md, typed from its first command to its last, with a book kept beside it: to the unit after each step.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use printsy_rpc::chain::{GetChain, GetSupply, Supply};
use printsy_rpc::market::{AccountParams, GetAccount};
use printsy_rpc::{Address, Client, NoParams};
use printsy_scenarios::wait::{Look, until};

use super::page::steps;
use super::reader::Reader;

const SHOP: &str = include_str!("../../../../docs/shop.md");

/// How long the second node may be behind the first.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a command of the page moves.
struct Move {
    /// How it begins.
    command: &'static str,
    /// Whose balance, and by how much.
    balances: &'static [(&'static str, i64)],
    issued: u64,
    redeemed: u64,
}

const MOVES: [Move; 5] = [
    Move { command: "issue bob 1000 ", balances: &[("bob", 1000)], issued: 1000, redeemed: 0 },
    Move { command: "issue carol 300 ", balances: &[("carol", 300)], issued: 300, redeemed: 0 },
    Move {
        command: "buy 1 2:2 --key bob ",
        balances: &[("bob", -450), ("anna", 450)],
        issued: 0,
        redeemed: 0,
    },
    Move {
        command: "buy 2 --key carol ",
        balances: &[("carol", -120), ("anna", 120)],
        issued: 0,
        redeemed: 0,
    },
    Move { command: "redeem 400 --key anna ", balances: &[("anna", -400)], issued: 0, redeemed: 400 },
];

/// Everybody whose key is made on the page.
const PEOPLE: [&str; 6] = ["registrar", "issuer", "rig", "anna", "bob", "carol"];

/// What balances and totals are to be.
#[derive(Default)]
struct Book {
    balances: BTreeMap<&'static str, i64>,
    issued: u64,
    redeemed: u64,
    moves: usize,
}

impl Book {
    /// Notes what a command moves that was not refused.
    fn note(&mut self, line: &str) {
        let words = line.trim_start_matches("target/release/printsy ");
        for moved in MOVES.iter().filter(|moved| words.starts_with(moved.command)) {
            for (name, change) in moved.balances {
                *self.balances.entry(name).or_default() += change;
            }
            self.issued += moved.issued;
            self.redeemed += moved.redeemed;
            self.moves += 1;
        }
    }
}

/// The two nodes, and whose address is whose.
struct Nodes {
    first: Client,
    second: Client,
    addresses: BTreeMap<&'static str, Address>,
}

impl Nodes {
    /// Waits until the second has what the first has by now.
    async fn agree(&self) -> Result<()> {
        let tip = self.first.call::<GetChain>(&NoParams {}).await?.tip.height;
        until(&format!("height {tip}"), PATIENCE, async || {
            let height = self.second.call::<GetChain>(&NoParams {}).await?.tip.height;
            Ok(if height >= tip { Look::Yes(()) } else { Look::NotYet(height.to_string()) })
        })
        .await
    }

    /// Holds both nodes against the book.
    async fn compare(&self, book: &Book, line: &str) -> Result<()> {
        for client in [&self.first, &self.second] {
            let mut sum = 0;
            for (name, address) in &self.addresses {
                let account = client.call::<GetAccount>(&AccountParams { account: *address }).await?;
                let expected = book.balances.get(name).copied().unwrap_or_default();
                assert_eq!(i64::try_from(account.balance.0)?, expected, "{name}, after {line}");
                sum += account.balance.0;
            }
            let Supply { issued, redeemed, outstanding, .. } = client.call::<GetSupply>(&NoParams {}).await?;
            assert_eq!((issued.0, redeemed.0), (book.issued, book.redeemed), "after {line}");
            assert_eq!((outstanding.0, outstanding.0), (issued.0 - redeemed.0, sum), "after {line}");
        }
        Ok(())
    }
}

/// The addresses of the keys that are there by now.
fn addresses(reader: &mut Reader) -> BTreeMap<&'static str, Address> {
    let listed = reader.types("target/release/printsy keys list").screen;
    let of = |name: &&'static str| {
        let words: Vec<&str> = listed
            .iter()
            .map(|line| line.split_whitespace())
            .find(|words| words.clone().next() == Some(*name))?
            .collect();
        Some((*name, words[1].parse().unwrap()))
    };
    PEOPLE.iter().filter_map(of).collect()
}

#[test]
fn a_shop_opens_sells_pays_out_and_expels_as_its_page_says_and_its_books_are_right_at_every_step() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut reader = Reader::new();
    let (first, second) = (reader.url(8645), reader.url(8646));
    let [first, second] = [first, second].map(|url| Client::new(&url).unwrap());
    let mut nodes = Nodes { first, second, addresses: BTreeMap::new() };
    let mut book = Book::default();
    let (mut was_expelled, mut was_refused) = (false, false);
    for step in steps(SHOP, "") {
        reader.follows(&step);
        let last = step.typed.last().unwrap();
        was_expelled |= last.contains(" expel carol ");
        was_refused |= was_expelled && step.is_refused && last.contains(" buy 2 --key carol ");
        let done = step.typed.len() - usize::from(step.is_refused);
        step.typed[..done].iter().for_each(|line| book.note(line));
        if reader.staying.len() < 2 {
            continue;
        }
        runtime.block_on(async {
            until("the second node", PATIENCE, async || {
                let is_there = nodes.second.call::<GetChain>(&NoParams {}).await;
                Ok(is_there.map_or_else(|error| Look::NotYet(error.to_string()), |_| Look::Yes(())))
            })
            .await
            .unwrap();
            nodes.agree().await.unwrap();
        });
        nodes.addresses = addresses(&mut reader);
        runtime.block_on(nodes.compare(&book, last)).unwrap();
    }
    assert_eq!(book.moves, MOVES.len(), "each was made once");
    assert!(was_refused, "an expelled buyer is refused");
    assert_eq!(nodes.addresses.len(), PEOPLE.len());
}
