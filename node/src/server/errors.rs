//! Refusals as the interface tells them: each of the node's reasons becomes one code with its data.
//!
//! One table, [`reason_of`], says which reason an admission error is; everything else fills in the numbers
//! that a program needs to act on it. The sentence is the error's own.

use printsy_consensus::{BlockError, Hash, Params, Rule, StateError, TransactionError};
use printsy_ledger::{AdmitError, EXPIRY_MARGIN};
use printsy_rpc::{Amount, ErrorData, RpcError, RpcReason};

use crate::core::{OrderRefusal, TemplateRefusal};
use crate::handle::{Refusal, SubmitError};

/// A refused order.
pub(super) fn refusal(params: &Params, error: &Refusal, txid: Option<Hash>) -> RpcError {
    let sentence = error.to_string();
    let mut data = match error {
        Refusal::Decode(error) => malformed(error.rule()),
        Refusal::Check(error) => check(error),
        Refusal::Order(OrderRefusal::Admit(error)) => admit(params, error),
        Refusal::Order(OrderRefusal::Syncing) => ErrorData::new(RpcReason::Syncing),
        Refusal::Order(OrderRefusal::Storage(_)) | Refusal::Stopping => ErrorData::new(RpcReason::Storage),
    };
    data.tx_id = txid.map(Into::into);
    RpcError::refused(sentence, data)
}

/// An order that was admitted and is refused now.
pub(super) fn dropped(params: &Params, error: &AdmitError, txid: Hash) -> RpcError {
    let mut data = admit(params, error);
    data.tx_id = Some(txid.into());
    RpcError::refused(error.to_string(), data)
}

fn malformed(rule: Rule) -> ErrorData {
    ErrorData::new(RpcReason::Malformed).rule(rule.id())
}

fn check(error: &TransactionError) -> ErrorData {
    match error {
        TransactionError::Signature => ErrorData::new(RpcReason::BadSignature).rule(Rule::T2.id()),
        TransactionError::Image { max, got } => {
            let mut data = malformed(Rule::T5);
            (data.image, data.max) = (Some(*got), Some(*max));
            data
        }
        TransactionError::Quantity { max, got } => {
            let mut data = malformed(Rule::T6);
            (data.max, data.requested) = (Some(u64::from(*max)), Some(u64::from(*got)));
            data
        }
        other => malformed(other.rule()),
    }
}

/// The reason that an admission error is.
pub(super) fn reason_of(error: &AdmitError) -> RpcReason {
    match error {
        AdmitError::State(error) | AdmitError::AwaitsCredit(error) => match error {
            StateError::Expired { .. } => RpcReason::Expired,
            StateError::NotYet { .. } => RpcReason::NotYet,
            StateError::NotAdmitted { .. } | StateError::NotIssuer | StateError::NotRegistrar => {
                RpcReason::NotAuthorized
            }
            StateError::SoldOut { .. } => RpcReason::SoldOut,
            StateError::AccountLimit { .. } => RpcReason::AccountLimit,
            StateError::NotListed { .. } => RpcReason::NotListed,
            StateError::Price { .. } => RpcReason::PriceChanged,
            StateError::Balance { .. } => RpcReason::InsufficientBalance,
            StateError::NotPurchased { .. } => RpcReason::NotPurchased,
            // S2 is answered with the status of what is confirmed; it is told only where that cannot be read.
            StateError::Duplicate
            | StateError::SupplyOverflow { .. }
            | StateError::AlreadyRegistered { .. }
            | StateError::NotRegistered { .. }
            | StateError::LastMiner
            | StateError::NoChange { .. }
            | StateError::FewerThanSold { .. } => RpcReason::RefusedByRegistry,
            StateError::View(_) => RpcReason::Storage,
        },
        AdmitError::ExpiresTooSoon { .. } => RpcReason::ExpiresTooSoon,
        AdmitError::HeldByPending { .. } => RpcReason::HeldByPending,
        AdmitError::ActionPending => RpcReason::RefusedByRegistry,
        AdmitError::Full { .. } => RpcReason::MempoolFull,
    }
}

