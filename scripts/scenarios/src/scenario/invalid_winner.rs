//! Scenario 3: the purchase is valid, but the block that wins with it is not.
//!
//! Nobody tells the three miners to pause: the forger races them for the next block, with the same work, and a
//! round that it loses proves nothing and is run again with a new purchase. What a round must show: every node
//! refuses the forged block with its rule, the purchase stays pending, the next valid block confirms it, and the
//! buyer's wallet, which waited all the while, never saw a failure. Last comes a block by the same hands without
//! a flaw, which every node accepts: so it is the flaw that the others were refused for.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use printsy_consensus::{CheckedTransaction, Header, SecretKey, check_transaction, codec};
use printsy_miner::Cancel;
use printsy_rpc::NoParams;
use printsy_rpc::chain::GetPeers;
use printsy_rpc::market::TransactionStatus;
use printsy_rpc::mining::{
    GetBlockTemplate, GetBlockTemplateParams, Submission, SubmitBlock, SubmitBlockParams, Verdict,
};
use printsy_rpc::text::BlockHex;
use printsy_rpc::{Address, HashHex};
use tokio::time::{Instant, sleep};

use crate::craft::{Draft, Flaw, purchase};
use crate::narrate::seconds;
use crate::network::MINERS;
use crate::stage::{AGREE_TIME, Stage, expect_eq, now_ms, short, status};
use crate::wait::{Look, until};
use crate::wallet::{Buyer, Said};

/// The image that the patient buyer wants.
const IMAGE: u64 = 27;
/// The image of which all of MAX are sold.
const SOLD_OUT: u64 = 26;
/// How long the forger may go on losing races: with a third of the hash power and a block every few seconds,
/// losing all of that time has a chance of 1 to some millions.
const RACE_TIME: Duration = Duration::from_secs(240);
/// The pause between two looks at the tip, and between two races.
const PAUSE: Duration = Duration::from_millis(50);
/// What a node counts of blocks that broke a rule.
const REFUSED_METRIC: [&str; 1] = ["printsy_chain_blocks_refused_total"];
/// How many blocks from the forged one's height on may confirm the purchase: the first, unless it was found on a
/// template from before the purchase, and then the second.
const CONFIRMED_WITHIN_BLOCKS: u64 = 2;

/// Races the miners with each flaw, and then with none.
///
/// # Errors
/// The first deviation.
pub async fn play(stage: &mut Stage) -> Result<()> {
    stage.story.scenario(3, "A valid purchase whose first winning block is invalid");
    stage.story.step(&format!("image {SOLD_OUT} is sold out first: alice buys all of it in one cart"));
    stage.wallet(&format!("buy {SOLD_OUT} --quantity 100 --key dev:alice")).await?;
    let sold = stage.agreed(SOLD_OUT, 100).await?;
    expect_eq("left", &0, &sold.remaining)?;
    stage.story.done("none of 100 left, at each node");
    let mut sold = 0;
    for kind in [Kind::StateRoot, Kind::SoldOut, Kind::Sound] {
        sold += race(stage, kind).await?;
        let after = stage.agreed(IMAGE, sold).await?;
        expect_eq("left", &(100 - sold), &after.remaining)?;
    }
    Ok(())
}

/// Which block the forger makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    StateRoot,
    SoldOut,
    Sound,
}

impl Kind {
    fn title(self) -> &'static str {
        match self {
            Self::StateRoot => "whose state root is off by one bit (rule B6)",
            Self::SoldOut => "with a sold-out purchase in it too, under roots that match (rule S4)",
            Self::Sound => "with nothing wrong, for comparison",
        }
    }

    /// The flaw, on the replica's tip.
    fn flaw(self, stage: &Stage) -> Result<Flaw> {
        let expires_at = stage.replica.tip().height + 100;
        Ok(match self {
            Self::StateRoot => Flaw::StateRoot,
            Self::SoldOut => {
                let key = SecretKey::development("mallory");
                Flaw::SoldOut(purchase(stage.network.genesis(), &key, SOLD_OUT, 0, expires_at)?)
            }
            Self::Sound => Flaw::None,
        })
    }
}

/// A block that won its race.
struct Won {
    header: Header,
    answers: Vec<Submission>,
    /// What each node had refused before.
    before: Vec<u64>,
}

