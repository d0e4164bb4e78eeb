//! The desk's laws, by a small play: events in, effects out, the time a number.

mod clocks;
mod doubts;

use printsy_consensus::{Header, SignedHeader, Target, VERSION, transactions_root};
use printsy_rpc::market::BlockRef;
use printsy_rpc::mining::{Submission, SubmitBlockParams, Template, Verdict};
use printsy_rpc::{HashHex, Hex};

use super::verdict::{AGAIN_MS, MAX_REST_MS, REST_MS};
use super::*;
use crate::work::Limits;

/// Half of all ids meet it.
const BITS: u32 = 0x207f_ffff;
/// When plays begin, by the clock of times of day; by the other one, [`BEGUN`].
const NOW: u64 = 1_000_000_000;
const BEGUN: u64 = 5_000_000;
const INTERVAL_MS: u64 = 10_000;

fn key() -> SecretKey {
    SecretKey::development("miner-1")
}

/// Work at a height on a parent, of this time; `body` 0 is an empty block. Peers take it from ten seconds before on.
fn work_on(parent: Hash, height: u64, body: u8, time: u64) -> Arc<Work> {
    let root = if body == 0 { transactions_root(&[]) } else { Hash([body; 32]) };
    let header = Header {
        version: VERSION,
        parent,
        transactions_root: root,
        state_root: Hash([9; 32]),
        height,
        time,
        bits: BITS,
        miner: key().public_key(),
        nonce: 0,
    };
    let template = Template {
        template_id: header.id().into(),
        header: header.to_bytes().into(),
        target: Target::from_bits(BITS).unwrap().to_be_bytes().into(),
        height,
        parent: parent.into(),
        transactions: u64::from(body),
        not_before: time.saturating_sub(10_000),
    };
    let limits = Limits { easiest: BITS, interval_ms: INTERVAL_MS };
    Arc::new(Work::check(&template, &key().public_key(), limits).unwrap())
}

fn work(parent: u8, body: u8) -> Arc<Work> {
    work_on(Hash([parent; 32]), u64::from(parent), body, 0)
}

/// A nonce from `from` on that does the work, or one that does not.
fn nonce(work: &Work, from: u64, is_proof: bool) -> u64 {
    let proof = |nonce: &u64| {
        let header = Header { nonce: *nonce, ..*work.header() };
        work.target().is_met_by(&header.id()) == is_proof
    };
    (from..).find(proof).unwrap()
}

fn submission(verdict: Verdict) -> Outcome {
    let tip = BlockRef { height: 1, hash: Hex([0; 32]) };
    Outcome::Judged(Submission::new(verdict, Hex([0; 32]), tip))
}

/// A desk and what it last wanted.
struct Play {
    desk: Desk,
    now: Now,
    search: Option<Job>,
    submits: Vec<(NodeIndex, Hash, SubmitBlockParams)>,
    look_ups: Vec<(NodeIndex, Hash)>,
    told: Vec<What>,
    passed_over: Vec<NodeIndex>,
}

impl Play {
    fn new(nodes: usize) -> Self {
        let desk = Desk::new(key(), nodes, 0);
        let now = Now { run_ms: BEGUN, day_ms: NOW };
        let mut play = Self {
            desk,
            now,
            search: None,
            submits: vec![],
            look_ups: vec![],
            told: vec![],
            passed_over: vec![],
        };
        (0..nodes).for_each(|node| play.event(Event::Joined(node)));
        play
    }

    fn event(&mut self, event: Event) {
        self.submits.clear();
        for effect in self.desk.handle(event, self.now) {
            match effect {
                Effect::Search(job) => self.search = Some(job),
                Effect::Rest => self.search = None,
                Effect::Submit { node, find, params } => self.submits.push((node, find, params)),
                Effect::LookUp { node, find } => self.look_ups.push((node, find)),
                Effect::Tell(fact) => self.told.push(fact.what),
                Effect::PassOver(node) => self.passed_over.push(node),
                Effect::TryAgain(node) => self.passed_over.retain(|other| *other != node),
            }
        }
    }

