//! A client of the original's protocol: no session, no request id, no token.

use std::time::Duration;

use mailbus_client::transport::Object;
use mailbus_spec::LeasePath;

use crate::judge::marks::Mark;
use crate::workload::Agent;
use crate::world::operator::post;

pub(in crate::workload) async fn hold(agent: &Agent, path: &LeasePath, ttl_ms: u64, hold_ms: u64) {
    let name = format!("original-{}", agent.holder.agent);
    // It renews by acquiring again, the second time for less: what it has is not shortened by that.
    for ttl_ms in [ttl_ms, ttl_ms.div_ceil(2), ttl_ms] {
        let lock = serde_json::json!({ "file": path.as_str(), "agentId": name, "ttlMs": ttl_ms });
        if post(&agent.context, Object::Lease, "acquire", lock.to_string()).await.is_ok() {
            agent.context.reach(Mark::OriginalServed);
        }
        agent.pause_until_heal(Duration::from_millis(hold_ms / 3)).await;
    }
    let unlock = serde_json::json!({ "file": path.as_str(), "agentId": name });
    let _ = post(&agent.context, Object::Lease, "release", unlock.to_string()).await;
}
