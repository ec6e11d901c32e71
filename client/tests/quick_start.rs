//! Goal: the quick start does in the Workers runtime what its reader is told.
//!
//! Method: the example is built like a deployment, with the objects' classes in its own module, and run
//! in `workerd`; one request tells its story.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::ExitCode;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use libtest_mimic::{Arguments, Failed, Trial};
use mailbus_worker::bundle::{self, Package};
use mailbus_worker::workerd::{Log, Options, Workerd};
use tokio::net::TcpStream;

const QUICK_START: Package =
    Package { name: "mailbus-quick-start", folder: "client/examples/quick-start" };

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trial = Trial::test("the_quick_start_runs_in_the_workers_runtime", quick_start);
    libtest_mimic::run(&arguments, vec![trial]).exit_code()
}

fn quick_start() -> Result<(), Failed> {
    let bundle = bundle::provide_of(QUICK_START, &mut |step| eprintln!("set-up: {step}"))?;
    let folder = tempfile::tempdir()?;
    let log = folder.path().join("log");
    let workerd = Workerd::start(Options {
        bundle,
        data: folder.path().join("data"),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        environment: BTreeMap::new(),
        evictable: false,
        companion: None,
        front: None,
        log: Log::File(log.clone()),
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Twice: the second request meets the objects as the first has left them.
    for _ in 0..2 {
        let (status, story) = runtime.block_on(get(workerd.address()))?;
        let messages = std::fs::read_to_string(&log).unwrap_or_default();
        assert_eq!(status, 200, "{story}\n{messages}");
        let told = |line: &str| assert!(story.lines().any(|said| said == line), "{line}:\n{story}");
        told("builder: is ready, and Some(1) others know");
        told("planner: has sent a task");
        told(r#"builder: planner wants {"file":"src/lib.rs"}"#);
        told("builder: holds src/lib.rs");
        told("builder: src/lib.rs was leased: true, and is given back");
        told("planner: builder says task_completed");
    }
    Ok(())
}

async fn get(address: SocketAddr) -> Result<(u16, String), Failed> {
    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    let request =
        http::Request::get("/").header("host", address.to_string()).body(Empty::<Bytes>::new())?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok::<_, hyper::Error>((status, String::from_utf8_lossy(&body).into_owned()))
    };
    let (answered, _) = futures_util::future::join(exchange, connection).await;
    Ok(answered?)
}
