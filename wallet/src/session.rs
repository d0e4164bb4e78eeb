//! One node, asked and sent to: what the network is, what an order needs to know, the order itself.
//!
//! Every command goes through one: it asks once for the network and its rules, and refuses well-known keys where they
//! guard nothing.

use anyhow::{Context, Result};
use printsy_consensus::{Body, Hash, SecretKey, Transaction, codec};
use printsy_rpc::chain::{Chain, GetChain, GetParams};
use printsy_rpc::market::{Edition, ExecuteParams, ExecuteTransaction, GetEdition, ImageParams, Status};
use printsy_rpc::{Client, ClientError, Method, NoParams, Token, TransactionHex};

use crate::answer::MayBeUnderWay;
use crate::cli::Cli;
use crate::cli::orders::{Validity, Waiting};
use crate::order;

/// The longest message that a node tells by itself: a block of 64 MiB, by the ids of its half a million orders.
const MAX_NEWS_BYTES: u32 = 64 << 20;

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
        Self::over(Client::new(url)?).await
    }

    /// The same with the node and the token that the command line names.
    ///
    /// # Errors
    /// As [`Session::open`], and what is wrong with the token's file.
    pub async fn of(cli: &Cli) -> Result<Self> {
        let token = cli.token_file.as_deref().map(Token::read).transpose()?;
        Self::over(Client::with_token(&cli.rpc, token)?).await
    }

    /// A new session with the same node.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub async fn again(&self) -> Result<Self> {
        Self::over(self.client.again()?).await
    }

    async fn over(client: Client) -> Result<Self> {
        let chain = client.call::<GetChain>(&NoParams {}).await?;
        Ok(Self { client, chain })
    }

    /// Where the chain stood.
    #[must_use]
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The network's genesis.
    #[must_use]
    pub fn genesis(&self) -> Hash {
        self.chain.genesis.into()
    }

    /// The node's address.
    #[must_use]
    pub fn url(&self) -> &str {
        self.client.url()
    }

    /// Asks `M`.
    ///
    /// # Errors
    /// As the client.
    pub async fn ask<M: Method>(&self, params: &M::Params) -> Result<M::Result, ClientError> {
        self.client.call::<M>(params).await
    }

    /// Opens a WebSocket with the node, over which it tells by itself.
    ///
    /// # Errors
    /// As the client; [`ClientError::NotANode`] where no WebSocket is taken.
    pub async fn listen(&self) -> Result<printsy_rpc::Session, ClientError> {
        self.client.session(MAX_NEWS_BYTES).await
    }

    /// What the chain says of an image.
    ///
    /// # Errors
    /// As the client.
    pub async fn edition(&self, image: u64) -> Result<Edition> {
        let image = image.try_into().map_err(anyhow::Error::msg)?;
        Ok(self.ask::<GetEdition>(&ImageParams { image }).await?)
    }

    /// The last height that may include an order made now.
    ///
    /// # Errors
    /// As the client; a sentence if the network does not allow such a validity.
    pub async fn expiry(&self, validity: Validity) -> Result<u64> {
        let params = self.ask::<GetParams>(&NoParams {}).await?;
        order::expiry(self.chain.tip.height, params.max_validity, validity.valid_for)
    }

    /// Sends an order, and waits as it says.
    ///
    /// # Errors
    /// The node's refusal; or what kept it from answering, as [`MayBeUnderWay`].
    pub async fn send(&self, order: &Order, waiting: Waiting) -> Result<Status> {
        let execute = ExecuteParams {
            transaction: order.hex.clone(),
            wait: Some(waiting.wait.into()),
            timeout_ms: Some(waiting.timeout_ms.try_into().map_err(anyhow::Error::msg)?),
        };
        match self.client.call::<ExecuteTransaction>(&execute).await {
            Ok(status) => Ok(status),
            Err(error @ ClientError::Refused(_)) => Err(error.into()),
            Err(error) => {
                Err(error).context(MayBeUnderWay { txid: order.txid, expires_at: order.expires_at() })
            }
        }
    }
}

/// A signed order.
#[derive(Clone, Debug)]
pub struct Order {
    transaction: Transaction,
    hex: TransactionHex,
    txid: Hash,
}

impl Order {
    /// Signs `body` for the network of `genesis`.
    ///
    /// # Errors
    /// A sentence for an order larger than any, which no action makes.
    pub fn sign(body: Body, genesis: &Hash, key: &SecretKey) -> Result<Self> {
        Self::new(body.sign(genesis, key))
    }

    /// A transaction that is signed already.
    ///
    /// # Errors
    /// As [`Order::sign`].
    pub fn new(transaction: Transaction) -> Result<Self> {
        let hex = TransactionHex::new(codec::encode(&transaction)).map_err(anyhow::Error::msg)?;
        Ok(Self { txid: transaction.body.txid(), transaction, hex })
    }

    /// The order's id.
    #[must_use]
    pub fn txid(&self) -> Hash {
        self.txid
    }

    /// What it says.
    #[must_use]
    pub fn body(&self) -> &Body {
        &self.transaction.body
    }

    /// The last height that may include it.
    #[must_use]
    pub fn expires_at(&self) -> u64 {
        self.transaction.body.expires_at
    }

    /// Its bytes.
    #[must_use]
    pub fn hex(&self) -> &TransactionHex {
        &self.hex
    }
}
