//! The laws of the description: it is whole, it is of the very types that are used, and nothing in it points nowhere.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::collections::BTreeSet;

use printsy_rpc::market::{Availability, IsAvailable};
use printsy_rpc::openrpc::{PROTOCOL_ERRORS, about, describe, document};
use printsy_rpc::registry::{FEEDS, MethodInfo, SubscriptionInfo};
use printsy_rpc::{METHODS, RpcReason, SUBSCRIPTIONS};
use schemars::JsonSchema;
use serde_json::{Value, json};

fn methods(document: &Value) -> &Vec<Value> {
    document["methods"].as_array().unwrap()
}

fn method<'a>(document: &'a Value, name: &str) -> &'a Value {
    methods(document).iter().find(|method| method["name"] == name).unwrap()
}

fn names(method: &Value) -> Vec<&str> {
    method["params"].as_array().unwrap().iter().map(|param| param["name"].as_str().unwrap()).collect()
}

#[test]
fn every_method_is_described_once_and_in_order() {
    let document = document();
    let described: Vec<&str> =
        methods(&document).iter().map(|method| method["name"].as_str().unwrap()).collect();
    let listed: Vec<&str> = METHODS.iter().chain(&FEEDS).map(|method| method.name).collect();
    assert_eq!(described, listed);
    assert_eq!(FEEDS.map(|feed| feed.name), SUBSCRIPTIONS.map(|names| names.subscribe));
    let distinct: BTreeSet<&str> = described.iter().copied().collect();
    assert_eq!(distinct.len(), described.len());
}

#[test]
fn everything_has_a_sentence() {
    let document = document();
    for (described, info) in methods(&document).iter().zip(METHODS.iter().chain(&FEEDS)) {
        let (summary, _) = about(info);
        assert!(summary.starts_with(&format!("`{}", info.name)), "{}: {summary}", info.name);
        assert_eq!(described["summary"], summary);
        for text in [&described["summary"], &described["description"]].into_iter().filter_map(Value::as_str) {
            assert!(!text.contains("[`"), "{}: a link of the code's documentation: {text}", info.name);
        }
        for param in described["params"].as_array().unwrap() {
            assert!(param["description"].is_string(), "{}: {param}", info.name);
        }
    }
}

/// Every `$ref` in a value.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| match value {
            Value::String(to) if key == "$ref" => {
                found.insert(to.clone());
            }
            other => references(other, found),
        }),
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_type_is_used() {
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for reference in &found {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        assert!(found.contains(&format!("#/components/schemas/{name}")), "{name} is used by nothing");
    }
}

#[test]
fn params_stand_in_the_order_of_the_positions() {
    let document = document();
    for (name, expected) in [
        ("isAvailable", &["image"][..]),
        ("executeTransaction", &["transaction", "wait", "timeoutMs"]),
        ("executeTransactions", &["transactions", "wait", "timeoutMs"]),
        ("getOwners", &["image", "cursor", "limit"]),
        ("getHoldings", &["account", "cursor", "limit"]),
        ("ban", &["peerId", "seconds"]),
        ("getChain", &[]),
    ] {
        let method = method(&document, name);
        assert_eq!(
            (names(method).as_slice(), &method["paramStructure"]),
            (expected, &json!("either")),
            "{name}"
        );
    }
    let required: Vec<bool> = method(&document, "executeTransaction")["params"]
        .as_array()
        .unwrap()
        .iter()
        .map(|param| param["required"].as_bool().unwrap())
        .collect();
    assert_eq!(required, [true, false, false]);
}

#[test]
fn where_one_of_several_must_be_given_it_says_so() {
    let document = document();
    for (name, alternatives) in [
        ("getHeader", json!([{ "required": ["height"] }, { "required": ["hash"] }])),
        ("getBlock", json!([{ "required": ["height"] }, { "required": ["hash"] }])),
        ("getHistory", json!([{ "required": ["account"] }, { "required": ["image"] }])),
        (
            "getProof",
            json!([{ "required": ["image"] }, { "required": ["account"] }, { "required": ["miner"] }]),
        ),
        (
            "submitBlock",
            json!([{ "required": ["templateId", "nonce", "signature"] }, { "required": ["block"] }]),
        ),
    ] {
        let method = method(&document, name);
        assert_eq!(
            (&method["paramStructure"], &method["x-oneOf"]),
            (&json!("by-name"), &alternatives),
            "{name}"
        );
        assert!(method["x-positions"].is_string());
        assert!(method["params"].as_array().unwrap().iter().all(|param| param["required"] == false));
    }
}

#[test]
fn errors_are_those_of_the_method_those_of_any_and_the_protocol_s() {
    let document = document();
    for (described, info) in methods(&document).iter().zip(METHODS.iter().chain(&FEEDS)) {
        let codes: Vec<i64> =
            described["errors"].as_array().unwrap().iter().map(|e| e["code"].as_i64().unwrap()).collect();
        for reason in info.errors.iter().chain(&[RpcReason::Unauthorized, RpcReason::RateLimited]) {
            assert!(codes.contains(&i64::from(reason.code())), "{}: {reason}", info.name);
        }
        for (code, _) in PROTOCOL_ERRORS {
            assert!(codes.contains(&i64::from(code)), "{}: {code}", info.name);
        }
        let reasons: BTreeSet<&str> = described["errors"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|e| e["data"]["reason"].as_str())
            .collect();
        let count =
            described["errors"].as_array().unwrap().iter().filter(|e| e.get("data").is_some()).count();
        assert_eq!(reasons.len(), count, "{}: a reason stands there twice", info.name);
    }
    let everywhere: BTreeSet<&str> =
        METHODS.iter().chain(&FEEDS).flat_map(|info| info.errors).map(|reason| reason.name()).collect();
    for reason in RpcReason::ALL {
        let is_common = matches!(reason, RpcReason::Unauthorized | RpcReason::RateLimited);
        assert!(is_common || everywhere.contains(reason.name()), "no method answers {reason}");
    }
}

#[test]
fn results_are_described_as_they_are_written() {
    let document = document();
    let schemas = &document["components"]["schemas"];
    let availability = &schemas["Availability"];
    assert_eq!(availability["properties"]["price"]["type"], "string");
    assert_eq!(availability["properties"]["remaining"]["type"], "integer");
    let required: Vec<&str> =
        availability["required"].as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect();
    assert!(required.contains(&"lastBlock"), "null where there is none, and never absent: {required:?}");
    let status = schemas["Status"]["required"].as_array().unwrap();
    assert!(!status.contains(&json!("block")), "absent where there is none: {status:?}");
    assert_eq!(
        method(&document, "isAvailable")["result"]["schema"]["$ref"],
        "#/components/schemas/Availability"
    );
}

#[test]
fn a_subscription_has_its_place_in_the_document() {
    let subscription = SubscriptionInfo {
        notification: "availability",
        unsubscribe: "unsubscribeAvailability",
        item: |generator| generator.subschema_for::<Availability>(),
    };
    let info = MethodInfo { subscription: Some(subscription), ..MethodInfo::of::<IsAvailable>() };
    let document = describe(&[info]);
    let told = &document["methods"][0]["x-subscription"];
    assert_eq!(
        (&told["notification"], &told["unsubscribe"]),
        (&json!("availability"), &json!("unsubscribeAvailability"))
    );
    assert_eq!(told["item"]["$ref"], "#/components/schemas/Availability");
    let name = Availability::schema_name().into_owned();
    assert!(document["components"]["schemas"].get(&name).is_some());
}