/// Races until it has won once; says how many purchases that took, each of which was confirmed.
async fn race(stage: &mut Stage, kind: Kind) -> Result<u32> {
    stage.story.step(&format!(
        "with {}'s key, a forger races the miners for a block {}",
        MINERS[0],
        kind.title()
    ));
    let deadline = Instant::now() + RACE_TIME;
    let mut purchases = 0;
    while Instant::now() < deadline {
        let buyer = begin_purchase(stage).await?;
        purchases += 1;
        let mut won = None;
        while won.is_none() && is_pending(stage, buyer.txid).await? {
            won = round(stage, kind, buyer.txid).await?;
            if won.is_none() {
                sleep(PAUSE).await;
            }
        }
        let Some(won) = won else {
            stage.story.detail("the miners were faster: once more, with a new purchase");
            finish(stage, buyer).await?;
            continue;
        };
        stage.story.detail(&format!(
            "block {} ({}) is the forger's, and is offered to every node",
            won.header.height,
            short(won.header.id())
        ));
        tell_answers(stage, &won.answers);
        let still = status(stage.network.shop(), buyer.txid).await?.map(|status| status.status);
        stage.story.detail(&format!("node 4 says of the purchase: {}", words(still)));
        let txid = buyer.txid;
        let said = finish(stage, buyer).await?;
        stage.story.detail(&said.answer);
        after(stage, kind, &won, txid).await?;
        return Ok(purchases);
    }
    bail!("expected the forger to win a race within {} s, got none", RACE_TIME.as_secs())
}

/// The buyer's wallet, which waits for a block from now on.
async fn begin_purchase(stage: &Stage) -> Result<Buyer> {
    let line = format!("buy {IMAGE} --key dev:carol");
    let buyer = stage.wallet.begin(&line, &stage.network.shop().url()).await?;
    stage.story.detail(&format!("$ printsy {line} --rpc {}", stage.network.shop().url()));
    stage.story.detail(&format!("printsy: order {}", buyer.txid));
    // The wallet names its order before it sends it; and only when every miner has heard of it is it fair to
    // expect it in the next block.
    until("every node to know the order", AGREE_TIME, async || {
        for node in stage.network.nodes() {
            if status(node, buyer.txid).await?.is_none() {
                return Ok(Look::NotYet(format!("that {} does not", node.name())));
            }
        }
        Ok(Look::Yes(()))
    })
    .await?;
    Ok(buyer)
}

/// The buyer never sees a failure, whatever the forger does.
async fn finish(stage: &Stage, buyer: Buyer) -> Result<Said> {
    let said = buyer.finish().await?;
    ensure!(said.success, "expected the buyer's wallet to succeed, got: {} {}", said.answer, said.notes);
    stage.story.detail(&format!("carol's wallet ends with success after {}", seconds(stage.story.elapsed())));
    Ok(said)
}

/// Whether the order waits at the shop.
async fn is_pending(stage: &Stage, txid: HashHex) -> Result<bool> {
    let known = status(stage.network.shop(), txid).await?;
    Ok(known.is_some_and(|status| status.status == TransactionStatus::Pending))
}

/// One race; `None` if it was lost.
async fn round(stage: &mut Stage, kind: Kind, txid: HashHex) -> Result<Option<Won>> {
    let Some(order) = pending_order(stage, txid).await? else { return Ok(None) };
    stage.follow().await?;
    let key = SecretKey::development(MINERS[0]);
    let flaw = kind.flaw(stage)?;
    let orders = vec![order];
    if !agrees_with_template(stage, &orders).await? {
        return Ok(None);
    }
    let draft = Draft::new(&stage.replica, key.public_key(), now_ms(), orders, &flaw)?;
    let Some(draft) = work(stage, draft).await? else { return Ok(None) };
    let block = BlockHex::new(draft.sign(&key)).map_err(anyhow::Error::msg)?;
    let before = refused_blocks(stage).await?;
    let mut answers = Vec::new();
    for node in stage.network.nodes() {
        answers.push(node.ask::<SubmitBlock>(&SubmitBlockParams::Block { block: block.clone() }).await?);
    }
    let won = judge(stage, &flaw, &answers)?;
    Ok(won.then_some(Won { header: draft.header, answers, before }))
}

/// The order's bytes from the shop, if it waits there.
async fn pending_order(stage: &Stage, txid: HashHex) -> Result<Option<CheckedTransaction>> {
    let Some(status) = status(stage.network.shop(), txid).await? else { return Ok(None) };
    if status.status != TransactionStatus::Pending {
        return Ok(None);
    }
    let genesis = stage.network.genesis();
    let order = codec::decode(status.transaction.as_bytes()).context("the order's bytes")?;
    Ok(Some(check_transaction(genesis.params(), &genesis.hash(), order)?))
}

/// The shop's own template and the replica's draft say the same of the same orders; `false` if the template has
/// another tip or other orders already.
///
/// # Errors
/// If they differ in what the rules determine.
async fn agrees_with_template(stage: &Stage, orders: &[CheckedTransaction]) -> Result<bool> {
    let miner = SecretKey::development(MINERS[0]).public_key();
    let params = GetBlockTemplateParams { miner: Address(miner) };
    let template = stage.network.shop().ask::<GetBlockTemplate>(&params).await?;
    let theirs = Header::from_bytes(&template.header.0);
    let own = Draft::new(&stage.replica, miner, theirs.time, orders.to_vec(), &Flaw::None)?.header;
    if (own.parent, own.transactions_root) != (theirs.parent, theirs.transactions_root) {
        return Ok(false);
    }
    expect_eq("the template, by the node and by the replica", &own, &theirs)?;
    Ok(true)
}

