//! Admission: the S rules against the tip, then against what waits already.
//!
//! `Mempool::verify` is the table of contents. The first part is consensus' own `verify_transaction`; the rest
//! keeps the entries independent of one another.

use std::fmt;

use printsy_consensus::codec::{Decode, Encode};
use printsy_consensus::{
    Action, CheckedTransaction, Line, MAX_TRANSACTION_BYTES, PublicKey, Rule, StateError, StateView,
    verify_transaction,
};

use super::{
    Chain, EXPIRY_MARGIN, MAX_BYTES, MAX_PER_ACCOUNT, MAX_TRANSACTIONS, Mempool, RESERVED_PLACES, pending,
};

/// Why an order is not admitted now. Its bytes are kept over a stop of the node: a new variant stands last.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, thiserror::Error)]
#[bincode(crate = "printsy_consensus::codec::bincode")]
pub enum AdmitError {
    /// It breaks an S rule at the tip, or would together with what waits already.
    #[error(transparent)]
    State(#[from] StateError),
    /// S8, but waiting credits would cover it once they are confirmed.
    #[error("{0}; a pending credit would cover it")]
    AwaitsCredit(StateError),
    /// It expires too soon to be mined safely.
    #[error("it expires at height {expires_at}, orders are taken up to expiry {earliest} at the least")]
    ExpiresTooSoon {
        /// The last height that may include it.
        expires_at: u64,
        /// The earliest expiry taken now.
        earliest: u64,
    },
    /// The copies left are in other pending purchases (or a pending listing takes them away).
    #[error(
        "image {image} has {sold} of {editions} sold and {pending} in other pending purchases, {requested} requested"
    )]
    HeldByPending {
        /// Which image.
        image: u64,
        /// How many editions there are.
        editions: u32,
        /// How many are sold.
        sold: u32,
        /// How many other pending purchases hold.
        pending: u64,
        /// How many were asked for.
        requested: u32,
    },
    /// Another registrar's action on the same image, miner or account is pending.
    #[error("another registrar's action on the same image, miner or account is pending")]
    ActionPending,
    /// The mempool is full, or holds as many orders of this account as it takes.
    #[error("the mempool is full: {bound}")]
    Full {
        /// Which bound is reached.
        bound: PoolBound,
    },
}

/// A bound of the mempool. A new variant stands last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[bincode(crate = "printsy_consensus::codec::bincode")]
pub enum PoolBound {
    /// How many orders wait.
    Orders,
    /// How many bytes they have.
    Bytes,
    /// How many orders of one account wait.
    Account,
}

impl fmt::Display for PoolBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Orders => "as many orders wait as it takes",
            Self::Bytes => "as many bytes wait as it takes",
            Self::Account => "as many orders of this account wait as it takes",
        })
    }
}

impl AdmitError {
    /// The rule that is broken; none for bounds of this node.
    #[must_use]
    pub fn rule(&self) -> Option<Rule> {
        match self {
            Self::State(error) | Self::AwaitsCredit(error) => error.rule(),
            _ => None,
        }
    }

    /// Whether the same bytes may be admitted later without the chain having to take anything back.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::State(StateError::NotYet { .. } | StateError::View(_)) => true,
            Self::State(_) | Self::ExpiresTooSoon { .. } => false,
            Self::AwaitsCredit(_) | Self::HeldByPending { .. } | Self::ActionPending | Self::Full { .. } => {
                true
            }
        }
    }
}

/// An order is refused that expires under the next height plus the margin.
pub(super) fn check_margin(
    chain: &Chain<'_, impl StateView>,
    tx: &CheckedTransaction,
) -> Result<(), AdmitError> {
    let (expires_at, height) = (tx.expires_at(), chain.next_height);
    // A network whose orders may not even live that long has a margin of none.
    let margin = EXPIRY_MARGIN.min(u64::from(chain.params.max_validity) / 2);
    let earliest = height.saturating_add(margin);
    if expires_at < height {
        return Err(StateError::Expired { expires_at, height }.into());
    }
    if expires_at < earliest { Err(AdmitError::ExpiresTooSoon { expires_at, earliest }) } else { Ok(()) }
}

impl Mempool {
    /// Whether an order could join those that wait: the table of contents.
    pub(super) fn verify(
        &self,
        chain: &Chain<'_, impl StateView>,
        tx: &CheckedTransaction,
    ) -> Result<(), AdmitError> {
        verify_transaction(chain.params, chain.view, chain.next_height, tx)
            .map_err(|error| self.with_pending_credit(chain, tx, error))?;
        self.verify_room(tx)?;
        if let Action::Purchase { lines, .. } = tx.action() {
            for line in lines {
                self.verify_copies(chain, line)?;
                self.verify_account_limit(chain, tx, line)?;
            }
        }
        self.verify_balance(chain, tx)?;
        self.verify_supply(chain, tx)?;
        self.verify_action(tx)?;
        self.verify_listing(chain, tx)?;
        self.verify_revocation(chain, tx)
    }

