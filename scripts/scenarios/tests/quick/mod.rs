//! A network whose blocks come as fast as its slots.

use printsy_consensus::{Genesis, Params};
use printsy_scenarios::stage::now_ms;

/// A network on which work is nothing and time is everything: a block each 200 ms.
pub fn genesis() -> Genesis {
    let template = Genesis::from_json(include_str!("../../../../genesis.json")).unwrap();
    Genesis::new(Params {
        time: now_ms(),
        min_interval_ms: 200,
        max_future_ms: 1_000,
        half_life_ms: 1 << 40,
        bits: 0x207f_ffff,
        ..template.params().clone()
    })
    .unwrap()
}