fn admit(params: &Params, error: &AdmitError) -> ErrorData {
    let mut data = ErrorData::new(reason_of(error));
    data.rule = error.rule().map(|rule| rule.id().to_owned());
    data.retryable = error.is_retryable();
    match error {
        AdmitError::State(error) | AdmitError::AwaitsCredit(error) => state(params, error, &mut data),
        AdmitError::ExpiresTooSoon { expires_at, earliest } => {
            let margin = EXPIRY_MARGIN.min(u64::from(params.max_validity) / 2);
            data.height = Some(earliest.saturating_sub(margin));
            data.expires_at = Some(*expires_at);
        }
        AdmitError::HeldByPending { image, editions, sold, pending, requested } => {
            copies(&mut data, *image, *editions, *sold, *requested);
            data.pending = Some(*pending);
        }
        AdmitError::ActionPending | AdmitError::Full { .. } => {}
    }
    data
}

/// The numbers of a broken S rule.
fn state(params: &Params, error: &StateError, data: &mut ErrorData) {
    match error {
        StateError::Expired { expires_at, height } => {
            (data.height, data.expires_at) = (Some(*height), Some(*expires_at));
        }
        StateError::NotYet { expires_at, latest } => {
            data.height = Some(latest.saturating_sub(u64::from(params.max_validity)));
            data.expires_at = Some(*expires_at);
        }
        StateError::SoldOut { image, editions, sold, requested } => {
            copies(data, *image, *editions, *sold, *requested);
        }
        StateError::AccountLimit { image, max, held, requested } => {
            (data.image, data.max) = (Some(*image), Some(u64::from(*max)));
            (data.held, data.requested) = (Some(u64::from(*held)), Some(u64::from(*requested)));
        }
        StateError::NotListed { image } | StateError::NotPurchased { image } => data.image = Some(*image),
        // A total beyond 64 bits cannot be paid, nor told.
        StateError::Price { expected, .. } => data.total = u64::try_from(*expected).ok().map(Amount),
        StateError::Balance { balance, needed } => {
            (data.balance, data.total) = (Some(Amount(*balance)), Some(Amount(*needed)));
        }
        StateError::FewerThanSold { image, sold, editions } => {
            copies(data, *image, *editions, *sold, 0);
            data.requested = None;
        }
        _ => {}
    }
}

fn copies(data: &mut ErrorData, image: u64, max: u32, sold: u32, requested: u32) {
    data.image = Some(image);
    data.max = Some(u64::from(max));
    data.sold = Some(u64::from(sold));
    data.requested = Some(u64::from(requested));
}

/// No template for a miner.
pub(super) fn no_template(error: &TemplateRefusal) -> RpcError {
    let data = match error {
        // It ends only by a registrar.
        TemplateRefusal::Miner(error) => not_authorized(error),
        TemplateRefusal::Pause { error, height } => {
            let mut data = not_authorized(error);
            data.height = Some(*height);
            data.retryable = true;
            data
        }
        TemplateRefusal::Syncing => ErrorData::new(RpcReason::Syncing),
        TemplateRefusal::Storage(_) | TemplateRefusal::Invalid => ErrorData::new(RpcReason::Storage),
    };
    RpcError::refused(error.to_string(), data)
}

fn not_authorized(error: &BlockError) -> ErrorData {
    let mut data = ErrorData::new(RpcReason::NotAuthorized);
    data.rule = error.rule().map(|rule| rule.id().to_owned());
    data
}

/// A block that could not be handed in.
pub(super) fn not_submitted(error: SubmitError) -> RpcError {
    let reason = match error {
        SubmitError::UnknownTemplate => RpcReason::UnknownTemplate,
        SubmitError::Stopping => RpcReason::Storage,
    };
    RpcError::refused(error.to_string(), ErrorData::new(reason))
}

/// The node is stopping.
pub(super) fn stopping() -> RpcError {
    storage("this node is stopping")
}

/// The node cannot do it for its own reasons.
pub(super) fn storage(sentence: &str) -> RpcError {
    RpcError::refused(sentence, ErrorData::new(RpcReason::Storage))
}

/// This node does not know it.
pub(super) fn not_found(sentence: &str) -> RpcError {
    RpcError::refused(sentence, ErrorData::new(RpcReason::NotFound))
}

/// An image that this network does not have (T5).
pub(super) fn no_such_image(params: &Params, image: u64) -> RpcError {
    let error = TransactionError::Image { max: params.max_images, got: image };
    RpcError::refused(error.to_string(), check(&error))
}
