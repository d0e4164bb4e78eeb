//! A network with a chain on it: builds blocks with real (easy) proof of work, and judges bytes the way a node
//! does: checked alone, placed in the header tree, verified on the parent's state.

use printsy_consensus::{
    Action, Admission, Applied, Block, BlockCheckError, BlockError, Body, Catalogue, CheckedBlock,
    CheckedHeader, CheckedTransaction, Fault, Genesis, GenesisMiner, Hash, Header, HeaderError, HeaderTree,
    Line, Params, Placed, PublicKey, Rule, SecretKey, SignedHeader, StateTree, Target, Transaction,
    block_message, check_transaction, codec, verify_and_apply_block, verify_transaction,
};

use super::model::Model;
use super::naive;

/// The well-known key of a name.
pub fn key(name: &str) -> SecretKey {
    SecretKey::development(name)
}

/// Its public key.
pub fn public(name: &str) -> PublicKey {
    key(name).public_key()
}

/// Parameters with nothing limited that need not be: easy work, MAX of 5, three miners.
pub fn base_params() -> Params {
    let miner = |name: &str| GenesisMiner {
        key: public(name),
        name: name.as_bytes().to_vec().try_into().expect("a short name"),
    };
    Params {
        network: b"dev-test".to_vec().try_into().expect("a short name"),
        time: 1_790_000_000_000,
        max_images: 1_000,
        max_editions: 5,
        max_per_account: 0,
        catalogue: Catalogue::Open,
        admission: Admission::Open,
        target_interval_ms: 2_000,
        min_interval_ms: 500,
        half_life_ms: 1 << 40,
        bits: 0x207f_ffff,
        finality_depth: 100,
        max_validity: 20,
        max_block_bytes: 65_536,
        max_per_sender: 0,
        miner_spacing: 0,
        max_future_ms: 10_000,
        registrars: vec![public("registrar")].try_into().expect("one"),
        issuers: vec![public("issuer")].try_into().expect("one"),
        miners: ["miner-1", "miner-2", "miner-3"].map(miner).to_vec().try_into().expect("three"),
    }
}

/// The genesis of the base parameters with a change.
pub fn genesis_with(change: impl FnOnce(&mut Params)) -> Genesis {
    let mut params = base_params();
    change(&mut params);
    Genesis::new(params).expect("the base parameters hold, and the change keeps them so")
}

/// A chain of only block 0, of the base parameters with a change.
pub fn chain_with(change: impl FnOnce(&mut Params)) -> Chain {
    Chain::new(genesis_with(change))
}

/// Why bytes are no valid block here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub rule: Option<Rule>,
    pub fault: Fault,
    pub text: String,
}

impl From<BlockCheckError> for Refused {
    fn from(error: BlockCheckError) -> Self {
        Self { rule: Some(error.rule()), fault: error.fault(), text: error.to_string() }
    }
}

impl From<HeaderError> for Refused {
    fn from(error: HeaderError) -> Self {
        Self { rule: Some(error.rule()), fault: error.fault(), text: error.to_string() }
    }
}

impl From<BlockError> for Refused {
    fn from(error: BlockError) -> Self {
        Self { rule: error.rule(), fault: error.fault(), text: error.to_string() }
    }
}

#[derive(Clone, Debug)]
pub struct Chain {
    pub genesis: Genesis,
    pub headers: HeaderTree,
    pub tip: Header,
    /// The state after the tip.
    pub model: Model,
    pub tree: StateTree,
    /// Who made the blocks, the tip's maker first.
    pub makers: Vec<PublicKey>,
    next_reference: u64,
}

impl Chain {
    pub fn new(genesis: Genesis) -> Self {
        let header = CheckedHeader::stored(*genesis.header());
        let root = Placed { header, work: header.target().work(), parent_time: None };
        Self {
            headers: HeaderTree::new(genesis.params().clone(), root),
            tip: genesis.header().header,
            model: Model::genesis(genesis.params()),
            tree: genesis.state().clone(),
            makers: Vec::new(),
            next_reference: 0,
            genesis,
        }
    }

