//! A follower: keeps to one node, from the first connection to the next, and tells what it sees.
//!
//! A node that tells of new work by itself is listened to, and asked once in a while all the same: silence must not
//! be taken for no news. One that cannot is asked again and again. What it hands out is checked before it is told.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use printsy_consensus::{Genesis, Hash, PublicKey};
use printsy_rpc::chain::{GetChain, GetParams};
use printsy_rpc::mining::{GetBlockTemplate, GetBlockTemplateParams, Template};
use printsy_rpc::subscription::SubscribeBlockTemplate;
use printsy_rpc::{Address, ClientError, Feed, NoParams, RpcReason, Session, Subscription, Token};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::backoff::Backoff;
use super::link::{ANSWER_TIME, Link, sentence};
use super::{News, Ranks};
use crate::desk::NodeIndex;
use crate::work::{Limits, Work};

/// How often a node is asked that does not tell by itself: what a new tip costs there, on average half of it.
const POLL_EVERY: Duration = Duration::from_millis(100);
/// After how long without news a node that tells by itself is asked all the same.
const SILENCE: Duration = Duration::from_secs(3);
/// How soon a node that has no work for this miner is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(3);
/// How long a node that was asked too often is left alone at the most, whatever it says.
const MAX_PATIENCE: Duration = Duration::from_secs(15);
/// How soon a subscription that the node ended is begun again: where the next block lets the miner mine again (B4).
const SUBSCRIBE_AGAIN: Duration = Duration::from_millis(200);
/// How long a node is asked by HTTP before a WebSocket is tried again.
const TRY_PUSH_AFTER: Duration = Duration::from_secs(60);

/// The network that is mined on, once it is known: the first node's, unless it was given.
#[derive(Clone, Debug, Default)]
pub struct Pin(Arc<OnceLock<Hash>>);

impl Pin {
    /// The network of this genesis and no other.
    #[must_use]
    pub fn to(genesis: Hash) -> Self {
        Self(Arc::new(OnceLock::from(genesis)))
    }

    /// Takes the network if there is none yet; says whether it is the one.
    fn fits(&self, genesis: Hash) -> bool {
        *self.0.get_or_init(|| genesis) == genesis
    }
}

/// A network as a node tells of it, its parameters checked against its name.
#[derive(Debug)]
pub struct Network {
    /// What people call it.
    pub name: String,
    /// Block 0's id.
    pub genesis: Hash,
    /// What its templates keep to.
    pub limits: Limits,
}

impl Network {
    /// Asks a node what network it is of.
    ///
    /// # Errors
    /// A sentence: it does not answer, or what it tells does not fit together.
    pub async fn of(link: &Link) -> Result<Self, String> {
        let said = |error: ClientError| sentence(&error);
        let chain = link.call::<GetChain>(&NoParams {}).await.map_err(said)?;
        let params = link.call::<GetParams>(&NoParams {}).await.map_err(said)?;
        let json = serde_json::to_string(&params).map_err(|error| error.to_string())?;
        // The answer has genesis.json's own fields, so that the network's name proves them.
        let genesis = Genesis::from_json(&json).map_err(|error| format!("its parameters: {error}"))?;
        if genesis.hash() != chain.genesis.into() {
            return Err("its parameters are not those of the network it names".to_owned());
        }
        Ok(Self {
            name: genesis.params().network_name(),
            genesis: genesis.hash(),
            limits: Limits { easiest: genesis.params().bits, interval_ms: genesis.params().min_interval_ms },
        })
    }
}

/// Why a node is followed no longer.
enum End {
    /// What went wrong, for people.
    Failed(String),
    /// A node that is preferred is there again, or another way to ask is to be tried.
    Left,
    /// Nobody listens to the news any more.
    Closed,
}

/// Nobody listens to the news any more.
impl From<mpsc::error::SendError<News>> for End {
    fn from(_: mpsc::error::SendError<News>) -> Self {
        Self::Closed
    }
}

/// Follows one node.
#[derive(Debug)]
pub struct Follower {
    /// Its place in the order of preference.
    pub node: NodeIndex,
    /// Where it is.
    pub url: String,
    /// The file of what is shown to it, if it asks: read anew for each connection, for a node's cookie ends with its run.
    pub token_file: Option<PathBuf>,
    /// Whose work is asked for.
    pub miner: PublicKey,
    /// Whose turn it is.
    pub ranks: Ranks,
    /// The network that is mined on.
    pub pin: Pin,
    /// Where news goes.
    pub news: mpsc::Sender<News>,
}

