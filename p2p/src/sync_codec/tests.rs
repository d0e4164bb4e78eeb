//! Laws of frames: bounded by kind before they are read, and whose fault it is when they are not right.

use futures::executor::block_on;
use futures::io::Cursor;
use printsy_consensus::Hash;
use printsy_consensus::codec::DecodeError;

use super::*;
use crate::message::Status;

const MAX_BLOCK: usize = 1_000;

fn protocol() -> StreamProtocol {
    StreamProtocol::new("/test")
}

fn status() -> Status {
    Status { genesis: Hash::ZERO, tip: Hash::ZERO, height: 0, work: [0; 32], final_height: 0 }
}

fn asked(kind: Kind) -> SyncCodec {
    SyncCodec { max_block_bytes: MAX_BLOCK, asked: Some(kind) }
}

fn read(codec: &mut SyncCodec, bytes: &[u8]) -> io::Result<Result<Response, Malformed>> {
    block_on(codec.read_response(&protocol(), &mut Cursor::new(bytes)))
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(bytes.len()).unwrap().to_le_bytes().to_vec();
    frame.extend_from_slice(bytes);
    frame
}

#[test]
fn what_is_written_is_read() {
    let mut codec = SyncCodec::new(MAX_BLOCK);
    let mut stream = Cursor::new(Vec::new());
    let request = Request::Status(status());
    block_on(codec.write_request(&protocol(), &mut stream, Ok(request.clone()))).unwrap();
    stream.set_position(0);
    assert_eq!(block_on(codec.read_request(&protocol(), &mut stream)).unwrap(), Ok(request));

    let mut stream = Cursor::new(Vec::new());
    let response = Response::Status(status());
    block_on(codec.write_response(&protocol(), &mut stream, Ok(response.clone()))).unwrap();
    assert_eq!(read(&mut codec, stream.get_ref()).unwrap(), Ok(response));
}

#[test]
fn a_stream_that_ends_early_is_nobodys_fault() {
    let frame = framed(&Response::Pending(vec![Hash::ZERO; 3]).to_bytes());
    for end in 0..frame.len() {
        assert!(read(&mut asked(Kind::Pending), &frame[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn a_frame_over_its_kinds_bound_is_the_senders_fault_before_it_is_read() {
    let max = Kind::Status.max_response_bytes(MAX_BLOCK);
    for got in [max + 1, u32::MAX as usize] {
        let length = u32::try_from(got).unwrap().to_le_bytes();
        let answer = read(&mut asked(Kind::Status), &length).unwrap();
        assert_eq!(answer, Err(Malformed::FrameTooLong { got, max }));
    }
    let length = u32::try_from(MAX_REQUEST_BYTES + 1).unwrap().to_le_bytes();
    let mut codec = SyncCodec::new(MAX_BLOCK);
    let request = block_on(codec.read_request(&protocol(), &mut Cursor::new(length))).unwrap();
    assert!(matches!(request, Err(Malformed::FrameTooLong { .. })));
}

#[test]
fn a_huge_claim_allocates_nothing_to_speak_of() {
    // 64 MiB are claimed and allowed, three bytes come.
    let mut codec = SyncCodec { max_block_bytes: 64 << 20, asked: Some(Kind::Blocks) };
    let mut bytes = (64_u32 << 20).to_le_bytes().to_vec();
    bytes.extend([2, 1, 0]);
    let error = read(&mut codec, &bytes).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn an_answer_of_another_kind_is_the_senders_fault() {
    let frame = framed(&Response::Pending(Vec::new()).to_bytes());
    assert_eq!(
        read(&mut asked(Kind::Headers), &frame).unwrap(),
        Err(Malformed::WrongKind { asked: Kind::Headers, got: Kind::Pending })
    );
}

#[test]
fn bytes_that_are_no_value_are_the_senders_fault() {
    let answer = read(&mut asked(Kind::Status), &framed(&[9])).unwrap();
    assert_eq!(answer, Err(Malformed::Decode(DecodeError::UnknownTag)));
    let answer = read(&mut asked(Kind::Status), &framed(&[])).unwrap();
    assert_eq!(answer, Err(Malformed::Decode(DecodeError::Truncated)));
}
