//! The program itself against a node that answers from a table: output, streams and exit codes.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod network;

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

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
    printsy_reading(url, home, words, "").await
}

/// The same, with something on its standard input, which is a pipe.
async fn printsy_reading(url: &str, home: &Path, words: &str, input: &str) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_printsy"));
    command.env("PRINTSY_RPC", url).env("XDG_DATA_HOME", home).args(words.split(' '));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let input = input.to_owned();
    let run = move || {
        let mut child = command.spawn().unwrap();
        // A program that does not read what it is given has ended: that is no error here.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    };
    let Output { status, stdout, stderr } = tokio::task::spawn_blocking(run).await.unwrap();
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
        ("keys new carol --password-file /nonexistent/file", "cannot read the password in /nonexistent/file"),
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

/// The order that a run named first.
fn named(err: &str) -> String {
    err.lines().next().unwrap().strip_prefix("printsy: order ").unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_no_block_took_in_time_is_neither_bought_nor_refused() {
    let (node, home) = (fake_node("dev-test").await, tempfile::tempdir().unwrap());
    let (code, out, err) = printsy(&node.url, home.path(), "buy 27 --key dev:alice").await;
    assert_eq!((code, out.as_str()), (3, "pending: waiting for a block\n"));
    let txid = named(&err);
    let never_twice = format!(
        "order {txid} is in no block yet: it may happen until block 126 is final, so never order again before that; \
         ask `printsy status {txid}`, or send the very same order once more with `printsy resend {txid}`"
    );
    assert!(err.contains(&never_twice), "{err}");
    let (code, out, _) = printsy(&node.url, home.path(), "buy 27 --key dev:alice --wait admitted").await;
    assert_eq!(code, 0);
    assert!(out.starts_with("sent, and waiting for a block: "), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_without_an_answer_is_kept_named_and_sent_again_as_it_was() {
    let (node, home) = (fake_node("dev-test").await, tempfile::tempdir().unwrap());
    let elsewhere = tempfile::tempdir().unwrap();
    // An answer of another form, as from a node of another version: the order may well have been taken.
    let (code, out, err) = printsy(&node.url, home.path(), &format!("buy {BABEL} --key dev:alice")).await;
    assert_eq!((code, out.as_str()), (3, ""));
    let txid = named(&err);
    let expected = format!(
        "order {txid} may be under way: it may happen until block 126 is final, so never order again"
    );
    assert!(err.lines().last().unwrap().contains(&expected), "{err}");

    let line = format!("buy {BABEL} --key dev:bob --json");
    let (code, out, err) = printsy(&node.url, elsewhere.path(), &line).await;
    let error: serde_json::Value = serde_json::from_str(&err).unwrap();
    assert_eq!((code, out.as_str(), &error["error"]["expiresAt"]), (3, "", &126.into()));
    let (_, kept, _) = printsy(&node.url, elsewhere.path(), "orders --json").await;
    let kept: serde_json::Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(error["error"]["txId"], kept[0]["txId"]);

    // The node does not know it, the wallet does.
    let (code, out, err) = printsy(&node.url, home.path(), &format!("status {txid}")).await;
    assert_eq!(code, 3, "{out} {err}");
    assert!(out.starts_with("unknown to this node: to buy 1 edition for 0, sent "), "{out}");
    assert!(err.contains("never order again before that"), "{err}");
    let (code, out, _) = printsy(&node.url, home.path(), "orders").await;
    assert_eq!((code, out.lines().count()), (0, 1), "{out}");
    assert!(out.starts_with(&txid) && out.contains("up to block 126"), "{out}");
    let (code, out, _) = printsy(&node.url, home.path(), "orders --json").await;
    let kept: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, kept[0]["txId"].as_str().unwrap()), (0, txid.as_str()));

    // The very same bytes again: the same id, and no new order. The node answers in its own tongue once more.
    let (code, _, err) = printsy(&node.url, home.path(), &format!("resend {txid}")).await;
    assert_eq!((code, named(&err)), (3, txid.clone()));
    let (_, out, _) = printsy(&node.url, home.path(), "orders").await;
    assert_eq!(out.lines().count(), 1);
    let other = fake_node("prints").await;
    let (code, _, err) = printsy(&other.url, home.path(), &format!("resend {}", "ab".repeat(32))).await;
    assert_eq!(code, 1);
    assert!(err.contains("is kept here; `printsy orders` lists"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_refused_for_good_is_not_kept() {
    let (node, home) = (fake_node("dev-test").await, tempfile::tempdir().unwrap());
    let (code, _, _) = printsy(&node.url, home.path(), "buy 26 --key dev:alice").await;
    assert_eq!(code, 1);
    let (code, out, err) = printsy(&node.url, home.path(), "orders").await;
    assert_eq!((code, out.as_str(), err.as_str()), (0, "", "printsy: no orders were sent from here\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_one_s_own_need_a_confirmation_and_known_ones_do_not() {
    let (node, home) = (fake_node("prints").await, tempfile::tempdir().unwrap());
    assert_eq!(printsy(&node.url, home.path(), "keys new carol --plain").await.0, 0);
    let (code, out, err) = printsy(&node.url, home.path(), "buy 25 --key carol").await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("nothing was done") && err.contains("add --yes"), "{err}");
    let (_, out, _) = printsy(&node.url, home.path(), "orders").await;
    assert_eq!(out, "", "what was not confirmed was not sent");
    assert_eq!(printsy(&node.url, home.path(), "buy 25 --key carol --yes").await.0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_in_the_environment_are_refused() {
    let home = tempfile::tempdir().unwrap();
    for name in
        ["PRINTSY_PASSWORD", "PRINTSY_KEY_PASSWORD", "PRINTSY_password_old", "PRINTSY_WALLET_MNEMONIC"]
    {
        let mut command = Command::new(env!("CARGO_BIN_EXE_printsy"));
        let ran = command
            .env("XDG_DATA_HOME", home.path())
            .env(name, "hush")
            .args(["keys", "list"])
            .output()
            .unwrap();
        let err = String::from_utf8(ran.stderr).unwrap();
        assert_eq!((ran.status.code(), ran.stdout.as_slice()), (Some(2), &b""[..]), "{name}");
        assert!(err.contains(name) && err.contains("--password-file") && !err.contains("hush"), "{err}");
    }
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
async fn a_plain_key_is_made_listed_and_signed_with() {
    let (node, home) = (fake_node("prints").await, tempfile::tempdir().unwrap());
    let (code, out, err) = printsy(&node.url, home.path(), "keys list").await;
    assert_eq!((code, out.as_str()), (0, ""));
    assert!(err.contains("make one with `printsy keys new NAME`"), "{err}");

    let (code, made, err) = printsy(&node.url, home.path(), "keys new carol --plain").await;
    assert_eq!(code, 0);
    assert!(made.starts_with("carol  prt1"), "{made}");
    assert!(err.contains("printsy/keys/carol.key"), "{err}");
    assert_eq!(printsy(&node.url, home.path(), "keys list").await, (0, made.clone(), String::new()));

    let (code, out, err) = printsy(&node.url, home.path(), "keys new carol --plain").await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("never overwritten"), "{err}");

    let (code, out, err) = printsy(&node.url, home.path(), "buy 25 --key carol --yes").await;
    assert_eq!(
        (code, out.as_str()),
        (0, "bought image 25: edition 1 of 100, in block 7 (abababab...)\n"),
        "{err}"
    );
    let file = home.path().join("printsy/keys/carol.key");
    let words = format!("buy 25 --yes --key {}", file.display());
    assert_eq!(printsy(&node.url, home.path(), &words).await.0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_with_a_password_is_made_used_changed_and_restored_by_a_script() {
    let (node, home) = (fake_node("prints").await, tempfile::tempdir().unwrap());
    let (code, out, err) = printsy(&node.url, home.path(), "keys new carol").await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(err.contains("give --password-file FILE") && err.contains("--plain"), "{err}");

    let (code, made, err) = printsy_reading(
        &node.url,
        home.path(),
        "keys new carol --words 24 --password-file -",
        "open sesame\n",
    )
    .await;
    assert_eq!(code, 0, "{err}");
    assert!(made.starts_with("carol  prt1"), "{made}");
    assert!(err.contains("see them with `printsy keys words carol`"), "{err}");
    let address = made.trim().strip_prefix("carol  ").unwrap().to_owned();

    // No password is needed for what is no secret.
    let balance = printsy(&node.url, home.path(), "balance --key carol").await;
    assert_eq!(balance.1, format!("{address}: balance 1250, 1 transaction\n"));
    let (_, shown, _) = printsy(&node.url, home.path(), "keys show carol --json").await;
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(
        (shown["protection"].as_str(), shown["derivation"].as_str()),
        (Some("password"), Some("m/44'/7369332'/0'/0/0"))
    );

    let (code, _, err) = printsy(&node.url, home.path(), "buy 25 --key carol --yes").await;
    assert_eq!(code, 1);
    assert!(err.contains("carol is protected by a password") && err.contains("--password-file"), "{err}");
    let wrong =
        printsy_reading(&node.url, home.path(), "buy 25 --key carol --yes --password-file -", "open\n").await;
    assert_eq!(wrong, (1, String::new(), "printsy: wrong password for carol\n".to_owned()));
    let file = home.path().join("password");
    fs::write(&file, "open sesame\n").unwrap();
    let words = format!("buy 25 --key carol --yes --password-file {}", file.display());
    let (code, out, err) = printsy(&node.url, home.path(), &words).await;
    assert_eq!(
        (code, out.as_str()),
        (0, "bought image 25: edition 1 of 100, in block 7 (abababab...)\n"),
        "{err}"
    );

    let both = "open sesame\nabracadabra\n";
    let (code, _, err) = printsy_reading(
        &node.url,
        home.path(),
        "keys passwd carol --password-file - --new-password-file -",
        both,
    )
    .await;
    assert_eq!(code, 0, "{err}");
    let (code, phrase, err) =
        printsy_reading(&node.url, home.path(), "keys words carol --yes --password-file -", "abracadabra\n")
            .await;
    assert_eq!((code, phrase.split_whitespace().count()), (0, 24), "{err}");

    // An empty machine, and the words.
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("words"), &phrase).unwrap();
    let words = format!(
        "keys restore back --password-file - --words-file {}",
        elsewhere.path().join("words").display()
    );
    let (code, out, err) = printsy_reading(&node.url, elsewhere.path(), &words, "another\n").await;
    assert_eq!((code, out), (0, format!("back  {address}\n")), "{err}");

    let (code, _, err) = printsy(&node.url, home.path(), "keys remove carol").await;
    assert_eq!(code, 1);
    assert!(err.contains("nothing was done"), "{err}");
    assert_eq!(printsy(&node.url, home.path(), "keys remove carol --yes").await.0, 0);
    assert_eq!(printsy(&node.url, home.path(), "keys list").await.1, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watched_address_is_paid_and_looked_at_and_signs_nothing() {
    let (node, home) = (fake_node("prints").await, tempfile::tempdir().unwrap());
    let shop = printsy_consensus::SecretKey::development("shop").public_key();
    let (code, out, _) = printsy(&node.url, home.path(), &format!("keys watch shop {shop}")).await;
    assert_eq!((code, out), (0, format!("shop  {shop}  (watched)\n")));
    assert_eq!(
        printsy(&node.url, home.path(), "balance shop").await.1,
        format!("{shop}: balance 1250, 1 transaction\n")
    );
    assert_eq!(printsy(&node.url, home.path(), "keys new carol --plain").await.0, 0);
    let (code, out, err) = printsy(&node.url, home.path(), "transfer shop 5 --key carol --yes").await;
    assert_eq!((code, out), (0, format!("transferred 5 to {shop}, in block 7 (abababab...)\n")), "{err}");
    let (code, _, err) = printsy(&node.url, home.path(), "buy 25 --key shop --yes").await;
    assert_eq!(
        (code, err.as_str()),
        (1, "printsy: shop is an address to watch, and there is no key to sign with\n")
    );
    let (code, _, err) = printsy(&node.url, home.path(), "balance nobody").await;
    assert_eq!(code, 1);
    assert!(err.contains("no key file at "), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_goes_in_three_steps_and_the_second_meets_no_network() {
    let (node, home) = (fake_node("prints").await, tempfile::tempdir().unwrap());
    // The key is on a machine of its own.
    let vault = tempfile::tempdir().unwrap();
    let nowhere = "http://127.0.0.1:1";
    let (_, made, _) = printsy(nowhere, vault.path(), "keys new carol --plain").await;
    let address = made.split_whitespace().nth(1).unwrap().to_owned();

    let (code, built, err) =
        printsy(&node.url, home.path(), &format!("tx build buy 28 25:2 --from {address}")).await;
    assert_eq!(code, 0, "{err}");
    let order = vault.path().join("order.json");
    fs::write(&order, &built).unwrap();
    let at = order.display();
    let (code, out, _) = printsy(nowhere, vault.path(), &format!("tx show {at}")).await;
    assert_eq!(code, 0);
    for said in [
        "buy 3 editions for 250",
        "image 25: 2 editions",
        &address,
        "the network prints",
        "block 126",
        "not signed",
    ] {
        assert!(out.contains(said), "{said}: {out}");
    }
    let (code, _, err) = printsy(&node.url, home.path(), &format!("tx send {at}")).await;
    assert_eq!(code, 1);
    assert!(err.contains("not signed yet"), "{err}");

    let (code, _, err) = printsy(nowhere, vault.path(), &format!("tx sign {at} --key carol")).await;
    assert_eq!(code, 1);
    assert!(err.contains("add --yes"), "{err}");
    let (code, signed, err) =
        printsy(nowhere, vault.path(), &format!("tx sign {at} --key carol --yes")).await;
    assert_eq!((code, err.as_str()), (0, ""));
    fs::write(&order, &signed).unwrap();
    let (code, out, err) = printsy(&node.url, home.path(), &format!("tx send {at}")).await;
    assert_eq!(
        (code, out.as_str()),
        (
            0,
            "bought image 25: editions 1 to 2, in block 7 (abababab...)\nbought image 28: edition 1, in block 7 (abababab...)\n"
        ),
        "{err}"
    );
    let other = fake_node("dev-test").await;
    // Both fakes say the same genesis; what the order says of its network is held against its own bytes alone.
    assert_eq!(printsy(&other.url, home.path(), &format!("tx send {at}")).await.0, 0);

    // Whoever changes what people read is found out, and so is who changes what is signed.
    let lies = [
        signed.replace("\"quantity\": 2", "\"quantity\": 1"),
        signed.replace("\"250\"", "\"25\""),
        signed.replace("\"expiresAt\": 126", "\"expiresAt\": 127"),
        signed.replace("\"network\": \"prints\"", "\"network\": \"prints\", \"more\": 1"),
        signed.replace(&"09".repeat(32), &"08".repeat(32)),
    ];
    for lie in lies {
        assert_ne!(lie, signed);
        fs::write(&order, &lie).unwrap();
        let (code, _, err) = printsy(&node.url, home.path(), &format!("tx send {at}")).await;
        assert_eq!(code, 1, "{lie}: {err}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_built_from_genesis_height_and_prices_alone() {
    let home = tempfile::tempdir().unwrap();
    let genesis = home.path().join("genesis.json");
    fs::write(&genesis, printsy_consensus::Genesis::new(params()).unwrap().to_json()).unwrap();
    let nowhere = "http://127.0.0.1:1";
    let build = format!("tx build buy 25:2 7 --from dev:alice --genesis {} --height 1000", genesis.display());
    let (code, _, err) = printsy(nowhere, home.path(), &format!("{build} --price 25=250")).await;
    assert_eq!(code, 1);
    assert!(err.contains("what does image 7 cost? give --price 7=AMOUNT"), "{err}");
    let (code, built, err) =
        printsy(nowhere, home.path(), &format!("{build} --price 25=250 --price 7=1 --valid-for 300")).await;
    assert_eq!(code, 0, "{err}");
    fs::write(home.path().join("order"), &built).unwrap();
    let sign = format!(
        "tx sign {} --key dev:alice --genesis {}",
        home.path().join("order").display(),
        genesis.display()
    );
    let (code, signed, err) = printsy(nowhere, home.path(), &sign).await;
    assert_eq!(code, 0, "{err}");
    // The network's own check takes it.
    let file: serde_json::Value = serde_json::from_str(&signed).unwrap();
    let hex = format!("{}{}", file["body"].as_str().unwrap(), file["signature"].as_str().unwrap());
    let bytes = printsy_rpc::TransactionHex::try_from(hex).unwrap().into_bytes();
    let genesis = printsy_consensus::Genesis::new(params()).unwrap();
    let checked = check_transaction(&params(), &genesis.hash(), codec::decode(&bytes).unwrap()).unwrap();
    assert_eq!(
        (checked.expires_at(), file["txId"].as_str().unwrap()),
        (1300, checked.txid().to_string().as_str())
    );
    // Another key is not the order's.
    let (code, _, err) = printsy(nowhere, home.path(), &sign.replace("dev:alice", "dev:bob")).await;
    assert_eq!(code, 1);
    assert!(err.contains("the order is prt1") && err.contains("and the key is prt1"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manual_and_the_completions_tell_every_command() {
    let home = tempfile::tempdir().unwrap();
    // Nobody is asked: a node is at no such address.
    let nowhere = "http://127.0.0.1:1";
    let folder = home.path().join("man1");
    let (code, out, err) = printsy(nowhere, home.path(), &format!("man --to {}", folder.display())).await;
    assert_eq!((code, out.as_str(), err.as_str()), (0, "", ""));
    let (code, bash, err) = printsy(nowhere, home.path(), "completions bash").await;
    assert_eq!((code, err.as_str()), (0, ""));
    let (_, help, _) = printsy(nowhere, home.path(), "--help").await;
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands: Vec<&str> = commands
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.len() > 20, "{help}");
    for command in commands.into_iter().filter(|command| *command != "help") {
        assert!(folder.join(format!("printsy-{command}.1")).is_file(), "{command}");
        assert!(bash.contains(command), "{command}");
    }
    assert!(folder.join("printsy-keys-new.1").is_file());
    let page = fs::read_to_string(folder.join("printsy-buy.1")).unwrap();
    assert!(page.contains("max\\-total"), "{page}");
}
