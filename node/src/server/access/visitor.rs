//! Where a request comes from, and what it shows to be let in.
//!
//! Read once from the head of each request, of a WebSocket session when it is opened. Only the hash of what was shown
//! goes on from here; the header itself is taken out of the request, so that nothing after this can write it anywhere.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::http::header::{AUTHORIZATION, FORWARDED, HeaderName};
use axum::http::{Extensions, HeaderMap};

use crate::tokens::{Secret, TokenHash};

/// What a proxy says of who called it.
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Another way to say it.
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
/// What the scheme's name is, and what follows it is the token.
const BEARER: &str = "bearer ";

/// Whose word counts of who called.
#[derive(Clone, Debug, Default)]
pub(in crate::server) struct Proxies {
    /// Whether a proxy stands before the server.
    pub(in crate::server) is_behind_one: bool,
    /// The addresses of proxies, besides this machine's own.
    pub(in crate::server) trusted: Vec<IpAddr>,
}

impl Proxies {
    /// Whether it is a proxy's that is believed.
    pub(in crate::server) fn trust(&self, address: IpAddr) -> bool {
        let is_it = |trusted: &IpAddr| trusted.to_canonical() == address.to_canonical();
        self.is_behind_one && (address.to_canonical().is_loopback() || self.trusted.iter().any(is_it))
    }

    /// Who called: the nearest address that is no proxy's, going back from the one that is connected. What stands before
    /// that in `X-Forwarded-For` is what the caller wrote.
    fn caller(&self, connected: IpAddr, headers: &HeaderMap) -> IpAddr {
        let lists = headers.get_all(X_FORWARDED_FOR).iter().rev();
        let mut named = lists.flat_map(|list| list.as_bytes().rsplit(|byte| *byte == b','));
        let mut caller = connected;
        while self.trust(caller) {
            let Some(name) = named.next() else { break };
            caller = address_of(name).unwrap_or(NOBODY);
        }
        caller
    }
}

/// Who is named by no address: all such callers count as one, which is bounded like any other.
const NOBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// The address in a name, which some proxies write with a port.
fn address_of(name: &[u8]) -> Option<IpAddr> {
    let name = std::str::from_utf8(name).ok()?.trim();
    let with_port = || name.parse::<SocketAddr>().ok().map(|address| address.ip());
    let address = name.parse().ok().or_else(with_port)?;
    Some(address.to_canonical())
}

/// Who sends a request.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) struct Visitor {
    /// From where.
    pub(in crate::server) address: IpAddr,
    /// Whether the caller itself is on the node's own machine: what a proxy there passes on is not.
    pub(in crate::server) is_local: bool,
    /// What it shows.
    pub(in crate::server) credential: Credential,
}

/// What a caller shows to be let in.
#[derive(Clone, Copy, Debug)]
pub(in crate::server) enum Credential {
    /// Nothing.
    None,
    /// Something that is no token.
    Bad,
    /// A token.
    Hash(TokenHash),
}

impl Visitor {
    /// A caller within this process.
    pub(in crate::server) fn within() -> Self {
        Self { address: Ipv4Addr::LOCALHOST.into(), is_local: true, credential: Credential::None }
    }

    /// Who makes a call with these extensions.
    pub(in crate::server) fn of_call(extensions: &Extensions) -> Self {
        extensions.get::<Self>().copied().unwrap_or_else(Self::within)
    }

    /// Whoever sends these headers; what it shows is taken out of them.
    pub(in crate::server) fn of(remote: SocketAddr, proxies: &Proxies, headers: &mut HeaderMap) -> Self {
        let is_passed_on =
            [FORWARDED, X_FORWARDED_FOR, X_REAL_IP].iter().any(|name| headers.contains_key(name));
        let direct = remote.ip().to_canonical();
        Self {
            address: proxies.caller(direct, headers),
            is_local: direct.is_loopback() && !is_passed_on && !proxies.is_behind_one,
            credential: credential(headers),
        }
    }
}

fn credential(headers: &mut HeaderMap) -> Credential {
    let mut shown = headers.get_all(AUTHORIZATION).iter();
    let credential = match (shown.next(), shown.next()) {
        (None, _) => Credential::None,
        (Some(one), None) => one.to_str().ok().and_then(bearer).map_or(Credential::Bad, Credential::Hash),
        (Some(_), Some(_)) => Credential::Bad,
    };
    headers.remove(AUTHORIZATION);
    credential
}

