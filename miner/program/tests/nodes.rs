//! The miner and its nodes: good ones, bad ones, ones that come and go. The nodes are mocks, the miner is the program.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod support;

use std::time::Duration;

use printsy_consensus::{Hash, Header, SecretKey, SignedHeader, block_message};
use printsy_rpc::mining::{SubmitBlockParams, Verdict};
use printsy_rpc::{ErrorData, HashHex, RpcError, RpcReason};
use serde_json::json;
use support::Running;
use support::mock::{EASY, HARD, Mock, Says, Tells, header, miner_key, template};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// The block that was handed in for a template: its header, and whether its signature is the miner's.
fn block(template: &Header, params: &SubmitBlockParams) -> Header {
    let (nonce, signature) = match params {
        SubmitBlockParams::Template { template_id, nonce, signature } => {
            assert_eq!(*template_id, HashHex::from(template.id()));
            (nonce.nonce(), signature.0)
        }
        SubmitBlockParams::Block { block } => {
            let block = SignedHeader::from_bytes(block.as_bytes().first_chunk().unwrap());
            (block.header.nonce, block.signature)
        }
    };
    let header = Header { nonce, ..*template };
    assert!(miner_key().verify(&block_message(&header.id()), &signature), "signed by the miner's key");
    header
}

#[tokio::test(flavor = "multi_thread")]
async fn a_find_is_signed_and_handed_in_whatever_way_the_node_tells_of_its_work() {
    for tells in [Tells::Pushes, Tells::Answers, Tells::Http] {
        let mut node = Mock::start(tells, Says::template(1, EASY, 1)).await;
        let mut miner = Running::start(&[&node.url]);
        let by = if tells == Tells::Http { "http" } else { "websocket" };
        miner.says_that("connected", |line| line["by"] == by);
        let found = block(&header(1, EASY, 1), &node.submitted().await);
        let accepted = miner.says("block accepted");
        assert_eq!(accepted["hash"], found.id().to_string());
        node.say(Says::template(2, EASY, 1));
        block(&header(2, EASY, 1), &node.submitted().await);
        assert_eq!(miner.stop_by("TERM").0, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_work_is_dropped_for_the_newest() {
    let mut node = Mock::start(Tells::Pushes, Says::template(1, HARD, 1)).await;
    let mut miner = Running::start(&[&node.url]);
    for height in 2..20 {
        node.say(Says::template(height, HARD, 1));
        miner.says_that("searching", |line| line["height"] == height);
    }
    node.say(Says::template(20, EASY, 1));
    block(&header(20, EASY, 1), &node.submitted().await);
    assert_eq!(miner.said("block found"), 0, "nothing of what was dropped");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_verdict_is_told_in_its_own_words() {
    let mut node = Mock::start(Tells::Pushes, Says::nothing()).await;
    let mut miner = Running::start(&[&node.url]);
    miner.says_that("no work from the node", |line| line["why"] == "this node is syncing");
    for (height, verdict, says) in [
        (1, Verdict::Stale, "block stale: the chain had gone on"),
        (2, Verdict::Duplicate, "block known already: does another machine mine with this key?"),
        (3, Verdict::Held, "block held by the node until its time"),
        (4, Verdict::Refused, "block refused"),
        (5, Verdict::Accepted, "block accepted"),
    ] {
        node.say(Says { verdict: Ok(verdict), ..Says::template(height, EASY, 1) });
        node.submitted().await;
        let line = miner.says_that(says, |line| line["height"] == height);
        if verdict == Verdict::Refused {
            assert_eq!(
                (&line["rule"], &line["reason"]),
                (&json!("B6"), &json!("the state root[2J is another"))
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_is_refused_in_words_and_the_node_tried_again() {
    let other = Header { miner: SecretKey::development("miner-2").public_key(), ..header(1, EASY, 1) };
    let mut wrong_target = json!(template(&header(1, EASY, 1)));
    wrong_target["target"] = json!("ff".repeat(32));
    let too_easy = Header { bits: 0x2100_7fff, ..header(1, EASY, 1) };
    let mut wrong_name = json!(template(&header(1, EASY, 1)));
    wrong_name["templateId"] = json!("00".repeat(32));
    let mut short = json!(template(&header(1, EASY, 1)));
    short["header"] = json!("00".repeat(159));
    for (nonsense, says, why) in [
        (json!(template(&other)), "the node's template is refused", "names the miner"),
        (wrong_target, "the node's template is refused", "target"),
        (json!(template(&too_easy)), "the node's template is refused", "bits"),
        (wrong_name, "the node's template is refused", "called"),
        (
            json!(template(&Header { version: 9, ..header(1, EASY, 1) })),
            "the node's template is refused",
            "version 9",
        ),
        (short, "no connection to the node", "320 hex digits"),
        (json!("hello"), "no connection to the node", "not a node's answer"),
        (json!({ "header": vec!["x"; 400_000] }), "no connection to the node", ""),
    ] {
        for tells in [Tells::Pushes, Tells::Http] {
            let node = Mock::start(tells, Says { template: Ok(nonsense.clone()), ..Says::nothing() }).await;
            let mut miner = Running::start(&[&node.url]);
            let line = miner.says_that(says, |line| line["why"].as_str().unwrap().contains(why));
            assert!(line["why"].as_str().unwrap().len() < 400, "{line}");
            // It was not its last word: what is right is taken.
            node.say(Says::template(2, HARD, 1));
            miner.says("searching");
            assert!(!node.has_submitted());
            assert_eq!(miner.stop_by("TERM").0, 0);
        }
    }
}

/// Answers every connection with these bytes, and keeps it open.
async fn says_bytes(bytes: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let bytes = bytes.clone();
            tokio::spawn(async move {
                let mut asked = [0; 4096];
                let _ = socket.read(&mut asked).await;
                let _ = socket.write_all(&bytes).await;
                let _ = socket.read(&mut asked).await;
            });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_node_at_all_is_passed_over_and_hurts_nobody() {
    let mut node = Mock::start(Tells::Pushes, Says::template(1, EASY, 1)).await;
    for bytes in [
        b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(),
        b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>".to_vec(),
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec(),
        b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".to_vec(),
        vec![0xff; 100_000],
        Vec::new(),
    ] {
        let bad = says_bytes(bytes).await;
        let mut miner = Running::start(&[&bad, &node.url]);
        miner.says_that("mining", |line| line["node"] == node.url);
        node.submitted().await;
        assert_eq!(miner.stop_by("TERM").0, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_another_network_or_with_made_up_parameters_gets_no_work() {
    let node = Mock::start(Tells::Pushes, Says::template(1, HARD, 1)).await;
    let mut elsewhere = Says::template(1, EASY, 1);
    elsewhere.genesis = Hash([5; 32]);
    let liar = Mock::start(Tells::Pushes, elsewhere).await;
    let mut foreign = Says::template(1, EASY, 1);
    let mut params = support::network::params();
    params.network = b"dev-other".to_vec().try_into().unwrap();
    let genesis = printsy_consensus::Genesis::new(params).unwrap();
    foreign.params = genesis.params().into();
    foreign.genesis = genesis.hash();
    let foreign = Mock::start(Tells::Pushes, foreign).await;
    let json = printsy_consensus::Genesis::new(support::network::params()).unwrap().to_json();
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("genesis.json");
    std::fs::write(&file, json).unwrap();
    let line = ["--key", "dev:miner-1", "--threads", "1", "--json", "--genesis", file.to_str().unwrap()];
    let line = [&line[..], &["--node", &liar.url, "--node", &foreign.url, "--node", &node.url]].concat();
    let mut miner = Running::spawn(support::miner(&line));
    miner.says_that("no connection to the node", |line| line["why"].as_str().unwrap().contains("parameters"));
    miner.says_that("no connection to the node", |line| line["why"].as_str().unwrap().contains("dev-other"));
    miner.says_that("mining", |line| line["node"] == node.url);
    assert!(!liar.has_submitted() && !foreign.has_submitted());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_preferred_node_is_left_when_it_is_gone_and_taken_again_when_it_is_back() {
    let first = Mock::start(Tells::Pushes, Says::template(1, HARD, 1)).await;
    let second = Mock::start(Tells::Pushes, Says::template(1, HARD, 2)).await;
    let first_url = first.url.clone();
    let mut miner = Running::start(&[&first.url, &second.url]);
    miner.says_that("mining", |line| line["node"] == first_url);
    assert_eq!(second.asked(), 0, "a node in reserve is left alone");
    let address = first.stop().await;
    miner.says_that("mining", |line| line["node"] == second.url);
    let _back = Mock::start_at(Tells::Pushes, Says::template(2, HARD, 1), &address).await;
    miner.says_that("mining", |line| line["node"] == first_url);
    // Which of the two comes first is chance.
    miner.has_said_or_says("left the node", |line| line["node"] == second.url);
    assert_eq!(miner.stop_by("TERM").0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_syncs_is_no_reason_to_stop_where_there_is_another() {
    let syncing = Mock::start(Tells::Pushes, Says::nothing()).await;
    let mut other = Mock::start(Tells::Pushes, Says::template(1, EASY, 1)).await;
    let mut miner = Running::start(&[&syncing.url, &other.url]);
    miner.says_that("mining", |line| line["node"] == other.url);
    other.submitted().await;
    syncing.say(Says::template(2, HARD, 1));
    miner.says_that("mining", |line| line["node"] == syncing.url);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_never_answers_a_subscription_is_left_for_the_next() {
    let silent = Mock::start(Tells::Nothing, Says::template(1, EASY, 1)).await;
    let mut other = Mock::start(Tells::Pushes, Says::template(1, EASY, 2)).await;
    let mut miner = Running::start(&[&silent.url, &other.url]);
    let line = miner.says("no connection to the node");
    assert!(line["why"].as_str().unwrap().contains("subscribeBlockTemplate in time"), "{line}");
    miner.says_that("mining", |line| line["node"] == other.url);
    other.submitted().await;
    assert_eq!(miner.stop_by("TERM").0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_asked_too_often_stops_no_search_and_is_asked_again_when_it_says() {
    let busy = || {
        let mut data = ErrorData::new(RpcReason::RateLimited);
        data.retry_after_ms = Some(50);
        RpcError::refused("too many calls", data)
    };
    for tells in [Tells::Answers, Tells::Http] {
        let node = Mock::start(tells, Says::template(1, HARD, 1)).await;
        let mut miner = Running::start(&[&node.url]);
        miner.says("searching");
        node.say(Says { template: Err(busy()), ..Says::nothing() });
        let asked = node.asked();
        miner.says("asked too often");
        while node.asked() < asked + 3 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        node.say(Says::template(2, HARD, 1));
        miner.says_that("searching", |line| line["height"] == 2);
        assert_eq!(miner.said("no work from the node"), 0);
        assert_eq!(miner.stop_by("TERM").0, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_is_told_in_plain_words_and_mining_goes_on_once_it_is_registered_again() {
    let revoked = || {
        let mut data = ErrorData::new(RpcReason::NotAuthorized);
        data.rule = Some("B3".to_owned());
        RpcError::refused("B3: the miner is not registered", data)
    };
    for tells in [Tells::Answers, Tells::Pushes] {
        let node = Mock::start(tells, Says::template(1, HARD, 1)).await;
        let mut miner = Running::start(&[&node.url]);
        miner.says("searching");
        node.say(Says { template: Err(revoked()), ..Says::nothing() });
        let line = miner.says("no work from the node");
        assert!(line["why"].as_str().unwrap().contains("printsy register-miner prt1"), "{line}");
        node.say(Says::template(2, HARD, 1));
        miner.says_that("searching", |line| line["height"] == 2);
        assert_eq!(miner.said("no work from the node"), 1, "said once");
        assert_eq!(miner.stop_by("TERM").0, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_found_while_its_node_does_not_answer_is_handed_in_when_it_does() {
    let busy = RpcError::refused("this node is stopping", ErrorData::new(RpcReason::Storage));
    let says = Says { verdict: Err(busy), ..Says::template(1, EASY, 1) };
    let mut node = Mock::start(Tells::Pushes, says).await;
    let mut miner = Running::start(&[&node.url]);
    let first = block(&header(1, EASY, 1), &node.submitted().await);
    miner.says("block not judged yet, kept");
    node.say(Says::template(1, EASY, 1));
    loop {
        let again = block(&header(1, EASY, 1), &node.submitted().await);
        assert_eq!(again.id(), first.id(), "the same block, and no other meanwhile");
        if miner.says_that("block accepted", |_| true)["hash"] == first.id().to_string() {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_forgotten_by_a_restarted_node_is_told_as_lost_unless_the_block_is_whole() {
    let unknown = || RpcError::refused("no such template", ErrorData::new(RpcReason::UnknownTemplate));
    for (body, is_whole) in [(0, true), (1, false)] {
        let says = Says { verdict: Err(unknown()), ..Says::template(1, EASY, body) };
        let mut node = Mock::start(Tells::Pushes, says).await;
        let mut miner = Running::start(&[&node.url]);
        assert!(matches!(node.submitted().await, SubmitBlockParams::Template { .. }));
        if is_whole {
            let whole = node.submitted().await;
            assert!(matches!(whole, SubmitBlockParams::Block { .. }));
            block(&header(1, EASY, 0), &whole);
        }
        let line = miner.says("block lost");
        assert!(line["reason"].as_str().unwrap().contains("restart"), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_on_the_chain_is_accepted_though_its_node_forgot_its_template_before_it_answered() {
    let busy = RpcError::refused("this node is stopping", ErrorData::new(RpcReason::Storage));
    let unknown = RpcError::refused("no such template", ErrorData::new(RpcReason::UnknownTemplate));
    let says = Says { verdict: Err(busy), ..Says::template(1, EASY, 1) };
    let mut node = Mock::start(Tells::Pushes, says.clone()).await;
    let mut miner = Running::start(&[&node.url]);
    let found = block(&header(1, EASY, 1), &node.submitted().await);
    miner.says("block not judged yet, kept");
    node.say(Says { verdict: Err(unknown), is_on_chain: true, ..says });
    assert_eq!(miner.says("block accepted")["hash"], found.id().to_string());
    assert_eq!(miner.said("block lost"), 0);
    assert_eq!(miner.stop_by("TERM").0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_refuses_three_blocks_in_a_row_is_passed_over_for_the_next() {
    let says = Says { verdict: Ok(Verdict::Refused), ..Says::template(1, EASY, 1) };
    let refusing = Mock::start(Tells::Pushes, says).await;
    let mut other = Mock::start(Tells::Pushes, Says::template(1, EASY, 2)).await;
    let mut miner = Running::start(&[&refusing.url, &other.url]);
    miner.says_that("node passed over: it refuses blocks", |line| line["node"] == refusing.url);
    assert_eq!(miner.said("block refused"), 3);
    miner.says_that("mining", |line| line["node"] == other.url);
    block(&header(1, EASY, 2), &other.submitted().await);
    miner.says("block accepted");
    assert_eq!(miner.stop_by("TERM").0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_no_node_has_judged_when_the_program_is_stopped_is_told_and_counted_as_lost() {
    let busy = RpcError::refused("this node is stopping", ErrorData::new(RpcReason::Storage));
    let says = Says { verdict: Err(busy), ..Says::template(1, EASY, 1) };
    let mut node = Mock::start(Tells::Pushes, says).await;
    let mut miner = Running::start(&[&node.url]);
    let found = block(&header(1, EASY, 1), &node.submitted().await);
    miner.says("block not judged yet, kept");
    let (code, said, _) = miner.stop_by("TERM");
    assert_eq!(code, 0);
    let line = said.iter().find(|line| line["message"] == "block lost").expect("it is told");
    assert_eq!(line["hash"], found.id().to_string());
    let summary = said.iter().find(|line| line["message"] == "so far").expect("it is summed up");
    assert_eq!(summary["lost"], 1, "{summary}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_is_waited_for_and_a_stop_hands_in_at_once() {
    // Peers would take it at once; its own time is far away.
    let slot = template(&Header { time: u64::MAX / 4, ..header(1, EASY, 1) });
    let says = Says { template: Ok(json!(slot)), verdict: Ok(Verdict::Held), ..Says::slow_network() };
    let mut node = Mock::start(Tells::Pushes, says).await;
    let mut miner = Running::start(&[&node.url]);
    miner.says("block found, kept until its time");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!node.has_submitted());
    let stopping = tokio::task::spawn_blocking(move || miner.stop_by("TERM"));
    node.submitted().await;
    let (code, said, _) = stopping.await.unwrap();
    assert_eq!(code, 0);
    assert!(said.iter().any(|line| line["message"] == "block held by the node until its time"), "{said:?}");
}
