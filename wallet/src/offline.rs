//! An order in three steps, so that the key never meets a network: build it where a node is (or from the network's
//! genesis and a height), sign it where the key is, send it where a node is.
//!
//! What travels is one JSON file. Its `body` is what is signed; everything else in it is there to be read by people,
//! is compared with the body whenever the file is read, and believed by nobody.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use printsy_consensus::{
    Action, Body, Genesis, Hash, PublicKey, Signature, Transaction, codec, signing_message,
};
use printsy_rpc::text::{MAX_TRANSACTION_HEX_BYTES, SignatureHex};
use printsy_rpc::transaction::ActionInfo;
use printsy_rpc::{Address, HashHex, HexBytes};
use serde::{Deserialize, Serialize};

use crate::answer::Answer;
use crate::ask::confirm;
use crate::cli::orders::Waiting;
use crate::cli::{Build, Item, OrderCommand, Price, TxCommand};
use crate::run::Desk;
use crate::session::{Order, Session};
use crate::{order, place, tell};

const FORMAT: &str = "printsy order";
const VERSION: u32 = 1;
const SIGNATURE_BYTES: usize = 64;

/// The largest file read: the largest order in hex and again in words, or a genesis with all its lists full.
const MAX_FILE_BYTES: u64 = 256 * 1024;

/// An order, signed or not, as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OrderFile {
    format: String,
    version: u32,
    network: String,
    genesis: HashHex,
    tx_id: HashHex,
    sender: Address,
    expires_at: u64,
    action: ActionInfo,
    body: HexBytes<MAX_TRANSACTION_HEX_BYTES>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signature: Option<SignatureHex>,
}

impl OrderFile {
    /// The file of an order that is not signed yet.
    ///
    /// # Errors
    /// A sentence for an order larger than any, which no action makes.
    pub fn unsigned(body: Body, network: &str, genesis: Hash) -> Result<Self> {
        Self::new(Transaction { body, signature: [0; SIGNATURE_BYTES] }, network, genesis, false)
    }

    /// The file of a signed order.
    ///
    /// # Errors
    /// As [`OrderFile::unsigned`].
    pub fn signed(transaction: Transaction, network: &str, genesis: Hash) -> Result<Self> {
        Self::new(transaction, network, genesis, true)
    }

    fn new(transaction: Transaction, network: &str, genesis: Hash, is_signed: bool) -> Result<Self> {
        let mut bytes = codec::encode(&transaction);
        bytes.truncate(bytes.len() - SIGNATURE_BYTES);
        let Transaction { body, signature } = transaction;
        Ok(Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            network: network.to_owned(),
            genesis: genesis.into(),
            tx_id: body.txid().into(),
            sender: body.sender.into(),
            expires_at: body.expires_at,
            action: ActionInfo::from(&body.action),
            body: HexBytes::new(bytes).map_err(anyhow::Error::msg)?,
            signature: is_signed.then(|| signature.into()),
        })
    }

    /// Reads a file's text, and holds its words against its body.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(text: &str) -> Result<Self> {
        let file: Self = serde_json::from_str(text).context("it is not an order of `printsy tx build`")?;
        ensure!(file.format == FORMAT, "it is not an order of `printsy tx build`");
        ensure!(
            file.version == VERSION,
            "it is an order of version {}, and this program reads {VERSION}",
            file.version
        );
        let told = Self { signature: None, ..file.clone() };
        let says = Self::unsigned(file.body()?, &file.network, file.genesis.into())?;
        ensure!(told == says, "what the order says for people is not what would be signed: do not use it");
        Ok(file)
    }

    /// What is signed.
    ///
    /// # Errors
    /// If it is not an order's bytes.
    pub fn body(&self) -> Result<Body> {
        Ok(self.transaction([0; SIGNATURE_BYTES])?.body)
    }

    fn transaction(&self, signature: Signature) -> Result<Transaction> {
        let mut bytes = self.body.as_bytes().to_vec();
        bytes.extend_from_slice(&signature);
        codec::decode(&bytes).context("its body is not an order's")
    }

    /// The order, if it is signed by its sender for its network.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub fn order(&self) -> Result<Order> {
        let Some(signature) = self.signature else {
            bail!("the order is not signed yet: `printsy tx sign FILE --key KEY`");
        };
        let transaction = self.transaction(signature.0)?;
        let message = signing_message(&self.genesis.into(), &transaction.body.txid());
        let is_signed = transaction.body.sender.verify(&message, &signature.0);
        ensure!(is_signed, "the signature is not the sender's over this order");
        Order::new(transaction)
    }

    fn answer(&self) -> Result<Answer> {
        Answer::new(serde_json::to_string_pretty(self)?, self)
    }

    fn summary(&self) -> Result<String> {
        let body = self.body()?;
        Ok(tell::order_summary(&body, &self.network, &self.genesis))
    }
}

/// Carries out `printsy tx ...`.
///
/// # Errors
/// Whatever kept it from being done.
pub async fn tx(desk: &mut Desk<'_>, command: &TxCommand) -> Result<Answer> {
    match command {
        TxCommand::Build { order } => build(desk, order).await,
        TxCommand::Show { file } => {
            let file = read_order(file)?;
            let signed = if file.signature.is_some() { "signed" } else { "not signed" };
            file.order()
                .map(|_| ())
                .or_else(|error| if file.signature.is_some() { Err(error) } else { Ok(()) })?;
            Answer::new(format!("{}\n{signed}, order {}", file.summary()?, file.tx_id), &file)
        }
        TxCommand::Sign { file, genesis } => sign(desk, &read_order(file)?, genesis.as_deref()),
        TxCommand::Send { file, waiting } => send(desk, &read_order(file)?, *waiting).await,
    }
}

