//! Ways to a service: names with addresses that lead nowhere, proxies.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;

use mailbus_client::transport::{
    Authority, Carrier, Connector, Endpoint, NoAnswer, Object, Scheme, Streams, TokioConnector,
    open,
};
use mailbus_spec::{AgentId, Workspace};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::service::Bench;
use crate::wires::proxy;
use crate::{seconds, tls, wanted};

fn to(host: &str, port: u16) -> Authority {
    Authority { scheme: Scheme::Plain, host: host.to_owned(), port }
}

/// An address that takes no connection and refuses none, for as long as what comes with it is kept.
async fn nowhere() -> (SocketAddr, TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    // Nobody accepts: once as many wait as may, the next hangs.
    while let Ok(stream) = within(TcpStream::connect(address), seconds(1) / 4).await {
        waiting.push(stream.unwrap());
    }
    (address, listener, waiting)
}

/// True if something of an exchange with this address may have left, which nobody answers.
async fn may_have_left(address: SocketAddr) -> bool {
    let team = Workspace::new("team").unwrap();
    let endpoint = Endpoint::new(&format!("http://{address}"), team).unwrap();
    let (carrier, asked) = (Streams::new(endpoint, TokioConnector::new(), 1), Cell::new(false));
    let may_leave = || !asked.replace(true);
    let exchange = carrier.exchange(Object::Mailbox, "publish", "{}".to_owned(), may_leave);
    let answered = within(exchange, seconds(1) / 4).await;
    assert!(matches!(answered, Err(_) | Ok(Err(NoAnswer))), "{answered:?}");
    asked.get()
}

#[test]
fn nothing_leaves_without_a_connection() {
    Bench::run_on_loopback(async |_| {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        assert!(may_have_left(address).await, "it is connected");
        drop(listener);
        assert!(!may_have_left(address).await, "it is refused");
        let (nowhere, _listener, _waiting) = nowhere().await;
        assert!(!may_have_left(nowhere).await, "it hangs");
    });
}

#[expect(clippy::disallowed_methods, reason = "the sockets are real, and so is the time they take")]
async fn within<F: Future>(
    work: F,
    span: std::time::Duration,
) -> Result<F::Output, tokio::time::error::Elapsed> {
    tokio::time::timeout(span, work).await
}

#[test]
fn an_address_that_leads_nowhere_costs_its_head_start_alone() {
    Bench::run_on_loopback(async |bench| {
        let (nowhere, _listener, _waiting) = nowhere().await;
        let service = bench.listen().await;
        let connector = TokioConnector::new().resolving("bus.test", [nowhere, service]);
        let connected = within(connector.connect(&to("bus.test", 80)), seconds(5)).await;
        assert!(connected.expect("the second address has its turn").is_ok());
    });
}

#[test]
fn a_name_without_an_address_is_named() {
    Bench::run_on_loopback(async |_| {
        let connector = TokioConnector::new();
        let error = connector.connect(&to("bus.invalid", 80)).await.err().unwrap();
        assert!(error.to_string().contains("`bus.invalid`"), "{error}");
    });
}

#[test]
fn both_ways_lead_through_a_proxy_that_is_told_who_asks() {
    Bench::run_on_loopback(async |bench| {
        bench.require_token("sesame");
        let issuer = tls::issuer("company");
        let service = tls::front(bench.listen().await, "bus.test", &issuer).await;
        let (proxy, asked) = proxy(service, 200).await;
        let connector = TokioConnector::new()
            .trusting([issuer.der().clone()])
            .through(&format!("http://ada:open%20up@{proxy}"));
        tls::ask_both_ways(&bench, &tls::client(&bench, connector)).await;
        let asked = asked.borrow();
        assert!(asked.len() >= 2, "{asked:?}");
        for head in asked.iter().map(|head| head.to_lowercase()) {
            assert!(head.starts_with("connect bus.test:443 http/1.1\r\n"), "{head}");
            // `ada:open up`
            assert!(head.contains("proxy-authorization: basic ywrhom9wzw4gdxa=\r\n"), "{head}");
            assert!(!head.contains("sesame"), "{head}");
        }
    });
}

#[test]
fn a_proxy_that_does_not_connect_is_named_with_its_status() {
    Bench::run_on_loopback(async |bench| {
        let (proxy, _) = proxy(bench.listen().await, 407).await;
        let connector = TokioConnector::new().through(&format!("http://{proxy}"));
        let error: io::Error = connector.connect(&to("bus.test", 80)).await.err().unwrap();
        let error = error.to_string();
        assert!(error.contains(&format!("the proxy {proxy}")), "{error}");
        assert!(error.contains("bus.test:80") && error.contains("407"), "{error}");
    });
}

/// Runs this very test again as a process with a proxy in its environment.
#[test]
fn the_proxy_of_the_environment_is_used_for_what_it_does_not_except() {
    const DIRECT: &str = "MAILBUS_TEST_DIRECT";
    const AGAIN: &str = "proxies::the_proxy_of_the_environment_is_used_for_what_it_does_not_except";
    if let Ok(direct) = std::env::var(DIRECT) {
        let direct: SocketAddr = direct.parse().unwrap();
        return Bench::run_on_loopback(async |bench| {
            // The names lead nowhere but through the proxy.
            let url = "http://bus.test:8787";
            let endpoint = Endpoint::new(url, Workspace::new("team").unwrap()).unwrap();
            let (client, driver) = open(endpoint, AgentId::new("a").unwrap()).unwrap();
            bench.spawn(driver.run());
            client.acquire(wanted()).await.unwrap().release().await.unwrap();
            let connector = TokioConnector::from_environment().resolving("in.house.test", [direct]);
            connector.connect(&to("in.house.test", 80)).await.unwrap();
            connector.connect(&to("127.0.0.1", direct.port())).await.unwrap();
        });
    }
    Bench::run_on_loopback(async |bench| {
        let service = bench.listen().await;
        for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
            let (proxy, asked) = proxy(service, 200).await;
            let mut again = std::process::Command::new(std::env::current_exe().unwrap());
            again.args(["--exact", AGAIN, "--nocapture"]);
            for other in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY"] {
                again.env_remove(other);
            }
            again.env(DIRECT, service.to_string()).env("no_proxy", "other.test,house.test");
            again.env(variable, format!("http://{proxy}"));
            bench.succeeds(again).await;
            let asked = asked.borrow();
            assert!(!asked.is_empty(), "{variable}");
            assert!(
                asked.iter().all(|head| head.starts_with("CONNECT bus.test:8787 ")),
                "{asked:?}"
            );
        }
    });
}
