//! Which names are a server's own.

use super::*;

fn hosts(listens_on: &str, allowed: &[&str]) -> Hosts {
    let allowed: Vec<AllowedHost> = allowed.iter().map(|a| AllowedHost::new(a).unwrap()).collect();
    let mut hosts = Hosts::new(&allowed, std::iter::once(listens_on.parse().unwrap()));
    hosts.machine = Some(Host::Name("box".to_owned()));
    hosts
}

fn status(hosts: &Hosts, host: &str) -> u16 {
    let request = Request::builder().header(HOST, host).body(()).unwrap();
    hosts.check(&request).map_or_else(|refusal| refusal.status.as_u16(), |()| 200)
}

#[test]
fn names_are_compared_without_case_port_and_last_dot() {
    let hosts = hosts("127.0.0.1", &["Siltstone.Example", "10.0.0.7:80", "[fd00::1]:1", "fd00::2"]);
    for own in [
        "siltstone.example",
        "SILTSTONE.example:7480",
        "siltstone.example.",
        "siltstone.example.:80",
        "siltstone.example:",
        "10.0.0.7",
        "[fd00::1]",
        "[fd00:0::2]:9",
        "localhost:7480",
        "a.b.localhost",
        "127.0.0.1:1",
        "127.0.0.53",
        "[::1]",
        "[::ffff:127.0.0.1]:7480",
        "box",
        "BOX:7480",
    ] {
        assert_eq!(status(&hosts, own), 200, "{own}");
    }
    for foreign in [
        "evil.example",
        "siltstone.example.evil",
        "xsiltstone.example",
        "notlocalhost",
        "localhost.evil.example",
        "10.0.0.8",
        "[fd00::3]",
        "0x7f.1",
        "127.0.0.1.evil",
    ] {
        assert_eq!(status(&hosts, foreign), 421, "{foreign}");
    }
    for malformed in
        ["", ":80", "a b", "a:b", "a:1:2", "[::1", "[::1]x", "::1", "a@b", "http://a", "*", "."]
    {
        assert_eq!(status(&hosts, malformed), 400, "{malformed}");
    }
}

#[test]
fn what_it_listens_on_is_its_own() {
    for (listens_on, own, foreign) in [
        ("127.0.0.1", "127.0.0.1", "192.168.0.1"),
        ("192.168.0.1", "192.168.0.1", "127.0.0.1"),
        ("192.168.0.1", "box", "localhost"),
        ("0.0.0.0", "192.168.0.1", "evil.example"),
        ("0.0.0.0", "[fd00::1]", "siltstone"),
        ("::", "10.0.0.1", "siltstone"),
        ("::", "localhost", "localhost.example"),
        ("::1", "[::1]", "[::2]"),
        ("fd00::1", "[fd00::1%25eth0]", "[::1]"),
    ] {
        let hosts = hosts(listens_on, &[]);
        assert_eq!((status(&hosts, own), status(&hosts, foreign)), (200, 421), "{listens_on}");
    }
    assert_eq!(status(&hosts("127.0.0.1", &["*"]), "evil.example"), 200);
}

#[test]
fn the_refusal_names_the_flag() {
    let request = Request::builder().header(HOST, "Silt:9009").body(()).unwrap();
    let refusal = hosts("127.0.0.1", &[]).check(&request).unwrap_err();
    assert!(refusal.message.ends_with("--allowed-host silt"), "{}", refusal.message);
}

#[test]
fn the_target_counts_as_well() {
    let hosts = hosts("127.0.0.1", &[]);
    let request =
        |uri: &str| Request::builder().uri(uri).header(HOST, "localhost").body(()).unwrap();
    assert!(hosts.check(&request("http://localhost/metrics")).is_ok());
    assert!(hosts.check(&request("http://evil.example/metrics")).is_err());
}

#[test]
fn pages_of_others_are_refused() {
    let hosts = hosts("127.0.0.1", &["metrics.example", "*"]);
    let page = |host: &str, origin: &str| {
        let request =
            Request::builder().header(HOST, host).header(ORIGIN, origin).body(()).unwrap();
        hosts.check_page(request.headers()).is_ok()
    };
    for (host, origin) in [
        ("localhost:7480", "http://localhost:7480"),
        ("LOCALHOST:7480", "http://localhost:7480"),
        ("127.0.0.1", "http://127.0.0.1"),
        ("127.0.0.1:443", "https://127.0.0.1"),
        ("127.0.0.1", "https://127.0.0.1"),
        ("127.0.0.1:7480", "https://metrics.example"),
    ] {
        assert!(page(host, origin), "{host} {origin}");
    }
    for (host, origin) in [
        ("localhost:7480", "null"),
        ("localhost:7480", ""),
        ("localhost:7480", "http://localhost:3000"),
        ("localhost:7480", "http://localhost"),
        ("localhost:7480", "http://evil.example"),
        ("localhost:7480", "file://localhost:7480"),
        ("localhost:7480", "http://metrics.example.evil"),
        ("127.0.0.1", "http://127.0.0.1:443"),
    ] {
        assert!(!page(host, origin), "{host} {origin}");
    }
}

#[test]
fn allowed_hosts_are_names() {
    for (text, printed) in
        [("*", "*"), ("A.b.", "a.b"), ("a:80", "a"), ("::1", "::1"), ("[::1]:1", "::1")]
    {
        assert_eq!(AllowedHost::new(text).unwrap().to_string(), printed);
    }
    for text in ["", "*.example", "http://a", "a/b", "a b", "a,b"] {
        assert_eq!(AllowedHost::new(text), Err(InvalidHost), "{text}");
    }
}