    /// Searches on until something is found: the find's id.
    fn find(&mut self) -> Hash {
        let job = self.search.clone().expect("it searches");
        self.find_for(job)
    }

    fn find_for(&mut self, job: Job) -> Hash {
        let nonce = nonce(&job.work, job.start, true);
        let id = Header { nonce, ..*job.work.header() }.id();
        if self.search.as_ref() == Some(&job) {
            self.search = None;
        }
        self.event(Event::Found { job, nonce });
        id
    }

    fn judged(&mut self, find: Hash, outcome: Outcome) {
        self.event(Event::Judged { find, outcome });
    }

    /// Answers the one question that is open: it was put to `node`.
    fn looked_up(&mut self, node: NodeIndex, find: Hash, is_on_chain: bool) {
        assert_eq!(std::mem::take(&mut self.look_ups), [(node, find)]);
        self.event(Event::LookedUp { find, is_on_chain });
    }

    fn searched(&self) -> Option<Hash> {
        self.search.as_ref().map(|job| job.work.id())
    }

    fn later(&mut self, ms: u64) {
        self.now.run_ms += ms;
        self.now.day_ms += ms;
        self.event(Event::Tick);
    }

    /// Somebody sets this machine's clock.
    fn set_clock(&mut self, day_ms: u64) {
        self.now.day_ms = day_ms;
        self.event(Event::Tick);
    }
}

#[test]
fn the_newest_work_is_searched_and_its_find_goes_to_its_node_by_name() {
    let mut play = Play::new(2);
    let (first, second) = (work(1, 1), work(1, 2));
    play.event(Event::Work(0, first));
    play.event(Event::Work(0, second.clone()));
    assert_eq!(play.searched(), Some(second.id()));
    let find = play.find();
    let [(0, id, SubmitBlockParams::Template { template_id, nonce, signature })] = play.submits.as_slice()
    else {
        panic!("{:?}", play.submits)
    };
    assert_eq!((*id, *template_id), (find, HashHex::from(second.id())));
    let header = Header { nonce: nonce.nonce(), ..*second.header() };
    assert!(key().public_key().verify(&printsy_consensus::block_message(&header.id()), &signature.0));
    assert_eq!(play.searched(), None, "a second block on one parent gains nothing");
    play.judged(find, submission(Verdict::Accepted));
    assert_eq!(play.told.last(), Some(&What::Accepted));
    play.event(Event::Work(0, work(1, 3)));
    assert_eq!(play.searched(), None, "a template that was under way when its parent got its block");
    play.event(Event::Work(0, work(2, 1)));
    assert_eq!(play.searched(), Some(work(2, 1).id()));
}

#[test]
fn a_find_of_a_search_that_was_just_replaced_counts_all_the_same() {
    let mut play = Play::new(1);
    play.event(Event::Work(0, work(1, 1)));
    let replaced = play.search.clone().unwrap();
    play.event(Event::Work(0, work(1, 2)));
    let find = play.find_for(replaced);
    assert_eq!(play.submits.first().map(|submit| submit.1), Some(find));
    assert_eq!(play.searched(), None);
}

#[test]
fn a_find_before_its_slot_is_kept_until_the_slot() {
    let mut play = Play::new(1);
    play.event(Event::Work(0, work_on(Hash([1; 32]), 1, 1, NOW + 500)));
    let find = play.find();
    assert_eq!((play.told.last(), play.submits.len()), (Some(&What::Found { wait_ms: 500 }), 0));
    assert_eq!(play.desk.wait_ms(play.now), Some(500));
    play.later(499);
    assert!(play.submits.is_empty());
    play.later(1);
    assert_eq!(play.submits.first().map(|submit| submit.1), Some(find));
}

