//! The program at work: nodes, desk and engine, put together and driven until a signal ends them.
//!
//! Here is no decision of its own: what happened becomes an event of the desk, what the desk wants done is done.

use std::sync::Arc;
use std::time::Duration;

use printsy_consensus::Hash;
use printsy_rpc::Address;
use printsy_rpc::mining::SubmitBlockParams;
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::bench;
use crate::cli::Cli;
use crate::clock;
use crate::desk::{Desk, Effect, Event, MAX_REFUSALS, NodeIndex, Outcome, What};
use crate::engine::{Engine, Found};
use crate::exit::Failure;
use crate::metrics::{self, Metrics};
use crate::nodes::ask::{hand_in, is_on_chain};
use crate::nodes::{Follower, Link, News, Ranks};
use crate::setup::{Signals, check_urls, key, token};
use crate::tell::{self, Teller};

/// How much news may wait for the desk, which takes it at once.
const QUEUE: usize = 256;
/// How often the rate is counted.
const COUNT_EVERY: Duration = Duration::from_secs(1);
/// How often a summary is logged where no line stays on a terminal.
const SUMMARY_EVERY: Duration = Duration::from_secs(60);
/// How long a block on its way is waited for at the end: what ends this program waits a second.
const STOP_TIME: Duration = Duration::from_millis(800);
/// Of the rate of late, what part is the last second's: a tenth.
const RATE_PART: u64 = 10;

/// Mines until a signal ends it.
///
/// # Errors
/// The [`Failure`] to report and to exit with.
pub async fn run(cli: &Cli, teller: &Teller) -> Result<(), Failure> {
    let mut signals = Signals::install()?;
    let miner = bench::miner(cli)?;
    let mut registry = Registry::default();
    let counts = Metrics::register(&mut registry);
    if let Some(address) = cli.metrics_listen {
        let listener = metrics::listen(address).await?;
        tokio::spawn(metrics::serve(listener, Arc::new(registry)));
    }
    check_urls(&cli.nodes)?;
    let token = token(cli)?;
    let key = tokio::select! {
        key = key(cli, token.as_ref()) => key?,
        _ = signals.next() => return Ok(()),
    };
    let (key, pin) = key;
    tracing::info!(
        miner = %Address(key.public_key()),
        threads = cli.threads(),
        kernel = miner.kernel_name(),
        "started"
    );
    let start = rand::random::<u64>() >> 1;
    let (news_to, news) = mpsc::channel(QUEUE);
    let ranks = Ranks::new(cli.nodes.len());
    for (node, url) in cli.nodes.iter().enumerate() {
        let (url, token_file, news) = (url.clone(), cli.token_file.clone(), news_to.clone());
        let (ranks, pin) = (ranks.clone(), pin.clone());
        let follower = Follower { node, url, token_file, miner: key.public_key(), ranks, pin, news };
        tokio::spawn(follower.run());
    }
    let (engine, found) =
        Engine::start(miner).map_err(|error| Failure::Runtime(format!("cannot start a thread: {error}")))?;
    let (answers_to, answers) = mpsc::channel(QUEUE);
    let shift = Shift {
        desk: Desk::new(key, cli.nodes.len(), start),
        begun: Instant::now(),
        engine,
        urls: &cli.nodes,
        ranks,
        links: vec![None; cli.nodes.len()],
        is_leaving: vec![false; cli.nodes.len()],
        complaints: vec![None; cli.nodes.len()],
        mined_at: None,
        answers: answers_to,
        counts,
        teller,
        counted: 0,
        rate: 0,
        is_wrong: false,
    };
    shift.run(&mut signals, Inbox { news, found, answers }).await
}

/// What comes in.
struct Inbox {
    news: mpsc::Receiver<News>,
    found: mpsc::Receiver<Found>,
    answers: mpsc::Receiver<Event>,
}

/// One run of the program, from the first node to the last block.
struct Shift<'a> {
    desk: Desk,
    /// Where the clock that nobody sets begins.
    begun: Instant,
    engine: Engine,
    urls: &'a [String],
    /// Whose turn it is.
    ranks: Ranks,
    links: Vec<Option<Link>>,
    /// Whether a node is followed no longer, and asked only for what was found for it.
    is_leaving: Vec<bool>,
    /// What was last said of each node's trouble, so that it is said once.
    complaints: Vec<Option<String>>,
    /// The node whose work was last searched.
    mined_at: Option<NodeIndex>,
    /// Where nodes' answers go.
    answers: mpsc::Sender<Event>,
    counts: Metrics,
    teller: &'a Teller,
    /// Nonces tried, as last counted.
    counted: u64,
    /// Nonces a second, of late.
    rate: u64,
    /// The machine computes wrongly.
    is_wrong: bool,
}

