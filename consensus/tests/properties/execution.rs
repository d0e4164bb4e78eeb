//! Executing blocks: as the model does, undone without a trace, reorganised as replayed, counted from raw blocks.

use std::collections::{BTreeMap, BTreeSet};

use printsy_consensus::{
    Action, Admission, Applied, Block, BlockUndo, CheckedBlock, Diff, Hash, Overlay, Params, Position,
    PublicKey, Staged, StateView, apply_transaction, codec, credit_miner, state_root_after,
};

use crate::support::random::{for_seeds, random_body, random_miner, random_order};
use crate::support::{Chain, Model, Random, chain_with, public};

fn params(random: &mut Random) -> impl FnOnce(&mut Params) + use<> {
    let (registered, limit) = (random.chance(3), random.chance(3));
    move |params| {
        if registered {
            params.admission = Admission::Registered;
        }
        if limit {
            params.max_per_account = 3;
        }
    }
}

type Connected = (CheckedBlock, Applied);

/// The block as it came over the wire, or out of a journal.
fn raw(block: &CheckedBlock) -> Block {
    codec::decode(block.bytes()).expect("it was decoded before")
}

/// Makes and connects `count` random blocks. Each is a comparison with the model (see `support`).
fn random_blocks(random: &mut Random, chain: &mut Chain, count: usize) -> Vec<Connected> {
    (0..count)
        .map(|_| {
            let tries = random.index(30);
            let body = random_body(random, chain, tries);
            let bytes = chain.block(random_miner(random, chain), &body);
            chain.connect(&bytes).unwrap_or_else(|refused| panic!("{refused:?}"))
        })
        .collect()
}

#[test]
fn random_blocks_do_what_the_model_does_and_all_actions_occur() {
    let seen = std::cell::RefCell::new(BTreeMap::<u8, usize>::new());
    for_seeds(0..30, |random| {
        let mut chain = chain_with(params(random));
        for (block, _) in random_blocks(random, &mut chain, 15) {
            for tx in block.transactions() {
                *seen.borrow_mut().entry(tx.action().tag()).or_default() += 1;
            }
        }
    });
    let seen = seen.into_inner();
    assert_eq!(seen.len(), 10, "some action never happened: {seen:?}");
    assert!(seen.values().all(|&count| count >= 20), "some action hardly happened: {seen:?}");
}

#[test]
fn undo_restores_the_state_and_its_root() {
    for_seeds(100..120, |random| {
        let mut chain = chain_with(params(random));
        let mut states = vec![(chain.model.clone(), chain.tree.clone())];
        let mut blocks = Vec::new();
        for _ in 0..12 {
            blocks.extend(random_blocks(random, &mut chain, 1));
            states.push((chain.model.clone(), chain.tree.clone()));
        }
        let (mut model, mut tree) = (chain.model.clone(), chain.tree.clone());
        for (block, applied) in blocks.iter().rev() {
            assert_eq!(
                (&model, tree.root()),
                states.pop().as_ref().map(|(m, t)| (m, t.root())).expect("one each")
            );
            let undo: BlockUndo = codec::decode(&codec::encode(&applied.undo)).expect("its own bytes");
            assert_eq!(undo, applied.undo, "undo survives being stored");
            let diff = undo.reversed(&raw(block));
            tree = diff.apply_to(&tree);
            model.publish(&diff);
        }
        let (first, first_tree) = &states[0];
        assert_eq!((&model, tree.root(), tree.len()), (first, first_tree.root(), first_tree.len()));
        assert_eq!(model, Model::genesis(chain.params()));
    });
}

/// What an undo says of the entries before a transaction is what was there before it.
#[test]
fn undo_links_name_what_came_before() {
    for_seeds(150..160, |random| {
        let mut chain = chain_with(params(random));
        for _ in 0..10 {
            let mut before = chain.model.clone();
            for (block, applied) in random_blocks(random, &mut chain, 1) {
                for (tx, undo) in block.transactions().iter().zip(&applied.undo.transactions) {
                    let sender = undo.account_before(tx.sender()).expect("the sender is always touched");
                    assert_eq!(sender, before.account(tx.sender()));
                    if let Action::Purchase { lines, .. } = tx.action() {
                        for line in lines {
                            assert_eq!(undo.edition_before(line.image), Some(before.edition(line.image)));
                        }
                    }
                    let position = before_position(&block, tx.txid());
                    before.transact(tx.transaction(), position);
                }
            }
        }
    });
}

