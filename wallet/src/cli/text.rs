//! Single words of the command line: an item of a cart, a price, an account, where a password is.

use std::path::PathBuf;
use std::str::FromStr;

use printsy_consensus::PublicKey;
use printsy_keys::{KeyError, KeySource, Keyring, check_name};
use printsy_rpc::text::MAX_SAFE_INTEGER;

/// One item of a cart as it is written: `25` or `25:2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// The image.
    pub image: u64,
    /// How many editions, if it says.
    pub quantity: Option<u32>,
}

impl FromStr for Item {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (image, quantity) = match text.split_once(':') {
            Some((image, quantity)) => (image, Some(quantity)),
            None => (text, None),
        };
        let image = read_image(image).ok_or("an image is a number, such as 25 or 25:2")?;
        let quantity = quantity.map(|text| text.parse().ok().filter(|quantity| *quantity >= 1));
        match quantity {
            Some(None) => Err("a quantity is a number of at least 1, such as in 25:2".to_owned()),
            Some(quantity) => Ok(Self { image, quantity }),
            None => Ok(Self { image, quantity: None }),
        }
    }
}

/// What one edition of an image costs, as it is written: `25=250`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    /// The image.
    pub image: u64,
    /// What one edition costs.
    pub price: u64,
}

impl FromStr for Price {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read =
            text.split_once('=').and_then(|(image, price)| Some((read_image(image)?, price.parse().ok()?)));
        let (image, price) = read.ok_or("a price is an image and an amount, such as 25=250")?;
        Ok(Self { image, price })
    }
}

fn read_image(text: &str) -> Option<u64> {
    text.parse().ok().filter(|image| *image <= MAX_SAFE_INTEGER)
}

/// An account as it is written: an address, the name of a key of yours, or `dev:NAME` on a development network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Account {
    /// An address.
    Address(PublicKey),
    /// A name in the user's ring.
    Name(String),
    /// A development key.
    Development(KeySource),
}

impl FromStr for Account {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("dev:") {
            return KeySource::parse(text).map(Self::Development).map_err(|error| error.to_string());
        }
        if !text.starts_with("prt1") && check_name(text).is_ok() {
            return Ok(Self::Name(text.to_owned()));
        }
        let key: PublicKey = text.parse().map_err(|error| format!("{error}"))?;
        if key.is_on_curve() { Ok(Self::Address(key)) } else { Err("no key has this address".to_owned()) }
    }
}

impl Account {
    /// The account's key on `network`; names are looked up in `ring`.
    ///
    /// # Errors
    /// [`KeyError::NotDevelopment`] for a development key on another network; what the ring says of a name.
    pub fn on(&self, network: &str, ring: Option<&Keyring>) -> Result<PublicKey, KeyError> {
        match self {
            Self::Address(key) => Ok(*key),
            Self::Name(name) => Ok(ring.ok_or(KeyError::NoHome)?.read(name)?.address()),
            Self::Development(source) => source.address(network),
        }
    }
}

/// Where a password is: never in an argument or the environment, which other programs can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordFrom {
    /// The one line of this file.
    File(PathBuf),
    /// The next line of standard input.
    Input,
}

impl FromStr for PasswordFrom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("expected a path, or - for standard input".to_owned()),
            "-" => Ok(Self::Input),
            path => Ok(Self::File(path.into())),
        }
    }
}

pub(super) fn image() -> clap::builder::RangedU64ValueParser<u64> {
    clap::value_parser!(u64).range(..=MAX_SAFE_INTEGER)
}

pub(super) fn amount() -> clap::builder::RangedU64ValueParser<u64> {
    clap::value_parser!(u64).range(1..)
}
