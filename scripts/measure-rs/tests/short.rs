//! Short runs of the measurements: that they measure, not how well it is met on a machine that does other things.
//!
//! The programs are those of the same build: `cargo test --release --workspace`, the README's own command.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use printsy_measure::place::Place;
use printsy_measure::{network, turn, validation};

fn place() -> Place {
    let programs = Path::new(env!("CARGO_BIN_EXE_printsy-measure")).parent().unwrap().to_owned();
    for name in ["printsyd", "printsy-miner"] {
        assert!(programs.join(name).is_file(), "{name} is not built: run the tests of the whole workspace");
    }
    Place { programs, genesis: include_str!("../../../genesis.json").to_owned() }
}

#[tokio::test]
async fn each_measurement_gives_its_figures() {
    let mut rows = turn::run(&place(), 40).await.map_err(|error| format!("{error:#}")).unwrap();
    rows.extend(network::run(&place(), 4).await.map_err(|error| format!("{error:#}")).unwrap());
    rows.extend(validation::run(&place(), 2, 1).await.map_err(|error| format!("{error:#}")).unwrap());
    for row in rows {
        println!("{row:?}");
        assert!(row.got.is_finite() && row.got >= 0.0, "{row:?}");
    }
}
