//! Precedence, unknown keys, bad values: with an environment and a file that are values.

use super::*;

fn environment(variables: &[(&str, &str)]) -> Environment {
    let mut all = vec![("HOME", "/home/op")];
    all.extend(variables);
    Environment {
        variables: all.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        cores: 8,
    }
}

fn file(text: &str) -> ConfigFile {
    ConfigFile { path: PathBuf::from("/etc/printsy/node.toml"), text: text.to_owned() }
}

fn resolve(args: &RunArgs, variables: &[(&str, &str)], text: &str) -> Result<Config, ConfigError> {
    Config::resolve(args, &environment(variables), Some(&file(text)))
}

/// What is wrong with this file alone.
fn refused(text: &str) -> String {
    resolve(&RunArgs::default(), &[], text).unwrap_err().to_string()
}

#[test]
fn nothing_given_is_the_defaults() {
    let config = Config::resolve(&RunArgs::default(), &environment(&[]), None).unwrap();
    assert_eq!(config.genesis, GenesisChoice::Stored);
    assert_eq!(config.datadir, Some(PathBuf::from("/home/op/.local/share/printsy/node")));
    assert_eq!(config.network.listen, [DEFAULT_LISTEN]);
    assert_eq!(config.network.bootnodes, [""; 0]);
    assert_eq!(config.rpc.listen.to_string(), DEFAULT_RPC_LISTEN);
    assert_eq!(config.mining, None);
    assert_eq!((config.min_free_bytes, config.on_conflict), (512 << 20, OnConflict::Stay));
    assert_eq!(config.log, LogConfig { filter: keys::DEFAULT_LOG_FILTER.into(), format: LogFormat::Text });
}

#[test]
fn the_defaults_are_what_the_table_says() {
    let text = crate::init::config_text();
    let defaults: String = text
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            // Defaults are given here as values; examples and sentences stay comments.
            Some(rest) if keys::KEYS.iter().any(|key| is_default_line(key, rest)) => format!("{rest}\n"),
            _ if line.starts_with("datadir") => "\n".to_owned(),
            _ => format!("{line}\n"),
        })
        .collect();
    for key in keys::KEYS.into_iter().filter(|key| key.default.is_some()) {
        assert!(defaults.lines().any(|line| is_default_line(key, line)), "{}\n{defaults}", key.name);
    }
    let given = resolve(&RunArgs::default(), &[], &defaults).unwrap();
    assert_eq!(given, Config::resolve(&RunArgs::default(), &environment(&[]), None).unwrap());
}

fn is_default_line(key: &keys::Key, line: &str) -> bool {
    key.default.is_some_and(|default| line == format!("{} = {default}", key.parts().1))
}

#[test]
fn an_example_is_a_value_of_its_key() {
    for key in keys::KEYS.into_iter().filter(|key| key.default.is_none()) {
        let (section, name) = key.parts();
        resolve(&RunArgs::default(), &[], &format!("[{section}]\n{name} = {}", key.example)).unwrap();
    }
}

#[test]
fn the_file_that_init_writes_means_its_own_folder() {
    let config = resolve(&RunArgs::default(), &[], &crate::init::config_text()).unwrap();
    assert_eq!(config.datadir, Some(PathBuf::from("/etc/printsy")));
}

#[test]
fn flag_beats_variable_beats_file_beats_default() {
    let text = "[rpc]\nlisten = \"127.0.0.1:1\"";
    let variables = [("PRINTSY_RPC__LISTEN", "127.0.0.1:2")];
    let flag = RunArgs { rpc_listen: Some("127.0.0.1:3".into()), ..RunArgs::default() };
    let port = |config: Config| config.rpc.listen.port();
    assert_eq!(port(resolve(&RunArgs::default(), &[], "").unwrap()), 8645);
    assert_eq!(port(resolve(&RunArgs::default(), &[], text).unwrap()), 1);
    assert_eq!(port(resolve(&RunArgs::default(), &variables, text).unwrap()), 2);
    assert_eq!(port(resolve(&flag, &variables, text).unwrap()), 3);
}

#[test]
fn room_and_conflict_are_as_they_are_told() {
    let text = "[storage]\nmin_free_mib = 3\n[chain]\nexit_on_conflict = true";
    let config = resolve(&RunArgs::default(), &[], text).unwrap();
    assert_eq!((config.min_free_bytes, config.on_conflict), (3 << 20, OnConflict::End));
    let variables = [("PRINTSY_STORAGE__MIN_FREE_MIB", "0"), ("PRINTSY_CHAIN__EXIT_ON_CONFLICT", "false")];
    let config = resolve(&RunArgs::default(), &variables, text).unwrap();
    assert_eq!((config.min_free_bytes, config.on_conflict), (0, OnConflict::Stay));
}

