//! The S rules: whether a transaction may happen in the block at a height, on a state (protocol section 3).
//!
//! [`verify_transaction`] is the table of contents; the chapters follow in its order. Nothing here changes
//! anything, so the same function serves the mempool, the template and the block.

use crate::check::CheckedTransaction;
use crate::codec::{Decode, Encode};
use crate::key::PublicKey;
use crate::params::{Admission, Catalogue, Params};
use crate::rule::{Fault, Rule};
use crate::state::{StateView, ViewError};
use crate::transaction::{Action, Line};

/// Why a transaction may not happen now.
///
/// Its bytes are no part of the protocol: nodes keep them in files of their own. A new variant stands last.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, thiserror::Error)]
pub enum StateError {
    /// S1: its time has passed.
    #[error("S1: it could be included up to height {expires_at}, this is {height}")]
    Expired {
        /// The last height that may include it.
        expires_at: u64,
        /// The height asked for.
        height: u64,
    },
    /// S1: it expires too far ahead.
    #[error("S1: it expires at height {expires_at}, the furthest ahead now is {latest}")]
    NotYet {
        /// The last height that may include it.
        expires_at: u64,
        /// The latest expiry allowed now.
        latest: u64,
    },
    /// S2.
    #[error("S2: it is confirmed already")]
    Duplicate,
    /// S3.
    #[error("S3: {account} is not admitted")]
    NotAdmitted {
        /// The account that is not.
        account: PublicKey,
    },
    /// S4.
    #[error("S4: sold out: image {image} has {sold} of {editions} sold, {requested} requested")]
    SoldOut {
        /// Which image.
        image: u64,
        /// How many editions there are.
        editions: u32,
        /// How many are sold.
        sold: u32,
        /// How many were asked for.
        requested: u32,
    },
    /// S5.
    #[error("S5: an account may hold {max} of image {image}: it holds {held}, {requested} requested")]
    AccountLimit {
        /// Which image.
        image: u64,
        /// The network's limit.
        max: u32,
        /// What the account holds.
        held: u32,
        /// How many were asked for.
        requested: u32,
    },
    /// S6.
    #[error("S6: image {image} is not listed")]
    NotListed {
        /// Which image.
        image: u64,
    },
    /// S7.
    #[error("S7: the total is {expected}, the order says {got}")]
    Price {
        /// The sum of price times quantity as it is now.
        expected: u128,
        /// What the order says.
        got: u64,
    },
    /// S8.
    #[error("S8: the balance is {balance}, {needed} needed")]
    Balance {
        /// What the account has.
        balance: u64,
        /// What the transaction takes.
        needed: u64,
    },
    /// S9.
    #[error("S9: the sender holds no edition of image {image}")]
    NotPurchased {
        /// Which image.
        image: u64,
    },
    /// S10.
    #[error("S10: the sender is not an issuer")]
    NotIssuer,
    /// S11.
    #[error("S11: {issued} were issued, {amount} more would pass 2^64")]
    SupplyOverflow {
        /// All deposits so far.
        issued: u64,
        /// The deposit asked for.
        amount: u64,
    },
    /// S12.
    #[error("S12: the sender is not a registrar")]
    NotRegistrar,
    /// S13.
    #[error("S13: {miner} is registered already")]
    AlreadyRegistered {
        /// Which miner.
        miner: PublicKey,
    },
    /// S14.
    #[error("S14: {miner} is not registered")]
    NotRegistered {
        /// Which miner.
        miner: PublicKey,
    },
    /// S15.
    #[error("S15: the last miner is not revoked")]
    LastMiner,
    /// S16.
    #[error("S16: {account} is already {}", if *admitted { "admitted" } else { "not admitted" })]
    NoChange {
        /// Which account.
        account: PublicKey,
        /// What it already is.
        admitted: bool,
    },
    /// S17.
    #[error("S17: image {image} has {sold} sold, {editions} editions are fewer")]
    FewerThanSold {
        /// Which image.
        image: u64,
        /// How many are sold.
        sold: u32,
        /// How many editions the listing says.
        editions: u32,
    },
    /// What a rule needs could not be read: this node's trouble, no rule.
    #[error(transparent)]
    View(#[from] ViewError),
}

impl StateError {
    /// The rule that was broken; none where the state could not be read.
    #[must_use]
    pub fn rule(&self) -> Option<Rule> {
        Some(match self {
            Self::Expired { .. } | Self::NotYet { .. } => Rule::S1,
            Self::Duplicate => Rule::S2,
            Self::NotAdmitted { .. } => Rule::S3,
            Self::SoldOut { .. } => Rule::S4,
            Self::AccountLimit { .. } => Rule::S5,
            Self::NotListed { .. } => Rule::S6,
            Self::Price { .. } => Rule::S7,
            Self::Balance { .. } => Rule::S8,
            Self::NotPurchased { .. } => Rule::S9,
            Self::NotIssuer => Rule::S10,
            Self::SupplyOverflow { .. } => Rule::S11,
            Self::NotRegistrar => Rule::S12,
            Self::AlreadyRegistered { .. } => Rule::S13,
            Self::NotRegistered { .. } => Rule::S14,
            Self::LastMiner => Rule::S15,
            Self::NoChange { .. } => Rule::S16,
            Self::FewerThanSold { .. } => Rule::S17,
            Self::View(_) => return None,
        })
    }

