//! `printsyd resolve`: the operator's way out of a finality conflict. It takes the chain of a stopped node back to the
//! last block it has in common with the chain that was decided for; the node then follows the most work from there.
//!
//! That block is named by its id, or found by asking a node on the other chain (`--from`). What it will do is shown
//! first, and a person or `--yes` has to agree.
//!
//! In the midst of a repair it gives up what the repair waits for: blocks that nobody has any more, or the final block
//! that the conflict is about. HASH may then be the tip.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use printsy_consensus::{Genesis, Hash, Work};
use printsy_ledger::{Reader, Retreat};
use printsy_rpc::block::BlockSelector;

use super::other_node::{self, OtherNode};
use super::{OfflineArgs, answer, open_ledger, open_ledger_midway};
use crate::exit::Failure;

/// `printsyd resolve`.
#[derive(Clone, Debug, Args)]
pub struct ResolveArgs {
    #[command(flatten)]
    offline: OfflineArgs,
    /// A block of the chain to be on: of this node's, or, with --from, of the other node's.
    #[arg(long, value_name = "HASH")]
    to: Hash,
    /// The RPC of a node on the other chain, such as http://192.0.2.1:8645.
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// The file that holds the token to show to that node, where it asks for one.
    #[arg(long, value_name = "PATH", requires = "from")]
    token_file: Option<PathBuf>,
    /// Do it without asking.
    #[arg(long)]
    yes: bool,
}

/// The other chain, as its node tells.
#[derive(Clone, Copy, Debug)]
struct Other {
    height: u64,
    work: Work,
    /// The height of the last block that both chains have, below the block asked for.
    common: u64,
}

/// Takes the chain back.
///
/// # Errors
/// Exit code 2 where there is nothing to resolve, the block is unknown, or nobody agreed; 6 where the other node is of
/// another network; 5 where the datadir is damaged. Nothing is changed then.
pub fn resolve(args: &ResolveArgs) -> Result<(), Failure> {
    let (datadir, genesis) = args.offline.open()?;
    let ledger = open_ledger_midway(&genesis, datadir.path())?;
    let (to, other) = args.target(&genesis, &ledger.reader())?;
    let Some(retreat) = ledger.plan_retreat(&to)? else {
        let height = ledger.tip().height();
        return answer(&format!(
            "nothing to do: {to} is the tip, at height {height}; start the node, and it follows the most work from \
             there\n"
        ));
    };
    eprintln!("{}", describe(&retreat, other.as_ref()));
    args.confirm()?;
    let (blocks, height) = (retreat.blocks(), retreat.to.height());
    ledger.retreat(retreat)?;
    // Carried out by recovery, as it would be after a crash here.
    let ledger = open_ledger(genesis, datadir.path())?;
    ledger.close()?;
    let (tip, final_height) = (ledger.tip().id(), ledger.final_height());
    answer(&format!(
        "took back {blocks} blocks; the chain ends at height {height}, {tip}, and is final up to height {final_height}\n"
    ))
}

impl ResolveArgs {
    /// The block of this node's chain to go back to.
    fn target(&self, genesis: &Arc<Genesis>, reader: &Reader) -> Result<(Hash, Option<Other>), Failure> {
        let own = reader.height_on_chain(&self.to)?;
        let Some(url) = &self.from else {
            return match own {
                Some(_) => Ok((self.to, None)),
                None => Err(Failure::Usage(format!(
                    "{} is no block of this node's chain: name the last one that both chains have, or pass --from URL, \
                     the RPC of a node on the other chain; nothing was changed",
                    self.to
                ))),
            };
        };
        let node = OtherNode::new(url, self.token_file.as_deref())?;
        let other = other_node::run(ask(&node, &self.to, genesis, reader))?;
        let common = own_id(reader, other.common)?;
        Ok((common, Some(other)))
    }

    fn confirm(&self) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            return Err(Failure::Usage(
                "nobody is there to agree: pass --yes; nothing was changed".to_owned(),
            ));
        }
        eprint!("Take them back? Type yes: ");
        let mut answer = String::new();
        let read = io::stderr().flush().and_then(|()| io::stdin().read_line(&mut answer));
        read.map_err(|error| {
            Failure::Runtime(format!("cannot read the answer: {error}; nothing was changed"))
        })?;
        match answer.trim() {
            "yes" => Ok(()),
            _ => Err(Failure::Usage("nothing was changed".to_owned())),
        }
    }
}

fn describe(retreat: &Retreat, other: Option<&Other>) -> String {
    let (from, to) = (&retreat.from, &retreat.to);
    let mut text = format!(
        "this chain: height {}, final at {}, tip {}, work {}\n",
        from.height(),
        retreat.final_height,
        from.id(),
        from.work
    );
    if let Some(given_up) = retreat.given_up {
        text += &format!(
            "its repair is not at its end: it went to height {} and was final at {}; what it waits for is given up, and \
             what was set aside is removed\n",
            given_up.height, given_up.final_height
        );
    }
    if let Some(other) = other {
        text += &format!("the other:  height {}, work {}\n", other.height, other.work);
        if other.work <= from.work {
            text += "it has no more work than this one: the node comes back here where a peer still has this one\n";
        }
    }
    text + &format!(
        "back to:    height {}, {}, work {}\n{} blocks with {} transactions leave the chain; what this \
         node was not told of by clients has to be sent again",
        to.height(),
        to.id(),
        to.work,
        retreat.blocks(),
        retreat.transactions
    )
}

/// Asks a node for its chain, and finds by bisection where it parts from ours.
async fn ask(node: &OtherNode, wanted: &Hash, genesis: &Genesis, reader: &Reader) -> Result<Other, Failure> {
    let url = node.url();
    let chain = node.chain(genesis).await?;
    let header = node.header(BlockSelector::Hash((*wanted).into())).await?;
    let header = header.ok_or_else(|| {
        Failure::Usage(format!("{wanted} is no block of the chain of {url}; nothing was changed"))
    })?;
    let top = header.height.min(reader.snapshot().tip.height());
    let common = node.last_common(top, |height| own_id(reader, height)).await?;
    let common = common.ok_or_else(|| {
        Failure::Runtime(format!("the chain of {url} does not stand still: try again; nothing was changed"))
    })?;
    Ok(Other { height: chain.tip.height, work: Work::from_be_bytes(chain.work.0), common })
}

fn own_id(reader: &Reader, height: u64) -> Result<Hash, Failure> {
    let record = reader.header_at(height)?;
    let record = record.ok_or(printsy_ledger::LedgerError::MissingBlock { id: Hash::ZERO, height })?;
    Ok(record.signed.header.id())
}
