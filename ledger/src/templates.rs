//! Templates of the ledger: made on the tip, and verified like any block before anybody gets them.
//!
//! [`Ledger::empty_template`] is there at once on a new tip, [`Ledger::template`] holds all that the mempool has and
//! fits. What goes out was judged by the functions that judge blocks, on the parent's state: header rules by the header
//! tree, B1 and B2 by consensus' check of bodies, B3 to B5 and the S rules by those of its execution.
//!
//! # Correctness
//! A body is executed once, order by order, each at its place on what those before it left: what a block's verification
//! does. It grows by new orders alone, in steps that leave the ledger's thread its time ([`Ledger::grow_template`]). As
//! long as it is small, the whole is executed anew as one block, state root and all, when it has grown. A template that
//! fails is a mistake of this program: it is said, thrown away with its builder, and the empty one goes out instead.

use printsy_consensus::{
    BlockCheckError, BlockError, HeaderError, PublicKey, check_body, verify_and_apply_body, verify_miner,
    verify_per_sender,
};

use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::state::LedgerView;
use crate::template::{Template, TemplateBuilder};

/// Up to how many orders a body that has grown is executed anew as one block: some ten milliseconds.
const MAX_ANEW: usize = 256;

/// Why no template can be made.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// B3: this miner may not make the next block, nor any until it is registered.
    #[error(transparent)]
    Miner(BlockError),
    /// B4: this miner has to pause.
    #[error("{error}; it may make block {height}")]
    Pause {
        /// The rule it would break.
        error: BlockError,
        /// The height of the next block that it may make, as miners are registered now.
        height: u64,
    },
    /// What was made is no valid block: a mistake of this program.
    #[error("the template made breaks a rule: {0}")]
    Invalid(#[from] TemplateFault),
    /// The state could not be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Which rule a template breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateFault {
    /// H2, H3, H4 or H6.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// B1 or B2.
    #[error(transparent)]
    Body(#[from] BlockCheckError),
    /// B3 to B6, or an S rule.
    #[error(transparent)]
    Block(BlockError),
}

impl Ledger {
    /// The template for `miner` at `now` (ms), with all that the mempool has and fits.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn template(&mut self, miner: PublicKey, now: u64) -> Result<Template, TemplateError> {
        self.verify_next_miner(&miner)?;
        self.grow_template(usize::MAX)?;
        self.present_template(miner, now)
    }

    /// Whether this miner may make the next block.
    ///
    /// # Errors
    /// B3 or B4; the ledger's own trouble.
    pub fn may_make_next(&self, miner: &PublicKey) -> Result<(), TemplateError> {
        self.verify_next_miner(miner).map(drop)
    }

    /// Puts what the mempool has and fits into the body that templates on this tip share, at most `limit` orders; whether
    /// there may be more.
    ///
    /// # Errors
    /// Where the state cannot be read.
    pub fn grow_template(&mut self, limit: usize) -> Result<bool, LedgerError> {
        let mut builder = self.present_builder();
        let view = LedgerView { state: &self.state, index: &self.index };
        let added = builder.extend(self.genesis.params(), &view, &self.mempool, limit)?;
        self.templated_orders += u64::try_from(added).unwrap_or(u64::MAX);
        self.template = Some(builder);
        Ok(added >= limit)
    }

    /// The template for `miner` at `now` (ms), with what was put into the body on this tip before: at once, but not all
    /// that the mempool may have by now.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn present_template(&mut self, miner: PublicKey, now: u64) -> Result<Template, TemplateError> {
        let recent = self.verify_next_miner(&miner)?;
        let mut builder = self.present_builder();
        let view = LedgerView { state: &self.state, index: &self.index };
        let template = builder.template(self.genesis.params(), &view, miner, now);
        let verified = if builder.take_grown() {
            self.verify(&template, &recent)
        } else {
            self.verify_header(&template)
        };
        self.hand_out(builder, template, verified, now)
    }

    /// The template for `miner` at `now` (ms) that holds nothing: at once on a new tip.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn empty_template(&self, miner: PublicKey, now: u64) -> Result<Template, TemplateError> {
        let recent = self.verify_next_miner(&miner)?;
        let view = LedgerView { state: &self.state, index: &self.index };
        let template = self.new_builder().template(self.genesis.params(), &view, miner, now);
        self.verify(&template, &recent)?;
        Ok(template)
    }

    /// How many times an order was put into the template of a tip, since the start.
    #[must_use]
    pub fn templated_orders(&self) -> u64 {
        self.templated_orders
    }

    /// How many templates made broke a rule since the start: mistakes of this program.
    #[must_use]
    pub fn template_faults(&self) -> u64 {
        self.template_faults
    }

    fn hand_out(
        &mut self,
        builder: TemplateBuilder,
        template: Template,
        verified: Result<(), TemplateError>,
        now: u64,
    ) -> Result<Template, TemplateError> {
        match verified {
            Ok(()) => {
                self.template = Some(builder);
                Ok(template)
            }
            Err(TemplateError::Invalid(fault)) => {
                self.template_faults += 1;
                let (height, orders) = (template.header.height, template.transactions.len());
                tracing::error!(height, orders, %fault, "the template made breaks a rule; an empty one goes out");
                self.empty_template(template.header.miner, now)
            }
            Err(other) => Err(other),
        }
    }

    /// B3 and B4 for the next block; the makers of the blocks before it, the latest first.
    fn verify_next_miner(&self, miner: &PublicKey) -> Result<Vec<PublicKey>, TemplateError> {
        let recent = self.recent_miners(&self.tip.id(), self.state.miners.len())?;
        let view = LedgerView { state: &self.state, index: &self.index };
        match verify_miner(self.genesis.params(), &view, &recent, miner) {
            Ok(()) => Ok(recent),
            Err(error @ BlockError::MinerSpacing { spacing, .. }) => {
                let back = recent.iter().position(|maker| maker == miner).unwrap_or(0);
                let wait = u64::try_from(spacing.saturating_sub(back)).unwrap_or(u64::MAX);
                let height = self.tip.height().saturating_add(1).saturating_add(wait);
                Err(TemplateError::Pause { error, height })
            }
            Err(error) => Err(TemplateError::Miner(error)),
        }
    }

    fn present_builder(&mut self) -> TemplateBuilder {
        let current = self.template.take().filter(|builder| builder.parent_id() == self.tip.id());
        current.unwrap_or_else(|| self.new_builder())
    }

    fn new_builder(&self) -> TemplateBuilder {
        let tip = self.tip.header;
        let bits = self.tree.next_bits(&tip.id()).expect("the tip is in the tree");
        TemplateBuilder::new(*tip.header(), tip.id(), bits, self.state.tree.clone())
    }

    /// Every rule that a block on this tip must keep, but those of its work and its signature, and H7, which is kept
    /// by when it is submitted. The S rules and the state root were kept as the body grew; where it is small they are
    /// held against it once more.
    fn verify(&self, template: &Template, recent: &[PublicKey]) -> Result<(), TemplateError> {
        self.verify_header(template)?;
        let (params, header) = (self.genesis.params(), &template.header);
        let transactions = &template.transactions;
        check_body(params, header, transactions).map_err(TemplateFault::Body)?;
        let whole = if transactions.len() > MAX_ANEW {
            verify_per_sender(params, transactions)
        } else {
            let view = LedgerView { state: &self.state, index: &self.index };
            let tree = &self.state.tree;
            verify_and_apply_body(params, &view, tree, recent, header, transactions).map(drop)
        };
        whole.map_err(|error| match LedgerError::from_view(&error) {
            Some(own) => own.into(),
            None => TemplateFault::Block(error).into(),
        })
    }

    /// H2, H3, H4 and H6.
    fn verify_header(&self, template: &Template) -> Result<(), TemplateError> {
        let placed = self.tree.verify_unmined(&template.header, u64::MAX);
        Ok(placed.map(drop).map_err(TemplateFault::Header)?)
    }
}
