//! TLS, at a service with a certificate that is made in the test.

use std::net::SocketAddr;
use std::sync::Arc;

use mailbus_client::clocks::SystemClocks;
use mailbus_client::lease::LeaseClient;
use mailbus_client::session::lease::Config;
use mailbus_client::transport::{
    Authority, BearerToken, Connector, Endpoint, Scheme, TokioConnector, connect,
};
use mailbus_spec::Workspace;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::service::{Bench, session};
use crate::wires::{listen, pass_on, proxy, tapped};
use crate::{path, seconds, wanted};

/// Somebody who issues certificates.
pub type Issuer = CertifiedIssuer<'static, KeyPair>;

pub fn issuer(name: &str) -> Issuer {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// TLS in front of whoever listens there, as `name`.
pub async fn front(to: SocketAddr, name: &str, issuer: &Issuer) -> SocketAddr {
    leave_no_default_cryptography();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.into()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    listen(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                pass_on(stream, to).await;
            }
        }
    })
    .await
}

/// Removes rustls's default cryptography, which is the application's choice: with two kinds
/// compiled in there is none, and whoever asks for it here fails.
fn leave_no_default_cryptography() {
    let none = CryptoProvider { cipher_suites: Vec::new(), ..ring::default_provider() };
    let _ = none.install_default();
}

fn to(host: &str, address: SocketAddr) -> Authority {
    Authority { scheme: Scheme::Tls, host: host.to_owned(), port: address.port() }
}

async fn refusal(connector: &TokioConnector, host: &str, address: SocketAddr) -> String {
    match connector.connect(&to(host, address)).await {
        Ok(_) => panic!("connected to {host}"),
        Err(error) => error.to_string(),
    }
}

/// A client of the service at `https://bus.test`.
pub fn client(bench: &Bench, connector: TokioConnector) -> LeaseClient<SystemClocks> {
    let endpoint = Endpoint::new("https://bus.test", Workspace::new("team").unwrap()).unwrap();
    let endpoint = endpoint.with_token(BearerToken::new("sesame").unwrap());
    let clocks = SystemClocks::new();
    let (client, driver) = connect(session("a", Config::default()), endpoint, connector, clocks);
    bench.spawn(driver.run());
    client
}

/// Asks until it was answered by both ways.
pub async fn ask_both_ways(bench: &Bench, client: &LeaseClient<SystemClocks>) {
    let lease = client.acquire(wanted()).await.unwrap();
    assert!(lease.is_valid());
    for way in ["http", "socket"] {
        while !bench.log().iter().any(|entry| entry.starts_with(way)) {
            client.status(path("src/lib.rs")).await.unwrap();
        }
    }
    lease.release().await.unwrap();
}

#[test]
fn both_ways_work_over_tls_and_nothing_can_be_read_on_the_wire() {
    Bench::run_on_loopback(async |bench| {
        bench.require_token("sesame");
        let issuer = issuer("company");
        let (plain, readable) = tapped(bench.listen().await).await;
        let (wire, sealed) = tapped(front(plain, "bus.test", &issuer).await).await;
        let connector =
            TokioConnector::new().trusting([issuer.der().clone()]).resolving("bus.test", [wire]);
        ask_both_ways(&bench, &client(&bench, connector)).await;
        for secret in ["sesame", "/v1/team", "src/lib.rs"] {
            assert!(readable.contains(secret), "{secret}");
            assert!(!sealed.contains(secret), "{secret}");
        }
        assert_eq!(bench.live_leases(), 0);
    });
}

#[test]
fn a_name_that_the_certificate_does_not_prove_is_refused_in_words() {
    Bench::run_on_loopback(async |bench| {
        let issuer = issuer("company");
        let address = front(bench.listen().await, "bus.test", &issuer).await;
        let connector = TokioConnector::new()
            .trusting([issuer.der().clone()])
            .resolving("bus.test", [address])
            .resolving("other.test", [address]);
        assert!(connector.connect(&to("bus.test", address)).await.is_ok());
        let refused = refusal(&connector, "other.test", address).await;
        assert!(refused.contains("no TLS with `other.test`"), "{refused}");
        assert!(refused.contains("not valid for name \"other.test\""), "{refused}");
    });
}

