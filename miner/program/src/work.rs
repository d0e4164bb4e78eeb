//! Work: a template that was checked before a single hash is spent on it.
//!
//! A node is believed in nothing that can be checked here: the header is one of ours to sign, its target is what its
//! bits say and no easier than the network's, its name is its id. Whether its roots are right only the node knows;
//! what follows from a wrong one is a refused block, never a signature over something else than a block.

use std::fmt;

use printsy_consensus::{Hash, Header, PublicKey, Target, VERSION, transactions_root};
use printsy_rpc::Address;
use printsy_rpc::mining::Template;

/// What is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Another version of the protocol.
    #[error("its header has version {got}, and this program knows {VERSION}: look for a newer one")]
    Version {
        /// The header's.
        got: u32,
    },
    /// Somebody else's block.
    #[error("its header names the miner {got}, expected {expected}")]
    Miner {
        /// The header's.
        got: Address,
        /// The key that was asked for.
        expected: Address,
    },
    /// A nonce that is set already.
    #[error("its header has the nonce {got}, expected 0")]
    Nonce {
        /// The header's.
        got: u64,
    },
    /// It is called by another name than its header's id.
    #[error("it is called {got}, and its header's id is {expected}")]
    Name {
        /// As the node calls it.
        got: Hash,
        /// The header's id.
        expected: Hash,
    },
    /// Bits that stand for no target.
    #[error("its header's bits {got:08x} stand for no target")]
    Bits {
        /// The header's.
        got: u32,
    },
    /// The node's target is not what the header says.
    #[error("its target is not what its header's bits {bits:08x} stand for")]
    Target {
        /// The header's.
        bits: u32,
    },
    /// Easier than any block of this network.
    #[error("its bits {got:08x} are easier than this network's easiest, {easiest:08x}")]
    TooEasy {
        /// The header's.
        got: u32,
        /// The genesis'.
        easiest: u32,
    },
    /// What the node tells beside the header is not what the header says.
    #[error("its {what} is not its header's")]
    Beside {
        /// Which field.
        what: &'static str,
    },
    /// Nobody may take it before its own time: a slot later than that is a mistake.
    #[error("it is not to be taken before {not_before} ms, later than its header's own time {time} ms")]
    Slot {
        /// As the node says.
        not_before: u64,
        /// The header's.
        time: u64,
    },
}

/// A header worth hashing, and what its block waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    id: Hash,
    header: Header,
    target: Target,
    interval_ms: u64,
    transactions: u64,
}

/// What a miner has to know of its network to judge a template.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The easiest target ever, compact.
    pub easiest: u32,
    /// How long after its parent a block's time is at the least (H6), ms.
    pub interval_ms: u64,
}

impl Work {
    /// The work that `template` is, for `miner`, on a network with these limits.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn check(template: &Template, miner: &PublicKey, limits: Limits) -> Result<Self, TemplateError> {
        let header = Header::from_bytes(&template.header.0);
        check_header(&header, miner)?;
        let target = check_target(template, &header, limits.easiest)?;
        check_beside(template, &header)?;
        Ok(Self {
            id: header.id(),
            header,
            target,
            interval_ms: limits.interval_ms,
            transactions: template.transactions,
        })
    }

    /// The template's name: its header's id.
    #[must_use]
    pub fn id(&self) -> Hash {
        self.id
    }

    /// The header, with nonce 0.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The number that the block's id must not exceed.
    #[must_use]
    pub fn target(&self) -> Target {
        self.target
    }

    /// The longest that a block waits for its time once its parent is known to the node, ms (H6). Peers take it by then:
    /// the node took the parent by its own clock (H7), and gave this block a time this much after the parent's, or the
    /// time it was.
    #[must_use]
    pub fn interval_ms(&self) -> u64 {
        self.interval_ms
    }

    /// How many transactions it holds, as the node says.
    #[must_use]
    pub fn transactions(&self) -> u64 {
        self.transactions
    }

    /// Whether the block holds nothing, by its root: then header and signature are the whole block.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.header.transactions_root == transactions_root(&[])
    }
}

fn check_header(header: &Header, miner: &PublicKey) -> Result<(), TemplateError> {
    if header.version != VERSION {
        return Err(TemplateError::Version { got: header.version });
    }
    if header.miner != *miner {
        return Err(TemplateError::Miner { got: Address(header.miner), expected: Address(*miner) });
    }
    if header.nonce != 0 {
        return Err(TemplateError::Nonce { got: header.nonce });
    }
    Ok(())
}

