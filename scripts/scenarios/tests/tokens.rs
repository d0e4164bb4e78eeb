//! A node that lets nobody in without a token, and the programs that people use: with theirs they buy and mine, without
//! they are told what to do.
//!
//! The programs are those of the same build: `cargo test --release --workspace`, the README's own command.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod built;
mod quick;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use printsy_scenarios::folder::Folder;
use printsy_scenarios::miner::ExternalMiner;
use printsy_scenarios::network::{Node, free_ports};
use printsy_scenarios::process::command;
use printsy_scenarios::wallet::Wallet;

use built::program;
use quick::genesis;

/// Longer than anything takes, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);
/// What everybody is told who brings no token.
const ADVICE: &str = "--token-file";

/// A file with what `printsyd tokens add` prints for these scopes, for its owner alone.
async fn token(folder: &Folder, scopes: &str) -> Result<PathBuf> {
    let mut add = command(&program("printsyd"));
    add.args(["tokens", "add", &scopes.replace(',', "-"), "--scope", scopes, "--datadir"]);
    let made = add.arg(folder.datadir(1)).output().await?;
    ensure!(made.status.success(), "{made:?}");
    let path = folder.path().join(format!("{}.token", scopes.replace(',', "-")));
    fs::write(&path, made.stdout)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(path)
}

#[tokio::test]
async fn a_closed_node_serves_wallets_and_miners_that_bring_tokens_and_tells_others_what_to_do() -> Result<()>
{
    let folder = Folder::temporary()?;
    fs::write(folder.genesis(), genesis().to_json())?;
    let config = folder.path().join("closed.toml");
    fs::write(&config, "[rpc]\nrequire_token = [\"read\", \"submit\", \"mine\"]\n")?;
    let ports = free_ports(2)?;
    let more = ["--config", config.to_str().unwrap()];
    let mut node = Node::new(&program("printsyd"), &folder, 1, [ports[0], ports[1]], &more)?;
    node.start().await?;
    node.stop().await?;
    let (shop, mine) = (token(&folder, "read,submit").await?, token(&folder, "read,mine").await?);
    node.start().await?;
    let (url, wallet) = (node.url(), Wallet::new(&program("printsy"), folder.path()));

    let mut stranger = ExternalMiner::start(&program("printsy-miner"), "dev:miner-1", &[&url])?;
    let told = stranger.says("no answer from the node", PATIENCE, |_| true).await?;
    assert!(told["why"].as_str().unwrap().contains(ADVICE), "{told}");
    stranger.stop().await?;
    let miner = program("printsy-miner");
    let mut miner = ExternalMiner::start_with_token(&miner, "dev:miner-1", &[&url], &mine)?;
    miner.says("block accepted", PATIENCE, |_| true).await?;

    let refused = wallet.run("buy 25 --key dev:alice --yes", &url).await?;
    assert!(!refused.success && refused.notes.contains(ADVICE), "{refused:?}");
    let with = |line: &str, file: &Path| format!("{line} --token-file {}", file.display());
    let bought = wallet.run(&with("buy 25 --key dev:alice --yes", &shop), &url).await?;
    assert!(bought.answer.contains("edition 1 of 100"), "{bought:?}");
    let refused = wallet.run(&with("buy 25 --key dev:bob --yes", &mine), &url).await?;
    assert!(!refused.success && refused.notes.contains("not good for submit"), "{refused:?}");
    let cookie = folder.datadir(1).join("rpc.cookie");
    let bought = wallet.run(&with("buy 25 --key dev:bob --yes", &cookie), &url).await?;
    assert!(bought.answer.contains("edition 2 of 100"), "{bought:?}");

    fs::set_permissions(&shop, fs::Permissions::from_mode(0o640))?;
    let refused = wallet.run(&with("buy 25 --key dev:carol --yes", &shop), &url).await?;
    assert!(!refused.success && refused.notes.contains("chmod 600"), "{refused:?}");
    let secret = fs::read_to_string(&mine)?;
    assert!(!format!("{:?}", miner.said()).contains(secret.trim()), "a token is in no log");
    miner.stop().await?;
    node.stop().await?;
    let log = fs::read_to_string(folder.log(1))?;
    assert!(!log.contains(secret.trim()));
    Ok(())
}