#[test]
fn an_issuer_that_nobody_trusts_is_refused_with_what_to_do_about_it() {
    Bench::run_on_loopback(async |bench| {
        let address = front(bench.listen().await, "bus.test", &issuer("stranger")).await;
        let connector = TokioConnector::new()
            .trusting([issuer("company").der().clone()])
            .resolving("bus.test", [address]);
        let refused = refusal(&connector, "bus.test", address).await;
        assert!(refused.contains("UnknownIssuer"), "{refused}");
        assert!(refused.contains("TokioConnector::trusting"), "{refused}");
    });
}

#[test]
fn a_proxy_may_be_spoken_to_over_tls_and_so_may_whoever_is_behind_it() {
    Bench::run_on_loopback(async |bench| {
        bench.require_token("sesame");
        let issuer = issuer("company");
        let service = front(bench.listen().await, "bus.test", &issuer).await;
        let (plain, asked) = proxy(service, 200).await;
        let secured = front(plain, "proxy.test", &issuer).await;
        for url in [format!("http://{plain}"), format!("https://proxy.test:{}", secured.port())] {
            let connector = TokioConnector::new()
                .trusting([issuer.der().clone()])
                .resolving("proxy.test", [secured])
                .through(&url);
            let client = client(&bench, connector);
            client.status(path("src/lib.rs")).await.unwrap();
            let asked = std::mem::take(&mut *asked.borrow_mut());
            assert!(asked[0].starts_with("CONNECT bus.test:443 HTTP/1.1\r\n"), "{asked:?}");
        }
    });
}

/// Runs this very test again as a process whose system trusts the issuer.
#[cfg(target_os = "linux")]
#[test]
fn whom_the_system_trusts_is_trusted() {
    const SERVICE: &str = "MAILBUS_TEST_SERVICE";
    if let Ok(address) = std::env::var(SERVICE) {
        let address: SocketAddr = address.parse().unwrap();
        return Bench::run_on_loopback(async |_| {
            let connector = TokioConnector::new().resolving("bus.test", [address]);
            assert!(connector.connect(&to("bus.test", address)).await.is_ok());
        });
    }
    Bench::run_on_loopback(async |bench| {
        let issuer = issuer("company");
        let address = front(bench.listen().await, "bus.test", &issuer).await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("company.pem");
        std::fs::write(&file, issuer.pem()).unwrap();
        let name = "tls::whom_the_system_trusts_is_trusted";
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", name, "--nocapture"]);
        again.env(SERVICE, address.to_string()).env("SSL_CERT_FILE", file);
        again.env_remove("SSL_CERT_DIR");
        bench.succeeds(again).await;
    });
}

#[test]
fn why_a_service_cannot_be_connected_to_is_in_the_log_once() {
    Bench::run_on_loopback(async |bench| {
        let address = front(bench.listen().await, "bus.test", &issuer("stranger")).await;
        let connector = TokioConnector::new()
            .trusting([issuer("company").der().clone()])
            .resolving("bus.test", [address]);
        let (log, _until_the_end) = crate::log::kept();
        let client = client(&bench, connector);
        let asked = bench.spawn(async move { client.acquire(wanted()).await.map(drop) });
        for _ in 0..500 {
            if log.text().contains("UnknownIssuer") {
                break;
            }
            bench.pass(seconds(1) / 50).await;
        }
        // Both ways have failed by then, and more than once.
        bench.pass(seconds(1) / 2).await;
        asked.abort();
        assert_eq!(log.text().matches("bus.test").count(), 2, "{}", log.text());
    });
}
