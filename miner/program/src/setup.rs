//! What has to be known before there is anything to mine: addresses, the key, the network; and who ends it.

use std::time::Duration;

use printsy_consensus::{Genesis, SecretKey};
use printsy_keys::KeySource;
use printsy_rpc::Token;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

use crate::cli::Cli;
use crate::exit::Failure;
use crate::nodes::follow::Network;
use crate::nodes::link::sentence;
use crate::nodes::{Link, Pin};

/// How long after one try to learn the network comes the next.
const ASK_NETWORK_EVERY: Duration = Duration::from_secs(2);

/// The addresses are looked at before anything is waited for.
///
/// # Errors
/// The first that is none.
pub(crate) fn check_urls(urls: &[String]) -> Result<(), Failure> {
    for url in urls {
        printsy_rpc::Client::new(url).map_err(|error| Failure::Config(error.to_string()))?;
    }
    Ok(())
}

/// What is shown to the nodes, if they ask for it.
///
/// # Errors
/// What is wrong with its file; where it would be shown to several hosts.
pub(crate) fn token(cli: &Cli) -> Result<Option<Token>, Failure> {
    let mut hosts = cli.nodes.iter().map(|url| host(url));
    if cli.token_file.is_some() && hosts.next().is_some_and(|first| hosts.any(|host| host != first)) {
        let sentence = "--token-file would be shown to several hosts, and a token is one node's alone: give the --node \
                        that it is for, and run another printsy-miner for each other";
        return Err(Failure::Config(sentence.to_owned()));
    }
    let token = cli.token_file.as_deref().map(Token::read).transpose();
    token.map_err(|error| Failure::Config(error.to_string()))
}

/// The host in a node's address.
fn host(url: &str) -> &str {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or_default();
    match authority.split_once(']') {
        Some((ipv6, _)) => ipv6,
        None => authority.split(':').next().unwrap_or_default(),
    }
}

/// The key, and the network if it is known: a development key opens only where it guards nothing.
///
/// # Errors
/// What is wrong with the key or the genesis.
pub(crate) async fn key(cli: &Cli, token: Option<&Token>) -> Result<(SecretKey, Pin), Failure> {
    let source = KeySource::parse(cli.key.as_deref().unwrap_or_default())?;
    if let Some(path) = &cli.genesis {
        let wrong = |why: String| Failure::Config(format!("the genesis {}: {why}", path.display()));
        let json = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let genesis = Genesis::from_json(&json).map_err(|error| wrong(error.to_string()))?;
        return Ok((source.load(&genesis.params().network_name())?, Pin::to(genesis.hash())));
    }
    match source {
        KeySource::File(_) => Ok((source.load("")?, Pin::default())),
        KeySource::Development(_) => {
            let network = first_network(&cli.nodes, token).await;
            Ok((source.load(&network.name)?, Pin::to(network.genesis)))
        }
    }
}

/// The network of the first node that answers, however long that takes.
async fn first_network(urls: &[String], token: Option<&Token>) -> Network {
    let mut last = vec![String::new(); urls.len()];
    loop {
        for (url, last) in urls.iter().zip(&mut last) {
            let network = match Link::open(url, token).await {
                Ok(link) => Network::of(&link).await,
                Err(error) => Err(sentence(&error)),
            };
            match network {
                Ok(network) => return network,
                Err(why) if *last != why => {
                    tracing::warn!(node = url, why, "no answer from the node");
                    *last = why;
                }
                Err(_) => {}
            }
        }
        sleep(ASK_NETWORK_EVERY).await;
    }
}

/// SIGTERM and SIGINT.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens for them from now on.
    ///
    /// # Errors
    /// If the system does not let it.
    pub(crate) fn install() -> Result<Self, Failure> {
        let install = |kind| {
            signal(kind).map_err(|error| Failure::Runtime(format!("cannot listen for signals: {error}")))
        };
        Ok(Self {
            terminate: install(SignalKind::terminate())?,
            interrupt: install(SignalKind::interrupt())?,
        })
    }

    /// Waits for one, and names it.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_what_stands_between_the_scheme_and_the_port() {
        for (url, expected) in [
            ("http://127.0.0.1:8645", "127.0.0.1"),
            ("http://127.0.0.1:8646/", "127.0.0.1"),
            ("http://node.example", "node.example"),
            ("http://[2001:db8::1]:8645", "[2001:db8::1"),
            ("http://[2001:db8::2]", "[2001:db8::2"),
        ] {
            assert_eq!(host(url), expected);
        }
    }
}