async fn build(desk: &Desk<'_>, command: &OrderCommand<Build>) -> Result<Answer> {
    let how = command.how();
    if let (Some(genesis), Some(height)) = (&how.genesis, how.height) {
        let genesis = read_genesis(genesis)?;
        let network = genesis.params().network_name();
        let expires_at = order::expiry(height, genesis.params().max_validity, how.validity.valid_for)?;
        let price = |image: u64| {
            let price = how.price.iter().find(|price| price.image == image);
            let price = price
                .with_context(|| format!("what does image {image} cost? give --price {image}=AMOUNT"))?;
            Ok(price.price)
        };
        let action = action(desk, command, &network, price)?;
        let sender = desk.resolve(&how.from, &network)?;
        return OrderFile::unsigned(order::body(sender, expires_at, action)?, &network, genesis.hash())?
            .answer();
    }
    let session = Session::of(desk.cli).await?;
    let network = &session.chain().network;
    let mut prices = Vec::new();
    if let OrderCommand::Buy { items, quantity, .. } = command {
        for edition in place::editions(&session, &order::lines(items, *quantity)?).await? {
            prices.push(Price { image: edition.image, price: edition.price.0 });
        }
    }
    let known = |image: u64| prices.iter().find(|price| price.image == image).map(|price| price.price);
    let action = action(desk, command, network, |image| known(image).context("the node told no price"))?;
    let sender = desk.resolve(&how.from, network)?;
    let expires_at = session.expiry(how.validity).await?;
    OrderFile::unsigned(order::body(sender, expires_at, action)?, network, session.genesis())?.answer()
}

fn action(
    desk: &Desk<'_>,
    command: &OrderCommand<Build>,
    network: &str,
    price: impl Fn(u64) -> Result<u64>,
) -> Result<Action> {
    let OrderCommand::Buy { items, quantity, max_total, .. } = command else {
        return order::action(command, |account| desk.resolve(account, network));
    };
    cart(items, *quantity, *max_total, price)
}

fn cart(
    items: &[Item],
    quantity: u32,
    most: Option<u64>,
    price: impl Fn(u64) -> Result<u64>,
) -> Result<Action> {
    let lines = order::lines(items, quantity)?;
    let prices: Vec<u64> = lines.iter().map(|line| price(line.image)).collect::<Result<_>>()?;
    let total = order::total(&lines, &prices, most)?;
    order::purchase(lines, total)
}

fn sign(desk: &mut Desk<'_>, file: &OrderFile, genesis: Option<&Path>) -> Result<Answer> {
    if let Some(path) = genesis {
        let genesis = read_genesis(path)?;
        let same =
            genesis.hash() == Hash::from(file.genesis) && genesis.params().network_name() == file.network;
        ensure!(same, "the order is for another network than that of {}", path.display());
    }
    let signer = desk.signer(&file.network)?;
    signer.must_sign()?;
    let body = file.body()?;
    must_be_of(&body.sender, &signer.address())?;
    confirm(desk.person, &file.summary()?, "sign it?", (desk.cli.yes, signer.guards_nothing()))?;
    let key = signer.unlock(desk.cli.password_file.as_ref(), desk.person)?;
    let genesis = Hash::from(file.genesis);
    OrderFile::signed(body.sign(&genesis, &key), &file.network, genesis)?.answer()
}

fn must_be_of(sender: &PublicKey, signer: &PublicKey) -> Result<()> {
    ensure!(sender == signer, "the order is {sender}'s, and the key is {signer}'s");
    Ok(())
}

/// Sends a signed order. It was confirmed when it was signed: only a person who is there is asked once more.
async fn send(desk: &mut Desk<'_>, file: &OrderFile, waiting: Waiting) -> Result<Answer> {
    let order = file.order()?;
    let session = Session::of(desk.cli).await?;
    ensure!(
        session.genesis() == Hash::from(file.genesis),
        "the order is for the network {}, and the node at {} is of {}",
        file.network,
        session.url(),
        session.chain().network
    );
    let confirmed_before = true;
    confirm(desk.person, &file.summary()?, "send it?", (desk.cli.yes, confirmed_before))?;
    place::send(desk, &session, &order, &[], waiting).await
}

fn read_order(path: &Path) -> Result<OrderFile> {
    let text = read_text(path)?;
    OrderFile::parse(&text).with_context(|| format!("cannot use the order in {}", path.display()))
}

fn read_genesis(path: &Path) -> Result<Genesis> {
    Ok(Genesis::from_json(&read_text(path)?)?)
}

/// A file's text, or standard input's.
///
/// # Errors
/// A sentence with its path.
pub fn read_text(path: &Path) -> Result<String> {
    let about = || format!("cannot read {}", path.display());
    // Sized for the words of a key, which may be what is read: a string that grows leaves copies behind.
    let mut text = String::with_capacity(8 * 1024);
    let reader: Box<dyn Read> = match path.to_str() {
        Some("-") => Box::new(io::stdin().lock()),
        _ => Box::new(File::open(path).with_context(about)?),
    };
    let length = reader.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).with_context(about)?;
    ensure!(
        u64::try_from(length)? <= MAX_FILE_BYTES,
        "{} is longer than {MAX_FILE_BYTES} bytes",
        path.display()
    );
    Ok(text)
}
