//! A client that keeps books: of every answer what it was told, of every silence what it does not know.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::support::http::Connection;

/// Longer than any trial.
const TTL_MS: u64 = 86_400_000;
/// Shorter than any trial.
const BRIEFLY_MS: u64 = 30;

/// Request of a client. Every request has a name of its own, so repeating it is harmless.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ask {
    Acquire {
        path: String,
    },
    Release {
        path: String,
        token: u64,
    },
    Send {
        id: String,
    },
    Settle {
        id: String,
        seq: u64,
    },
    /// Of something that nobody else wants, for a moment: what sets an alarm.
    AcquireBriefly {
        path: String,
    },
}

/// Client, with what it was told of its claims and of the mail it has sent: to itself, so that it
/// may settle it.
pub struct Client {
    pub workspace: String,
    name: String,
    random: ChaCha8Rng,
    asked: u64,
    /// The length of a message's payload.
    payload: usize,
    /// By path, the token.
    leases: BTreeMap<String, u64>,
    /// By id, the seq.
    mail: BTreeMap<String, u64>,
    /// The request that was not answered.
    doubt: Option<Ask>,
    /// The sequences of writes that it was told of, by object, and the largest.
    commits: BTreeSet<(&'static str, u64)>,
    answers: usize,
    connection: Option<Connection>,
}

impl Client {
    pub fn new(number: u64, workspace: String, payload: usize) -> Self {
        Self {
            workspace,
            name: format!("agent-{number}"),
            random: ChaCha8Rng::seed_from_u64(number),
            asked: 0,
            payload,
            leases: BTreeMap::new(),
            mail: BTreeMap::new(),
            doubt: None,
            commits: BTreeSet::new(),
            answers: 0,
            connection: None,
        }
    }

    /// Number of answers that it has.
    pub fn answers(&self) -> usize {
        self.answers
    }

    /// Another program listens, or the same at another address.
    pub fn disconnect(&mut self) {
        self.connection = None;
    }

    /// Asks once: again what was not answered, else something new. Returns whether it was answered.
    pub async fn ask(&mut self, address: SocketAddr) -> bool {
        let (ask, repeated) = match self.doubt.take() {
            Some(ask) => (ask, true),
            None => (self.choose(), false),
        };
        self.doubt = Some(ask.clone());
        let Some(answer) = self.request(address, &ask).await else { return false };
        self.doubt = None;
        self.answers += 1;
        self.note(ask, &answer, repeated);
        true
    }

    fn choose(&mut self) -> Ask {
        self.asked += 1;
        let n = self.asked;
        let lease = self.leases.iter().next().filter(|_| self.leases.len() > 40);
        let mail = self.mail.iter().next().filter(|_| self.mail.len() > 40);
        match (self.random.random_range(0..5), lease, mail) {
            (4, ..) => Ask::AcquireBriefly { path: format!("brief/{}", self.name) },
            (0, Some((path, token)), _) => Ask::Release { path: path.clone(), token: *token },
            (1, _, Some((id, seq))) => Ask::Settle { id: id.clone(), seq: *seq },
            (0 | 2, ..) => Ask::Acquire { path: format!("{}/{n:06}", self.name) },
            _ => Ask::Send { id: format!("{n:06}") },
        }
    }

    /// The answer, if it came and says what came of it.
    async fn request(&mut self, address: SocketAddr, ask: &Ask) -> Option<Value> {
        let (action, body) = self.spell(ask);
        if self.connection.is_none() {
            self.connection = Connection::open(address).await.ok();
        }
        let path = format!("/v1/{}/{action}", self.workspace);
        match self.connection.as_mut()?.post(&path, &body.to_string()).await {
            Ok(answer) if answer.status == 200 => Some(answer.json()),
            Ok(answer) => {
                assert!(answer.status >= 500, "{path} {body}: {answer:?}");
                None
            }
            Err(_) => {
                self.connection = None;
                None
            }
        }
    }

    fn spell(&self, ask: &Ask) -> (&'static str, Value) {
        let name = &self.name;
        match ask {
            Ask::Acquire { path } => (
                "lease/acquire",
                json!({"agentId": name, "session": "s", "request": path, "paths": [path], "ttlMs": TTL_MS}),
            ),
            // The original's: it extends what it has, or begins anew.
            Ask::AcquireBriefly { path } => {
                ("lease/acquire", json!({"agentId": name, "file": path, "ttlMs": BRIEFLY_MS}))
            }
            Ask::Release { token, .. } => {
                ("lease/release", json!({"agentId": name, "session": "s", "token": token}))
            }
            Ask::Send { id } => {
                let payload = "x".repeat(self.payload);
                let message = json!({"id": id, "type": "t", "from": name, "payload": payload});
                ("mailbox/send", json!({"to": name, "message": message}))
            }
            Ask::Settle { seq, .. } => {
                ("mailbox/acknowledge", json!({"agentId": name, "seqs": [seq]}))
            }
        }
    }

