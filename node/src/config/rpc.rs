//! The section `rpc`: where JSON-RPC is served, who may call it, and how often.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use printsy_rpc::Scope;

use super::layers::Layers;
use super::{ConfigError, keys};
use crate::server::DEFAULT_RATE;

/// How to serve JSON-RPC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcConfig {
    /// Where it is served.
    pub listen: SocketAddr,
    /// Names under which callers know a server on the loopback, besides its own.
    pub hosts: Vec<String>,
    /// Origins whose pages may call and read the answers.
    pub cors_origins: Vec<String>,
    /// The scopes beside `admin` that ask for a token.
    pub require_token: BTreeSet<Scope>,
    /// Calls a second of one address or token; 0: any number.
    pub rate: u32,
    /// The same for callers on this machine.
    pub local_rate: u32,
    /// Whether a proxy stands before it.
    pub behind_proxy: bool,
    /// The addresses of proxies that are believed, besides this machine's own.
    pub trusted_proxies: Vec<IpAddr>,
}

/// Reads the section.
pub(super) fn read(layers: &Layers) -> Result<RpcConfig, ConfigError> {
    let rate = |key| {
        let rate = layers.whole(key, 0, keys::MOST_RATE)?;
        Ok::<_, ConfigError>(rate.map(|rate| u32::try_from(rate).expect("at most MOST_RATE")))
    };
    let require_token = layers.texts_parsed(&keys::RPC_REQUIRE_TOKEN, |text| text.parse::<Scope>().ok())?;
    let trusted_proxies =
        layers.texts_parsed(&keys::RPC_TRUSTED_PROXIES, |text| text.parse::<IpAddr>().ok())?;
    Ok(RpcConfig {
        listen: layers.parsed(&keys::RPC_LISTEN)?.unwrap_or_else(default_listen),
        hosts: layers.texts_parsed(&keys::RPC_HOSTS, host)?.unwrap_or_default(),
        cors_origins: layers.texts_parsed(&keys::RPC_CORS_ORIGINS, origin)?.unwrap_or_default(),
        require_token: require_token.map(|scopes| scopes.into_iter().collect()).unwrap_or_default(),
        rate: rate(&keys::RPC_RATE)?.unwrap_or(DEFAULT_RATE),
        local_rate: rate(&keys::RPC_LOCAL_RATE)?.unwrap_or(0),
        behind_proxy: layers.switch(&keys::RPC_BEHIND_PROXY).unwrap_or(false),
        trusted_proxies: trusted_proxies.unwrap_or_default(),
    })
}

fn default_listen() -> SocketAddr {
    keys::DEFAULT_RPC_LISTEN.parse().expect("a constant that a test reads")
}

fn host(text: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':' | '[' | ']');
    (!text.is_empty() && text.chars().all(fits)).then(|| text.to_owned())
}

/// An origin as browsers write it: a scheme and a host, perhaps a port, and nothing after it.
fn origin(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    (matches!(scheme, "http" | "https") && host(rest).is_some()).then(|| text.to_owned())
}
