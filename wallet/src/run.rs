//! The commands: each is a question or an order, and its answer.
//!
//! Every command ends in an [`Answer`]; writing it out, and the exit code, is the program's.
//! Only `watch` writes as it goes.

use anyhow::{Context, Result, ensure};
use printsy_consensus::{Hash, PublicKey, Transaction, codec};
use printsy_keys::{Cost, Keyring};
use printsy_rpc::HashHex;
use tokio::signal::ctrl_c;

use crate::answer::Answer;
use crate::ask::Person;
use crate::cli::orders::Waiting;
use crate::cli::{Account, Cli, Command, NodeCommand};
use crate::outbox::Outbox;
use crate::session::{Order, Session};
use crate::signer::Signer;
use crate::watch::{Lines, watch};
use crate::{keys, manual, offline, place, read, tell, verify};

/// Where the user's keys and orders are.
#[derive(Clone, Debug)]
pub struct Home {
    /// The keys.
    pub ring: Keyring,
    /// The orders that were sent.
    pub outbox: Outbox,
}

impl Home {
    /// The user's own.
    ///
    /// # Errors
    /// If nothing says where it is.
    pub fn of_user() -> Result<Self> {
        let ring = Keyring::of_user()?;
        Ok(Self { outbox: Outbox::beside(&ring), ring })
    }
}

/// What every command may use: the command line, the person, the home.
pub struct Desk<'a> {
    /// What was asked.
    pub cli: &'a Cli,
    /// Who is there.
    pub person: &'a mut dyn Person,
    /// Without one, files and development keys work all the same.
    pub home: Option<Home>,
}

impl Desk<'_> {
    /// The key that `--key` names, for use on `network`.
    ///
    /// # Errors
    /// What the key's source says, as it stands.
    pub fn signer(&self, network: &str) -> Result<Signer> {
        let text = self.cli.key.as_ref().context("this needs a key: give --key KEY")?;
        Signer::find(text, network, self.home.as_ref().map(|home| &home.ring))
    }

    /// The key of an account that was written, on `network`.
    ///
    /// # Errors
    /// As [`Account::on`].
    pub fn resolve(&self, account: &Account, network: &str) -> Result<PublicKey> {
        Ok(account.on(network, self.home.as_ref().map(|home| &home.ring))?)
    }
}

/// Carries out what the command line says; `lines` are where `watch` writes.
///
/// # Errors
/// Whatever kept it from being answered; a refusal by the node is a `ClientError` with the node's own error.
pub async fn run(cli: &Cli, person: &mut dyn Person, lines: &mut dyn Lines) -> Result<Answer> {
    let mut desk = Desk { cli, person, home: Home::of_user().ok() };
    match &cli.command {
        Command::Keys(command) => {
            keys::keys(cli, command, &Home::of_user()?.ring, Cost::STANDARD, desk.person)
        }
        Command::Tx(command) => offline::tx(&mut desk, command).await,
        Command::Orders => orders(&Home::of_user()?.outbox),
        Command::Verify(args) => verify::verify(args),
        Command::Man(args) => manual::man(args),
        Command::Completions(args) => manual::completions(args),
        Command::Node(command) => node(&mut desk, command, lines).await,
    }
}

async fn node(desk: &mut Desk<'_>, command: &NodeCommand, lines: &mut dyn Lines) -> Result<Answer> {
    let session = Session::of(desk.cli).await?;
    match command {
        NodeCommand::Order(order) => place::place(desk, session, order).await,
        NodeCommand::Resend { tx_id, wait } => resend(desk, &session, tx_id, *wait).await,
        NodeCommand::Watch { tx_id, image, count } => tokio::select! {
            seen = watch(&session, *tx_id, image, *count, lines) => seen,
            // Who watches says when it is enough.
            stopped = ctrl_c() => stopped.map(|()| Answer::nothing()).context("cannot hear of Ctrl-C"),
        },
        question => Ok(read::read(desk, &session, question).await?.context("it is no question")?),
    }
}

/// Sends the very bytes again that were sent before. It needs no confirmation: it can only be what was confirmed.
async fn resend(desk: &Desk<'_>, session: &Session, tx_id: &HashHex, waiting: Waiting) -> Result<Answer> {
    let home = desk.home.as_ref().context("neither HOME nor XDG_DATA_HOME says where orders are kept")?;
    let kept = home.outbox.get(tx_id)?;
    let kept = kept
        .with_context(|| format!("no order {tx_id} is kept here; `printsy orders` lists those that are"))?;
    ensure!(
        kept.genesis == session.chain().genesis,
        "the order is for the network {}, and the node at {} is of {}",
        kept.network,
        session.url(),
        tell::plain(&session.chain().network)
    );
    let transaction: Transaction =
        codec::decode(kept.transaction.as_bytes()).context("the kept order is damaged")?;
    let order = Order::new(transaction)?;
    ensure!(order.txid() == Hash::from(*tx_id), "the kept order is damaged");
    place::send(desk, session, &order, &[], waiting).await
}

/// The orders sent from here.
fn orders(outbox: &Outbox) -> Result<Answer> {
    let orders = outbox.list()?;
    let line = |order: &crate::outbox::Kept| {
        let (sent, expires) = (tell::date(order.sent), order.expires_at);
        let (what, network) = (tell::plain(&order.what), tell::plain(&order.network));
        format!("{}  {sent}  {what}, on {network}, up to block {expires}", order.tx_id)
    };
    let answer = Answer::new(orders.iter().map(line).collect::<Vec<_>>().join("\n"), &orders)?;
    Ok(if orders.is_empty() { answer.note("no orders were sent from here".to_owned()) } else { answer })
}
