//! Two nodes that made chains of their own beyond what is final, and then meet.

use super::*;

/// A node of the network in `genesis`, and where it serves; `more` are further arguments.
fn start(home: &Path, genesis: &Path, name: &str, more: &[&str], ends: &str) -> (Running, SocketAddr) {
    let datadir = home.join(name);
    let mut line = vec!["run", "--genesis", text(genesis), "--datadir", text(&datadir)];
    line.extend(["--rpc-listen", "127.0.0.1:0", "--log-format", "json"]);
    line.extend(more);
    let mut command = printsyd(home, &line);
    command.env("PRINTSY_CHAIN__EXIT_ON_CONFLICT", ends).env("PRINTSY_STORAGE__MIN_FREE_MIB", "0");
    let mut node = Running::start(command);
    let ready: Value = serde_json::from_str(&node.wait_for("\"ready\"")).unwrap();
    (node, ready["rpc"].as_str().unwrap().parse().unwrap())
}

#[test]
fn a_heavier_chain_beyond_what_is_final_is_an_alarm_and_an_end_only_where_that_is_wanted() {
    let home = TempDir::new().unwrap();
    let home = home.path();
    let mut json: Value = serde_json::from_str(&printsy_node::dev::genesis().to_json()).unwrap();
    (json["network"], json["finalityDepth"]) = (json!("dev-conflict"), json!(3));
    let genesis = home.join("given.json");
    fs::write(&genesis, json.to_string()).unwrap();
    // The heavier chain, and where its node listens.
    let datadir = home.join("heavy");
    let line = ["run", "--genesis", text(&genesis), "--datadir", text(&datadir), "--log-format", "json"];
    let mut command = printsyd(home, &line);
    command.args(["--rpc-listen", "127.0.0.1:0", "--listen", "/ip4/127.0.0.1/tcp/0"]);
    let mut heavy = Running::start(command);
    let listening: Value = serde_json::from_str(&heavy.wait_for("\"listening\"")).unwrap();
    let peer = listening["address"].as_str().unwrap().to_owned();
    let ready: Value = serde_json::from_str(&heavy.wait_for("\"ready\"")).unwrap();
    let at: SocketAddr = ready["rpc"].as_str().unwrap().parse().unwrap();
    let theirs = call(at, "generateBlocks", json!([14]))["tip"]["hash"].take();
    // The lighter one, made alone: by another clock, so that it is another one.
    let (light, at) = start(home, &genesis, "light", &["--listen", ""], "true");
    let now = json["time"].as_u64().unwrap() + 86_400_000;
    call(at, "setClock", json!([now]));
    let own = call(at, "generateBlocks", json!([6]))["tip"].take();
    assert_eq!(light.stop_by("TERM").0, 0);
    // They meet. It says so and stays.
    let joining = ["--listen", "", "--bootnodes", &peer];
    let (mut light, at) = start(home, &genesis, "light", &joining, "false");
    let said = light.wait_for("leaves this one after height 0");
    assert!(said.contains(theirs.as_str().unwrap()), "{said}");
    // It is shown once the core has done with what raised it, which is before it answers anybody else.
    let miner = SecretKey::development("miner-1").public_key().to_string();
    call(at, "getBlockTemplate", json!([miner]));
    let ready = get(at, "/readyz");
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("\"finality\""), "{ready}");
    assert!(ready.contains("printsyd resolve --to"), "{ready}");
    assert!(get(at, "/metrics").contains("printsy_chain_conflicts 1"));
    assert_eq!(call(at, "getChain", json!([]))["tip"]["hash"], own["hash"]);
    assert_eq!(light.stop_by("TERM").0, 0);
    // Where it is told to end, it does.
    let (light, _) = start(home, &genesis, "light", &joining, "true");
    let (code, errors) = light.wait_for_end();
    assert_eq!((code, errors.len()), (9, 1), "{errors:?}");
    assert!(errors[0].contains(theirs.as_str().unwrap()), "{errors:?}");
    // Nothing of its own chain is lost by that.
    let (light, at) = start(home, &genesis, "light", &["--listen", ""], "true");
    let tip = call(at, "getChain", json!([]))["tip"].take();
    assert_eq!((&tip["hash"], &tip["height"]), (&own["hash"], &json!(6)));
    assert_eq!(light.stop_by("TERM").0, 0);
    assert_eq!(heavy.stop_by("TERM").0, 0);
}
