//! Genesis: the file that names a network, rules G1 to G10, and block 0 (protocol section 7).
//!
//! A [`Genesis`] has passed every G rule: its fields are private and `new` and `from_json` are its only makers. Unknown
//! keys of the file are errors, since a misspelt rule would make another network. What the parameters mean stands in
//! `params`.

use serde::{Deserialize, Serialize};

use crate::check::is_name;
use crate::codec;
use crate::hash::{Hash, Tag, tagged};
use crate::header::{Header, SignedHeader, VERSION};
use crate::key::PublicKey;
use crate::params::{Admission, Catalogue, GenesisMiner, Params};
use crate::rule::Rule;
use crate::state::{Entry, Miner, StateKey, StateRow, StateTree, Supply};
use crate::target::Target;

/// A genesis that no network can begin with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// The file is not the JSON that is asked for.
    #[error("the genesis file cannot be read: {0}")]
    Json(String),
    /// A value breaks a rule.
    #[error("{rule}: {what}")]
    Rule {
        /// Which of G1 to G10.
        rule: Rule,
        /// What is wrong with which value.
        what: String,
    },
}

impl GenesisError {
    fn new(rule: Rule, what: impl Into<String>) -> Self {
        Self::Rule { rule, what: what.into() }
    }
}

/// A network's beginning: parameters that passed every G rule, and what follows from them.
#[derive(Clone, Debug)]
pub struct Genesis {
    params: Params,
    header: SignedHeader,
    hash: Hash,
    state: StateTree,
}

impl Genesis {
    /// The genesis that `json` describes.
    ///
    /// # Errors
    /// [`GenesisError`] with the key or the rule that is wrong.
    pub fn from_json(json: &str) -> Result<Self, GenesisError> {
        let file: GenesisFile =
            serde_json::from_str(json).map_err(|error| GenesisError::Json(error.to_string()))?;
        Self::new(file.into_params()?)
    }

    /// The genesis of these parameters.
    ///
    /// # Errors
    /// The first of G1 to G10 that they break.
    pub fn new(params: Params) -> Result<Self, GenesisError> {
        check_params(&params)?;
        let state = genesis_state(&params);
        let header = Header {
            version: VERSION,
            parent: Hash::ZERO,
            transactions_root: tagged(Tag::Genesis, &[&codec::encode(&params)]),
            state_root: state.root(),
            height: 0,
            time: params.time,
            bits: params.bits,
            miner: PublicKey::NONE,
            nonce: 0,
        };
        let hash = header.id();
        Ok(Self { params, header: SignedHeader { header, signature: [0; 64] }, hash, state })
    }

    /// The parameters.
    #[must_use]
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Block 0's header; its signature is zero.
    #[must_use]
    pub fn header(&self) -> &SignedHeader {
        &self.header
    }

    /// Block 0's id: the network's identity.
    #[must_use]
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// The state that block 0 leaves.
    #[must_use]
    pub fn state(&self) -> &StateTree {
        &self.state
    }

    /// The file that describes this genesis, as JSON.
    ///
    /// # Panics
    /// Never: names were checked to be ASCII, and plain data serialises.
    #[must_use]
    pub fn to_json(&self) -> String {
        let file = GenesisFile::from_params(&self.params);
        serde_json::to_string_pretty(&file).expect("plain data serialises")
    }
}

/// The rows of the state that block 0 leaves: the supply, and the miners.
pub fn genesis_rows(params: &Params) -> impl Iterator<Item = StateRow> + '_ {
    let supply = StateRow { key: StateKey::Supply, entry: Some(Entry::Supply(Supply::default())) };
    let miners = params.miners.iter().map(|miner| StateRow {
        key: StateKey::Miner(miner.key),
        entry: Some(Entry::Miner(Miner { name: miner.name.clone(), ..Miner::default() })),
    });
    std::iter::once(supply).chain(miners)
}

fn genesis_state(params: &Params) -> StateTree {
    let changes = genesis_rows(params)
        .map(|row| (row.key.path(), row.entry.map(|entry| codec::encode(&entry).into_boxed_slice())));
    StateTree::default().update(changes)
}

/// G1 to G10: the table of contents.
fn check_params(params: &Params) -> Result<(), GenesisError> {
    check_network(params)?;
    check_counts(params)?;
    check_times(params)?;
    check_bits(params)?;
    check_depths(params)?;
    check_block_bytes(params)?;
    check_keys(params)?;
    check_names(params)?;
    check_admission(params)?;
    check_future(params)
}

fn require(rule: Rule, holds: bool, what: impl Into<String>) -> Result<(), GenesisError> {
    if holds { Ok(()) } else { Err(GenesisError::new(rule, what)) }
}