#[test]
fn a_list_replaces_a_list() {
    let text = "[network]\nbootnodes = [\"/ip4/1.1.1.1/tcp/1\", \"/ip4/1.1.1.1/tcp/2\"]";
    let bootnodes =
        |variables: &[(&str, &str)]| resolve(&RunArgs::default(), variables, text).unwrap().network.bootnodes;
    assert_eq!(bootnodes(&[]).len(), 2);
    assert_eq!(
        bootnodes(&[("PRINTSY_NETWORK__BOOTNODES", "/dns/a.example/tcp/3")]),
        ["/dns/a.example/tcp/3"]
    );
    assert_eq!(
        bootnodes(&[("PRINTSY_NETWORK__BOOTNODES", "/ip4/1.1.1.1/tcp/4, /ip4/1.1.1.1/tcp/5")]).len(),
        2
    );
    assert_eq!(bootnodes(&[("PRINTSY_NETWORK__BOOTNODES", "")]), [""; 0]);
}

#[test]
fn an_unknown_key_names_its_line_and_the_nearest() {
    assert_eq!(
        refused("[network]\nlisten = []\nbootnode = []"),
        "/etc/printsy/node.toml:3: unknown key network.bootnode; the nearest known is network.bootnodes"
    );
    assert!(refused("[netwrk]\n").contains("node.toml:1: unknown key netwrk"), "{}", refused("[netwrk]\n"));
    assert!(refused("listen = 1").contains("unknown key listen"), "{}", refused("listen = 1"));
    assert!(
        refused("[network.listen]\na = 1").contains("expected"),
        "{}",
        refused("[network.listen]\na = 1")
    );
}

#[test]
fn an_unknown_variable_names_the_nearest() {
    let error = resolve(&RunArgs::default(), &[("PRINTSY_MINING__THREDS", "4")], "").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the environment: unknown key PRINTSY_MINING__THREDS; the nearest known is PRINTSY_MINING__THREADS"
    );
    assert!(!error.is_usage());
}

#[test]
fn variables_of_other_programs_are_not_ours() {
    let others = [("PRINTSY_RPC", "http://x"), ("PRINTSY", "1"), ("MY_PRINTSY_RPC__LISTEN", "x")];
    resolve(&RunArgs::default(), &others, "").unwrap();
}