#[test]
fn a_stop_hands_in_at_once_what_waits_for_its_slot() {
    let mut play = Play::new(1);
    play.event(Event::Work(0, work_on(Hash([1; 32]), 1, 1, NOW + 5_000)));
    let find = play.find();
    play.event(Event::Stop);
    assert_eq!(play.submits.first().map(|submit| submit.1), Some(find));
    assert!(play.desk.is_handing_in());
    play.judged(find, submission(Verdict::Held));
    assert!(!play.desk.is_handing_in(), "the node has it");
}

#[test]
fn a_find_that_waits_is_stale_once_the_chain_is_past_it() {
    for (height, parent, is_past) in [
        (3, Hash([7; 32]), true),
        // At its own height the lower id wins.
        (2, Hash([0; 32]), true),
        (2, Hash([0xff; 32]), false),
    ] {
        let mut play = Play::new(1);
        play.event(Event::Work(0, work_on(Hash([1; 32]), 1, 1, NOW + 500)));
        let find = play.find();
        play.event(Event::Work(0, work_on(parent, height, 1, 0)));
        assert_eq!(play.told.last() == Some(&What::Stale), is_past, "{height} {parent}");
        play.later(500);
        assert_eq!(play.submits.iter().any(|submit| submit.1 == find), !is_past);
    }
}

#[test]
fn a_held_block_is_accepted_once_work_stands_on_it_and_stale_once_other_work_does() {
    for own in [true, false] {
        let mut play = Play::new(1);
        play.event(Event::Work(0, work(1, 1)));
        let find = play.find();
        play.judged(find, submission(Verdict::Held));
        assert_eq!(play.told.last(), Some(&What::Held));
        play.event(Event::Work(0, work(1, 2)));
        assert_eq!(play.searched(), None, "its parent's block is found");
        let tip = if own { find } else { Hash([0; 32]) };
        play.event(Event::Work(0, work_on(tip, 2, 1, 0)));
        if !own {
            assert_eq!(play.told.last(), Some(&What::Held), "not before the node was asked");
            play.looked_up(0, find, false);
        }
        assert_eq!(play.told.last(), Some(if own { &What::Accepted } else { &What::Stale }));
        assert!(play.searched().is_some());
    }
}

#[test]
fn a_find_whose_node_is_gone_waits_for_it_and_another_node_s_work_is_searched() {
    let mut play = Play::new(2);
    play.event(Event::Work(0, work(1, 1)));
    let job = play.search.clone().unwrap();
    play.event(Event::Lost(0));
    let find = play.find_for(job);
    assert!(play.submits.is_empty(), "with transactions only its own node can make the block");
    assert_eq!(play.searched(), None);
    play.event(Event::Work(1, work(1, 2)));
    assert!(play.searched().is_some(), "the first may never be handed in");
    play.event(Event::Joined(0));
    assert_eq!(play.submits.first().map(|submit| (submit.0, submit.1)), Some((0, find)));
    play.judged(find, submission(Verdict::Accepted));
    assert_eq!(play.told.last(), Some(&What::Accepted));
}

#[test]
fn an_empty_block_goes_whole_to_whoever_is_there() {
    let mut play = Play::new(2);
    play.event(Event::Work(0, work(1, 0)));
    play.event(Event::Lost(0));
    let work = play.search.clone().unwrap().work;
    let find = play.find();
    let [(1, id, SubmitBlockParams::Block { block })] = play.submits.as_slice() else {
        panic!("{:?}", play.submits)
    };
    let bytes = block.as_bytes();
    assert_eq!((*id, bytes.len(), &bytes[224..]), (find, 228, [0; 4].as_slice()));
    let header = SignedHeader::from_bytes(bytes.first_chunk().unwrap());
    assert_eq!((header.header.id(), header.header.parent), (find, work.header().parent));
}

