//! The application settles a message when it is given it, and handles it then: if its process dies
//! meanwhile, nobody has handled it and nobody will.

use crate::invariants::no_loss;
use crate::mutants::Mutant;
use crate::mutants::mail::{calm_mail, planted_mail_client};
use crate::sut::MailClientRules;

pub(super) const MUTANT: Mutant = Mutant {
    name: "acks_before_handling",
    source: "spec/rules/mailboxes.md#what-a-client-of-mailboxes-does",
    breaks: no_loss::NAME,
    sut: planted_mail_client(MailClientRules {
        acks_before_handling: true,
        ..MailClientRules::SOUND
    }),
    plan: calm_mail,
};