impl Shift<'_> {
    async fn run(mut self, signals: &mut Signals, mut inbox: Inbox) -> Result<(), Failure> {
        let mut count_at = Instant::now() + COUNT_EVERY;
        let mut summary_at = Instant::now() + SUMMARY_EVERY;
        loop {
            let wait_ms = self.desk.wait_ms(clock::now(self.begun)).unwrap_or(u64::MAX);
            // The rate is counted before long anyway: so no wait is too long, and a clock that was set is noticed.
            let wake = count_at.min(Instant::now() + COUNT_EVERY.min(Duration::from_millis(wait_ms)));
            tokio::select! {
                biased;
                name = signals.next() => {
                    tracing::info!(signal = name, "stopping");
                    return self.stop(signals, inbox).await;
                }
                found = inbox.found.recv() => match found {
                    Some((job, nonce)) => self.handle(Event::Found { job, nonce }),
                    None => return Err(Failure::Runtime("the search has panicked".to_owned())),
                },
                Some(news) = inbox.news.recv() => self.hear(news),
                Some(answer) = inbox.answers.recv() => self.handle(answer),
                () = sleep_until(wake) => self.handle(Event::Tick),
            }
            if self.is_wrong {
                return Err(Failure::Runtime("this machine computes wrongly; see --selftest".to_owned()));
            }
            if Instant::now() >= count_at {
                count_at = Instant::now() + COUNT_EVERY;
                self.count();
            }
            if Instant::now() >= summary_at {
                summary_at = Instant::now() + SUMMARY_EVERY;
                self.summary();
            }
        }
    }

    /// The end: nothing is searched, and what is on its way to a node is waited for.
    async fn stop(mut self, signals: &mut Signals, mut inbox: Inbox) -> Result<(), Failure> {
        let until = Instant::now() + STOP_TIME;
        self.handle(Event::Stop);
        // A find may be on its way to us: none comes after this.
        self.engine.end();
        while let Ok((job, nonce)) = inbox.found.try_recv() {
            self.handle(Event::Found { job, nonce });
        }
        while self.desk.is_handing_in() {
            tokio::select! {
                answer = timeout_at(until, inbox.answers.recv()) => match answer {
                    Ok(Some(answer)) => self.handle(answer),
                    _ => break,
                },
                name = signals.next() => {
                    tracing::info!(signal = name, "stopping at once");
                    break;
                }
            }
        }
        self.handle(Event::End);
        self.count();
        self.summary();
        self.teller.end();
        Ok(())
    }

    fn handle(&mut self, event: Event) {
        for effect in self.desk.handle(event, clock::now(self.begun)) {
            match effect {
                Effect::Search(job) => {
                    // Counted before it is told: who reads the line finds the figures true.
                    self.counts.searching(Some((job.work.header().height, job.node)));
                    if self.mined_at.replace(job.node) != Some(job.node) {
                        let url = &self.urls[job.node];
                        tracing::info!(node = url, height = job.work.header().height, "mining");
                    }
                    self.engine.search(Some(job));
                }
                Effect::Rest => {
                    self.engine.search(None);
                    self.counts.searching(None);
                }
                Effect::Submit { node, find, params } => self.submit(node, find, params),
                Effect::LookUp { node, find } => self.look_up(node, find),
                Effect::PassOver(node) => {
                    let url = &self.urls[node];
                    tracing::warn!(
                        node = url,
                        refusals = MAX_REFUSALS,
                        "node passed over: it refuses blocks"
                    );
                    self.ranks.pass_over(node);
                }
                Effect::TryAgain(node) => {
                    tracing::info!(node = self.urls[node], "node preferred again as before");
                    self.ranks.try_again(node);
                }
                Effect::Tell(fact) => {
                    self.counts.block(&fact.what);
                    tell::block(&fact);
                    self.is_wrong |= fact.what == What::Wrong;
                }
            }
        }
    }

    fn hear(&mut self, news: News) {
        match news {
            News::Joined { node, link } => {
                let by = if matches!(link, Link::Session(_)) { "websocket" } else { "http" };
                tracing::info!(node = self.urls[node], by, "connected");
                self.links[node] = Some(link);
                self.count_nodes();
                self.is_leaving[node] = false;
                self.complaints[node] = None;
                self.handle(Event::Joined(node));
            }
            News::Work { node, work } => {
                self.counts.template();
                self.complaints[node] = None;
                self.handle(Event::Work(node, work));
            }
            News::Idle { node, why } => {
                self.handle(Event::Idle(node));
                if self.mined_at == Some(node) {
                    self.mined_at = None;
                }
                self.complain(node, why, "no work from the node");
            }
            News::Nonsense { node, why } => {
                self.counts.nonsense();
                self.handle(Event::Idle(node));
                self.complain(node, why, "the node's template is refused");
            }
            News::Lost { node, why } => {
                self.counts.node_lost();
                self.part_from(node);
                self.handle(Event::Lost(node));
                self.complain(node, why, "no connection to the node");
            }
            News::Left { node } => {
                tracing::info!(node = self.urls[node], "left the node");
                self.is_leaving[node] = true;
                self.take_leave();
            }
        }
    }

    /// A node cannot be asked any more.
    fn part_from(&mut self, node: NodeIndex) {
        self.links[node] = None;
        self.count_nodes();
        self.is_leaving[node] = false;
        if self.mined_at == Some(node) {
            self.mined_at = None;
        }
    }

    fn count_nodes(&self) {
        self.counts.nodes(self.links.iter().flatten().count());
    }

    /// A node that was left is let go once it has judged what was found for it.
    fn take_leave(&mut self) {
        for node in 0..self.links.len() {
            if self.is_leaving[node] && !self.desk.has_finds_of(node) {
                self.part_from(node);
                self.handle(Event::Left(node));
            }
        }
    }

    fn complain(&mut self, node: NodeIndex, why: String, what: &str) {
        if self.complaints[node].as_ref() == Some(&why) {
            tracing::debug!(node = self.urls[node], why, "{what}");
        } else {
            tracing::warn!(node = self.urls[node], why, "{what}");
            self.complaints[node] = Some(why);
        }
    }

    fn submit(&self, node: NodeIndex, find: Hash, params: SubmitBlockParams) {
        let (link, answers) = (self.links[node].clone(), self.answers.clone());
        tokio::spawn(async move {
            let outcome = match link {
                Some(link) => hand_in(&link, &params).await,
                None => Outcome::NotNow("no connection to the node".to_owned()),
            };
            if let Outcome::NotNow(why) = &outcome {
                tracing::warn!(hash = %find, why, "block not judged yet, kept");
            }
            // Nobody waits for it once the program ends.
            let _ = answers.send(Event::Judged { find, outcome }).await;
        });
    }

    fn look_up(&self, node: NodeIndex, find: Hash) {
        let (link, answers) = (self.links[node].clone(), self.answers.clone());
        tokio::spawn(async move {
            let is_on_chain = match link {
                Some(link) => is_on_chain(&link, find).await,
                None => false,
            };
            // Nobody waits for it once the program ends.
            let _ = answers.send(Event::LookedUp { find, is_on_chain }).await;
        });
    }

    /// Counts the last second.
    fn count(&mut self) {
        let hashes = self.engine.hashes();
        let more = hashes.saturating_sub(self.counted);
        self.counted = hashes;
        let old = self.rate.saturating_mul(RATE_PART - 1);
        self.rate = if self.rate == 0 { more } else { old.saturating_add(more) / RATE_PART };
        self.counts.hashes(more, self.rate);
        self.take_leave();
        self.teller.status(|| self.status());
    }

    fn summary(&self) {
        if !self.teller.has_status() {
            let [found, accepted, stale, held, refused, lost] = FATES.map(|fate| self.counts.blocks(fate));
            let rate = self.rate;
            tracing::info!(hashes_per_second = rate, found, accepted, stale, held, refused, lost, "so far");
        }
    }

    fn status(&self) -> String {
        let blocks: Vec<String> = FATES
            .into_iter()
            .map(|fate| (fate, self.counts.blocks(fate)))
            .filter(|(fate, count)| *count > 0 || matches!(*fate, "found" | "accepted"))
            .map(|(fate, count)| format!("{count} {fate}"))
            .collect();
        let at = match self.desk.work() {
            Some(work) => format!("height {}, {} orders", work.header().height, work.transactions()),
            None => "waiting for work".to_owned(),
        };
        let node = self.mined_at.map_or("no node", |node| self.urls[node].as_str());
        format!("{}  {at}  {node}  {}", tell::rate(self.rate), blocks.join(", "))
    }
}

/// The fates that are summed up for people.
const FATES: [&str; 6] = ["found", "accepted", "stale", "held", "refused", "lost"];
