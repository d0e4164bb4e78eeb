//! The methods that tell lists: what an account or an image went through, who owns it, what an account holds.
//!
//! All are told in pages: at most `limit` entries, fewer where an answer would take too long, and `next` to go on from,
//! which is null only at the end. Each answer is of one moment of the chain, and names its tip.
//!
//! `getHistory` is asked for by `{account}` or by `{image}`; by position, a string is an account and a number an image.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::RpcReason;
use crate::market::{BlockRef, EditionRange, Position};
use crate::method::{Method, Scope};
use crate::schema::one_of;
use crate::text::{Address, Bounded, HashHex, Hex, ImageId};
use crate::transaction::TransactionInfo;

/// How many entries a page has at the most, when nobody says otherwise.
pub const DEFAULT_LIMIT: u64 = 100;

/// How many entries of a page are wanted at the most.
pub type PageLimit = Bounded<1, 1_000>;
/// Where a list by time goes on. Opaque: it names an entry of the chain, and fits while that one stands there.
pub type Cursor = Hex<20>;
/// Where a list by image goes on. Opaque.
pub type HoldingsCursor = Hex<8>;

/// `getHistory {account | image, cursor?, limit?}`: the transactions of an account or an image, newest first.
///
/// Of an account: every one that touched it, as many as its `transactions`. Of an image: its purchases and reviews; its
/// listings are not linked to it and are found in the histories of the registrars and the seller. A cursor off the chain,
/// or of another list, is an error (-32602): begin again without one.
#[derive(Debug, JsonSchema)]
pub struct GetHistory;

impl Method for GetHistory {
    const NAME: &'static str = "getHistory";
    const SCOPE: Scope = Scope::Read;
    const ERRORS: &'static [RpcReason] = RpcReason::OF_IMAGES;
    const POSITIONS: Option<&'static str> = Some(
        "`[account, cursor?, limit?]` or `[image, cursor?, limit?]`: a string is an account, a number an image",
    );
    type Params = GetHistoryParams;
    type Result = History;
}

/// Whose history it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryOf {
    /// An account's.
    Account(Address),
    /// An image's.
    Image(ImageId),
}

/// The params of `getHistory`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "HistoryByName")]
pub struct GetHistoryParams {
    /// Whose.
    pub of: HistoryOf,
    /// Where to go on; by default at the newest.
    pub cursor: Option<Cursor>,
    /// How many entries at the most; by default 100.
    pub limit: Option<PageLimit>,
}

/// What `getHistory` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// The tip this is said of.
    pub tip: BlockRef,
    /// The transactions, newest first.
    pub entries: Vec<HistoryEntry>,
    /// Where it goes on; null at the end.
    pub next: Option<Cursor>,
}

/// A transaction of the chain: where it stands, then itself field by field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// Its place in the chain.
    pub position: Position,
    /// Its block's id.
    pub hash: HashHex,
    /// The time in its block's header, in milliseconds since 1970.
    pub time: u64,
    /// Blocks of the chain from its own to the tip: 1 in the tip.
    pub confirmations: u64,
    /// Whether no reorganisation can take it out.
    #[serde(rename = "final")]
    pub is_final: bool,
    /// A purchase's edition numbers, by line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub editions: Option<Vec<EditionRange>>,
    /// The transaction's own fields, on the same level.
    #[serde(flatten)]
    pub transaction: TransactionInfo,
}

/// The params of a method that tells a list about one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImagePageParams {
    /// The image.
    pub image: ImageId,
    /// Where to go on; by default at the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Cursor>,
    /// How many entries at the most; by default 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<PageLimit>,
}

/// `getOwners {image, cursor?, limit?}`: who bought which edition numbers, the last purchase first.
#[derive(Debug, JsonSchema)]
pub struct GetOwners;

impl Method for GetOwners {
    const NAME: &'static str = "getOwners";
    const SCOPE: Scope = Scope::Read;
    const ERRORS: &'static [RpcReason] = RpcReason::OF_IMAGES;
    type Params = ImagePageParams;
    type Result = Owners;
}

/// What `getOwners` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Owners {
    /// The tip this is said of.
    pub tip: BlockRef,
    /// One for each purchase, the last first.
    pub owners: Vec<Owner>,
    /// Where it goes on; null at the end.
    pub next: Option<Cursor>,
}

/// Editions bought at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// Who bought them.
    pub account: Address,
    /// How many.
    pub quantity: u32,
    /// The first edition number, from 1.
    pub from: u32,
    /// The last edition number.
    pub to: u32,
    /// The purchase's place in the chain.
    pub position: Position,
    /// The purchase.
    pub tx_id: HashHex,
}

/// `getReviews {image, cursor?, limit?}`: the reviews of an image, newest first, those that were replaced too.
#[derive(Debug, JsonSchema)]
pub struct GetReviews;

