//! The laws of orders: what the wallet builds, the network's own check accepts.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod network;

use clap::Parser;
use network::params;
use printsy_consensus::{Action, Hash, Line, SecretKey, check_transaction, codec};
use printsy_wallet::cli::{Cli, Command, Item, NodeCommand, OrderCommand};
use printsy_wallet::order::{expiry, lines, purchase, register_miner, review, sign, total};

fn cart(items: &[&str]) -> Vec<Item> {
    items.iter().map(|item| item.parse().unwrap()).collect()
}

#[test]
fn every_order_passes_the_network_s_check() {
    let (alice, bob) = (SecretKey::development("alice"), SecretKey::development("bob").public_key());
    let genesis = Hash([7; 32]);
    let actions = [
        purchase(lines(&cart(&["25:2", "7", "0"]), 1).unwrap(), 500).unwrap(),
        review(25, 5, "wie schön\nand large").unwrap(),
        review(25, 1, "").unwrap(),
        Action::Transfer { to: bob, amount: 1 },
        Action::Issue { to: bob, amount: 1 },
        Action::Redeem { amount: 1 },
        Action::List { image: 25, seller: bob, price: 0, editions: 100 },
        register_miner(bob, "miner one").unwrap(),
        Action::RevokeMiner { miner: bob },
        Action::Admit { account: bob },
        Action::Expel { account: bob },
    ];
    for action in actions {
        let transaction = sign(&alice, &genesis, 120, [1; 16], action.clone());
        assert_eq!(codec::decode(&codec::encode(&transaction)), Ok(transaction.clone()));
        check_transaction(&params(), &genesis, transaction.clone())
            .unwrap_or_else(|e| panic!("{action:?}: {e}"));
        assert!(check_transaction(&params(), &Hash([8; 32]), transaction).is_err(), "on another network");
    }
}

#[test]
fn a_cart_is_sorted_and_names_each_image_once() {
    let expected = [(0, 3), (7, 3), (25, 2)].map(|(image, quantity)| Line { image, quantity });
    assert_eq!(lines(&cart(&["25:2", "7", "0"]), 3).unwrap(), expected);
    let error = lines(&cart(&["25", "7", "25:2"]), 1).unwrap_err().to_string();
    assert_eq!(error, "image 25 is named twice; write 25:QTY for more than one edition");
    let items = |count: u64| (0..count).map(|image| Item { image, quantity: None }).collect::<Vec<_>>();
    assert_eq!(lines(&items(256), 1).unwrap().len(), 256);
    assert!(lines(&items(257), 1).unwrap_err().to_string().contains("at most 256"));
}

#[test]
fn items_are_read_strictly() {
    assert_eq!("25".parse(), Ok(Item { image: 25, quantity: None }));
    assert_eq!("25:2".parse(), Ok(Item { image: 25, quantity: Some(2) }));
    for wrong in [
        "",
        ":",
        "25:",
        ":2",
        "25:0",
        "25:-1",
        "-1",
        "a",
        "25:2:3",
        "25 :2",
        "9007199254740992",
        "25:4294967296",
    ] {
        assert!(wrong.parse::<Item>().is_err(), "{wrong}");
    }
}

#[test]
fn a_total_is_exact_or_refused() {
    let lines = [Line { image: 1, quantity: 2 }, Line { image: 2, quantity: 1 }];
    assert_eq!(total(&lines, &[250, 1], None).unwrap(), 501);
    assert_eq!(total(&lines, &[250, 1], Some(501)).unwrap(), 501);
    let error = total(&lines, &[250, 1], Some(500)).unwrap_err().to_string();
    assert_eq!(error, "it costs 501, more than the 500 of --max-total, so nothing was ordered");
    assert_eq!(total(&lines[1..], &[u64::MAX], None).unwrap(), u64::MAX);
    assert!(
        total(&lines, &[u64::MAX, u64::MAX], None).unwrap_err().to_string().contains("more than any account")
    );
    let many = [Line { image: 1, quantity: u32::MAX }; 256];
    assert!(total(&many, &[u64::MAX; 256], None).is_err());
}

#[test]
fn an_order_expires_when_it_says_or_when_the_network_allows() {
    assert_eq!(expiry(10, 300, None).unwrap(), 130);
    assert_eq!(expiry(10, 50, None).unwrap(), 60);
    assert_eq!(expiry(10, 300, Some(300)).unwrap(), 310);
    assert!(expiry(10, 300, Some(301)).unwrap_err().to_string().contains("at most 300 blocks"));
    assert!(expiry(u64::MAX, 300, None).is_err());
}

