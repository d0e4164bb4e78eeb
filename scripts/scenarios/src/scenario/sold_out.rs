//! Scenario 2: a purchase of a sold-out image is refused at once, and goes no further.
//!
//! No further means: it is in no mempool and in no template, and no other node has heard of it. That is asked of
//! the nodes, counted by their metrics, and at the end counted again from the blocks themselves.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use printsy_consensus::{CheckedTransaction, Header, SecretKey, transactions_root};
use printsy_rpc::chain::{GetMempool, GetMempoolParams};
use printsy_rpc::market::{ExecuteParams, ExecuteTransaction, TransactionStatus, Wait};
use printsy_rpc::mining::{GetBlockTemplate, GetBlockTemplateParams};
use printsy_rpc::{Address, ClientError, HashHex, RpcError, RpcReason, TransactionHex};
use tokio::time::Instant;

use crate::craft::purchase;
use crate::narrate::seconds;
use crate::network::{MINERS, Node, SHOP};
use crate::stage::{Stage, expect_eq, short, status};

/// The image, its price and its editions.
const IMAGE: u64 = 7;
const PRICE: u64 = 3;
const EDITIONS: u32 = 2;
/// How long a refusal may take, on a connection that is open.
const REFUSED_WITHIN: Duration = Duration::from_millis(10);
/// How many calls are timed: the median of them counts, for on a busy machine any one may have to wait for a core.
const TIMED_CALLS: usize = 9;
/// How far ahead the order that is refused expires, in blocks.
const VALID_BLOCKS: u64 = 100;
/// What a node counts of orders.
const METRICS: [&str; 2] = ["printsy_mempool_admitted_total", "printsy_mempool_refused_total"];

/// Sells an image out, and tries to buy another.
///
/// # Errors
/// The first deviation.
pub async fn play(stage: &mut Stage) -> Result<()> {
    stage.story.scenario(2, "A purchase of a sold-out image");
    sell_out(stage).await?;
    let before = metrics(stage).await?;
    let (order, refusals) = refused(stage).await?;
    went_no_further(stage, &before, order, refusals).await
}

async fn sell_out(stage: &mut Stage) -> Result<()> {
    stage.story.step(&format!(
        "image {IMAGE} goes on sale with {EDITIONS} editions at {PRICE}; bob gets 100 to spend"
    ));
    let list = format!("list-image {IMAGE} --seller dev:seller --price {PRICE} --editions {EDITIONS}");
    stage.wallet(&format!("{list} --key dev:registrar")).await?;
    stage.wallet("issue dev:bob 100 --key dev:issuer").await?;
    stage.story.done("listed, and credited");

    stage.story.step("bob buys both");
    for edition in 1..=EDITIONS {
        let said = stage.wallet(&format!("buy {IMAGE} --key dev:bob")).await?;
        let told = format!("edition {edition} of {EDITIONS}");
        ensure!(said.answer.contains(&told), "expected {told:?}, got {:?}", said.answer);
    }
    let after = stage.agreed(IMAGE, EDITIONS).await?;
    expect_eq("left, and available", &(0, false), &(after.remaining, after.available))?;
    stage.story.done("each node says: sold out");
    Ok(())
}

/// Tries by the wallet, then directly; returns the order sent directly, and how often the shop had to refuse.
async fn refused(stage: &mut Stage) -> Result<(HashHex, u64)> {
    stage.story.step("bob tries to buy a third");
    let said = stage.try_wallet(&format!("buy {IMAGE} --key dev:bob")).await?;
    expect_eq("success of the wallet", &false, &said.success)?;
    stage.story.done("refused, before any proof of work");

    let order = third(stage).await?;
    stage.story.step(&format!("the same by JSON-RPC, timed: executeTransaction of {}", short(order.txid())));
    let shop = stage.network.shop();
    // The first opens the connection.
    let (_, first) = refuse(shop, &order).await?;
    let mut times = Vec::new();
    for _ in 0..TIMED_CALLS {
        let (error, took) = refuse(shop, &order).await?;
        is_sold_out(&error)?;
        times.push(took);
        if times.len() == TIMED_CALLS {
            stage.story.detail(&format!("{} {error}", error.code));
        }
    }
    times.sort_unstable();
    let (median, worst) = (times[TIMED_CALLS / 2], times[TIMED_CALLS - 1]);
    let of = format!("{TIMED_CALLS} calls: median {}, worst {}", seconds(median), seconds(worst));
    stage.story.detail(&format!("first call {}; then {of}", seconds(first)));
    ensure!(median <= REFUSED_WITHIN, "expected a refusal within {REFUSED_WITHIN:?}, got {median:?}");
    stage.story.done(&format!("1001 soldOut with its data, in {}", seconds(median)));
    // By the wallet, to open the connection, and timed.
    let refusals = 2 + u64::try_from(TIMED_CALLS)?;
    Ok((order.txid().into(), refusals))
}

