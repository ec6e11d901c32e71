//! Planted bugs of the objects: the mutants of the specification in production's place, where each is looked
//! for and what has to find it.

use mailbus_conformance::mutants::lease::{self, ending, grant, memory, queue};
use mailbus_conformance::mutants::mailbox::{
    self, accept, address, collect, fail, loss, push, session, settle, silence,
};

use super::hunt::PlantedBug;
use super::{plans, shell};
use crate::judge::invariants::{
    accept_once, active_is_addressed, belief_within_grant, bounded_leases, conforms, fencing, fifo,
    guilty_dead, honest_gap, idempotent, lease_liveness, mail_liveness, no_delivery_after_settle,
    no_innocent_dead, no_loss, no_lost_place, no_phantom, no_stale_effect, one_session, order,
    retention, sender_told, server_exclusion, ttl_honoured, window,
};
use crate::plan::Plan;
use crate::sut::{Sut, Variant};

/// Those of the lease object, which production's client meets.
pub(super) const OF_LEASES: &[PlantedBug] = &[
    // Whose lease it is, and until when.
    of_leases(&grant::GRANTED_SAYS_THE_TERM_ASKED_FOR, belief_within_grant::NAME, plans::rough),
    of_leases(&grant::SESSION_IS_IGNORED, belief_within_grant::NAME, plans::mixed),
    of_leases(&ending::RELEASE_BY_AGENT_NAME, no_stale_effect::NAME, plans::mixed),
    of_leases(&ending::LAPSED_LEASE_IS_RENEWED, no_stale_effect::NAME, plans::mixed),
    of_leases(&ending::EXTENSION_SHORTENS, ttl_honoured::NAME, plans::mixed),
    of_leases(&ending::DRAINED_LEASE_IS_EXTENDED, no_stale_effect::NAME, plans::mixed),
    of_leases(&ending::FORCE_FREES_THE_NEXT_HOLDER, no_stale_effect::NAME, plans::answers_lost),
    of_leases(&ending::EXPIRY_ONLY_BY_ALARM, no_stale_effect::NAME, plans::mixed),
    of_leases(&grant::TOKENS_FROM_THE_CLOCK_ALONE, fencing::NAME, plans::mixed),
    of_leases(&grant::TOKEN_NO_SMALLER_THAN_THE_LAST, fencing::NAME, plans::mixed),
    of_leases(&lease::waking::ZOMBIE_ANSWERS_FROM_MEMORY, ttl_honoured::NAME, plans::zombies),
    // Sets.
    of_leases(&grant::FIRST_PATH_ALONE_IS_CHECKED, server_exclusion::NAME, plans::mixed),
    of_leases(&grant::PATHS_ARE_COMPARED_BY_BYTES, server_exclusion::NAME, plans::mixed),
    of_leases(&grant::OWN_LEASE_IS_NO_OBSTACLE, server_exclusion::NAME, plans::mixed),
    // The queue.
    of_leases(&queue::GRANTS_FROM_A_SNAPSHOT, server_exclusion::NAME, plans::mixed),
    of_leases(&queue::BARGING, fifo::NAME, plans::mixed),
    of_leases(&queue::SMALL_CLAIMS_OVERTAKE, fifo::NAME, plans::mixed),
    of_leases(&queue::ASKING_AGAIN_GOES_TO_THE_END, no_lost_place::NAME, plans::mixed),
    of_leases(&queue::ASKING_AGAIN_EXTENDS_NOTHING, no_lost_place::NAME, plans::mixed),
    of_leases(&queue::DEAD_TICKET_IS_GRANTED, no_lost_place::NAME, plans::mixed),
    of_leases(&queue::WAIT_BEHIND_A_TICKET_IS_OVERLOOKED, lease_liveness::NAME, plans::mixed),
    // What is over.
    of_leases(&memory::SHORT_MEMORY, idempotent::NAME, plans::mixed),
    of_leases(&memory::CANCEL_LEAVES_NO_TOMBSTONE, idempotent::NAME, plans::hostile),
    of_leases(&memory::CANCEL_SPARES_THE_LEASE, no_stale_effect::NAME, plans::mixed),
    of_leases(&lease::waking::MEMORY_SETS_NO_ALARM, bounded_leases::NAME, plans::mixed),
    of_leases(&lease::waking::EARLY_ALARM_IS_FORGOTTEN, bounded_leases::NAME, plans::mixed),
    of_leases(&lease::waking::CLOCK_IS_NEVER_REANCHORED, lease_liveness::NAME, plans::mixed),
];

