//! What operators are given beside the node: the doctor, the manual, the service unit, alert rules and the dashboard, each
//! held against the real program.
#![allow(clippy::unwrap_used, reason = "test code, also outside of test functions")]

mod program;

use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use program::{Ended, Running, address_in, get, printsyd, run};
use serde_json::Value;
use tempfile::TempDir;

/// A file of the repository.
fn read(path: &str) -> String {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", path].iter().collect();
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A node of its own network that runs until it is dropped, and where it answers.
fn dev(home: &Path, notify: Option<&Path>) -> (Running, SocketAddr) {
    let line = ["run", "--dev", "--rpc-listen", "127.0.0.1:0", "--listen", "/ip4/127.0.0.1/tcp/0"];
    let mut command = printsyd(home, &line);
    if let Some(socket) = notify {
        command.env("NOTIFY_SOCKET", socket);
    }
    let mut node = Running::start(command);
    let line = node.wait_for("is ready at http://");
    let address = address_in(&line);
    (node, address)
}

/// The names of our metrics in a text: `printsy_` and what belongs to a name after it.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    text.match_indices("printsy_")
        .filter(|(at, _)| !text[..*at].ends_with(is_part))
        .map(|(at, _)| text[at..].split(|c| !is_part(c)).next().unwrap())
        .collect()
}

#[test]
fn every_metric_that_alerts_and_dashboard_name_is_there() {
    let home = TempDir::new().unwrap();
    let (node, address) = dev(home.path(), None);
    let text = get(address, "/metrics");
    // A family that has no member yet is told by its description alone.
    let described = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let told: BTreeSet<String> = described
        .flat_map(|line| {
            let (name, kind) = line.split_once(' ').unwrap();
            [if kind == "counter" { format!("{name}_total") } else { name.to_owned() }]
        })
        .collect();
    for file in ["scripts/operate/alerts.yml", "scripts/operate/grafana.json"] {
        let text = read(file);
        // A rig's metrics are looked for by the tests of printsy-miner.
        let named: BTreeSet<&str> =
            metrics_in(&text).into_iter().filter(|name| !name.starts_with("printsy_rig_")).collect();
        assert!(named.len() > 8, "{file}: {named:?}");
        for name in named {
            assert!(told.contains(name), "{file} names {name}, the node tells {told:?}");
        }
    }
    assert_eq!(node.stop_by("TERM").0, 0);
}

#[test]
fn the_dashboard_is_json_whose_panels_ask_for_something() {
    let dashboard: Value = serde_json::from_str(&read("scripts/operate/grafana.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() >= 9);
    for panel in panels {
        let asked = panel["targets"].as_array().unwrap();
        assert!(asked.iter().all(|target| target["expr"].as_str().unwrap().contains("printsy_")), "{panel}");
    }
}

#[test]
fn the_service_manager_hears_when_the_node_is_ready_and_when_it_stops() {
    let home = TempDir::new().unwrap();
    let path = home.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let hear = || {
        let mut heard = [0; 256];
        let length = socket.recv(&mut heard).unwrap();
        String::from_utf8(heard[..length].to_vec()).unwrap()
    };
    let (node, address) = dev(home.path(), Some(&path));
    let ready = hear();
    assert!(ready.starts_with("READY=1\nSTATUS=") && ready.contains(&address.to_string()), "{ready}");
    assert_eq!(node.stop_by("TERM").0, 0);
    assert!(hear().starts_with("STOPPING=1\n"));
}

#[test]
fn the_unit_starts_what_there_is_and_starts_again_only_what_that_can_mend() {
    let unit = read("scripts/operate/printsyd.service");
    let of = |key: &str| unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap();
    assert_eq!(of("Type"), "notify");
    let mut words = of("ExecStart").split(' ').skip(1);
    assert_eq!(words.next(), Some("run"));
    let home = TempDir::new().unwrap();
    let flags = run(printsyd(home.path(), &["run", "--help"])).stdout;
    for flag in words.filter(|word| word.starts_with("--")) {
        assert!(flags.contains(flag), "{flag}");
    }
    // Every code of the table but success, trouble that may pass, and a disk on which room is made.
    assert_eq!(of("RestartPreventExitStatus"), "2 3 4 5 6 7 9");
}

#[test]
fn the_manual_and_the_completions_tell_every_command() {
    let home = TempDir::new().unwrap();
    let folder = home.path().join("man1");
    let ended = run(printsyd(home.path(), &["man", "--to", folder.to_str().unwrap()]));
    assert_eq!(ended.code, 0, "{ended:?}");
    let bash = run(printsyd(home.path(), &["completions", "bash"]));
    assert_eq!(bash.code, 0, "{bash:?}");
    let help = run(printsyd(home.path(), &["--help"])).stdout;
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands: Vec<&str> = commands
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.len() > 8, "{help}");
    for command in commands.into_iter().filter(|command| *command != "help") {
        assert!(folder.join(format!("printsyd-{command}.1")).is_file(), "{command}");
        assert!(bash.stdout.contains(command), "{command}");
    }
    let page = fs::read_to_string(folder.join("printsyd-run.1")).unwrap();
    assert!(page.contains("rpc\\-listen"), "{page}");
}

/// What the doctor says, by check; a check of several lines is told by its worst.
fn diagnosis(ended: &Ended) -> Vec<(String, String)> {
    let report: Value =
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let checks = report["checks"].as_array().unwrap().iter();
    checks.map(|check| (text(&check["check"]), text(&check["verdict"]))).collect()
}

fn verdicts<'a>(diagnosis: &'a [(String, String)], check: &str) -> Vec<&'a str> {
    diagnosis.iter().filter(|(name, _)| name == check).map(|(_, verdict)| verdict.as_str()).collect()
}

