//! Our chain against another node's: the first block that differs, by bisection over the heights.
//!
//! A block's id binds its state root and all that came before it, so that two chains agree up to some height and
//! nowhere above it. Tips differ all the time; what differs below our final block is a finding. The other node runs
//! on meanwhile: where its chain moves under the search, the search begins again.

use std::sync::Arc;
use std::time::Duration;

use printsy_consensus::{Genesis, Hash, SignedHeader};
use printsy_ledger::audit::{self, Chain};
use printsy_ledger::store::{Disk, JournalReader, StoreError};
use printsy_rpc::block::{BlockSelector, GetHeader, GetHeaderParams, HeaderInfo};
use printsy_rpc::chain::GetChain;
use printsy_rpc::{Client, ClientError, Method, NoParams};

use super::damage_or_failure;
use crate::exit::Failure;

/// How long the other node has for one answer.
const PATIENCE: Duration = Duration::from_secs(30);

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
/// Exit code 6 where it is of another network, 2 for a URL that is none, 1 where it does not answer.
pub(super) fn compare(
    url: &str,
    genesis: &Arc<Genesis>,
    disk: &Arc<dyn Disk>,
) -> Result<Result<Comparison, StoreError>, Failure> {
    let client = Client::new(url).map_err(|error| Failure::Usage(error.to_string()))?;
    let ours = match damage_or_failure(Ours::read(genesis, disk))? {
        Ok(ours) => ours,
        Err(damage) => return Ok(Err(damage)),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Runtime(format!("cannot start the runtime: {error}")))?;
    runtime.block_on(search(&ours, &Theirs { client })).map(Ok)
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

/// The other node.
struct Theirs {
    client: Client,
}

impl Theirs {
    async fn call<M: Method>(&self, params: &M::Params) -> Result<Option<M::Result>, Failure> {
        let url = self.client.url();
        let failed = |why: String| Failure::Runtime(format!("cannot compare with the node at {url}: {why}"));
        match tokio::time::timeout(PATIENCE, self.client.call::<M>(params)).await {
            Err(_) => Err(failed(format!("no answer to {} within {PATIENCE:?}", M::NAME))),
            Ok(Ok(answer)) => Ok(Some(answer)),
            Ok(Err(ClientError::Refused(_))) => Ok(None),
            Ok(Err(ClientError::Unreachable { why, .. })) => Err(failed(format!("{why}; is it running?"))),
            Ok(Err(error)) => Err(failed(error.to_string())),
        }
    }

    /// Its block of a height; none where it has no such block any more.
    async fn at(&self, height: u64) -> Result<Option<Place>, Failure> {
        let Ok(number) = height.try_into() else { return Ok(None) };
        let params = GetHeaderParams { block: BlockSelector::Height(number) };
        let header: Option<HeaderInfo> = self.call::<GetHeader>(&params).await?;
        Ok(header.map(|header| Place {
            height,
            hash: Hash(header.hash.0),
            state_root: Hash(header.state_root.0),
        }))
    }
}

/// Searches until the other node's chain stays where it is for so long.
async fn search(ours: &Ours, theirs: &Theirs) -> Result<Comparison, Failure> {
    for _ in 0..MAX_SEARCHES {
        if let Some(comparison) = search_once(ours, theirs).await? {
            return Ok(comparison);
        }
    }
    let url = theirs.client.url();
    Err(Failure::Runtime(format!("the chain of the node at {url} does not stand still; compare again later")))
}

/// One search; nothing where the other chain moved under it.
async fn search_once(ours: &Ours, theirs: &Theirs) -> Result<Option<Comparison>, Failure> {
    let url = theirs.client.url();
    let chain = theirs.call::<GetChain>(&NoParams {}).await?;
    let chain = chain.ok_or_else(|| Failure::Runtime(format!("the node at {url} refuses getChain")))?;
    let genesis = ours.genesis.hash();
    if Hash(chain.genesis.0) != genesis {
        let (network, got) = (chain.network, chain.genesis);
        return Err(Failure::Foreign(format!(
            "the node at {url} is of {network} (genesis {got}), the datadir of {} (genesis {genesis}): give the \
             URL of a node of the same network",
            ours.genesis.params().network_name()
        )));
    }
    let (Some(their_tip), our_tip) = (theirs.at(chain.tip.height).await?, ours.at(ours.chain.height())?)
    else {
        return Ok(None);
    };
    // Genesis is the same. Up to `low` the chains agree; from `high` on they do not.
    let (mut low, mut high) = (0, our_tip.height.min(their_tip.height) + 1);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        let Some(their) = theirs.at(middle).await? else { return Ok(None) };
        if their.hash == ours.at(middle)?.hash { low = middle } else { high = middle }
    }
    let common = ours.at(low)?;
    if theirs.at(low).await?.map(|their| their.hash) != Some(common.hash) {
        return Ok(None);
    }
    let different = if high > our_tip.height.min(their_tip.height) {
        None
    } else {
        match (ours.at(high)?, theirs.at(high).await?) {
            (our, Some(their)) if our.hash != their.hash => Some((our, their)),
            _ => return Ok(None),
        }
    };
    Ok(Some(judge(url, ours.chain.final_height(), (our_tip, their_tip), common, different)))
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