fn check_target(template: &Template, header: &Header, easiest: u32) -> Result<Target, TemplateError> {
    let bits = header.bits;
    let target = Target::from_bits(bits).ok_or(TemplateError::Bits { got: bits })?;
    if template.target.0 != target.to_be_bytes() {
        return Err(TemplateError::Target { bits });
    }
    // Section 5: a target is at most genesis' target.
    match Target::from_bits(easiest) {
        Some(most) if target <= most => Ok(target),
        _ => Err(TemplateError::TooEasy { got: bits, easiest }),
    }
}

fn check_beside(template: &Template, header: &Header) -> Result<(), TemplateError> {
    let id = header.id();
    if Hash::from(template.template_id) != id {
        return Err(TemplateError::Name { got: template.template_id.into(), expected: id });
    }
    if template.height != header.height {
        return Err(TemplateError::Beside { what: "height" });
    }
    if Hash::from(template.parent) != header.parent {
        return Err(TemplateError::Beside { what: "parent" });
    }
    if template.not_before > header.time {
        return Err(TemplateError::Slot { not_before: template.not_before, time: header.time });
    }
    Ok(())
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "height {} on {}", self.header.height, self.header.parent)
    }
}

#[cfg(test)]
mod tests {
    use printsy_consensus::SecretKey;
    use printsy_rpc::Hex;

    use super::*;

    const EASIEST: u32 = 0x207f_ffff;
    const LIMITS: Limits = Limits { easiest: EASIEST, interval_ms: 500 };

    fn miner() -> PublicKey {
        SecretKey::development("miner-1").public_key()
    }

    fn header() -> Header {
        Header {
            version: VERSION,
            parent: Hash([1; 32]),
            transactions_root: transactions_root(&[]),
            state_root: Hash([2; 32]),
            height: 7,
            time: 10_000,
            bits: EASIEST,
            miner: miner(),
            nonce: 0,
        }
    }

    fn told(header: Header) -> Template {
        Template {
            template_id: header.id().into(),
            header: header.to_bytes().into(),
            target: Target::from_bits(header.bits).map_or(Hex([0; 32]), |t| t.to_be_bytes().into()),
            height: header.height,
            parent: header.parent.into(),
            transactions: 0,
            not_before: 0,
        }
    }

    fn judge(template: &Template) -> Result<Work, TemplateError> {
        Work::check(template, &miner(), LIMITS)
    }

    #[test]
    fn an_honest_template_is_work() {
        let work = judge(&told(header())).unwrap();
        assert_eq!((work.header(), work.is_empty()), (&header(), true));
        let full = Header { transactions_root: Hash([9; 32]), ..header() };
        assert!(!judge(&told(full)).unwrap().is_empty(), "by its root, whatever the node counts");
        let at_its_time = Template { not_before: 10_000, ..told(header()) };
        assert!(judge(&at_its_time).is_ok());
    }

    #[test]
    fn each_thing_that_can_be_wrong_with_a_header_is_named() {
        let other = SecretKey::development("miner-2").public_key();
        for (wrong, says) in [
            (Header { version: 2, ..header() }, "version 2"),
            (Header { miner: other, ..header() }, "names the miner"),
            (Header { nonce: 1, ..header() }, "nonce 1"),
            (Header { bits: 0, ..header() }, "no target"),
            (Header { bits: 0x2100_ffff, ..header() }, "easier"),
        ] {
            let error = judge(&told(wrong)).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        let judge_where =
            |easiest| Work::check(&told(header()), &miner(), Limits { easiest, ..LIMITS }).unwrap_err();
        let easier = judge_where(0x1f00_ffff);
        assert_eq!(easier, TemplateError::TooEasy { got: EASIEST, easiest: 0x1f00_ffff });
        let without_a_target = judge_where(0);
        assert_eq!(without_a_target, TemplateError::TooEasy { got: EASIEST, easiest: 0 });
    }

    #[test]
    fn each_thing_that_is_told_beside_the_header_is_held_against_it() {
        for (wrong, says) in [
            (Template { template_id: Hex([3; 32]), ..told(header()) }, "it is called"),
            (Template { target: Hex([0xff; 32]), ..told(header()) }, "target"),
            (Template { height: 8, ..told(header()) }, "height"),
            (Template { parent: Hex([0; 32]), ..told(header()) }, "parent"),
            (Template { not_before: 10_001, ..told(header()) }, "not to be taken before"),
        ] {
            let error = judge(&wrong).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
