//! The program itself against a node that answers from a table: output, streams and exit codes.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod network;

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use jsonrpsee::RpcModule;
use jsonrpsee::server::{Server, ServerHandle};
use jsonrpsee::types::ErrorObjectOwned;
use network::params;
use printsy_consensus::{Action, Hash, Transaction, check_transaction, codec};
use printsy_rpc::chain::{Chain, GetChain, GetParams, MempoolSize, NetworkParams, Sync, SyncState, Tip};
use printsy_rpc::market::{
    Account, Availability, BlockRef, Edition, EditionRange, ExecuteParams, ExecuteTransaction, GetAccount,
    GetEdition, GetTransaction, InBlock, IsAvailable, Status, TransactionStatus,
};
use printsy_rpc::{Amount, ErrorData, Hex, Method, RpcError, RpcReason, parse_params};

/// The height of the fake node's tip.
const TIP: u64 = 6;
/// The image that is sold out, and the one no block ever takes.
const SOLD_OUT: u64 = 26;
const STUCK: u64 = 27;
const PRICED: u64 = 28;
/// The image whose orders are answered in a form nobody knows.
const BABEL: u64 = 29;

struct FakeNode {
    url: String,
    _server: ServerHandle,
}

fn block(height: u64) -> BlockRef {
    BlockRef { height, hash: Hex([0xab; 32]) }
}

fn genesis() -> Hash {
    Hash([9; 32])
}

fn chain(network: &str) -> Chain {
    Chain {
        network: network.to_owned(),
        genesis: genesis().into(),
        tip: Tip { height: TIP, hash: Hex([0xab; 32]), time: 5 },
        final_block: block(0),
        work: Hex([0; 32]),
        difficulty: 1.0,
        sync: Sync { state: SyncState::Synced, height: TIP, best: TIP, rate: None, seconds_left: None },
        mempool: MempoolSize { transactions: 1, bytes: 170 },
        peers: 3,
        peer_id: "12D3Koo".to_owned(),
        listen: vec![],
        version: "printsyd/0.1.0".to_owned(),
    }
}

fn edition(image: u64) -> Edition {
    Edition {
        image,
        listed: image == PRICED,
        editions: 100,
        sold: 0,
        remaining: 100,
        price: Amount(if image == PRICED { 250 } else { 0 }),
        seller: None,
        register: Hex([0; 32]),
        reviews: 0,
        average_rating: None,
        last: None,
        last_review: None,
    }
}

/// Takes what the network's own check takes, and puts it into the next block at once.
fn execute(asked: ExecuteParams) -> Result<Status, RpcError> {
    let malformed = |why: String| RpcError::refused(why, ErrorData::new(RpcReason::Malformed));
    let transaction: Transaction =
        codec::decode(asked.transaction.as_bytes()).map_err(|error| malformed(error.to_string()))?;
    let checked = check_transaction(&params(), &genesis(), transaction)
        .map_err(|error| malformed(error.to_string()))?;
    assert_eq!(checked.expires_at(), TIP + 120);
    let lines = match checked.action() {
        Action::Purchase { lines, .. } => lines.to_vec(),
        _ => vec![],
    };
    if lines.iter().any(|line| line.image == SOLD_OUT) {
        let data = ErrorData::new(RpcReason::SoldOut).rule("S4");
        return Err(RpcError::refused("image 26 is sold out: 100 of 100 editions sold", data));
    }
    let is_stuck = lines.iter().any(|line| line.image == STUCK);
    let range =
        |line: &printsy_consensus::Line| EditionRange { image: line.image, from: 1, to: line.quantity };
    Ok(Status {
        tx_id: checked.txid().into(),
        status: if is_stuck { TransactionStatus::Pending } else { TransactionStatus::Included },
        history: vec![],
        block: (!is_stuck).then_some(InBlock { height: TIP + 1, hash: Hex([0xab; 32]), index: 0 }),
        confirmations: u64::from(!is_stuck),
        editions: (!is_stuck && !lines.is_empty()).then(|| lines.iter().map(range).collect()),
        transaction: asked.transaction,
    })
}

fn answer<M: Method + 'static>(
    module: &mut RpcModule<()>,
    respond: impl Fn(M::Params) -> Result<M::Result, RpcError> + Send + std::marker::Sync + 'static,
) where
    M::Result: Clone + 'static,
{
    let respond = move |raw: Option<&str>| -> Result<serde_json::Value, ErrorObjectOwned> {
        let result = parse_params::<M>(raw).and_then(&respond).map_err(ErrorObjectOwned::from)?;
        let value = serde_json::to_value(result).unwrap();
        let is_babel = value["editions"][0]["image"] == BABEL;
        Ok(if is_babel { "what?".into() } else { value })
    };
    module.register_method(M::NAME, move |params, (), _| respond(params.as_str())).unwrap();
}

