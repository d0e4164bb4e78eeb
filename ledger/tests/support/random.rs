//! A seeded generator (splitmix64), random networks, and random orders of all ten actions.
//!
//! The same seed gives the same run on every machine. A law that fails names its seed in the panic.

use std::sync::Arc;

use printsy_consensus::{
    Action, Admission, Catalogue, CheckedTransaction, Genesis, Overlay, Params, Position, Staged, StateView,
    apply_transaction, verify_transaction,
};

use super::orders::{
    admit, begin_references, expel, issue, list, order, public, purchase, redeem, register_miner, review,
    revoke_miner, transfer,
};
use super::world::{State, genesis_with};

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
        usize::try_from(self.below(u64::try_from(len).unwrap())).unwrap()
    }

    pub fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }

    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.index(items.len())]
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for end in (1..items.len()).rev() {
            items.swap(end, self.index(end + 1));
        }
    }

    /// Any subset, in the same order.
    pub fn subset<T: Clone>(&mut self, items: &[T]) -> Vec<T> {
        let one_in = 1 + self.below(4);
        items.iter().filter(|_| self.chance(one_in)).cloned().collect()
    }

    fn small(&mut self, end: u32) -> u32 {
        u32::try_from(self.below(u64::from(end))).unwrap()
    }
}

/// Runs a law for each seed, and names the seed where it fails.
pub fn for_seeds(seeds: std::ops::Range<u64>, law: impl Fn(&mut Random)) {
    for seed in seeds {
        begin_references();
        let run = std::panic::AssertUnwindSafe(|| law(&mut Random::new(seed)));
        if let Err(cause) = std::panic::catch_unwind(run) {
            let text = cause.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| cause.downcast_ref::<&str>().copied()).unwrap_or("no message");
            panic!("with seed {seed}: {text}");
        }
    }
}

pub const BUYERS: [&str; 4] = ["alice", "bob", "carol", "dave"];
pub const MINERS: [&str; 4] = ["miner-1", "miner-2", "miner-3", "miner-4"];

/// A network of any admission, catalogue and limit for an account.
pub fn random_genesis(random: &mut Random, change: impl FnOnce(&mut Params)) -> Arc<Genesis> {
    genesis_with(|params| {
        params.admission = random.pick(&[Admission::Open, Admission::Registered]);
        params.catalogue = random.pick(&[Catalogue::Open, Catalogue::Listed]);
        params.max_per_account = random.pick(&[0, 0, 2, 3]);
        change(params);
    })
}

/// A random order for the block after `state`: of any action, often valid, on few images so that they meet.
/// No seller is a buyer here, so that no purchase gives its own buyer anything.
pub fn random_order(random: &mut Random, genesis: &Genesis, state: &State) -> CheckedTransaction {
    let sender = random.pick(&BUYERS);
    let image = random.below(6);
    let (sender, action): (&str, Action) = match random.below(20) {
        0..=6 => (sender, random_purchase(random, state)),
        7 | 8 => {
            let text = vec![b'x'; random.index(40)];
            (sender, review(image, 1 + u8::try_from(random.below(5)).unwrap(), &text))
        }
        9 | 10 => {
            let to = random.pick(&BUYERS);
            let to = if to == sender { "seller" } else { to };
            (sender, transfer(to, 1 + random.below(300)))
        }
        11 | 12 => ("issuer", issue(random.pick(&BUYERS), random_deposit(random))),
        13 => (sender, redeem(1 + random.below(200))),
        14 => ("registrar", list(image, "seller", random.below(50), 1 + random.small(5))),
        15 => ("registrar", register_miner(random.pick(&MINERS))),
        16 => ("registrar", revoke_miner(random.pick(&MINERS))),
        17 | 18 => ("registrar", admit(random.pick(&BUYERS))),
        _ => ("registrar", expel(random.pick(&BUYERS))),
    };
    order(genesis, state.height() + 1, sender, action)
}

fn random_deposit(random: &mut Random) -> u64 {
    // Now and then most of what can ever be issued.
    if random.chance(12) { u64::MAX / 2 - random.below(1_000) } else { 1 + random.below(2_000) }
}

/// One to three lines, mostly for the total that is right now.
fn random_purchase(random: &mut Random, state: &State) -> Action {
    let mut lines: Vec<(u64, u32)> = Vec::new();
    for image in 0..6 {
        if random.chance(3) {
            lines.push((image, 1 + random.small(2)));
        }
    }
    if lines.is_empty() {
        lines.push((random.below(6), 1));
    }
    lines.truncate(3);
    let total: u64 =
        lines.iter().map(|(image, quantity)| state.edition(*image).price * u64::from(*quantity)).sum();
    purchase(&lines, if random.chance(10) { total + 1 } else { total })
}

/// Orders that are valid in this order in the block after `state`, out of `tries` random ones.
pub fn random_body(
    random: &mut Random,
    genesis: &Genesis,
    state: &State,
    tries: usize,
) -> Vec<CheckedTransaction> {
    let height = state.height() + 1;
    let mut overlay = Overlay::new();
    let mut body = Vec::new();
    for _ in 0..tries {
        let tx = random_order(random, genesis, state);
        if verify_transaction(genesis.params(), &Staged::new(state, &overlay), height, &tx).is_ok() {
            let position = Position { height, index: u32::try_from(body.len()).unwrap() };
            apply_transaction(state, &mut overlay, &tx, position).unwrap();
            body.push(tx);
        }
    }
    body
}

/// A miner that may make the block after `state`.
pub fn random_miner(random: &mut Random, genesis: &Genesis, state: &State) -> &'static str {
    let mut miners = vec!["registrar"];
    miners.extend(MINERS.iter().filter(|name| state.miner(&public(name)).is_some()));
    miners.extend_from_within(1..);
    let params = genesis.params();
    let allowed =
        |name: &&&str| printsy_consensus::verify_miner(params, state, &state.makers, &public(name)).is_ok();
    let allowed: Vec<&str> = miners.iter().filter(allowed).copied().collect();
    random.pick(&allowed)
}

/// What a first block does so that buyers can buy: most are admitted and have money, some images are listed.
pub fn opening(random: &mut Random, genesis: &Genesis) -> Vec<CheckedTransaction> {
    let mut orders = Vec::new();
    let mut say = |sender: &str, action: Action| orders.push(order(genesis, 1, sender, action));
    if genesis.params().admission == Admission::Registered {
        say("registrar", admit("seller"));
        BUYERS[..3].iter().for_each(|buyer| say("registrar", admit(buyer)));
    }
    BUYERS[..3].iter().for_each(|buyer| say("issuer", issue(buyer, 100 + random.below(400))));
    for image in 0..4 {
        if genesis.params().catalogue == Catalogue::Listed || random.chance(2) {
            say("registrar", list(image, "seller", random.below(40), 2 + random.small(4)));
        }
    }
    orders
}
