//! The published vectors of the standards that words, keys and addresses follow.
//!
//! BIP-39 and BIP-32 in the words' and keys' own types where these are all that can be seen (our passphrase is always
//! empty and no extended key leaves the crate), in the libraries' where the vectors ask for more.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use bip32::{Prefix, XPrv, XPub};
use bip39::{Language, Mnemonic};
use printsy_consensus::PublicKey;
use printsy_keys::{KeyPath, SecretKey, Words};

const BIP39: &str = include_str!("vectors/bip39.txt");
const BIP32: &str = include_str!("vectors/bip32.txt");
const BIP32_INVALID: &str = include_str!("vectors/bip32-invalid.txt");
const BIP350: &str = include_str!("vectors/bip350.txt");

/// The fields of each line that is no comment.
fn rows<const N: usize>(file: &'static str) -> Vec<[&'static str; N]> {
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split(" | ").collect::<Vec<_>>().try_into().unwrap()).collect()
}

#[test]
fn bip39_vectors_pass() {
    let vectors = rows::<4>(BIP39);
    assert_eq!(vectors.len(), 24);
    for [entropy, words, seed, root] in vectors {
        let mnemonic = Mnemonic::from_entropy_in(Language::English, &hex::decode(entropy).unwrap()).unwrap();
        assert_eq!(mnemonic.to_string(), words);
        let parsed = Words::parse(words).unwrap();
        assert_eq!(*parsed.text(), words);
        assert_eq!(parsed.count(), words.split(' ').count());
        let made = Mnemonic::parse_in(Language::English, words).unwrap().to_seed("TREZOR");
        assert_eq!(hex::encode(made), seed, "{words}");
        if root != "-" {
            assert_eq!(*XPrv::new(&made).unwrap().to_string(Prefix::XPRV), root);
        }
    }
}

#[test]
fn bip39_words_out_of_place_are_refused() {
    for [_, words, _, _] in rows::<4>(BIP39) {
        let words: Vec<&str> = words.split(' ').collect();
        // The last word holds the checksum: another one of the list fits in one case of 2^checksum-bits.
        let mut refused = 0;
        let others = ["abandon", "ability", "zoo", "ocean", "letter", "vivid", "noble", "kite"];
        for other in others {
            let mut changed = words.clone();
            *changed.last_mut().unwrap() = other;
            refused += usize::from(Words::parse(&changed.join(" ")).is_err() || changed == words);
        }
        assert!(refused >= others.len() - 2, "{refused}");
        for cut in 1..words.len() {
            let whole = matches!(cut, 12 | 15 | 18 | 21);
            assert!(Words::parse(&words[..cut].join(" ")).is_err() || whole, "{cut}");
        }
    }
}

#[test]
fn bip32_vectors_1_to_4_pass() {
    let vectors = rows::<5>(BIP32);
    assert_eq!(vectors.iter().filter(|[number, ..]| *number == "1").count(), 6);
    assert_eq!(vectors.len(), 17);
    for [_, seed, path, private, public] in vectors {
        let seed = hex::decode(seed).unwrap();
        let key = XPrv::derive_from_path(&seed, &path.parse().unwrap()).unwrap();
        assert_eq!(*key.to_string(Prefix::XPRV), private, "{path}");
        assert_eq!(key.public_key().to_string(Prefix::XPUB), public, "{path}");
        assert_eq!(private.parse::<XPrv>().unwrap(), key);
        // The address of a derived key is the x coordinate of its point.
        let ours = SecretKey::from_bytes(&key.to_bytes()).unwrap();
        assert_eq!(ours.public_key().0, key.public_key().to_bytes()[1..]);
    }
}

/// Whether a text is an extended key. The library leaves one rule to its users: a master key (depth 0) has neither a
/// parent's fingerprint nor a number. No extended key is ever read by this crate, so the rule stands here alone.
fn is_extended_key(text: &str) -> bool {
    let read = text.parse::<XPrv>().map(|key| key.attrs().clone());
    let read = read.or_else(|_| text.parse::<XPub>().map(|key| key.attrs().clone()));
    read.is_ok_and(|attrs| {
        attrs.depth > 0 || (attrs.parent_fingerprint == [0; 4] && attrs.child_number.0 == 0)
    })
}

#[test]
fn bip32_vector_5_is_refused() {
    let vectors = rows::<2>(BIP32_INVALID);
    assert_eq!(vectors.len(), 16);
    for [why, key] in vectors {
        assert!(!is_extended_key(key), "{why}: {key}");
    }
    for [_, _, _, private, public] in rows::<5>(BIP32) {
        assert!(is_extended_key(private) && is_extended_key(public));
    }
}

/// `\xNN` as the character of that number.
fn unescaped(text: &str) -> String {
    match text.strip_prefix("\\x") {
        Some(rest) => {
            let byte = u8::from_str_radix(&rest[..2], 16).unwrap();
            format!("{}{}", char::from(byte), &rest[2..])
        }
        None => text.to_owned(),
    }
}

#[test]
fn bip350_vectors_pass() {
    let vectors = rows::<3>(BIP350);
    assert_eq!(vectors.len(), 21);
    for [verdict, text, why] in vectors {
        let error = unescaped(text).parse::<PublicKey>().unwrap_err().to_string();
        // None of them is an address of ours: what is refused in a valid one is its prefix, and that alone.
        let is_bech32m = error.ends_with("another prefix");
        assert_eq!(is_bech32m, verdict == "valid", "{text} ({why}): {error}");
    }
}

#[test]
fn an_address_is_bech32m_and_not_bech32() {
    let address = SecretKey::development("alice").public_key().to_string();
    assert!(address.parse::<PublicKey>().is_ok());
    for at in 4..address.len() {
        for other in "qpzry9x8gf2tvdw0s3jn54khce6mua7l".chars() {
            let mut changed: Vec<char> = address.chars().collect();
            changed[at] = other;
            let changed: String = changed.into_iter().collect();
            assert!(changed == address || changed.parse::<PublicKey>().is_err(), "{changed}");
        }
    }
}

/// The path of this wallet, frozen: `abandon ... about` (no passphrase) at its first two keys and in its second account.
#[test]
fn the_wallet_s_path_is_frozen() {
    let words = Words::parse(&format!("{}about", "abandon ".repeat(11))).unwrap();
    let master = XPrv::new(&Mnemonic::parse(&*words.text()).unwrap().to_seed("")).unwrap();
    let by_hand = |account: u32, index: u32| {
        let path = format!("m/44'/7369332'/{account}'/0/{index}").parse().unwrap();
        let numbers: bip32::DerivationPath = path;
        let key = numbers.iter().try_fold(master.clone(), |key, number| key.derive_child(number)).unwrap();
        SecretKey::from_bytes(&key.to_bytes()).unwrap().public_key().to_string()
    };
    for (account, index, address) in FROZEN {
        let path = KeyPath::new(account, index).unwrap();
        assert_eq!(by_hand(account, index), address, "{path}");
        assert_eq!(words.key(path).unwrap().public_key().to_string(), address, "{path}");
    }
}

/// Made by an independent model of BIP-39, BIP-32 and BIP-350.
const FROZEN: [(u32, u32, &str); 3] = [
    (0, 0, "prt1cyg3w3p2lnj9flknm9sh2xzurpupl8yr30htskyt7mpd270zn8sqkvkqja"),
    (0, 1, "prt1mtg4skmj8x5e44lxuag9pj3th73castrzje5sjxus2uwl6908v5qw9ghen"),
    (1, 0, "prt1wd8l0hylmja0t8d7rrvellzcq3ydckveak0e5mlnxcnvfvfdwd4sunhkaf"),
];
