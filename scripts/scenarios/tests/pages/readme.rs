//! The commands of the README and of docs/mining.md.

use std::time::{Duration, Instant};

use super::page::steps;
use super::reader::Reader;

const README: &str = include_str!("../../../../README.md");
const MINING: &str = include_str!("../../../../docs/mining.md");

/// The commands of a section that call one of our programs, or ask it by hand.
fn commands(page: &str, section: &str) -> Vec<String> {
    let typed = steps(page, section).into_iter().flat_map(|step| step.typed);
    typed.filter(|line| line.starts_with("target/") || line.starts_with("curl ")).collect()
}

/// Types a command in which nothing may fail; what the terminal shows.
#[track_caller]
fn sees(reader: &mut Reader, line: &str) -> String {
    let ran = reader.types(line);
    let screen = ran.screen.join("\n");
    assert_eq!(ran.code, 0, "{line}: {screen}");
    screen
}

/// The address that `keys new` shows.
fn address(screen: &str) -> String {
    screen.split_whitespace().find(|word| word.starts_with("prt1")).expect("an address is shown").to_owned()
}

#[test]
fn the_first_purchase_goes_as_the_readme_says() {
    let mut reader = Reader::new();
    let typed = commands(README, "A first purchase");
    let [run, before, buy, after, new_key, buy_with_it, by_hand] = typed.as_slice() else {
        panic!("{typed:?}");
    };
    let started = Instant::now();
    reader.starts(run).mentions("is ready at http://");
    assert!(started.elapsed() < Duration::from_secs(2), "ready after {:?}", started.elapsed());
    assert!(sees(&mut reader, before).contains("100 of 100 left"));
    let asked = Instant::now();
    let bought = sees(&mut reader, buy);
    assert!(asked.elapsed() < Duration::from_secs(1), "confirmed after {:?}", asked.elapsed());
    assert!(bought.contains("edition 1 of 100, in block 1"), "{bought}");
    let left = sees(&mut reader, after);
    assert!(left.contains("99 of 100 left") && left.contains("block 1"), "{left}");
    assert!(sees(&mut reader, new_key).contains("mine  prt1"));
    assert!(sees(&mut reader, buy_with_it).contains("edition 2 of 100"));
    let answered = sees(&mut reader, by_hand);
    assert!(answered.contains(r#""remaining":98"#), "{answered}");
}

#[test]
fn a_second_node_joins_and_mines_as_the_readme_says() {
    let mut reader = Reader::new();
    let typed = commands(README, "Join a network, and mine");
    let [first, second, new_key, register] = typed.as_slice() else { panic!("{typed:?}") };
    reader.starts(first).mentions("ready");
    reader.starts(second);
    reader.staying[0].mentions("block connected");
    let made = sees(&mut reader, new_key);
    assert!(register.contains("ADDRESS"));
    reader.replaces("ADDRESS", &address(&made));
    assert!(sees(&mut reader, register).contains("registered miner prt1"));
}

/// What docs/mining.md calls its own: the operator's node, and the miner's.
#[test]
fn the_first_block_is_mined_as_the_manual_says() {
    let mut reader = Reader::new();
    // The operator's node, which mines itself: so there is somebody to confirm the registration.
    let operator = "target/release/printsyd run --genesis genesis.json --datadir operator --mine --threads 1 \
                    --miner-key dev:miner-1 --listen /ip4/127.0.0.1/tcp/7645";
    reader.starts(operator).mentions("ready");
    let typed = commands(MINING, "The first block");
    let [self_test, new_key, register, mine] = typed.as_slice() else { panic!("{typed:?}") };
    assert!(sees(&mut reader, self_test).lines().all(|line| line.ends_with("right")));
    let made = sees(&mut reader, new_key);
    let rig = address(&made);
    reader.replaces("ADDRESS", &rig);
    let miner = reader.starts(&format!("{mine} --threads 1"));
    miner.mentions("no work from the node");
    sees(&mut reader, register);
    let miner = reader.staying.pop().unwrap();
    miner.mentions("mining");
    miner.mentions("block accepted");
    let typed = commands(MINING, "For the registrar");
    let [miners, register, revoke] = typed.as_slice() else { panic!("{typed:?}") };
    assert!(sees(&mut reader, miners).contains(&rig), "a rig that has mined is listed");
    let again = reader.types(register);
    assert!(again.code == 1 && again.screen.join("\n").contains("S13"), "{again:?}");
    sees(&mut reader, revoke);
    miner.mentions("no work from the node");
    assert!(!sees(&mut reader, miners).contains(&rig), "it is listed no more");
    sees(&mut reader, register);
    miner.mentions("block accepted");
    drop(miner);
    let own = commands(MINING, "A node that mines");
    reader.starts(&own[0]).mentions("block connected");
}
