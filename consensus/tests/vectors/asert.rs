//! aserti3-2d's published vectors: all twelve runs, with the schedule they were made for.

use printsy_consensus::{Schedule, Target, asert};

const RUNS: [&str; 12] = [
    include_str!("asert/run01"),
    include_str!("asert/run02"),
    include_str!("asert/run03"),
    include_str!("asert/run04"),
    include_str!("asert/run05"),
    include_str!("asert/run06"),
    include_str!("asert/run07"),
    include_str!("asert/run08"),
    include_str!("asert/run09"),
    include_str!("asert/run10"),
    include_str!("asert/run11"),
    include_str!("asert/run12"),
];

fn bits(text: &str) -> u32 {
    u32::from_str_radix(text.trim_start_matches("0x"), 16).expect("eight hex digits")
}

/// The value of a line `##   name: value`, by the words its name may be.
fn head<'a>(run: &'a str, names: &[&str]) -> &'a str {
    let line =
        run.lines().find(|line| line.starts_with("##") && names.iter().any(|name| line.contains(name)));
    line.and_then(|line| line.rsplit(": ").next()).expect("every run has it").trim()
}

#[test]
fn all_twelve_runs_come_out_as_published() {
    let easiest = Target::from_bits(0x1d00_ffff).unwrap();
    let schedule = Schedule { spacing: 600, half_life: 172_800, easiest };
    for (run, number) in RUNS.iter().zip(1..) {
        let anchor = Target::from_bits(bits(head(run, &["anchor nBits"]))).unwrap();
        let anchor_height: i128 = head(run, &["anchor height"]).parse().unwrap();
        let parent_time: i128 = head(run, &["anchor ancestor time", "anchor parent time"]).parse().unwrap();
        let iterations: usize = head(run, &["iterations"]).parse().unwrap();
        let mut done = 0;
        for line in run.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
            let field: Vec<&str> = line.split_whitespace().collect();
            let (height, time): (i128, i128) = (field[1].parse().unwrap(), field[2].parse().unwrap());
            let got = asert(&schedule, anchor, time - parent_time, height - anchor_height).to_bits();
            assert_eq!(got, bits(field[3]), "run {number}: {line}");
            done += 1;
        }
        assert_eq!(done, iterations, "run {number}");
    }
}
