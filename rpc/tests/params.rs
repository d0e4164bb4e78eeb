//! The laws of params: by name and by position alike, nothing unknown, nothing surplus, everything bounded.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::fmt::Debug;

use printsy_consensus::SecretKey;
use printsy_rpc::admin::{GenerateBlocks, SetClock};
use printsy_rpc::block::{BlockSelector, GetBlock, GetHeader, Verbosity};
use printsy_rpc::chain::{GetChain, GetMempool, GetMiners, GetParams, GetPeers};
use printsy_rpc::history::{GetHistory, GetHoldings, GetOwners, GetReviews, HistoryOf};
use printsy_rpc::market::{
    ExecuteTransaction, ExecuteTransactions, GetAccount, GetEdition, GetTransaction, IsAvailable,
    ValidateTransaction, Wait,
};
use printsy_rpc::mining::{GetBlockTemplate, SubmitBlock, SubmitBlockParams};
use printsy_rpc::{Address, METHODS, Method, parse_params};

/// Both forms of the same params, and what must not pass beside them.
fn same_by_name_and_by_position<M: Method>(named: &str, positional: &str, most_positions: usize)
where
    M::Params: PartialEq + Debug,
{
    let by_name = parse_params::<M>(Some(named)).unwrap_or_else(|e| panic!("{named}: {e}"));
    let by_position = parse_params::<M>(Some(positional)).unwrap_or_else(|e| panic!("{positional}: {e}"));
    assert_eq!(by_name, by_position, "{}", M::NAME);

    let told = serde_json::to_string(&by_name).unwrap();
    assert_eq!(parse_params::<M>(Some(&told)).unwrap(), by_name, "{} reads what it writes", M::NAME);

    let unknown = with_field(named, "surplus");
    let error = parse_params::<M>(Some(&unknown)).expect_err(&unknown);
    assert!(error.message.contains("surplus"), "{}", error.message);
    assert_eq!(error.code, -32602);

    let mut items: Vec<serde_json::Value> = serde_json::from_str(positional).unwrap();
    items.resize(most_positions + 1, serde_json::Value::Null);
    let surplus = serde_json::to_string(&items).unwrap();
    let error = parse_params::<M>(Some(&surplus)).expect_err(&surplus);
    assert!(error.message.contains("more positions"), "{surplus}: {}", error.message);
    assert!(error.message.contains(M::NAME), "{}", error.message);

    for wrong in ["7", "\"text\"", "null", "true", "[", "{\"image\"", ""] {
        assert_eq!(parse_params::<M>(Some(wrong)).expect_err(wrong).code, -32602);
    }
}

fn with_field(object: &str, name: &str) -> String {
    let mut value: serde_json::Map<String, serde_json::Value> = serde_json::from_str(object).unwrap();
    value.insert(name.to_owned(), 1.into());
    serde_json::to_string(&value).unwrap()
}

fn refused<M: Method>(raw: &str) -> String {
    match parse_params::<M>(Some(raw)) {
        Ok(_) => panic!("{} took {raw}", M::NAME),
        Err(error) => error.message,
    }
}

fn hash() -> String {
    "ab".repeat(32)
}

fn address() -> String {
    Address(SecretKey::development("alice").public_key()).to_string()
}

