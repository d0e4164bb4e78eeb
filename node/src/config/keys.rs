//! The one table of configuration keys: name, flag, what is expected, default, and a sentence for people.
//!
//! The commented file that `init` writes is made from it, and docs/operating.md is held against it by a test.

/// The address a node listens on when nobody says.
pub const DEFAULT_LISTEN: &str = "/ip4/0.0.0.0/tcp/8640";

/// The address of JSON-RPC when nobody says: this machine alone.
pub const DEFAULT_RPC_LISTEN: &str = "127.0.0.1:8645";

/// What is logged when nobody says.
pub(super) const DEFAULT_LOG_FILTER: &str = "info,libp2p_gossipsub=error,libp2p_kad=error";

/// The most connections from others that can be configured: each costs a file and some 100 kB.
pub(super) const MOST_INBOUND: u64 = 10_000;

/// The most calls a second that can be configured.
pub(super) const MOST_RATE: u64 = 1_000_000;

/// How many MiB must be free when nobody says: minutes of full blocks, the index's redo file and sled's own needs.
pub(super) const DEFAULT_MIN_FREE_MIB: u64 = 512;

/// The most MiB that can be asked to be free: a TiB.
pub(super) const MOST_MIN_FREE_MIB: u64 = 1 << 20;

/// What prefix a variable of ours has.
pub(super) const VARIABLE_PREFIX: &str = "PRINTSY_";

/// What stands between section and key in a variable's name.
pub(super) const VARIABLE_SEPARATOR: &str = "__";

/// The shape of a value, as TOML has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A string.
    Text,
    /// An array of strings; in a variable, separated by commas.
    Texts,
    /// A whole number.
    Whole,
    /// `true` or `false`.
    Switch,
}

/// One key.
#[derive(Debug)]
pub struct Key {
    /// `section.key`.
    pub name: &'static str,
    /// Its flag, if it has one.
    pub flag: Option<&'static str>,
    /// The shape of its value.
    pub shape: Shape,
    /// What its value is, for people.
    pub expects: &'static str,
    /// Its default, as TOML; none where the default is not a value.
    pub default: Option<&'static str>,
    /// A value to show where there is no default, as TOML.
    pub example: &'static str,
    /// What it is for; a sentence.
    pub about: &'static str,
}

impl Key {
    /// The environment's name for it: `PRINTSY_SECTION__KEY`.
    #[must_use]
    pub fn variable(&self) -> String {
        let name = self.name.replace('.', VARIABLE_SEPARATOR).to_ascii_uppercase();
        format!("{VARIABLE_PREFIX}{name}")
    }

    /// The part before the dot, and the part after it.
    ///
    /// # Panics
    /// Never: a test holds that every name has one dot.
    #[must_use]
    pub fn parts(&self) -> (&'static str, &'static str) {
        self.name.split_once('.').expect("every name has a section")
    }
}

