//! A Worker that hosts mailbus's objects and uses the bus: two agents meet in one request.
//!
//! The planner gives the builder a task, the builder takes the file it needs, does the work, gives the
//! file back and reports. The answer tells what happened, line by line.

#![cfg(target_arch = "wasm32")]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use mailbus_client::bus::{
    AGENT_READY, CloudflareMailBus, Draft, MailBus, TASK_ASSIGNED, TASK_COMPLETED,
};
use mailbus_client::clocks::WorkerClocks;
use mailbus_spec::AgentId;
use serde_json::{Value, json};
use worker::{Context, Delay, Env, Error, Request, Response, Result, event};

// The classes that wrangler.toml binds.
pub use mailbus_worker::durable::{LeaseDurableObject, MailboxDurableObject};

type Bus = CloudflareMailBus<WorkerClocks>;

/// Story so far, event by event.
type Story = Rc<RefCell<Vec<String>>>;

#[event(fetch)]
async fn fetch(_: Request, env: Env, _: Context) -> Result<Response> {
    let story = Story::default();
    let planner = bus(&env, "planner")?;
    let builder = bus(&env, "builder")?;
    let told = meet(&planner, &builder, &story).await;
    // The buses end with this request; with a shutdown the service knows at once.
    let _ = planner.shutdown().await;
    let _ = builder.shutdown().await;
    told?;
    let text = story.borrow().join("\n");
    Response::ok(text + "\n")
}

/// The bus of an agent, over the bindings of this Worker.
fn bus(env: &Env, name: &str) -> Result<Bus> {
    let (mailbox, lease) = (env.durable_object("MAILBOX")?, env.durable_object("LEASE")?);
    Bus::new(agent(name)?, mailbox, lease)
}

async fn meet(planner: &Bus, builder: &Bus, story: &Story) -> Result<()> {
    let (bus, told) = (builder.clone(), Rc::clone(story));
    let work = move |mail: mailbus_client::bus::Mail| {
        let (bus, told) = (bus.clone(), Rc::clone(&told));
        async move {
            let task: Value = mail.payload()?;
            let file = task["file"].as_str().unwrap_or("README.md");
            tell(&told, format!("builder: {} wants {task}", mail.from()));
            if !bus.acquire_lease(file, Duration::from_secs(30)).await? {
                return Err(format!("{file} is taken").into());
            }
            tell(&told, format!("builder: holds {file}"));
            let leased = bus.is_leased(file).await?;
            bus.release_lease(file).await?;
            tell(&told, format!("builder: {file} was leased: {leased}, and is given back"));
            let done = Draft::new(TASK_COMPLETED).payload(&json!({ "file": file }))?;
            bus.send_to(mail.from(), done).await?;
            Ok(())
        }
    };
    builder.subscribe(TASK_ASSIGNED, work).await.map_err(failed)?;

    let done = Rc::new(RefCell::new(false));
    for kind in [AGENT_READY, TASK_COMPLETED] {
        let (told, done) = (Rc::clone(story), Rc::clone(&done));
        let hear = move |mail: mailbus_client::bus::Mail| {
            tell(&told, format!("planner: {} says {}", mail.from(), mail.kind()));
            if mail.kind() == TASK_COMPLETED {
                done.replace(true);
            }
            std::future::ready(Ok(()))
        };
        planner.subscribe(kind, hear).await.map_err(failed)?;
    }

    planner.initialize().await.map_err(failed)?;
    builder.initialize().await.map_err(failed)?;
    let receipt = builder.publish(Draft::new(AGENT_READY)).await.map_err(failed)?;
    tell(story, format!("builder: is ready, and {:?} others know", receipt.recipients));
    let task = Draft::new(TASK_ASSIGNED).payload(&json!({ "file": "src/lib.rs" }));
    let task = task.map_err(|error| Error::RustError(error.to_string()))?;
    planner.send_to(&agent("builder")?, task).await.map_err(failed)?;
    tell(story, "planner: has sent a task".to_owned());

    for _ in 0..100 {
        if *done.borrow() {
            return Ok(());
        }
        Delay::from(Duration::from_millis(50)).await;
    }
    Err(Error::RustError("the task was not done in time".to_owned()))
}

fn tell(story: &Story, line: String) {
    story.borrow_mut().push(line);
}

fn agent(name: &str) -> Result<AgentId> {
    AgentId::new(name).map_err(|invalid| Error::RustError(format!("{name} {invalid}")))
}

fn failed(error: mailbus_client::bus::BusError) -> Error {
    Error::RustError(error.to_string())
}
