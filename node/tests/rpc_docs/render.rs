//! docs/rpc.md, written from the OpenRPC document and from calls that were really made.

use std::collections::BTreeMap;
use std::fmt::Write;

use printsy_rpc::openrpc::PROTOCOL_ERRORS;
use printsy_rpc::{RpcReason, registry};
use schemars::JsonSchema;
use serde_json::{Map, Value};

/// A call, its answer, and of a subscription the first of what it tells, by the name of the method.
pub type Examples = BTreeMap<String, (Value, Vec<Value>)>;

const HEAD: &str = "\
# The JSON-RPC of a node

This page is written by `scripts/rpc-docs` from the code and from calls that were really made; a test fails where it is
out of date. The same, for programs, is what `rpc.discover` answers.

JSON-RPC 2.0 on one port (`rpc.listen`, by default 127.0.0.1:8645): by HTTP POST to `/` with the content type
`application/json`, one call or a batch of at most 100, and by WebSocket on the same path, in messages of 128 KiB at the
most. Subscriptions are begun on a WebSocket alone. A notification, which is a call without an id, is answered by nothing
(HTTP status 204). Each method is asked by name (`{\"image\": 25}`) or by position (`[25]`), in the order in which its params
stand here. Params that may be left out may be null. Unknown params and more positions than there are params are errors.

Hashes, keys and raw bytes are lower-case hex without `0x`. Addresses are bech32m (`prt1...`). Amounts and prices are
strings of decimal digits. Images, heights, counts and times (milliseconds since 1970) are numbers. A field that is said to
be optional is absent where it has no value; every other is there, null if it says so.

Beside the calls, by GET: `/livez`, `/readyz` (503 and the checks that fail; `?verbose` tells all), `/metrics`
(Prometheus). Who may call what, tokens and rates: docs/operating.md. A caller that has a token sends
`Authorization: Bearer TOKEN`; each method's scope says what the token must be good for.
";

/// The whole page.
pub fn page(document: &Value, examples: &Examples) -> String {
    let mut page = HEAD.to_owned();
    let methods = document["methods"].as_array().unwrap();
    page += "\n## Methods\n\n| Method | Scope | |\n|---|---|---|\n";
    for method in methods {
        let (name, scope) = (text(&method["name"]), text(&method["x-scope"]));
        let summary = text(&method["summary"]);
        let what = summary.split_once("`: ").map_or(summary, |(_, what)| what);
        writeln!(page, "| [{name}](#{}) | {scope} | {} |", anchor(name), cell(what)).unwrap();
    }
    for method in methods {
        page += &section(method, examples);
    }
    page += &errors();
    page += "\n## Types\n";
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        page += &type_section(name, schema);
    }
    page
}

fn section(method: &Value, examples: &Examples) -> String {
    let name = text(&method["name"]);
    let mut out = format!("\n### {name}\n\n{}\n", text(&method["summary"]));
    if let Some(description) = method["description"].as_str() {
        write!(out, "\n{description}\n").unwrap();
    }
    let params = method["params"].as_array().unwrap();
    if params.is_empty() {
        out += "\nNo params.\n";
    } else {
        out += "\n| Param | Type | |\n|---|---|---|\n";
        for param in params {
            let optional = if param["required"] == true { "" } else { ", optional" };
            let kind = kind(&param["schema"]);
            let about = cell(text(&param["description"]));
            writeln!(out, "| `{}` | {kind}{optional} | {about} |", text(&param["name"])).unwrap();
        }
    }
    if let Some(alternatives) = method["x-oneOf"].as_array() {
        let sets = alternatives.iter().map(|set| {
            let names = set["required"].as_array().unwrap().iter();
            names.map(|name| format!("`{}`", text(name))).collect::<Vec<_>>().join(" with ")
        });
        let sets = sets.collect::<Vec<_>>().join(" or ");
        write!(out, "\nExactly one of: {sets}. By position: {}.\n", text(&method["x-positions"])).unwrap();
    }
    write!(out, "\nAnswers {}.\n", kind(&method["result"]["schema"])).unwrap();
    if let Some(subscription) = method["x-subscription"].as_object() {
        let (item, by) = (kind(&subscription["item"]), text(&subscription["notification"]));
        let end = text(&subscription["unsubscribe"]);
        write!(out, "\nThen tells {item} by `{by}`, until `{end}`.\n").unwrap();
    }
    let own =
        method["errors"].as_array().unwrap().iter().filter_map(|error| error["data"]["reason"].as_str());
    let own: Vec<&str> = own.filter(|reason| !matches!(*reason, "unauthorized" | "rateLimited")).collect();
    if !own.is_empty() {
        write!(out, "\nErrors of its own: {}.\n", own.join(", ")).unwrap();
    }
    let (request, answers) = examples.get(name).unwrap_or_else(|| panic!("no call of {name} was made"));
    write!(out, "\n```json\n{request}\n```\n").unwrap();
    for answer in answers {
        write!(out, "\n```json\n{}\n```\n", pretty(answer)).unwrap();
    }
    out
}

