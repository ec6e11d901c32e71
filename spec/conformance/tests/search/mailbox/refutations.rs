//! Every rule broken once: the search finds the violation, by name, on a shortest trace. They show
//! that each check can fail, and why each rule is there: spec/rules/refuted.md has the traces in words.

use mailbus_conformance::mutants::mailbox::{
    Mutant, accept, address, collect, fail, loss, push, session, settle, silence, waking,
};

use crate::mailbox::model::World;
use crate::mailbox::scenario::Scenario;
use crate::mailbox::worlds;

// Failures, acks and losses.

refutations! {
    up_to_that_settles_what_was_pushed_again_is_refuted:
        "up_to takes redelivered", settle::UP_TO_SETTLES_REDELIVERIES, in up_to breaks "no_loss";
    an_ack_by_id_across_senders_is_refuted:
        "ack by id", settle::ACK_SETTLES_ALL_OF_ITS_ID, in dedup breaks "no_loss";
    an_ack_by_id_of_what_nobody_was_shown_is_refuted:
        "ack of the unseen", settle::ACK_BY_ID_SETTLES_WHAT_NOBODY_WAS_SHOWN, in namesakes breaks "no_loss";
    giving_up_by_attempts_is_refuted:
        "attempts kill", fail::ATTEMPTS_KILL_A_MESSAGE, in failures breaks "no_innocent_dead";
    a_nack_that_names_no_push_is_refuted:
        "nack without a fence", fail::NACK_NAMES_NO_PUSH, in copies breaks "no_innocent_dead";
    a_forgetting_that_names_no_epoch_is_refuted:
        "forgetting without an epoch", collect::FORGETTING_NAMES_NO_EPOCH, in forgotten breaks "no_loss";
    a_take_over_that_counts_as_failure_is_refuted:
        "take-over fails", fail::TAKE_OVER_IS_A_FAILURE, in failures breaks "no_innocent_dead";
    a_replacement_that_hides_a_death_is_refuted:
        "death hidden", fail::REPLACEMENT_IS_NOBODYS_FAILURE, in failures breaks "guilty_dead";
    failures_that_end_with_the_session_are_refuted:
        "failures forgotten", fail::FAILURES_END_WITH_THE_SESSION, in failures breaks "guilty_dead";
    a_lost_session_that_blames_its_oldest_delivery_is_refuted:
        "end blames the oldest", fail::END_FAILS_THE_OLDEST, in failures breaks "no_innocent_dead";
    an_announcement_that_outlives_its_delivery_is_refuted:
        "working outlives", fail::ANNOUNCEMENT_OUTLIVES_ITS_DELIVERY, in failures breaks "no_innocent_dead";
    a_redrive_that_keeps_failures_is_refuted:
        "redrive keeps failures", fail::REDRIVE_KEEPS_THE_FAILURES, in failures breaks "no_innocent_dead";
    an_acknowledgement_of_losses_nobody_saw_is_refuted:
        "gap by last", loss::ANY_ACK_CLEARS_THE_GAP, in gaps breaks "honest_gap";
    a_connect_that_hides_the_gap_is_refuted:
        "gap untold", loss::GAP_IS_NOT_TOLD, in gaps breaks "honest_gap";
    a_sight_that_only_changes_give_is_refuted:
        "busy forgotten", collect::ONLY_CHANGES_ARE_SIGNS_OF_LIFE, in busy breaks "active_is_addressed";
    a_session_that_is_no_sign_of_life_is_refuted:
        "present forgotten", collect::SESSIONS_ARE_NO_SIGNS_OF_LIFE, in busy breaks "active_is_addressed";
    a_gap_that_is_forgotten_with_its_agent_is_refuted:
        "gap forgotten", loss::GAP_IS_FORGOTTEN_WITH_ITS_AGENT, in busy breaks "honest_gap";
    an_expiry_that_is_not_counted_is_refuted:
        "expiry uncounted", loss::EXPIRY_IS_NOT_COUNTED, in retention breaks "honest_gap";
    letters_that_push_each_other_out_are_refuted:
        "letters pushed out", loss::LETTERS_PUSH_FAILURES_OUT, in letters breaks "no_loss";
    letters_that_die_with_their_message_are_refuted:
        "letters die early", collect::LETTERS_DIE_WITH_THEIR_MESSAGE, in letters breaks "no_loss";
    letters_that_take_no_room_are_refuted:
        "letters beside the inbox", loss::LETTERS_TAKE_NO_ROOM, in letters breaks "bounded_mail";
    a_repetition_that_hides_the_refusal_is_refuted:
        "refusal hidden", loss::REPETITION_HIDES_THE_REFUSAL, in overflow breaks "sender_told";
    a_stranger_that_is_said_to_be_known_is_refuted:
        "stranger known", address::STRANGERS_ARE_SAID_TO_BE_KNOWN, in told breaks "sender_told";
    a_wish_for_a_known_recipient_that_is_ignored_is_refuted:
        "must know ignored", address::ANYBODY_MAY_BE_UNKNOWN, in told breaks "sender_told";
    forgetting_who_refused_is_refuted:
        "refused forgotten", loss::REFUSALS_ARE_FORGOTTEN, in overflow breaks "no_loss";
    an_ack_that_does_not_say_it_wrote_is_refuted:
        "silent ack", settle::ACK_DOES_NOT_SAY_THAT_IT_WROTE, in window_one breaks "silent_is_unchanged";
}