#[test]
fn what_is_on_its_way_to_a_node_that_is_lost_is_handed_in_elsewhere_at_once() {
    let mut play = Play::new(2);
    play.event(Event::Work(0, work(1, 0)));
    let find = play.find();
    assert_eq!(play.submits.first().map(|submit| submit.0), Some(0));
    play.event(Event::Lost(0));
    assert_eq!(play.submits.first().map(|submit| (submit.0, submit.1)), Some((1, find)));
    // The first node had it after all, and had told the second.
    play.judged(find, submission(Verdict::Duplicate));
    play.looked_up(1, find, true);
    assert_eq!(play.told.last(), Some(&What::Accepted));
    play.judged(find, Outcome::NotNow("too late".to_owned()));
    assert!(play.submits.is_empty());
}

#[test]
fn a_forgotten_template_costs_the_block_only_if_the_miner_does_not_have_it_all() {
    for (body, is_lost) in [(0, false), (1, true)] {
        let mut play = Play::new(1);
        play.event(Event::Work(0, work(1, body)));
        let find = play.find();
        play.judged(find, Outcome::Forgotten);
        assert_eq!(play.submits.len(), usize::from(!is_lost));
        if is_lost {
            play.looked_up(0, find, false);
        }
        assert_eq!(matches!(play.told.last(), Some(What::Lost { .. })), is_lost);
        if !is_lost {
            assert!(matches!(play.submits[0].2, SubmitBlockParams::Block { .. }));
            play.judged(find, Outcome::Forgotten);
            play.looked_up(0, find, false);
            assert!(matches!(play.told.last(), Some(What::Lost { .. })), "no third way");
        }
        assert_eq!(play.searched(), None, "the next find for it would be lost too");
    }
}

#[test]
fn no_answer_is_asked_for_again_and_a_duplicate_then_is_what_the_first_try_came_to() {
    let mut play = Play::new(1);
    for is_on_chain in [true, false] {
        let mut play = Play::new(1);
        play.event(Event::Work(0, work(1, 1)));
        let find = play.find();
        play.judged(find, Outcome::NotNow("no answer".to_owned()));
        assert!(play.submits.is_empty());
        play.later(AGAIN_MS);
        assert_eq!(play.submits.len(), 1);
        play.judged(find, submission(Verdict::Duplicate));
        play.looked_up(0, find, is_on_chain);
        assert_eq!(play.told.last(), Some(if is_on_chain { &What::Accepted } else { &What::Stale }));
        assert_eq!(play.searched(), None, "its parent has a block");
    }
    // At the first try it is somebody else's.
    play.event(Event::Work(0, work(2, 1)));
    let find = play.find();
    play.judged(find, submission(Verdict::Duplicate));
    assert_eq!(play.told.last(), Some(&What::Duplicate));
}

#[test]
fn a_find_never_handed_in_is_said_to_be_lost_when_the_chain_is_past_it() {
    let mut play = Play::new(2);
    play.event(Event::Work(0, work(1, 1)));
    let job = play.search.clone().unwrap();
    play.event(Event::Lost(0));
    play.find_for(job);
    play.event(Event::Work(1, work(3, 1)));
    let Some(What::Lost { reason }) = play.told.last() else { panic!("{:?}", play.told) };
    assert!(reason.contains("could not be reached"), "{reason}");
}

#[test]
fn refusals_rest_longer_each_time_and_then_go_on_behind_the_refused_nonce() {
    let mut play = Play::new(1);
    play.event(Event::Work(0, work(1, 1)));
    for rest in [REST_MS, 2 * REST_MS, 3 * REST_MS] {
        let start = play.search.clone().unwrap().start;
        let find = play.find();
        play.judged(find, submission(Verdict::Refused));
        assert!(matches!(play.told.last(), Some(What::Refused { .. })));
        play.later(rest - 1);
        assert_eq!(play.searched(), None);
        play.later(1);
        assert!(play.search.clone().unwrap().start > start);
    }
}