#[test]
fn names_and_positions_say_the_same() {
    let (hash, address, nonce, signature) = (hash(), address(), "0102030405060708", "cd".repeat(64));
    same_by_name_and_by_position::<IsAvailable>(r#"{"image":25}"#, "[25]", 1);
    same_by_name_and_by_position::<ExecuteTransaction>(
        r#"{"transaction":"00ff","wait":"final","timeoutMs":5}"#,
        r#"["00ff","final",5]"#,
        3,
    );
    same_by_name_and_by_position::<ExecuteTransactions>(
        r#"{"transactions":["00","ff"],"timeoutMs":5}"#,
        r#"[["00","ff"],null,5]"#,
        3,
    );
    same_by_name_and_by_position::<ValidateTransaction>(r#"{"transaction":"00"}"#, r#"["00"]"#, 1);
    same_by_name_and_by_position::<GetTransaction>(
        &format!(r#"{{"txId":"{hash}"}}"#),
        &format!(r#"["{hash}"]"#),
        1,
    );
    same_by_name_and_by_position::<GetEdition>(r#"{"image":0}"#, "[0]", 1);
    same_by_name_and_by_position::<GetAccount>(
        &format!(r#"{{"account":"{address}"}}"#),
        &format!(r#"["{address}"]"#),
        1,
    );
    let (cursor, image) = ("ab".repeat(20), "0102030405060708");
    same_by_name_and_by_position::<GetHistory>(
        &format!(r#"{{"account":"{address}","cursor":"{cursor}","limit":7}}"#),
        &format!(r#"["{address}","{cursor}",7]"#),
        3,
    );
    same_by_name_and_by_position::<GetHistory>(r#"{"image":25,"limit":1000}"#, "[25,null,1000]", 3);
    same_by_name_and_by_position::<GetOwners>(r#"{"image":25,"limit":1}"#, "[25,null,1]", 3);
    same_by_name_and_by_position::<GetReviews>(
        &format!(r#"{{"image":25,"cursor":"{cursor}"}}"#),
        &format!(r#"[25,"{cursor}"]"#),
        3,
    );
    same_by_name_and_by_position::<GetHoldings>(
        &format!(r#"{{"account":"{address}","cursor":"{image}"}}"#),
        &format!(r#"["{address}","{image}"]"#),
        3,
    );
    same_by_name_and_by_position::<GetHeader>(r#"{"height":7}"#, "[7]", 1);
    same_by_name_and_by_position::<GetHeader>(
        &format!(r#"{{"hash":"{hash}"}}"#),
        &format!(r#"["{hash}"]"#),
        1,
    );
    same_by_name_and_by_position::<GetBlock>(r#"{"height":7,"verbosity":"full"}"#, r#"[7,"full"]"#, 2);
    same_by_name_and_by_position::<GetBlock>(
        &format!(r#"{{"hash":"{hash}"}}"#),
        &format!(r#"["{hash}"]"#),
        2,
    );
    same_by_name_and_by_position::<GetChain>("{}", "[]", 0);
    same_by_name_and_by_position::<GetParams>("{}", "[]", 0);
    same_by_name_and_by_position::<GetPeers>("{}", "[]", 0);
    same_by_name_and_by_position::<GetMiners>("{}", "[]", 0);
    same_by_name_and_by_position::<GetMempool>(r#"{"verbose":true}"#, "[true]", 1);
    same_by_name_and_by_position::<GetBlockTemplate>(
        &format!(r#"{{"miner":"{address}"}}"#),
        &format!(r#"["{address}"]"#),
        1,
    );
    same_by_name_and_by_position::<SubmitBlock>(
        &format!(r#"{{"templateId":"{hash}","nonce":"{nonce}","signature":"{signature}"}}"#),
        &format!(r#"["{hash}","{nonce}","{signature}"]"#),
        3,
    );
    same_by_name_and_by_position::<GenerateBlocks>(r#"{"count":3}"#, "[3]", 1);
    same_by_name_and_by_position::<SetClock>(r#"{"ms":1700000000000}"#, "[1700000000000]", 1);
}

#[test]
fn absent_params_are_taken_where_all_are_optional_and_only_there() {
    assert!(parse_params::<GetChain>(None).is_ok());
    assert_eq!(parse_params::<GetMempool>(None).unwrap().verbose, None);
    assert!(parse_params::<IsAvailable>(None).unwrap_err().message.contains("image"));
    assert!(parse_params::<GetBlock>(None).unwrap_err().message.contains("neither"));
    assert!(parse_params::<SubmitBlock>(None).is_err());
}

#[test]
fn optional_params_may_be_left_out_or_null_in_both_forms() {
    for raw in [
        r#"{"transaction":"00"}"#,
        r#"{"transaction":"00","wait":null,"timeoutMs":null}"#,
        r#"["00"]"#,
        r#"["00",null,null]"#,
    ] {
        let params = parse_params::<ExecuteTransaction>(Some(raw)).unwrap();
        assert_eq!((params.wait, params.timeout_ms), (None, None), "{raw}");
    }
    assert_eq!(Wait::default(), Wait::Included);
    assert_eq!(Verbosity::default(), Verbosity::Ids);
}

#[test]
fn a_block_is_asked_for_by_height_or_hash_and_not_by_both() {
    let params = parse_params::<GetBlock>(Some("[7]")).unwrap();
    assert!(matches!(params.block, BlockSelector::Height(height) if height.get() == 7));
    assert!(refused::<GetBlock>(&format!(r#"{{"height":7,"hash":"{}"}}"#, hash())).contains("both"));
    assert!(refused::<GetHeader>(r#"{"height":7,"verbosity":"ids"}"#).contains("verbosity"));
    assert!(refused::<GetHeader>("[]").contains("invalid length 0"));
    assert!(refused::<GetBlock>("[-1]").contains("height"));
    assert!(refused::<GetBlock>("[7.5]").contains("height"));
    assert!(refused::<GetBlock>(r#"["7"]"#).contains("64 hex digits"));
    assert!(refused::<GetBlock>(r#"[7,"everything"]"#).contains("everything"));
}

#[test]
fn a_history_is_asked_for_by_account_or_image_and_not_by_both() {
    let params = parse_params::<GetHistory>(Some("[7]")).unwrap();
    assert!(matches!(params.of, HistoryOf::Image(image) if image.get() == 7));
    assert_eq!((params.cursor, params.limit), (None, None));
    assert!(refused::<GetHistory>(&format!(r#"{{"image":7,"account":"{}"}}"#, address())).contains("both"));
    assert!(refused::<GetHistory>(r#"{"limit":7}"#).contains("neither"));
    assert!(refused::<GetHistory>("[]").contains("invalid length 0"));
    assert!(refused::<GetHistory>("[-1]").contains("image"));
    assert!(refused::<GetHistory>(r#"["prt1nobody"]"#).contains("address"));
    for limit in ["0", "1001", "-1", "1.5", "\"7\""] {
        refused::<GetHistory>(&format!("[7,null,{limit}]"));
        refused::<GetOwners>(&format!("[7,null,{limit}]"));
        refused::<GetHoldings>(&format!(r#"["{}",null,{limit}]"#, address()));
    }
    assert!(refused::<GetReviews>(r#"[7,"abcd"]"#).contains("40 hex digits"));
    assert!(refused::<GetHoldings>(&format!(r#"["{}","abcd"]"#, address())).contains("16 hex digits"));
}

#[test]
fn a_submission_is_a_template_s_or_a_block_and_not_a_mixture() {
    let whole = parse_params::<SubmitBlock>(Some(r#"["00ff"]"#)).unwrap();
    assert!(matches!(&whole, SubmitBlockParams::Block { block } if block.as_bytes() == [0, 255]));
    assert_eq!(parse_params::<SubmitBlock>(Some(r#"{"block":"00ff"}"#)).unwrap(), whole);
    assert!(refused::<SubmitBlock>(r#"{"block":"00","nonce":"0102030405060708"}"#).contains("alone"));
    assert!(refused::<SubmitBlock>(r#"{"nonce":"0102030405060708"}"#).contains("alone"));
    assert!(
        refused::<SubmitBlock>(&format!(r#"["{}","0102030405060708"]"#, hash())).contains("invalid length")
    );
}

#[test]
fn every_param_is_bounded() {
    assert!(parse_params::<IsAvailable>(Some("[9007199254740991]")).is_ok());
    for image in
        ["9007199254740992", "18446744073709551616", "-1", "1.5", "1e3", "\"25\"", "null", "{}", "[]"]
    {
        refused::<IsAvailable>(&format!("[{image}]"));
    }
    assert!(parse_params::<ExecuteTransaction>(Some(r#"["00","admitted",600000]"#)).is_ok());
    assert!(refused::<ExecuteTransaction>(r#"["00","admitted",600001]"#).contains("600000"));
    let largest = "00".repeat(printsy_rpc::text::MAX_TRANSACTION_HEX_BYTES);
    assert!(parse_params::<ExecuteTransaction>(Some(&format!(r#"["{largest}"]"#))).is_ok());
    assert!(refused::<ExecuteTransaction>(&format!(r#"["{largest}00"]"#)).contains("at most"));
    assert!(refused::<ExecuteTransaction>(r#"["0"]"#).contains("even"));
    assert!(refused::<ExecuteTransaction>(r#"["0x00"]"#).contains("hex"));
    assert!(refused::<ExecuteTransaction>(r#"["AB"]"#).contains("lower-case"));
    assert!(refused::<ExecuteTransaction>(r#"["zz"]"#).contains("hex"));
    assert!(refused::<GetAccount>(r#"["prt1nobody"]"#).contains("address"));
    let many = |count: usize| serde_json::to_string(&(vec!["00"; count],)).unwrap();
    assert!(parse_params::<ExecuteTransactions>(Some(&many(1_000))).is_ok());
    assert!(refused::<ExecuteTransactions>(&many(1_001)).contains("1000"));
    assert!(refused::<GenerateBlocks>("[0]").contains("from 1"));
    assert!(refused::<GenerateBlocks>("[10001]").contains("10000"));
}

#[test]
fn a_name_is_given_once() {
    assert!(refused::<IsAvailable>(r#"{"image":1,"image":2}"#).contains("duplicate"));
    assert!(refused::<GetBlock>(r#"{"height":1,"height":2}"#).contains("duplicate"));
}

#[test]
fn a_refusal_does_not_repeat_all_that_was_written() {
    let long = "x".repeat(1_000_000);
    for raw in [format!(r#"{{"{long}":1}}"#), format!(r#"["{long}"]"#), long] {
        assert!(refused::<IsAvailable>(&raw).chars().count() < 300);
    }
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(parse_params::<GetMempool>(Some(&deep)).unwrap_err().code, -32602);
}

#[test]
fn every_method_stands_in_the_list_once() {
    let mut names = METHODS.map(|method| method.name).to_vec();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), METHODS.len());
}