async fn fake_node(network: &'static str) -> FakeNode {
    let mut module = RpcModule::new(());
    answer::<GetChain>(&mut module, move |_| Ok(chain(network)));
    answer::<GetParams>(&mut module, |_| Ok(NetworkParams::from(&params())));
    answer::<GetEdition>(&mut module, |asked| Ok(edition(asked.image.get())));
    answer::<ExecuteTransaction>(&mut module, execute);
    answer::<GetTransaction>(&mut module, |_| {
        Err(RpcError::refused("no such transaction", ErrorData::new(RpcReason::NotFound)))
    });
    answer::<GetAccount>(&mut module, |asked| {
        let account = asked.account;
        Ok(Account { account, balance: Amount(1250), transactions: 1, admitted: false, last: None })
    });
    answer::<IsAvailable>(&mut module, |asked| {
        Ok(Availability {
            image: asked.image.get(),
            available: true,
            remaining: 99,
            max: 100,
            sold: 1,
            pending: 0,
            price: Amount(0),
            last_block: Some(block(TIP)),
            tip: block(TIP),
        })
    });
    let server = Server::builder().build("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", server.local_addr().unwrap());
    FakeNode { url, _server: server.start(module) }
}

/// What a run of the program came to: exit code, standard output, standard error.
type Ran = (i32, String, String);