impl Follower {
    /// Follows the node until nobody listens to the news any more.
    pub async fn run(self) {
        let mut backoff = Backoff::new();
        loop {
            self.ranks.turn(self.node).await;
            let end = tokio::select! {
                end = self.follow(&mut backoff) => end,
                () = self.ranks.turn_over(self.node) => End::Left,
            };
            let node = self.node;
            let (news, has_failed) = match end {
                End::Closed => return,
                End::Left => (News::Left { node }, false),
                End::Failed(why) => (News::Lost { node, why }, true),
            };
            self.ranks.set(node, !has_failed);
            if self.news.send(news).await.is_err() {
                return;
            }
            if has_failed {
                sleep(backoff.wait(rand::random())).await;
            }
        }
    }

    /// Follows it for one connection.
    async fn follow(&self, backoff: &mut Backoff) -> End {
        match self.try_follow(backoff).await {
            Ok(()) => End::Left,
            Err(end) => end,
        }
    }

    async fn try_follow(&self, backoff: &mut Backoff) -> Result<(), End> {
        let failed = |error: ClientError| End::Failed(sentence(&error));
        let token = self.token_file.as_deref().map(Token::read).transpose();
        let token = token.map_err(|error| End::Failed(error.to_string()))?;
        let link = Link::open(&self.url, token.as_ref()).await.map_err(failed)?;
        let network = Network::of(&link).await.map_err(End::Failed)?;
        if !self.pin.fits(network.genesis) {
            let Network { name, genesis, .. } = network;
            return Err(End::Failed(format!("it is of another network ({name}, genesis {genesis})")));
        }
        self.news.send(News::Joined { node: self.node, link: link.clone() }).await?;
        let mut told = Told {
            follower: self,
            limits: network.limits,
            last: None,
            idle: None,
            is_turned_away: false,
            patience: None,
            backoff,
        };
        match &link {
            Link::Session(session) => match self.listen(session, &link, &mut told).await? {
                Some(()) => Ok(()),
                // It takes calls over the WebSocket, but no such subscription.
                None => poll(&link, &mut told).await,
            },
            Link::Http(_) => poll(&link, &mut told).await,
        }
    }

    fn params(&self) -> GetBlockTemplateParams {
        GetBlockTemplateParams { miner: Address(self.miner) }
    }

    /// Listens to what the node tells by itself; `None` where it tells nothing by itself.
    async fn listen(&self, session: &Session, link: &Link, told: &mut Told<'_>) -> Result<Option<()>, End> {
        loop {
            // A session waits far longer for an answer than a miner can: here it is idle meanwhile.
            let params = self.params();
            let feed = timeout(ANSWER_TIME, session.subscribe::<SubscribeBlockTemplate>(&params)).await;
            let late = || ClientError::Timeout {
                url: self.url.clone(),
                method: SubscribeBlockTemplate::NAMES.subscribe,
            };
            match feed.unwrap_or_else(|_| Err(late())) {
                Ok(mut feed) => {
                    // What stops a subscription is learned by asking: a refusal names its reason.
                    let ended = self.hear(&mut feed, link, told).await?;
                    tracing::debug!(url = self.url, ended, "subscription ended");
                    drop(feed);
                    told.ask(link).await?;
                    sleep(told.wait(SUBSCRIBE_AGAIN)).await;
                    continue;
                }
                Err(ClientError::Refused(error)) if error.offers_no_news() => return Ok(None),
                Err(error @ ClientError::Refused(_)) => told.refused(&error).await?,
                Err(error) => return Err(End::Failed(sentence(&error))),
            }
            sleep(ASK_AGAIN).await;
        }
    }

    /// One subscription, to its end: why it ended.
    async fn hear(&self, feed: &mut Feed<Template>, link: &Link, told: &mut Told<'_>) -> Result<String, End> {
        // The first template is asked for: a node may tell only what is new.
        let mut ask_at = Instant::now();
        let mut asking: Option<Asking<'_>> = None;
        loop {
            tokio::select! {
                biased;
                item = feed.next() => match item {
                    Ok(template) => {
                        told.template(&template).await?;
                        // What is under way may be older than this.
                        asking = None;
                        ask_at = Instant::now() + SILENCE;
                    }
                    Err(ClientError::Ended { why, .. }) => return Ok(why),
                    Err(error) => return Err(End::Failed(sentence(&error))),
                },
                answer = answer(&mut asking) => {
                    asking = None;
                    told.answer(answer).await?;
                    ask_at = Instant::now() + told.patience.take().unwrap_or(SILENCE);
                }
                () = sleep_until(ask_at), if asking.is_none() => {
                    let params = self.params();
                    asking = Some(Box::pin(async move { link.call::<GetBlockTemplate>(&params).await }));
                }
            }
        }
    }
}

