//! A seeded generator (splitmix64), and random orders of all ten actions.
//!
//! The same seed gives the same run on every machine. A law that fails names its seed in the panic.

use printsy_consensus::{
    Action, Overlay, Position, Staged, Transaction, apply_transaction, verify_transaction,
};

use super::chain::{
    Chain, admit, expel, issue, list, public, purchase, redeem, register_miner, review, revoke_miner,
    transfer,
};

pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`, which is not zero.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// An index below `len`, which is not zero.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(u64::try_from(len).expect("64 bits"))).expect("below a usize")
    }

    pub fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    pub fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }

    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.index(items.len())]
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.byte()).collect()
    }

    pub fn bytes32(&mut self) -> [u8; 32] {
        self.bytes(32).try_into().expect("32 bytes")
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.index(end + 1));
        }
    }
}

/// Runs a law for each seed, and names the seed where it fails.
pub fn for_seeds(seeds: std::ops::Range<u64>, law: impl Fn(&mut Random)) {
    for seed in seeds {
        let run = std::panic::AssertUnwindSafe(|| law(&mut Random::new(seed)));
        if let Err(cause) = std::panic::catch_unwind(run) {
            let text = cause.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| cause.downcast_ref::<&str>().copied()).unwrap_or("no message");
            panic!("with seed {seed}: {text}");
        }
    }
}

pub const BUYERS: [&str; 4] = ["alice", "bob", "carol", "dave"];
const MINERS: [&str; 4] = ["miner-1", "miner-2", "miner-3", "miner-4"];

/// A random order and its sender: of any action, often valid, on few images so that they meet.
pub fn random_order(random: &mut Random, chain: &mut Chain) -> Transaction {
    let image = |random: &mut Random| random.below(6);
    let buyer = |random: &mut Random| random.pick(&BUYERS);
    let sender = buyer(random);
    let (sender, action): (&str, Action) = match random.below(16) {
        0..=4 => (sender, random_purchase(random, chain)),
        5 | 6 => {
            let len = random.index(40);
            (sender, review(image(random), 1 + random.byte() % 5, &vec![b'x'; len]))
        }
        7 | 8 => (sender, transfer(if sender == "bob" { "alice" } else { "bob" }, 1 + random.below(300))),
        9 => ("issuer", issue(buyer(random), 1 + random.below(2_000))),
        10 => (sender, redeem(1 + random.below(200))),
        11 => {
            let editions = u32::from(random.byte() % 5) + 1;
            ("registrar", list(image(random), buyer(random), random.below(50), editions))
        }
        12 => ("registrar", register_miner(random.pick(&MINERS))),
        13 => ("registrar", revoke_miner(random.pick(&MINERS))),
        14 => ("registrar", admit(buyer(random))),
        _ => ("registrar", expel(buyer(random))),
    };
    chain.order(sender, action)
}

/// One to three lines, mostly for the total that is right now.
fn random_purchase(random: &mut Random, chain: &Chain) -> Action {
    let mut lines: Vec<(u64, u32)> = Vec::new();
    for image in 0..6 {
        if random.chance(3) {
            lines.push((image, u32::from(random.byte() % 2) + 1));
        }
    }
    if lines.is_empty() {
        lines.push((random.below(6), 1));
    }
    let price = |image: &u64| chain.model.editions.get(image).map_or(0, |edition| edition.price);
    let total: u64 = lines.iter().map(|(image, quantity)| price(image) * u64::from(*quantity)).sum();
    purchase(&lines, if random.chance(8) { total + 1 } else { total })
}

/// Orders that are valid in this order in the next block, out of `tries` random ones.
pub fn random_body(random: &mut Random, chain: &mut Chain, tries: usize) -> Vec<Transaction> {
    let mut overlay = Overlay::new();
    let mut body = Vec::new();
    for _ in 0..tries {
        let tx = random_order(random, chain);
        let checked = chain.checked(&tx);
        let staged = Staged::new(&chain.model, &overlay);
        let height = chain.next_height();
        if verify_transaction(chain.params(), &staged, height, &checked).is_ok() {
            let index = u32::try_from(body.len()).expect("few");
            let position = Position { height, index };
            apply_transaction(&chain.model, &mut overlay, &checked, position).expect("a model can be read");
            body.push(tx);
        }
    }
    body
}

/// A miner that may make the next block: registered now, or the registrar.
pub fn random_miner(random: &mut Random, chain: &Chain) -> &'static str {
    let registered: Vec<&'static str> =
        MINERS.into_iter().filter(|name| chain.model.miners.contains_key(&public(name))).collect();
    if registered.is_empty() || random.chance(8) { "registrar" } else { random.pick(&registered) }
}
