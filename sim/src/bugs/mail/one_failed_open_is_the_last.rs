//! A client whose socket cannot be opened once never tries again.
//!
//! Source: the original's bug "one failed reconnect is the last".

use crate::bugs::Bug;
use crate::bugs::mail::{planted_mail_client, rough_mail};
use crate::invariants::mail_liveness;
use crate::subject::MailClientRules;

pub(super) const BUG: Bug = Bug {
    name: "one_failed_open_is_the_last",
    source: "the original's bug",
    breaks: mail_liveness::NAME,
    subject: planted_mail_client(MailClientRules {
        gives_up_on_a_failed_open: true,
        ..MailClientRules::SOUND
    }),
    plan: rough_mail,
};
