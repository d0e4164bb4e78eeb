//! The commands: each is a question or an order, and its answer.
//!
//! Every command ends in an [`Answer`]; writing it out, and the exit code, is the program's.

use std::path::PathBuf;

use anyhow::Result;
use printsy_consensus::{Action, Line, PublicKey, SecretKey};
use printsy_keys::{KeyEntry, Keyring};
use printsy_rpc::Address;
use printsy_rpc::market::{
    AccountParams, Edition, GetAccount, GetTransaction, GetTransactionParams, ImageParams, IsAvailable,
    Status, TransactionStatus,
};
use serde::Serialize;
use serde_json::Value;

use crate::cli::{Account, Cli, Command, Item, KeysCommand, NodeCommand, OrderCommand, Send};
use crate::session::Session;
use crate::{order, tell, verify};

/// What a command came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// For people, on standard output.
    pub text: String,
    /// For programs, on standard output instead.
    pub json: Value,
    /// What is no data: said on standard error.
    pub notes: Vec<String>,
    /// Whether what was asked for has happened.
    pub success: bool,
}

impl Answer {
    pub(crate) fn new(text: String, data: &impl Serialize) -> Result<Self> {
        Ok(Self { text, json: serde_json::to_value(data)?, notes: Vec::new(), success: true })
    }
}

/// Carries out what the command line says.
///
/// # Errors
/// Whatever kept it from being answered; a refusal by the node is a `ClientError` with the node's own error.
pub async fn run(cli: &Cli) -> Result<Answer> {
    let command = match &cli.command {
        Command::Keys(command) => return keys(command, &Keyring::of_user()?),
        Command::Verify(args) => return verify::verify(args),
        Command::Node(command) => command,
    };
    let session = Session::open(&cli.rpc).await?;
    let wallet = Wallet { session: &session, key: cli.key.as_deref(), tells: !cli.json };
    match command {
        NodeCommand::Chain => Answer::new(tell::chain(session.chain()), session.chain()),
        NodeCommand::Available { image } => wallet.available(*image).await,
        NodeCommand::Status { tx_id } => {
            let status = session.ask::<GetTransaction>(&GetTransactionParams { tx_id: *tx_id }).await?;
            Answer::new(tell::status(&status), &status)
        }
        NodeCommand::Balance { account } => wallet.balance(account.as_ref()).await,
        NodeCommand::Buy { items, quantity, max_total, send } => {
            wallet.buy(items, *quantity, *max_total, *send).await
        }
        NodeCommand::Order(command) => wallet.order(command).await,
    }
}

/// A session, the key it signs with, and whether a person is watching.
struct Wallet<'a> {
    session: &'a Session,
    key: Option<&'a str>,
    tells: bool,
}

