//! BIP-340's own vectors: signing, verifying, and verifying in batches.

use printsy_consensus::{Hash, PublicKey, SecretKey, Signature, Signed, verify_batch};

struct Vector {
    index: String,
    secret: Option<[u8; 32]>,
    public: PublicKey,
    auxiliary: Option<[u8; 32]>,
    message: Vec<u8>,
    signature: Signature,
    holds: bool,
}

fn fixed<const N: usize>(text: &str) -> Option<[u8; N]> {
    let bytes = hex::decode(text).expect("hex");
    bytes.try_into().ok()
}

fn vectors() -> Vec<Vector> {
    let parse = |line: &str| {
        let field: Vec<&str> = line.split(',').collect();
        Vector {
            index: field[0].to_owned(),
            secret: fixed(field[1]),
            public: PublicKey(fixed(field[2]).expect("32 bytes")),
            auxiliary: fixed(field[3]),
            message: hex::decode(field[4]).expect("hex"),
            signature: fixed(field[5]).expect("64 bytes"),
            holds: field[6] == "TRUE",
        }
    };
    include_str!("bip340.csv").lines().skip(1).map(parse).collect()
}

/// The vectors over messages of 32 bytes, as all of the protocol's are.
fn short() -> Vec<(Vector, Hash)> {
    let message = |vector: &Vector| Some(Hash(vector.message.clone().try_into().ok()?));
    vectors().into_iter().filter_map(|vector| message(&vector).map(|message| (vector, message))).collect()
}

fn signed((vector, message): &(Vector, Hash)) -> Signed<'_> {
    Signed { key: &vector.public, message: *message, signature: &vector.signature }
}

#[test]
fn every_vector_verifies_or_not_as_published() {
    let all = vectors();
    assert_eq!(all.len(), 19);
    for vector in all {
        let holds = vector.public.verify_bytes(&vector.message, &vector.signature);
        assert_eq!(holds, vector.holds, "vector {}", vector.index);
    }
}

#[test]
fn every_secret_signs_as_published() {
    let mut signed = 0;
    for vector in vectors() {
        let (Some(secret), Some(auxiliary)) = (vector.secret, vector.auxiliary) else { continue };
        let key = SecretKey::from_bytes(&secret).unwrap();
        assert_eq!(key.public_key(), vector.public, "vector {}", vector.index);
        assert_eq!(key.sign_bytes(&vector.message, &auxiliary), vector.signature, "vector {}", vector.index);
        signed += 1;
    }
    assert_eq!(signed, 8);
}

#[test]
fn a_batch_of_one_says_what_verify_says() {
    let all = short();
    assert_eq!(all.len(), 15);
    for pair in &all {
        assert_eq!(verify_batch(&[signed(pair)]), pair.0.holds, "vector {}", pair.0.index);
        assert_eq!(pair.0.public.verify(&pair.1, &pair.0.signature), pair.0.holds, "vector {}", pair.0.index);
    }
}

#[test]
fn a_batch_of_good_ones_holds_and_one_bad_one_anywhere_fails_it() {
    let all = short();
    let good: Vec<Signed<'_>> = all.iter().filter(|pair| pair.0.holds).map(signed).collect();
    assert!(good.len() >= 5);
    assert!(verify_batch(&[]));
    assert!(verify_batch(&good));
    for bad in all.iter().filter(|pair| !pair.0.holds) {
        for place in 0..=good.len() {
            let mut batch = good.clone();
            batch.insert(place, signed(bad));
            assert!(!verify_batch(&batch), "vector {} at {place}", bad.0.index);
        }
    }
}

/// Two signatures whose errors cancel out when simply added: the coefficients must tell.
#[test]
fn errors_that_cancel_out_do_not_pass_a_batch() {
    let key = SecretKey::development("alice");
    let public = key.public_key();
    let messages = [Hash([1; 32]), Hash([2; 32])];
    let good = messages.map(|message| key.sign(&message));
    let (mut up, mut down) = (good[0], good[1]);
    // s of the first grows by 256, s of the second shrinks by as much, away from any carry.
    for (signature, step) in [(&mut up, 1u8), (&mut down, 255)] {
        let byte = signature[62];
        signature[62] = byte.wrapping_add(step);
        assert!(byte < 255 || step != 1, "choose other messages: this one carries");
        assert!(byte > 0 || step != 255, "choose other messages: this one borrows");
    }
    let batch = |signatures: [&Signature; 2]| {
        verify_batch(&[
            Signed { key: &public, message: messages[0], signature: signatures[0] },
            Signed { key: &public, message: messages[1], signature: signatures[1] },
        ])
    };
    assert!(batch([&good[0], &good[1]]));
    assert!(!batch([&up, &down]));
}

#[test]
fn keys_off_the_curve_are_known() {
    let off = ["5", "14"];
    for vector in vectors() {
        assert_eq!(vector.public.is_on_curve(), !off.contains(&&*vector.index), "vector {}", vector.index);
    }
}

#[test]
fn a_secret_is_one_to_the_order_less_one() {
    let order = fixed("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141").unwrap();
    let mut last = order;
    last[31] -= 1;
    let mut first = [0; 32];
    first[31] = 1;
    assert!(SecretKey::from_bytes(&[0; 32]).is_err());
    assert!(SecretKey::from_bytes(&first).is_ok());
    assert!(SecretKey::from_bytes(&last).is_ok());
    assert!(SecretKey::from_bytes(&order).is_err());
}
