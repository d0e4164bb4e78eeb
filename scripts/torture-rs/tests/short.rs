//! Short runs of every campaign; the long ones are `scripts/torture`.
//!
//! The daemon is that of the same build: `cargo test --release --workspace`, the README's own command.

use std::path::{Path, PathBuf};

use printsy_torture::{corruption, crashes, kills, reorganisations, scale, templates};

fn printsyd() -> PathBuf {
    let printsyd = Path::new(env!("CARGO_BIN_EXE_printsy-torture")).with_file_name("printsyd");
    assert!(printsyd.is_file(), "{} is not built: run the tests of the whole workspace", printsyd.display());
    printsyd
}

#[tokio::test]
async fn what_a_daemon_answered_survives_its_kills() {
    let report = kills::run(&kills::Options { seed: 7, count: 20, printsyd: printsyd() }).await;
    let report = report.map_err(|error| format!("{error:#}")).unwrap();
    println!("{report}");
    assert_eq!(report.number("kills"), Some(20));
    assert!(report.number("orders answered in a block") > Some(20), "a load that is none proves nothing");
}

#[test]
fn what_a_ledger_acknowledged_survives_power_cuts() {
    let report = crashes::run(7, 1_000).map_err(|error| format!("{error:#}")).unwrap();
    println!("{report}");
    assert!(report.number("images opened and compared") >= Some(1_000));
    assert!(report.number("of them played on and cut again") > Some(0), "second cuts too");
    assert!(report.number("at the step that was not acknowledged yet") > Some(0), "cuts within a step too");
}

#[test]
fn a_reorganisation_down_to_the_final_block_is_a_replay() {
    let report = reorganisations::run(7, 300).map_err(|error| format!("{error:#}")).unwrap();
    println!("{report}");
    assert_eq!(report.number("reorganisations"), Some(300));
    assert!(report.number("down to the final block") > Some(0));
}

#[test]
fn no_template_is_invalid() {
    let report = templates::run(7, 200).map_err(|error| format!("{error:#}")).unwrap();
    println!("{report}");
    assert_eq!(report.number("templates, none invalid"), Some(200));
    for happened in
        ["with a registrar's action", "blocks on a parent that was the tip no more", "reorganisations"]
    {
        assert!(report.number(happened) > Some(0), "{happened}: none, which proves nothing");
    }
}

#[tokio::test]
async fn one_damage_is_healed_refused_or_found_and_never_another_chain_in_silence() {
    let report = corruption::run(&corruption::Options { seed: 7, count: 100, printsyd: printsyd() }).await;
    let report = report.map_err(|error| format!("{error:#}")).unwrap();
    println!("{report}");
    for outcome in ["Healed", "Refused", "Refetched", "FoundByAudit"] {
        assert!(report.number(outcome) > Some(0), "no damage was {outcome}");
    }
}

#[tokio::test]
async fn a_restart_with_many_images_and_many_sales_answers() {
    let options = scale::Options { entries: 1_000, sales: 3_000, printsyd: printsyd() };
    let report = scale::run(&options).await.map_err(|error| format!("{error:#}")).unwrap();
    println!("{report}");
    assert!(report.number("many: ready after ms") < Some(10_000));
}
