//! Every rule broken once: the search finds the violation, by name, on a shortest trace. They show
//! that each check can fail, and why each rule is there: spec/rules/refuted.md has the traces in words.

use crate::mistake::Mistake;
use crate::search::refuted;
use crate::setting::Setting;
use crate::worlds;

macro_rules! refutations {
    ($($test:ident: $name:literal, $mistake:ident in $world:ident breaks $invariant:literal;)*) => {
        $(
            #[test]
            fn $test() {
                let world = worlds::$world().with_mistake(Mistake::$mistake, $invariant);
                refuted(Setting { name: $name, ..world });
            }
        )*
    };
}

// Failures, acks and losses.

refutations! {
    up_to_that_settles_what_was_pushed_again_is_refuted:
        "up_to takes redelivered", UpToTakesAgain in up_to breaks "no_loss";
    an_ack_by_id_across_senders_is_refuted:
        "ack by id", AcksById in dedup breaks "no_loss";
    giving_up_by_attempts_is_refuted:
        "attempts kill", AttemptsKill in failures breaks "no_innocent_dead";
    a_replacement_that_counts_as_failure_is_refuted:
        "replacement fails", ReplacementFails in failures breaks "no_innocent_dead";
    a_lost_session_that_blames_its_oldest_delivery_is_refuted:
        "end blames the oldest", EndFailsOldest in failures breaks "no_innocent_dead";
    an_announcement_that_outlives_its_delivery_is_refuted:
        "working outlives", WorkingOutlives in failures breaks "no_innocent_dead";
    a_redrive_that_keeps_failures_is_refuted:
        "redrive keeps failures", RedriveKeepsFailures in failures breaks "no_innocent_dead";
    an_acknowledgement_of_losses_nobody_saw_is_refuted:
        "gap by last", GapClearedByAnyAck in gaps breaks "honest_gap";
    a_connect_that_hides_the_gap_is_refuted:
        "gap untold", GapUntold in gaps breaks "honest_gap";
    an_expiry_that_is_not_counted_is_refuted:
        "expiry uncounted", ExpiryUncounted in retention breaks "honest_gap";
    forgetting_who_refused_is_refuted:
        "refused forgotten", RefusedForgotten in overflow breaks "no_loss";
    an_ack_that_does_not_say_it_wrote_is_refuted:
        "silent ack", AcksSilently in window_one breaks "silent_is_unchanged";
}

// Silence and superseded sessions.

refutations! {
    presuming_from_the_accept_is_refuted:
        "presumed from accept", PresumesFromAccept in silent_again breaks "no_loss";
    reads_that_presume_are_refuted:
        "reads presume", ReadsPresume in silent breaks "no_loss";
    presuming_what_asks_for_an_ack_is_refuted:
        "presumed ackRequired", PresumesAckRequired in silent breaks "no_loss";
    presuming_for_a_session_that_negotiated_is_refuted:
        "presumed negotiated", PresumesNegotiated in mutes_and_mail breaks "no_loss";
    refusing_what_silence_makes_room_for_is_refuted:
        "full of silence", SilentInboxRefuses in silent_and_full breaks "no_loss";
    closing_the_replaced_silent_session_evicts_for_ever:
        "endless eviction", ReplacementClosesMute in mutes breaks "mail_liveness";
    closing_the_replaced_silent_session_is_refuted:
        "mute closed", ReplacementClosesMute in mutes breaks "one_session";
    mute_sessions_that_stay_open_get_nothing_for_ever:
        "mutes stay", MutesStayOpen in mutes breaks "mail_liveness";
    promoting_a_mute_session_is_refuted:
        "mute promoted", PromotesMute in mutes_and_mail breaks "one_session";
    ephemeral_messages_for_mute_sessions_are_refuted:
        "ephemeral to mutes", EphemeralToMutes in ephemeral breaks "one_session";
    a_late_close_that_ends_the_live_session_is_refuted:
        "late close", LateCloseEndsLive in replaced breaks "one_session";
    frames_of_older_epochs_that_count_are_refuted:
        "stale frames", TakesStaleFrames in late_frames breaks "one_session";
    epochs_from_the_clock_alone_are_refuted:
        "epochs from the clock", EpochsFromClockAlone in replaced breaks "one_session";
}

// What is accepted and kept.

refutations! {
    keeping_ephemeral_messages_is_refuted:
        "ephemeral kept", KeepsEphemeral in ephemeral breaks "no_phantom";
    collecting_what_may_be_repeated_is_refuted:
        "dedup row collected", CollectsRepeatable in dedup breaks "accept_once";
    ids_without_their_sender_are_refuted:
        "id without sender", IdsWithoutSender in dedup breaks "accept_once";
    taking_another_message_for_a_repetition_is_refuted:
        "conflict ignored", IgnoresConflicts in dedup breaks "accept_once";
    a_seq_from_an_emptied_log_is_refuted:
        "seq reused", SeqFromLog in clocks breaks "no_delivery_after_settle";
    a_recovery_that_keeps_the_last_seq_is_refuted:
        "seq reused after restore", RecoversWithoutSeq in restored breaks "no_loss";
    answering_who_knows_more_is_refuted:
        "ahead ignored", IgnoresAhead in ahead breaks "no_loss";
    an_unsubscribe_that_takes_mail_back_is_refuted:
        "unsubscribe filters", UnsubscribeFilters in subscriptions breaks "no_loss";
    subscriptions_at_delivery_are_refuted:
        "subscribed later", SubscribeFetches in subscriptions breaks "no_phantom";
    skipping_who_is_offline_is_refuted:
        "offline skipped", SkipsOffline in two_agents breaks "no_loss";
    a_connect_that_undoes_an_unsubscribe_is_refuted:
        "connect means all", ConnectSubscribesAll in subscriptions breaks "no_phantom";
    publishing_to_the_sender_is_refuted:
        "sender included", PublishesToSender in subscriptions breaks "no_phantom";
    letting_go_of_mail_for_strangers_is_refuted:
        "strangers' mail", CollectsForStrangers in strangers breaks "no_loss";
    inboxes_that_hide_what_was_redriven_are_refuted:
        "redriven hidden", InboxHidesRedriven in gaps breaks "no_loss";
}

// Order, windows and time.

refutations! {
    ignoring_byte_windows_is_refuted:
        "byte window", IgnoresByteWindow in byte_window breaks "window";
    one_more_than_the_window_is_refuted:
        "window off by one", WindowOffByOne in window_two breaks "window";
    passing_over_a_large_head_is_refuted:
        "head passed over", PassesOverTheHead in byte_window breaks "order";
    pushing_what_is_due_first_is_refuted:
        "due first", PushesDueFirst in window_two breaks "order";
    changed_bytes_are_refuted:
        "changed bytes", ChangesBytes in window_one breaks "no_phantom";
    a_nack_that_holds_its_slot_is_refuted:
        "nacked in flight", NackHoldsSlot in delays breaks "mail_liveness";
    a_nacked_message_that_never_returns_is_refuted:
        "nacked for good", NackedNeverReturns in delays breaks "mail_liveness";
    an_alarm_that_forgets_delays_is_refuted:
        "alarm forgets delays", AlarmForgetsDue in delays breaks "mail_liveness";
    an_alarm_that_forgets_what_is_left_over_is_refuted:
        "alarm forgets bites", AlarmForgetsBites in bites breaks "mail_liveness";
    an_event_without_a_bite_is_refuted:
        "no bites", NoBites in bites breaks "bounded_mail";
    pushing_what_is_too_old_is_refuted:
        "expired pushed", PushesExpired in retention breaks "retention";
}
