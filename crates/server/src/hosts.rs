//! Under which names the server is reached, and which web pages may change something.
//!
//! A browser lets a page talk to the host that it came from. Whoever controls the name of that host can
//! point it at another address, a server on loopback say, and the page reads what is stored there (DNS
//! rebinding). What gives it away is the name in `Host`, so the server answers only to its own:
//!
//! - the address that it listens on, any address if it listens on all, whatever the port;
//! - `localhost` and what ends in `.localhost`, if it listens on loopback or on all addresses;
//! - the name of the machine;
//! - those of [`ServerConfig::allowed_hosts`](crate::ServerConfig::allowed_hosts).
//!
//! Others are answered 421 (Misdirected Request), which is what HTTP calls it (RFC 9110, 15.5.20), rather
//! than 403: nothing is forbidden to the client, it has another server in mind, and the two are told apart
//! in counters and logs. HTTP/1.1 without `Host`, or any request with two of them, is 400 (RFC 9112, 3.2). HTTP/1.0 may
//! do without: no browser does, and simple probes do.
//!
//! Browsers say with each request that changes something which page it comes from. If that is a page of
//! another origin (`Origin`, `Sec-Fetch-Site`) the request is refused with 403. The origin is the server's own
//! if its host and port are those of `Host`, or if its host is an allowed one by name, as behind a proxy
//! that rewrites `Host`. `*` does not stand for origins.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use hyper::header::{HOST, HeaderMap, HeaderValue, ORIGIN};
use hyper::{Request, StatusCode, Version};

use crate::refusal::Refusal;

/// How much of what a client sent is repeated to it and to the log.
const SHOWN_MAX: usize = 100;

/// A name by which clients may reach the server, besides its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHost(Allowed);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Allowed {
    Any,
    One(Host),
}

/// What is no name of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidHost;

impl AllowedHost {
    /// Reads a name such as `siltstone.example`, an address, or `*`, which allows every name. Case, a
    /// dot at the end and a port do not matter.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn new(text: &str) -> Result<Self, InvalidHost> {
        if text == "*" {
            return Ok(Self(Allowed::Any));
        }
        // An address of IPv6 stands in brackets only where a port may follow.
        if let Ok(address) = text.parse() {
            return Ok(Self(Allowed::One(Host::address(address))));
        }
        Authority::parse(text).map(|one| Self(Allowed::One(one.host))).ok_or(InvalidHost)
    }
}

impl fmt::Display for AllowedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Allowed::Any => f.write_str("*"),
            Allowed::One(Host::Name(name)) => f.write_str(name),
            Allowed::One(Host::Address(address)) => address.fmt(f),
        }
    }
}

impl FromStr for AllowedHost {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        Self::new(text)
    }
}

impl fmt::Display for InvalidHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a name such as siltstone.example, without scheme and path, or * for every name",
        )
    }
}

impl std::error::Error for InvalidHost {}

/// A host as it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    /// In lower case, without a dot at the end.
    Name(String),
    Address(IpAddr),
}

impl Host {
    fn address(address: IpAddr) -> Self {
        Self::Address(address.to_canonical())
    }
}

/// What stands in `Host`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Authority {
    host: Host,
    port: Option<u16>,
}

impl Authority {
    fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']')?;
                // A zone says which of our own interfaces is meant.
                let address = address.split_once('%').map_or(address, |(address, _)| address);
                (Host::address(address.parse::<Ipv6Addr>().ok()?.into()), port)
            }
            None => {
                let end = text.find(':').unwrap_or(text.len());
                let (name, port) = text.split_at(end);
                let name = name.strip_suffix('.').unwrap_or(name);
                let is_known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
                if name.is_empty() || !name.bytes().all(is_known) {
                    return None;
                }
                let host = match name.parse::<Ipv4Addr>() {
                    Ok(address) => Host::address(address.into()),
                    Err(_) => Host::Name(name.to_ascii_lowercase()),
                };
                (host, port)
            }
        };
        let port = match port {
            "" | ":" => None,
            port => Some(port.strip_prefix(':')?.parse().ok()?),
        };
        Some(Self { host, port })
    }
}

/// The names of one server.
#[derive(Debug)]
pub(crate) struct Hosts {
    allowed: Vec<AllowedHost>,
    listens_on: Vec<IpAddr>,
    machine: Option<Host>,
}