#[test]
fn the_doctor_finds_a_healthy_machine_healthy_and_says_what_ails_another() {
    let home = TempDir::new().unwrap();
    let (node, address) = dev(home.path(), None);
    let against = format!("http://{address}");
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let free = port(&TcpListener::bind("127.0.0.1:0").unwrap());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let datadir = home.path().join("data");
    fs::create_dir(&datadir).unwrap();
    let genesis: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", "genesis.json"].iter().collect();
    let doctor = |rpc: u16, bootnode: u16, more: &[&str]| {
        let rpc = format!("127.0.0.1:{rpc}");
        let listen = format!("/ip4/127.0.0.1/tcp/{free}");
        let bootnode = format!("/ip4/127.0.0.1/tcp/{bootnode}");
        let line = ["doctor", "--json", "--datadir", datadir.to_str().unwrap(), "--rpc-listen", &rpc];
        let line = [&line[..], &["--listen", &listen, "--bootnodes", &bootnode], more].concat();
        run(printsyd(home.path(), &line))
    };
    let genesis = genesis.to_str().unwrap();
    let well = doctor(0, port(&taken), &["--genesis", genesis, "--against", &against]);
    assert_eq!(well.code, 0, "{well:?}");
    let found = diagnosis(&well);
    for check in ["network", "clock", "ports", "bootnodes"] {
        let verdicts = verdicts(&found, check);
        assert!(!verdicts.is_empty() && verdicts.iter().all(|verdict| *verdict == "ok"), "{check}: {well:?}");
    }
    assert_eq!(verdicts(&found, "datadir"), ["warn"], "others may look into it");
    assert_eq!(verdicts(&found, "disk speed").len(), 1);
    assert_eq!(fs::read_dir(&datadir).unwrap().count(), 0, "it leaves nothing behind");

    let ill = doctor(port(&taken), free, &["--mine", "--miner-key", "nowhere.key"]);
    assert_eq!(ill.code, 1, "{ill:?}");
    let found = diagnosis(&ill);
    assert_eq!(verdicts(&found, "network"), ["fail"], "there is no genesis");
    assert_eq!(verdicts(&found, "miner key"), ["fail"]);
    assert_eq!(verdicts(&found, "ports"), ["fail", "ok"]);
    assert_eq!(verdicts(&found, "bootnodes"), ["warn", "fail"]);
    assert!(ill.stderr.contains("4 of"), "{ill:?}");
    assert_eq!(node.stop_by("TERM").0, 0);
}

#[test]
fn the_doctor_knows_the_node_that_runs_on_the_datadir() {
    let home = TempDir::new().unwrap();
    let datadir = home.path().join("data");
    let datadir = datadir.to_str().unwrap();
    let line = ["run", "--dev", "--datadir", datadir, "--rpc-listen", "127.0.0.1:0"];
    let mut node = Running::start(printsyd(home.path(), &line));
    let rpc = address_in(&node.wait_for("is ready at http://")).to_string();
    let ended = run(printsyd(home.path(), &["doctor", "--dev", "--datadir", datadir, "--rpc-listen", &rpc]));
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stdout.contains("a node runs on it"), "{ended:?}");
    assert!(ended.stdout.contains("is in use for JSON-RPC, a node runs"), "{ended:?}");
    assert_eq!(node.stop_by("TERM").0, 0);
}
