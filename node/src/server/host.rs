//! Whose pages may call a server: the answer to DNS rebinding, and CORS for the origins that the operator names.
//!
//! A browser tells which name a page believes it talks to (`Host`) and where the page came from (`Origin`). A
//! server bound to the loopback is called by its own machine alone, so both must name it: a foreign name that
//! resolves to 127.0.0.1 is an attack. A server that others reach is called by whatever name they have for it, until the
//! operator says which; a page of its own is one under an address or a name that was said, for any other name may be
//! made to mean this server. WebSockets know no same-origin policy, so `Origin` is looked at wherever the server is
//! bound. No page of another origin reads an answer, but of those that the operator named (`cors`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::http::header::{HOST, HeaderName, ORIGIN};
use axum::http::{HeaderMap, Uri};

use super::cors::CrossOrigin;

/// The names under which callers may know this server.
#[derive(Clone, Debug)]
pub(super) struct Hosts {
    /// What the operator said.
    names: Arc<[String]>,
    /// Whether only this machine reaches it.
    is_own: bool,
    /// Origins whose pages may read the answers.
    origins: Arc<[String]>,
}

impl Hosts {
    /// The names of a server bound to `ip`.
    pub(super) fn new(ip: IpAddr, configured: &[String], origins: &[String]) -> Self {
        let names = configured.iter().map(|name| host_of(name).to_ascii_lowercase()).collect();
        Self { names, is_own: ip.is_loopback(), origins: origins.into() }
    }

    /// The origin of a page that may read the answer although it comes from elsewhere.
    pub(super) fn cross_origin(&self, headers: &HeaderMap) -> Option<CrossOrigin> {
        let origin = single(headers, &ORIGIN).filter(|origin| self.names_origin(origin))?;
        CrossOrigin::new(origin)
    }

    fn names_origin(&self, origin: &str) -> bool {
        self.origins.iter().any(|named| named.eq_ignore_ascii_case(origin))
    }

    /// Whether a request may be answered.
    pub(super) fn allow(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let authority = uri.authority().map(|authority| authority.as_str());
        let Some(host) = authority.or_else(|| single(headers, &HOST)) else { return false };
        let any_name = !self.is_own && self.names.is_empty();
        (any_name || self.knows(host)) && self.allow_origin(host, headers)
    }

    /// Whether a name is this server's: said by the operator, the machine's own, or an address that others reach.
    fn knows(&self, authority: &str) -> bool {
        let host = host_of(authority);
        is_loopback_name(authority)
            || self.names.contains(&host.to_ascii_lowercase())
            || (!self.is_own && host.parse::<IpAddr>().is_ok())
    }

    /// Whether a request is for this machine by a name of its own. A page whose name was made to mean this machine comes
    /// from here as well, but under that name.
    pub(super) fn is_for_this_machine(uri: &Uri, headers: &HeaderMap) -> bool {
        let authority = uri.authority().map(|authority| authority.as_str());
        authority.or_else(|| single(headers, &HOST)).is_some_and(is_loopback_name)
    }

    /// No page, a page of an origin that the operator named, a page of this very server, or a page of this machine where the
    /// server is the machine's own.
    fn allow_origin(&self, host: &str, headers: &HeaderMap) -> bool {
        if !headers.contains_key(ORIGIN) {
            return true;
        }
        let Some(whole) = single(headers, &ORIGIN) else { return false };
        if self.names_origin(whole) {
            return true;
        }
        let Some((_, origin)) = whole.split_once("://") else { return false };
        self.knows(origin) && (self.is_own || origin.eq_ignore_ascii_case(host))
    }
}

/// Whether a name means the machine it is used on, whatever any resolver says.
fn is_loopback_name(authority: &str) -> bool {
    let host = host_of(authority);
    let is_loopback = match host.parse::<Ipv4Addr>() {
        Ok(ip) => ip.is_loopback(),
        Err(_) => host.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback()),
    };
    is_loopback || host.eq_ignore_ascii_case("localhost")
}

/// A header that stands there once, as text.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// The host of `host`, `host:port` or `[v6]:port`; all of it where it is none of these.
fn host_of(authority: &str) -> &str {
    if let Some((host, port)) = authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return if port.is_empty() || port.starts_with(':') { host } else { authority };
    }
    match authority.split_once(':') {
        Some((host, port)) if !port.contains(':') => host,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(hosts: &Hosts, host: &str, origin: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        hosts.allow(&Uri::from_static("/"), &headers)
    }

    #[test]
    fn a_loopback_server_answers_to_its_own_names_alone() {
        let hosts = Hosts::new("127.0.0.1".parse().unwrap(), &["Shop.local:80".to_owned()], &[]);
        for host in ["localhost", "LOCALHOST:8645", "127.0.0.1:8645", "127.1.2.3", "[::1]:8645", "shop.local"]
        {
            assert!(allowed(&hosts, host, None), "{host}");
        }
        for host in [
            "evil.example",
            "127.0.0.1.evil.example:8645",
            "localhost.evil.example",
            "10.0.0.1",
            "[::1]evil.example",
            "[::1",
            "",
        ] {
            assert!(!allowed(&hosts, host, None), "{host}");
        }
        assert!(!hosts.allow(&Uri::from_static("/"), &HeaderMap::new()), "no host at all");
    }

    #[test]
    fn a_page_of_another_origin_calls_nobody() {
        let own = Hosts::new("::1".parse().unwrap(), &[], &["https://shop.example".to_owned()]);
        assert!(allowed(&own, "localhost:8645", Some("http://localhost:3000")));
        assert!(!allowed(&own, "localhost:8645", Some("https://evil.example")));
        assert!(!allowed(&own, "localhost:8645", Some("null")));
        assert!(allowed(&own, "localhost:8645", Some("https://shop.example")));
        assert!(
            !allowed(&own, "localhost:8645", Some("http://shop.example")),
            "the scheme is part of an origin"
        );
        assert!(!allowed(&own, "localhost:8645", Some("https://shop.example.evil")));
        assert!(!allowed(&own, "evil.example", Some("https://shop.example")), "the host must still be ours");
    }

    #[test]
    fn a_server_that_others_reach_has_pages_under_its_addresses_and_under_names_that_were_said() {
        let open = Hosts::new("0.0.0.0".parse().unwrap(), &[], &[]);
        assert!(allowed(&open, "node.example:8645", None));
        assert!(allowed(&open, "192.0.2.1:8645", Some("http://192.0.2.1:8645")));
        assert!(allowed(&open, "[2001:db8::1]:8645", Some("http://[2001:db8::1]:8645")));
        assert!(!allowed(&open, "192.0.2.1:8645", Some("http://192.0.2.2:8645")));
        assert!(!allowed(&open, "node.example:8645", Some("http://node.example:8645")), "made to mean it");
        assert!(!allowed(&open, "node.example:8645", Some("http://localhost")));
        let named = Hosts::new("0.0.0.0".parse().unwrap(), &["node.example".to_owned()], &[]);
        assert!(allowed(&named, "node.example:8645", Some("http://node.example:8645")));
        assert!(allowed(&named, "192.0.2.1:8645", None) && allowed(&named, "localhost:8645", None));
        assert!(!allowed(&named, "evil.example", None));
    }
}