impl Hosts {
    /// The names of a server that listens on these addresses.
    pub(crate) fn new(allowed: &[AllowedHost], listens_on: impl Iterator<Item = IpAddr>) -> Self {
        let listens_on = listens_on.map(|address| address.to_canonical()).collect();
        // The kernel's own file, not one of a store; where there is none the name is not known.
        let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let machine = machine.and_then(|name| Authority::parse(name.trim_end()));
        Self { allowed: allowed.to_vec(), listens_on, machine: machine.map(|name| name.host) }
    }

    /// Refuses a request for another server.
    pub(crate) fn check<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        let mut hosts = request.headers().get_all(HOST).iter();
        match (hosts.next(), hosts.next()) {
            (None, _) if request.version() == Version::HTTP_10 => {}
            (None, _) => return Err(Refusal::bad_request("the header Host is missing")),
            (Some(_), Some(_)) => return Err(Refusal::bad_request("there are two headers Host")),
            (Some(host), None) => self.check_one(host.as_bytes())?,
        }
        // A target that is a whole URL counts more than `Host`.
        request
            .uri()
            .authority()
            .map_or(Ok(()), |target| self.check_one(target.as_str().as_bytes()))
    }

    fn check_one(&self, text: &[u8]) -> Result<(), Refusal> {
        let shown = shown(text);
        let Some(authority) = std::str::from_utf8(text).ok().and_then(Authority::parse) else {
            let message = format!("{shown:?} in the header Host is no name of a host");
            return Err(Refusal::bad_request(message));
        };
        if self.is_own(&authority.host) {
            return Ok(());
        }
        let flag = match authority.host {
            Host::Name(name) => name,
            Host::Address(address) => address.to_string(),
        };
        let message = format!(
            "{shown:?} is no name of this server. If clients are to reach it by that, start it with: \
             siltstone serve --allowed-host {flag}"
        );
        Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, message))
    }

    fn is_own(&self, host: &Host) -> bool {
        if self.machine.as_ref() == Some(host) || self.is_allowed(host, true) {
            return true;
        }
        let listens = |fits: fn(&IpAddr) -> bool| self.listens_on.iter().any(fits);
        let on_all = listens(IpAddr::is_unspecified);
        let on_loopback = on_all || listens(IpAddr::is_loopback);
        match host {
            Host::Address(address) => {
                on_all
                    || self.listens_on.contains(address)
                    || (on_loopback && address.is_loopback())
            }
            Host::Name(name) => {
                on_loopback && (name == "localhost" || name.ends_with(".localhost"))
            }
        }
    }

    fn is_allowed(&self, host: &Host, any_counts: bool) -> bool {
        self.allowed.iter().any(|allowed| match &allowed.0 {
            Allowed::Any => any_counts,
            Allowed::One(one) => one == host,
        })
    }

    /// Refuses what a page of another origin sends.
    pub(crate) fn check_page(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let refused = |what: String| {
            let message = format!("web pages of other origins may change nothing here: {what}");
            Err(Refusal::new(StatusCode::FORBIDDEN, message))
        };
        for site in headers.get_all("sec-fetch-site") {
            if !matches!(site.as_bytes(), b"same-origin" | b"none") {
                return refused(format!("Sec-Fetch-Site is {:?}", shown(site.as_bytes())));
            }
        }
        for origin in headers.get_all(ORIGIN) {
            if !self.is_own_page(origin, headers) {
                return refused(format!("Origin is {:?}", shown(origin.as_bytes())));
            }
        }
        Ok(())
    }

    fn is_own_page(&self, origin: &HeaderValue, headers: &HeaderMap) -> bool {
        let parse = |value: &HeaderValue| value.to_str().ok().and_then(Authority::parse);
        let Some((scheme, page)) = origin.to_str().ok().and_then(|text| text.split_once("://"))
        else {
            return false;
        };
        let Some(page) = Authority::parse(page) else { return false };
        if self.is_allowed(&page.host, false) {
            return true;
        }
        let usual = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return false,
        };
        let is_page = |host: &Authority| {
            host.host == page.host && host.port.unwrap_or(usual) == page.port.unwrap_or(usual)
        };
        headers.get(HOST).and_then(parse).is_some_and(|host| is_page(&host))
    }
}

/// What is repeated of a header.
fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(&text[..text.len().min(SHOWN_MAX)]).into_owned()
}

#[cfg(test)]
mod tests;
