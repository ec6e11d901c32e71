//! Exhaustive search in the small: the mailbox machine together with senders, processes that come and
//! go, and time.
//!
//! Goal: every rule of the mailbox semantics is needed and enough. In each *world* a few messages are
//! sent, and processes connect, die, are replaced, ack, nack, announce and read, each as often as the
//! world's budget says; the object crashes, its alarm rings at any moment, or never, and time jumps to
//! the instants at which it matters. All interleavings are searched, breadth first, with stateright.
//!
//! * On every event `spec::mailbox::invariant::check` holds; so do the claims that need the past
//!   (`past`): what was ever pushed, handled, settled and lost, whoever failed, and every number that
//!   was ever issued.
//! * `liveness` continues states without faults: all is delivered and settled, nobody connects for
//!   ever, and the log empties.
//! * Each world lists the marks it must reach: vacuity is a failure.
//! * Each rule is broken once (`refutations`): the search then finds the violation by name, on a
//!   shortest trace. So each check can fail, and each rule is shown to be needed.
//! * States are taken by what can still matter of them (`view`); `view_test` holds that to account.
//!
//! `cargo test -p mailbus-spec --test exhaustive_mailbox -- --nocapture` prints a line for each world
//! and the trace of each refutation. `MAILBUS_EXHAUSTIVE_MORE=1` (or more) adds that much to the
//! budgets that are not zero; worlds that then generate more than `search::generated_max()`
//! transitions are cut, and said not to be exhausted.

mod client;
mod liveness;
mod marks;
mod mistake;
mod model;
mod object;
mod past;
mod refutations;
mod search;
mod setting;
mod state;
mod turning;
mod view;
mod view_test;
mod worlds;

macro_rules! worlds {
    ($($test:ident: $world:path),* $(,)?) => {
        $(
            #[test]
            fn $test() {
                search::holds($world());
            }
        )*
    };
}

worlds! {
    a_window_of_one_holds: worlds::window_one,
    a_window_of_two_holds: worlds::window_two,
    a_window_of_three_holds: worlds::window_three,
    a_window_of_bytes_holds: worlds::byte_window,
    bites_hold: worlds::bites,
    up_to_on_a_slow_network_holds: worlds::up_to,
    late_frames_hold: worlds::late_frames,
    delayed_nacks_hold: worlds::delays,
    failures_and_announcements_hold: worlds::failures,
    two_agents_hold: worlds::two_agents,
    replacements_hold: worlds::replaced,
    mute_sessions_hold: worlds::mutes,
    mute_sessions_with_mail_hold: worlds::mutes_and_mail,
    too_many_mute_sessions_hold: worlds::crowded,
    forgotten_agents_hold: worlds::forgotten,
    ephemeral_messages_hold: worlds::ephemeral,
    silence_holds: worlds::silent,
    silence_after_a_nack_holds: worlds::silent_again,
    silence_with_a_full_inbox_holds: worlds::silent_and_full,
    gaps_hold: worlds::gaps,
    deduplication_holds: worlds::dedup,
    retention_and_collection_hold: worlds::retention,
    mail_for_strangers_holds: worlds::strangers,
    subscriptions_hold: worlds::subscriptions,
    full_inboxes_hold: worlds::overflow,
    restore_and_recovery_hold: worlds::restored,
    restore_without_recovery_holds: worlds::ahead,
    clocks_that_step_back_hold: worlds::clocks,
}