// Silence and superseded sessions.

refutations! {
    presuming_from_the_accept_is_refuted:
        "presumed from accept", silence::PRESUMED_FROM_THE_ACCEPT, in silent_again breaks "no_loss";
    reads_that_presume_are_refuted:
        "reads presume", silence::READS_PRESUME, in silent breaks "no_loss";
    presuming_what_asks_for_an_ack_is_refuted:
        "presumed ackRequired", silence::ACK_REQUIRED_IS_PRESUMED, in silent breaks "no_loss";
    presuming_for_a_session_that_negotiated_is_refuted:
        "presumed negotiated", silence::NEGOTIATED_IS_PRESUMED, in superseded_and_mail breaks "no_loss";
    refusing_what_silence_makes_room_for_is_refuted:
        "full of silence", silence::SILENT_INBOX_REFUSES, in silent_and_full breaks "no_loss";
    closing_the_replaced_silent_session_evicts_for_ever:
        "endless eviction", session::REPLACEMENT_CLOSES_THE_SILENT, in superseded breaks "mail_liveness";
    closing_the_replaced_silent_session_is_refuted:
        "silent closed", session::REPLACEMENT_CLOSES_THE_SILENT, in superseded breaks "one_session";
    superseded_sessions_that_stay_open_get_nothing_for_ever:
        "superseded stay", session::SUPERSEDED_STAY_OPEN, in superseded breaks "mail_liveness";
    promoting_a_superseded_session_is_refuted:
        "superseded promoted", session::SUPERSEDED_IS_PROMOTED, in superseded_and_mail breaks "one_session";
    ephemeral_messages_for_superseded_sessions_are_refuted:
        "ephemeral to superseded", session::EPHEMERAL_FOR_SUPERSEDED, in ephemeral breaks "one_session";
    a_late_close_that_ends_the_live_session_is_refuted:
        "late close", session::LATE_CLOSE_ENDS_THE_NEW_SESSION, in replaced breaks "one_session";
    frames_of_older_epochs_that_count_are_refuted:
        "stale frames", session::ANOTHER_EPOCH_IS_OBEYED, in late_frames breaks "one_session";
    epochs_from_the_clock_alone_are_refuted:
        "epochs from the clock", session::EPOCHS_FROM_THE_CLOCK_ALONE, in replaced breaks "one_session";
}

// What is accepted and kept.