fn before_position(block: &CheckedBlock, txid: Hash) -> Position {
    let index = block.transactions().iter().position(|tx| tx.txid() == txid).expect("it is in the block");
    Position { height: block.height(), index: u32::try_from(index).expect("few") }
}

/// Goes from one branch to another by undo and apply, as one diff; and by replaying the other from block 0.
#[test]
fn a_reorganisation_equals_a_replay() {
    for_seeds(200..220, |random| {
        let mut chain = chain_with(params(random));
        let common = random.index(5);
        let trunk = random_blocks(random, &mut chain, common);
        let (mut old, mut new) = (chain.clone(), chain);
        let (old_len, new_len) = (1 + random.index(4), 5 + random.index(3));
        let left = random_blocks(random, &mut old, old_len);
        let joined = random_blocks(random, &mut new, new_len);
        let (mut live, mut tree) = (old.model.clone(), old.tree.clone());
        let mut headers = old.headers.clone();
        for (block, _) in &joined {
            headers.insert(*block.header(), u64::MAX).expect("a good header");
            headers.body_arrived(&block.id());
        }
        let to = headers.next_move(&old.tip.id()).expect("the longer branch has more work");
        let ids = |blocks: &[Connected]| blocks.iter().map(|(block, _)| block.id()).collect::<Vec<_>>();
        assert_eq!(to.disconnect, ids(&left).into_iter().rev().collect::<Vec<_>>());
        assert_eq!(to.connect, ids(&joined));
        let mut net = Diff::default();
        for (block, applied) in left.iter().rev() {
            net.extend(applied.undo.reversed(&raw(block)));
        }
        for (_, applied) in &joined {
            net.extend(applied.diff.clone());
        }
        // Rules read the new branch over the old state through the net diff as over a plain state.
        let overlay = Overlay::from_diff(net.clone());
        same_view(&Staged::new(&live, &overlay), &new.model, &[&old.model, &new.model]);
        tree = net.apply_to(&tree);
        live.publish(&net);
        assert_eq!(live, new.model);
        assert_eq!(tree.root(), new.tree.root());
        let mut replayed = Chain::new(new.genesis.clone());
        for (block, _) in trunk.iter().chain(&joined) {
            replayed.connect(block.bytes()).expect("it was valid before");
        }
        assert_eq!((&live, tree.root()), (&replayed.model, replayed.tree.root()));
        live.publish(&net);
        assert_eq!(live, new.model, "publishing twice is publishing once");
    });
}

/// Two views of one state answer the same, asked about all that anybody knows.
fn same_view(left: &impl StateView, right: &impl StateView, known: &[&Model]) {
    assert_eq!(left.miner_count(), right.miner_count());
    assert_eq!(left.supply(), right.supply());
    for model in known {
        model.editions.keys().for_each(|image| assert_eq!(left.edition(*image), right.edition(*image)));
        model.accounts.keys().for_each(|account| assert_eq!(left.account(account), right.account(account)));
        model.miners.keys().for_each(|miner| assert_eq!(left.miner(miner), right.miner(miner)));
        for (account, image) in model.holdings.keys() {
            assert_eq!(left.holding(account, *image), right.holding(account, *image));
        }
        for (expiry, txid) in &model.confirmed {
            assert_eq!(left.is_confirmed(*expiry, txid), right.is_confirmed(*expiry, txid));
        }
    }
}

/// A template's root: an overlay that orders were appended to one by one, then one leaf for the miner.
#[test]
fn a_template_comes_to_the_root_of_its_block() {
    for_seeds(300..315, |random| {
        let mut chain = chain_with(params(random));
        random_blocks(random, &mut chain, 4);
        let body = random_body(random, &mut chain, 25);
        let height = chain.next_height();
        let mut overlay = Overlay::new();
        for (tx, index) in body.iter().zip(0u32..) {
            let at = Position { height, index };
            apply_transaction(&chain.model, &mut overlay, &chain.checked(tx), at)
                .expect("a model can be read");
        }
        let tree = overlay.diff().apply_to(&chain.tree);
        for miner in ["miner-1", "miner-2", "registrar"] {
            let root = state_root_after(&chain.model, &overlay, &tree, &public(miner), height);
            assert_eq!(root, chain.header(miner, &body).state_root, "{miner}");
            let mut counted = overlay.clone();
            let before = credit_miner(&chain.model, &mut counted, &public(miner), height);
            assert_eq!(before, Staged::new(&chain.model, &overlay).miner(&public(miner)));
            assert_eq!(counted.into_diff().apply_to(&chain.tree).root(), root);
        }
    });
}

