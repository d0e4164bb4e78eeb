//! What a node reaches and is reached by: the ports it listens on, the bootnodes it begins with.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::Finding;
use crate::config::{Config, RpcConfig};

/// How long a bootnode has to let us in.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether the ports are free, or used by the node that runs on the datadir.
pub(super) fn ports(config: &Config, is_running: bool) -> Vec<Finding> {
    const CHECK: &str = "ports";
    let rpc = config.rpc.listen;
    let mut findings = vec![port(CHECK, "JSON-RPC", &rpc.to_string(), is_running, "--rpc-listen")];
    if !rpc.ip().is_loopback() {
        findings.push(Finding::warn(
            CHECK,
            format!("JSON-RPC is open to whoever reaches {rpc}"),
            "listen on 127.0.0.1 and put a proxy before it, or see to it that only friends reach it",
        ));
    }
    findings.extend(proxies(&config.rpc));
    for address in &config.network.listen {
        let host = host_and_port(address).unwrap_or_default();
        findings.push(port(CHECK, "peers", &host, is_running, "--listen"));
    }
    findings
}

/// Whether who stands before the server is believed when it names callers.
fn proxies(rpc: &RpcConfig) -> Option<Finding> {
    const CHECK: &str = "proxy";
    let named: Vec<String> = rpc.trusted_proxies.iter().map(ToString::to_string).collect();
    match (rpc.behind_proxy, named.is_empty()) {
        (false, true) => None,
        (false, false) => Some(Finding::warn(
            CHECK,
            "rpc.trusted_proxies names proxies, and none is believed",
            "set rpc.behind_proxy = true, or take them out",
        )),
        (true, true) if !rpc.listen.ip().is_loopback() => Some(Finding::warn(
            CHECK,
            "rpc.behind_proxy believes a proxy on this machine alone, and JSON-RPC is open to others",
            "name the proxy's address in rpc.trusted_proxies, or listen on 127.0.0.1",
        )),
        (true, true) => Some(Finding::ok(CHECK, "callers are who a proxy on this machine says")),
        (true, false) => {
            let named = named.join(", ");
            Some(Finding::ok(CHECK, format!("callers are who a proxy on this machine or at {named} says")))
        }
    }
}

fn port(check: &'static str, whom: &str, host: &str, is_running: bool, flag: &str) -> Finding {
    match TcpListener::bind(host) {
        Ok(_) if is_running => Finding::warn(
            check,
            format!("nobody listens on {host} for {whom}, though a node runs"),
            "it was started with other options than these, or is still starting",
        ),
        Ok(_) => Finding::ok(check, format!("{host} is free for {whom}")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_running => {
            Finding::ok(check, format!("{host} is in use for {whom}, a node runs"))
        }
        Err(error) => Finding::fail(
            check,
            format!("cannot listen on {host} for {whom}: {error}"),
            format!("choose another {flag}"),
        ),
    }
}

/// Whether each bootnode lets us in.
pub(super) fn bootnodes(config: &Config) -> Vec<Finding> {
    const CHECK: &str = "bootnodes";
    if config.network.bootnodes.is_empty() {
        return vec![Finding::ok(CHECK, "none: this node waits to be found, or is alone")];
    }
    let knock = |address: &String| match host_and_port(address).map(|host| reach(&host)) {
        Some(Ok(peer)) => Finding::ok(CHECK, format!("{address} lets us in ({peer})")),
        Some(Err(error)) => {
            let advice = "look whether it runs, and at firewalls between; one that answers is enough";
            Finding::warn(CHECK, format!("{address} does not: {error}"), advice)
        }
        None => Finding::warn(CHECK, format!("{address} names no host and port"), "write /ip4/HOST/tcp/PORT"),
    };
    let mut findings: Vec<Finding> = config.network.bootnodes.iter().map(knock).collect();
    if findings.iter().all(|finding| finding.advice.is_some()) {
        findings.push(Finding::fail(
            CHECK,
            "none of them lets us in",
            "without one this node finds no network",
        ));
    }
    findings
}

fn reach(host: &str) -> io::Result<SocketAddr> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in host.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(_) => return Ok(address),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// `HOST:PORT` of an address that the configuration took: `/ip4|ip6|dns.../HOST/tcp/PORT[/p2p/PEER]`.
fn host_and_port(address: &str) -> Option<String> {
    let mut parts = address.split('/').skip(1);
    let (kind, host) = (parts.next()?, parts.next()?);
    let (transport, port) = (parts.next()?, parts.next()?);
    let host = if kind == "ip6" { format!("[{host}]") } else { host.to_owned() };
    (transport == "tcp").then(|| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use crate::config::RunArgs;
    use crate::config::{ConfigFile, Environment};

    #[test]
    fn a_proxy_that_nobody_believes_is_warned_of() {
        let said = |text: &str| {
            let file = ConfigFile { path: "/etc/printsyd.toml".into(), text: format!("[rpc]\n{text}") };
            let config =
                Config::resolve(&RunArgs::default(), &Environment::of_process(), Some(&file)).unwrap();
            proxies(&config.rpc).map(|finding| finding.verdict)
        };
        let (one, open) = ("trusted_proxies = [\"192.0.2.1\"]", "listen = \"0.0.0.0:8645\"");
        assert_eq!(said(""), None);
        assert_eq!(said(one), Some(Verdict::Warn));
        assert_eq!(said("behind_proxy = true"), Some(Verdict::Ok));
        assert_eq!(said(&format!("behind_proxy = true\n{open}")), Some(Verdict::Warn));
        assert_eq!(said(&format!("behind_proxy = true\n{open}\n{one}")), Some(Verdict::Ok));
    }

    #[test]
    fn an_address_is_a_host_and_a_port() {
        assert_eq!(host_and_port("/ip4/192.0.2.1/tcp/8640").unwrap(), "192.0.2.1:8640");
        assert_eq!(host_and_port("/ip6/::1/tcp/1/p2p/x").unwrap(), "[::1]:1");
        assert_eq!(host_and_port("/dns4/shop.example/tcp/8640").unwrap(), "shop.example:8640");
        assert_eq!(host_and_port("/ip4/192.0.2.1/udp/1"), None);
        assert_eq!(host_and_port("nonsense"), None);
    }

    #[test]
    fn a_port_is_free_taken_or_the_running_node_s() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        assert_eq!(port("ports", "peers", &host, false, "--listen").verdict, Verdict::Fail);
        assert_eq!(port("ports", "peers", &host, true, "--listen").verdict, Verdict::Ok);
        assert!(reach(&host).is_ok());
        drop(listener);
        assert_eq!(port("ports", "peers", &host, false, "--listen").verdict, Verdict::Ok);
        assert_eq!(port("ports", "peers", &host, true, "--listen").verdict, Verdict::Warn);
        assert!(reach(&host).is_err());
    }
}