fn bearer(value: &str) -> Option<TokenHash> {
    let (scheme, token) = value.split_at_checked(BEARER.len())?;
    let secret = scheme.eq_ignore_ascii_case(BEARER).then(|| Secret::parse(token.trim()))??;
    Some(secret.hash())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn visitor(remote: &str, is_behind_one: bool, lines: &[(&'static str, &str)]) -> Visitor {
        let trusted = vec!["198.51.100.1".parse().unwrap()];
        let proxies = Proxies { is_behind_one, trusted };
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        let visitor = Visitor::of(remote.parse().unwrap(), &proxies, &mut headers);
        assert!(!headers.contains_key(AUTHORIZATION), "what is shown goes no further");
        visitor
    }

    #[test]
    fn only_who_calls_by_itself_is_on_this_machine() {
        assert!(visitor("127.0.0.1:1", false, &[]).is_local);
        assert!(visitor("[::ffff:127.0.0.1]:1", false, &[]).is_local);
        assert!(!visitor("192.0.2.1:1", false, &[]).is_local);
        assert!(!visitor("127.0.0.1:1", true, &[]).is_local);
        for name in ["x-forwarded-for", "forwarded", "x-real-ip"] {
            assert!(!visitor("127.0.0.1:1", false, &[(name, "192.0.2.1")]).is_local, "{name}");
        }
    }

    #[test]
    fn a_proxy_s_word_counts_where_there_is_one_and_the_last_is_its_own() {
        let forwarded = [("x-forwarded-for", "203.0.113.9, 192.0.2.7")];
        let address = |proxy, lines: &[(&'static str, &str)]| visitor("127.0.0.1:1", proxy, lines).address;
        assert_eq!(address(false, &forwarded), "127.0.0.1".parse::<IpAddr>().unwrap());
        assert_eq!(address(true, &forwarded), "192.0.2.7".parse::<IpAddr>().unwrap());
        let twice = [("x-forwarded-for", "203.0.113.9"), ("x-forwarded-for", "2001:db8::1")];
        assert_eq!(address(true, &twice), "2001:db8::1".parse::<IpAddr>().unwrap());
        assert_eq!(address(true, &[("x-forwarded-for", "nobody")]), NOBODY);
    }

    #[test]
    fn only_a_trusted_proxy_is_believed_and_only_so_far_as_its_fellows_go() {
        let from = |remote: &str, list: &str| {
            visitor(&format!("{remote}:1"), true, &[("x-forwarded-for", list)]).address.to_string()
        };
        assert_eq!(from("203.0.113.5", "192.0.2.7"), "203.0.113.5", "a stranger's word");
        assert_eq!(from("198.51.100.1", "192.0.2.7"), "192.0.2.7");
        assert_eq!(from("198.51.100.1", "192.0.2.8, 192.0.2.7, 127.0.0.1"), "192.0.2.7");
        assert_eq!(from("127.0.0.1", "10.0.0.1, ::ffff:192.0.2.7, 198.51.100.1"), "192.0.2.7");
        assert_eq!(from("127.0.0.1", "192.0.2.7, nonsense, 198.51.100.1"), "0.0.0.0", "nobody's");
        assert_eq!(from("127.0.0.1", "192.0.2.7:4711"), "192.0.2.7", "with a port");
        assert_eq!(from("127.0.0.1", "[2001:db8::1]:4711"), "2001:db8::1");
        assert_eq!(from("127.0.0.1", "127.0.0.1, 198.51.100.1"), "127.0.0.1", "proxies alone");
    }

    #[test]
    fn what_a_caller_wrote_before_its_address_hides_nothing() {
        let proxies = Proxies { is_behind_one: true, trusted: Vec::new() };
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_bytes(b"\xff, 203.0.113.5").unwrap());
        let visitor = Visitor::of("127.0.0.1:1".parse().unwrap(), &proxies, &mut headers);
        assert_eq!(visitor.address.to_string(), "203.0.113.5");
    }

    #[test]
    fn a_token_is_shown_once_and_as_a_bearer() {
        let secret = Secret::generate().unwrap();
        let text = secret.reveal();
        let shown = |values: &[String]| {
            let lines: Vec<_> = values.iter().map(|value| ("authorization", value.as_str())).collect();
            visitor("127.0.0.1:1", false, &lines).credential
        };
        let is_it = |c| matches!(c, Credential::Hash(hash) if hash.is(&secret.hash()));
        assert!(matches!(shown(&[]), Credential::None));
        assert!(is_it(shown(&[format!("Bearer {}", *text)])));
        assert!(is_it(shown(&[format!("bearer  {}", *text)])));
        for bad in [format!("Basic {}", *text), (*text).clone(), "Bearer".into(), "Bearer 00".into()] {
            assert!(matches!(shown(&[bad]), Credential::Bad));
        }
        let twice = format!("Bearer {}", *text);
        assert!(matches!(shown(&[twice.clone(), twice]), Credential::Bad));
    }
}
