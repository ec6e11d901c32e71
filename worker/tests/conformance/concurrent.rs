//! Many clients at once, on a server that is killed and started again under them.
//!
//! Each client knows only what it was told. One whose connection broke does not know what became of
//! its command, and asks again. At the end one order of events has to explain all that everybody saw.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join_all;
use libtest_mimic::{Failed, Trial};
use mailbus_spec::conformance::Failure;
use mailbus_spec::conformance::history::{History, Invocation, Outcome, explain, explain_within};
use mailbus_spec::lease::{Command, LeaseMachine, LeaseReply, Outcome as Answer};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::agent::Agent;
use super::native::Way;
use super::served::{Serve, Socket, post};
use super::trials::{Start, within_patience};
use crate::support::http::Connection;
use crate::support::on_event_loop;

/// Half of them send requests, half frames.
const CLIENTS: usize = 24;
/// How often the server is killed.
const KILLS: u64 = 4;
/// How many commands are answered before each kill, and after the last.
const ANSWERS_BETWEEN: u64 = 500;
const WORKSPACE: &str = "concurrent";

/// What all clients share: the order in which they saw things.
#[derive(Default)]
struct Observations {
    moment: u64,
    answered: u64,
    history: History<LeaseMachine>,
    broken: Option<Failure>,
}

impl Observations {
    fn tick(&mut self) -> u64 {
        self.moment += 1;
        self.moment
    }
}

/// What a client needs to know of its world.
struct World {
    address: Cell<SocketAddr>,
    over: Cell<bool>,
    seen: RefCell<Observations>,
}

/// How a client is connected.
enum Line {
    Requests(Connection),
    Frames(Box<Socket>),
}

impl Line {
    async fn open(address: SocketAddr, agent: &Agent) -> Result<Self, Failure> {
        match agent.way {
            Way::Requests => {
                let connection = Connection::open(address).await;
                connection
                    .map(Self::Requests)
                    .map_err(|error| Failure::Unknown(error.to_string()))
            }
            Way::Frames => {
                let socket = Socket::open(address, WORKSPACE, &agent.holder).await?;
                Ok(Self::Frames(Box::new(socket)))
            }
        }
    }

    async fn call(&mut self, call: u64, command: &Command) -> Result<LeaseReply, Failure> {
        match self {
            Self::Requests(connection) => post(connection, WORKSPACE, call, command).await,
            Self::Frames(socket) => socket.call(call, command).await,
        }
    }
}

/// One trial for a server.
pub fn trial(serve: Serve) -> Trial {
    let name = format!("{}::concurrent::{CLIENTS}_clients_and_{KILLS}_kills", serve.name());
    Trial::test(name, move || on_event_loop(within_patience(run(serve))))
}

async fn run(serve: Serve) -> Result<(), Failed> {
    let mut server = serve.server()?;
    let world = Rc::new(World {
        address: Cell::new(server.address()),
        over: Cell::new(false),
        seen: RefCell::default(),
    });
    let clients: Vec<_> = (0..CLIENTS)
        .map(|index| tokio::task::spawn_local(client(Rc::clone(&world), index)))
        .collect();
    for kills in 1..=KILLS + 1 {
        while world.seen.borrow().answered < kills * ANSWERS_BETWEEN && !world.over.get() {
            pause(1).await;
        }
        if kills <= KILLS && !world.over.get() {
            server.kill_and_restart()?;
            world.address.set(server.address());
        }
    }
    world.over.set(true);
    for client in join_all(clients).await {
        client?;
    }
    let mut seen = world.seen.borrow_mut();
    if let Some(broken) = seen.broken.take() {
        return Err(Failed::from(broken));
    }
    judge(serve, &seen.history)
}

/// All replies have one order, and the check would have seen a lie.
fn judge(serve: Serve, history: &History<LeaseMachine>) -> Result<(), Failed> {
    let explained = explain(history)?;
    let replies = history.invocations.iter().filter(|one| one.reply().is_some()).count();
    let unknown = history.invocations.len() - replies;
    println!(
        "{}: {CLIENTS} clients, {KILLS} kills: {replies} replies and {} pushes explained by one order \
         of {} events; of {unknown} unknown outcomes and the alarms {} took effect; {} choices tried",
        serve.name(),
        history.received.len(),
        explained.order.len(),
        explained.hidden(),
        explained.tried,
    );
    let mut lied = history.clone();
    let grant = lied.invocations.iter_mut().rev().find_map(|one| match &mut one.outcome {
        Outcome::Replied(LeaseReply { answer: Ok(Answer::Granted { expires_at, .. }), .. }) => {
            Some(expires_at)
        }
        _ => None,
    });
    let expires_at = grant.ok_or("nothing was ever granted")?;
    *expires_at = expires_at.plus_ms(1);
    match explain_within(&lied, 100) {
        Ok(_) => Err(Failed::from("a grant that is a millisecond longer was explained, too")),
        Err(_) => Ok(()),
    }
}

async fn client(world: Rc<World>, index: usize) {
    let way = if index % 2 == 0 { Way::Requests } else { Way::Frames };
    let mut random = ChaCha8Rng::seed_from_u64(index as u64);
    let mut agent = Agent::new(index, way);
    let mut calls = 0;
    let mut line: Option<Line> = None;
    let mut again: Option<Command> = None;
    while !world.over.get() {
        let Some(open) = &mut line else {
            match Line::open(world.address.get(), &agent).await {
                Ok(opened) => line = Some(opened),
                Err(_) => pause(5).await,
            }
            continue;
        };
        let command = again.take().unwrap_or_else(|| agent.next(&mut random));
        calls += 1;
        let started = world.seen.borrow_mut().tick();
        let answered = open.call(calls, &command).await;
        let mut seen = world.seen.borrow_mut();
        if let Line::Frames(socket) = open {
            seen.history.received.append(&mut socket.pushes);
        }
        let outcome = match answered {
            Ok(reply) => {
                agent.learn(&command, &reply);
                seen.answered += 1;
                Outcome::Replied(reply)
            }
            Err(Failure::Unknown(_)) => {
                line = None;
                again = Some(command.clone());
                Outcome::Unknown
            }
            Err(failure) => {
                seen.broken = Some(failure);
                world.over.set(true);
                return;
            }
        };
        // The connection breaks with the process: after that nothing takes effect.
        let ended = Some(seen.tick());
        seen.history.invocations.push(Invocation { client: index, started, ended, command, outcome });
    }
}

#[expect(clippy::disallowed_methods, reason = "the server is on the real clock")]
async fn pause(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}
