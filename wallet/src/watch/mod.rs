//! `printsy watch`: a line for each new block, each change of an order, or each change of an image, as they come.
//!
//! A node tells of them by itself, over a WebSocket (`live`). Where none can be opened, as behind a proxy that passes
//! none on, it is asked again and again. A connection that ends is made anew, and goes on after what was told last
//! (`view`): no block is told twice, and of those that a node tells by itself none is left out. A node that does not
//! answer for a while is waited for.

mod live;
mod view;

use std::time::Duration;

use anyhow::{Result, ensure};
use printsy_rpc::chain::{GetChain, GetParams};
use printsy_rpc::{ClientError, HashHex, NoParams};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::answer::{Answer, Outcome};
use crate::cli::MAX_WATCHED_IMAGES;
use crate::session::Session;
use view::View;

/// A node that is asked is asked no more often than this, however fast its blocks are: a person does not see more.
const MIN_PAUSE_MS: u64 = 250;
/// And no less often than this.
const MAX_PAUSE_MS: u64 = 5_000;
/// How long a node is asked before a WebSocket is tried again.
const TRY_LIVE_AFTER: Duration = Duration::from_secs(60);

/// Where lines go as they come.
pub trait Lines {
    /// One line, for people or as JSON.
    ///
    /// # Errors
    /// If nobody reads any more.
    fn line(&mut self, text: &str, json: &Value) -> Result<()>;

    /// Something that is no data.
    fn note(&mut self, text: &str);
}

/// Watches until `count` lines are written, or what is watched has come to its end.
///
/// # Errors
/// A refusal by the node; too many images; the node is of another network suddenly.
pub async fn watch(
    session: &Session,
    tx_id: Option<HashHex>,
    images: &[u64],
    count: Option<u64>,
    lines: &mut dyn Lines,
) -> Result<Answer> {
    ensure!(images.len() <= MAX_WATCHED_IMAGES, "at most {MAX_WATCHED_IMAGES} images are watched at once");
    let params = session.ask::<GetParams>(&NoParams {}).await?;
    // Twice in a block's interval: nothing but pending orders changes more often.
    let pause = Duration::from_millis((params.target_interval_ms / 2).clamp(MIN_PAUSE_MS, MAX_PAUSE_MS));
    let lines = Counted { lines, left: count.unwrap_or(u64::MAX) };
    let view = View::of(tx_id, images);
    let outcome = Watching { session, view, lines, pause, is_away: false }.run().await?;
    Ok(Answer { outcome, ..Answer::nothing() })
}

/// Lines, up to a number of them.
struct Counted<'a> {
    lines: &'a mut dyn Lines,
    left: u64,
}

impl Counted<'_> {
    fn line(&mut self, text: &str, json: &Value) -> Result<()> {
        if self.left > 0 {
            self.lines.line(text, json)?;
            self.left -= 1;
        }
        Ok(())
    }

    /// The outcome, once there may be no more lines.
    fn end(&self) -> Option<Outcome> {
        (self.left == 0).then_some(Outcome::Done)
    }
}

/// One watching, over as many connections as it takes.
struct Watching<'a> {
    session: &'a Session,
    view: View<'a>,
    lines: Counted<'a>,
    /// Between two questions, and between two tries to connect.
    pause: Duration,
    /// Whether it was said that the node does not answer.
    is_away: bool,
}

impl Watching<'_> {
    async fn run(mut self) -> Result<Outcome> {
        loop {
            match self.connection().await {
                Ok(Some(outcome)) => return Ok(outcome),
                Ok(None) => {}
                Err(error) if is_passing(&error) => {
                    if !self.is_away {
                        self.lines.lines.note(&format!("{error}; waiting for it"));
                    }
                    self.is_away = true;
                }
                Err(error) => return Err(error),
            }
            sleep(self.pause).await;
        }
    }

    /// One connection; an outcome if there will be nothing more to see.
    async fn connection(&mut self) -> Result<Option<Outcome>> {
        let chain = self.session.ask::<GetChain>(&NoParams {}).await?;
        let (url, known) = (self.session.url(), self.session.chain());
        ensure!(chain.genesis == known.genesis, "{url} is of another network now");
        match self.session.listen().await {
            Ok(told) => match live::follow(&told, self).await {
                Err(error) if is_without_news(&error) => self.poll().await,
                followed => followed,
            },
            // Who answers calls there takes no WebSocket, or whoever stands between passes none on.
            Err(ClientError::NotANode { .. }) => self.poll().await,
            Err(error) => Err(error.into()),
        }
    }

    /// Asks again and again, until it is time to try a WebSocket.
    async fn poll(&mut self) -> Result<Option<Outcome>> {
        let until = Instant::now() + TRY_LIVE_AFTER;
        while Instant::now() < until {
            if let Some(outcome) = self.look().await? {
                return Ok(Some(outcome));
            }
            sleep(self.pause).await;
        }
        Ok(None)
    }

    /// Asks once, and tells what is new.
    async fn look(&mut self) -> Result<Option<Outcome>> {
        let outcome = self.view.look(self.session, &mut self.lines).await?;
        self.is_away = false;
        Ok(outcome.or(self.lines.end()))
    }
}

/// Whether the node may answer the same question later.
fn is_passing(error: &anyhow::Error) -> bool {
    match error.downcast_ref() {
        Some(
            ClientError::Unreachable { .. }
            | ClientError::Unavailable { .. }
            | ClientError::Timeout { .. }
            | ClientError::Ended { .. },
        ) => true,
        Some(ClientError::Refused(refusal)) => refusal.data.as_ref().is_some_and(|data| data.retryable),
        _ => false,
    }
}

/// Whether the node tells nothing by itself, to anybody or to one more.
fn is_without_news(error: &anyhow::Error) -> bool {
    match error.downcast_ref() {
        Some(ClientError::Refused(refusal)) => refusal.offers_no_news(),
        _ => false,
    }
}
