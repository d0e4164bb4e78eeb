//! Another node, asked over JSON-RPC by a command that works on a stopped one: its chain, its headers, and where its
//! chain parts from ours.
//!
//! It runs on meanwhile: what it said of a height may not hold a moment later, and whoever searches begins again.

use std::path::Path;
use std::time::Duration;

use printsy_consensus::{Genesis, Hash};
use printsy_rpc::block::{BlockSelector, GetHeader, GetHeaderParams, HeaderInfo};
use printsy_rpc::chain::{Chain, GetChain};
use printsy_rpc::{Client, ClientError, Method, NoParams, RpcReason, Token};

use crate::exit::Failure;

/// How long it has for one answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The other node.
pub(super) struct OtherNode {
    client: Client,
}

impl OtherNode {
    /// The node that serves JSON-RPC at this URL, and is shown the token in this file.
    ///
    /// # Errors
    /// Exit code 2 for what is no URL, or no token's file.
    pub(super) fn new(url: &str, token_file: Option<&Path>) -> Result<Self, Failure> {
        let token = token_file.map(Token::read).transpose();
        let token = token.map_err(|error| Failure::Usage(error.to_string()))?;
        let client = Client::with_token(url, token).map_err(|error| Failure::Usage(error.to_string()))?;
        Ok(Self { client })
    }

    /// Where it is asked.
    pub(super) fn url(&self) -> &str {
        self.client.url()
    }

    /// What it says of its chain, which must be of our network.
    ///
    /// # Errors
    /// Exit code 6 where it is of another network, 1 where it does not answer.
    pub(super) async fn chain(&self, genesis: &Genesis) -> Result<Chain, Failure> {
        let url = self.url();
        let chain = self.call::<GetChain>(&NoParams {}).await?;
        let chain = chain.ok_or_else(|| Failure::Runtime(format!("the node at {url} refuses getChain")))?;
        if Hash::from(chain.genesis) == genesis.hash() {
            return Ok(chain);
        }
        Err(Failure::Foreign(format!(
            "the node at {url} is of {} (genesis {}), the datadir of {} (genesis {}): give the URL of a node of the same \
             network",
            chain.network,
            chain.genesis,
            genesis.params().network_name(),
            genesis.hash()
        )))
    }

    /// The header of a block of its chain; none where it has no such block (any more).
    ///
    /// # Errors
    /// Exit code 1 where it does not answer.
    pub(super) async fn header(&self, block: BlockSelector) -> Result<Option<HeaderInfo>, Failure> {
        let header = self.call::<GetHeader>(&GetHeaderParams { block }).await?;
        Ok(header.filter(|header| header.confirmations > 0))
    }

    /// The header of its block at a height.
    ///
    /// # Errors
    /// As [`OtherNode::header`].
    pub(super) async fn header_at(&self, height: u64) -> Result<Option<HeaderInfo>, Failure> {
        match height.try_into() {
            Ok(height) => self.header(BlockSelector::Height(height)).await,
            Err(_) => Ok(None),
        }
    }

    /// The greatest height up to `top` at which its block is the one `own` tells of: by bisection, for an id binds all
    /// that came before. None where its chain moved meanwhile.
    ///
    /// # Errors
    /// As [`OtherNode::header`], or `own`'s.
    pub(super) async fn last_common(
        &self,
        top: u64,
        own: impl Fn(u64) -> Result<Hash, Failure>,
    ) -> Result<Option<u64>, Failure> {
        // Genesis is the same. Up to `low` the chains agree; from `high` on they do not.
        let (mut low, mut high) = (0, top.saturating_add(1));
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            let Some(header) = self.header_at(middle).await? else { return Ok(None) };
            if Hash::from(header.hash) == own(middle)? { low = middle } else { high = middle }
        }
        let still = self.header_at(low).await?.map(|header| Hash::from(header.hash));
        Ok((still == Some(own(low)?)).then_some(low))
    }

    /// An answer; none where the node refuses.
    async fn call<M: Method>(&self, params: &M::Params) -> Result<Option<M::Result>, Failure> {
        let url = self.url();
        let failed = |why: String| Failure::Runtime(format!("cannot ask the node at {url}: {why}"));
        match tokio::time::timeout(PATIENCE, self.client.call::<M>(params)).await {
            Err(_) => Err(failed(format!("no answer to {} within {PATIENCE:?}", M::NAME))),
            Ok(Ok(answer)) => Ok(Some(answer)),
            Ok(Err(ClientError::Refused(error))) if error.reason() == Some(RpcReason::Unauthorized) => {
                Err(failed(format!("{}: give --token-file PATH", error.message)))
            }
            Ok(Err(ClientError::Refused(_))) => Ok(None),
            Ok(Err(ClientError::Unreachable { why, .. })) => Err(failed(format!("{why}; is it running?"))),
            Ok(Err(error)) => Err(failed(error.to_string())),
        }
    }
}

/// Runs what asks another node, to its end.
///
/// # Errors
/// Its own; exit code 1 where the system gives no runtime.
pub(super) fn run<T>(asking: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Runtime(format!("cannot start the runtime: {error}")))?;
    runtime.block_on(asking)
}
