//! A chain moved from one datadir to another by a file, and a finality conflict resolved.

use std::path::PathBuf;

use super::*;
use program::Ended;

/// The genesis file of a network like that of `--dev`, on which a block is final under two others.
fn shallow_genesis(folder: &Path) -> PathBuf {
    let mut genesis: Value = serde_json::from_str(&printsy_node::dev::genesis().to_json()).unwrap();
    genesis["finalityDepth"] = json!(2);
    let path = folder.join("shallow.json");
    fs::write(&path, genesis.to_string()).unwrap();
    path
}

/// A node on its datadir that other nodes can dial, and where its RPC is.
fn start_at(home: &Path, datadir: &Path, more: &[&str]) -> (Running, SocketAddr) {
    let line = ["run", "--datadir", text(datadir), "--rpc-listen", "127.0.0.1:0", "--log-format", "json"];
    let listen = ["--listen", "/ip4/127.0.0.1/tcp/0"];
    let mut command = printsyd(home, &[&line[..], &listen[..], more].concat());
    command.env("PRINTSY_STORAGE__MIN_FREE_MIB", "0");
    let mut node = Running::start(command);
    let ready: Value = serde_json::from_str(&node.wait_for("\"ready\"")).unwrap();
    (node, ready["rpc"].as_str().unwrap().parse().unwrap())
}

/// Asks until the answer is as it should be, a minute at the most.
#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..1_200 {
        if is_so() {
            return;
        }
        // Nothing that a program could await: another process' state.
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("never so: {what}");
}

fn offline(home: &Path, line: &[&str]) -> Ended {
    run(printsyd(home, &[line, &["--log", "error"]].concat()))
}

#[track_caller]
fn says(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, code, "{ended:?}");
    let said = format!("{}{}", ended.stdout, ended.stderr);
    words.iter().for_each(|word| assert!(said.contains(word), "{word}: {ended:?}"));
}

#[test]
fn a_chain_is_moved_by_a_file_and_a_finality_conflict_is_resolved() {
    let home = TempDir::new().unwrap();
    let home = home.path();
    let (one, two, file) = (home.join("one"), home.join("two"), home.join("chain.prt"));
    let genesis = shallow_genesis(home);
    let (node, rpc) = start_at(home, &one, &["--genesis", text(&genesis)]);
    call(rpc, "generateBlocks", json!([3]));
    let network = Genesis::from_json(&fs::read_to_string(&genesis).unwrap()).unwrap();
    let bought = call(rpc, "executeTransaction", json!([purchase_on(&network, 25, 2, 1), "admitted"]));
    assert_eq!(bought["status"], "pending", "{bought}");
    call(rpc, "generateBlocks", json!([1]));
    let common = call(rpc, "getChain", json!([]))["tip"].clone();
    assert_eq!(common["height"], 4);
    let in_use = offline(home, &["export", "--datadir", text(&one), "--to", text(&file)]);
    in_use.refuses(4, &["process"]);
    assert_eq!(node.stop_by("TERM").0, 0);

    // Out of one datadir, into another that is not there yet.
    let export = ["export", "--datadir", text(&one), "--to", text(&file)];
    says(&offline(home, &export), 0, &["exported 4 blocks", common["hash"].as_str().unwrap()]);
    let whole = fs::read(&file).unwrap();
    offline(home, &export).refuses(2, &["--force"]);
    says(&offline(home, &[&export[..], &["--force"]].concat()), 0, &["exported 4 blocks"]);
    assert_eq!(fs::read(&file).unwrap(), whole);
    offline(home, &["export", "--datadir", text(&one), "--to", text(home)]).refuses(2, &["is no file"]);
    offline(home, &["export", "--datadir", text(&one), "--to", text(&home.join("x")), "--up-to", "5"])
        .refuses(2, &["height 4"]);
    let import = ["import", text(&file), "--datadir", text(&two)];
    fs::write(&file, &whole[..whole.len() - 200]).unwrap();
    offline(home, &import).refuses(5, &["damaged after height 3", "ends at height 3"]);
    fs::write(&file, &whole).unwrap();
    says(&offline(home, &import), 0, &["imported 1 blocks with 1 transactions", "3 were there before"]);
    assert_eq!(fs::read(two.join("genesis.json")).unwrap(), fs::read(one.join("genesis.json")).unwrap());
    let mut piped = printsyd(home, &["import", "-", "--datadir", text(&two), "--log", "error"]);
    piped.stdin(fs::File::open(&file).unwrap());
    says(&run(piped), 0, &["imported 0 blocks", "4 were there before"]);
    let solo = home.join("solo");
    fs::create_dir(&solo).unwrap();
    fs::write(solo.join("genesis.json"), printsy_node::dev::genesis().to_json()).unwrap();
    offline(home, &["import", text(&file), "--datadir", text(&solo)])
        .refuses(6, &["chain.prt", "datadir of its own"]);
    assert_eq!(fs::read_dir(home).unwrap().filter(|entry| is_hidden(entry.as_ref().unwrap())).count(), 0);

    // Each goes on alone, until what the other has is below its final block.
    let (node, rpc) = start_at(home, &one, &[]);
    assert_eq!(call(rpc, "isAvailable", json!([25]))["sold"], 2);
    call(rpc, "generateBlocks", json!([5]));
    let own = call(rpc, "getChain", json!([]));
    assert_eq!((&own["tip"]["height"], &own["final"]["height"]), (&json!(9), &json!(7)));
    assert_eq!(node.stop_by("TERM").0, 0);
    let (other, other_rpc) = start_at(home, &two, &[]);
    call(other_rpc, "generateBlocks", json!([12]));
    let best = call(other_rpc, "getChain", json!([]));
    let bootnode = best["listen"][0].as_str().unwrap().to_owned();
    let (node, rpc) = start_at(home, &one, &["--bootnodes", &bootnode]);
    wait_until("they met", || call(rpc, "getChain", json!([]))["peers"] == 1);
    assert_eq!(call(rpc, "getChain", json!([]))["tip"], own["tip"], "a final block is never left");
    assert_eq!(node.stop_by("TERM").0, 0);

    let (tip, decided) = (own["tip"]["hash"].as_str().unwrap(), best["tip"]["hash"].as_str().unwrap());
    let url = format!("http://{other_rpc}");
    let resolve = |to: &str, more: &[&str]| {
        offline(home, &[&["resolve", "--datadir", text(&one), "--to", to], more].concat())
    };
    resolve(decided, &["--yes"]).refuses(2, &["--from URL"]);
    resolve(tip, &["--yes", "--from", &url]).refuses(2, &["is no block of the chain of"]);
    resolve(own["final"]["hash"].as_str().unwrap(), &["--yes"]).refuses(2, &["there is no conflict"]);
    says(&resolve(tip, &["--yes"]), 0, &["nothing to do"]);
    let asked = resolve(decided, &["--from", &url]);
    says(&asked, 2, &["5 blocks with 0 transactions", "--yes", "nothing was changed"]);
    says(&resolve(tip, &["--yes"]), 0, &["nothing to do"]);
    let taken = resolve(decided, &["--yes", "--from", &url]);
    says(&taken, 0, &["took back 5 blocks", "height 4", common["hash"].as_str().unwrap()]);
    says(&resolve(common["hash"].as_str().unwrap(), &["--yes"]), 0, &["nothing to do"]);

    let (node, rpc) = start_at(home, &one, &["--bootnodes", &bootnode]);
    wait_until("the other chain is followed", || call(rpc, "getChain", json!([]))["tip"] == best["tip"]);
    assert_eq!(call(rpc, "isAvailable", json!([25]))["sold"], 2);
    assert_eq!(node.stop_by("TERM").0, 0);
    assert_eq!(other.stop_by("TERM").0, 0);
}

