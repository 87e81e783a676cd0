//! Addresses of servers.

use crate::error::{Error, Result};
use crate::types::Address;

/// Servers as `host:port`, separated by commas.
pub(in crate::config) struct Servers {
    pub(in crate::config) name: &'static str,
}

impl Servers {
    /// Keeps the order; one that is named twice counts once.
    pub(in crate::config) fn parse(&self, text: &str) -> Result<Vec<Address>> {
        let mut servers = Vec::new();
        let entries = text.split(',').map(str::trim);
        for entry in entries.filter(|entry| !entry.is_empty()) {
            let server = address(entry).map_err(|reason| Error::config(self.name, reason))?;
            if !servers.contains(&server) {
                servers.push(server);
            }
        }
        if servers.is_empty() {
            return Err(Error::config(
                self.name,
                "no server is named: give one or more as host:port, separated by commas",
            ));
        }
        Ok(servers)
    }
}

/// Reads `host:port`, `[IPv6]:port`, either after Java's optional `PLAINTEXT://`.
fn address(entry: &str) -> Result<Address, String> {
    let server = match entry.split_once("://") {
        None => entry,
        Some((scheme, server)) if scheme.eq_ignore_ascii_case("PLAINTEXT") => server,
        Some((scheme, _)) => {
            return Err(format!(
                "{entry:?} asks for {scheme}: give host:port here, and the protocol of all servers by security.protocol"
            ));
        }
    };
    let no_port = || format!("{entry:?} has no port: give host:port, such as localhost:9092");
    let (host, port) = match server.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest
                .split_once(']')
                .ok_or_else(|| format!("{entry:?} has no \"]\" after its IPv6 address"))?;
            // A zone ("fe80::1%eth0") is the resolver's business.
            let ip = host.split('%').next().unwrap_or(host);
            if ip.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(format!(
                    "{entry:?} has no IPv6 address between \"[\" and \"]\""
                ));
            }
            (host, port.strip_prefix(':').ok_or_else(no_port)?)
        }
        None => {
            let (host, port) = server.rsplit_once(':').ok_or_else(no_port)?;
            if host.contains(':') {
                return Err(format!(
                    "{entry:?} is not host:port: an IPv6 address goes in brackets, as in [::1]:9092"
                ));
            }
            (host, port)
        }
    };
    if host.is_empty() {
        return Err(format!("{entry:?} has no host: give host:port"));
    }
    let in_a_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_' | '%' | ':');
    if let Some(c) = host.chars().find(|c| !in_a_name(*c)) {
        return Err(format!("{entry:?} is not host:port: a host has no {c:?}"));
    }
    if port.is_empty() {
        return Err(no_port());
    }
    if !port.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!(
            "{entry:?} is not host:port: {port:?} is no port number"
        ));
    }
    match port.parse::<u16>() {
        Ok(port) if port > 0 => Ok(Address::new(host, port)),
        _ => Err(format!("{entry:?} has a port that is not from 1 to 65535")),
    }
}
