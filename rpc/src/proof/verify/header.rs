//! A header by itself: its work, its miner's signature, and who says that the miner may make blocks.

use printsy_consensus::{
    Action, CheckedHeader, Genesis, Hash, Header, PublicKey, SignedHeader, Target, Work,
};

use super::{ProofRefused, Trust, names_miner, transaction};
use crate::proof::ProvenBlock;

/// A header that holds by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedBlock {
    /// Its height.
    pub height: u64,
    /// Its id.
    pub id: Hash,
    /// Its time, in milliseconds since 1970.
    pub time: u64,
    /// Who signed it; nobody block 0.
    pub miner: PublicKey,
    /// What the miner is called, by whoever registered it.
    pub miner_name: Option<String>,
    /// The work in it.
    pub work: Work,
}

/// Checks a header by itself: block 0 is the network's own; any other carries work and the signature of a key that the
/// genesis names, or that a registrar of the genesis has registered by its signature.
pub(super) fn verify_block(
    genesis: &Genesis,
    told: &ProvenBlock,
    trust: &Trust,
) -> Result<(Header, VerifiedBlock), ProofRefused> {
    let header = Header::from_bytes(&told.header.0);
    let signed = SignedHeader { header, signature: told.signature.0 };
    let id = header.id();
    let refused = |why: String| ProofRefused::Header { height: header.height, why };
    let miner_name = if header.height == 0 {
        if signed != *genesis.header() || told.registration.is_some() {
            return Err(refused("it is not the network's block 0".to_owned()));
        }
        None
    } else {
        verify_work(genesis, signed).map_err(refused)?;
        Some(verify_miner(genesis, &header.miner, told)?)
    };
    if !trust.blocks.is_empty() && !trust.blocks.contains(&id) {
        return Err(ProofRefused::UnknownBlock { id, height: header.height });
    }
    let work = Target::from_bits(header.bits).map_or_else(Work::default, Target::work);
    let block =
        VerifiedBlock { height: header.height, id, time: header.time, miner: header.miner, miner_name, work };
    Ok((header, block))
}

/// H1, H5, H8; the work is no less than the network's least, and the time no earlier than the network's least spacing
/// allows.
fn verify_work(genesis: &Genesis, signed: SignedHeader) -> Result<(), String> {
    let (params, header) = (genesis.params(), &signed.header);
    CheckedHeader::check(signed).map_err(|error| error.to_string())?;
    let target = |bits| Target::from_bits(bits).ok_or("its bits are no target");
    if target(header.bits)?.to_be_bytes() > target(params.bits)?.to_be_bytes() {
        return Err("its target is easier than the network's easiest".to_owned());
    }
    let earliest = u128::from(params.time) + u128::from(params.min_interval_ms) * u128::from(header.height);
    if u128::from(header.time) < earliest {
        return Err("its time is earlier than so many blocks can have been made".to_owned());
    }
    Ok(())
}

/// The miner's name: the genesis', or that of the registrar's signed transaction.
fn verify_miner(genesis: &Genesis, miner: &PublicKey, told: &ProvenBlock) -> Result<String, ProofRefused> {
    let height = Header::from_bytes(&told.header.0).height;
    let refused = |why: &str| ProofRefused::Header { height, why: why.to_owned() };
    let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    let params = genesis.params();
    match (&told.registration, names_miner(params, miner)) {
        (None, true) => {
            let named = params.miners.iter().find(|named| named.key == *miner);
            Ok(named.map_or_else(|| "a registrar".to_owned(), |named| text(&named.name)))
        }
        (Some(bytes), false) => {
            let registration = transaction(genesis, bytes.as_bytes())?;
            match &registration.body.action {
                Action::RegisterMiner { miner: named, name }
                    if named == miner && params.is_registrar(&registration.body.sender) =>
                {
                    Ok(text(name))
                }
                _ => Err(refused("the registration that comes with it is not of its miner by a registrar")),
            }
        }
        (None, false) => Err(refused("nothing shows that its miner was registered")),
        (Some(_), true) => Err(refused("a registration comes with it that it does not need")),
    }
}