/// network.listen
pub static LISTEN: Key = Key {
    name: "network.listen",
    flag: Some("--listen"),
    shape: Shape::Texts,
    expects: "addresses like /ip4/0.0.0.0/tcp/8640",
    default: Some(r#"["/ip4/0.0.0.0/tcp/8640"]"#),
    example: "",
    about: "Addresses to listen on for peers; an empty list listens nowhere.",
};

/// network.bootnodes
pub static BOOTNODES: Key = Key {
    name: "network.bootnodes",
    flag: Some("--bootnodes"),
    shape: Shape::Texts,
    expects: "addresses like /ip4/192.0.2.1/tcp/8640, with or without /p2p/PEER",
    default: Some("[]"),
    example: "",
    about: "Nodes to dial first, to find the others by.",
};

/// network.genesis
pub static GENESIS: Key = Key {
    name: "network.genesis",
    flag: Some("--genesis"),
    shape: Shape::Text,
    expects: "the path of a genesis.json",
    default: None,
    example: r#""genesis.json""#,
    about: "The network's genesis file; once a datadir holds its copy, it is not needed.",
};

/// network.target_outbound
pub static TARGET_OUTBOUND: Key = Key {
    name: "network.target_outbound",
    flag: None,
    shape: Shape::Whole,
    expects: "a whole number from 0 to 24",
    default: Some("8"),
    example: "",
    about: "How many peers the node seeks by itself.",
};

/// network.max_inbound
pub static MAX_INBOUND: Key = Key {
    name: "network.max_inbound",
    flag: None,
    shape: Shape::Whole,
    expects: "a whole number from 0 to 10000",
    default: Some("96"),
    example: "",
    about: "How many connections the node takes from others, of them 8 from one public address (IPv6: one /64).",
};

/// rpc.listen
pub static RPC_LISTEN: Key = Key {
    name: "rpc.listen",
    flag: Some("--rpc-listen"),
    shape: Shape::Text,
    expects: "an IP address and a port, like 127.0.0.1:8645",
    default: Some(r#""127.0.0.1:8645""#),
    example: "",
    about: "Where JSON-RPC, health checks and metrics are served, on one port.",
};

/// rpc.hosts
pub static RPC_HOSTS: Key = Key {
    name: "rpc.hosts",
    flag: None,
    shape: Shape::Texts,
    expects: "names of hosts like shop.example",
    default: Some("[]"),
    example: "",
    about: "Names, besides localhost and addresses, under which this server is called: by a proxy, or by pages in a browser.",
};

/// rpc.cors_origins
pub static RPC_CORS_ORIGINS: Key = Key {
    name: "rpc.cors_origins",
    flag: None,
    shape: Shape::Texts,
    expects: "origins like https://shop.example",
    default: Some("[]"),
    example: "",
    about: "Origins whose pages may call from a browser and read the answers.",
};

/// rpc.require_token
pub static RPC_REQUIRE_TOKEN: Key = Key {
    name: "rpc.require_token",
    flag: None,
    shape: Shape::Texts,
    expects: "some of read, submit, mine, admin",
    default: Some("[]"),
    example: "",
    about: "What asks for a token (printsyd tokens) or the cookie; admin does anyway.",
};

/// rpc.rate_limit
pub static RPC_RATE: Key = Key {
    name: "rpc.rate_limit",
    flag: None,
    shape: Shape::Whole,
    expects: "a whole number from 0 to 1000000",
    default: Some("1000"),
    example: "",
    about: "How many calls a second one address or token may make; 0: any number.",
};

/// rpc.rate_limit_local
pub static RPC_LOCAL_RATE: Key = Key {
    name: "rpc.rate_limit_local",
    flag: None,
    shape: Shape::Whole,
    expects: "a whole number from 0 to 1000000",
    default: Some("0"),
    example: "",
    about: "The same for callers on the node's own machine; 0: any number.",
};

/// rpc.behind_proxy
pub static RPC_BEHIND_PROXY: Key = Key {
    name: "rpc.behind_proxy",
    flag: None,
    shape: Shape::Switch,
    expects: "true or false",
    default: Some("false"),
    example: "",
    about: "Whether callers come through a proxy, which names each in X-Forwarded-For.",
};

/// rpc.trusted_proxies
pub static RPC_TRUSTED_PROXIES: Key = Key {
    name: "rpc.trusted_proxies",
    flag: None,
    shape: Shape::Texts,
    expects: "IP addresses like 192.0.2.1",
    default: Some("[]"),
    example: "",
    about: "Proxies whose X-Forwarded-For is believed (rpc.behind_proxy), besides those on this machine.",
};

/// mining.enabled
pub static MINING_ENABLED: Key = Key {
    name: "mining.enabled",
    flag: Some("--mine"),
    shape: Shape::Switch,
    expects: "true or false",
    default: Some("false"),
    example: "",
    about: "Whether this node mines.",
};

/// mining.key
pub static MINING_KEY: Key = Key {
    name: "mining.key",
    flag: Some("--miner-key"),
    shape: Shape::Text,
    expects: "the path of a key file, or dev:NAME on a development network",
    default: None,
    example: r#""miner.key""#,
    about: "The registered miner's key.",
};

/// mining.threads
pub static THREADS: Key = Key {
    name: "mining.threads",
    flag: Some("--threads"),
    shape: Shape::Whole,
    expects: "a whole number from 1 to 1024",
    default: None,
    example: "4",
    about: "How many threads search; when not given, one less than the machine runs at once.",
};

/// mining.kernel
pub static KERNEL: Key = Key {
    name: "mining.kernel",
    flag: Some("--kernel"),
    shape: Shape::Text,
    expects: "a kernel that this processor runs: avx512, sha-ni, avx2, portable or scalar",
    default: None,
    example: r#""portable""#,
    about: "What tries nonces; when not given, the fastest that this processor runs and that computes rightly.",
};

/// mining.solo
pub static SOLO: Key = Key {
    name: "mining.solo",
    flag: Some("--solo"),
    shape: Shape::Switch,
    expects: "true or false",
    default: Some("false"),
    example: "",
    about: "Whether a node with bootnodes mines before it has a first peer.",
};

/// storage.datadir
pub static DATADIR: Key = Key {
    name: "storage.datadir",
    flag: Some("--datadir"),
    shape: Shape::Text,
    expects: "the path of a folder",
    default: None,
    example: r#"".""#,
    about: "Where the node keeps everything; when not given, $XDG_DATA_HOME/printsy/node or ~/.local/share/printsy/node.",
};

/// storage.min_free_mib
pub static MIN_FREE: Key = Key {
    name: "storage.min_free_mib",
    flag: None,
    shape: Shape::Whole,
    expects: "a whole number from 0 to 1048576",
    default: Some("512"),
    example: "",
    about: "With less than this many MiB free on the datadir's disk the node takes no orders and does not mine; 0: never mind.",
};

/// chain.exit_on_conflict
pub static EXIT_ON_CONFLICT: Key = Key {
    name: "chain.exit_on_conflict",
    flag: None,
    shape: Shape::Switch,
    expects: "true or false",
    default: Some("false"),
    example: "",
    about: "Whether the node ends (exit code 9) when a peer proves a heavier chain that leaves what is final here.",
};

/// log.filter
pub static LOG_FILTER: Key = Key {
    name: "log.filter",
    flag: Some("--log"),
    shape: Shape::Text,
    expects: "a filter like info or info,printsy_p2p=debug",
    default: Some(r#""info,libp2p_gossipsub=error,libp2p_kad=error""#),
    example: "",
    about: "Which events are logged, to standard error.",
};

/// log.format
pub static LOG_FORMAT: Key = Key {
    name: "log.format",
    flag: Some("--log-format"),
    shape: Shape::Text,
    expects: "text or json",
    default: Some(r#""text""#),
    example: "",
    about: "How log lines are written.",
};

/// Every key, in the order of the file that `init` writes; a section's keys stand together.
pub static KEYS: [&Key; 23] = [
    &LISTEN,
    &BOOTNODES,
    &GENESIS,
    &TARGET_OUTBOUND,
    &MAX_INBOUND,
    &RPC_LISTEN,
    &RPC_HOSTS,
    &RPC_CORS_ORIGINS,
    &RPC_REQUIRE_TOKEN,
    &RPC_RATE,
    &RPC_LOCAL_RATE,
    &RPC_BEHIND_PROXY,
    &RPC_TRUSTED_PROXIES,
    &MINING_ENABLED,
    &MINING_KEY,
    &THREADS,
    &KERNEL,
    &SOLO,
    &DATADIR,
    &MIN_FREE,
    &EXIT_ON_CONFLICT,
    &LOG_FILTER,
    &LOG_FORMAT,
];

/// The key of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Key> {
    KEYS.into_iter().find(|key| key.name == name)
}

/// Of `known`, the text most like `got`, by the least number of letters to add, drop or change.
pub(super) fn nearest(got: &str, known: impl IntoIterator<Item = String>) -> String {
    known.into_iter().min_by_key(|known| distance(got, known)).unwrap_or_default()
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let changed = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_section_and_one_key_and_stands_once() {
        for (at, key) in KEYS.iter().enumerate() {
            let (section, name) = key.parts();
            assert!(!section.is_empty() && !name.is_empty() && !name.contains('.'), "{}", key.name);
            assert!(KEYS[at + 1..].iter().all(|other| other.name != key.name), "{}", key.name);
            assert!(key.default.is_some() == key.example.is_empty(), "{}: a default or an example", key.name);
        }
    }

    #[test]
    fn sections_stand_together() {
        let mut sections: Vec<&str> = KEYS.iter().map(|key| key.parts().0).collect();
        sections.dedup();
        let mut distinct = sections.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(sections.len(), distinct.len());
    }

    #[test]
    fn the_nearest_is_the_one_with_the_fewest_changes() {
        let names = || KEYS.iter().map(|key| key.name.to_owned());
        assert_eq!(nearest("network.lisen", names()), "network.listen");
        assert_eq!(nearest("mining.thread", names()), "mining.threads");
        assert_eq!(nearest("datadir", names()), "storage.datadir");
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
