//! The laws of a search, each held against `printsy-consensus`: its `Header::id` and its `Target` are the model.
//!
//! Headers are random by seed, and a failure names its seed.

use std::thread;
use std::time::{Duration, Instant};

mod common;

use common::{id_with, naive, random_header, target_at_the_lowest_id};
use printsy_consensus::{Header, Target};
use printsy_miner::{Cancel, Error, Job, Kernel, MAX_THREADS, Miner, PORTABLE, Search, kernels, self_test};

/// Easy enough that about one nonce in 256 is a hit.
const EASY_BITS: u32 = 0x2000_ffff;
const EASIEST: [u8; 32] = [0xff; 32];
const HARDEST: [u8; 32] = [0; 32];

fn miner(threads: usize) -> Miner {
    Miner::new(threads).expect("the number is within bounds")
}

/// The chunk of the kernel that [`Miner::new`] takes.
fn chunk_hashes() -> u64 {
    kernels()[0].chunk_hashes
}

fn hardest_job(seed: u64) -> Job {
    Job { header: random_header(seed).to_bytes(), target: HARDEST }
}

#[test]
fn found_nonces_satisfy_consensus() {
    let miner = miner(2);
    let target = Target::from_bits(EASY_BITS).unwrap();
    for seed in 0..50 {
        let header = random_header(seed);
        let Search::Found { nonce } = miner.search(&Job::new(&header, target), header.nonce, &Cancel::new())
        else {
            panic!("seed {seed}: nothing found");
        };
        assert!(nonce >= header.nonce, "seed {seed}");
        assert!(target.is_met_by(&id_with(&header, nonce)), "seed {seed}: nonce {nonce}");
    }
}

#[test]
fn search_equals_naive_search_with_any_number_of_threads() {
    let miners = [1, 2, 5].map(miner);
    let span = 3 * chunk_hashes() + 7;
    for seed in 0..8 {
        let header = random_header(seed);
        // At the end of all nonces, so that the search is over where the model's is.
        let start = u64::MAX - span + 1;
        for met in [true, false] {
            let target = target_at_the_lowest_id(&header, start..=u64::MAX, met);
            let expected = naive(&header, &target, start..=u64::MAX);
            assert_eq!(expected.is_some(), met, "seed {seed}");
            let expected = expected.map_or(Search::Exhausted, |nonce| Search::Found { nonce });
            for miner in &miners {
                let job = Job { header: header.to_bytes(), target };
                assert_eq!(miner.search(&job, start, &Cancel::new()), expected, "seed {seed}, met {met}");
            }
        }
    }
}

#[test]
fn the_lowest_hit_is_found_with_any_number_of_threads() {
    let miners = [1, 2, 5].map(miner);
    let target = Target::from_bits(EASY_BITS).unwrap();
    for seed in 100..150 {
        let header = random_header(seed);
        let expected = naive(&header, &target.to_be_bytes(), seed..=u64::MAX).unwrap();
        for miner in &miners {
            let found = miner.search(&Job::new(&header, target), seed, &Cancel::new());
            assert_eq!(found, Search::Found { nonce: expected }, "seed {seed}");
        }
    }
}

#[test]
fn the_nonce_in_the_header_does_not_matter() {
    let miner = miner(1);
    let target = Target::from_bits(EASY_BITS).unwrap();
    let header = random_header(1);
    let search = |nonce| miner.search(&Job::new(&Header { nonce, ..header }, target), 0, &Cancel::new());
    assert_eq!(search(0), search(u64::MAX));
}

#[test]
fn the_easiest_target_takes_the_first_nonce() {
    let miner = miner(3);
    for start in [0, 1, chunk_hashes(), u64::MAX - 1, u64::MAX] {
        let job = Job { header: random_header(start).to_bytes(), target: EASIEST };
        assert_eq!(miner.search(&job, start, &Cancel::new()), Search::Found { nonce: start });
    }
}

#[test]
fn the_last_nonce_is_tried_and_none_beyond_it() {
    let chunk = chunk_hashes();
    let lengths = [1, 2, chunk - 1, chunk, chunk + 1, 2 * chunk, 5 * chunk + 3];
    for length in lengths {
        let miner = miner(3);
        let end = miner.search(&hardest_job(length), u64::MAX - (length - 1), &Cancel::new());
        assert_eq!(end, Search::Exhausted);
        assert_eq!(miner.hashes(), length, "every nonce to the end is tried once");
    }
}

