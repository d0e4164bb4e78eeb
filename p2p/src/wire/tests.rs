//! Laws of the bytes: one value, one encoding; nothing else is accepted; nothing panics.

use super::*;
use crate::limits::MAX_TRANSACTION_BYTES;

const MAX_BLOCK: usize = 1_000;

fn hash(byte: u8) -> Hash {
    Hash([byte; 32])
}

fn hashes<const MAX: usize>(count: usize) -> List<Hash, MAX> {
    let ids: Vec<_> = (0..count).map(|i| hash(u8::try_from(i % 256).unwrap())).collect();
    ids.try_into().unwrap()
}

fn status() -> Status {
    Status { genesis: hash(1), tip: hash(2), height: 3, work: [4; 32], final_height: 5 }
}

fn header(byte: u8) -> SignedHeader {
    SignedHeader::from_bytes(&[byte; SignedHeader::LEN])
}

fn requests() -> Vec<Request> {
    vec![
        Request::Status(status()),
        Request::Headers { locator: hashes(3), stop: Hash::ZERO },
        Request::Headers { locator: hashes(MAX_LOCATOR), stop: hash(9) },
        Request::Blocks { ids: hashes(2) },
        Request::Pending,
        Request::Transactions { ids: hashes(MAX_TRANSACTIONS) },
    ]
}

fn responses() -> Vec<Response> {
    vec![
        Response::Status(status()),
        Response::Headers(vec![header(1), header(2)]),
        Response::Headers(Vec::new()),
        Response::Blocks(vec![vec![1; 10], Vec::new(), vec![2; MAX_BLOCK - 10]]),
        Response::Pending(vec![hash(1), hash(2), hash(3)]),
        Response::Transactions(vec![vec![7; MAX_TRANSACTION_BYTES], vec![8]]),
    ]
}

/// Every strict prefix is truncated, or in no case a value; one byte more is trailing.
fn only_all_of_it_decodes<T: std::fmt::Debug + PartialEq>(
    bytes: &[u8],
    value: &T,
    decode: impl Fn(&[u8]) -> Result<T, DecodeError>,
) {
    assert_eq!(decode(bytes).as_ref(), Ok(value));
    for end in 0..bytes.len() {
        assert_eq!(decode(&bytes[..end]), Err(DecodeError::Truncated), "cut at {end} of {value:?}");
    }
    let mut longer = bytes.to_vec();
    longer.push(0);
    assert_eq!(decode(&longer), Err(DecodeError::Trailing { extra: 1 }));
}

#[test]
fn requests_decode_from_all_their_bytes_and_nothing_else() {
    for request in requests() {
        let bytes = request.to_bytes();
        assert!(bytes.len() <= MAX_REQUEST_BYTES);
        only_all_of_it_decodes(&bytes, &request, Request::from_bytes);
    }
}

#[test]
fn responses_decode_from_all_their_bytes_and_nothing_else() {
    for response in responses() {
        let bytes = response.to_bytes();
        assert_eq!(bytes.len(), response.size());
        assert!(bytes.len() <= response.kind().max_response_bytes(MAX_BLOCK));
        only_all_of_it_decodes(&bytes, &response, |bytes| Response::from_bytes(bytes, MAX_BLOCK));
    }
}

#[test]
fn gossip_decodes_from_all_its_bytes_and_nothing_else() {
    let batch = vec![vec![1; 200], vec![2; MAX_TRANSACTION_BYTES]];
    only_all_of_it_decodes(&batch_to_bytes(&batch), &batch, batch_from_bytes);
    only_all_of_it_decodes(&header(7).to_bytes(), &header(7), header_from_bytes);
    assert!(batch_from_bytes(&batch_to_bytes(&[])).is_err(), "an empty batch says nothing");
}

#[test]
fn unknown_tags_are_refused() {
    for tag in 5..=255 {
        assert_eq!(Request::from_bytes(&[tag]), Err(DecodeError::UnknownTag));
        assert_eq!(Response::from_bytes(&[tag], MAX_BLOCK), Err(DecodeError::UnknownTag));
    }
}

#[test]
fn a_count_over_its_maximum_is_refused_before_its_items() {
    let counted = |tag: u8, count: usize| {
        let mut bytes = vec![tag];
        bytes.extend(u16::try_from(count).unwrap().to_le_bytes());
        bytes
    };
    let request_bounds = [(1, MAX_LOCATOR), (2, MAX_BLOCKS), (4, MAX_TRANSACTIONS)];
    for (tag, max) in request_bounds {
        assert_eq!(Request::from_bytes(&counted(tag, max)), Err(DecodeError::Truncated));
        for count in [max + 1, 65_535] {
            assert_eq!(Request::from_bytes(&counted(tag, count)), Err(DecodeError::OverMaximum));
        }
    }
    let response_bounds = [(1, MAX_HEADERS), (2, MAX_BLOCKS), (3, MAX_PENDING), (4, MAX_TRANSACTIONS)];
    for (tag, max) in response_bounds {
        assert_eq!(Response::from_bytes(&counted(tag, max), MAX_BLOCK), Err(DecodeError::Truncated));
        for count in [max + 1, 65_535] {
            assert_eq!(Response::from_bytes(&counted(tag, count), MAX_BLOCK), Err(DecodeError::OverMaximum));
        }
    }
    assert_eq!(batch_from_bytes(&counted(0, 0)[1..]), Err(DecodeError::Truncated));
    assert_eq!(batch_from_bytes(&counted(0, MAX_BATCH + 1)[1..]), Err(DecodeError::OverMaximum));
}

