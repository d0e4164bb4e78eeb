//! The client's law: whatever happens, one clear sentence; a node's refusal arrives as it was sent.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

use jsonrpsee::RpcModule;
use jsonrpsee::server::{Server, ServerHandle};
use jsonrpsee::types::ErrorObjectOwned;
use printsy_rpc::market::{Availability, BlockRef, ImageParams, IsAvailable};
use printsy_rpc::{
    Amount, Client, ClientError, ErrorData, Hex, Method, RpcError, RpcReason, Scope, parse_params,
};
use schemars::JsonSchema;

fn availability(image: u64) -> Availability {
    let tip = BlockRef { height: 3, hash: Hex([7; 32]) };
    Availability {
        image,
        available: true,
        remaining: 99,
        max: 100,
        sold: 1,
        pending: 0,
        price: Amount(0),
        last_block: Some(tip),
        tip,
    }
}

/// A node that knows image 25, has sold out 26, and breaks down for any other.
async fn fake_node() -> (SocketAddr, ServerHandle) {
    let mut module = RpcModule::new(());
    module
        .register_method(IsAvailable::NAME, |params, (), _| -> Result<Availability, ErrorObjectOwned> {
            let asked = parse_params::<IsAvailable>(params.as_str())?;
            match asked.image.get() {
                25 => Ok(availability(25)),
                26 => Err(RpcError::refused(
                    "image 26 is sold out",
                    ErrorData::new(RpcReason::SoldOut).rule("S4"),
                )
                .into()),
                _ => Err(RpcError::internal().into()),
            }
        })
        .unwrap();
    let server = Server::builder().build("127.0.0.1:0").await.unwrap();
    (server.local_addr().unwrap(), server.start(module))
}

async fn ask(url: &str, image: u64) -> Result<Availability, ClientError> {
    Client::new(url)?.call::<IsAvailable>(&ImageParams { image: image.try_into().unwrap() }).await
}

#[tokio::test]
async fn an_answer_arrives_as_it_was_sent() {
    let (address, _server) = fake_node().await;
    assert_eq!(ask(&format!("http://{address}"), 25).await.unwrap(), availability(25));
}

#[tokio::test]
async fn a_refusal_arrives_as_it_was_sent() {
    let (address, _server) = fake_node().await;
    match ask(&format!("http://{address}"), 26).await.unwrap_err() {
        ClientError::Refused(error) => {
            assert_eq!((error.code, error.message.as_str()), (1001, "image 26 is sold out"));
            let data = error.data.unwrap();
            assert_eq!((data.reason, data.rule.as_deref()), (RpcReason::SoldOut, Some("S4")));
        }
        other => panic!("{other}"),
    }
    match ask(&format!("http://{address}"), 27).await.unwrap_err() {
        ClientError::Refused(error) => assert_eq!((error.code, error.reason()), (-32603, None)),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn nobody_there_says_what_to_do() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = ask(&format!("http://{free}"), 25).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "no node answers at http://{free} (connection refused); start one with `printsyd run --dev`, or give \
             another with --rpc URL"
        )
    );
}

#[tokio::test]
async fn a_wrong_address_is_named() {
    for wrong in ["127.0.0.1:8645", "ws://127.0.0.1:1", "", "http://"] {
        let error = ask(wrong, 25).await.unwrap_err();
        assert!(matches!(error, ClientError::Url { .. }), "{wrong}: {error}");
        assert!(error.to_string().starts_with("cannot use"), "{error}");
    }
    let error = ask("https://example.org", 25).await.unwrap_err().to_string();
    assert!(error.contains("plain http"), "{error}");
}

/// Answers one connection with `bytes`, whatever it asks.
fn answer_once(bytes: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        // All of the question: what is left of it at the end resets the connection, and the answer with it.
        let mut asked = String::new();
        let mut piece = [0; 4096];
        while !asked.ends_with('}') {
            let length = stream.read(&mut piece).unwrap();
            asked.push_str(std::str::from_utf8(&piece[..length]).unwrap());
        }
        stream.write_all(bytes.as_bytes()).unwrap();
    });
    address
}

/// A node behind a proxy, or a full one: it may answer the next time.
#[tokio::test]
async fn no_answer_this_time_is_called_that() {
    for (answer, why) in [
        ("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n", "HTTP status 502"),
        ("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 5\r\n\r\nfull\n", "HTTP status 503"),
        ("HTTP/1.1 504 Gateway Timeout\r\ncontent-length: 0\r\n\r\n", "HTTP status 504"),
        ("", "ended before the answer"),
    ] {
        let error = ask(&format!("http://{}", answer_once(answer)), 25).await.unwrap_err();
        assert!(matches!(error, ClientError::Unavailable { .. }), "{answer}: {error:?}");
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[tokio::test]
async fn another_program_s_answer_is_called_that() {
    for answer in [
        "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>",
        "SSH-2.0-OpenSSH_9.6\r\n",
    ] {
        let address = answer_once(answer);
        let error = ask(&format!("http://{address}"), 25).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(&address.to_string()), "{text}");
        assert!(!text.contains('\n'), "{text}");
        assert!(matches!(error, ClientError::NotANode { .. }), "{text}");
    }
}

#[tokio::test]
async fn an_unknown_method_is_a_refusal() {
    #[derive(JsonSchema)]
    struct Nonsense;
    impl Method for Nonsense {
        const NAME: &'static str = "nonsense";
        const SCOPE: Scope = Scope::Read;
        const ERRORS: &'static [RpcReason] = &[];
        type Params = printsy_rpc::NoParams;
        type Result = u64;
    }
    let (address, _server) = fake_node().await;
    let client = Client::new(&format!("http://{address}")).unwrap();
    match client.call::<Nonsense>(&printsy_rpc::NoParams {}).await.unwrap_err() {
        ClientError::Refused(error) => assert_eq!(error.code, -32601),
        other => panic!("{other}"),
    }
}
