//! One node alone: the shortest way of an order, and a restart.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use printsy_consensus::StateError;
use printsy_ledger::AdmitError;
use printsy_node::MiningMode;
use printsy_node::core::OrderRefusal;
use printsy_node::handle::Refusal;

use support::{Plan, height, network, purchase, start, submit, tip, until_confirmed};

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_mined_on_demand_until_sold_out_and_survive_a_restart() {
    let genesis = network("dev-alone", |_| {});
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan { alone: true, ..Plan::default() }.mining("miner-1", MiningMode::OnDemand);
    let node = start(&genesis, 1, plan.clone(), Some(folder.path())).await;
    for reference in 0..3 {
        let order = purchase(&genesis, "alice", 25, 1, reference);
        submit(node.handle(), &order).await.unwrap();
        until_confirmed(node.handle(), &order.body.txid()).await;
    }
    let refused = submit(node.handle(), &purchase(&genesis, "bob", 25, 1, 9)).await;
    let Err(Refusal::Order(OrderRefusal::Admit(AdmitError::State(error)))) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(error, StateError::SoldOut { image: 25, editions: 3, sold: 3, requested: 1 });
    assert_eq!(node.handle().reader().availability(25).remaining, 0);
    let before = (height(node.handle()), tip(node.handle()));
    node.stop().await.unwrap();

    let node = start(&genesis, 1, plan, Some(folder.path())).await;
    assert_eq!((height(node.handle()), tip(node.handle())), before);
    assert_eq!(node.opened().moves_applied, 0, "a clean stop leaves nothing to catch up with");
    assert_eq!(node.handle().reader().availability(25).remaining, 0);
    node.stop().await.unwrap();
}
