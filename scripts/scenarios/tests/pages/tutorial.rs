//! docs/tutorial.md, typed from its first command to its last.

use super::page::steps;
use super::reader::Reader;

const TUTORIAL: &str = include_str!("../../../../docs/tutorial.md");

/// As long as it may be for somebody who reads it, types it and sees it in five minutes: at 200 words a minute.
const MAX_WORDS: usize = 1_000;

#[test]
fn a_newcomer_sees_what_the_tutorial_says_from_the_first_command_to_the_last() {
    let mut reader = Reader::new();
    let steps = steps(TUTORIAL, "");
    // What the reader built already is built.
    let (build, rest) = steps.split_first().unwrap();
    assert!(build.typed[0].starts_with("cargo build"));
    for step in rest {
        reader.follows(step);
    }
    // What was bought meanwhile, the other terminal told.
    reader.staying[1].mentions("image 25: 99 of 100 left");
    assert!(TUTORIAL.split_whitespace().count() < MAX_WORDS);
}