#[test]
fn what_is_too_long_is_a_sentence() {
    assert!(review(1, 5, &"x".repeat(1024)).is_ok());
    assert!(format!("{:#}", review(1, 5, &"x".repeat(1025)).unwrap_err()).contains("at most 1024 bytes"));
    let miner = SecretKey::development("miner-1").public_key();
    assert!(register_miner(miner, &"x".repeat(32)).is_ok());
    assert!(format!("{:#}", register_miner(miner, &"x".repeat(33)).unwrap_err()).contains("at most 32"));
}

#[test]
fn the_command_line_is_read_as_it_is_documented() {
    let read = |line: &str| Cli::try_parse_from(line.split(' ').collect::<Vec<_>>());
    for good in [
        "printsy keys new alice",
        "printsy keys list",
        "printsy available 25",
        "printsy buy 25 --key dev:alice",
        "printsy --key dev:alice buy 25:2 7 --quantity 3 --max-total 10 --wait final --timeout-ms 5 --valid-for 20",
        "printsy list-image 25 --seller dev:bob --price 0 --editions 50 --key dev:registrar",
        "printsy transfer dev:bob 5 --key alice --json",
        "printsy issue dev:bob 5 --key ./issuer.key --rpc http://127.0.0.1:1",
        "printsy redeem 5 --key alice",
        "printsy review 25 --rating 5 --text good --key alice",
        "printsy admit dev:bob --key alice",
        "printsy expel dev:bob --key alice",
        "printsy register-miner dev:miner-9 --name nine --key alice",
        "printsy revoke-miner dev:miner-9 --key alice",
        "printsy balance",
        "printsy balance dev:bob",
        "printsy chain --json",
        "printsy keys new alice --words 24 --password-file -",
        "printsy keys new miner --plain",
        "printsy keys show alice",
        "printsy keys import alice old.key --password-file ./secret",
        "printsy keys restore alice --words-file - --account 1 --index 2",
        "printsy keys words alice",
        "printsy keys passwd alice --new-password-file -",
        "printsy keys remove alice --yes",
        "printsy list 25 --seller bob --price 5 --editions 50 --key dev:registrar -y",
        "printsy buy 25 7:2 9:1 --wait final --key alice --yes --password-file -",
        "printsy tx build buy 25:2 7 --from dev:alice",
        "printsy tx build buy 25 --from dev:alice --genesis g.json --height 7 --price 25=250 --valid-for 50",
        "printsy tx build transfer bob 5 --from alice",
        "printsy tx show order.json",
        "printsy tx sign - --key alice --genesis g.json",
        "printsy tx send order.json --wait final --timeout-ms 5",
        "printsy orders",
        "printsy holdings bob --limit 1000",
        "printsy history --image 25",
        "printsy history bob",
        "printsy owners 25 --limit 5",
        "printsy reviews 25",
        "printsy miners",
        "printsy watch",
        "printsy watch --image 25 --image 7 --count 3",
        "printsy transfer bob 5 --key alice",
    ] {
        read(good).unwrap_or_else(|error| panic!("{good}: {error}"));
    }
    assert!(read(&format!("printsy status {}", "ab".repeat(32))).is_ok());
    for wrong in [
        "printsy",
        "printsy buy",
        "printsy buy x",
        "printsy buy 25 --quantity 0",
        "printsy available -1",
        "printsy review 25 --rating 6",
        "printsy review 25",
        "printsy transfer NOBODY 5",
        "printsy transfer prt1nobody 5",
        "printsy keys new alice --words 13",
        "printsy keys new alice --plain --words 12",
        "printsy keys new alice --password secret",
        "printsy keys watch bob nobody",
        "printsy tx build buy 25",
        "printsy tx build buy 25 --from dev:a --genesis g.json",
        "printsy tx build buy 25 --from dev:a --height 5",
        "printsy tx build buy 25 --from dev:a --wait final",
        "printsy tx build buy 25 --from dev:a --genesis g --height 5 --price 25",
        "printsy owners 25 --limit 0",
        "printsy owners 25 --limit 1001",
        "printsy history bob --image 25",
        "printsy balance --wait final",
        "printsy watch --count 0",
        "printsy transfer dev:BOB 5",
        "printsy transfer dev:bob 0",
        "printsy status ab",
        "printsy buy 25 --wait forever",
        "printsy buy 25 --timeout-ms 600001",
        "printsy nonsense",
    ] {
        assert_eq!(read(wrong).expect_err(wrong).exit_code(), 2, "{wrong}");
    }
    let bought = read("printsy buy 25").unwrap().command;
    let Command::Node(NodeCommand::Order(OrderCommand::Buy { quantity, .. })) = bought else { panic!() };
    assert_eq!(quantity, 1);
}

#[test]
fn the_command_line_s_own_definition_is_sound() {
    use clap::CommandFactory;
    Cli::command().debug_assert();
}
