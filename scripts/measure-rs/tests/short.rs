//! Short runs of the measurements: that they measure, not how well it is met on a machine that does other things.
//!
//! The programs are those of the same build: `cargo test --release --workspace`, the README's own command.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use printsy_measure::logs::Log;
use printsy_measure::place::{Place, stop};
use printsy_measure::{network, turn, validation};
use printsy_rpc::admin::{AddPeer, AddPeerParams, GenerateBlocks, GenerateBlocksParams};
use printsy_scenarios::folder::Folder;
use printsy_scenarios::network::Node;
use printsy_scenarios::wait::{Look, until};

fn place() -> Place {
    let programs = Path::new(env!("CARGO_BIN_EXE_printsy-measure")).parent().unwrap().to_owned();
    for name in ["printsyd", "printsy-miner"] {
        assert!(programs.join(name).is_file(), "{name} is not built: run the tests of the whole workspace");
    }
    Place { programs, genesis: include_str!("../../../genesis.json").to_owned() }
}

#[tokio::test]
async fn each_measurement_gives_its_figures() -> Result<()> {
    let mut rows = turn::run(&place(), 40).await?;
    rows.extend(network::run(&place(), 4).await?);
    rows.extend(validation::run(&place(), 2, 1).await?);
    for row in rows {
        println!("{row:?}");
        assert!(row.got.is_finite() && row.got >= 0.0, "{row:?}");
        // A time of nothing was not measured.
        assert!(row.unit != "ms" || row.got > 0.0, "{row:?}");
    }
    Ok(())
}

/// The depth of reorganisations is read from the daemon's own words.
#[tokio::test]
async fn a_reorganisation_is_found_in_the_log_of_the_node_that_went_through_it() -> Result<()> {
    let place = place();
    let genesis = place.constant(3)?;
    let (here, there) = (Folder::temporary()?, Folder::temporary()?);
    let (loser, winner) =
        (place.nodes(&here, &genesis, &[vec![]]).await?, place.nodes(&there, &genesis, &[vec![]]).await?);
    generate(&loser[0], 2).await?;
    generate(&winner[0], 5).await?;
    let address = winner[0].peer_address().await?;
    loser[0].ask::<AddPeer>(&AddPeerParams { address }).await?;
    until("the tip of more work", Duration::from_secs(30), async || {
        let (own, other) = (loser[0].chain().await?.tip, winner[0].chain().await?.tip);
        Ok(if own.hash == other.hash { Look::Yes(()) } else { Look::NotYet(own.height.to_string()) })
    })
    .await?;
    let log = loser[0].log().to_owned();
    stop(loser).await?;
    stop(winner).await?;
    assert_eq!(Log::read(&log)?.reorganisations, [2]);
    Ok(())
}

async fn generate(node: &Node, count: u64) -> Result<()> {
    let count = count.try_into().map_err(anyhow::Error::msg)?;
    node.ask::<GenerateBlocks>(&GenerateBlocksParams { count }).await?;
    Ok(())
}