/// Runs `printsy` with these words; `home` is where its keys are.
async fn printsy(url: &str, home: &Path, words: &str) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_printsy"));
    command.env("PRINTSY_RPC", url).env("XDG_DATA_HOME", home).args(words.split(' '));
    let Output { status, stdout, stderr } =
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_data_on_standard_output() {
    let (node, home) = (fake_node("dev-test").await, tempfile::tempdir().unwrap());
    let alice = printsy_consensus::SecretKey::development("alice").public_key();
    for (words, expected) in [
        (
            "available 25",
            "image 25: 99 of 100 left, price 0; last sold in block 6 (abababab...)\n".to_owned(),
        ),
        (
            "buy 25 --key dev:alice",
            "bought image 25: edition 1 of 100, in block 7 (abababab...)\n".to_owned(),
        ),
        (
            "buy 28 25:2 --key dev:alice --max-total 250",
            "bought image 25: editions 1 to 2 of 100, in block 7 (abababab...)\n\
             bought image 28: edition 1 of 100 for 250, in block 7 (abababab...)\n"
                .to_owned(),
        ),
        ("redeem 5 --key dev:alice", "redeemed 5, in block 7 (abababab...)\n".to_owned()),
        (
            "transfer dev:alice 5 --key dev:issuer",
            format!("transferred 5 to {alice}, in block 7 (abababab...)\n"),
        ),
        ("balance --key dev:alice", format!("{alice}: balance 1250, 1 transaction\n")),
        ("balance dev:alice", format!("{alice}: balance 1250, 1 transaction\n")),
        (
            "chain",
            format!(
                "network  dev-test\ngenesis  {}\ntip      6 (abababab...)\nfinal    0 (abababab...)\n\
                 sync     synced\nmempool  1 transaction, 170 bytes\npeers    3\nnode     printsyd/0.1.0 12D3Koo\n",
                genesis()
            ),
        ),
    ] {
        let (code, out, err) = printsy(&node.url, home.path(), words).await;
        assert_eq!((code, out), (0, expected), "{words}: {err}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_the_node_s_own_answer() {
    let (node, home) = (fake_node("dev-test").await, tempfile::tempdir().unwrap());
    let (code, out, err) = printsy(&node.url, home.path(), "buy 25 --key dev:alice --json").await;
    assert_eq!((code, err.as_str()), (0, ""));
    let status: Status = serde_json::from_str(&out).unwrap();
    assert_eq!(status.editions, Some(vec![EditionRange { image: 25, from: 1, to: 1 }]));

    let (code, out, err) = printsy(&node.url, home.path(), "buy 26 --key dev:alice --json").await;
    assert_eq!((code, out.as_str()), (1, ""));
    let error: serde_json::Value = serde_json::from_str(&err).unwrap();
    assert_eq!(
        (&error["error"]["code"], &error["error"]["data"]["reason"]),
        (&1001.into(), &"soldOut".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_a_sentence_and_exit_code_1() {
    let (node, home) = (fake_node("dev-test").await, tempfile::tempdir().unwrap());
    for (words, expected) in [
        (
            "buy 28 --key dev:alice --max-total 249",
            "it costs 250, more than the 249 of --max-total, so nothing was ordered",
        ),
        ("buy 25 --key nobody", "no key file at "),
        (
            "buy 25 --key dev:alice --valid-for 301",
            "an order on this network is valid for at most 300 blocks",
        ),
        ("register-miner dev:bob --name \u{e9} --key dev:registrar", "T12"),
        ("keys new Alice", "a key's name is 1 to 32 of a-z"),
    ] {
        let (code, out, err) = printsy(&node.url, home.path(), words).await;
        assert_eq!((code, out.as_str()), (1, ""), "{words}: {err}");
        assert!(err.lines().last().unwrap().starts_with("printsy: "), "{err}");
        assert!(err.contains(expected), "{words}: {err}");
    }
    let (code, out, err) = printsy(&node.url, home.path(), "buy 26 --key dev:alice").await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert_eq!(err.lines().last().unwrap(), "printsy: image 26 is sold out: 100 of 100 editions sold");
    let status = format!("status {}", "ab".repeat(32));
    let (code, _, err) = printsy(&node.url, home.path(), &status).await;
    assert_eq!((code, err.as_str()), (1, "printsy: no such transaction; another node may know it (--rpc)\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_no_block_took_in_time_is_not_called_bought() {
    let (node, home) = (fake_node("dev-test").await, tempfile::tempdir().unwrap());
    let (code, out, err) = printsy(&node.url, home.path(), "buy 27 --key dev:alice").await;
    assert_eq!((code, out.as_str()), (1, "pending: waiting for a block\n"));
    assert!(err.contains("before you order again"), "{err}");
    let (code, out, _) = printsy(&node.url, home.path(), "buy 27 --key dev:alice --wait admitted").await;
    assert_eq!(code, 0);
    assert!(out.starts_with("sent, and waiting for a block: "), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_without_an_answer_is_named_before_anyone_orders_again() {
    let (node, home) = (fake_node("dev-test").await, tempfile::tempdir().unwrap());
    // An answer of another form, as from a node of another version: the order may well have been taken.
    let (code, out, err) = printsy(&node.url, home.path(), &format!("buy {BABEL} --key dev:alice")).await;
    assert_eq!((code, out.as_str()), (1, ""));
    let txid = err.lines().next().unwrap().strip_prefix("printsy: order ").unwrap();
    let expected =
        format!("order {txid} may be under way until block 126, so ask `printsy status {txid}` before");
    assert!(err.lines().last().unwrap().contains(&expected), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn development_keys_are_refused_on_other_networks() {
    let (node, home) = (fake_node("prints").await, tempfile::tempdir().unwrap());
    for words in ["buy 25 --key dev:alice", "balance dev:alice"] {
        let (code, out, err) = printsy(&node.url, home.path(), words).await;
        assert_eq!((code, out.as_str()), (1, ""), "{words}");
        assert!(err.contains("works on networks named dev-... alone, and this one is prints"), "{err}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_errors_are_exit_code_2() {
    let home = tempfile::tempdir().unwrap();
    for words in ["buy 25", "balance", "buy", "nonsense", "buy x --key dev:alice", "review 25 --rating 9"] {
        let (code, out, err) = printsy("http://127.0.0.1:1", home.path(), words).await;
        assert_eq!((code, out.as_str()), (2, ""), "{words}: {err}");
        assert!(err.starts_with("error: "), "{words}: {err}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_one_line() {
    let home = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, out, err) = printsy(&format!("http://{free}"), home.path(), "chain").await;
    assert_eq!((code, out.as_str(), err.lines().count()), (1, "", 1), "{err}");
    assert!(err.contains("start one with `printsyd run --dev`"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_made_listed_and_signed_with() {
    let (node, home) = (fake_node("prints").await, tempfile::tempdir().unwrap());
    let (code, out, err) = printsy(&node.url, home.path(), "keys list").await;
    assert_eq!((code, out.as_str()), (0, ""));
    assert!(err.contains("make one with `printsy keys new NAME`"), "{err}");

    let (code, made, err) = printsy(&node.url, home.path(), "keys new carol").await;
    assert_eq!(code, 0);
    assert!(made.starts_with("carol  prt1"), "{made}");
    assert!(err.contains("printsy/keys/carol.key"), "{err}");
    assert_eq!(printsy(&node.url, home.path(), "keys list").await, (0, made.clone(), String::new()));

    let (code, out, err) = printsy(&node.url, home.path(), "keys new carol").await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("never overwritten"), "{err}");

    let (code, out, err) = printsy(&node.url, home.path(), "buy 25 --key carol").await;
    assert_eq!(
        (code, out.as_str()),
        (0, "bought image 25: edition 1 of 100, in block 7 (abababab...)\n"),
        "{err}"
    );
    let file = home.path().join("printsy/keys/carol.key");
    let words = format!("buy 25 --key {}", file.display());
    assert_eq!(printsy(&node.url, home.path(), &words).await.0, 0);
}
