//! A machine's clock is set while something waits.

use super::super::verdict::HELD_MS;
use super::*;

const HOUR: u64 = 3_600_000;

#[test]
fn a_clock_that_is_set_moves_no_wait_but_a_slot_s() {
    for day_ms in [NOW - HOUR, NOW + HOUR] {
        // A rest after a refusal.
        let mut play = Play::new(1);
        play.event(Event::Work(0, work(1, 1)));
        let find = play.find();
        play.judged(find, submission(Verdict::Refused));
        play.set_clock(day_ms);
        assert_eq!((play.searched(), play.desk.wait_ms(play.now)), (None, Some(REST_MS)));
        play.later(REST_MS);
        assert!(play.searched().is_some());
        // The next try.
        let find = play.find();
        play.judged(find, Outcome::NotNow("busy".to_owned()));
        play.set_clock(NOW);
        assert!(play.submits.is_empty());
        play.later(AGAIN_MS);
        assert_eq!(play.submits.len(), 1);
        // The parent that has its block, and a node that is gone.
        play.judged(find, submission(Verdict::Accepted));
        play.set_clock(day_ms);
        assert_eq!(play.searched(), None);
        play.later(DONE_MS);
        assert!(play.searched().is_some());
        play.event(Event::Lost(0));
        play.set_clock(NOW);
        assert!(play.searched().is_some());
        play.later(GRACE_MS);
        assert_eq!(play.searched(), None);
    }
}

#[test]
fn a_block_that_waits_goes_at_its_time_by_a_clock_set_forward_and_in_the_interval_by_one_set_back() {
    for (day_ms, wait_ms) in [(NOW + HOUR, 0), (NOW - HOUR, INTERVAL_MS)] {
        let mut play = Play::new(1);
        play.event(Event::Work(0, work_on(Hash([1; 32]), 1, 1, NOW + 500)));
        let find = play.find();
        play.set_clock(day_ms);
        assert_eq!(play.submits.is_empty(), wait_ms > 0);
        if wait_ms > 0 {
            play.later(wait_ms - 1);
            assert!(play.submits.is_empty());
            play.later(1);
        }
        assert_eq!(play.submits.first().map(|submit| submit.1), Some(find));
    }
}

#[test]
fn a_held_block_is_waited_for_whatever_becomes_of_the_clock() {
    for day_ms in [NOW - HOUR, NOW + HOUR] {
        let mut play = Play::new(1);
        play.event(Event::Work(0, work(1, 1)));
        let find = play.find();
        play.judged(find, submission(Verdict::Held));
        play.set_clock(day_ms);
        assert_eq!(play.desk.wait_ms(play.now), Some(HELD_MS));
        play.later(HELD_MS - 1);
        assert_eq!((play.told.last(), play.searched()), (Some(&What::Held), None));
        play.later(1);
        assert!(play.searched().is_some());
    }
}