/// A template on its way.
type Asking<'a> = std::pin::Pin<Box<dyn Future<Output = Result<Template, ClientError>> + Send + 'a>>;

/// What was asked for; never, where nothing was.
async fn answer(asking: &mut Option<Asking<'_>>) -> Result<Template, ClientError> {
    match asking {
        Some(asking) => asking.await,
        None => std::future::pending().await,
    }
}

/// Asks again and again, until it is time to try a WebSocket.
async fn poll(link: &Link, told: &mut Told<'_>) -> Result<(), End> {
    let until = Instant::now() + TRY_PUSH_AFTER;
    while Instant::now() < until {
        told.ask(link).await?;
        sleep(told.wait(if told.is_turned_away { ASK_AGAIN } else { POLL_EVERY })).await;
    }
    Ok(())
}

/// What was told of a node, so that nothing is told twice.
struct Told<'a> {
    follower: &'a Follower,
    limits: Limits,
    /// The last template's name.
    last: Option<Hash>,
    /// Why it has no work now.
    idle: Option<String>,
    /// Whether that lasts.
    is_turned_away: bool,
    /// How long it is left alone, where it was asked too often.
    patience: Option<Duration>,
    backoff: &'a mut Backoff,
}

impl Told<'_> {
    /// How long to wait before it is asked again: at least this.
    fn wait(&mut self, at_least: Duration) -> Duration {
        self.patience.take().unwrap_or_default().max(at_least)
    }

    /// Asks for a template, and tells what comes of it.
    async fn ask(&mut self, link: &Link) -> Result<(), End> {
        let answer = link.call::<GetBlockTemplate>(&self.follower.params()).await;
        self.answer(answer).await
    }

    async fn answer(&mut self, answer: Result<Template, ClientError>) -> Result<(), End> {
        match answer {
            Ok(template) => self.template(&template).await,
            Err(error @ ClientError::Refused(_)) => self.refused(&error).await,
            Err(error) => Err(End::Failed(sentence(&error))),
        }
    }

    async fn template(&mut self, template: &Template) -> Result<(), End> {
        let Follower { node, miner, news, ranks, .. } = self.follower;
        let node = *node;
        match Work::check(template, miner, self.limits) {
            Ok(work) => {
                self.backoff.reset();
                ranks.set(node, true);
                (self.idle, self.is_turned_away) = (None, false);
                if self.last.replace(work.id()) != Some(work.id()) {
                    news.send(News::Work { node, work: Arc::new(work) }).await?;
                }
                Ok(())
            }
            Err(error) => {
                news.send(News::Nonsense { node, why: error.to_string() }).await?;
                Err(End::Failed(format!("it gave a template that is none: {error}")))
            }
        }
    }

    /// The node has no work for this miner: said once for each reason. Others may have some, unless it ends with
    /// the next block anyway.
    async fn refused(&mut self, error: &ClientError) -> Result<(), End> {
        let Follower { node, news, ranks, miner, .. } = self.follower;
        let data = match error {
            ClientError::Refused(refusal) => refusal.data.as_deref(),
            _ => None,
        };
        // That says nothing of the work it gave: a new tip would be told as soon as it answers again.
        if let Some(data) = data.filter(|data| data.reason == RpcReason::RateLimited)
            && self.last.is_some()
        {
            let wait = data.retry_after_ms.map_or(ASK_AGAIN, Duration::from_millis);
            self.patience = Some(wait.clamp(POLL_EVERY, MAX_PATIENCE));
            tracing::debug!(url = self.follower.url, ?wait, "asked too often");
            return Ok(());
        }
        let is_about_miner = data.is_some_and(|data| data.reason == RpcReason::NotAuthorized);
        self.is_turned_away = !(is_about_miner && data.is_some_and(|data| data.retryable));
        let mut why = sentence(error);
        if self.is_turned_away {
            ranks.set(*node, false);
            if is_about_miner {
                let address = Address(*miner);
                why += &format!("; a registrar registers it: printsy register-miner {address} --name NAME");
            }
        }
        self.last = None;
        if self.idle.as_ref() != Some(&why) {
            self.idle = Some(why.clone());
            news.send(News::Idle { node: *node, why }).await?;
        }
        Ok(())
    }
}