#[test]
fn a_bad_value_names_key_place_and_expectation() {
    for (text, says) in [
        ("[rpc]\nlisten = 8645", "node.toml:2: rpc.listen: expected an IP address and a port"),
        ("[rpc]\nlisten = \"localhost\"", "got \"localhost\""),
        ("[network]\nlisten = \"/ip4/1.1.1.1/tcp/1\"", "expected an array of addresses"),
        ("\n\n[network]\nlisten = [\"1.1.1.1:1\"]", "node.toml:4: network.listen"),
        ("[network]\nlisten = [1]", "network.listen: expected"),
        ("[network]\nmax_inbound = 10001", "expected a whole number from 0 to 10000, got \"10001\""),
        ("[network]\nmax_inbound = -1", "got -1"),
        ("[network]\ntarget_outbound = 25", "expected a whole number from 0 to 24"),
        ("[network]\ngenesis = \"\"", "network.genesis: expected"),
        ("[mining]\nenabled = \"yes\"", "mining.enabled: expected true or false, got \"yes\""),
        ("[mining]\nthreads = 0", "mining.threads: expected a whole number from 1 to 1024"),
        ("[mining]\nkernel = \"gpu\"", "mining.kernel: expected a kernel that this processor runs ("),
        ("[mining]\nkernel = \"\"", "got \"\""),
        ("[mining]\nkey = \"dev:\"", "mining.key: expected"),
        (
            "[storage]\nmin_free_mib = 1048577",
            "storage.min_free_mib: expected a whole number from 0 to 1048576",
        ),
        ("[chain]\nexit_on_conflict = 1", "chain.exit_on_conflict: expected true or false"),
        ("[log]\nformat = \"xml\"", "log.format: expected text or json"),
        ("[log]\nfilter = \"a=b=c\"", "log.filter: expected a filter"),
        ("[log]\nfilter = 1e3", "log.filter: expected"),
    ] {
        let error = refused(text);
        assert!(error.contains(says), "{text}\n{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn a_file_that_is_no_toml_names_its_line() {
    for text in ["[rpc]\nlisten =", "[rpc\n", "[rpc]\nlisten = \"a\"\nlisten = \"b\""] {
        let error = refused(text);
        assert!(error.starts_with("/etc/printsy/node.toml:"), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
    assert!(refused("[rpc]\nlisten = \"a\"\nlisten = \"b\"").contains("toml:3: duplicate key"));
}

#[test]
fn a_bad_variable_is_named_and_a_bad_flag_is_the_command_lines_fault() {
    let error = resolve(&RunArgs::default(), &[("PRINTSY_MINING__ENABLED", "maybe")], "").unwrap_err();
    assert_eq!(
        error.to_string(),
        "PRINTSY_MINING__ENABLED: mining.enabled: expected true or false, got maybe"
    );
    assert!(!error.is_usage());
    let args = RunArgs { rpc_listen: Some("8645".into()), ..RunArgs::default() };
    let error = resolve(&args, &[], "").unwrap_err();
    assert!(error.to_string().starts_with("--rpc-listen: rpc.listen: expected"), "{error}");
    assert!(error.is_usage());
}

#[test]
fn paths_in_a_file_are_beside_it_and_others_are_not() {
    let text = "[network]\ngenesis = \"g.json\"\n[storage]\ndatadir = \"/data\"\n[mining]\nenabled = true\nkey = \"m.key\"";
    let config = resolve(&RunArgs::default(), &[], text).unwrap();
    assert_eq!(config.genesis, GenesisChoice::File("/etc/printsy/g.json".into()));
    assert_eq!(config.datadir, Some(PathBuf::from("/data")));
    assert_eq!(config.mining.unwrap().key, KeySource::File("/etc/printsy/m.key".into()));
    let config = resolve(&RunArgs::default(), &[("PRINTSY_NETWORK__GENESIS", "g.json")], text).unwrap();
    assert_eq!(config.genesis, GenesisChoice::File("g.json".into()));
}

#[test]
fn dev_is_alone_in_memory_and_mines_on_demand() {
    let dev = RunArgs { dev: true, ..RunArgs::default() };
    let config = Config::resolve(&dev, &environment(&[]), None).unwrap();
    assert_eq!((config.genesis, config.datadir), (GenesisChoice::Solo, None));
    assert!(config.network.is_off());
    let mining = config.mining.unwrap();
    assert_eq!(mining.key, KeySource::Development("miner-1".into()));
    assert_eq!((mining.mode, mining.threads, mining.wait_for_peer), (MiningMode::OnDemand, 1, false));
    let always = RunArgs { mine: true, datadir: Some("d".into()), ..dev.clone() };
    let config = Config::resolve(&always, &environment(&[]), None).unwrap();
    assert_eq!(config.mining.unwrap().mode, MiningMode::Always);
    assert_eq!(config.datadir, Some(PathBuf::from("d")));
    let error = Config::resolve(&dev, &environment(&[("PRINTSY_NETWORK__GENESIS", "g")]), None).unwrap_err();
    assert!(error.to_string().contains("PRINTSY_NETWORK__GENESIS gives another"), "{error}");
}

#[test]
fn mining_needs_a_key_and_waits_for_a_peer_where_there_are_bootnodes() {
    let mine = RunArgs { mine: true, ..RunArgs::default() };
    let error = resolve(&mine, &[], "").unwrap_err();
    assert!(error.is_usage() && error.to_string().contains("--miner-key"), "{error}");
    assert!(!resolve(&RunArgs::default(), &[], "[mining]\nenabled = true").unwrap_err().is_usage());
    let mine = RunArgs { miner_key: Some("dev:miner-1".into()), ..mine };
    let mining = resolve(&mine, &[], "").unwrap().mining.unwrap();
    assert_eq!((mining.threads, mining.wait_for_peer), (7, false));
    let mine = RunArgs { bootnodes: vec!["/ip4/1.1.1.1/tcp/1".into()], threads: Some(3), ..mine };
    let mining = resolve(&mine, &[], "").unwrap().mining.unwrap();
    assert_eq!((mining.threads, mining.wait_for_peer), (3, true));
    let mine = RunArgs { solo: true, ..mine };
    assert!(!resolve(&mine, &[], "").unwrap().mining.unwrap().wait_for_peer);
}

#[test]
fn a_kernel_is_the_one_asked_for_or_a_usage_error_that_lists_those_there_are() {
    let mine = RunArgs { mine: true, miner_key: Some("dev:miner-1".into()), ..RunArgs::default() };
    assert_eq!(resolve(&mine, &[], "").unwrap().mining.unwrap().kernel, None);
    let portable = RunArgs { kernel: Some("portable".into()), ..mine.clone() };
    assert_eq!(resolve(&portable, &[], "").unwrap().mining.unwrap().kernel, Some("portable"));
    let unknown = RunArgs { kernel: Some("gpu".into()), ..mine };
    let error = resolve(&unknown, &[], "").unwrap_err();
    assert!(
        error.is_usage() && error.to_string().starts_with("--kernel: mining.kernel: expected"),
        "{error}"
    );
    for kernel in printsy_miner::kernels() {
        assert!(error.to_string().contains(kernel.name), "{error}");
    }
}

#[test]
fn a_miners_flag_without_mining_is_refused() {
    for args in [
        RunArgs { miner_key: Some("dev:miner-1".into()), ..RunArgs::default() },
        RunArgs { threads: Some(2), ..RunArgs::default() },
        RunArgs { kernel: Some("portable".into()), ..RunArgs::default() },
        RunArgs { solo: true, ..RunArgs::default() },
    ] {
        let error = resolve(&args, &[], "").unwrap_err();
        assert!(error.is_usage() && error.to_string().contains("add --mine"), "{error}");
    }
    resolve(&RunArgs::default(), &[], "[mining]\nkey = \"m.key\"\nthreads = 2").unwrap();
}

#[test]
fn the_default_datadir_follows_the_specification_of_its_variables() {
    let of = |variables: &[(&str, &str)]| environment(variables).default_datadir();
    assert_eq!(of(&[("XDG_DATA_HOME", "/x")]), Some(PathBuf::from("/x/printsy/node")));
    assert_eq!(of(&[("XDG_DATA_HOME", "x")]), Some(PathBuf::from("/home/op/.local/share/printsy/node")));
    assert_eq!(of(&[("HOME", "")]), None);
    let error = Config::resolve(&RunArgs::default(), &environment(&[("HOME", "")]), None).unwrap_err();
    assert!(error.to_string().contains("--datadir"), "{error}");
}

#[test]
fn who_may_call_is_read_word_by_word() {
    let text = "[rpc]\nrequire_token = [\"submit\", \"read\"]\ncors_origins = [\"https://shop.example\"]\n\
                hosts = [\"shop.example\"]\nrate_limit = 5\nrate_limit_local = 7\nbehind_proxy = true\n\
                trusted_proxies = [\"192.0.2.1\", \"2001:db8::1\"]";
    let rpc = resolve(&RunArgs::default(), &[], text).unwrap().rpc;
    assert_eq!(crate::tokens::scope_list(&rpc.require_token), "read,submit");
    assert_eq!((rpc.rate, rpc.local_rate, rpc.behind_proxy), (5, 7, true));
    let proxies: Vec<String> = rpc.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(proxies, ["192.0.2.1", "2001:db8::1"]);
    assert_eq!(
        (rpc.cors_origins, rpc.hosts),
        (vec!["https://shop.example".into()], vec!["shop.example".into()])
    );
    for (key, value) in [
        ("require_token", r#"["write"]"#),
        ("cors_origins", r#"["*"]"#),
        ("cors_origins", r#"["https://shop.example/"]"#),
        ("cors_origins", r#"["ftp://shop.example"]"#),
        ("hosts", r#"["a b"]"#),
        ("rate_limit", "1000001"),
        ("trusted_proxies", r#"["192.0.2.0/24"]"#),
    ] {
        let error = refused(&format!("[rpc]\n{key} = {value}"));
        assert!(error.contains(&format!("rpc.{key}: expected")), "{error}");
    }
}

#[test]
fn a_secret_that_stands_where_a_file_is_named_is_refused_and_not_repeated() {
    let secret = "5c".repeat(32);
    for place in [vec![("PRINTSY_MINING__KEY", secret.as_str())], Vec::new()] {
        let text = if place.is_empty() { format!("[mining]\nkey = \"{secret}\"") } else { String::new() };
        let error = resolve(&RunArgs::default(), &place, &text).unwrap_err().to_string();
        assert!(error.contains("a secret itself") && !error.contains(&secret), "{error}");
    }
}
