//! No rule without an accepting and a refusing test.

use printsy_consensus::Rule;

const SOURCES: [&str; 6] = [
    include_str!("block.rs"),
    include_str!("codec.rs"),
    include_str!("genesis.rs"),
    include_str!("header.rs"),
    include_str!("state.rs"),
    include_str!("transaction.rs"),
];

/// How many test functions have a name that begins with `prefix`.
fn tests_named(prefix: &str) -> usize {
    SOURCES.iter().map(|source| source.matches(&format!("#[test]\nfn {prefix}")).count()).sum()
}

#[test]
fn every_rule_has_an_accepting_and_a_refusing_test() {
    for rule in Rule::ALL {
        let id = rule.id().to_lowercase();
        assert!(tests_named(&format!("{id}_accepts_")) > 0, "{rule} has no accepting test");
        assert!(tests_named(&format!("{id}_refuses_")) > 0, "{rule} has no refusing test");
    }
}

#[test]
fn every_rule_is_named_once_and_as_the_protocol_counts_them() {
    let counted = [("C", 4), ("T", 12), ("S", 17), ("H", 8), ("B", 6), ("G", 10)];
    let expected: Vec<String> =
        counted.iter().flat_map(|(letter, last)| (1..=*last).map(move |n| format!("{letter}{n}"))).collect();
    let got: Vec<String> = Rule::ALL.iter().map(ToString::to_string).collect();
    assert_eq!(got, expected);
}