#[test]
fn work_that_comes_again_is_searched_behind_what_was_found_for_it() {
    let mut play = Play::new(1);
    play.event(Event::Work(0, work(1, 1)));
    let first = play.find();
    play.judged(first, submission(Verdict::Refused));
    play.event(Event::Idle(0));
    play.later(REST_MS);
    play.event(Event::Work(0, work(1, 1)));
    assert_ne!(play.find(), first, "the node remembers the template, and would refuse the same block again");
}

#[test]
fn the_work_of_a_node_that_is_gone_is_searched_for_a_while_and_no_longer() {
    let mut play = Play::new(1);
    play.event(Event::Work(0, work(1, 1)));
    play.event(Event::Lost(0));
    play.later(GRACE_MS - 1);
    assert!(play.searched().is_some());
    play.later(1);
    assert_eq!(play.searched(), None);
    play.event(Event::Joined(0));
    play.event(Event::Work(0, work(1, 1)));
    assert!(play.searched().is_some());
}

#[test]
fn a_node_without_work_stops_the_search_at_once() {
    let mut play = Play::new(2);
    play.event(Event::Work(0, work(1, 1)));
    play.event(Event::Idle(1));
    assert!(play.searched().is_some(), "another node's affair");
    play.event(Event::Idle(0));
    assert_eq!(play.searched(), None);
}

#[test]
fn the_preferred_node_s_work_counts_while_it_is_there() {
    let mut play = Play::new(2);
    play.event(Event::Work(1, work(1, 1)));
    play.event(Event::Work(0, work(1, 2)));
    play.event(Event::Work(1, work(1, 3)));
    assert_eq!(play.searched(), Some(work(1, 2).id()));
    play.event(Event::Lost(0));
    play.event(Event::Work(1, work(1, 3)));
    assert_eq!(play.searched(), Some(work(1, 3).id()));
}

#[test]
fn a_nonce_that_does_no_work_is_never_handed_in() {
    let mut play = Play::new(1);
    play.event(Event::Work(0, work(1, 1)));
    let job = play.search.clone().unwrap();
    let nonce = nonce(&job.work, 0, false);
    play.event(Event::Found { job, nonce });
    assert_eq!((play.told.last(), play.submits.len()), (Some(&What::Wrong), 0));
}

#[test]
fn finds_are_bounded_and_end_with_time() {
    let mut play = Play::new(1);
    play.event(Event::Lost(0));
    for parent in 1..40 {
        // Of falling height, so that none is past.
        play.event(Event::Work(0, work_on(Hash([parent; 32]), 100 - u64::from(parent), 1, 0)));
        play.find();
        assert!(play.desk.finds.len() <= MAX_FINDS);
    }
    assert_eq!(play.desk.finds.len(), MAX_FINDS);
    play.later(MAX_AGE_MS);
    assert!(play.desk.finds.is_empty());
}

/// Work of `node` on a parent of its own, found and refused there; then the rest is waited out.
fn refused(play: &mut Play, node: NodeIndex, parent: u8) {
    play.event(Event::Work(node, work(parent, 1)));
    let find = play.find();
    assert_eq!(play.submits.first().map(|submit| submit.0), Some(node));
    play.judged(find, submission(Verdict::Refused));
    play.later(MAX_REST_MS);
}

#[test]
fn a_node_that_refuses_some_in_a_row_is_passed_over_for_a_while() {
    let mut play = Play::new(2);
    refused(&mut play, 0, 1);
    refused(&mut play, 0, 2);
    // One that is taken begins the row anew.
    play.event(Event::Work(0, work(3, 1)));
    let find = play.find();
    play.judged(find, submission(Verdict::Accepted));
    refused(&mut play, 0, 4);
    refused(&mut play, 0, 5);
    assert!(play.passed_over.is_empty());
    let since = play.now.run_ms;
    refused(&mut play, 0, 6);
    assert_eq!(play.passed_over, [0]);
    play.event(Event::Work(1, work(7, 2)));
    play.event(Event::Work(0, work(7, 1)));
    assert_eq!(play.searched(), Some(work(7, 2).id()), "the next node's work, whatever the first gives");
    assert_eq!(play.desk.wait_ms(play.now), Some(since + PASS_OVER_MS - play.now.run_ms));
    play.later(since + PASS_OVER_MS - play.now.run_ms - 1);
    assert_eq!(play.passed_over, [0]);
    play.later(1);
    assert!(play.passed_over.is_empty());
    play.event(Event::Work(0, work(7, 1)));
    assert_eq!(play.searched(), Some(work(7, 1).id()), "preferred again");
}

