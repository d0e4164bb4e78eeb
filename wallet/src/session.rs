//! One node, asked and sent to: what the network is, what an order needs to know, the order itself.
//!
//! Every command goes through one: it asks once for the network and its rules, and refuses well-known keys where they
//! guard nothing.

use anyhow::{Context, Result};
use printsy_consensus::{Action, Hash, SecretKey, codec};
use printsy_keys::Keyring;
use printsy_rpc::chain::{Chain, GetChain, GetParams};
use printsy_rpc::market::{Edition, ExecuteParams, ExecuteTransaction, GetEdition, ImageParams, Status};
use printsy_rpc::{Client, ClientError, Method, NoParams, TransactionHex};
use rand::TryRng;
use rand::rngs::SysRng;

use crate::cli::Send;
use crate::order;

/// A node, and where its chain stood when the session began.
#[derive(Debug)]
pub struct Session {
    client: Client,
    chain: Chain,
}

impl Session {
    /// Asks the node at `url` what network it is of.
    ///
    /// # Errors
    /// What the client says of a node that does not answer.
    pub async fn open(url: &str) -> Result<Self> {
        let client = Client::new(url)?;
        let chain = client.call::<GetChain>(&NoParams {}).await?;
        Ok(Self { client, chain })
    }

    /// Where the chain stood.
    #[must_use]
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Asks `M`.
    ///
    /// # Errors
    /// As the client.
    pub async fn ask<M: Method>(&self, params: &M::Params) -> Result<M::Result> {
        Ok(self.client.call::<M>(params).await?)
    }

    /// What the chain says of an image.
    ///
    /// # Errors
    /// As the client.
    pub async fn edition(&self, image: u64) -> Result<Edition> {
        let image = image.try_into().map_err(anyhow::Error::msg)?;
        self.ask::<GetEdition>(&ImageParams { image }).await
    }

    /// The key that `text` names, for use on this network.
    ///
    /// # Errors
    /// What the key's source says, as it stands.
    pub fn key(&self, text: &str) -> Result<SecretKey> {
        Ok(key_source(text)?.load(&self.chain.network)?)
    }

    /// Signs `action` for this network, to be sent as `send` says.
    ///
    /// # Errors
    /// As the client; a sentence if the network does not allow such a validity.
    pub async fn prepare(&self, key: &SecretKey, action: Action, send: Send) -> Result<Prepared> {
        let params = self.ask::<GetParams>(&NoParams {}).await?;
        let expires_at = order::expiry(self.chain.tip.height, params.max_validity, send.valid_for)?;
        let genesis = Hash::from(self.chain.genesis);
        let transaction = order::sign(key, &genesis, expires_at, reference()?, action);
        let execute = ExecuteParams {
            transaction: TransactionHex::new(codec::encode(&transaction)).map_err(anyhow::Error::msg)?,
            wait: Some(send.wait.into()),
            timeout_ms: Some(send.timeout_ms.try_into().map_err(anyhow::Error::msg)?),
        };
        Ok(Prepared { txid: transaction.body.txid(), expires_at, execute })
    }

    /// Sends an order, and waits as it says.
    ///
    /// # Errors
    /// The node's refusal; or what kept it from answering, with the order's id, since the order may be under
    /// way all the same.
    pub async fn send(&self, order: Prepared) -> Result<Status> {
        let Prepared { txid, expires_at, execute } = order;
        match self.client.call::<ExecuteTransaction>(&execute).await {
            Ok(status) => Ok(status),
            Err(error @ ClientError::Refused(_)) => Err(error.into()),
            Err(error) => Err(error).with_context(|| {
                format!(
                    "order {txid} may be under way until block {expires_at}, so ask `printsy status {txid}` \
                     before you order again"
                )
            }),
        }
    }
}

/// A signed order, not yet sent.
#[derive(Clone, Debug)]
pub struct Prepared {
    txid: Hash,
    expires_at: u64,
    execute: ExecuteParams,
}

impl Prepared {
    /// The order's id.
    #[must_use]
    pub fn txid(&self) -> Hash {
        self.txid
    }
}

/// What `--key` means: a name in the user's ring, a file, `dev:NAME`.
fn key_source(text: &str) -> Result<printsy_keys::KeySource> {
    // Without a home there is no ring, but files and development keys work.
    match Keyring::of_user() {
        Ok(ring) => Ok(ring.source(text)?),
        Err(_) => Ok(printsy_keys::KeySource::parse(text)?),
    }
}

/// Sixteen random bytes: what tells two equal orders apart.
fn reference() -> Result<[u8; 16]> {
    let mut bytes = [0; 16];
    SysRng.try_fill_bytes(&mut bytes).context("the system gave no random bytes for the order's reference")?;
    Ok(bytes)
}
