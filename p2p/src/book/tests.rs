//! Laws of the address book: who is due, who is forgotten, and that it never outgrows its bound.

use super::*;

fn address(port: u16, peer: Option<PeerId>) -> Address {
    Address { dial: format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap(), peer }
}

fn connection(number: usize) -> ConnectionId {
    ConnectionId::new_unchecked(number)
}

fn book() -> AddressBook {
    AddressBook::new(PeerId::random())
}

fn nobody(_: &PeerId) -> bool {
    false
}

#[test]
fn bootnodes_are_first_without_peers_and_last_with_them() {
    let now = Instant::now();
    let (boot, met) = (PeerId::random(), PeerId::random());
    let mut book = book();
    book.learn(address(1, Some(met)), Origin::Remembered, now);
    book.learn(address(2, Some(boot)), Origin::Bootnode, now);
    assert_eq!(book.due(1, false, now, nobody)[0].peer, Some(boot));
    assert_eq!(book.due(1, true, now, nobody)[0].peer, Some(met));
}

#[test]
fn a_failure_doubles_the_wait_up_to_a_minute_for_a_bootnode_and_never_ends() {
    let mut now = Instant::now();
    let mut book = book();
    book.learn(address(1, None), Origin::Bootnode, now);
    let mut waits = Vec::new();
    for number in 0..40 {
        let due = book.due(1, true, now, nobody);
        book.dialling(&due[0], connection(number));
        assert!(book.due(1, true, now, nobody).is_empty(), "not twice at a time");
        let wait = book.unreachable(connection(number), true, now).unwrap().wait;
        assert!(book.due(1, true, now, nobody).is_empty(), "not before the wait is over");
        now += wait;
        waits.push(wait.as_secs());
    }
    assert_eq!(waits[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
    assert_eq!(waits[39], 60);
}

#[test]
fn a_found_address_is_forgotten_after_enough_failures_unless_it_is_all_we_have() {
    for has_peers in [true, false] {
        let mut now = Instant::now();
        let mut book = book();
        book.learn(address(1, Some(PeerId::random())), Origin::Found, now);
        for number in 0..usize::try_from(MAX_DIAL_FAILURES).unwrap() {
            let due = book.due(1, has_peers, now, nobody);
            book.dialling(&due[0], connection(number));
            now += book.unreachable(connection(number), has_peers, now).unwrap().wait;
        }
        assert_eq!(book.due(1, has_peers, now, nobody).len(), usize::from(!has_peers));
    }
}

#[test]
fn a_door_that_opens_and_shuts_is_backed_off_like_one_that_does_not_open() {
    let mut now = Instant::now();
    let peer = PeerId::random();
    let mut book = book();
    book.learn(address(1, None), Origin::Bootnode, now);
    for (number, wait) in [(1, 1), (2, 2), (3, 4)] {
        let due = book.due(1, false, now, nobody);
        book.dialling(&due[0], connection(number));
        book.reached(connection(number), peer, now);
        book.left(&peer, now);
        now += Duration::from_secs(wait);
    }
    book.proved(&peer);
    assert_eq!(book.candidates[0].failures, 0);
}

#[test]
fn an_address_without_an_id_learns_it_and_unlearns_it() {
    let now = Instant::now();
    let peer = PeerId::random();
    let mut book = book();
    book.learn(address(1, None), Origin::Bootnode, now);
    book.learn(address(2, Some(peer)), Origin::Found, now);
    let due = book.due(1, false, now, nobody);
    assert_eq!(due[0].peer, None);
    book.dialling(&due[0], connection(1));
    book.reached(connection(1), peer, now);
    assert_eq!(book.candidates.len(), 1, "the same peer stands once");
    assert_eq!(book.candidates[0].addresses.len(), 2);
    let later = now + MAX_BOOTNODE_BACKOFF;
    assert!(book.due(1, false, later, |id| *id == peer).is_empty());
    let due = book.due(1, false, later, nobody);
    book.dialling(&due[0], connection(2));
    book.unreachable(connection(2), false, later);
    assert_eq!(book.candidates[0].peer, None, "another may answer there next time");
}

#[test]
fn own_addresses_are_never_due() {
    let now = Instant::now();
    let own = PeerId::random();
    let mut book = AddressBook::new(own);
    book.learn(address(1, Some(own)), Origin::Bootnode, now);
    assert!(book.due(1, false, now, nobody).is_empty());
    book.learn(address(1, None), Origin::Bootnode, now);
    let due = book.due(1, false, now, nobody);
    book.dialling(&due[0], connection(1));
    book.is_own(connection(1));
    assert!(book.due(1, false, now, nobody).is_empty());
}

#[test]
fn the_book_never_outgrows_its_bound_and_strangers_push_out_nobody_proven() {
    let now = Instant::now();
    let mut book = book();
    let port = |i: usize| u16::try_from(i).unwrap() + 1;
    let proven: Vec<_> = (0..100).map(|_| PeerId::random()).collect();
    for (i, peer) in proven.iter().enumerate() {
        book.learn(address(port(i), Some(*peer)), Origin::Remembered, now);
    }
    for i in 100..2 * MAX_KNOWN_PEERS {
        book.learn(address(port(i), Some(PeerId::random())), Origin::Found, now);
        for other in 0..10 {
            let last = book.candidates.last().unwrap().peer;
            book.learn(address(other + 1, last), Origin::Found, now);
        }
    }
    assert_eq!(book.candidates.len(), MAX_KNOWN_PEERS);
    assert!(book.candidates.iter().all(|candidate| candidate.addresses.len() <= MAX_ADDRESSES_PER_PEER));
    for peer in &proven {
        assert!(book.candidates.iter().any(|candidate| candidate.peer == Some(*peer)));
    }
    book.learn(address(9_999, None), Origin::Bootnode, now);
    assert_eq!(book.candidates.len(), MAX_KNOWN_PEERS);
    assert_eq!(book.due(1, false, now, nobody)[0].peer, None, "an operator's word finds room");
}

#[test]
fn only_proven_peers_are_saved_and_read_back() {
    let now = Instant::now();
    let (met, heard) = (PeerId::random(), PeerId::random());
    let mut book = book();
    book.learn(address(1, Some(met)), Origin::Found, now);
    book.learn(address(2, Some(heard)), Origin::Found, now);
    book.proved(&met);
    let saved = book.to_save();
    assert_eq!(saved, [format!("/ip4/127.0.0.1/tcp/1/p2p/{met}")]);
    assert_eq!(Address::parse(&saved[0]).unwrap(), address(1, Some(met)));
}
