//! A network for tests: its parameters, with the well-known development keys.

use printsy_consensus::{Admission, Catalogue, GenesisMiner, Params, SecretKey};

/// The parameters of `dev-test`.
pub fn params() -> Params {
    let key = |name| SecretKey::development(name).public_key();
    let miner = GenesisMiner { key: key("miner-1"), name: b"one".to_vec().try_into().unwrap() };
    Params {
        network: b"dev-test".to_vec().try_into().unwrap(),
        time: 1_700_000_000_000,
        max_images: 1_000_000_000,
        max_editions: 100,
        max_per_account: 0,
        catalogue: Catalogue::Open,
        admission: Admission::Open,
        target_interval_ms: 2_000,
        min_interval_ms: 500,
        half_life_ms: 120_000,
        bits: 0x207f_ffff,
        finality_depth: 1_800,
        max_validity: 300,
        max_block_bytes: 4_194_304,
        max_per_sender: 0,
        miner_spacing: 0,
        max_future_ms: 10_000,
        registrars: vec![key("registrar")].try_into().unwrap(),
        issuers: vec![key("issuer")].try_into().unwrap(),
        miners: vec![miner].try_into().unwrap(),
    }
}
