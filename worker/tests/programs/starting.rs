//! Start of a program: what it says, and whom it lets in.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::Command;

use mailbus_worker::router::ALLOW_ANONYMOUS;
use mailbus_worker::workerd::{Log, Options, Workerd};
use serde_json::{Value, json};

use crate::bus::{Bus, log_beside, run};
use crate::support::bundle::release_bundle;
use crate::support::daemon::{Daemon, Program};
use crate::support::http::send;

/// Values of the variable, and whether they let everybody in.
const VALUES: [(&str, u16); 6] =
    [("true", 200), ("false", 401), ("TRUE", 401), ("", 401), ("1", 401), ("true ", 401)];

pub fn ready(program: Program) {
    let bus = Bus::start(program);
    let line: Value = serde_json::from_str(&bus.daemon.ready).unwrap();
    let expected = json!({
        "program": program.name(), "url": format!("http://{}", bus.address()),
        "pid": bus.daemon.id(),
    });
    assert_eq!(line, expected);
    let version = run(send(bus.address(), "GET", "/v1/version", &[], Vec::new()));
    assert_eq!((version.status, &version.json()["name"]), (200, &json!("mailbus")));
    let log = log_beside(&bus.data());
    assert!(log.contains("anonymous access"), "{log}");

    let second = refused(&mut program.command(&bus.data(), &["--anonymous"]));
    assert!(second.contains("in use by another process"), "{second}");

    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("not").join("there yet");
    std::fs::create_dir(folder.path().join("not")).unwrap();
    let plain = Daemon::spawn(&mut program.command(&data, &["--anonymous"]), &data);
    let line = format!("{} listening on http://{}\n", program.name(), plain.address);
    assert_eq!(plain.ready, line);
}

/// Message of a program that does not start.
fn refused(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

pub fn closed(program: Program) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for address in ["0.0.0.0:0", "[::]:0"] {
        let said = refused(&mut program.command_at(address, &data, &["--anonymous"]));
        assert!(said.contains("listen on a loopback address, not on"), "{said}");
        assert!(said.contains(address), "{said}");
    }
    let mut exposed = program.command_at("0.0.0.0:0", &data, &[]);
    assert!(refused(exposed.env(ALLOW_ANONYMOUS, "true")).contains("loopback"));
    assert!(!data.exists(), "it has not begun");

    let daemon = program.start(&data, &[]);
    run(async {
        for (method, path) in [
            ("GET", "/v1/version"),
            ("POST", "/v1/version"),
            ("POST", "/v1/w/lease/list"),
            ("POST", "/v1/w/lease/acquire"),
            ("GET", "/v1/w/lease/subscribe?agentId=ann"),
            ("DELETE", "/nowhere"),
        ] {
            for headers in [&[][..], &[("authorization", "Bearer x")][..]] {
                let answer = send(daemon.address, method, path, headers, Vec::new()).await;
                let told = (answer.status, answer.code());
                assert_eq!(told, (401, "unauthorized".to_owned()), "{method} {path}");
                assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{path}");
            }
        }
    });
    let log = log_beside(&data);
    assert!(log.contains("every request will be refused"), "{log}");
}

fn asked(address: SocketAddr) -> u16 {
    run(send(address, "GET", "/v1/version", &[], Vec::new())).status
}

pub fn one_word_alone(program: Program) {
    for (value, status) in VALUES {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let mut command = program.command(&data, &["--json"]);
        let daemon = Daemon::spawn(command.env(ALLOW_ANONYMOUS, value), &data);
        assert_eq!(asked(daemon.address), status, "{value:?}");
    }
}

/// The module itself, which reads the variable where nothing of ours has read it before.
pub fn one_word_alone_opens_a_deployment() {
    for (value, status) in VALUES {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            bundle: release_bundle().unwrap_or_else(|failed| panic!("{failed:?}")),
            data: folder.path().join("data"),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            environment: BTreeMap::from([(ALLOW_ANONYMOUS.to_owned(), value.to_owned())]),
            evictable: false,
            companion: None,
            front: None,
            log: Log::File(folder.path().join("log")),
        };
        let runtime = Workerd::start(options).unwrap();
        assert_eq!(asked(runtime.address()), status, "{value:?}");
    }
}
