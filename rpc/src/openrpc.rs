//! `rpc.discover`: the interface described as an OpenRPC document, made from the table of methods and from the very types
//! that server and client use.
//!
//! OpenRPC has no words for subscriptions, scopes, or params of which one of several must be given: those stand under
//! names that begin `x-`.

use std::borrow::Cow;
use std::sync::Arc;

use schemars::generate::SchemaSettings;
use schemars::transform::{RemoveRefSiblings, Transform};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use crate::error::RpcReason;
use crate::method::{Method, NoParams, Scope};
use crate::registry::{COMMON_ERRORS, FEEDS, METHODS, MethodInfo, SchemaOf};

/// The version of OpenRPC that the document is written in.
const OPENRPC_VERSION: &str = "1.3.2";
/// Where the document keeps the types that are used in several places.
const SCHEMAS_PATH: &str = "/components/schemas";

/// `rpc.discover`: this interface, described as an OpenRPC document.
#[derive(Debug, JsonSchema)]
pub struct Discover;

impl Method for Discover {
    const NAME: &'static str = "rpc.discover";
    const SCOPE: Scope = Scope::Read;
    const ERRORS: &'static [RpcReason] = &[];
    type Params = NoParams;
    type Result = Document;
}

/// The document as text, which costs a call no more than a copy.
#[derive(Clone, Debug)]
pub struct Document(Arc<RawValue>);

impl Document {
    /// As [`document`] makes it.
    ///
    /// # Panics
    /// Never: what is made there is JSON.
    #[must_use]
    pub fn new() -> Self {
        Self(to_raw_value(&document()).expect("a value is always JSON").into())
    }
}

impl Default for Document {
    fn default() -> Self {
        Self::new()
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(|text| Self(text.into()))
    }
}

impl JsonSchema for Document {
    fn schema_name() -> Cow<'static, str> {
        Value::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Value::json_schema(generator)
    }

    fn inline_schema() -> bool {
        Value::inline_schema()
    }
}

/// JSON-RPC's own errors, and those of the transport, with what each means here.
pub const PROTOCOL_ERRORS: [(i32, &str); 9] = [
    (-32700, "the body is not JSON"),
    (-32600, "the JSON is no call, or an empty batch"),
    (-32601, "there is no method of this name"),
    (-32602, "the params are not the method's"),
    (
        -32603,
        "the node failed while it worked on the call, by a mistake of its own, which its log tells (of `generateBlocks`: no block could be made, with a sentence)",
    ),
    (-32007, "the body is larger than this node takes (with HTTP status 413)"),
    (
        -32008,
        "the answer would be larger than this node gives: eight times the network's largest block and 1 MiB, 17 MiB at the least and 129 MiB at the most",
    ),
    (-32010, "the batch has more calls than this node takes"),
    (
        -32011,
        "the answers of the batch together would be larger than one answer may be (-32008); none of them is given",
    ),
];

/// The document: every method, then every subscription.
#[must_use]
pub fn document() -> Value {
    describe(&[&METHODS[..], &FEEDS].concat())
}

/// The document of these methods.
#[must_use]
pub fn describe(methods: &[MethodInfo]) -> Value {
    let mut asked = generator(SchemaSettings::for_deserialize);
    let mut told = generator(SchemaSettings::for_serialize);
    let described: Vec<Value> = methods.iter().map(|info| method(info, &mut asked, &mut told)).collect();
    let mut schemas = asked.take_definitions(false);
    schemas.append(&mut told.take_definitions(false));
    schemas.values_mut().for_each(|schema| *schema = plain(schema.take()));
    json!({
        "openrpc": OPENRPC_VERSION,
        "info": {
            "title": "Printsy",
            "description": "JSON-RPC of a Printsy node, over HTTP POST and WebSocket on one port.",
            "license": { "name": env!("CARGO_PKG_LICENSE") },
            "version": env!("CARGO_PKG_VERSION"),
        },
        "methods": described,
        "components": { "schemas": schemas },
    })
}

fn generator(contract: fn(SchemaSettings) -> SchemaSettings) -> SchemaGenerator {
    let settings = SchemaSettings::draft07().with(|settings| settings.definitions_path = SCHEMAS_PATH.into());
    contract(settings).into_generator()
}

/// A schema as JSON of draft 7, where nothing stands beside a reference.
fn plain(value: Value) -> Value {
    match Schema::try_from(value) {
        Ok(mut schema) => {
            RemoveRefSiblings::default().transform(&mut schema);
            schema.to_value()
        }
        Err(_) => unreachable!("a schema is an object or a truth value"),
    }
}

fn schema(of: SchemaOf, generator: &mut SchemaGenerator) -> Value {
    plain(of(generator).to_value())
}

fn method(info: &MethodInfo, asked: &mut SchemaGenerator, told: &mut SchemaGenerator) -> Value {
    let (summary, description) = about(info);
    let mut params = schema(info.params, asked);
    let by_name = info.positions.is_some();
    let mut described = json!({
        "name": info.name,
        "summary": summary,
        "paramStructure": if by_name { "by-name" } else { "either" },
        "params": descriptors(&params),
        "result": { "name": "result", "schema": schema(info.result, told) },
        "errors": errors(info),
        "x-scope": info.scope.name(),
    });
    let set = |described: &mut Value, name: &str, value: Value| described[name] = value;
    if let Some(description) = description {
        set(&mut described, "description", description.into());
    }
    if let (Some(positions), Some(alternatives)) = (info.positions, params.get_mut("oneOf")) {
        set(&mut described, "x-oneOf", alternatives.take());
        set(&mut described, "x-positions", positions.into());
    }
    if let Some(subscription) = &info.subscription {
        let item = schema(subscription.item, told);
        let told = json!({
            "notification": subscription.notification, "unsubscribe": subscription.unsubscribe, "item": item,
        });
        set(&mut described, "x-subscription", told);
    }
    described
}

/// A method's doc comment: its first paragraph, and what follows.
#[must_use]
pub fn about(info: &MethodInfo) -> (String, Option<String>) {
    let schema = (info.about)(&mut SchemaGenerator::default());
    let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    match text.split_once("\n\n") {
        Some((summary, rest)) => (one_line(summary), Some(one_line(rest))),
        None => (one_line(text), None),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Each param by itself, in the order of the positions.
fn descriptors(params: &Value) -> Vec<Value> {
    let empty = Map::new();
    let properties = params.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    let required: Vec<&str> = params
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let descriptor = |(name, schema): (&String, &Value)| {
        let mut schema = schema.clone();
        let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        json!({
            "name": name, "description": description, "required": required.contains(&name.as_str()),
            "schema": schema,
        })
    };
    properties.iter().map(descriptor).collect()
}

fn errors(info: &MethodInfo) -> Vec<Value> {
    let reasons =
        info.errors.iter().chain(COMMON_ERRORS.iter().filter(|common| !info.errors.contains(common)));
    let own = reasons.map(|reason| {
        json!({
            "code": reason.code(), "message": reason.name(),
            "data": { "reason": reason.name(), "retryable": reason.is_retryable() },
        })
    });
    let protocol = PROTOCOL_ERRORS.iter().map(|(code, message)| json!({ "code": code, "message": message }));
    own.chain(protocol).collect()
}
