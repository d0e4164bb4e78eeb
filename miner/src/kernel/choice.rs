//! Which kernels there are, which of them this processor runs, and which goes first.
//!
//! The order is fixed, not measured: a miner then does the same at each start, whatever else the machine does at
//! that moment, and who knows better forces a kernel by its name. On a Zen 3 a compression costs about 75 cycles by SHA
//! instructions, two hashes interleaved, and 170 on eight lanes of AVX2; of one nonce at a time, 170 by SHA instructions
//! and 700 without. On sixteen lanes of AVX-512 it should cost 45 to 55 where those are worked on at once, which is by a
//! model and was not measured. It was measured on a Zen 4, which does them in two halves: there it makes a tenth more tries
//! than SHA instructions do (`scripts/bench-kernels`).

use super::Kernel;
use super::portable::{self, PORTABLE};
use super::scalar::SCALAR;
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512, sha_ni};
use crate::error::Error;

/// A kernel of any processor.
struct Known {
    name: &'static str,
    /// What a processor must have for it, for people.
    needs: &'static str,
    /// The kernel, where this processor runs it.
    here: Option<Kernel>,
}

impl Known {
    fn new(kernel: Kernel, needs: &'static str, is_here: bool) -> Self {
        Self { name: kernel.name, needs, here: is_here.then_some(kernel) }
    }

    /// A kernel of another architecture.
    #[cfg(not(target_arch = "x86_64"))]
    fn elsewhere(name: &'static str, needs: &'static str) -> Self {
        Self { name, needs, here: None }
    }
}

const AVX512_NEEDS: &str = "an x86-64 processor with AVX-512 (avx512f)";
const SHA_NI_NEEDS: &str = "an x86-64 processor with SHA instructions (sha, ssse3, sse4.1)";
const AVX2_NEEDS: &str = "an x86-64 processor with AVX2 (avx2)";

#[cfg(target_arch = "x86_64")]
fn of_x86_64() -> [Known; 3] {
    [
        Known::new(avx512::AVX512, AVX512_NEEDS, avx512::is_here()),
        Known::new(sha_ni::SHA_NI, SHA_NI_NEEDS, sha_ni::is_here()),
        Known::new(avx2::AVX2, AVX2_NEEDS, avx2::is_here()),
    ]
}

#[cfg(not(target_arch = "x86_64"))]
fn of_x86_64() -> [Known; 3] {
    [
        Known::elsewhere("avx512", AVX512_NEEDS),
        Known::elsewhere("sha-ni", SHA_NI_NEEDS),
        Known::elsewhere("avx2", AVX2_NEEDS),
    ]
}

/// Every kernel, the fastest first.
fn known() -> Vec<Known> {
    let mut known = Vec::from(of_x86_64());
    // `sha2` goes first where it has instructions to use; where not, plain words that save the known rounds do.
    let by_sha2 = portable::has_instructions();
    let anywhere = if by_sha2 { [PORTABLE, SCALAR] } else { [SCALAR, PORTABLE] };
    known.extend(anywhere.map(|kernel| Known::new(kernel, "nothing", true)));
    known
}

/// The kernels that this processor runs, the fastest first. There is always one.
#[must_use]
pub fn kernels() -> Vec<Kernel> {
    known().into_iter().filter_map(|known| known.here).collect()
}

/// The kernel of this name.
///
/// # Errors
/// [`Error::UnknownKernel`], [`Error::KernelNotHere`]: each lists the names that this processor runs.
pub fn kernel_named(name: &str) -> Result<Kernel, Error> {
    let runnable = || kernels().iter().map(|kernel| kernel.name).collect();
    let Some(known) = known().into_iter().find(|known| known.name == name) else {
        return Err(Error::UnknownKernel { name: name.to_owned(), runnable: runnable() });
    };
    let Known { name, needs, here } = known;
    here.ok_or_else(|| Error::KernelNotHere { name, needs, runnable: runnable() })
}
