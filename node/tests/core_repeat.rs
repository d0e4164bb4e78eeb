//! The core is a function of its events and its clock: a run can be played again.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod core_support;

use std::fmt::Write;
use std::sync::Arc;

use core_support::orders::{issue, list};
use core_support::{Rig, World, asked, chain, genesis_with, headers_of, is_bodies, order, purchase, status};
use printsy_consensus::{CheckedBlock, CheckedTransaction};
use printsy_node::core::{Effect, Event, OrderSource};
use printsy_p2p::{PeerKey, RequestFailure};

struct Script {
    world: World,
    main: Vec<Arc<CheckedBlock>>,
    fork: Vec<Arc<CheckedBlock>>,
    orders: Vec<CheckedTransaction>,
}

fn script() -> Script {
    let genesis = genesis_with(|_| {});
    let mut world = World::new(&genesis);
    let say = |sender: &str, action| order(&genesis, 1, sender, action);
    let orders = vec![
        say("issuer", issue("alice", 500)),
        say("registrar", list(1, "seller", 10, 3)),
        say("bob", purchase(&[(2, 5)], 0)),
        say("carol", purchase(&[(2, 1)], 0)),
    ];
    let root = world.root();
    let first = world.extend(&root, "miner-1", &orders[..2]);
    let mut main = vec![first.clone()];
    main.extend(chain(&mut world, &first.id(), "miner-2", 11));
    let fork = chain(&mut world, &root, "miner-3", 14);
    Script { world, main, fork, orders }
}

fn play(script: &Script) -> String {
    let mut rig = Rig::new(&script.world.genesis);
    let mut log = String::new();
    let mut note = |effects: Vec<Effect>| writeln!(log, "{effects:?}").unwrap();
    for order in &script.orders {
        note(rig.buy(order).1);
    }
    note(vec![Effect::TemplateAnswer(printsy_node::core::Ticket(0), rig.template("miner-1"))]);
    let main = script.main.last().unwrap().id();
    let fork = script.fork.last().unwrap().id();
    note(rig.join(1, status(&script.world, &main)));
    note(rig.join(2, status(&script.world, &fork)));
    note(rig.answer_headers(1, headers_of(&script.main)));
    note(rig.fail_bodies(1, RequestFailure::Timeout).unwrap());
    note(rig.answer_headers(2, headers_of(&script.fork)));
    for _ in 0..20 {
        note(rig.wait(1_000));
        for peer in [2, 1] {
            while let Some(effects) = rig.answer_bodies(peer, |id| Some(script.world.block(id).clone())) {
                note(effects);
            }
        }
    }
    let from = rig.message(1);
    let source = OrderSource::Gossip { from, all_good: false };
    note(rig.give(Event::Orders { source, orders: script.orders.clone() }));
    note(rig.give(Event::Disconnected { peer: PeerKey(1) }));
    note(rig.wait(70_000));
    assert_eq!(rig.tip(), fork);
    log
}

#[test]
fn same_events_and_clock_have_the_same_effects() {
    let script = script();
    let first = play(&script);
    assert!(first.contains("Announce("), "the run gets to a new tip: {first}");
    for _ in 0..3 {
        let again = play(&script);
        for (line, (one, other)) in first.lines().zip(again.lines()).enumerate() {
            assert_eq!(one, other, "the effects of event {line}");
        }
        assert_eq!(again.lines().count(), first.lines().count());
    }
}

#[test]
fn nothing_is_asked_of_nobody() {
    let script = script();
    let mut rig = Rig::new(&script.world.genesis);
    rig.submit(&script.main[0]);
    let effects = rig.wait(60_000);
    assert!(asked(&effects, is_bodies).is_empty() && rig.open.is_empty(), "{effects:?}");
}
