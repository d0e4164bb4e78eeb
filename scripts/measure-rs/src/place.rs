//! Where the programs are measured: a temporary folder, a genesis fit for the machine, nodes with logs to be read.

use std::path::PathBuf;

use anyhow::Result;
use printsy_consensus::{Genesis, Params};
use printsy_scenarios::calibrate::bits_for;
use printsy_scenarios::folder::Folder;
use printsy_scenarios::network::{Node, free_ports};
use printsy_scenarios::stage::now_ms;

/// What makes a daemon say when it connects a block and begins a search, as JSON.
const LOG: [&str; 4] = ["--log", "info,printsy_node=debug", "--log-format", "json"];

/// The programs, and the genesis to begin with.
#[derive(Clone, Debug)]
pub struct Place {
    /// The folder of the programs.
    pub programs: PathBuf,
    /// The text of a genesis file.
    pub genesis: String,
}

impl Place {
    /// A program.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// The genesis, beginning now.
    ///
    /// # Errors
    /// If the text is no genesis.
    pub fn fresh(&self) -> Result<Genesis> {
        let template = Genesis::from_json(&self.genesis)?;
        Ok(Genesis::new(Params { time: now_ms(), ..template.params().clone() })?)
    }

    /// The genesis, beginning now, on which a block takes about so many hashes whatever happens, and may follow the
    /// one before at once.
    ///
    /// # Errors
    /// If the text is no genesis.
    pub fn constant(&self, hashes: u64) -> Result<Genesis> {
        Ok(Genesis::new(Params {
            bits: bits_for(hashes),
            min_interval_ms: 1,
            half_life_ms: 1 << 40,
            ..self.fresh()?.params().clone()
        })?)
    }

    /// Nodes of a network, running: the command lines say what each does beside following; all join by the first.
    ///
    /// # Errors
    /// The first that is not ready in time.
    pub async fn nodes(&self, folder: &Folder, genesis: &Genesis, lines: &[Vec<&str>]) -> Result<Vec<Node>> {
        std::fs::write(folder.genesis(), genesis.to_json())?;
        let ports = free_ports(2 * lines.len())?;
        let mut nodes: Vec<Node> = Vec::new();
        for (index, (line, ports)) in lines.iter().zip(ports.chunks_exact(2)).enumerate() {
            let more = [&LOG[..], line].concat();
            let ports = [ports[0], ports[1]];
            let mut node = Node::new(&self.program("printsyd"), folder, index + 1, ports, &more)?;
            if let Some(first) = nodes.first() {
                node.join(&first.peer_address().await?);
            }
            node.start().await?;
            nodes.push(node);
        }
        Ok(nodes)
    }
}

/// Stops nodes, the first last.
///
/// # Errors
/// The first that did not stop in good order.
pub async fn stop(mut nodes: Vec<Node>) -> Result<()> {
    for node in nodes.iter_mut().rev() {
        node.stop().await?;
    }
    Ok(())
}
