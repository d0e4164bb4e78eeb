//! Checking a proof without any network: pure, and with nothing believed but what the caller names.
//!
//! [`verify`] is the table of contents: the network's rules against its genesis, each header by itself, then what the
//! proof is about against the header's roots. What it cannot show is listed in docs/proofs.md: above all that the
//! header's block is on the chain that everybody follows. [`Trust`] is how a caller says what it knows of that.

mod editions;
mod header;

use printsy_consensus::{
    Account, Action, Edition, Entry, Genesis, Hash, Miner, Params, Proof, ProofError, PublicKey, StateKey,
    Terminal, Transaction, check_transaction, codec, root_of_branch,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{InclusionProof, ProofSubject, StatePath, StateProof};
use crate::chain::NetworkParams;
use crate::market::EditionRange;
use crate::text::HashHex;

pub use header::VerifiedBlock;

/// What the caller knows from elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// The network: the id of its block 0. Without it, the proof's own word is taken.
    pub genesis: Option<Hash>,
    /// Blocks known to be on the chain: where any are given, each of the proof's must be one of them.
    pub blocks: Vec<Hash>,
}

/// What a proof has shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// The network's name.
    pub network: String,
    /// The id of its block 0.
    pub genesis: Hash,
    /// The block it is shown against.
    pub block: VerifiedBlock,
    /// What is shown.
    pub claim: Claim,
}

/// What a proof shows.
#[derive(Clone, Debug, PartialEq)]
pub enum Claim {
    /// What the state says of an image; nothing where nobody bought, reviewed or listed it.
    Image {
        /// The image.
        image: u64,
        /// Its entry.
        entry: Option<Edition>,
        /// How many editions there are.
        editions: u32,
    },
    /// What the state says of an account; nothing where no transaction touched it.
    Account {
        /// The account.
        account: PublicKey,
        /// Its entry.
        entry: Option<Account>,
    },
    /// What the state says of a miner; nothing where it is not registered.
    Miner {
        /// Its key.
        miner: PublicKey,
        /// Its entry.
        entry: Option<Miner>,
    },
    /// That the block holds a transaction.
    Transaction {
        /// The transaction.
        transaction: Box<Transaction>,
        /// Its index in the block.
        index: u32,
        /// How many transactions the block holds.
        count: u32,
        /// A purchase's edition numbers, and the block whose state shows them.
        editions: Option<(Vec<EditionRange>, VerifiedBlock)>,
    },
}

/// Why a proof shows nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofRefused {
    /// It is not JSON of a proof.
    #[error("this is no proof: {0}")]
    Form(String),
    /// The network's rules are not those of its genesis.
    #[error("the network's rules do not have the hash that the proof names as its genesis")]
    Rules,
    /// It is of another network than the caller's.
    #[error("the proof is of network {got}, expected {expected}")]
    OtherNetwork {
        /// The caller's.
        expected: Hash,
        /// The proof's.
        got: Hash,
    },
    /// A header does not hold.
    #[error("the header of block {height}: {why}")]
    Header {
        /// Its height, as it says.
        height: u64,
        /// What is wrong with it.
        why: String,
    },
    /// A header is none of those that the caller knows.
    #[error("the proof is against block {id} at height {height}, which is none of those given with --block")]
    UnknownBlock {
        /// The header's id.
        id: Hash,
        /// Its height.
        height: u64,
    },
    /// A state proof does not lead to the header's state root.
    #[error("the state proof does not hold: {0}")]
    State(#[from] ProofError),
    /// An entry of the state is none.
    #[error("the entry that the state proof leads to cannot be read: {0}")]
    Entry(String),
    /// The transaction does not hold by itself.
    #[error("the transaction does not hold: {0}")]
    Transaction(String),
    /// The branch does not lead to the header's transactions root.
    #[error("the branch does not lead from the transaction to the header's transactions root")]
    Branch,
    /// The edition numbers do not follow.
    #[error("the edition numbers of image {image} do not hold: {why}")]
    Editions {
        /// The image.
        image: u64,
        /// What is wrong.
        why: &'static str,
    },
    /// The edition numbers are not those of the transaction.
    #[error("the edition numbers are not for the lines of the purchase")]
    Lines,
}

/// Checks a proof: what `getProof` or `getInclusionProof` answered, or the whole JSON-RPC answer around it.
///
/// # Errors
/// [`ProofRefused`]: the first thing that does not hold. Anything in it that was changed is one.
pub fn verify(text: &str, trust: &Trust) -> Result<Verified, ProofRefused> {
    let mut value: Value =
        serde_json::from_str(text).map_err(|error| ProofRefused::Form(error.to_string()))?;
    if value.get("jsonrpc").is_some() {
        value = value.get_mut("result").map(Value::take).ok_or_else(|| {
            ProofRefused::Form(
                "expected the answer of getProof or getInclusionProof, got an error".to_owned(),
            )
        })?;
    }
    if value.get("transaction").is_some() {
        verify_inclusion(&strictly(&value)?, trust)
    } else {
        verify_state(&strictly(&value)?, trust)
    }
}

/// Reads a proof; what it does not have to say must not be there.
fn strictly<T: Serialize + DeserializeOwned>(value: &Value) -> Result<T, ProofRefused> {
    let refused = |error: serde_json::Error| ProofRefused::Form(error.to_string());
    let read: T = serde_json::from_value(value.clone()).map_err(refused)?;
    if serde_json::to_value(&read).map_err(refused)? == *value {
        Ok(read)
    } else {
        Err(ProofRefused::Form("it says more than a proof does".to_owned()))
    }
}

