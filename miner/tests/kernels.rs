//! The laws of a kernel, for every kernel that this processor runs: it answers as the model does, which tries whole
//! headers one by one, wherever a range begins and ends and however many hits there are in it.

mod common;

use std::cell::Cell;
use std::ops::RangeInclusive;

use common::{id_with, naive, random_header, target_at_the_lowest_id};
use printsy_consensus::Header;
use printsy_miner::{Error, Kernel, Miner, PORTABLE, Puzzle, kernel_named, kernels, self_test};

/// All names there are, on any processor.
const NAMES: [&str; 5] = ["avx512", "sha-ni", "avx2", "portable", "scalar"];
/// More than the lanes of any kernel.
const WIDEST: u64 = 17;

fn ask(kernel: &Kernel, header: &Header, target: &[u8; 32], nonces: RangeInclusive<u64>) -> Option<u64> {
    (kernel.first_hit)(&Puzzle::new(&header.to_bytes(), target), nonces)
}

/// Holds every kernel against the model.
fn all_equal_the_model(header: &Header, target: &[u8; 32], nonces: &RangeInclusive<u64>) {
    let expected = naive(header, target, nonces.clone());
    for kernel in kernels() {
        let got = ask(&kernel, header, target, nonces.clone());
        assert_eq!(got, expected, "{} in {nonces:?}, header {header:?}, target {target:x?}", kernel.name);
    }
}

/// The least target that is met by so many of the ids of a range.
fn target_met_by(header: &Header, nonces: RangeInclusive<u64>, count: usize) -> [u8; 32] {
    let mut ids: Vec<[u8; 32]> = nonces.map(|nonce| id_with(header, nonce).0).collect();
    ids.sort_unstable();
    ids[count - 1]
}

#[test]
fn every_kernel_passes_its_self_test() {
    for kernel in kernels() {
        self_test(&kernel).unwrap();
    }
}

thread_local! {
    /// How many lanes the kernel `one lane is wrong` has, and which of them it is.
    static WRONG: Cell<(u64, u64)> = const { Cell::new((1, 0)) };
}

/// As right as the portable kernel in all lanes but one, which never sees a hit.
fn one_lane_is_wrong(puzzle: &Puzzle, mut nonces: RangeInclusive<u64>) -> Option<u64> {
    let (lanes, wrong) = WRONG.get();
    let (first, carry) = (*nonces.start(), u64::from(u32::MAX));
    nonces.find(|nonce| {
        // Where the lower half carries into the upper a vector begins anew.
        let begin = first.max(nonce & !carry);
        (nonce - begin) % lanes != wrong && (PORTABLE.first_hit)(puzzle, *nonce..=*nonce).is_some()
    })
}

#[test]
fn a_kernel_that_is_wrong_in_one_lane_fails_its_self_test() {
    let kernel = Kernel { name: "one lane is wrong", first_hit: one_lane_is_wrong, chunk_hashes: 1 };
    for lanes in [1, 2, 8, 16] {
        for wrong in 0..lanes {
            WRONG.set((lanes, wrong));
            let found_out = self_test(&kernel);
            assert!(matches!(found_out, Err(Error::SelfTest { .. })), "lane {wrong} of {lanes}");
        }
        WRONG.set((lanes, lanes));
        self_test(&kernel).unwrap();
    }
}

#[test]
fn every_kernel_equals_the_model_in_every_short_range() {
    for length in 1..=2 * WIDEST + 6 {
        for start in [0, u64::from(u32::MAX) - length / 2, u64::MAX - length + 1] {
            let header = random_header(length);
            let nonces = start..=start + (length - 1);
            for met in [true, false] {
                let target = target_at_the_lowest_id(&header, nonces.clone(), met);
                all_equal_the_model(&header, &target, &nonces);
            }
        }
    }
}

#[test]
fn a_hit_is_found_in_each_lane() {
    let header = random_header(1);
    for nonce in 1_000..1_000 + 3 * WIDEST {
        // Its own id is the target, and every range in which it is the lowest id's has it in another lane.
        let target = id_with(&header, nonce).0;
        for before in 0..=WIDEST {
            all_equal_the_model(&header, &target, &(nonce - before..=nonce));
            all_equal_the_model(&header, &target, &(nonce - before..=nonce + WIDEST));
        }
    }
}

#[test]
fn of_several_hits_in_one_vector_the_lowest_wins() {
    for seed in 0..40 {
        let header = random_header(seed);
        for start in [seed, u64::from(u32::MAX) - 20, u64::MAX - 40] {
            let nonces = start..=start + 40;
            for count in [2, 3, 8, 20, 41] {
                let target = target_met_by(&header, nonces.clone(), count);
                all_equal_the_model(&header, &target, &nonces);
            }
        }
    }
}

