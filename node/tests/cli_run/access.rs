//! The cookie of a run, lasting tokens beside it, and the methods that end the run.

use std::os::unix::fs::PermissionsExt;

use super::*;

fn start(home: &Path, datadir: &Path) -> (Running, SocketAddr) {
    let line = ["run", "--dev", "--datadir", text(datadir), "--rpc-listen", "127.0.0.1:0"];
    let mut command = printsyd(home, &line);
    command.env("PRINTSY_RPC__REQUIRE_TOKEN", "read,admin").env("PRINTSY_STORAGE__MIN_FREE_MIB", "0");
    let mut node = Running::start(command);
    let at = address_in(&node.wait_for("is ready at http://"));
    (node, at)
}

/// The answer to a call with this secret.
fn ask(at: SocketAddr, secret: &str, method: &str, params: Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let mut stream = TcpStream::connect(at).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    write!(
        stream,
        "POST / HTTP/1.1\r\nHost: {at}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Authorization: Bearer {secret}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

fn tokens(home: &Path, datadir: &Path, words: &[&str]) -> program::Ended {
    let mut line = vec!["tokens"];
    line.extend(words);
    line.extend(["--datadir", text(datadir)]);
    run(printsyd(home, &line))
}

#[test]
fn each_run_has_a_cookie_of_its_own_and_tokens_last() {
    let home = TempDir::new().unwrap();
    let (home, datadir) = (home.path(), home.path().join("node"));
    let cookie_file = datadir.join("rpc.cookie");
    let (node, at) = start(home, &datadir);
    assert_eq!(fs::metadata(&cookie_file).unwrap().permissions().mode() & 0o7777, 0o600);
    let first = fs::read_to_string(&cookie_file).unwrap();
    assert!(ask(at, first.trim(), "getChain", json!([]))["result"].is_object());
    assert_eq!(ask(at, &"00".repeat(32), "getChain", json!([]))["error"]["code"], 4001);
    assert!(get(at, "/metrics").starts_with("HTTP/1.1 401"));

    // Beside the running node.
    let made = tokens(home, &datadir, &["add", "shop", "--scope", "read,submit"]);
    assert_eq!((made.code, made.stdout.trim().len()), (0, 64), "{made:?}");
    let token = made.stdout.trim().to_owned();
    let is_let_in = || ask(at, &token, "getChain", json!([]))["result"].is_object();
    for _ in 0..600 {
        if is_let_in() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(is_let_in());
    assert_eq!(ask(at, &token, "stop", json!([]))["error"]["code"], 4001, "it is not good for admin");
    let kept = fs::read_to_string(datadir.join("rpc.tokens")).unwrap();
    assert!(!kept.contains(&token) && kept.contains("shop read,submit"), "{kept}");
    assert_eq!(tokens(home, &datadir, &["list"]).stdout, "shop read,submit\n");
    tokens(home, &datadir, &["add", "shop", "--scope", "read"]).refuses(2, &["a token named shop"]);
    tokens(home, &datadir, &["add", "x", "--scope", "write"]).refuses(2, &["expected read, submit"]);
    tokens(home, &datadir, &["remove", "nobody"]).refuses(2, &["no token named nobody"]);

    assert_eq!(ask(at, first.trim(), "stop", json!([]))["result"], json!({ "stopping": true }));
    assert_eq!(node.wait_for_end(), (0, Vec::new()));
    assert!(!cookie_file.exists(), "the cookie ends with its run");

    let (node, at) = start(home, &datadir);
    let second = fs::read_to_string(&cookie_file).unwrap();
    assert_ne!(first, second);
    assert_eq!(ask(at, first.trim(), "getChain", json!([]))["error"]["code"], 4001);
    assert!(ask(at, &token, "getChain", json!([]))["result"].is_object(), "a token lasts");
    assert_eq!(tokens(home, &datadir, &["remove", "shop"]).code, 0);
    assert_eq!(node.stop_by("TERM").0, 0);
    assert!(!cookie_file.exists());
}

#[test]
fn audit_compares_with_a_node_that_asks_for_a_token() {
    let home = TempDir::new().unwrap();
    let (ours, theirs) = (home.path().join("ours"), home.path().join("theirs"));
    let (node, _) = start(home.path(), &ours);
    assert_eq!(node.stop_by("TERM").0, 0);
    copy_datadir(&ours, &theirs);
    let (node, at) = start(home.path(), &theirs);
    let (url, cookie) = (format!("http://{at}"), theirs.join("rpc.cookie"));
    let audit = ["audit", "--datadir", text(&ours), "--log", "warn", "--only-compare", "--against", &url];
    run(printsyd(home.path(), &audit)).refuses(1, &["--token-file"]);
    let shown = run(printsyd(home.path(), &[&audit[..], &["--token-file", text(&cookie)]].concat()));
    assert_eq!(shown.code, 0, "{shown:?}");
    assert_eq!(node.stop_by("TERM").0, 0);
}
