//! Many runs of one law, each with a seed of its own, spread over the cores.
//!
//! A panic in a run is its failure, told with its seed: the naive model of the ledger's tests reports by panicking.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::{Result, anyhow};

/// Runs `run` with the seeds from `first` on, `count` of them; answers what they answered, in no order.
///
/// # Errors
/// A run's that failed; no further one is begun then.
///
/// # Panics
/// Never: what panics in a run is caught there.
pub fn each<T: Send>(first: u64, count: u64, run: impl Fn(u64) -> Result<T> + Sync) -> Result<Vec<T>> {
    let next = AtomicU64::new(0);
    let done: Mutex<Result<Vec<T>>> = Mutex::new(Ok(Vec::new()));
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let worker = || {
        loop {
            let number = next.fetch_add(1, Ordering::SeqCst);
            if number >= count {
                return;
            }
            let seed = first.wrapping_add(number);
            let answer = catch_unwind(AssertUnwindSafe(|| run(seed)));
            let answer =
                answer.unwrap_or_else(|panic| Err(anyhow!("seed {seed}: {}", text_of(panic.as_ref()))));
            let mut done = done.lock().expect("nobody panics while holding it");
            match (answer, done.as_mut()) {
                (Ok(value), Ok(values)) => values.push(value),
                (Err(error), Ok(_)) => {
                    *done = Err(error);
                    next.store(count, Ordering::SeqCst);
                }
                (_, Err(_)) => {}
            }
        }
    };
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(worker))));
    done.into_inner().expect("nobody panics while holding it")
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a word")
}
