//! Finds that seem lost or stale, and of which a node is asked.

use super::super::verdict::HELD_MS;
use super::*;

#[test]
fn a_block_that_its_node_journalled_before_it_was_killed_is_no_loss() {
    for is_on_chain in [true, false] {
        let mut play = Play::new(1);
        play.event(Event::Work(0, work(1, 1)));
        let find = play.find();
        play.event(Event::Lost(0));
        play.event(Event::Joined(0));
        assert_eq!(play.submits.len(), 1);
        play.judged(find, Outcome::Forgotten);
        assert!(matches!(play.told.as_slice(), [What::Found { .. }]), "not before the node was asked");
        play.looked_up(0, find, is_on_chain);
        assert_eq!(play.told.last() == Some(&What::Accepted), is_on_chain, "{:?}", play.told);
        assert_eq!(matches!(play.told.last(), Some(What::Lost { .. })), !is_on_chain);
    }
}

#[test]
fn a_held_block_that_the_chain_holds_is_accepted_however_far_the_chain_has_gone_on() {
    let mut play = Play::new(2);
    play.event(Event::Work(0, work(1, 1)));
    let find = play.find();
    play.judged(find, submission(Verdict::Held));
    play.event(Event::Work(0, work(3, 1)));
    assert_eq!(std::mem::take(&mut play.look_ups), [(0, find)]);
    assert!(play.searched().is_some(), "the search does not wait for the answer");
    // Who was asked is gone: the next one is.
    play.event(Event::Lost(0));
    play.looked_up(1, find, true);
    assert_eq!(play.told.last(), Some(&What::Accepted));
}

#[test]
fn where_nobody_can_be_asked_the_next_node_that_comes_is() {
    let mut play = Play::new(1);
    play.event(Event::Work(0, work(1, 1)));
    let find = play.find();
    play.judged(find, submission(Verdict::Held));
    play.event(Event::Work(0, work(3, 1)));
    assert_eq!(play.look_ups, [(0, find)]);
    play.event(Event::Lost(0));
    assert!(!play.told.contains(&What::Stale) && !play.desk.is_handing_in(), "nobody knows");
    play.look_ups.clear();
    play.event(Event::Joined(0));
    play.looked_up(0, find, true);
    assert_eq!(play.told.last(), Some(&What::Accepted));
    // The answer to an earlier try was lost, and the node with the answer to the next.
    let mut play = Play::new(1);
    play.event(Event::Work(0, work(1, 1)));
    let find = play.find();
    play.judged(find, Outcome::NotNow("no answer in time".to_owned()));
    play.later(1_000);
    play.event(Event::Lost(0));
    play.event(Event::Judged { find, outcome: submission(Verdict::Duplicate) });
    assert!(!play.told.contains(&What::Stale), "{:?}", play.told);
    play.event(Event::Joined(0));
    play.looked_up(0, find, true);
    assert_eq!(play.told.last(), Some(&What::Accepted));
    // At the end it is told as what it seems.
    let mut play = Play::new(1);
    play.event(Event::Work(0, work(1, 1)));
    let find = play.find();
    play.judged(find, submission(Verdict::Held));
    play.event(Event::Work(0, work(3, 1)));
    play.event(Event::Stop);
    assert!(play.desk.is_handing_in(), "an answer may yet come");
    play.event(Event::End);
    assert_eq!((play.told.last(), play.desk.is_handing_in()), (Some(&What::Stale), false));
    play.event(Event::LookedUp { find, is_on_chain: true });
    assert_eq!(play.told.last(), Some(&What::Stale), "told once");
}

#[test]
fn a_held_block_goes_to_its_node_again_when_that_is_there_anew() {
    for is_told_gone in [true, false] {
        let mut play = Play::new(1);
        play.event(Event::Work(0, work(1, 1)));
        let find = play.find();
        play.judged(find, submission(Verdict::Held));
        if is_told_gone {
            play.event(Event::Lost(0));
            assert!(play.submits.is_empty());
        }
        play.event(Event::Joined(0));
        assert_eq!(play.submits.first().map(|submit| (submit.0, submit.1)), Some((0, find)));
        play.judged(find, submission(Verdict::Held));
        assert_eq!(play.told.iter().filter(|what| **what == What::Held).count(), 1, "told once");
        play.event(Event::Joined(0));
        // It was started anew and knows nothing of it: the search goes on at once, and not in a minute.
        play.judged(find, Outcome::Forgotten);
        play.looked_up(0, find, false);
        assert!(matches!(play.told.last(), Some(What::Lost { .. })), "{:?}", play.told);
        play.event(Event::Work(0, work(1, 2)));
        assert!(play.searched().is_some());
    }
}

#[test]
fn a_held_block_keeps_no_other_node_s_work_from_being_searched_when_its_node_is_gone() {
    let mut play = Play::new(2);
    play.event(Event::Work(0, work(1, 1)));
    let find = play.find();
    play.judged(find, submission(Verdict::Held));
    play.event(Event::Lost(0));
    play.event(Event::Work(1, work(1, 2)));
    assert_eq!(play.searched(), Some(work(1, 2).id()));
    // An empty one is whole: the next node is given it.
    let mut play = Play::new(2);
    play.event(Event::Work(0, work(1, 0)));
    let find = play.find();
    play.judged(find, submission(Verdict::Held));
    play.event(Event::Lost(0));
    assert_eq!(play.submits.first().map(|submit| (submit.0, submit.1)), Some((1, find)));
}

#[test]
fn a_held_block_that_its_node_never_takes_is_lost() {
    let mut play = Play::new(1);
    play.event(Event::Work(0, work(1, 1)));
    let find = play.find();
    play.judged(find, submission(Verdict::Held));
    play.later(HELD_MS);
    play.looked_up(0, find, false);
    let Some(What::Lost { reason }) = play.told.last() else { panic!("{:?}", play.told) };
    assert!(reason.contains("never took it"), "{reason}");
}

#[test]
fn a_block_whose_node_dies_with_it_keeps_nobody_from_the_next_node_s_work_on_its_parent() {
    for verdict in [Verdict::Accepted, Verdict::Stale] {
        let mut play = Play::new(2);
        play.event(Event::Work(0, work(1, 1)));
        let find = play.find();
        play.judged(find, submission(verdict));
        // Another node is none of its affair.
        play.event(Event::Lost(1));
        play.event(Event::Joined(1));
        assert_eq!(play.searched(), None);
        play.event(Event::Lost(0));
        assert_eq!(play.searched(), None, "its own template on that parent is over");
        play.event(Event::Work(1, work(1, 2)));
        assert_eq!(play.searched(), Some(work(1, 2).id()));
    }
}

#[test]
fn the_word_of_a_node_that_was_left_for_a_better_one_holds() {
    let mut play = Play::new(2);
    play.event(Event::Lost(0));
    play.event(Event::Work(1, work(1, 1)));
    let find = play.find();
    play.judged(find, submission(Verdict::Accepted));
    play.event(Event::Joined(0));
    play.event(Event::Left(1));
    play.event(Event::Work(0, work(1, 2)));
    assert_eq!(play.searched(), None, "the block is on its way to this one, too");
}