impl Wallet<'_> {
    fn key(&self) -> Result<SecretKey> {
        let text =
            self.key.ok_or_else(|| anyhow::Error::msg("this needs a key to sign with: give --key KEY"))?;
        self.session.key(text)
    }

    fn resolve(&self, account: &Account) -> Result<PublicKey> {
        Ok(account.on(&self.session.chain().network)?)
    }

    /// Signs and sends, having said the order's id first: who stops the wallet while it waits can ask for it.
    async fn send(&self, action: Action, send: Send) -> Result<Status> {
        let prepared = self.session.prepare(&self.key()?, action, send).await?;
        if self.tells {
            eprintln!("printsy: order {}", prepared.txid());
        }
        self.session.send(prepared).await
    }

    async fn available(&self, image: u64) -> Result<Answer> {
        let image = image.try_into().map_err(anyhow::Error::msg)?;
        let availability = self.session.ask::<IsAvailable>(&ImageParams { image }).await?;
        Answer::new(tell::availability(&availability), &availability)
    }

    async fn balance(&self, account: Option<&Account>) -> Result<Answer> {
        let key = match account {
            Some(account) => self.resolve(account)?,
            None => self.key()?.public_key(),
        };
        let account = self.session.ask::<GetAccount>(&AccountParams { account: Address(key) }).await?;
        Answer::new(tell::account(&account), &account)
    }

    async fn buy(&self, items: &[Item], quantity: u32, most: Option<u64>, send: Send) -> Result<Answer> {
        let lines = order::lines(items, quantity)?;
        let editions = self.editions(&lines).await?;
        let prices: Vec<u64> = editions.iter().map(|edition| edition.price.0).collect();
        let total = order::total(&lines, &prices, most)?;
        let action = order::purchase(lines.clone(), total)?;
        let status = self.send(action, send).await?;
        let text = tell::bought(&status, &lines, &editions);
        answer_of(&status, text, send)
    }

    async fn editions(&self, lines: &[Line]) -> Result<Vec<Edition>> {
        let mut editions = Vec::with_capacity(lines.len());
        for line in lines {
            editions.push(self.session.edition(line.image).await?);
        }
        Ok(editions)
    }

    async fn order(&self, command: &OrderCommand) -> Result<Answer> {
        let action = self.action(command)?;
        let done = tell::done(&action);
        let status = self.send(action, command.send()).await?;
        answer_of(&status, tell::confirmed(&status, &done), command.send())
    }

    fn action(&self, command: &OrderCommand) -> Result<Action> {
        Ok(match command {
            OrderCommand::ListImage { image, seller, price, editions, .. } => {
                let seller = self.resolve(seller)?;
                Action::List { image: *image, seller, price: *price, editions: *editions }
            }
            OrderCommand::Transfer { to, amount, .. } => {
                Action::Transfer { to: self.resolve(to)?, amount: *amount }
            }
            OrderCommand::Issue { to, amount, .. } => {
                Action::Issue { to: self.resolve(to)?, amount: *amount }
            }
            OrderCommand::Redeem { amount, .. } => Action::Redeem { amount: *amount },
            OrderCommand::Review { image, rating, text, .. } => order::review(*image, *rating, text)?,
            OrderCommand::Admit { account, .. } => Action::Admit { account: self.resolve(account)? },
            OrderCommand::Expel { account, .. } => Action::Expel { account: self.resolve(account)? },
            OrderCommand::RegisterMiner { miner, name, .. } => {
                order::register_miner(self.resolve(miner)?, name)?
            }
            OrderCommand::RevokeMiner { miner, .. } => Action::RevokeMiner { miner: self.resolve(miner)? },
        })
    }
}

/// The answer to an order: `confirmed` once it is in a block, and a note where it is not as far as was asked.
fn answer_of(status: &Status, confirmed: String, send: Send) -> Result<Answer> {
    let is_confirmed = matches!(status.status, TransactionStatus::Included | TransactionStatus::Final);
    let success = tell::has_reached(status.status, send.wait.into());
    let text = match (is_confirmed, success) {
        (true, _) => confirmed,
        (false, true) => tell::sent(status),
        (false, false) => tell::status(status),
    };
    let notes = if success { Vec::new() } else { vec![tell::not_reached(status)] };
    Ok(Answer { notes, success, ..Answer::new(text, status)? })
}

/// A key as `--json` shows it.
#[derive(Serialize)]
struct KeyInfo {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<Address>,
    path: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// `keys new` and `keys list`, in `ring`.
///
/// # Errors
/// What the ring says.
pub fn keys(command: &KeysCommand, ring: &Keyring) -> Result<Answer> {
    match command {
        KeysCommand::New { name } => {
            let (key, path) = ring.create(name)?;
            let address = Address(key.public_key());
            let note =
                format!("kept in {}: whoever has this file has the key; keep a copy safe", path.display());
            let info = KeyInfo { name: name.clone(), address: Some(address), path, error: None };
            let answer = Answer::new(format!("{name}  {address}"), &info)?;
            Ok(Answer { notes: vec![note], ..answer })
        }
        KeysCommand::List => list(ring.list()?, ring),
    }
}

fn list(entries: Vec<KeyEntry>, ring: &Keyring) -> Result<Answer> {
    let width = entries.iter().map(|entry| entry.name.len()).max().unwrap_or_default();
    let (mut lines, mut notes, mut infos) = (Vec::new(), Vec::new(), Vec::new());
    for KeyEntry { name, path, key } in entries {
        let (address, error) = match key {
            Ok(key) => (Some(Address(key)), None),
            Err(error) => (None, Some(error.to_string())),
        };
        lines.extend(address.map(|address| format!("{name:width$}  {address}")));
        notes.extend(error.clone());
        infos.push(KeyInfo { name, address, path, error });
    }
    if infos.is_empty() {
        notes.push(format!("no keys in {}; make one with `printsy keys new NAME`", ring.folder().display()));
    }
    Ok(Answer { notes, ..Answer::new(lines.join("\n"), &infos)? })
}
