//! Every method once, in one table: what the server answers, what clients call, and what `rpc.discover` and docs/rpc.md
//! describe are held against it by tests.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::error::RpcReason;
use crate::method::{Method, Scope};
use crate::openrpc::Discover;
use crate::subscription::{
    SubscribeAvailability, SubscribeBlockTemplate, SubscribeBlocks, SubscribeTransaction, Subscription,
    SubscriptionNumber,
};
use crate::{admin, block, chain, history, market, mining, proof};

/// Makes the schema of a type.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// A method, as a description of the interface has it.
#[derive(Clone, Copy, Debug)]
pub struct MethodInfo {
    /// The name it is called by.
    pub name: &'static str,
    /// What a token must allow for it.
    pub scope: Scope,
    /// Our own errors it may answer with, beside those that any method may.
    pub errors: &'static [RpcReason],
    /// How params come by position, where that is not simply the named ones in their order.
    pub positions: Option<&'static str>,
    /// Its doc comment, as the description of a schema.
    pub about: SchemaOf,
    /// Its params by name.
    pub params: SchemaOf,
    /// Its result; of a subscription, what the call that begins it answers.
    pub result: SchemaOf,
    /// What makes it a subscription, if it is one.
    pub subscription: Option<SubscriptionInfo>,
}

/// What a subscription has that other methods have not.
#[derive(Clone, Copy, Debug)]
pub struct SubscriptionInfo {
    /// The method that its notifications name.
    pub notification: &'static str,
    /// The method that ends it.
    pub unsubscribe: &'static str,
    /// What each notification tells.
    pub item: SchemaOf,
}

impl MethodInfo {
    /// The entry of `M`.
    #[must_use]
    pub const fn of<M: Method>() -> Self {
        Self {
            name: M::NAME,
            scope: M::SCOPE,
            errors: M::ERRORS,
            positions: M::POSITIONS,
            about: <M as JsonSchema>::json_schema,
            params: <M::Params as JsonSchema>::json_schema,
            result: subschema::<M::Result>,
            subscription: None,
        }
    }

    /// The entry of a subscription: of the call that begins it.
    #[must_use]
    pub const fn of_subscription<S: Subscription>() -> Self {
        Self {
            name: S::NAMES.subscribe,
            scope: S::SCOPE,
            errors: S::ERRORS,
            positions: None,
            about: <S as JsonSchema>::json_schema,
            params: <S::Params as JsonSchema>::json_schema,
            result: subschema::<SubscriptionNumber>,
            subscription: Some(SubscriptionInfo {
                notification: S::NAMES.notification,
                unsubscribe: S::NAMES.unsubscribe,
                item: subschema::<S::Item>,
            }),
        }
    }
}

fn subschema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// The errors that any method may answer with.
pub const COMMON_ERRORS: [RpcReason; 2] = [RpcReason::Unauthorized, RpcReason::RateLimited];

/// Every method, in the order of the documentation.
pub const METHODS: [MethodInfo; 32] = [
    MethodInfo::of::<market::IsAvailable>(),
    MethodInfo::of::<market::ExecuteTransaction>(),
    MethodInfo::of::<market::ExecuteTransactions>(),
    MethodInfo::of::<market::ValidateTransaction>(),
    MethodInfo::of::<market::GetTransaction>(),
    MethodInfo::of::<market::GetEdition>(),
    MethodInfo::of::<history::GetOwners>(),
    MethodInfo::of::<market::GetAccount>(),
    MethodInfo::of::<history::GetHoldings>(),
    MethodInfo::of::<history::GetHistory>(),
    MethodInfo::of::<history::GetReviews>(),
    MethodInfo::of::<proof::GetProof>(),
    MethodInfo::of::<proof::GetInclusionProof>(),
    MethodInfo::of::<chain::GetChain>(),
    MethodInfo::of::<block::GetHeader>(),
    MethodInfo::of::<block::GetBlock>(),
    MethodInfo::of::<chain::GetParams>(),
    MethodInfo::of::<chain::GetPeers>(),
    MethodInfo::of::<chain::GetMiners>(),
    MethodInfo::of::<chain::GetMempool>(),
    MethodInfo::of::<chain::GetSupply>(),
    MethodInfo::of::<Discover>(),
    MethodInfo::of::<mining::GetBlockTemplate>(),
    MethodInfo::of::<mining::SubmitBlock>(),
    MethodInfo::of::<admin::AddPeer>(),
    MethodInfo::of::<admin::Ban>(),
    MethodInfo::of::<admin::Unban>(),
    MethodInfo::of::<admin::ListBanned>(),
    MethodInfo::of::<admin::Stop>(),
    MethodInfo::of::<admin::SetLogLevel>(),
    MethodInfo::of::<admin::GenerateBlocks>(),
    MethodInfo::of::<admin::SetClock>(),
];

/// Every subscription, in the order of the documentation.
pub const FEEDS: [MethodInfo; 4] = [
    MethodInfo::of_subscription::<SubscribeBlockTemplate>(),
    MethodInfo::of_subscription::<SubscribeBlocks>(),
    MethodInfo::of_subscription::<SubscribeTransaction>(),
    MethodInfo::of_subscription::<SubscribeAvailability>(),
];