/// Everything that anybody may count from the raw blocks, and must find in the state.
#[derive(Default)]
struct Count {
    sold: BTreeMap<u64, u64>,
    held: BTreeMap<(PublicKey, u64), u64>,
    issued: u128,
    redeemed: u128,
    txids: BTreeSet<Hash>,
    orders: usize,
    made: BTreeMap<PublicKey, u64>,
}

impl Count {
    fn block(&mut self, bytes: &[u8]) {
        let block: Block = codec::decode(bytes).expect("a block");
        *self.made.entry(block.header.header.miner).or_default() += 1;
        for tx in &block.transactions {
            self.orders += 1;
            self.txids.insert(tx.body.txid());
            match &tx.body.action {
                Action::Purchase { lines, .. } => {
                    for line in lines {
                        *self.sold.entry(line.image).or_default() += u64::from(line.quantity);
                        *self.held.entry((tx.body.sender, line.image)).or_default() +=
                            u64::from(line.quantity);
                    }
                }
                Action::Issue { amount, .. } => self.issued += u128::from(*amount),
                Action::Redeem { amount } => self.redeemed += u128::from(*amount),
                _ => {}
            }
        }
    }

    fn holds_of(&self, chain: &Chain) {
        let state = &chain.model;
        for (image, edition) in &state.editions {
            let sold = u64::from(edition.sold);
            assert_eq!(sold, self.sold.get(image).copied().unwrap_or(0), "sold of {image}");
            let editions = edition.editions_or(chain.params().max_editions);
            assert!(sold <= u64::from(editions) && editions <= chain.params().max_editions, "I1 of {image}");
            let rated: Vec<u64> = state
                .holdings
                .iter()
                .filter(|((_, of), holding)| of == image && holding.rating > 0)
                .map(|(_, holding)| u64::from(holding.rating))
                .collect();
            assert_eq!(u64::from(edition.reviews), u64::try_from(rated.len()).expect("few"));
            assert_eq!(edition.rating_sum, rated.iter().sum::<u64>());
        }
        for (place, held) in &self.held {
            assert_eq!(u64::from(state.holdings[place].quantity), *held);
        }
        let balances: u128 = state.accounts.values().map(|account| u128::from(account.balance)).sum();
        assert_eq!(balances, self.issued - self.redeemed, "balances sum to issued less redeemed");
        assert_eq!(u128::from(state.supply.issued), self.issued);
        assert_eq!(u128::from(state.supply.redeemed), self.redeemed);
        assert_eq!(self.txids.len(), self.orders, "an order is confirmed at most once");
        assert!(state.miner_count() >= 1, "some miner is always left");
        for (miner, entry) in &state.miners {
            assert!(entry.blocks <= self.made.get(miner).copied().unwrap_or(0));
        }
    }
}

#[test]
fn the_state_is_what_anybody_counts_from_the_raw_blocks() {
    for_seeds(400..420, |random| {
        let mut chain = chain_with(params(random));
        let mut count = Count::default();
        for _ in 0..15 {
            for (block, _) in random_blocks(random, &mut chain, 1) {
                count.block(block.bytes());
            }
            count.holds_of(&chain);
        }
    });
}

/// Orders that a block cannot hold make it invalid, and leave no trace: the state is only what is published.
#[test]
fn refused_blocks_change_nothing() {
    for_seeds(500..515, |random| {
        let mut chain = chain_with(params(random));
        random_blocks(random, &mut chain, 3);
        let (model, root) = (chain.model.clone(), chain.tree.root());
        let mut refused = 0;
        for _ in 0..20 {
            let body: Vec<_> = (0..4).map(|_| random_order(random, &mut chain)).collect();
            refused += usize::from(chain.judge(&chain.block("miner-1", &body)).is_err());
            assert_eq!((&chain.model, chain.tree.root()), (&model, root));
        }
        assert!(refused > 0, "random orders are not all valid");
    });
}