    /// Outside a block: nobody's, since it may look different to another node, or later. (Inside one, under a
    /// root that matches, the block's: see `BlockError`.)
    #[must_use]
    pub fn fault(&self) -> Fault {
        Fault::Nobody
    }
}

/// Verifies a transaction for the block at `height` on `view`: the state its parent left, with the
/// transactions before it.
///
/// # Errors
/// The first S rule broken, or [`StateError::View`].
pub fn verify_transaction(
    params: &Params,
    view: &impl StateView,
    height: u64,
    tx: &CheckedTransaction,
) -> Result<(), StateError> {
    verify_expiry(params, height, tx.expires_at())?;
    verify_not_confirmed(view, tx)?;
    let sender = tx.sender();
    match tx.action() {
        Action::Purchase { lines, total } => {
            verify_admitted(params, view, sender)?;
            for line in lines {
                verify_not_sold_out(params, view, line)?;
                verify_account_limit(params, view, sender, line)?;
                verify_listed(params, view, line.image)?;
            }
            verify_total(view, lines, *total)?;
            verify_balance(view, sender, *total)
        }
        Action::Review { image, .. } => {
            verify_admitted(params, view, sender)?;
            verify_purchased(view, sender, *image)
        }
        Action::Transfer { to, amount } => {
            verify_admitted(params, view, sender)?;
            verify_admitted(params, view, to)?;
            verify_balance(view, sender, *amount)
        }
        Action::Issue { amount, .. } => {
            verify_issuer(params, sender)?;
            verify_supply(view, *amount)
        }
        Action::Redeem { amount } => {
            verify_admitted(params, view, sender)?;
            verify_balance(view, sender, *amount)
        }
        Action::List { image, editions, .. } => {
            verify_registrar(params, sender)?;
            verify_not_fewer_than_sold(view, *image, *editions)
        }
        Action::RegisterMiner { miner, .. } => {
            verify_registrar(params, sender)?;
            verify_not_registered(view, miner)
        }
        Action::RevokeMiner { miner } => {
            verify_registrar(params, sender)?;
            verify_registered(view, miner)?;
            verify_not_last(view)
        }
        Action::Admit { account } => {
            verify_registrar(params, sender)?;
            verify_changes(view, account, true)
        }
        Action::Expel { account } => {
            verify_registrar(params, sender)?;
            verify_changes(view, account, false)
        }
    }
}

/// S1: `height <= expires_at <= height + max_validity`.
fn verify_expiry(params: &Params, height: u64, expires_at: u64) -> Result<(), StateError> {
    let latest = height.saturating_add(u64::from(params.max_validity));
    if expires_at < height {
        Err(StateError::Expired { expires_at, height })
    } else if expires_at > latest {
        Err(StateError::NotYet { expires_at, latest })
    } else {
        Ok(())
    }
}

/// S2: the txid stands in no ancestor block that could still hold it, nor earlier in this one.
fn verify_not_confirmed(view: &impl StateView, tx: &CheckedTransaction) -> Result<(), StateError> {
    if view.is_confirmed(tx.expires_at(), &tx.txid()) { Err(StateError::Duplicate) } else { Ok(()) }
}

/// S3: where `admission` is `registered`, the sender of a Purchase, Review, Transfer or Redeem, and the `to`
/// of a Transfer, are admitted, registrars or issuers.
fn verify_admitted(params: &Params, view: &impl StateView, account: &PublicKey) -> Result<(), StateError> {
    let admitted = params.admission == Admission::Open
        || params.is_registrar(account)
        || params.is_issuer(account)
        || view.account(account).admitted;
    if admitted { Ok(()) } else { Err(StateError::NotAdmitted { account: *account }) }
}

/// S4: `sold + quantity <=` the image's editions (unlisted: `max_editions`), else sold out.
fn verify_not_sold_out(params: &Params, view: &impl StateView, line: &Line) -> Result<(), StateError> {
    let edition = view.edition(line.image);
    let editions = edition.editions_or(params.max_editions);
    if u64::from(edition.sold).saturating_add(u64::from(line.quantity)) <= u64::from(editions) {
        Ok(())
    } else {
        let (image, requested) = (line.image, line.quantity);
        Err(StateError::SoldOut { image, editions, sold: edition.sold, requested })
    }
}

/// S5: where `max_per_account > 0`, what the sender holds of the image plus quantity stays within it.
fn verify_account_limit(
    params: &Params,
    view: &impl StateView,
    sender: &PublicKey,
    line: &Line,
) -> Result<(), StateError> {
    let max = params.max_per_account;
    if max == 0 {
        return Ok(());
    }
    let held = view.holding(sender, line.image)?.quantity;
    if u64::from(held).saturating_add(u64::from(line.quantity)) <= u64::from(max) {
        Ok(())
    } else {
        Err(StateError::AccountLimit { image: line.image, max, held, requested: line.quantity })
    }
}

/// S6: where `catalogue` is `listed`, the image is listed.
fn verify_listed(params: &Params, view: &impl StateView, image: u64) -> Result<(), StateError> {
    if params.catalogue == Catalogue::Open || view.edition(image).is_listed() {
        Ok(())
    } else {
        Err(StateError::NotListed { image })
    }
}

/// S7: `total` = sum of price x quantity (unlisted: price 0).
fn verify_total(view: &impl StateView, lines: &[Line], total: u64) -> Result<(), StateError> {
    let price = |line: &Line| u128::from(view.edition(line.image).price);
    // 256 lines of at most 2^64 times 2^32 stay below 2^104.
    let expected = lines
        .iter()
        .fold(0u128, |sum, line| sum.saturating_add(price(line).saturating_mul(u128::from(line.quantity))));
    if expected == u128::from(total) { Ok(()) } else { Err(StateError::Price { expected, got: total }) }
}

/// S8: the sender's balance covers it.
fn verify_balance(view: &impl StateView, sender: &PublicKey, needed: u64) -> Result<(), StateError> {
    let balance = view.account(sender).balance;
    if balance >= needed { Ok(()) } else { Err(StateError::Balance { balance, needed }) }
}

/// S9: the sender holds the image.
fn verify_purchased(view: &impl StateView, sender: &PublicKey, image: u64) -> Result<(), StateError> {
    if view.holding(sender, image)?.quantity > 0 { Ok(()) } else { Err(StateError::NotPurchased { image }) }
}

/// S10: the sender is an issuer.
fn verify_issuer(params: &Params, sender: &PublicKey) -> Result<(), StateError> {
    if params.is_issuer(sender) { Ok(()) } else { Err(StateError::NotIssuer) }
}

/// S11: the total ever issued stays below 2^64.
fn verify_supply(view: &impl StateView, amount: u64) -> Result<(), StateError> {
    let issued = view.supply().issued;
    match issued.checked_add(amount) {
        Some(_) => Ok(()),
        None => Err(StateError::SupplyOverflow { issued, amount }),
    }
}

/// S12: the sender is a registrar.
fn verify_registrar(params: &Params, sender: &PublicKey) -> Result<(), StateError> {
    if params.is_registrar(sender) { Ok(()) } else { Err(StateError::NotRegistrar) }
}

/// S13: a miner is registered once.
fn verify_not_registered(view: &impl StateView, miner: &PublicKey) -> Result<(), StateError> {
    match view.miner(miner) {
        Some(_) => Err(StateError::AlreadyRegistered { miner: *miner }),
        None => Ok(()),
    }
}

/// S14: only a registered one is revoked.
fn verify_registered(view: &impl StateView, miner: &PublicKey) -> Result<(), StateError> {
    match view.miner(miner) {
        Some(_) => Ok(()),
        None => Err(StateError::NotRegistered { miner: *miner }),
    }
}

/// S15: never the last.
fn verify_not_last(view: &impl StateView) -> Result<(), StateError> {
    if view.miner_count() > 1 { Ok(()) } else { Err(StateError::LastMiner) }
}

/// S16: Admit and Expel change something.
fn verify_changes(view: &impl StateView, account: &PublicKey, admitted: bool) -> Result<(), StateError> {
    if view.account(account).admitted == admitted {
        Err(StateError::NoChange { account: *account, admitted })
    } else {
        Ok(())
    }
}

/// S17: List keeps editions >= sold.
fn verify_not_fewer_than_sold(view: &impl StateView, image: u64, editions: u32) -> Result<(), StateError> {
    let sold = view.edition(image).sold;
    if editions >= sold { Ok(()) } else { Err(StateError::FewerThanSold { image, sold, editions }) }
}
