//! The thread that searches: one job at a time, the newest one, given up the moment there is another.
//!
//! It is a thread of its own and no task: a search blocks until it is over, and what it is told goes past no queue.
//! What it searches with, and on how many threads, is the library's affair.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};

use printsy_miner::{Cancel, Job as Puzzle, Miner, Search};
use tokio::sync::mpsc;

use crate::clock::now_us;
use crate::desk::Job;

/// A job and the nonce that was found for it.
pub type Found = (Job, u64);

/// How many finds may wait to be taken: each is of another job, and the desk takes them at once.
const QUEUE: usize = 64;

/// What the thread is told.
#[derive(Debug, Default)]
struct Told {
    /// What to search next, if anything.
    next: Option<Job>,
    /// Gives up what is searched.
    cancel: Cancel,
    ends: bool,
}

#[derive(Debug, Default)]
struct Shared {
    told: Mutex<Told>,
    changed: Condvar,
}

impl Shared {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().expect("nobody panics while holding it")
    }
}

/// Searches on a thread of its own, until it is dropped.
#[derive(Debug)]
pub struct Engine {
    shared: Arc<Shared>,
    miner: Arc<Miner>,
    thread: Option<JoinHandle<()>>,
}

impl Engine {
    /// Starts the thread; what it finds comes by the receiver, which ends if the search panics.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(miner: Miner) -> std::io::Result<(Self, mpsc::Receiver<Found>)> {
        let (sender, found) = mpsc::channel(QUEUE);
        let (shared, miner) = (Arc::<Shared>::default(), Arc::new(miner));
        let thread = {
            let (shared, miner) = (shared.clone(), miner.clone());
            thread::Builder::new().name("engine".to_owned()).spawn(move || work(&shared, &miner, &sender))?
        };
        Ok((Self { shared, miner, thread: Some(thread) }, found))
    }

    /// Searches `job` and nothing else; nothing at all for `None`. Returns at once.
    pub fn search(&self, job: Option<Job>) {
        let mut told = self.shared.told();
        told.next = job;
        told.cancel.cancel();
        drop(told);
        self.shared.changed.notify_one();
    }

    /// How many nonces it has tried.
    #[must_use]
    pub fn hashes(&self) -> u64 {
        self.miner.hashes()
    }
}

impl Engine {
    /// Ends the thread, within a chunk: what it has found is there to be received once this returns.
    pub fn end(&mut self) {
        let mut told = self.shared.told();
        told.ends = true;
        told.cancel.cancel();
        drop(told);
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so itself.
            let _ = thread.join();
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.end();
    }
}

/// The thread's whole life.
fn work(shared: &Shared, miner: &Miner, sender: &mpsc::Sender<Found>) {
    while let Some((job, cancel)) = next(shared) {
        let puzzle = Puzzle::new(job.work.header(), job.work.target());
        let height = job.work.header().height;
        tracing::debug!(height, parent = %job.work.header().parent, at_us = now_us(), "searching");
        if let Search::Found { nonce } = miner.search(&puzzle, job.start, &cancel)
            && sender.blocking_send((job, nonce)).is_err()
        {
            return;
        }
    }
}

/// Waits for a job; `None` at the end.
fn next(shared: &Shared) -> Option<(Job, Cancel)> {
    let mut told = shared.told();
    loop {
        if told.ends {
            return None;
        }
        if let Some(job) = told.next.take() {
            told.cancel = Cancel::new();
            return Some((job, told.cancel.clone()));
        }
        told = shared.changed.wait(told).expect("nobody panics while holding it");
    }
}

#[cfg(test)]
mod tests {
    use printsy_consensus::{Hash, Header, PublicKey, SecretKey, Target, VERSION};
    use printsy_rpc::mining::Template;

    use super::*;
    use crate::desk::Slot;
    use crate::work::{Limits, Work};

    fn job(number: u64, bits: u32) -> Job {
        let miner: PublicKey = SecretKey::development("miner-1").public_key();
        let header = Header {
            version: VERSION,
            parent: Hash::ZERO,
            transactions_root: Hash::ZERO,
            state_root: Hash::ZERO,
            height: number,
            time: 1,
            bits,
            miner,
            nonce: 0,
        };
        let template = Template {
            template_id: header.id().into(),
            header: header.to_bytes().into(),
            target: Target::from_bits(bits).unwrap().to_be_bytes().into(),
            height: number,
            parent: Hash::ZERO.into(),
            transactions: 0,
            not_before: 0,
        };
        let work = Arc::new(
            Work::check(&template, &miner, Limits { easiest: 0x207f_ffff, interval_ms: 0 }).unwrap(),
        );
        Job { number, node: 0, work, start: 0, slot: Slot::default() }
    }

    #[test]
    fn the_newest_job_is_searched_and_the_one_before_given_up() {
        let (engine, mut found) = Engine::start(Miner::new(2).unwrap()).unwrap();
        // Beyond finding: it ends only by being given up.
        engine.search(Some(job(1, 0x0400_ffff)));
        engine.search(Some(job(2, 0x207f_ffff)));
        let (job, nonce) = found.blocking_recv().unwrap();
        assert_eq!(job.number, 2);
        let header = Header { nonce, ..*job.work.header() };
        assert!(job.work.target().is_met_by(&header.id()));
        drop(engine);
        assert!(found.blocking_recv().is_none(), "the thread has ended");
    }

    #[test]
    fn whatever_was_found_before_the_end_is_there_after_it() {
        for _ in 0..100 {
            let (mut engine, mut found) = Engine::start(Miner::new(1).unwrap()).unwrap();
            // Half of all nonces do: no chunk of it is without one.
            engine.search(Some(job(1, 0x207f_ffff)));
            while engine.hashes() == 0 {
                thread::yield_now();
            }
            engine.end();
            assert!(found.try_recv().is_ok());
        }
    }

    #[test]
    fn resting_ends_a_search_and_the_engine_ends_in_the_middle_of_one() {
        let (engine, _found) = Engine::start(Miner::new(1).unwrap()).unwrap();
        engine.search(Some(job(1, 0x0400_ffff)));
        while engine.hashes() == 0 {
            thread::yield_now();
        }
        engine.search(None);
        engine.search(Some(job(2, 0x0400_ffff)));
        drop(engine);
    }
}
