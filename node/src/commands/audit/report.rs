//! The report: JSON for programs, lines for people, and the verdict.
//!
//! Numbers that a JSON reader may not hold exactly (amounts) are decimal strings, hashes hex, as in the node's own
//! interface. The fields stand in docs/operating.md.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use printsy_consensus::{Genesis, Hash};
use printsy_ledger::audit::{Area, AuditReport, Check, Finding};
use serde_json::{Value, json};

use super::against::{Comparison, Place};
use crate::exit::Failure;

/// All that was asked for.
#[derive(Debug)]
pub(super) struct Report {
    network: String,
    genesis: Hash,
    /// What the checks came to.
    pub(super) audited: Option<AuditReport>,
    /// What comparing came to.
    pub(super) against: Option<Comparison>,
}

impl Report {
    /// Of a network, nothing looked at yet.
    pub(super) fn new(genesis: &Genesis) -> Self {
        let network = genesis.params().network_name();
        Self { network, genesis: genesis.hash(), audited: None, against: None }
    }

    /// How many things are wrong, and the first in words.
    fn wrong(&self) -> (u64, Option<String>) {
        let checks = self.audited.iter().flat_map(|report| &report.checks);
        let mut wrong: u64 = checks.clone().map(|check| check.wrong).fold(0, u64::saturating_add);
        let first = |check: &Check| Some(format!("{}: {}", check.id, check.findings.first()?));
        let mut words = checks.clone().find_map(first);
        if let Some(comparison) = self.against.as_ref().filter(|comparison| comparison.is_wrong) {
            wrong = wrong.saturating_add(1);
            words.get_or_insert_with(|| comparison.what.clone());
        }
        (wrong, words)
    }

    /// Nothing, or exit code 5.
    ///
    /// # Errors
    /// Where anything is wrong, with the first thing in words.
    pub(super) fn verdict(&self) -> Result<(), Failure> {
        match self.wrong() {
            (0, _) => Ok(()),
            (wrong, words) => {
                let words = words.unwrap_or_default();
                Err(Failure::Damaged(format!(
                    "the audit found {wrong} {} wrong, first {words}; the report has all, docs/operating.md says \
                     what to do",
                    if wrong == 1 { "thing" } else { "things" }
                )))
            }
        }
    }

    /// Writes the JSON to a file, whole or not at all, or to standard output.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub(super) fn write(&self, file: Option<&Path>) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(&self.to_json()).expect("plain values are always JSON");
        let Some(file) = file else {
            println!("{text}");
            return Ok(());
        };
        let mut beside = file.as_os_str().to_owned();
        beside.push(".new");
        let written = fs::write(&beside, text + "\n").and_then(|()| fs::rename(&beside, file));
        written.map_err(|error| Failure::io("write the report to", file, &error))
    }

    fn to_json(&self) -> Value {
        let mut value = json!({
            "ok": self.wrong().0 == 0,
            "network": self.network,
            "genesis": self.genesis.to_string(),
            "version": env!("CARGO_PKG_VERSION"),
        });
        if let Some(report) = &self.audited {
            let of = |area| report.checks.iter().filter(move |check| check.area == area).map(check_json);
            let counts = &report.counts;
            value["tip"] = json!({
                "height": report.height,
                "hash": report.tip.to_string(),
                "stateRoot": report.state_root.to_string(),
            });
            value["finalHeight"] = json!(report.final_height);
            value["counts"] = json!({
                "moves": counts.moves,
                "journalledBlocks": counts.journalled_blocks,
                "blocks": counts.blocks,
                "transactions": counts.transactions,
                "images": counts.images,
                "accounts": counts.accounts,
                "miners": counts.miners,
                "sold": counts.sold.to_string(),
                "issued": counts.issued.to_string(),
                "redeemed": counts.redeemed.to_string(),
            });
            value["replay"] = of(Area::Replay).next().unwrap_or(Value::Null);
            value["invariants"] = of(Area::Invariant).collect();
            value["files"] = of(Area::File).collect();
            let mark = report.index_mark.map(|mark| {
                json!({ "height": mark.height, "hash": mark.tip.to_string(), "journalEnd": mark.journal_end })
            });
            value["index"] = json!({ "mark": mark, "checks": of(Area::Index).collect::<Vec<_>>() });
        }
        if let Some(comparison) = &self.against {
            value["against"] = comparison_json(comparison);
        }
        value
    }

    /// For people: a line for each check, and one for each of the first findings.
    pub(super) fn summary(&self) -> String {
        let mut out = String::new();
        let mut line = |text: String| writeln!(out, "{text}").expect("writing to a String cannot fail");
        line(format!("audit of {} (genesis {})", self.network, self.genesis));
        if let Some(report) = &self.audited {
            let (height, tip, counts) = (report.height, report.tip, &report.counts);
            line(format!("height {height}, tip {tip}, final height {}", report.final_height));
            line(format!(
                "{} transactions, {} images, {} accounts, {} miners",
                counts.transactions, counts.images, counts.accounts, counts.miners
            ));
            for check in &report.checks {
                line(format!("  {:<20} {:<8} {} checked", check.id, word(check), check.checked));
                let notes = check.skipped.iter().chain(&check.note).map(ToString::to_string);
                let findings = check.findings.iter().take(SHOWN).map(Finding::to_string);
                findings.chain(notes).for_each(|text| line(format!("    {text}")));
            }
        }
        if let Some(comparison) = &self.against {
            line(comparison.what.clone());
        }
        out
    }
}

/// How many findings of one check are shown to people; the report has more.
const SHOWN: usize = 5;

fn word(check: &Check) -> &'static str {
    match (check.wrong, &check.skipped) {
        (0, None) => "ok",
        (0, Some(_)) => "not done",
        _ => "WRONG",
    }
}

fn check_json(check: &Check) -> Value {
    let findings = check.findings.iter().map(|finding| {
        let block = finding.block.map(|block| block.to_string());
        json!({ "height": finding.height, "block": block, "what": finding.what })
    });
    let ok = match (check.wrong, &check.skipped) {
        (0, Some(_)) => Value::Null,
        (wrong, _) => json!(wrong == 0),
    };
    json!({
        "id": check.id,
        "ok": ok,
        "checked": check.checked,
        "wrong": check.wrong,
        "findings": findings.collect::<Vec<_>>(),
        "skipped": check.skipped,
        "note": check.note,
    })
}

fn comparison_json(comparison: &Comparison) -> Value {
    let place = |place: Place| {
        json!({
            "height": place.height,
            "hash": place.hash.to_string(),
            "stateRoot": place.state_root.to_string(),
        })
    };
    let pair = |pair: (Place, Place)| json!({ "ours": place(pair.0), "theirs": place(pair.1) });
    json!({
        "url": comparison.url,
        "ok": comparison.tips.map(|_| !comparison.is_wrong),
        "tips": comparison.tips.map(pair),
        "lastCommon": comparison.common.map(place),
        "firstDifferent": comparison.different.map(pair),
        "what": comparison.what,
    })
}