/// A third purchase, as it was valid before the image was sold out.
async fn third(stage: &mut Stage) -> Result<CheckedTransaction> {
    stage.follow().await?;
    let expires_at = stage.replica.tip().height + VALID_BLOCKS;
    purchase(stage.network.genesis(), &SecretKey::development("bob"), IMAGE, PRICE, expires_at)
}

async fn refuse(node: &Node, order: &CheckedTransaction) -> Result<(RpcError, Duration)> {
    let transaction = TransactionHex::new(order.bytes().to_vec()).map_err(anyhow::Error::msg)?;
    let params = ExecuteParams { transaction, wait: Some(Wait::Included), timeout_ms: None };
    let begin = Instant::now();
    match node.call::<ExecuteTransaction>(&params).await {
        Err(ClientError::Refused(error)) => Ok((error, begin.elapsed())),
        Err(error) => Err(error).context("expected a refusal"),
        Ok(status) => bail!("expected a refusal, got {status:?}"),
    }
}

fn is_sold_out(error: &RpcError) -> Result<()> {
    expect_eq("the error's code", &1001, &error.code)?;
    let data = error.data.as_deref().context("expected the error's data, got none")?;
    expect_eq("its reason", &RpcReason::SoldOut, &data.reason)?;
    expect_eq("its rule", &Some("S4"), &data.rule.as_deref())?;
    let expected = (Some(IMAGE), Some(u64::from(EDITIONS)), Some(u64::from(EDITIONS)), Some(1));
    expect_eq(
        "its image, max, sold, requested",
        &expected,
        &(data.image, data.max, data.sold, data.requested),
    )
}

async fn went_no_further(
    stage: &mut Stage,
    before: &[[u64; 2]],
    order: HashHex,
    refusals: u64,
) -> Result<()> {
    stage
        .story
        .step("did it go any further? getMempool, getBlockTemplate, getTransaction, /metrics, at each");
    for (node, [admitted, refused]) in stage.network.nodes().iter().zip(before) {
        let name = node.name();
        let mempool = node.ask::<GetMempool>(&GetMempoolParams { verbose: Some(true) }).await?;
        expect_eq(&format!("{name}'s mempool"), &Some(Vec::new()), &mempool.tx_ids)?;
        no_template_with_orders(node).await?;
        let expected = if node.number() == SHOP { refusals } else { 0 };
        let [admitted_now, refused_now] = node.metrics(METRICS).await?;
        expect_eq(&format!("{name}: admitted since"), &0, &(admitted_now - admitted))?;
        expect_eq(&format!("{name}: refused since"), &expected, &(refused_now - refused))?;
        unknown_or_refused(node, order).await?;
        let counts = format!("admitted +0, refused +{expected}, mempool 0, template 0");
        stage.story.detail(&format!("{name}: {counts}"));
    }
    stage.story.done("no: refused where it was sent, unknown everywhere else");
    Ok(())
}

async fn unknown_or_refused(node: &Node, txid: HashHex) -> Result<()> {
    match status(node, txid).await? {
        None => Ok(()),
        Some(status) if node.number() == SHOP && status.status == TransactionStatus::Refused => Ok(()),
        Some(status) => bail!("{}: expected the order to be unknown, got {status:?}", node.name()),
    }
}

async fn no_template_with_orders(node: &Node) -> Result<()> {
    let miner = Address(SecretKey::development(MINERS[0]).public_key());
    let params = GetBlockTemplateParams { miner };
    // The first on a tip may be an empty one that says nothing of the mempool.
    node.ask::<GetBlockTemplate>(&params).await?;
    let template = node.ask::<GetBlockTemplate>(&params).await?;
    expect_eq(&format!("{}: orders in its template", node.name()), &0, &template.transactions)?;
    let root = Header::from_bytes(&template.header.0).transactions_root;
    expect_eq(&format!("{}: the template's transactions root", node.name()), &transactions_root(&[]), &root)
}

async fn metrics(stage: &Stage) -> Result<Vec<[u64; 2]>> {
    let mut all = Vec::new();
    for node in stage.network.nodes() {
        all.push(node.metrics(METRICS).await?);
    }
    Ok(all)
}