/// G1: network is 1 to 32 of `[a-z0-9-]`.
fn check_network(params: &Params) -> Result<(), GenesisError> {
    let allowed = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
    let holds = (1..=32).contains(&params.network.len()) && params.network.iter().all(allowed);
    require(Rule::G1, holds, "network is 1 to 32 of a-z, 0-9 and -")
}

/// G2: 1 <= maxImages <= 2^53, 1 <= maxEditions <= 1,000,000.
fn check_counts(params: &Params) -> Result<(), GenesisError> {
    let images = (1..=1 << 53).contains(&params.max_images);
    require(Rule::G2, images, format!("maxImages is 1 to 2^53, got {}", params.max_images))?;
    let editions = (1..=1_000_000).contains(&params.max_editions);
    require(Rule::G2, editions, format!("maxEditions is 1 to 1000000, got {}", params.max_editions))
}

/// G3: 1 <= minInterval <= targetInterval <= halfLife <= 2^40.
fn check_times(params: &Params) -> Result<(), GenesisError> {
    let (min, target, half) = (params.min_interval_ms, params.target_interval_ms, params.half_life_ms);
    let holds = 1 <= min && min <= target && target <= half && half <= 1 << 40;
    let got = format!("got {min}, {target}, {half}");
    require(Rule::G3, holds, format!("1 <= minIntervalMs <= targetIntervalMs <= halfLifeMs <= 2^40, {got}"))
}

/// G4: bits canonical, 0 < target < 2^256.
fn check_bits(params: &Params) -> Result<(), GenesisError> {
    let what = || format!("bits is the canonical compact form of a target, got {:08x}", params.bits);
    require(Rule::G4, Target::from_bits(params.bits).is_some(), what())
}

/// G5: finalityDepth >= 1, 1 <= maxValidity <= 100,000.
fn check_depths(params: &Params) -> Result<(), GenesisError> {
    require(Rule::G5, params.finality_depth >= 1, "finalityDepth is at least 1")?;
    let validity = (1..=100_000).contains(&params.max_validity);
    require(Rule::G5, validity, format!("maxValidity is 1 to 100000, got {}", params.max_validity))
}

/// G6: 65,536 <= maxBlockBytes <= 67,108,864.
fn check_block_bytes(params: &Params) -> Result<(), GenesisError> {
    let holds = (65_536..=67_108_864).contains(&params.max_block_bytes);
    require(Rule::G6, holds, format!("maxBlockBytes is 65536 to 67108864, got {}", params.max_block_bytes))
}

/// G7: at least one registrar and one miner, keys valid, none twice in a list, lists within bounds. (The
/// bounds are the lists' own: a longer one cannot be held.)
fn check_keys(params: &Params) -> Result<(), GenesisError> {
    require(Rule::G7, !params.registrars.is_empty(), "there is at least one registrar")?;
    require(Rule::G7, !params.miners.is_empty(), "there is at least one miner")?;
    let miners: Vec<PublicKey> = params.miners.iter().map(|miner| miner.key).collect();
    for (name, keys) in
        [("registrars", &*params.registrars), ("issuers", &*params.issuers), ("miners", &miners)]
    {
        let valid = keys.iter().all(PublicKey::is_on_curve);
        require(Rule::G7, valid, format!("an address in {name} is not a valid key"))?;
        let mut sorted = keys.to_vec();
        sorted.sort_unstable();
        let distinct = sorted.windows(2).all(|pair| pair[0] != pair[1]);
        require(Rule::G7, distinct, format!("an address stands twice in {name}"))?;
    }
    Ok(())
}

/// G8: miners' names as T12.
fn check_names(params: &Params) -> Result<(), GenesisError> {
    let holds = params.miners.iter().all(|miner| is_name(&miner.name));
    require(Rule::G8, holds, "a miner's name is 1 to 32 printable ASCII characters, no space at either end")
}

/// G9: admission is `open` only where network begins `dev-`.
fn check_admission(params: &Params) -> Result<(), GenesisError> {
    let holds = params.admission == Admission::Registered || params.is_development();
    require(Rule::G9, holds, "admission is open only where network begins dev-")
}

/// G10: minInterval <= maxFuture <= 2^40.
fn check_future(params: &Params) -> Result<(), GenesisError> {
    let holds = (params.min_interval_ms..=1 << 40).contains(&params.max_future_ms);
    require(Rule::G10, holds, format!("minIntervalMs <= maxFutureMs <= 2^40, got {}", params.max_future_ms))
}