    fn note(&mut self, ask: Ask, answer: &Value, repeated: bool) {
        let (object, wrote) = match ask {
            Ask::Acquire { path } => {
                let token = answer["token"].as_u64().unwrap_or_else(|| panic!("{answer}"));
                assert_eq!(self.leases.insert(path, token), None);
                ("lease", true)
            }
            Ask::Release { path, token } => {
                assert_eq!(answer["released"], true, "{answer}");
                assert_eq!(self.leases.remove(&path), Some(token));
                ("lease", true)
            }
            Ask::AcquireBriefly { .. } => {
                assert_eq!(answer["acquired"], true, "{answer}");
                // In the same millisecond it extends by nothing, and so writes nothing.
                ("lease", false)
            }
            Ask::Send { id } => {
                assert!(repeated || answer["duplicate"].is_null(), "{answer}");
                let seq = answer["seq"].as_u64().unwrap_or_else(|| panic!("{answer}"));
                assert_eq!(self.mail.insert(id, seq), None);
                ("mailbox", true)
            }
            Ask::Settle { id, seq } => {
                let settled = answer["settled"].as_u64().unwrap();
                assert!(settled == 1 || repeated && settled == 0, "{answer}");
                assert_eq!(self.mail.remove(&id), Some(seq));
                ("mailbox", settled == 1)
            }
        };
        if wrote && !repeated {
            let sequence = answer["commit"]["sequence"].as_u64().unwrap();
            assert!(self.commits.insert((object, sequence)), "two writes in one: {answer}");
        }
    }

    /// Looks whether everything that it was told is there, and nothing else but what it does not know.
    pub async fn check(&mut self, address: SocketAddr) {
        let (leases, sequence) = self.found_leases(address).await;
        self.compare("lease", &leases, &self.leases, sequence);
        let (mail, sequence) = self.found_mail(address).await;
        self.compare("mailbox", &mail, &self.mail, sequence);
    }

    fn compare(
        &self,
        object: &'static str,
        found: &BTreeMap<String, u64>,
        told: &BTreeMap<String, u64>,
        sequence: u64,
    ) {
        // The one request without an answer happened or did not.
        let doubted = match (&self.doubt, object) {
            (Some(Ask::Acquire { path } | Ask::Release { path, .. }), "lease") => Some(path),
            (Some(Ask::Send { id } | Ask::Settle { id, .. }), "mailbox") => Some(id),
            _ => None,
        };
        let known = |from: &BTreeMap<String, u64>| -> Vec<(String, u64)> {
            let sure = from.iter().filter(|(name, _)| Some(*name) != doubted);
            sure.map(|(name, number)| (name.clone(), *number)).collect()
        };
        let (there, told) = (known(found), known(told));
        let lost: Vec<_> = told.iter().filter(|one| !there.contains(one)).collect();
        let more: Vec<_> = there.iter().filter(|one| !told.contains(one)).collect();
        let of = (&self.workspace, &self.name, object);
        assert!(lost.is_empty() && more.is_empty(), "{of:?}: lost {lost:?}, untold {more:?}");
        let last = self.commits.iter().filter(|(of, _)| *of == object).map(|(_, n)| *n).max();
        assert!(last.is_none_or(|last| last <= sequence), "{of:?}: {last:?} is after {sequence}");
    }

    async fn found_leases(&self, address: SocketAddr) -> (BTreeMap<String, u64>, u64) {
        let body = json!({"prefix": format!("{}/", self.name), "limit": 1_000});
        let page = self.look(address, "lease/list", &body).await;
        let mut found = BTreeMap::new();
        for lease in page["leases"].as_array().unwrap() {
            let token = lease["token"].as_u64().unwrap();
            let twice = found.insert(lease["path"].as_str().unwrap().to_owned(), token);
            assert_eq!(twice, None, "{lease}");
        }
        (found, page["commit"]["sequence"].as_u64().unwrap())
    }

    async fn found_mail(&self, address: SocketAddr) -> (BTreeMap<String, u64>, u64) {
        let mut found = BTreeMap::new();
        let mut after = 0;
        loop {
            let body = json!({"agentId": self.name, "after": after, "limit": 1_000});
            let page = self.look(address, "mailbox/inbox", &body).await;
            let messages = page["messages"].as_array().unwrap();
            if messages.is_empty() {
                return (found, page["commit"]["sequence"].as_u64().unwrap());
            }
            for message in messages {
                let seq = message["seq"].as_u64().unwrap();
                let twice = found.insert(message["id"].as_str().unwrap().to_owned(), seq);
                assert_eq!(twice, None, "{message}");
            }
            after = page["completeThrough"].as_u64().unwrap();
        }
    }

    async fn look(&self, address: SocketAddr, action: &str, body: &Value) -> Value {
        let path = format!("/v1/{}/{action}", self.workspace);
        let mut connection = Connection::open(address).await.unwrap();
        let answer = connection.post(&path, &body.to_string()).await.unwrap();
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }
}