/// Those of the mailbox object.
pub(super) const OF_MAILBOXES: &[PlantedBug] = &[
    // What is accepted, and for whom.
    of_mailboxes(&collect::WHO_IS_AWAY_IS_FORGOTTEN, active_is_addressed::NAME, plans::rough_mail),
    of_mailboxes(&collect::SETTLED_ROWS_ARE_DELETED_AT_ONCE, accept_once::NAME, plans::rough_mail),
    of_mailboxes(
        &mailbox::waking::DEDUP_MEMORY_IS_NOT_REBUILT,
        accept_once::NAME,
        plans::rough_mail,
    ),
    of_mailboxes(&accept::SEQ_FROM_THE_CLOCK_ALONE, accept_once::NAME, plans::calm_mail),
    of_mailboxes(&address::SUBSCRIPTIONS_ARE_IGNORED, no_phantom::NAME, plans::calm_mail),
    of_mailboxes(&address::CONNECT_SUBSCRIBES_TO_EVERYTHING, no_phantom::NAME, plans::calm_mail),
    of_mailboxes(&address::UNSUBSCRIBE_DROPS_THE_MAIL, mail_liveness::NAME, plans::rough_mail),
    of_mailboxes(&address::OFFLINE_MAIL_IS_LOST, mail_liveness::NAME, plans::rough_mail),
    of_mailboxes(&address::STRANGERS_ARE_SAID_TO_BE_KNOWN, sender_told::NAME, plans::calm_mail),
    of_mailboxes(&address::ANYBODY_MAY_BE_UNKNOWN, sender_told::NAME, plans::calm_mail),
    // Whose session it is.
    of_mailboxes(&session::ANOTHER_EPOCH_IS_OBEYED, one_session::NAME, plans::rough_mail),
    of_mailboxes(&session::LATE_CLOSE_ENDS_THE_NEW_SESSION, one_session::NAME, plans::originals),
    // What is pushed.
    of_mailboxes(&mailbox::waking::ATTACHMENT_FORGETS_REDELIVERIES, window::NAME, plans::evictions),
    of_mailboxes(
        &shell::ATTACHMENTS_OUTLIVE_A_ROLLBACK,
        mail_liveness::NAME,
        plans::failing_storage,
    ),
    of_mailboxes(&push::WINDOW_COUNTS_MESSAGES_ALONE, window::NAME, plans::calm_mail),
    of_mailboxes(&push::PUSHES_IN_NO_ORDER, order::NAME, plans::calm_mail),
    of_mailboxes(&push::BYTES_CHANGE_ON_THE_WAY, no_phantom::NAME, plans::calm_mail),
    of_mailboxes(&mailbox::waking::DUE_TIMES_ARE_MEMORY_ALONE, order::NAME, plans::rough_mail),
    // What is settled, and what is given up.
    of_mailboxes(&settle::ACK_BY_ID_SETTLES_EVERYBODYS, no_loss::NAME, plans::rough_mail),
    of_mailboxes(&settle::UP_TO_SETTLES_REDELIVERIES, mail_liveness::NAME, plans::calm_mail),
    of_mailboxes(
        &settle::ACK_OF_MANY_SETTLES_ONE,
        no_delivery_after_settle::NAME,
        plans::calm_mail,
    ),
    of_mailboxes(&silence::PUSHED_IS_SETTLED, mail_liveness::NAME, plans::rough_mail),
    of_mailboxes(&fail::INNOCENT_NEIGHBOURS_FAIL, no_innocent_dead::NAME, plans::many_ends),
    of_mailboxes(&fail::FAILURES_HAVE_NO_FLOOR, no_innocent_dead::NAME, plans::calm_mail),
    of_mailboxes(&fail::ATTEMPTS_KILL_A_MESSAGE, no_innocent_dead::NAME, plans::hostile_mail),
    of_mailboxes(&fail::REPLACEMENT_IS_NOBODYS_FAILURE, guilty_dead::NAME, plans::replaced_at_work),
    of_mailboxes(&fail::REDRIVE_KEEPS_THE_FAILURES, no_innocent_dead::NAME, plans::redrives),
    of_mailboxes(&loss::GAP_IS_TOLD_ONCE, honest_gap::NAME, plans::rough_mail),
    // What is let go of.
    of_mailboxes(&collect::FORGET_KEEPS_THE_MAIL, no_phantom::NAME, plans::rough_mail),
    of_mailboxes(&mailbox::waking::SETTLED_ROWS_STAY, retention::NAME, plans::calm_mail),
];

/// Pushes in no order. It breaks no invariant of leases, and no plan could reproduce it: it is the canary of
/// the check that a plan, run twice, gives one event log.
pub(super) const CANARY: PlantedBug =
    of_leases(&lease::waking::ORDER_OF_A_HASH_MAP, conforms::NAME, plans::mixed);

const fn of_leases(
    mutant: &'static lease::Mutant,
    breaks: &'static str,
    plan: fn(u64) -> Plan,
) -> PlantedBug {
    let sut = Sut { object: Variant::Model(Some(mutant)), ..Sut::SPEC };
    PlantedBug { name: mutant.name, source: mutant.source, breaks, sut, plan }
}

const fn of_mailboxes(
    mutant: &'static mailbox::Mutant,
    breaks: &'static str,
    plan: fn(u64) -> Plan,
) -> PlantedBug {
    let sut = Sut { mail: Variant::Model(Some(mutant)), ..Sut::SPEC };
    PlantedBug { name: mutant.name, source: mutant.source, breaks, sut, plan }
}
