//! The clock: blocks carry times, and a node whose clock is wrong holds good blocks back, or makes blocks that others
//! hold back.
//!
//! What this machine shows is compared with when the network began, and with another node's clock where one is named: an
//! HTTP server says its time, to the second, in each answer.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, SystemTime};

use printsy_consensus::Params;

use super::Finding;

/// How long the other node has to let us in, and to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most bytes read of an answer: its head is far shorter.
const MAX_ANSWER_BYTES: u64 = 8 << 10;
/// What an HTTP date does not tell, and a question's way there and back may take, in ms.
const UNSURE_MS: u64 = 1_500;

const CHECK: &str = "clock";

pub(super) fn examine(params: Option<&Params>, against: Option<&str>) -> Vec<Finding> {
    let now_ms = now_ms();
    let mut findings = Vec::new();
    if let Some(params) = params {
        findings.push(since_genesis(params, now_ms));
    }
    findings.push(match against {
        None => Finding::ok(CHECK, "compared with no other (--against URL compares it with a node's)"),
        Some(url) => match date_of(url) {
            Ok(theirs_ms) => compare(url, now_ms, theirs_ms, params),
            Err(why) => Finding::fail(
                CHECK,
                format!("{url} does not tell its time: {why}"),
                "give the http:// URL of a running node",
            ),
        },
    });
    findings
}

fn since_genesis(params: &Params, now_ms: u64) -> Finding {
    match now_ms.checked_sub(params.time) {
        Some(age) => Finding::ok(CHECK, format!("{} days after the network began", age / 86_400_000)),
        None => Finding::fail(
            CHECK,
            format!("{} s before the network began", (params.time - now_ms) / 1_000),
            "set the clock, and keep it by NTP",
        ),
    }
}

/// Nodes hold back what is `max_future_ms` ahead of them: half of that is left to the others.
fn compare(url: &str, now_ms: u64, theirs_ms: u64, params: Option<&Params>) -> Finding {
    let apart = now_ms.abs_diff(theirs_ms).saturating_sub(UNSURE_MS);
    let side = if now_ms > theirs_ms { "ahead of" } else { "behind" };
    let found = match apart {
        0 => format!("as that of {url}, to the second"),
        ms => format!("{:.1} s {side} that of {url}", Duration::from_millis(ms).as_secs_f64()),
    };
    let most = params.map_or(UNSURE_MS, |params| params.max_future_ms / 2);
    if apart > most {
        Finding::fail(
            CHECK,
            found,
            "set the clock that is wrong, and keep it by NTP: blocks are held back for it",
        )
    } else {
        Finding::ok(CHECK, found)
    }
}

#[expect(clippy::disallowed_methods, reason = "the clock is what is examined")]
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The time that the server at this URL says, ms since 1970.
fn date_of(url: &str) -> Result<u64, String> {
    let host = url.strip_prefix("http://").ok_or("it is no http:// URL")?;
    let host = host.split('/').next().unwrap_or(host);
    let with_port = if host.rsplit(']').next().is_some_and(|end| end.contains(':')) {
        host.to_owned()
    } else {
        format!("{host}:80")
    };
    let head = ask(&with_port).map_err(|error| error.to_string())?;
    let date = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("date").then_some(value.trim())
    });
    let date = httpdate::parse_http_date(date.ok_or("its answer has no date")?)
        .map_err(|error| error.to_string())?;
    let since = date.duration_since(SystemTime::UNIX_EPOCH).map_err(|error| error.to_string())?;
    u64::try_from(since.as_millis()).map_err(|error| error.to_string())
}

fn ask(host: &str) -> io::Result<String> {
    let address = host.to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // In one piece: a server that answers the first of several may close before the last is there.
    let question = format!("GET /livez HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(question.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::super::Verdict;
    use super::*;

    #[test]
    fn clocks_may_be_half_of_what_is_held_back_apart() {
        let params = crate::dev::genesis().params().clone();
        let most = params.max_future_ms / 2 + UNSURE_MS;
        let at = 1_000_000_000_000;
        for theirs in [at - most, at, at + most] {
            assert_eq!(compare("x", at, theirs, Some(&params)).verdict, Verdict::Ok, "{theirs}");
        }
        for theirs in [at - most - 1, at + most + 1] {
            assert_eq!(compare("x", at, theirs, Some(&params)).verdict, Verdict::Fail, "{theirs}");
        }
    }

    #[test]
    fn a_clock_before_the_network_began_is_wrong() {
        let params = crate::dev::genesis().params().clone();
        assert_eq!(since_genesis(&params, params.time).verdict, Verdict::Ok);
        assert_eq!(since_genesis(&params, params.time - 1).verdict, Verdict::Fail);
    }

    #[test]
    fn a_server_s_date_is_read_and_its_lack_is_told() {
        let answer = |text: &'static str| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let url = format!("http://{}/x", listener.local_addr().unwrap());
            let server = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = Vec::new();
                while !asked.ends_with(b"\r\n\r\n") {
                    let mut piece = [0; 512];
                    let length = stream.read(&mut piece).unwrap();
                    assert_ne!(length, 0, "the question ends with an empty line");
                    asked.extend_from_slice(&piece[..length]);
                }
                stream.write_all(text.as_bytes()).unwrap();
            });
            let date = date_of(&url);
            server.join().unwrap();
            date
        };
        let dated = "HTTP/1.1 200 OK\r\nDATE: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nok";
        assert_eq!(answer(dated), Ok(784_111_777_000));
        assert!(answer("HTTP/1.1 200 OK\r\n\r\n").unwrap_err().contains("no date"));
        assert!(answer("HTTP/1.1 200 OK\r\nDate: now\r\n\r\n").is_err());
        assert!(date_of("ftp://x").unwrap_err().contains("http://"));
    }
}
