//! The four nodes: their ports, their folders, their processes, and the questions they are asked.
//!
//! Nodes 1 to 3 mine with the keys of the genesis' miners, one thread each; node 4 does not mine and is the one
//! that buyers talk to. Node 1 has no bootnodes, the others have node 1. What a node answers is passed on as it
//! is; whether it is right is the scenarios' affair.

use std::ffi::OsString;
use std::fmt::Display;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use printsy_consensus::Genesis;
use printsy_rpc::chain::{Chain, GetChain};
use printsy_rpc::market::{Availability, ImageParams, IsAvailable};
use printsy_rpc::{Client, ClientError, Method, NoParams};

use crate::folder::Folder;
use crate::http::{self, metric};
use crate::process::Daemon;
use crate::wait::{Look, until};

/// The miners' keys, of nodes 1, 2 and 3.
pub const MINERS: [&str; 3] = ["miner-1", "miner-2", "miner-3"];
/// The number of the node that does not mine.
pub const SHOP: usize = 4;
/// How long a node may take until it is ready.
const READY_TIME: Duration = Duration::from_secs(60);
/// How many of its log's last lines tell why a node ended.
const LAST_LINES: usize = 5;

/// One node.
#[derive(Debug)]
pub struct Node {
    number: usize,
    rpc: SocketAddr,
    arguments: Vec<OsString>,
    program: PathBuf,
    log: PathBuf,
    client: Client,
    daemon: Option<Daemon>,
}

impl Node {
    /// Node `number` of the network whose genesis lies in `folder`, not yet started, on these ports for RPC and
    /// for peers, with `more` on its command line.
    ///
    /// # Errors
    /// Never: the address is one.
    pub fn new(
        program: &Path,
        folder: &Folder,
        number: usize,
        ports: [u16; 2],
        more: &[&str],
    ) -> Result<Self> {
        let rpc = SocketAddr::from((Ipv4Addr::LOCALHOST, ports[0]));
        let mut arguments = arguments(folder, number, rpc, ports[1]);
        arguments.extend(more.iter().map(OsString::from));
        Ok(Self {
            number,
            rpc,
            arguments,
            program: program.to_owned(),
            log: folder.log(number),
            client: Client::new(&format!("http://{rpc}"))?,
            daemon: None,
        })
    }

    /// Its name for people: `node 2`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("node {}", self.number)
    }

    /// Its number, from 1.
    #[must_use]
    pub fn number(&self) -> usize {
        self.number
    }

    /// Where wallets reach it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.rpc)
    }

    /// What asks it.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Asks `M`, and keeps a refusal apart from what kept it from answering.
    ///
    /// # Errors
    /// As the client.
    pub async fn call<M: Method>(&self, params: &M::Params) -> Result<M::Result, ClientError> {
        self.client.call::<M>(params).await
    }

    /// Asks `M`; a refusal is an error like any other.
    ///
    /// # Errors
    /// As the client.
    pub async fn ask<M: Method>(&self, params: &M::Params) -> Result<M::Result> {
        self.call::<M>(params).await.with_context(|| format!("{}: {}", self.name(), M::NAME))
    }

    /// Where its chain stands.
    ///
    /// # Errors
    /// As the client.
    pub async fn chain(&self) -> Result<Chain> {
        self.ask::<GetChain>(&NoParams {}).await
    }

    /// What it says of an image.
    ///
    /// # Errors
    /// As the client.
    pub async fn available(&self, image: u64) -> Result<Availability> {
        let image = image.try_into().map_err(anyhow::Error::msg)?;
        self.ask::<IsAvailable>(&ImageParams { image }).await
    }

    /// The values of some of its metrics, in their order.
    ///
    /// # Errors
    /// If one is not there.
    pub async fn metrics<const N: usize>(&self, names: [&str; N]) -> Result<[u64; N]> {
        let text = http::get(self.rpc, "/metrics").await?.body;
        let mut values = [0; N];
        for (value, name) in values.iter_mut().zip(names) {
            *value = metric(&text, name).with_context(|| format!("{} has no metric {name}", self.name()))?;
        }
        Ok(values)
    }

    /// Starts its process and waits until it says that it is ready.
    ///
    /// # Errors
    /// If it ends, or is not ready in time.
    pub async fn start(&mut self) -> Result<()> {
        self.daemon = Some(Daemon::start(&self.program, &self.arguments, &self.log)?);
        let expected = format!("{} to be ready", self.name());
        until(&expected, READY_TIME, async || {
            if let Some(end) = self.has_ended() {
                bail!("{end}");
            }
            Ok(match http::get(self.rpc, "/readyz").await {
                Ok(answer) if answer.status == 200 => Look::Yes(()),
                Ok(answer) => Look::NotYet(format!("{}: {}", answer.status, answer.body.trim())),
                Err(error) => Look::NotYet(format!("{error:#}")),
            })
        })
        .await
    }

    /// The address by which others join it.
    ///
    /// # Errors
    /// If it does not answer, or listens nowhere.
    pub async fn peer_address(&self) -> Result<String> {
        let chain = self.chain().await?;
        let listen = chain.listen.first().with_context(|| format!("{} listens nowhere", self.name()))?;
        let suffix = format!("/p2p/{}", chain.peer_id);
        Ok(if listen.ends_with(&suffix) { listen.clone() } else { format!("{listen}{suffix}") })
    }

    /// From its next start on it joins by this bootnode.
    pub fn join(&mut self, bootnode: &str) {
        self.arguments.extend(["--bootnodes".into(), OsString::from(bootnode)]);
    }

    /// Where all it says is written.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Kills its process, and waits until it is gone.
    ///
    /// # Errors
    /// If there is none, or the system refuses.
    pub async fn kill(&mut self) -> Result<()> {
        let mut daemon = self.daemon.take().with_context(|| format!("{} does not run", self.name()))?;
        daemon.killer()?.kill()?;
        daemon.ended().await?;
        Ok(())
    }

    /// Stops its process in good order.
    ///
    /// # Errors
    /// As [`Daemon::stop`].
    pub async fn stop(&mut self) -> Result<()> {
        match self.daemon.take() {
            Some(mut daemon) => daemon.stop().await.with_context(|| self.name()),
            None => Ok(()),
        }
    }

    /// A sentence, if its process has ended without being asked to.
    pub fn has_ended(&mut self) -> Option<String> {
        let status = self.daemon.as_mut()?.has_ended()?;
        Some(self.obituary(status))
    }

    /// Waits until its process ends without being asked to, and says how; for ever where there is none.
    pub async fn ended(&mut self) -> String {
        match &mut self.daemon {
            Some(daemon) => match daemon.ended().await {
                Ok(status) => self.obituary(status),
                Err(error) => format!("{}: {error:#}", self.name()),
            },
            None => std::future::pending().await,
        }
    }

    fn obituary(&self, status: impl Display) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
        format!("{} ended by itself ({status}); the end of {}:\n{last}", self.name(), self.log.display())
    }
}