#[test]
fn where_no_other_gives_work_that_of_a_node_passed_over_is_searched() {
    let mut play = Play::new(2);
    (1..4).for_each(|parent| refused(&mut play, 0, parent));
    assert_eq!(play.passed_over, [0]);
    play.event(Event::Work(0, work(4, 1)));
    assert_eq!(play.searched(), Some(work(4, 1).id()));
    // Of all that refuse, the last one is the worst choice.
    (5..8).for_each(|parent| refused(&mut play, 1, parent));
    assert_eq!(play.passed_over, [1]);
    // And the only one is no choice at all.
    let mut play = Play::new(1);
    (1..9).for_each(|parent| refused(&mut play, 0, parent));
    assert!(play.passed_over.is_empty());
}

#[test]
fn at_the_end_each_block_that_no_node_has_judged_or_keeps_is_told_as_lost() {
    for (outcome, is_lost) in [
        (None, true),
        (Some(Outcome::NotNow("no answer".to_owned())), true),
        (Some(submission(Verdict::Held)), false),
        (Some(submission(Verdict::Accepted)), false),
    ] {
        let mut play = Play::new(1);
        play.event(Event::Work(0, work(1, 1)));
        let find = play.find();
        if let Some(outcome) = outcome {
            play.judged(find, outcome);
        }
        play.event(Event::Stop);
        let before = play.told.len();
        play.event(Event::End);
        assert_eq!(play.told.len() - before, usize::from(is_lost));
        if is_lost {
            let Some(What::Lost { reason }) = play.told.last() else { panic!("{:?}", play.told) };
            assert!(reason.contains("stopped"), "{reason}");
        }
        play.event(Event::End);
        assert_eq!(play.told.len() - before, usize::from(is_lost), "told once");
    }
}

#[test]
fn a_clock_that_is_late_holds_a_block_no_longer_than_the_interval_after_its_parent_came() {
    // The slot is here by the node's clock; by this one it is minutes away.
    let slot = NOW + 300_000;
    let mut play = Play::new(2);
    play.event(Event::Work(0, work_on(Hash([1; 32]), 1, 1, slot)));
    play.later(INTERVAL_MS / 2);
    // Newer work on that parent, and another node's, do not begin the wait anew.
    play.event(Event::Work(0, work_on(Hash([1; 32]), 1, 2, slot)));
    play.event(Event::Lost(0));
    play.event(Event::Work(1, work_on(Hash([1; 32]), 1, 3, slot)));
    let find = play.find();
    assert_eq!(play.told.last(), Some(&What::Found { wait_ms: INTERVAL_MS / 2 }));
    assert_eq!(play.desk.wait_ms(play.now), Some(INTERVAL_MS / 2));
    play.later(INTERVAL_MS / 2 - 1);
    assert!(play.submits.is_empty());
    play.later(1);
    assert_eq!(play.submits.first().map(|submit| (submit.0, submit.1)), Some((1, find)));
}

#[test]
fn a_clock_that_is_right_or_early_waits_for_the_slot_itself() {
    for (slot, wait_ms) in [(NOW + 500, 500), (NOW, 0), (NOW - 300_000, 0)] {
        let mut play = Play::new(1);
        play.event(Event::Work(0, work_on(Hash([1; 32]), 1, 1, slot)));
        play.find();
        assert_eq!(play.told.last(), Some(&What::Found { wait_ms }));
        assert_eq!(play.submits.len(), usize::from(wait_ms == 0));
    }
}