fn is_hidden(entry: &fs::DirEntry) -> bool {
    entry.file_name().to_string_lossy().starts_with('.')
}

/// Spoils the header of a block in the journal: nobody but a peer can give it then.
fn spoil_block(datadir: &Path, height: usize) {
    // header [160] | signature [64] | work [32] | journal position u64 | crc32 u32
    let headers = fs::read(datadir.join("headers.dat")).unwrap();
    let record = &headers[268 * height..][..268];
    let position = u64::from_le_bytes(record[256..264].try_into().unwrap());
    let segment = datadir.join("journal/00000000000000000000.seg");
    let mut bytes = fs::read(&segment).unwrap();
    // Behind the frame's head and the block's length.
    bytes[usize::try_from(position).unwrap() + 60] ^= 1;
    fs::write(&segment, bytes).unwrap();
}

#[test]
fn a_repair_that_waits_for_what_nobody_has_is_given_up_by_resolve() {
    let home = TempDir::new().unwrap();
    let datadir = home.path().join("node");
    let (node, address) = dev(&home, &datadir);
    call(address, "generateBlocks", json!([6]));
    let third = call(address, "getHeader", json!([3]))["hash"].take();
    assert_eq!(node.stop_by("TERM").0, 0);
    spoil_block(&datadir, 4);
    let alone = ["run", "--dev", "--datadir", text(&datadir), "--rpc-listen", "127.0.0.1:0"];
    let refused = || run(printsyd(home.path(), &[&alone[..], &["--log", "off"]].concat()));
    refused().refuses(5, &["journal/00000000000000000000.seg", "height 4", "--bootnodes"]);
    // A peer that is never there.
    let mut node = Running::start(printsyd(
        home.path(),
        &[&alone[..], &["--bootnodes", "/ip4/127.0.0.1/tcp/1"]].concat(),
    ));
    let address = address_in(&node.wait_for("is ready at http://"));
    assert_eq!(call(address, "getChain", json!([]))["tip"]["hash"], third);
    let ready = get(address, "/readyz");
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("\"synced\""), "{ready}");
    assert_eq!(node.stop_by("TERM").0, 0);
    refused().refuses(5, &["journal", "up to height 6 are missing", "--bootnodes", "printsyd resolve"]);
    let resolve = |more: &[&str]| {
        let line = ["resolve", "--datadir", text(&datadir), "--to", third.as_str().unwrap()];
        offline(home.path(), &[&line[..], more].concat())
    };
    says(&resolve(&[]), 2, &["it went to height 6", "is given up", "--yes", "nothing was changed"]);
    says(&resolve(&["--yes"]), 0, &["took back 0 blocks", "height 3"]);
    says(&resolve(&["--yes"]), 0, &["nothing to do"]);
    let (node, address) = dev(&home, &datadir);
    assert!(get(address, "/readyz").starts_with("HTTP/1.1 200"));
    let status = call(address, "executeTransaction", json!([purchase(25, 1, 1)]));
    assert_eq!((&status["status"], &status["block"]["height"]), (&json!("included"), &json!(4)), "{status}");
    assert_eq!(node.stop_by("TERM").0, 0);
    says(&offline(home.path(), &["audit", "--datadir", text(&datadir)]), 0, &[]);
}
