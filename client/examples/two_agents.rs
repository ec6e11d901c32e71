//! Two agents on one machine: one gives the other a task, which takes the file it needs, does the work
//! and reports.
//!
//! In one terminal, the `mailbusd` of the README; in another,
//! `cargo run -p mailbus-client --example two_agents`. Another address may be named after it.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join3;
use mailbus_client::bus::{CloudflareMailBus, Draft, MailBus, TASK_ASSIGNED, TASK_COMPLETED};
use mailbus_client::transport::Endpoint;
use mailbus_spec::{AgentId, Workspace};
use tokio::sync::Notify;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1);
    let address = address.as_deref().unwrap_or("http://127.0.0.1:8787");
    let endpoint = Endpoint::new(address, Workspace::new("two-agents")?)?;
    let (planner, builder) = (AgentId::new("planner")?, AgentId::new("builder")?);
    let (planning, planner_loop) = CloudflareMailBus::open(endpoint.clone(), planner)?;
    let (building, builder_loop) = CloudflareMailBus::open(endpoint, builder.clone())?;

    // The builder: a handler that succeeds settles its message, one that fails sees it again.
    let bus = building.clone();
    building
        .subscribe(TASK_ASSIGNED, move |mail| {
            let bus = bus.clone();
            async move {
                let file: String = mail.payload()?;
                if !bus.acquire_lease(&file, Duration::from_secs(30)).await? {
                    return Err(format!("somebody else has {file}").into());
                }
                println!("builder: {} wants {file}, and I have it", mail.from());
                bus.release_lease(&file).await?;
                bus.send_to(mail.from(), Draft::new(TASK_COMPLETED).payload(&file)?).await?;
                Ok(())
            }
        })
        .await?;

    // The planner: sends a task and waits for the report.
    let done = Arc::new(Notify::new());
    let reported = Arc::clone(&done);
    planning
        .subscribe(TASK_COMPLETED, move |mail| {
            println!(
                "planner: {} is done with {}",
                mail.from(),
                mail.raw_payload().unwrap_or_default()
            );
            reported.notify_one();
            std::future::ready(Ok(()))
        })
        .await?;

    let work = async {
        println!("connecting to {address}, for as long as it takes");
        building.initialize().await?;
        planning.initialize().await?;
        let sent =
            planning.send_to(&builder, Draft::new(TASK_ASSIGNED).payload(&"src/lib.rs")?).await?;
        let seq = sent.seq.map(|seq| seq.to_string()).unwrap_or_default();
        println!("planner: the task is message {seq}");
        done.notified().await;
        planning.shutdown().await?;
        building.shutdown().await?;
        drop((planning, building));
        Ok::<(), Box<dyn Error>>(())
    };
    // Handlers run in these loops, which end with the shutdown.
    let (worked, (), ()) = join3(work, planner_loop.run(), builder_loop.run()).await;
    worked
}
