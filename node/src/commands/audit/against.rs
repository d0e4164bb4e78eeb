//! Our chain against another node's: the first block that differs, by bisection over the heights.
//!
//! A block's id binds its state root and all that came before it, so that two chains agree up to some height and
//! nowhere above it. Tips differ all the time; what differs below our final block is a finding. The other node runs
//! on meanwhile: where its chain moves under the search, the search begins again.

use std::path::Path;
use std::sync::Arc;

use printsy_consensus::{Genesis, Hash, SignedHeader};
use printsy_ledger::audit::{self, Chain};
use printsy_ledger::store::{Disk, JournalReader, StoreError};
use printsy_rpc::block::HeaderInfo;

use super::damage_or_failure;
use crate::commands::other_node::{self, OtherNode};
use crate::exit::Failure;

/// How often the search begins again where the other node's chain moves meanwhile.
const MAX_SEARCHES: u32 = 5;

/// A block by its height.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) height: u64,
    pub(super) hash: Hash,
    pub(super) state_root: Hash,
}

impl Place {
    fn of(signed: &SignedHeader) -> Self {
        let header = &signed.header;
        Self { height: header.height, hash: header.id(), state_root: header.state_root }
    }

    fn told(header: &HeaderInfo) -> Self {
        Self { height: header.height, hash: header.hash.into(), state_root: header.state_root.into() }
    }
}

/// What comparing came to.
#[derive(Clone, Debug)]
pub(super) struct Comparison {
    pub(super) url: String,
    /// Our last block and the other's.
    pub(super) tips: Option<(Place, Place)>,
    /// The last block that both have.
    pub(super) common: Option<Place>,
    /// The first blocks that differ, ours and theirs; none where one chain is the other's beginning.
    pub(super) different: Option<(Place, Place)>,
    /// The whole in a sentence.
    pub(super) what: String,
    /// Whether the difference lies where nothing may differ any more.
    pub(super) is_wrong: bool,
}

impl Comparison {
    /// Our chain cannot be read: the audit says why.
    pub(super) fn impossible(url: &str, why: &str) -> Self {
        let what = format!("not compared with {url}: {why}");
        Self { url: url.to_owned(), tips: None, common: None, different: None, what, is_wrong: false }
    }
}

/// Compares with the node at `url`. The inner error is damage that keeps our own chain from being read.
///
/// # Errors
/// Exit code 6 where it is of another network, 2 for a URL or a token's file that is none, 1 where it does not answer.
pub(super) fn compare(
    url: &str,
    token_file: Option<&Path>,
    genesis: &Arc<Genesis>,
    disk: &Arc<dyn Disk>,
) -> Result<Result<Comparison, StoreError>, Failure> {
    let theirs = OtherNode::new(url, token_file)?;
    let ours = match damage_or_failure(Ours::read(genesis, disk))? {
        Ok(ours) => ours,
        Err(damage) => return Ok(Err(damage)),
    };
    other_node::run(search(&ours, &theirs)).map(Ok)
}

/// Our chain, as the journal has it.
struct Ours {
    genesis: Arc<Genesis>,
    journal: JournalReader,
    chain: Chain,
}

impl Ours {
    fn read(genesis: &Arc<Genesis>, disk: &Arc<dyn Disk>) -> Result<Self, StoreError> {
        let journal = JournalReader::open(disk.clone(), genesis.hash())?;
        let chain = Chain::read(&journal)?;
        Ok(Self { genesis: genesis.clone(), journal, chain })
    }

    fn at(&self, height: u64) -> Result<Place, Failure> {
        let signed = audit::header_at(&self.genesis, &self.journal, &self.chain, height)?;
        let signed = signed.expect("only heights of the chain are asked for");
        Ok(Place::of(&signed))
    }
}

/// Searches until the other node's chain stays where it is for so long.
async fn search(ours: &Ours, theirs: &OtherNode) -> Result<Comparison, Failure> {
    for _ in 0..MAX_SEARCHES {
        if let Some(comparison) = search_once(ours, theirs).await? {
            return Ok(comparison);
        }
    }
    let url = theirs.url();
    Err(Failure::Runtime(format!("the chain of the node at {url} does not stand still; compare again later")))
}

/// One search; nothing where the other chain moved under it.
async fn search_once(ours: &Ours, theirs: &OtherNode) -> Result<Option<Comparison>, Failure> {
    let chain = theirs.chain(&ours.genesis).await?;
    let our_tip = ours.at(ours.chain.height())?;
    let Some(their_tip) = theirs.header_at(chain.tip.height).await? else { return Ok(None) };
    let their_tip = Place::told(&their_tip);
    let top = our_tip.height.min(their_tip.height);
    let Some(low) = theirs.last_common(top, |height| Ok(ours.at(height)?.hash)).await? else {
        return Ok(None);
    };
    let common = ours.at(low)?;
    let different = if low == top {
        None
    } else {
        match (ours.at(low + 1)?, theirs.header_at(low + 1).await?.as_ref().map(Place::told)) {
            (our, Some(their)) if our.hash != their.hash => Some((our, their)),
            _ => return Ok(None),
        }
    };
    Ok(Some(judge(theirs.url(), ours.chain.final_height(), (our_tip, their_tip), common, different)))
}

/// What it means.
fn judge(
    url: &str,
    final_height: u64,
    tips: (Place, Place),
    common: Place,
    different: Option<(Place, Place)>,
) -> Comparison {
    let is_wrong = different.is_some_and(|(our, _)| our.height <= final_height);
    let (ours, theirs) = (tips.0.height, tips.1.height);
    let what = match different {
        Some((our, their)) => format!(
            "the chains differ from height {} on: ours has {}, that of {url} has {}; both have {} at height {}; our \
             final height is {final_height}{}",
            our.height,
            our.hash,
            their.hash,
            common.hash,
            common.height,
            if is_wrong { ", so one of the two is wrong for good" } else { ", so the tips may still meet" },
        ),
        None if theirs < ours => {
            format!(
                "the chain of {url} is shorter, {theirs} blocks to our {ours}, and the same as far as it goes"
            )
        }
        None if theirs > ours => {
            format!("the chain of {url} is longer, {theirs} blocks to our {ours}, and begins with ours")
        }
        None => format!("the chain of {url} is the same, {ours} blocks"),
    };
    let url = url.to_owned();
    Comparison { url, tips: Some(tips), common: Some(common), different, what, is_wrong }
}
