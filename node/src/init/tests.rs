//! What `init` makes is a network as described, and calibrated to the hash rate.

use clap::Parser;
use tempfile::TempDir;

use super::*;
use crate::cli::{Cli, Command};

fn args(words: &[&str]) -> InitArgs {
    let line = ["printsyd", "init"].into_iter().chain(words.iter().copied());
    match Cli::try_parse_from(line).unwrap().command {
        Command::Init(args) => args,
        _ => unreachable!("init was asked for"),
    }
}

const NEW: [&str; 8] = [
    "--network",
    "dev-test",
    "--registrar",
    "dev:registrar",
    "--miner",
    "dev:miner-1=Print works",
    "--hash-rate",
    "30M",
];

fn init_new(folder: &TempDir, more: &[&str]) -> Result<InitReport, Failure> {
    let datadir = folder.path().to_str().unwrap();
    init(&args(&[&["--datadir", datadir], &NEW[..], more].concat()))
}

/// How many hashes a block of these bits takes.
fn work_of(bits: u32) -> Work {
    Target::from_bits(bits).expect("canonical").work()
}

fn work(hashes: u128) -> Work {
    let mut bytes = [0; 32];
    bytes[16..].copy_from_slice(&hashes.to_be_bytes());
    Work::from_be_bytes(bytes)
}

#[test]
fn calibration_takes_at_least_the_hashes_and_hardly_more() {
    let rates = [1, 2, 3, 255, 256, 257, 65_535, 60_000_000, u128::from(u64::MAX), 1 << 96];
    for expected in rates.into_iter().chain((0..90).map(|shift| (1 << shift) + 12_345)) {
        let got = work_of(calibrated_bits(expected));
        assert!(got >= work(expected), "{expected}");
        // A mantissa has at least 16 bits, so a step is less than 1 in 2^15.
        let allowed = expected + expected / 32_768 + 1;
        assert!(got <= work(allowed), "{expected}: got {got}");
    }
}

#[test]
fn calibration_knows_the_published_bits() {
    // Bitcoin's first target, 0xffff << 208, takes 2^256 / (target + 1) = 4,295,032,833 hashes.
    assert_eq!(calibrated_bits(4_295_032_833), 0x1d00_ffff);
    assert_eq!(work_of(0x1d00_ffff), work(4_295_032_833));
}

#[test]
fn hash_rates_have_units() {
    assert_eq!(hash_rate("1"), Ok(1));
    assert_eq!(hash_rate("30M"), Ok(30_000_000));
    assert_eq!(hash_rate("2T"), Ok(2_000_000_000_000));
    for bad in ["", "0", "M", "-1", "1.5G", "1 M", "18446744073709551615k", "1Ж"] {
        assert!(hash_rate(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_new_network_is_as_described() {
    let folder = TempDir::new().unwrap();
    let report = init_new(&folder, &["--issuer", "dev:issuer", "--max-editions", "7"]).unwrap();
    let genesis = report.genesis.unwrap();
    let params = genesis.params();
    assert_eq!(params.network_name(), "dev-test");
    assert_eq!(params.max_editions, 7);
    assert_eq!(&*params.miners[0].name, b"Print works");
    assert_eq!(params.miners[0].key, printsy_consensus::SecretKey::development("miner-1").public_key());
    assert_eq!(params.bits, calibrated_bits(60_000_000));
    let text = std::fs::read_to_string(folder.path().join(GENESIS_FILE)).unwrap();
    assert_eq!(Genesis::from_json(&text).unwrap().hash(), genesis.hash());
}

#[test]
fn the_same_command_again_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let first = init_new(&folder, &[]).unwrap();
    let read = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let files = || [CONFIG_FILE, NODE_KEY_FILE, GENESIS_FILE].map(read);
    let before = files();
    let second = init_new(&folder, &[]).unwrap();
    assert_eq!(files(), before);
    assert_eq!(first.genesis.unwrap().hash(), second.genesis.unwrap().hash());
    assert!(first.files.iter().all(|(_, kept)| !kept) && second.files.iter().all(|(_, kept)| *kept));
    assert_eq!(init_new(&folder, &["--max-editions", "7"]).unwrap_err().code(), 6);
    assert_eq!(files(), before);
}

#[test]
fn a_network_of_business_is_registered_and_listed_and_takes_no_development_keys() {
    let folder = TempDir::new().unwrap();
    let datadir = folder.path().to_str().unwrap();
    let address = printsy_consensus::SecretKey::development("x").public_key().to_string();
    let miner = format!("{address}=One");
    let words = |registrar| {
        [
            "--datadir",
            datadir,
            "--network",
            "prints",
            "--registrar",
            registrar,
            "--miner",
            &miner,
            "--hash-rate",
            "1",
        ]
    };
    let refused = init(&args(&words("dev:registrar"))).unwrap_err();
    assert_eq!(refused.code(), 3);
    assert!(refused.to_string().contains("dev:registrar"), "{refused}");
    let report = init(&args(&words(&address))).unwrap();
    let genesis = report.genesis.unwrap();
    let params = genesis.params();
    assert_eq!((params.admission, params.catalogue), (Admission::Registered, Catalogue::Listed));
}

#[test]
fn a_bad_description_names_the_rule_or_the_option() {
    let folder = TempDir::new().unwrap();
    for (more, code, says) in [
        (["--max-editions", "0"], 3, "G2"),
        (["--max-images", "0"], 3, "G2"),
        (["--target-interval-ms", "0"], 3, "G3"),
        (["--miner", "dev:miner-1=again"], 3, "G7"),
        (["--miner", "dev:miner-2= "], 3, "G8"),
        (["--miner", "dev:miner-2"], 2, "KEY=NAME"),
        (["--issuer", "prt1nonsense"], 3, "address"),
        (["--issuer", "missing.key"], 3, "missing.key"),
    ] {
        let refused = init_new(&folder, &more).unwrap_err();
        assert_eq!(refused.code(), code, "{refused}");
        assert!(refused.to_string().contains(says), "{refused}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
}

#[test]
fn a_new_network_needs_all_of_its_description() {
    for missing in [2, 4, 6] {
        let mut words = NEW.to_vec();
        words.drain(missing..missing + 2);
        let line = ["printsyd", "init"].into_iter().chain(words);
        assert!(Cli::try_parse_from(line).is_err());
    }
    assert!(Cli::try_parse_from(["printsyd", "init", "--registrar", "dev:registrar"]).is_err());
    assert!(Cli::try_parse_from(["printsyd", "init", "--genesis", "g", "--network", "n"]).is_err());
}

#[test]
fn without_a_network_a_datadir_is_prepared_for_one() {
    let folder = TempDir::new().unwrap();
    let report = init(&args(&["--datadir", folder.path().to_str().unwrap()])).unwrap();
    assert!(report.to_string().ends_with("--genesis FILE"), "{report}");
    assert!(!folder.path().join(GENESIS_FILE).exists());
    assert!(folder.path().join(CONFIG_FILE).exists());
}
