//! Many clients at once, on a server that is killed and started again under them.
//!
//! Each client knows only what it was told. One whose connection broke does not know what became of
//! its command, and asks again. At the end one order of events has to explain all that everybody saw.

use std::net::SocketAddr;
use std::rc::Rc;

use libtest_mimic::{Failed, Trial};
use mailbus_conformance::linearize::{
    Contradiction, History, Invocation, Outcome, explain, explain_within,
};
use mailbus_conformance::{Failure, LeaseAgent};
use mailbus_spec::lease::{Command, LeaseMachine, LeaseReply, Outcome as Answer};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::served::{Socket, post};
use super::{Leases, Way};
use crate::served::{Serve, pause};
use crate::spelling::unknown;
use crate::support::http::Connection;
use crate::support::on_event_loop;
use crate::trials::{Start, within_patience};
use crate::world::{self, WORKSPACE};

/// Half of them send requests, half frames.
const CLIENTS: usize = 16;
/// Number of times that the server is killed.
const KILLS: u64 = 4;
/// Number of commands that are answered before each kill, and after the last.
const ANSWERS_BETWEEN: u64 = 500;

type World = world::World<History<LeaseMachine>>;

/// Connection of a client.
enum Line {
    Requests(Connection),
    Frames(Box<Socket>),
}

impl Line {
    async fn open(address: SocketAddr, way: Way, agent: &LeaseAgent) -> Result<Self, Failure> {
        match way {
            Way::Requests => {
                let connection = Connection::open(address).await;
                connection.map(Self::Requests).map_err(unknown)
            }
            Way::Frames => {
                let socket = Socket::open(address, WORKSPACE, agent.holder()).await?;
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
pub fn trial(serve: Serve<Leases>) -> Trial {
    let name = format!("{}::concurrent::{CLIENTS}_clients_and_{KILLS}_kills", serve.name());
    Trial::test(name, move || on_event_loop(within_patience(run(serve))))
}

/// Most runs. Events hidden in a kill are searched for within bounds: a run that the search leaves
/// undecided says nothing, and another is made; one that is contradicted fails at once.
const RUNS: usize = 3;

async fn run(serve: Serve<Leases>) -> Result<(), Failed> {
    let mut undecided = None;
    for _ in 0..RUNS {
        match judge(serve, &observe(serve).await?) {
            Ok(()) => return Ok(()),
            Err(Judgement::Undecided(report)) => {
                println!("{}: undecided, another run is made\n{report}", serve.name());
                undecided = Some(report);
            }
            Err(Judgement::Failed(failed)) => return Err(failed),
        }
    }
    Err(undecided.map_or_else(Failed::without_message, Failed::from))
}

enum Judgement {
    Failed(Failed),
    Undecided(Contradiction),
}

async fn observe(serve: Serve<Leases>) -> Result<History<LeaseMachine>, Failed> {
    let mut server = serve.program.start()?;
    let world = World::new(&server);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|index| tokio::task::spawn_local(client(Rc::clone(&world), index)))
        .collect();
    for kills in 1..=KILLS + 1 {
        world.until(|seen| seen.answered >= kills * ANSWERS_BETWEEN).await;
        if kills <= KILLS {
            world.kill(&mut server, async |address| look_around(&world, address).await).await?;
        }
    }
    world.end(clients).await
}

/// Questions about what the server still knows after a kill, before anybody goes on: everything
/// that is leased, and how many wait. It is evidence of what was executed and not answered.
async fn look_around(world: &World, address: SocketAddr) -> Result<(), Failed> {
    let mut connection = Connection::open(address).await?;
    let everything = Command::List { prefix: String::new(), after: None, limit: 100 };
    let paths = LeaseAgent::paths().into_iter().map(|path| Command::Status { path });
    for (call, command) in (1..).zip(std::iter::once(everything).chain(paths)) {
        let started = world.seen.borrow_mut().tick();
        let reply = post(&mut connection, WORKSPACE, call, &command).await?;
        let mut seen = world.seen.borrow_mut();
        let ended = Some(seen.tick());
        let outcome = Outcome::Replied(reply);
        let client = CLIENTS;
        seen.noted.invocations.push(Invocation { client, started, ended, command, outcome });
    }
    Ok(())
}

/// All replies have one order, and the check would have seen a lie.
fn judge(serve: Serve<Leases>, history: &History<LeaseMachine>) -> Result<(), Judgement> {
    let explained = explain(history).map_err(|contradiction| {
        if contradiction.exhaustive {
            Judgement::Failed(Failed::from(contradiction))
        } else {
            Judgement::Undecided(contradiction)
        }
    })?;
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
    let failed = |why: &str| Judgement::Failed(Failed::from(why));
    let expires_at = grant.ok_or_else(|| failed("nothing was ever granted"))?;
    *expires_at = expires_at.plus_ms(1);
    match explain_within(&lied, explained.tried + 100) {
        Ok(_) => Err(failed("a grant that is a millisecond longer was explained, too")),
        Err(_) => Ok(()),
    }
}

async fn client(world: Rc<World>, index: usize) {
    let way = if index.is_multiple_of(2) { Way::Requests } else { Way::Frames };
    let mut random = ChaCha8Rng::seed_from_u64(index as u64);
    let mut agent = LeaseAgent::new(index);
    let mut calls = 0;
    let mut line: Option<Line> = None;
    let mut again: Option<Command> = None;
    while !world.is_over() {
        let Some(open) = &mut line else {
            if let Some(address) = world.address.get()
                && let Ok(opened) = Line::open(address, way, &agent).await
            {
                line = Some(opened);
            } else {
                pause(1).await;
            }
            continue;
        };
        let command = again.take().unwrap_or_else(|| agent.next(&mut random));
        calls += 1;
        let started = world.seen.borrow_mut().tick();
        let answered = open.call(calls, &command).await;
        let mut seen = world.seen.borrow_mut();
        if let Line::Frames(socket) = open {
            seen.noted.received.append(&mut socket.pushes);
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
                drop(seen);
                return world.fail(failure);
            }
        };
        // The connection breaks with the process: after that nothing takes effect.
        let ended = Some(seen.tick());
        seen.noted.invocations.push(Invocation { client: index, started, ended, command, outcome });
    }
}
