//! C1 to C4: bytes that are no value, and those that just are.

use std::fmt::Debug;

use printsy_consensus::codec::{self, Decode, DecodeError, Encode};
use printsy_consensus::{
    Account, Action, Admission, Block, Body, Catalogue, Edition, Entry, Fault, GenesisMiner, Hash, Header,
    Line, MAX_LINES, MAX_TRANSACTION_BYTES, Miner, Params, Position, Proof, PublicKey, Rule, SignedHeader,
    StateKey, StateRow, Supply, Terminal, Transaction,
};

use crate::support::chain::{self, purchase, review};
use crate::support::{base_params, key, public};

fn signed(action: Action) -> Transaction {
    Body { sender: public("alice"), reference: [7; 16], expires_at: 9, action }
        .sign(&Hash([1; 32]), &key("alice"))
}

/// One transaction of each action, with every list and number somewhere in its range.
fn one_of_each_action() -> Vec<Transaction> {
    let lines: Vec<(u64, u32)> = (0..3).map(|image| (image, 2)).collect();
    let actions = [
        purchase(&lines, u64::MAX),
        review(3, 5, "gut \u{e9}\n".as_bytes()),
        chain::transfer("bob", 1),
        chain::issue("bob", u64::MAX),
        chain::redeem(5),
        chain::list(1, "bob", 7, 3),
        chain::register_miner("miner-4"),
        chain::revoke_miner("miner-4"),
        chain::admit("bob"),
        chain::expel("bob"),
    ];
    actions.into_iter().map(signed).collect()
}

fn block_of(transactions: &[Transaction]) -> Vec<u8> {
    let header = Header::from_bytes(&[3; 160]);
    chain::bytes_of(&SignedHeader { header, signature: [4; 64] }, transactions)
}

fn refusal<T: Decode<()> + Debug>(bytes: &[u8]) -> (Rule, Fault) {
    let error = codec::decode::<T>(bytes).expect_err("no value");
    (error.rule(), error.fault())
}

/// All that `decode` promises of a valid value: it is itself, any cut of it is C1, anything after it is C4.
fn whole_and_nothing_else<T: Decode<()> + Encode + Debug + PartialEq>(value: &T) {
    let bytes = codec::encode(value);
    assert_eq!(&codec::decode::<T>(&bytes).expect("its own bytes"), value);
    for end in 0..bytes.len() {
        assert_eq!(codec::decode::<T>(&bytes[..end]), Err(DecodeError::Truncated), "cut at {end}");
    }
    for extra in [1, 2, 100] {
        let mut longer = bytes.clone();
        longer.resize(bytes.len() + extra, 0);
        assert_eq!(codec::decode::<T>(&longer), Err(DecodeError::Trailing { extra }));
        assert_eq!(codec::decode_prefix::<T>(&longer).expect("it begins with a value").1, bytes.len());
    }
}

fn edition(last: Option<Position>) -> Edition {
    Edition { sold: 3, editions: 5, price: 9, seller: public("bob"), last, ..Edition::default() }
}

#[test]
fn c1_accepts_whole_values_of_every_kind_and_refuses_every_cut() {
    one_of_each_action().iter().for_each(whole_and_nothing_else);
    whole_and_nothing_else(&codec::decode::<Block>(&block_of(&one_of_each_action())).unwrap());
    whole_and_nothing_else(&base_params());
    let at = Position { height: 1, index: 2 };
    whole_and_nothing_else(&edition(Some(at)));
    whole_and_nothing_else(&edition(None));
    whole_and_nothing_else(&Account { balance: 1, admitted: true, transactions: 2, last: at });
    whole_and_nothing_else(&Supply { issued: 2, redeemed: 1 });
    let name = b"a name".to_vec().try_into().unwrap();
    let miner = Miner { name, registered_at: 1, blocks: 2, last_height: 3 };
    whole_and_nothing_else(&miner);
    whole_and_nothing_else(&StateRow {
        key: StateKey::Miner(public("bob")),
        entry: Some(Entry::Miner(miner)),
    });
    whole_and_nothing_else(&StateRow { key: StateKey::Edition(4), entry: None });
    let value = vec![1, 2, 3].try_into().unwrap();
    let terminal = Terminal::Leaf { path: Hash([5; 32]), value };
    whole_and_nothing_else(&Proof { siblings: vec![Hash([6; 32])].try_into().unwrap(), terminal });
}

#[test]
fn c1_refuses_every_cut_of_a_transaction_as_the_senders_fault() {
    for tx in one_of_each_action() {
        let bytes = codec::encode(&tx);
        for end in 0..bytes.len() {
            assert_eq!(refusal::<Transaction>(&bytes[..end]), (Rule::C1, Fault::Sender));
        }
    }
}

/// The largest count in the smallest message: refused for what is missing, not believed.
#[test]
fn c1_refuses_a_block_that_claims_more_than_it_brings() {
    let mut bytes = block_of(&[]);
    let count = bytes.len() - 4;
    bytes[count..].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(refusal::<Block>(&bytes), (Rule::C1, Fault::Sender));
    bytes[count..].copy_from_slice(&1u32.to_le_bytes());
    assert_eq!(refusal::<Block>(&bytes), (Rule::C1, Fault::Sender));
}

