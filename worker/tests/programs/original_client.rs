//! A client of the original package, in the Workers runtime: a Worker in JavaScript that knows nothing
//! of this project and is bound to its classes.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use mailbus_worker::workerd::{Log, Options, Workerd};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bus::run;
use crate::support::bundle::release_bundle;
use crate::support::http::Connection;

const CLIENT: &str = include_str!("original_client.js");

struct Runtime {
    workerd: Workerd,
    folder: TempDir,
}

impl Runtime {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let workerd = Workerd::start(Options {
            bundle: release_bundle().unwrap(),
            data: folder.path().join("data"),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            environment: BTreeMap::new(),
            evictable: false,
            companion: Some(CLIENT.to_owned()),
            front: None,
            log: Log::File(folder.path().join("log")),
        })
        .unwrap();
        Self { workerd, folder }
    }

    fn play(&self, scenario: &str) -> Value {
        let address = self.workerd.companion().unwrap();
        let answer = run(async {
            let mut connection = Connection::open(address).await.unwrap();
            connection.send("GET", &format!("/{scenario}"), &[], Vec::new()).await.unwrap()
        });
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        assert_eq!(answer.status, 200, "{}\n{log}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }
}

fn payloads(told: &Value) -> Vec<Value> {
    told["received"].as_array().unwrap().iter().map(|got| got["payload"]["n"].clone()).collect()
}

pub fn works_unchanged() {
    let told = Runtime::start().play("day");
    for what in ["published", "sent", "offline"] {
        assert_eq!(told[what]["status"], 200, "{told}");
        assert_eq!(told[what]["body"]["accepted"], true, "{told}");
    }
    assert_eq!(payloads(&told["ann"]), [] as [Value; 0], "nobody hears himself");
    assert_eq!(payloads(&told["bob"]), [json!(1), json!(2)]);
    assert_eq!(told["bob"]["settled"], json!([1]), "the one that asked for an ack");
    let kept = &told["late"]["received"][0];
    assert_eq!((&kept["payload"]["n"], &kept["extra"]), (&json!(3), &json!("kept")));
    assert_eq!((&kept["from"], &kept["type"]), (&json!("bob"), &json!("sync_request")));
    assert!(kept["timestamp"].as_str().unwrap().ends_with('Z'), "an ISO time stays one");
    let lease = &told["lease"];
    assert_eq!(lease["ann"]["body"]["acquired"], true);
    assert_eq!(lease["bob"]["status"], 200);
    assert_eq!(lease["bob"]["body"]["acquired"], false);
    assert_eq!(lease["bob"]["body"]["agentId"], "ann");
    assert_eq!(lease["held"]["body"]["isLeased"], true);
    assert_eq!(lease["released"]["body"]["released"], true);
    assert_eq!(lease["free"]["body"]["isLeased"], false);
    assert_eq!(
        (&lease["again"]["status"], &lease["again"]["body"]["released"]),
        (&json!(200), &json!(false))
    );
}

pub fn two_of_one_name_do_not_evict_each_other() {
    let told = Runtime::start().play("twins");
    let quiet = &told["quiet"];
    assert_eq!((&quiet["one"]["connects"], &quiet["two"]["connects"]), (&json!(1), &json!(1)));
    assert_eq!(quiet["one"]["closes"], json!([]), "it stays open, and mute");
    assert_eq!(payloads(&quiet["one"]), [] as [Value; 0], "one session is served");
    assert_eq!(payloads(&quiet["two"]), [json!(1)]);
    assert_eq!(told["one"]["connects"], 2, "when that one ended, the other came back");
    assert!(payloads(&told["one"]).contains(&json!(2)), "and is served");
}
