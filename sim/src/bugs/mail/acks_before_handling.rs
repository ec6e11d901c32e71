//! The application settles a message when it is given it, and handles it then: if its process dies
//! meanwhile, nobody has handled it and nobody will.

use crate::bugs::Bug;
use crate::bugs::mail::{calm_mail, planted_mail_client};
use crate::invariants::no_loss;
use crate::subject::MailClientRules;

pub(super) const BUG: Bug = Bug {
    name: "acks_before_handling",
    source: "spec/rules/mailboxes.md#what-a-client-of-mailboxes-does",
    breaks: no_loss::NAME,
    subject: planted_mail_client(MailClientRules {
        acks_before_handling: true,
        ..MailClientRules::SOUND
    }),
    plan: calm_mail,
};
