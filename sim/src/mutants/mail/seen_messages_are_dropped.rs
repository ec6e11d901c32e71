//! A client takes what comes with a second attempt for a repetition and drops it, settling nothing.

use serde_json::Value;

use crate::invariants::mail_liveness;
use crate::mutants::Mutant;
use crate::mutants::mail::{calm_mail, planted_mail_client};
use crate::sut::MailClientRules;

pub(super) const MUTANT: Mutant = Mutant {
    name: "seen_messages_are_dropped",
    source: "spec/rules/mailboxes.md#what-a-client-of-mailboxes-does",
    breaks: mail_liveness::NAME,
    sut: planted_mail_client(MailClientRules {
        incoming: Some(without_repetitions),
        ..MailClientRules::SOUND
    }),
    plan: calm_mail,
};

fn without_repetitions(text: &str) -> Option<String> {
    let again = |object: &Value| object["attempt"].as_u64().is_some_and(|attempt| attempt > 1);
    match serde_json::from_str(text) {
        Ok(Value::Array(objects)) if objects.iter().any(again) => {
            let kept: Vec<Value> = objects.into_iter().filter(|object| !again(object)).collect();
            Some(Value::Array(kept).to_string())
        }
        Ok(object) if again(&object) => None,
        _ => Some(text.to_owned()),
    }
}
