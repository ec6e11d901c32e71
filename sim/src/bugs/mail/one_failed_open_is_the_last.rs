//! A client whose socket cannot be opened once never tries again.

use crate::bugs::Bug;
use crate::bugs::mail::{planted_mail_client, rough_mail};
use crate::invariants::mail_liveness;
use crate::subject::MailClientRules;

pub(super) const BUG: Bug = Bug {
    name: "one_failed_open_is_the_last",
    source: "spec/rules/refuted.md#a-failed-reconnect-that-is-the-last",
    breaks: mail_liveness::NAME,
    subject: planted_mail_client(MailClientRules {
        gives_up_on_a_failed_open: true,
        ..MailClientRules::SOUND
    }),
    plan: rough_mail,
};