/// Does the work, unless the tip moves meanwhile.
async fn work(stage: &Stage, draft: Draft) -> Result<Option<Draft>> {
    let cancel = Cancel::new();
    let parent = HashHex::from(draft.header.parent);
    let moved = async {
        while stage.network.shop().chain().await?.tip.hash == parent {
            sleep(PAUSE).await;
        }
        anyhow::Ok(())
    };
    tokio::select! {
        done = draft.work(&stage.forger, &cancel) => done,
        moved = moved => moved.map(|()| None),
    }
}

/// Whether the answers prove what the flaw should lead to. A tip that moved first proves nothing.
///
/// # Errors
/// If a node takes a block that is wrong, refuses one that is not, or names another rule.
fn judge(stage: &Stage, flaw: &Flaw, answers: &[Submission]) -> Result<bool> {
    let rule = flaw.rule().map(|rule| rule.id());
    let mut all = true;
    for (node, answer) in stage.network.nodes().iter().zip(answers) {
        all &= match (answer.verdict, rule) {
            (Verdict::Refused, Some(rule)) if answer.rule.as_deref() == Some(rule) => true,
            // Whoever was asked first has told the others.
            (Verdict::Accepted | Verdict::Duplicate, None) => true,
            (Verdict::Stale | Verdict::UnknownParent, _) => false,
            _ => bail!("{}: expected it to find {rule:?} wrong, got {}", node.name(), verdict(answer)),
        };
    }
    Ok(all)
}

/// What every node says after a race that was won.
async fn after(stage: &Stage, kind: Kind, won: &Won, txid: HashHex) -> Result<()> {
    let block = stage.confirmed(txid).await?;
    let forged = HashHex::from(won.header.id());
    if kind == Kind::Sound {
        expect_eq("the block that confirmed it", &forged, &block.hash)?;
        stage.story.done(&format!("every node took block {} and has the purchase in it", block.height));
        return Ok(());
    }
    ensure!(block.hash != forged, "the forged block {forged} is on the chain");
    let next = won.header.height..won.header.height + CONFIRMED_WITHIN_BLOCKS;
    ensure!(next.contains(&block.height), "expected it in a block of {next:?}, got {}", block.height);
    for ((node, before), now) in
        stage.network.nodes().iter().zip(&won.before).zip(refused_blocks(stage).await?)
    {
        expect_eq(&format!("{}: blocks refused since", node.name()), &1, &(now - before))?;
        let peers = node.ask::<GetPeers>(&NoParams {}).await?;
        let blamed = peers.iter().filter(|peer| peer.score < 0).count();
        expect_eq(&format!("{}: peers that it blames", node.name()), &0, &blamed)?;
        ensure!(!peers.is_empty(), "{} has lost its peers", node.name());
    }
    let place = format!("block {} ({})", block.height, short(block.hash));
    stage
        .story
        .done(&format!("refused by all; the purchase waited, and valid {place} confirms it at each node"));
    Ok(())
}

/// For each node, how many blocks it refused.
async fn refused_blocks(stage: &Stage) -> Result<Vec<u64>> {
    let mut all = Vec::new();
    for node in stage.network.nodes() {
        let [refused] = node.metrics(REFUSED_METRIC).await?;
        all.push(refused);
    }
    Ok(all)
}

/// What the nodes answered: once where all answered the same.
fn tell_answers(stage: &Stage, answers: &[Submission]) {
    let words: Vec<String> = answers.iter().map(verdict).collect();
    match words.as_slice() {
        [first, rest @ ..] if rest.iter().all(|other| other == first) => {
            stage.story.detail(&format!("each node: {first}"));
        }
        _ => {
            for (node, answer) in stage.network.nodes().iter().zip(&words) {
                stage.story.detail(&format!("{}: {answer}", node.name()));
            }
        }
    }
}

fn verdict(answer: &Submission) -> String {
    let verdict = match answer.verdict {
        Verdict::Accepted => "accepted",
        Verdict::Stale => "stale",
        Verdict::Duplicate => "has it already",
        Verdict::Held => "held",
        Verdict::UnknownParent => "unknown parent",
        Verdict::Refused => "refused",
    };
    match &answer.reason {
        Some(reason) => format!("{verdict}: {reason}"),
        None => verdict.to_owned(),
    }
}

fn words(status: Option<TransactionStatus>) -> String {
    status.map_or_else(|| "unknown".to_owned(), |status| format!("{status:?}").to_lowercase())
}
