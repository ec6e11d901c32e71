//! A client whose socket cannot be opened once never tries again.

use crate::invariants::mail_liveness;
use crate::mutants::Mutant;
use crate::mutants::mail::{planted_mail_client, rough_mail};
use crate::sut::MailClientRules;

pub(super) const MUTANT: Mutant = Mutant {
    name: "one_failed_open_is_the_last",
    source: "spec/rules/refuted.md#a-failed-reconnect-that-is-the-last",
    breaks: mail_liveness::NAME,
    sut: planted_mail_client(MailClientRules {
        gives_up_on_a_failed_open: true,
        ..MailClientRules::SOUND
    }),
    plan: rough_mail,
};