/// All of them.
#[derive(Debug)]
pub struct Network {
    nodes: Vec<Node>,
    genesis: Genesis,
    bootnode: Option<String>,
}

impl Network {
    /// Four nodes of `genesis`, not yet started.
    ///
    /// # Errors
    /// If there are no free ports, or the genesis cannot be written.
    pub fn new(program: &Path, folder: &Folder, genesis: Genesis) -> Result<Self> {
        fs::write(folder.genesis(), genesis.to_json()).context("cannot write the genesis")?;
        let ports = free_ports(2 * SHOP)?;
        let mut nodes = Vec::with_capacity(SHOP);
        for (number, ports) in (1..=SHOP).zip(ports.chunks_exact(2)) {
            let key = MINERS.get(number - 1).map(|miner| format!("dev:{miner}"));
            let mining = key.as_deref().map(|key| ["--mine", "--miner-key", key, "--threads", "1"]);
            let more = mining.as_ref().map_or(&[][..], |mining| &mining[..]);
            nodes.push(Node::new(program, folder, number, [ports[0], ports[1]], more)?);
        }
        Ok(Self { nodes, genesis, bootnode: None })
    }

    /// The network's beginning.
    #[must_use]
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The nodes, by their numbers from 1 on.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node that does not mine.
    #[must_use]
    pub fn shop(&self) -> &Node {
        &self.nodes[SHOP - 1]
    }

    /// The same, to be stopped and started.
    pub fn shop_mut(&mut self) -> &mut Node {
        &mut self.nodes[SHOP - 1]
    }

    /// The address by which others join, once node 1 runs.
    #[must_use]
    pub fn bootnode(&self) -> Option<&str> {
        self.bootnode.as_deref()
    }

    /// Starts node 1, then the others with node 1 for a bootnode.
    ///
    /// # Errors
    /// The first that is not ready in time.
    pub async fn start(&mut self) -> Result<()> {
        self.nodes[0].start().await?;
        let bootnode = self.nodes[0].peer_address().await?;
        for node in &mut self.nodes[1..] {
            node.join(&bootnode);
            node.start().await?;
        }
        self.bootnode = Some(bootnode);
        Ok(())
    }

    /// Stops all, each however the others ended.
    ///
    /// # Errors
    /// The first that did not stop in good order.
    pub async fn stop(&mut self) -> Result<()> {
        let mut first = Ok(());
        // The shop first, the bootnode last: nobody seeks a node that is gone.
        for node in self.nodes.iter_mut().rev() {
            let stopped = node.stop().await;
            first = first.and(stopped);
        }
        first
    }

    /// The nodes that ended by themselves, each with how.
    pub fn fallen(&mut self) -> Vec<String> {
        self.nodes.iter_mut().filter_map(Node::has_ended).collect()
    }

    /// Waits until some node ends by itself, and says how.
    pub async fn first_fallen(&mut self) -> String {
        let [one, two, three, four] = self.nodes.as_mut_slice() else {
            return "a network has four nodes".to_owned();
        };
        tokio::select! {
            end = one.ended() => end,
            end = two.ended() => end,
            end = three.ended() => end,
            end = four.ended() => end,
        }
    }
}

/// The command line that every node has.
fn arguments(folder: &Folder, number: usize, rpc: SocketAddr, p2p_port: u16) -> Vec<OsString> {
    vec![
        "run".into(),
        "--genesis".into(),
        folder.genesis().into(),
        "--datadir".into(),
        folder.datadir(number).into(),
        "--rpc-listen".into(),
        rpc.to_string().into(),
        "--listen".into(),
        format!("/ip4/{}/tcp/{p2p_port}", Ipv4Addr::LOCALHOST).into(),
    ]
}

/// Ports of the loopback that nobody uses now. All are taken at once before any is given back, so that they
/// differ; that no other program takes one in the next instant is not certain, and a node says so if it happens.
///
/// # Errors
/// If there are none.
pub fn free_ports(count: usize) -> Result<Vec<u16>> {
    let listeners: Result<Vec<TcpListener>, _> =
        (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect();
    let listeners = listeners.context("no free port on the loopback")?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}