    pub fn params(&self) -> &Params {
        self.genesis.params()
    }

    /// The height of the block to come.
    pub fn next_height(&self) -> u64 {
        self.tip.height + 1
    }

    /// A body with a reference of its own, good for the next few blocks.
    pub fn body(&mut self, sender: &str, action: Action) -> Body {
        self.next_reference += 1;
        let mut reference = [0; 16];
        reference[..8].copy_from_slice(&self.next_reference.to_le_bytes());
        Body { sender: public(sender), reference, expires_at: self.next_height() + 10, action }
    }

    /// Such a body, signed by its sender.
    pub fn order(&mut self, sender: &str, action: Action) -> Transaction {
        self.body(sender, action).sign(&self.genesis.hash(), &key(sender))
    }

    /// An order, checked in isolation.
    pub fn checked(&self, tx: &Transaction) -> CheckedTransaction {
        check_transaction(self.params(), &self.genesis.hash(), tx.clone()).expect("passes every T rule")
    }

    /// What the S rules say of an order in the next block.
    pub fn verify(&self, tx: &Transaction) -> Result<(), (Rule, Fault)> {
        verify_transaction(self.params(), &self.model, self.next_height(), &self.checked(tx))
            .map_err(|error| (error.rule().expect("a model can always be read"), error.fault()))
    }

    /// The header of the next block by `miner` with these transactions, without work.
    pub fn header(&self, miner: &str, transactions: &[Transaction]) -> Header {
        let mut after = self.model.clone();
        after.execute(self.next_height(), &public(miner), transactions);
        Header {
            version: 1,
            parent: self.tip.id(),
            transactions_root: Hash(naive::transactions_root(transactions)),
            state_root: after.root(),
            height: self.next_height(),
            time: self.tip.time + self.params().target_interval_ms,
            bits: self.headers.next_bits(&self.tip.id()).expect("the tip is in the tree"),
            miner: public(miner),
            nonce: 0,
        }
    }

    /// The next block by `miner`, perfect but for what its transactions may break.
    pub fn block(&self, miner: &str, transactions: &[Transaction]) -> Vec<u8> {
        seal(self.header(miner, transactions), miner, transactions)
    }

    /// Judges bytes as the next block, by a clock that shows `now`. Nothing changes.
    pub fn judge_at(&self, bytes: &[u8], now: u64) -> Result<(CheckedBlock, Applied), Refused> {
        let block =
            CheckedBlock::check(self.params(), &self.genesis.hash(), bytes.to_vec(), &|_: &Hash| None)?;
        self.headers.clone().insert(*block.header(), now)?;
        let applied = verify_and_apply_block(self.params(), &self.model, &self.tree, &self.makers, &block)?;
        Ok((block, applied))
    }

    /// As [`Chain::judge_at`], by a clock that shows the time of the block after the tip.
    pub fn judge(&self, bytes: &[u8]) -> Result<(CheckedBlock, Applied), Refused> {
        self.judge_at(bytes, self.tip.time + self.params().target_interval_ms)
    }

    /// Connects a valid block, and holds what the crate made of the state against the model.
    pub fn connect(&mut self, bytes: &[u8]) -> Result<(CheckedBlock, Applied), Refused> {
        let now = codec::decode::<Block>(bytes).map_or(0, |block| block.header.header.time);
        let (block, applied) = self.judge_at(bytes, now)?;
        let header = *block.header().header();
        let transactions: Vec<Transaction> =
            block.transactions().iter().map(|tx| tx.transaction().clone()).collect();
        let mut after = self.model.clone();
        after.execute(header.height, &header.miner, &transactions);
        self.model.publish(&applied.diff);
        assert_eq!(self.model, after, "the crate's state differs from the model's");
        assert_eq!(applied.tree.root(), after.root(), "the crate's root differs from the model's");
        self.headers.insert(*block.header(), header.time).expect("just judged");
        self.headers.body_arrived(&block.id());
        (self.tip, self.tree) = (header, applied.tree.clone());
        self.makers.insert(0, header.miner);
        Ok((block, applied))
    }

