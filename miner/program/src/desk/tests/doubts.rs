//! Finds that seem lost or stale, and of which a node is asked.

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
fn where_nobody_can_be_asked_a_find_is_told_as_what_it_seems() {
    let mut play = Play::new(1);
    play.event(Event::Work(0, work(1, 1)));
    let find = play.find();
    play.judged(find, submission(Verdict::Held));
    play.event(Event::Work(0, work(3, 1)));
    assert_eq!(play.look_ups, [(0, find)]);
    play.event(Event::Lost(0));
    assert_eq!(play.told.last(), Some(&What::Stale));
    // Nor at the end.
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