refutations! {
    keeping_ephemeral_messages_is_refuted:
        "ephemeral kept", accept::EPHEMERAL_IS_KEPT, in ephemeral breaks "no_phantom";
    collecting_what_may_be_repeated_is_refuted:
        "dedup row collected", collect::ROUND_DELETES_WHAT_MAY_BE_REPEATED, in dedup breaks "accept_once";
    ids_without_their_sender_are_refuted:
        "id without sender", accept::IDS_WITHOUT_THEIR_SENDER, in dedup breaks "accept_once";
    taking_another_message_for_a_repetition_is_refuted:
        "conflict ignored", accept::CONFLICT_IS_A_REPETITION, in dedup breaks "accept_once";
    a_seq_from_an_emptied_log_is_refuted:
        "seq reused", accept::SEQ_FROM_THE_LOG, in clocks breaks "no_delivery_after_settle";
    a_recovery_that_keeps_the_last_seq_is_refuted:
        "seq reused after restore", accept::RECOVERY_KEEPS_THE_LAST_SEQ, in restored breaks "no_loss";
    a_recovery_that_carries_the_clock_is_refuted:
        "mail expired by a recovery", accept::RECOVERY_CARRIES_THE_CLOCK, in recovered_ahead breaks "retention";
    chatter_that_fills_an_inbox_is_refuted:
        "chatter fills", loss::PUBLISHED_MAIL_FILLS_THE_INBOX, in chatter breaks "bounded_mail";
    answering_who_knows_more_is_refuted:
        "ahead ignored", loss::AHEAD_IS_IGNORED, in ahead breaks "no_loss";
    an_unsubscribe_that_takes_mail_back_is_refuted:
        "unsubscribe filters", address::UNSUBSCRIBE_DROPS_THE_MAIL, in subscriptions breaks "no_loss";
    subscriptions_at_delivery_are_refuted:
        "subscribed later", address::SUBSCRIBING_FETCHES, in subscriptions breaks "no_phantom";
    skipping_who_is_offline_is_refuted:
        "offline skipped", address::OFFLINE_MAIL_IS_LOST, in two_agents breaks "no_loss";
    a_connect_that_undoes_an_unsubscribe_is_refuted:
        "connect means all", address::CONNECT_SUBSCRIBES_TO_EVERYTHING, in subscriptions breaks "no_phantom";
    publishing_to_the_sender_is_refuted:
        "sender included", address::PUBLISHED_TO_ITS_SENDER, in subscriptions breaks "no_phantom";
    letting_go_of_mail_for_strangers_is_refuted:
        "strangers' mail", collect::ROUND_DELETES_STRANGERS_MAIL, in strangers breaks "no_loss";
    inboxes_that_hide_what_was_redriven_are_refuted:
        "redriven hidden", loss::INBOX_HIDES_THE_REDRIVEN, in gaps breaks "no_loss";
}

// Order, windows and time.

refutations! {
    ignoring_byte_windows_is_refuted:
        "byte window", push::WINDOW_COUNTS_MESSAGES_ALONE, in byte_window breaks "window";
    one_more_than_the_window_is_refuted:
        "window off by one", push::WINDOW_OFF_BY_ONE, in window_two breaks "window";
    passing_over_a_large_head_is_refuted:
        "head passed over", push::HEAD_IS_PASSED_OVER, in byte_window breaks "order";
    pushing_what_is_due_first_is_refuted:
        "due first", push::DUE_FIRST, in window_two breaks "order";
    changed_bytes_are_refuted:
        "changed bytes", push::BYTES_CHANGE_ON_THE_WAY, in window_one breaks "no_phantom";
    a_delay_that_ends_where_many_wait_is_refuted:
        "no delay beyond four windows", fail::DELAYS_END_WHERE_MANY_WAIT, in many_delayed breaks "no_innocent_dead";
    a_few_delays_that_stop_what_is_new_are_refuted:
        "few delays stop the new", push::FEW_DELAYS_STOP_THE_NEW, in many_delayed breaks "mail_liveness";
    failures_without_a_floor_are_refuted:
        "five failures in seconds", fail::FAILURES_HAVE_NO_FLOOR, in delays breaks "no_innocent_dead";
    a_nack_that_holds_its_slot_is_refuted:
        "nacked in flight", fail::GIVEN_BACK_HOLDS_ITS_PLACE, in delays breaks "mail_liveness";
    a_nacked_message_that_never_returns_is_refuted:
        "nacked for good", fail::GIVEN_BACK_NEVER_RETURNS, in delays breaks "mail_liveness";
    an_alarm_that_forgets_delays_is_refuted:
        "alarm forgets delays", waking::ALARM_FORGETS_DELAYS, in delays breaks "mail_liveness";
    an_alarm_that_forgets_what_is_left_over_is_refuted:
        "alarm forgets what is left", waking::ALARM_FORGETS_WHAT_IS_LEFT_OVER, in push_budget breaks "mail_liveness";
    an_event_without_a_push_budget_is_refuted:
        "no push budget", push::NO_PUSH_BUDGET, in push_budget breaks "bounded_mail";
    pushing_what_is_too_old_is_refuted:
        "expired pushed", collect::TOO_OLD_IS_PUSHED, in retention breaks "retention";
}