#[test]
fn what_lies_beyond_a_range_is_no_hit() {
    let header = random_header(2);
    for start in [0, 4_999, u64::from(u32::MAX) - 20, u64::MAX - 60] {
        // The lowest id of a window lies outside of every range that ends before it or begins after it.
        let window = start..=start + 60;
        let target = target_at_the_lowest_id(&header, window.clone(), true);
        let hit = naive(&header, &target, window).unwrap();
        for kernel in kernels() {
            for length in 1..=2 * WIDEST {
                let before =
                    hit.checked_sub(length).map(|first| ask(&kernel, &header, &target, first..=hit - 1));
                assert_eq!(before.flatten(), None, "{}: {length} before {hit}", kernel.name);
                let after =
                    hit.checked_add(length).map(|last| ask(&kernel, &header, &target, hit + 1..=last));
                assert!(
                    after.flatten().is_none_or(|nonce| nonce > start + 60),
                    "{}: after {hit}",
                    kernel.name
                );
            }
        }
    }
}

#[test]
fn an_id_is_a_hit_up_to_its_target_and_not_beyond() {
    for seed in 0..200 {
        let header = random_header(seed);
        let nonce = header.nonce;
        for met in [true, false] {
            let target = target_at_the_lowest_id(&header, nonce..=nonce, met);
            for kernel in kernels() {
                let got = ask(&kernel, &header, &target, nonce..=nonce);
                assert_eq!(got, met.then_some(nonce), "{}, seed {seed}", kernel.name);
            }
        }
    }
}

#[test]
fn targets_of_all_sizes_are_held_to_in_all_their_bytes() {
    let header = random_header(3);
    let id = id_with(&header, 77).0;
    for byte in 0..32 {
        // Equal to the id up to this byte, there one more or one less, and after it the opposite extreme.
        for (change, rest) in [(1_i16, 0x00), (-1, 0xff)] {
            let Ok(changed) = u8::try_from(i16::from(id[byte]) + change) else { continue };
            let mut target = id;
            target[byte] = changed;
            target[byte + 1..].fill(rest);
            all_equal_the_model(&header, &target, &(77..=77));
            all_equal_the_model(&header, &target, &(60..=90));
        }
    }
    for bits in 0..=255 {
        let mut target = [0; 32];
        target[31 - bits / 8] = 1 << (bits % 8);
        all_equal_the_model(&header, &target, &(0..=50));
    }
    for target in [[0; 32], [0xff; 32]] {
        all_equal_the_model(&header, &target, &(0..=50));
    }
}

#[test]
fn random_headers_are_searched_as_the_model_searches() {
    for seed in 0..60 {
        let header = random_header(seed);
        // Off every lane's boundary, at random places, and over the lower half's end in each fourth.
        let start =
            if seed % 4 == 0 { (header.nonce | 0xffff_ffff).saturating_sub(seed) } else { header.nonce };
        let nonces = start..=start.saturating_add(300 + seed);
        for count in [1, 2, 5] {
            let most = usize::try_from(nonces.end() - nonces.start() + 1).unwrap();
            let target = target_met_by(&header, nonces.clone(), count.min(most));
            all_equal_the_model(&header, &target, &nonces);
        }
    }
}

#[test]
fn the_fastest_kernel_is_the_first_and_there_is_always_one() {
    let names: Vec<&str> = kernels().iter().map(|kernel| kernel.name).collect();
    println!("kernels here: {}", names.join(", ")); // those that these laws were held against
    assert!(names.contains(&"portable") && names.contains(&"scalar"), "{names:?}");
    assert!(names.iter().all(|name| NAMES.contains(name)), "{names:?}");
    assert_eq!(Miner::new(1).unwrap().kernel_name(), names[0]);
    assert!(kernels().iter().all(|kernel| kernel.chunk_hashes > 0));
}

#[test]
fn a_kernel_is_had_by_its_name_or_the_error_lists_those_that_are() {
    let runnable: Vec<&str> = kernels().iter().map(|kernel| kernel.name).collect();
    for name in NAMES {
        match kernel_named(name) {
            Ok(kernel) => {
                assert_eq!(kernel.name, name);
                assert_eq!(Miner::with_kernel(1, kernel).unwrap().kernel_name(), name);
            }
            Err(Error::KernelNotHere { name: told, needs, runnable: listed }) => {
                assert!(!runnable.contains(&name) && told == name && !needs.is_empty());
                assert_eq!(listed, runnable);
            }
            Err(error) => panic!("{name}: {error}"),
        }
    }
    for unknown in ["", "AVX2", "gpu"] {
        let error = kernel_named(unknown).unwrap_err();
        assert!(matches!(&error, Error::UnknownKernel { name, .. } if name == unknown), "{error:?}");
        assert!(runnable.iter().all(|name| error.to_string().contains(name)), "{error}");
    }
}