    /// Makes and connects the next block.
    pub fn extend(&mut self, miner: &str, transactions: &[Transaction]) -> Result<Applied, Refused> {
        self.connect(&self.block(miner, transactions)).map(|(_, applied)| applied)
    }

    /// Confirms one order in a block of its own; panics where it is refused.
    pub fn confirm(&mut self, sender: &str, action: Action) -> Transaction {
        self.confirm_by("miner-1", sender, action)
    }

    /// As [`Chain::confirm`], in a block by `miner`.
    pub fn confirm_by(&mut self, miner: &str, sender: &str, action: Action) -> Transaction {
        let tx = self.order(sender, action);
        if let Err(refused) = self.extend(miner, std::slice::from_ref(&tx)) {
            panic!("refused: {refused:?}");
        }
        tx
    }

    /// Makes empty blocks.
    pub fn pass(&mut self, blocks: u64) {
        for _ in 0..blocks {
            self.extend("miner-1", &[]).expect("an empty block is valid");
        }
    }
}

/// The bytes of a block: work done on the header, signed by `signer`, the transactions after it.
pub fn seal(header: Header, signer: &str, transactions: &[Transaction]) -> Vec<u8> {
    let header = grind(header);
    let signature = key(signer).sign(&block_message(&header.id()));
    bytes_of(&SignedHeader { header, signature }, transactions)
}

/// The bytes of a block: header, signature, count, transactions.
pub fn bytes_of(header: &SignedHeader, transactions: &[Transaction]) -> Vec<u8> {
    let mut bytes = header.to_bytes().to_vec();
    bytes.extend_from_slice(&u32::try_from(transactions.len()).expect("few").to_le_bytes());
    transactions.iter().for_each(|tx| bytes.extend_from_slice(&codec::encode(tx)));
    bytes
}

/// Finds a nonce, where the bits are a target at all; a test's bits are easy.
pub fn grind(mut header: Header) -> Header {
    let Some(target) = Target::from_bits(header.bits) else { return header };
    while header.id().0 > target.to_be_bytes() {
        header.nonce += 1;
    }
    header
}

/// A purchase of some lines.
pub fn purchase(lines: &[(u64, u32)], total: u64) -> Action {
    let lines: Vec<Line> = lines.iter().map(|&(image, quantity)| Line { image, quantity }).collect();
    Action::Purchase { lines: lines.try_into().expect("at most 256 lines"), total }
}

pub fn review(image: u64, rating: u8, text: &[u8]) -> Action {
    Action::Review { image, rating, text: text.to_vec().try_into().expect("at most 1024 bytes") }
}

pub fn transfer(to: &str, amount: u64) -> Action {
    Action::Transfer { to: public(to), amount }
}

pub fn issue(to: &str, amount: u64) -> Action {
    Action::Issue { to: public(to), amount }
}

pub fn redeem(amount: u64) -> Action {
    Action::Redeem { amount }
}

pub fn list(image: u64, seller: &str, price: u64, editions: u32) -> Action {
    Action::List { image, seller: public(seller), price, editions }
}

pub fn register_miner(miner: &str) -> Action {
    let name = miner.as_bytes().to_vec().try_into().expect("a short name");
    Action::RegisterMiner { miner: public(miner), name }
}

pub fn revoke_miner(miner: &str) -> Action {
    Action::RevokeMiner { miner: public(miner) }
}

pub fn admit(account: &str) -> Action {
    Action::Admit { account: public(account) }
}

pub fn expel(account: &str) -> Action {
    Action::Expel { account: public(account) }
}