/// genesis.json, as people write it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GenesisFile {
    network: String,
    time: u64,
    max_images: u64,
    max_editions: u32,
    max_per_account: u32,
    catalogue: CatalogueText,
    admission: AdmissionText,
    target_interval_ms: u64,
    min_interval_ms: u64,
    half_life_ms: u64,
    bits: String,
    finality_depth: u32,
    max_validity: u32,
    max_block_bytes: u32,
    max_per_sender: u32,
    miner_spacing: u32,
    max_future_ms: u64,
    registrars: Vec<String>,
    issuers: Vec<String>,
    miners: Vec<MinerText>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum CatalogueText {
    Open,
    Listed,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum AdmissionText {
    Open,
    Registered,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MinerText {
    key: String,
    name: String,
}

impl GenesisFile {
    fn into_params(self) -> Result<Params, GenesisError> {
        let miners = self.miners.into_iter().map(|miner| {
            let name = miner.name.into_bytes().try_into();
            let name =
                name.map_err(|_| GenesisError::new(Rule::G8, "a miner's name has at most 32 bytes"))?;
            Ok(GenesisMiner { key: parse_key(&miner.key)?, name })
        });
        let miners = miners.collect::<Result<Vec<_>, GenesisError>>()?.try_into();
        let network = self.network.into_bytes().try_into();
        Ok(Params {
            network: network.map_err(|_| GenesisError::new(Rule::G1, "network has at most 32 characters"))?,
            time: self.time,
            max_images: self.max_images,
            max_editions: self.max_editions,
            max_per_account: self.max_per_account,
            catalogue: match self.catalogue {
                CatalogueText::Open => Catalogue::Open,
                CatalogueText::Listed => Catalogue::Listed,
            },
            admission: match self.admission {
                AdmissionText::Open => Admission::Open,
                AdmissionText::Registered => Admission::Registered,
            },
            target_interval_ms: self.target_interval_ms,
            min_interval_ms: self.min_interval_ms,
            half_life_ms: self.half_life_ms,
            bits: parse_bits(&self.bits)?,
            finality_depth: self.finality_depth,
            max_validity: self.max_validity,
            max_block_bytes: self.max_block_bytes,
            max_per_sender: self.max_per_sender,
            miner_spacing: self.miner_spacing,
            max_future_ms: self.max_future_ms,
            registrars: parse_keys(&self.registrars, "registrars")?,
            issuers: parse_keys(&self.issuers, "issuers")?,
            miners: miners.map_err(|_| GenesisError::new(Rule::G7, "there are at most 1024 miners"))?,
        })
    }

    fn from_params(params: &Params) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let addresses = |keys: &[PublicKey]| keys.iter().map(ToString::to_string).collect();
        Self {
            network: params.network_name(),
            time: params.time,
            max_images: params.max_images,
            max_editions: params.max_editions,
            max_per_account: params.max_per_account,
            catalogue: match params.catalogue {
                Catalogue::Open => CatalogueText::Open,
                Catalogue::Listed => CatalogueText::Listed,
            },
            admission: match params.admission {
                Admission::Open => AdmissionText::Open,
                Admission::Registered => AdmissionText::Registered,
            },
            target_interval_ms: params.target_interval_ms,
            min_interval_ms: params.min_interval_ms,
            half_life_ms: params.half_life_ms,
            bits: format!("{:08x}", params.bits),
            finality_depth: params.finality_depth,
            max_validity: params.max_validity,
            max_block_bytes: params.max_block_bytes,
            max_per_sender: params.max_per_sender,
            miner_spacing: params.miner_spacing,
            max_future_ms: params.max_future_ms,
            registrars: addresses(&params.registrars),
            issuers: addresses(&params.issuers),
            miners: params
                .miners
                .iter()
                .map(|miner| MinerText { key: miner.key.to_string(), name: text(&miner.name) })
                .collect(),
        }
    }
}

fn parse_bits(text: &str) -> Result<u32, GenesisError> {
    let digits = text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let bits = if digits { u32::from_str_radix(text, 16).ok() } else { None };
    bits.ok_or_else(|| GenesisError::new(Rule::G4, format!("bits is 8 lower-case hex digits, got {text:?}")))
}

fn parse_key(text: &str) -> Result<PublicKey, GenesisError> {
    text.parse().map_err(|error| GenesisError::new(Rule::G7, format!("{error}")))
}

fn parse_keys<const MAX: usize>(
    texts: &[String],
    name: &str,
) -> Result<codec::List<PublicKey, MAX>, GenesisError> {
    let keys = texts.iter().map(|text| parse_key(text)).collect::<Result<Vec<_>, _>>()?;
    keys.try_into().map_err(|_| GenesisError::new(Rule::G7, format!("there are at most {MAX} {name}")))
}