#[test]
fn a_length_over_its_maximum_is_refused_before_its_bytes() {
    let claimed = |tag: u8, length: u32| {
        let mut bytes = vec![tag, 1, 0];
        bytes.extend(length.to_le_bytes());
        bytes
    };
    for (tag, max) in [(2, MAX_BLOCK), (4, MAX_TRANSACTION_BYTES)] {
        let max = u32::try_from(max).unwrap();
        assert_eq!(Response::from_bytes(&claimed(tag, max), MAX_BLOCK), Err(DecodeError::Truncated));
        for length in [max + 1, u32::MAX] {
            assert_eq!(Response::from_bytes(&claimed(tag, length), MAX_BLOCK), Err(DecodeError::OverMaximum));
        }
    }
}

#[test]
fn decode_never_panics() {
    // A fixed sequence: bytes from a linear generator, each string begun with every tag.
    let mut state = 0x5eed_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    };
    for length in 0..400 {
        let mut bytes: Vec<u8> = (0..length).map(|_| random()).collect();
        for tag in 0..6 {
            if let Some(first) = bytes.first_mut() {
                *first = tag;
            }
            if let Ok(request) = Request::from_bytes(&bytes) {
                assert_eq!(request.to_bytes(), bytes);
            }
            if let Ok(response) = Response::from_bytes(&bytes, MAX_BLOCK) {
                assert_eq!(response.to_bytes(), bytes);
            }
        }
        let _ = batch_from_bytes(&bytes);
        let _ = header_from_bytes(&bytes);
    }
}

#[test]
fn an_answer_is_cut_to_what_its_reader_accepts() {
    let too_much = [
        Response::Headers(vec![header(1); MAX_HEADERS + 1]),
        Response::Blocks(vec![vec![0; 300]; 5]),
        Response::Blocks(vec![vec![]; MAX_BLOCKS + 1]),
        Response::Blocks(vec![vec![1; MAX_BLOCK], vec![2]]),
        Response::Pending(vec![hash(1); MAX_PENDING + 1]),
        Response::Transactions(vec![vec![1; MAX_TRANSACTION_BYTES]; MAX_TRANSACTIONS + 1]),
        Response::Transactions(vec![vec![1], vec![2; MAX_TRANSACTION_BYTES + 1], vec![3]]),
    ];
    for response in too_much {
        let cut = response.cut(MAX_BLOCK);
        let bytes = cut.to_bytes();
        assert!(bytes.len() <= cut.kind().max_response_bytes(MAX_BLOCK));
        assert_eq!(Response::from_bytes(&bytes, MAX_BLOCK), Ok(cut));
    }
    assert_eq!(
        Response::Blocks(vec![vec![0; 300]; 5]).cut(MAX_BLOCK),
        Response::Blocks(vec![vec![0; 300]; 3]),
        "blocks stop at the largest block's size"
    );
    assert_eq!(
        Response::Blocks(vec![vec![1; MAX_BLOCK], vec![2]]).cut(MAX_BLOCK),
        Response::Blocks(vec![vec![1; MAX_BLOCK]]),
        "or at the first block"
    );
}

#[test]
fn batches_keep_every_transaction_in_order_and_within_bounds() {
    let length = |i: usize| 1 + (i * 37) % MAX_TRANSACTION_BYTES;
    let all: Vec<Vec<u8>> = (0..3_500).map(|i| vec![u8::try_from(i % 256).unwrap(); length(i)]).collect();
    let mut given = all.clone();
    given.insert(1_000, vec![0; MAX_TRANSACTION_BYTES + 1]);
    let batches = batches(given);
    for batch in &batches {
        let bytes = batch_to_bytes(batch);
        assert!(batch.len() <= MAX_BATCH && bytes.len() <= MAX_BATCH_BYTES);
        assert_eq!(batch_from_bytes(&bytes).as_ref(), Ok(batch));
    }
    assert_eq!(batches.concat(), all);
    assert_eq!(self::batches(vec![vec![1]; MAX_BATCH + 1]).len(), 2);
    assert!(self::batches(Vec::new()).is_empty());
}