    /// Bounded in count, bytes and per account.
    fn verify_room(&self, tx: &CheckedTransaction) -> Result<(), AdmitError> {
        let full = |bound| Err(AdmitError::Full { bound });
        // Nobody's flood keeps a registrar from stopping it.
        let reserved = if pending::action_key(tx.action()).is_some() { RESERVED_PLACES } else { 0 };
        if self.entries.len() >= MAX_TRANSACTIONS + reserved {
            return full(PoolBound::Orders);
        }
        if self.bytes.saturating_add(tx.bytes().len()) > MAX_BYTES + reserved * MAX_TRANSACTION_BYTES {
            return full(PoolBound::Bytes);
        }
        if self.pending.orders(tx.sender()) >= MAX_PER_ACCOUNT as u64 {
            return full(PoolBound::Account);
        }
        Ok(())
    }

    /// Per image: pending <= editions - sold, also under a listing that waits.
    fn verify_copies(&self, chain: &Chain<'_, impl StateView>, line: &Line) -> Result<(), AdmitError> {
        let edition = chain.view.edition(line.image);
        let now = edition.editions_or(chain.params.max_editions);
        let editions = self.pending.listed_editions(line.image).map_or(now, |listed| listed.min(now));
        let pending = self.pending.copies(line.image);
        if u64::from(edition.sold) + pending + u64::from(line.quantity) <= u64::from(editions) {
            return Ok(());
        }
        let (image, sold, requested) = (line.image, edition.sold, line.quantity);
        Err(AdmitError::HeldByPending { image, editions, sold, pending, requested })
    }

    /// Per account and image: held and pending together within S5.
    fn verify_account_limit(
        &self,
        chain: &Chain<'_, impl StateView>,
        tx: &CheckedTransaction,
        line: &Line,
    ) -> Result<(), AdmitError> {
        let max = chain.params.max_per_account;
        if max == 0 {
            return Ok(());
        }
        let held = chain.view.holding(tx.sender(), line.image).map_err(StateError::from)?.quantity;
        let held = u64::from(held) + self.pending.copies_of(*tx.sender(), line.image);
        if held + u64::from(line.quantity) <= u64::from(max) {
            return Ok(());
        }
        let held = u32::try_from(held).unwrap_or(u32::MAX);
        Err(StateError::AccountLimit { image: line.image, max, held, requested: line.quantity }.into())
    }

    /// Per account: pending debits <= balance; pending credits do not count.
    fn verify_balance(
        &self,
        chain: &Chain<'_, impl StateView>,
        tx: &CheckedTransaction,
    ) -> Result<(), AdmitError> {
        let Some(needed) = pending::debit(tx.action()) else { return Ok(()) };
        let left = self.unspent(chain, tx.sender());
        if left >= u128::from(needed) {
            return Ok(());
        }
        let balance = u64::try_from(left).unwrap_or(u64::MAX);
        Err(self.with_pending_credit(chain, tx, StateError::Balance { balance, needed }))
    }

    /// What is left of an account's balance once all that waits is done.
    fn unspent(&self, chain: &Chain<'_, impl StateView>, account: &PublicKey) -> u128 {
        let balance = u128::from(chain.view.account(account).balance);
        balance.saturating_sub(self.pending.debits(account))
    }

    /// S8 that waiting credits would cover, beside the debits that wait, is told apart.
    fn with_pending_credit(
        &self,
        chain: &Chain<'_, impl StateView>,
        tx: &CheckedTransaction,
        error: StateError,
    ) -> AdmitError {
        match error {
            StateError::Balance { needed, .. }
                if self.unspent(chain, tx.sender()) + self.pending.credits(tx.sender())
                    >= u128::from(needed) =>
            {
                AdmitError::AwaitsCredit(error)
            }
            error => error.into(),
        }
    }

    /// S11 over all deposits that wait.
    fn verify_supply(
        &self,
        chain: &Chain<'_, impl StateView>,
        tx: &CheckedTransaction,
    ) -> Result<(), AdmitError> {
        let Action::Issue { amount, .. } = tx.action() else { return Ok(()) };
        let issued = chain.view.supply().issued;
        let sum = u128::from(issued) + self.pending.issued() + u128::from(*amount);
        if sum <= u128::from(u64::MAX) {
            return Ok(());
        }
        Err(StateError::SupplyOverflow { issued, amount: *amount }.into())
    }

    /// One pending registrar's action per key.
    fn verify_action(&self, tx: &CheckedTransaction) -> Result<(), AdmitError> {
        match pending::action_key(tx.action()) {
            Some(key) if self.pending.has_action(&key) => Err(AdmitError::ActionPending),
            _ => Ok(()),
        }
    }

    /// S17 with all pending purchases of the image sold.
    fn verify_listing(
        &self,
        chain: &Chain<'_, impl StateView>,
        tx: &CheckedTransaction,
    ) -> Result<(), AdmitError> {
        let Action::List { image, editions, .. } = *tx.action() else { return Ok(()) };
        let (sold, pending) = (chain.view.edition(image).sold, self.pending.copies(image));
        if u64::from(sold) + pending <= u64::from(editions) {
            return Ok(());
        }
        Err(AdmitError::HeldByPending { image, editions, sold, pending, requested: 0 })
    }

    /// S15 with all pending revocations done.
    fn verify_revocation(
        &self,
        chain: &Chain<'_, impl StateView>,
        tx: &CheckedTransaction,
    ) -> Result<(), AdmitError> {
        match tx.action() {
            Action::RevokeMiner { .. } if chain.view.miner_count() <= self.pending.revocations() + 1 => {
                Err(StateError::LastMiner.into())
            }
            _ => Ok(()),
        }
    }
}