#[test]
fn hashes_are_counted_up_to_the_hit() {
    let miner = miner(1);
    let header = random_header(7);
    let target = Target::from_bits(EASY_BITS).unwrap();
    let Search::Found { nonce } = miner.search(&Job::new(&header, target), 1_000, &Cancel::new()) else {
        panic!("nothing found");
    };
    assert_eq!(miner.hashes(), nonce - 1_000 + 1);
}

#[test]
fn a_cancelled_token_stops_a_search_before_its_first_hash() {
    let miner = miner(2);
    let cancel = Cancel::new();
    cancel.clone().cancel();
    assert_eq!(miner.search(&hardest_job(0), 0, &cancel), Search::Cancelled);
    assert_eq!(miner.hashes(), 0);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "this law is about real time")]
fn cancel_stops_every_worker_within_50_ms() {
    let miner = miner(2);
    let mut latencies: Vec<Duration> = (0..9)
        .map(|seed| {
            let cancel = Cancel::new();
            let before = miner.hashes();
            thread::scope(|scope| {
                let search = scope.spawn(|| miner.search(&hardest_job(seed), 0, &cancel));
                while miner.hashes() == before {
                    thread::yield_now();
                }
                let at = Instant::now();
                cancel.cancel();
                assert_eq!(search.join().unwrap(), Search::Cancelled);
                at.elapsed()
            })
        })
        .collect();
    latencies.sort_unstable();
    // The median: how late a busy machine's scheduler wakes this very thread is not the miner's doing.
    assert!(latencies[4] < Duration::from_millis(50), "{latencies:?}");
}

#[test]
fn a_miner_serves_the_next_search_after_a_cancelled_one() {
    let miner = miner(2);
    let cancel = Cancel::new();
    cancel.cancel();
    assert_eq!(miner.search(&hardest_job(0), 0, &cancel), Search::Cancelled);
    let job = Job { target: EASIEST, ..hardest_job(0) };
    assert_eq!(miner.search(&job, 9, &Cancel::new()), Search::Found { nonce: 9 });
}

#[test]
fn searches_at_once_are_each_answered() {
    let miner = miner(2);
    thread::scope(|scope| {
        for seed in 0..8 {
            let miner = &miner;
            scope.spawn(move || {
                let job = Job { target: EASIEST, ..hardest_job(seed) };
                assert_eq!(miner.search(&job, seed, &Cancel::new()), Search::Found { nonce: seed });
            });
        }
    });
}

#[test]
fn no_threads_or_too_many_are_refused() {
    for got in [0, MAX_THREADS + 1, usize::MAX] {
        assert!(matches!(Miner::new(got), Err(Error::Threads { got: told }) if told == got));
    }
}

#[test]
fn the_self_test_passes_what_is_right_and_refuses_each_way_of_being_wrong() {
    self_test(&PORTABLE).unwrap();
    let wrong = [
        Kernel { name: "finds nothing", first_hit: |_, _| None, ..PORTABLE },
        Kernel { name: "takes anything", first_hit: |_, nonces| Some(*nonces.start()), ..PORTABLE },
        Kernel {
            name: "misses the last nonce",
            first_hit: |puzzle, nonces| {
                let last = *nonces.end();
                (PORTABLE.first_hit)(puzzle, nonces).filter(|nonce| *nonce != last)
            },
            ..PORTABLE
        },
        Kernel {
            name: "forgets the nonce's upper half",
            first_hit: |puzzle, nonces| (PORTABLE.first_hit)(puzzle, nonces).map(|nonce| nonce & 0xffff_ffff),
            ..PORTABLE
        },
        Kernel {
            name: "goes beyond the range",
            first_hit: |puzzle, nonces| {
                (PORTABLE.first_hit)(puzzle, *nonces.start()..=nonces.end().saturating_add(4096))
            },
            ..PORTABLE
        },
    ];
    for kernel in wrong {
        assert!(matches!(Miner::with_kernel(1, kernel), Err(Error::SelfTest { .. })), "{}", kernel.name);
    }
}