/// The bytes of a transaction before its action's tag, then what is given, then far more than enough zeros.
fn action_bytes(action: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 56];
    bytes.extend_from_slice(action);
    bytes.resize(bytes.len() + 70_000 * 12, 0);
    bytes
}

fn refused_action(action: &[u8]) -> Option<Rule> {
    codec::decode_prefix::<Transaction>(&action_bytes(action)).err().map(DecodeError::rule)
}

fn counted(tag: u8, before: usize, count: u16) -> Vec<u8> {
    let mut action = vec![tag];
    action.resize(1 + before, 0);
    action.extend_from_slice(&count.to_le_bytes());
    action
}

#[test]
fn c2_accepts_lists_of_their_maximum() {
    for (tag, before, max) in [(0, 0, 256), (1, 9, 1_024), (6, 32, 32)] {
        assert_eq!(refused_action(&counted(tag, before, max)), None, "action {tag}");
    }
    let lines: Vec<(u64, u32)> = (0..256).map(|image| (image, 1)).collect();
    let largest = signed(purchase(&lines, 0));
    assert_eq!(codec::encode(&largest).len(), MAX_TRANSACTION_BYTES);
    whole_and_nothing_else(&Proof {
        siblings: vec![Hash::ZERO; 256].try_into().unwrap(),
        terminal: Terminal::Leaf { path: Hash::ZERO, value: vec![0; 1_024].try_into().unwrap() },
    });
}

#[test]
fn c2_refuses_lists_of_one_more() {
    for (tag, before, max) in [(0, 0, 256), (1, 9, 1_024), (6, 32, 32)] {
        assert_eq!(refused_action(&counted(tag, before, max + 1)), Some(Rule::C2), "action {tag}");
        assert_eq!(refused_action(&counted(tag, before, u16::MAX)), Some(Rule::C2), "action {tag}");
    }
    let error = codec::decode::<Proof>(&257u16.to_le_bytes()).unwrap_err();
    assert_eq!((error.rule(), error.fault()), (Rule::C2, Fault::Sender));
    let leaf = [&[0, 0, 1][..], &[0; 32], &1_025u16.to_le_bytes()].concat();
    assert_eq!(refusal::<Proof>(&leaf), (Rule::C2, Fault::Sender));
    assert_eq!(refusal::<Params>(&33u16.to_le_bytes()), (Rule::C2, Fault::Sender));
}

#[test]
fn c2_refuses_genesis_lists_of_one_more() {
    let bytes = codec::encode(&base_params());
    // Three miners of 32 + 2 + 7 bytes and their count end the bytes; one issuer and one registrar, each
    // with a count, stand before them.
    let miners = bytes.len() - 3 * 41 - 2;
    for (at, max) in [(miners, 1_024u16), (miners - 34, 16), (miners - 68, 16)] {
        let mut over = bytes.clone();
        over[at..at + 2].copy_from_slice(&(max + 1).to_le_bytes());
        assert_eq!(refusal::<Params>(&over), (Rule::C2, Fault::Sender), "at {at}");
        over[at..at + 2].copy_from_slice(&max.to_le_bytes());
        assert_ne!(refusal::<Params>(&over).0, Rule::C2, "at {at}");
    }
}

#[test]
fn c2_refuses_to_make_a_list_of_one_more() {
    assert!(codec::List::<Line, MAX_LINES>::try_from(vec![Line { image: 0, quantity: 1 }; 256]).is_ok());
    assert!(codec::List::<Line, MAX_LINES>::try_from(vec![Line { image: 0, quantity: 1 }; 257]).is_err());
}

#[test]
fn c3_accepts_every_known_tag() {
    for tag in 0..=9 {
        assert_eq!(refused_action(&[tag]), None, "action {tag}");
    }
    for tag in 0..=3 {
        let bytes = [&[tag][..], &[0; 80]].concat();
        assert!(codec::decode_prefix::<StateKey>(&bytes).is_ok(), "state key {tag}");
    }
    assert_eq!(codec::decode(&[0]), Ok(Catalogue::Open));
    assert_eq!(codec::decode(&[1]), Ok(Catalogue::Listed));
    assert_eq!(codec::decode(&[0]), Ok(Admission::Open));
    assert_eq!(codec::decode(&[1]), Ok(Admission::Registered));
}

#[test]
fn c3_refuses_every_other_tag() {
    for tag in 10..=255 {
        assert_eq!(refused_action(&[tag]), Some(Rule::C3), "action {tag}");
    }
    for tag in 4..=255u8 {
        let bytes = [&[tag][..], &[0; 80]].concat();
        let error = codec::decode_prefix::<StateKey>(&bytes).unwrap_err();
        assert_eq!((error.rule(), error.fault()), (Rule::C3, Fault::Sender));
    }
    for tag in 2..=255u8 {
        assert_eq!(refusal::<Catalogue>(&[tag]), (Rule::C3, Fault::Sender));
        assert_eq!(refusal::<Admission>(&[tag]), (Rule::C3, Fault::Sender));
        assert_eq!(refusal::<Terminal>(&[tag]), (Rule::C3, Fault::Sender));
        assert_eq!(refusal::<StateRow>(&[3, tag]), (Rule::C3, Fault::Sender));
        assert_eq!(refusal::<Option<Position>>(&[tag; 13]), (Rule::C3, Fault::Sender));
    }
}