/// Checks what `getProof` answered.
///
/// # Errors
/// As [`verify`].
pub fn verify_state(proof: &StateProof, trust: &Trust) -> Result<Verified, ProofRefused> {
    let genesis = genesis(&proof.genesis, &proof.network, trust)?;
    let (header, block) = header::verify_block(&genesis, &proof.block, trust)?;
    let entry = |key| state_entry(&proof.proof, &header.state_root, key);
    let claim = match proof.of {
        ProofSubject::Image(image) => {
            let image = image.get();
            let max = genesis.params().max_editions;
            match entry(StateKey::Edition(image))? {
                Some(Entry::Edition(edition)) => {
                    Claim::Image { image, entry: Some(edition), editions: edition.editions_or(max) }
                }
                _ if image >= genesis.params().max_images => {
                    return Err(ProofRefused::Form("the network has no such image".to_owned()));
                }
                _ => Claim::Image { image, entry: None, editions: max },
            }
        }
        ProofSubject::Account(account) => match entry(StateKey::Account(account.0))? {
            Some(Entry::Account(entry)) => Claim::Account { account: account.0, entry: Some(entry) },
            _ => Claim::Account { account: account.0, entry: None },
        },
        ProofSubject::Miner(miner) => match entry(StateKey::Miner(miner.0))? {
            Some(Entry::Miner(entry)) => Claim::Miner { miner: miner.0, entry: Some(entry) },
            _ => Claim::Miner { miner: miner.0, entry: None },
        },
    };
    Ok(Verified { network: proof.network.network.clone(), genesis: genesis.hash(), block, claim })
}

/// Checks what `getInclusionProof` answered.
///
/// # Errors
/// As [`verify`].
pub fn verify_inclusion(proof: &InclusionProof, trust: &Trust) -> Result<Verified, ProofRefused> {
    let genesis = genesis(&proof.genesis, &proof.network, trust)?;
    let (header, block) = header::verify_block(&genesis, &proof.block, trust)?;
    let transaction = transaction(&genesis, proof.transaction.as_bytes())?;
    let leaf = transaction.leaf(&transaction.body.txid());
    let branch: Vec<Hash> = proof.branch.iter().map(|hash| Hash::from(*hash)).collect();
    if root_of_branch(&leaf, proof.index, proof.count, &branch) != Some(header.transactions_root) {
        return Err(ProofRefused::Branch);
    }
    let editions = match (&transaction.body.action, &proof.editions) {
        (Action::Purchase { lines, .. }, Some(editions)) => Some(editions::verify_editions(
            &genesis,
            trust,
            editions,
            editions::Purchase {
                header: &header,
                sender: transaction.body.sender,
                lines,
                index: proof.index,
            },
        )?),
        (Action::Purchase { .. }, None) | (_, Some(_)) => return Err(ProofRefused::Lines),
        (_, None) => None,
    };
    let (index, count) = (proof.index, proof.count);
    let claim = Claim::Transaction { transaction: Box::new(transaction), index, count, editions };
    Ok(Verified { network: proof.network.network.clone(), genesis: genesis.hash(), block, claim })
}

/// The network's rules, held against the id of its block 0 and against the caller's network.
fn genesis(told: &HashHex, network: &NetworkParams, trust: &Trust) -> Result<Genesis, ProofRefused> {
    let text = serde_json::to_string(network).map_err(|error| ProofRefused::Form(error.to_string()))?;
    let genesis = Genesis::from_json(&text).map_err(|error| ProofRefused::Form(error.to_string()))?;
    if genesis.hash() != Hash::from(*told) {
        return Err(ProofRefused::Rules);
    }
    match trust.genesis {
        Some(expected) if expected != genesis.hash() => {
            Err(ProofRefused::OtherNetwork { expected, got: genesis.hash() })
        }
        _ => Ok(genesis),
    }
}

/// A transaction that holds by itself on this network.
fn transaction(genesis: &Genesis, bytes: &[u8]) -> Result<Transaction, ProofRefused> {
    let refused = |error: &dyn std::fmt::Display| ProofRefused::Transaction(error.to_string());
    let transaction: Transaction = codec::decode(bytes).map_err(|error| refused(&error))?;
    let checked = check_transaction(genesis.params(), &genesis.hash(), transaction.clone());
    checked.map(|_| transaction).map_err(|error| refused(&error))
}

/// What a state with this root has under a key.
fn state_entry(told: &StatePath, root: &Hash, key: StateKey) -> Result<Option<Entry>, ProofRefused> {
    let form = |error: codec::TooLong| ProofRefused::Form(error.to_string());
    let siblings: Vec<Hash> = told.siblings.iter().map(|hash| Hash::from(*hash)).collect();
    let terminal = match &told.leaf {
        None => Terminal::Empty,
        Some(leaf) => Terminal::Leaf {
            path: leaf.path.into(),
            value: leaf.value.as_bytes().to_vec().try_into().map_err(form)?,
        },
    };
    let proof = Proof { siblings: siblings.try_into().map_err(form)?, terminal };
    match proof.verify(root, &key.path())? {
        None => Ok(None),
        Some(value) => key.decode_value(value).map(Some).map_err(|e| ProofRefused::Entry(e.to_string())),
    }
}

/// Whether the network's rules themselves name a key as one that makes blocks.
fn names_miner(params: &Params, key: &PublicKey) -> bool {
    params.is_registrar(key) || params.miners.iter().any(|miner| miner.key == *key)
}
