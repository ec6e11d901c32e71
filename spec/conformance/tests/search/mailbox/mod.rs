//! Worlds of the mailbox machine, with senders, processes that come and go, and time.
//!
//! In each world a few messages are sent, and processes connect, die, are replaced, ack, nack, announce and
//! read, each as often as the world's budget says; the object crashes, its alarm rings at any moment, or never,
//! and time jumps to the instants at which it matters.
//!
//! * On every event `spec::mailbox::invariant::check` holds; so do the claims that need the past
//!   (`past`): what was ever pushed, handled, settled and lost, whoever failed, and every number that
//!   was ever issued.
//! * `liveness` continues states without faults: all is delivered and settled, nobody connects for
//!   ever, and the log empties.

mod client;
mod liveness;
mod marks;
mod model;
mod object;
mod past;
mod refutations;
mod scenario;
mod state;
mod turning;
mod view;
mod worlds;

worlds! {
    a_window_of_one_holds: window_one,
    a_window_of_two_holds: window_two,
    a_window_of_three_holds: window_three,
    a_window_of_bytes_holds: byte_window,
    push_budgets_hold: push_budget,
    up_to_on_a_slow_network_holds: up_to,
    late_frames_hold: late_frames,
    delayed_nacks_hold: delays,
    many_delayed_nacks_hold: many_delayed,
    failures_and_announcements_hold: failures,
    copies_of_nacks_hold: copies,
    two_agents_hold: two_agents,
    replacements_hold: replaced,
    superseded_sessions_hold: superseded,
    superseded_sessions_with_mail_hold: superseded_and_mail,
    too_many_superseded_sessions_hold: crowded,
    forgotten_agents_hold: forgotten,
    ephemeral_messages_hold: ephemeral,
    silence_holds: silent,
    silence_after_a_nack_holds: silent_again,
    silence_with_a_full_inbox_holds: silent_and_full,
    gaps_hold: gaps,
    deduplication_holds: dedup,
    one_id_of_two_senders_holds: namesakes,
    answers_to_senders_hold: told,
    retention_and_collection_hold: retention,
    busy_agents_hold: busy,
    mail_for_strangers_holds: strangers,
    subscriptions_hold: subscriptions,
    full_inboxes_hold: overflow,
    inboxes_full_of_chatter_hold: chatter,
    letters_in_a_full_inbox_hold: letters,
    restore_and_recovery_hold: restored,
    recovery_beyond_the_clock_holds: recovered_ahead,
    restore_without_recovery_holds: ahead,
    clocks_that_step_back_hold: clocks,
}

#[test]
fn states_of_one_view_have_successors_of_the_same_views() {
    // A step of theirs copies megabytes, and nothing else is special about them.
    let is_slow = |scenario: &scenario::Scenario| {
        scenario.mails.iter().any(|mail| mail.message.bytes() > 1_000)
    };
    let worlds = worlds::all().into_iter().filter(|scenario| !is_slow(scenario));
    let worlds = worlds.map(|scenario| model::World { scenario });
    let all: usize = worlds.map(|world| crate::harness::meetings(&world, 60, 30)).sum();
    assert!(all > 100, "the walks met only {all} times");
}
