//! The scenarios, in their order: each ends with `Ok` only if everything was as it should be.
//!
//! They share one network and one chain, so each uses images and buyers of its own: 25 is the sale, 7 the listed
//! image that sells out, 26 and 27 are the forger's and the patient buyer's.

mod closing;
mod invalid_winner;
mod sale;
mod sold_out;
mod up;

use anyhow::{Context, Result};

use crate::stage::Stage;

/// Acts all scenarios.
///
/// # Errors
/// The first deviation: what was expected, and what was got.
pub async fn play(stage: &mut Stage) -> Result<()> {
    up::play(stage).await.context("the network did not come up as it should")?;
    sale::play(stage).await.context("the sale did not go as it should")?;
    sold_out::play(stage).await.context("the sold-out image was not refused as it should")?;
    invalid_winner::play(stage).await.context("the invalid block was not handled as it should")?;
    closing::play(stage).await.context("the nodes do not agree as they should")
}
