//! The names of the protocol's rules, and who is to blame when one is broken.
//!
//! A rule's id is how a refusal is told to people, peers and programs; its sentence stands in
//! docs/protocol.md and above the function that checks it. This file holds no rule, only their names.

use std::fmt;

/// Who is to blame for a broken rule (protocol section 4, "Whose fault").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Whoever sent these bytes: never remembered against a block's id, which does not cover them.
    Sender,
    /// Nobody: it may look different to another node, or later.
    Nobody,
    /// The block itself: its id, and all that descends from it, is invalid for good.
    Block,
}

macro_rules! rules {
    ($($id:ident)*) => {
        /// A rule of the protocol, by its id in docs/protocol.md.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule { $(#[doc = concat!("Rule ", stringify!($id), ".")] $id),* }

        impl Rule {
            /// Every rule, in the order of the protocol.
            pub const ALL: &'static [Rule] = &[$(Rule::$id),*];

            /// The rule's id, such as `S4`.
            #[must_use]
            pub fn id(self) -> &'static str {
                match self { $(Rule::$id => stringify!($id)),* }
            }
        }
    };
}

rules! {
    C1 C2 C3 C4
    T1 T2 T3 T4 T5 T6 T7 T8 T9 T10 T11 T12
    S1 S2 S3 S4 S5 S6 S7 S8 S9 S10 S11 S12 S13 S14 S15 S16 S17
    H1 H2 H3 H4 H5 H6 H7 H8
    B1 B2 B3 B4 B5 B6
    G1 G2 G3 G4 G5 G6 G7 G8 G9 G10
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}
