//! The kinds of files in a datadir, and what may become of each when it is damaged.

use std::fmt;

/// What the file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `genesis.json`: the network.
    Genesis,
    /// `node.key`: who the node is to its peers.
    NodeKey,
    /// `printsyd.toml`.
    Configuration,
    /// `peers`: addresses for the next start.
    Peers,
    /// `mempool.dat`: the orders that wait.
    Orders,
    /// `doubt`: a note that damage was read.
    Doubt,
    /// `headers.dat`.
    Headers,
    /// `redo`: what a checkpoint was about to write.
    Redo,
    /// The index.
    Index,
    /// A segment of the journal.
    Segment,
    /// `journal/synced`: how far the journal was durable.
    Synced,
    /// A torn tail that was cut off.
    Torn,
    /// What a repair has set aside.
    SetAside,
    /// `journal/lost`: how far the chain was final before the repair.
    Lost,
    /// `journal/lost-headers`: the headers that were known before the repair.
    LostHeaders,
}

impl Kind {
    /// The kind of a file by its name in the datadir; `None` for what is nobody's data: the lock, whose bytes only
    /// name a process, and the cookie of a process that was killed, which the next start makes anew.
    ///
    /// # Panics
    /// On a file that nobody has thought of: its damage would prove nothing.
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "lock" | "rpc.cookie" => return None,
            "genesis.json" => Self::Genesis,
            "node.key" => Self::NodeKey,
            "printsyd.toml" => Self::Configuration,
            "peers" => Self::Peers,
            "mempool.dat" => Self::Orders,
            "doubt" => Self::Doubt,
            "headers.dat" => Self::Headers,
            "redo" => Self::Redo,
            "journal/synced" => Self::Synced,
            "journal/lost" => Self::Lost,
            "journal/lost-headers" => Self::LostHeaders,
            _ if name.starts_with("index/") => Self::Index,
            _ if name.starts_with("journal/torn-") => Self::Torn,
            _ if name.starts_with("journal/damaged-") => Self::SetAside,
            _ if name.starts_with("journal/") && name.ends_with(".seg") => Self::Segment,
            _ => panic!("{name} is of no kind that a datadir has"),
        })
    }

    /// The exit codes with which a start may refuse such a file, damaged, as docs/operating.md has them; none where
    /// the node must mend it by itself, or has no need of it.
    pub fn may_refuse_with(self) -> &'static [u8] {
        match self {
            // No genesis at all beside a ledger, or another network's.
            Self::Genesis => &[5, 6],
            Self::NodeKey | Self::Configuration => &[3],
            Self::Segment => &[5],
            _ => &[],
        }
    }

    /// Whether damage may lie unread after a start, for an audit to find.
    pub fn may_lie_unread(self) -> bool {
        matches!(self, Self::Segment | Self::Index)
    }

    /// The words one of which a refusal must have: what is damaged.
    pub fn words(self) -> &'static [&'static str] {
        match self {
            Self::Genesis => &["genesis.json"],
            Self::NodeKey => &["node.key"],
            Self::Configuration => &["printsyd.toml"],
            _ => &["journal"],
        }
    }

    /// The words one of which a refusal must have: what to do. That of a configuration names file and line instead,
    /// and what is expected there.
    pub fn advice(self) -> &'static [&'static str] {
        match self {
            Self::Genesis => &["copy the network's genesis file there"],
            Self::NodeKey => &["move it away for a new one"],
            Self::Configuration => &["printsyd.toml:", "mend it"],
            _ => &["start the node with --bootnodes", "restore a copy"],
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Genesis => "genesis.json",
            Self::NodeKey => "node.key",
            Self::Configuration => "printsyd.toml",
            Self::Peers => "peers",
            Self::Orders => "mempool.dat",
            Self::Doubt => "doubt",
            Self::Headers => "headers.dat",
            Self::Redo => "redo",
            Self::Index => "index",
            Self::Segment => "journal",
            Self::Synced => "journal/synced",
            Self::Torn => "journal/torn",
            Self::SetAside => "journal/damaged",
            Self::Lost => "journal/lost",
            Self::LostHeaders => "journal/lost-headers",
        })
    }
}