fn errors() -> String {
    let mut out = String::from(
        "\n## Errors\n\nAn error has a `code`, a `message` for people, and, where it is one of ours, `data` for programs: always\n\
         `reason`, `rule` (of docs/protocol.md, or null) and `retryable`, then what the reason names ([ErrorData](#errordata)).\n\
         A `reason` never changes. Any method may answer `unauthorized` and `rateLimited`.\n\n\
         | Code | Reason | Retryable | |\n|---|---|---|---|\n",
    );
    let mut generator = schemars::SchemaGenerator::default();
    let schema = RpcReason::json_schema(&mut generator).to_value();
    let about: BTreeMap<&str, &str> = schema["oneOf"]
        .as_array()
        .unwrap()
        .iter()
        .map(|variant| (text(&variant["const"]), text(&variant["description"])))
        .collect();
    for reason in RpcReason::ALL {
        let retryable = if reason.is_retryable() { "yes" } else { "" };
        let about = cell(about[reason.name()]);
        writeln!(out, "| {} | `{reason}` | {retryable} | {about} |", reason.code()).unwrap();
    }
    out += "\nJSON-RPC's own, and those of the transport:\n\n| Code | |\n|---|---|\n";
    for (code, what) in PROTOCOL_ERRORS {
        writeln!(out, "| {code} | {what} |").unwrap();
    }
    assert!(registry::COMMON_ERRORS.len() == 2, "the sentence above names them");
    out
}

fn type_section(name: &str, schema: &Value) -> String {
    let mut out = format!("\n### {name}\n");
    if let Some(about) = schema["description"].as_str() {
        write!(out, "\n{}\n", one_line(about)).unwrap();
    }
    out += &fields(schema);
    for part in schema["allOf"].as_array().into_iter().flatten() {
        write!(out, "\nWith the fields of {}.\n", kind(part)).unwrap();
    }
    let variants: Vec<&Value> =
        ["oneOf", "anyOf"].iter().filter_map(|key| schema[*key].as_array()).flatten().collect();
    let values: Vec<&Value> =
        variants.iter().copied().filter(|variant| variant.get("const").is_some()).collect();
    if !values.is_empty() {
        out += "\n| Value | |\n|---|---|\n";
        for value in &values {
            writeln!(out, "| `{}` | {} |", value["const"], cell(text(&value["description"]))).unwrap();
        }
    }
    for variant in variants.iter().filter(|variant| variant.get("const").is_none()) {
        match variant["properties"]["type"]["const"].as_str() {
            Some(tag) => {
                write!(out, "\nWhere `type` is `{tag}`: {}\n", one_line(text(&variant["description"])))
                    .unwrap()
            }
            None if variant.get("properties").is_some() => {
                write!(out, "\nOr, {}\n", one_line(text(&variant["description"]))).unwrap();
            }
            None => write!(out, "\nOne of: {}.\n", kind(variant)).unwrap(),
        }
        out += &fields(variant);
    }
    out
}

fn fields(schema: &Value) -> String {
    let empty = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&empty);
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().map(text).collect();
    let mut rows = String::new();
    for (name, property) in properties {
        if property.get("const").is_some() {
            continue;
        }
        let optional = if required.contains(&name.as_str()) { "" } else { ", optional" };
        let about = cell(property["description"].as_str().unwrap_or_default());
        writeln!(rows, "| `{name}` | {}{optional} | {about} |", kind(property)).unwrap();
    }
    if rows.is_empty() { rows } else { format!("\n| Field | Type | |\n|---|---|---|\n{rows}") }
}

/// What a value is, in a few words.
fn kind(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        return format!("[{name}](#{})", anchor(name));
    }
    for key in ["allOf", "anyOf", "oneOf"] {
        if let Some(parts) = schema[key].as_array() {
            return parts.iter().map(kind).collect::<Vec<_>>().join(" or ");
        }
    }
    match &schema["type"] {
        Value::Array(types) => {
            let one = |of: &Value| {
                let mut schema = schema.clone();
                schema["type"] = of.clone();
                kind(&schema)
            };
            types.iter().map(one).collect::<Vec<_>>().join(" or ")
        }
        Value::String(name) if name == "array" => format!("list of {}", kind(&schema["items"])),
        Value::String(name) if name == "string" => string_kind(schema),
        Value::String(name) if name == "integer" || name == "number" => "number".to_owned(),
        Value::String(name) => name.clone(),
        _ => "object".to_owned(),
    }
}

fn string_kind(schema: &Value) -> String {
    let pattern = schema["pattern"].as_str().unwrap_or_default();
    if let Some(digits) = pattern.strip_prefix("^[0-9a-f]{") {
        return format!("{} hex digits", digits.trim_end_matches("}$"));
    }
    match pattern {
        "" => "string".to_owned(),
        "^([0-9a-f]{2})*$" => "hex".to_owned(),
        _ if pattern.starts_with("^prt1") => "address".to_owned(),
        _ => "amount".to_owned(),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("expected a text, got {value}"))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn cell(text: &str) -> String {
    one_line(text).replace('|', "\\|")
}

fn anchor(name: &str) -> String {
    name.to_lowercase().replace('.', "")
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}