impl Method for GetReviews {
    const NAME: &'static str = "getReviews";
    const SCOPE: Scope = Scope::Read;
    const ERRORS: &'static [RpcReason] = RpcReason::OF_IMAGES;
    type Params = ImagePageParams;
    type Result = Reviews;
}

/// What `getReviews` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reviews {
    /// The tip this is said of.
    pub tip: BlockRef,
    /// The reviews, newest first.
    pub reviews: Vec<Review>,
    /// Where it goes on; null at the end.
    pub next: Option<Cursor>,
}

/// A review.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Review {
    /// 1 to 5.
    pub rating: u8,
    /// Possibly empty.
    pub text: String,
    /// Who wrote it.
    pub account: Address,
    /// Its place in the chain.
    pub position: Position,
    /// The review's transaction.
    pub tx_id: HashHex,
    /// Whether a later review by the same account counts in its place. Null where there are more newer reviews than
    /// are looked through (10,000, fewer where their blocks are large).
    pub replaced: Option<bool>,
}

/// `getHoldings {account, cursor?, limit?}`: what an account holds, ascending by image.
///
/// Each page is of one moment; what changed between two pages is in that which was asked for later.
#[derive(Debug, JsonSchema)]
pub struct GetHoldings;

impl Method for GetHoldings {
    const NAME: &'static str = "getHoldings";
    const SCOPE: Scope = Scope::Read;
    const ERRORS: &'static [RpcReason] = &[RpcReason::Storage];
    type Params = GetHoldingsParams;
    type Result = Holdings;
}

/// The params of `getHoldings`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GetHoldingsParams {
    /// The account.
    pub account: Address,
    /// Where to go on; by default at the lowest image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<HoldingsCursor>,
    /// How many entries at the most; by default 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<PageLimit>,
}

/// What `getHoldings` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Holdings {
    /// The tip this is said of.
    pub tip: BlockRef,
    /// Ascending by image.
    pub holdings: Vec<Holding>,
    /// Where it goes on; null at the end.
    pub next: Option<HoldingsCursor>,
}

/// What an account holds of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Holding {
    /// The image.
    pub image: u64,
    /// How many editions of it.
    pub quantity: u32,
    /// The account's last rating of it, 1 to 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rating: Option<u8>,
}

/// `getHistory`'s params as an object.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct HistoryByName {
    /// The account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<Address>,
    /// The image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image: Option<ImageId>,
    /// Where to go on; by default at the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cursor: Option<Cursor>,
    /// How many entries at the most; by default 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit: Option<PageLimit>,
}

/// `getHistory`'s params as an array.
#[derive(Deserialize)]
struct HistoryByPosition(HistoryOf, #[serde(default)] Option<Cursor>, #[serde(default)] Option<PageLimit>);

impl HistoryOf {
    fn from_names<E: Error>(account: Option<Address>, image: Option<ImageId>) -> Result<Self, E> {
        match (account, image) {
            (Some(account), None) => Ok(Self::Account(account)),
            (None, Some(image)) => Ok(Self::Image(image)),
            (None, None) => Err(E::custom("expected `account` or `image`, got neither")),
            (Some(_), Some(_)) => Err(E::custom("expected `account` or `image`, got both")),
        }
    }
}

impl JsonSchema for GetHistoryParams {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "GetHistoryParams".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        one_of(HistoryByName::json_schema(generator), &[&["account"], &["image"]])
    }
}

impl From<GetHistoryParams> for HistoryByName {
    fn from(params: GetHistoryParams) -> Self {
        let (account, image) = match params.of {
            HistoryOf::Account(account) => (Some(account), None),
            HistoryOf::Image(image) => (None, Some(image)),
        };
        Self { account, image, cursor: params.cursor, limit: params.limit }
    }
}

struct HistoryOfVisitor;

impl Visitor<'_> for HistoryOfVisitor {
    type Value = HistoryOf;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an account's address as a string or an image as a number")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<HistoryOf, E> {
        ImageId::try_from(number).map(HistoryOf::Image).map_err(E::custom)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<HistoryOf, E> {
        text.parse().map(HistoryOf::Account).map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for HistoryOf {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HistoryOfVisitor)
    }
}

struct HistoryParamsVisitor;

impl<'de> Visitor<'de> for HistoryParamsVisitor {
    type Value = GetHistoryParams;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an account or an image, then a cursor and a limit")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<GetHistoryParams, A::Error> {
        let HistoryByName { account, image, cursor, limit } =
            HistoryByName::deserialize(MapAccessDeserializer::new(map))?;
        Ok(GetHistoryParams { of: HistoryOf::from_names(account, image)?, cursor, limit })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<GetHistoryParams, A::Error> {
        let HistoryByPosition(of, cursor, limit) =
            HistoryByPosition::deserialize(SeqAccessDeserializer::new(seq))?;
        Ok(GetHistoryParams { of, cursor, limit })
    }
}

impl<'de> Deserialize<'de> for GetHistoryParams {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HistoryParamsVisitor)
    }
}