/// A flag has two values: `admitted` of 2 would be a second encoding of an account.
#[test]
fn c3_refuses_flags_that_are_neither() {
    let mut bytes = codec::encode(&Account { balance: 1, admitted: true, ..Account::default() });
    assert_eq!(bytes[8], 1);
    for flag in 2..=255 {
        bytes[8] = flag;
        assert_eq!(refusal::<Account>(&bytes), (Rule::C3, Fault::Sender), "flag {flag}");
    }
}

#[test]
fn c4_accepts_nothing_after_a_value() {
    for tx in one_of_each_action() {
        assert_eq!(codec::decode(&codec::encode(&tx)), Ok(tx));
    }
}

#[test]
fn c4_refuses_one_byte_more() {
    for tx in one_of_each_action() {
        let bytes = [codec::encode(&tx), vec![0]].concat();
        assert_eq!(refusal::<Transaction>(&bytes), (Rule::C4, Fault::Sender));
    }
    let bytes = [block_of(&one_of_each_action()), vec![0]].concat();
    assert_eq!(refusal::<Block>(&bytes), (Rule::C4, Fault::Sender));
}

#[test]
fn integers_are_little_endian_and_lists_count_in_two_bytes() {
    let tx = signed(purchase(&[(0x0102_0304_0506_0708, 0x0a0b_0c0d)], 0x1112_1314_1516_1718));
    let bytes = codec::encode(&tx);
    assert_eq!(hex::encode(&bytes[48..56]), "0900000000000000");
    assert_eq!(hex::encode(&bytes[56..79]), "00010008070605040302010d0c0b0a1817161514131211");
    let miner = GenesisMiner { key: PublicKey([9; 32]), name: b"x".to_vec().try_into().unwrap() };
    assert_eq!(codec::encode(&miner)[32..], [1, 0, b'x']);
}

/// A key has one address: the letters carry four bits more than 32 bytes, and those are zero.
#[test]
fn an_address_is_the_only_one_of_its_key() {
    use bech32::primitives::iter::{ByteIterExt, Fe32IterExt};
    use bech32::{Bech32m, Fe32, Hrp};
    let key = public("alice");
    let letters: Vec<Fe32> = key.0.iter().copied().bytes_to_fes().collect();
    assert_eq!(letters.len(), 52);
    let hrp = Hrp::parse("prt").unwrap();
    let spell = |letters: &[Fe32]| -> String {
        letters.iter().copied().with_checksum::<Bech32m>(&hrp).chars().collect()
    };
    assert_eq!(spell(&letters), key.to_string());
    assert_eq!(spell(&letters).parse(), Ok(key));
    for bits in 1..16 {
        let mut other = letters.clone();
        other[51] = Fe32::try_from(letters[51].to_u8() | bits).unwrap();
        let text = spell(&other);
        let lax = bech32::primitives::decode::CheckedHrpstring::new::<Bech32m>(&text).unwrap();
        assert!(lax.byte_iter().eq(key.0), "to bech32 alone it is the same key");
        assert!(text.parse::<PublicKey>().is_err(), "{bits}");
    }
    let long = [letters.clone(), letters[..2].to_vec()].concat();
    for wrong in [&letters[..51], &letters[..50], &long] {
        assert!(spell(wrong).parse::<PublicKey>().is_err());
    }
}

#[test]
fn an_address_in_capitals_or_with_another_prefix_or_checksum_is_none() {
    use bech32::{Bech32, Bech32m, Hrp};
    let key = public("alice");
    let text = key.to_string();
    assert!(text.to_uppercase().parse::<PublicKey>().is_err());
    for (at, _) in text.char_indices() {
        let mut wrong = text.clone();
        wrong.replace_range(at..=at, if &text[at..=at] == "q" { "p" } else { "q" });
        assert!(wrong.parse::<PublicKey>().is_err(), "{wrong}");
    }
    let other = bech32::encode::<Bech32m>(Hrp::parse("bc").unwrap(), &key.0).unwrap();
    assert!(other.parse::<PublicKey>().is_err());
    let older = bech32::encode::<Bech32>(Hrp::parse("prt").unwrap(), &key.0).unwrap();
    assert!(older.parse::<PublicKey>().is_err());
}

#[test]
fn a_hash_is_64_lower_case_digits() {
    let text = "00ff".repeat(16);
    assert_eq!(text.parse::<Hash>().unwrap().to_string(), text);
    for wrong in
        [text.to_uppercase(), format!("{text}0"), text[1..].to_owned(), "zz".repeat(32), String::new()]
    {
        assert!(wrong.parse::<Hash>().is_err(), "{wrong}");
    }
}
