//! Systems of leases with a bug each.

use mailbus_spec::lease::answer::Notice;
use mailbus_spec::lease::{Command, LeaseMachine, LimitKind, Outcome, Rejection};
use mailbus_spec::{Holder, PathSet};

use crate::{
    Bug, bugs_fail_their_stories, histories_are_explained, histories_find_and_shrink, said,
    scripts_pass_or_say_why_not,
};

/// A renewal is answered with what it asked for, although the lease lives longer.
const RENEWAL_SHORTENS: Bug<LeaseMachine> = Bug {
    name: "a renewal shortens",
    call: |model, command| {
        let mut reply = model.command(command);
        if let (Command::Renew { ttl, .. }, Ok(Outcome::Renewed { expires_at, .. })) =
            (command, &mut reply.answer)
        {
            *expires_at = reply.commit.now.plus_ms(ttl.ms());
        }
        reply
    },
    ..Bug::NONE
};

/// Every tenth write is lost in an eviction.
const EVICTION_FORGETS: Bug<LeaseMachine> = Bug {
    name: "an eviction forgets",
    evict: |model| {
        if model.machine.sequence.is_multiple_of(10) {
            model.machine.leases.pop_last();
        }
    },
    ..Bug::NONE
};

/// Nobody is told of a grant.
const GRANT_IS_NOT_PUSHED: Bug<LeaseMachine> = Bug {
    name: "a grant is not pushed",
    received: |mut pushes| {
        pushes.retain(|push| !matches!(push.notice, Notice::Granted { .. }));
        pushes
    },
    ..Bug::NONE
};

/// Tickets block nobody who comes: they are forgotten while an acquisition is decided.
const BARGING: Bug<LeaseMachine> = Bug {
    name: "barging",
    call: |model, command| {
        if !matches!(command, Command::Acquire(acquire) if acquire.wait().is_none()) {
            return model.command(command);
        }
        let queue = std::mem::take(&mut model.machine.queue);
        let reply = model.command(command);
        model.machine.queue.extend(queue);
        reply
    },
    ..Bug::NONE
};

/// Claims are counted by session, which is a name that one invents.
const LIMITS_OF_A_SESSION: Bug<LeaseMachine> = Bug {
    name: "limits of a session",
    call: |model, command| {
        let Command::Acquire(acquire) = command else { return model.command(command) };
        let asks = |holder: &Holder| holder.agent == acquire.holder().agent;
        let uncounted = |holder: &Holder, paths: &PathSet| {
            asks(holder) && *holder != *acquire.holder() && !paths.overlaps(acquire.paths())
        };
        let (away, leases) = std::mem::take(&mut model.machine.leases)
            .into_iter()
            .partition(|(_, lease)| uncounted(&lease.key.holder, &lease.content.paths));
        model.machine.leases = leases;
        let reply = model.command(command);
        model.machine.leases.extend(away);
        reply
    },
    ..Bug::NONE
};

/// An agent may have any number of tickets for one thing.
const QUEUE_OF_ONE_AGENT: Bug<LeaseMachine> = Bug {
    name: "queue of one agent",
    call: |model, command| {
        let mut reply = model.command(command);
        if let (Command::Acquire(acquire), Err(Rejection::Limit(LimitKind::AgentTickets))) =
            (command, &reply.answer)
        {
            reply.answer =
                Ok(Outcome::Queued { position: model.machine.queue_on(acquire.paths()) });
        }
        reply
    },
    ..Bug::NONE
};

#[test]
fn on_a_real_clock_every_script_passes_or_says_why_not() {
    scripts_pass_or_say_why_not::<LeaseMachine>(40);
}

#[test]
fn on_a_real_clock_random_histories_of_the_specification_are_explained() {
    histories_are_explained::<LeaseMachine>(60, 80);
}

#[test]
fn a_bug_fails_the_script_that_tells_its_rule() {
    bugs_fail_their_stories(&[
        (RENEWAL_SHORTENS, "a_renewal_never_shortens"),
        (GRANT_IS_NOT_PUSHED, "a_release_hands_over_to_who_waits"),
        (BARGING, "a_ticket_alone_is_in_the_way"),
        (LIMITS_OF_A_SESSION, "an_agent_has_at_most_1000_claims"),
        (QUEUE_OF_ONE_AGENT, "an_agent_has_at_most_8_tickets_for_one_thing"),
    ]);
}

#[test]
fn a_failing_script_says_what_was_expected() {
    assert_eq!(
        said(RENEWAL_SHORTENS, "a_renewal_never_shortens"),
        "\
after `renew alice/1 #0s ttl=10s`
  the specification: [1 +0s] renewed until +30s, 0 waiting (generation +0s)
  the system:        [1 +0s] renewed until +10s, 0 waiting (generation +0s)"
    );
}

#[test]
fn random_histories_find_each_bug_and_shrink_it() {
    histories_find_and_shrink(&[
        (true, RENEWAL_SHORTENS, 3),
        (true, GRANT_IS_NOT_PUSHED, 6),
        (true, EVICTION_FORGETS, 30),
        (true, BARGING, 6),
        (false, RENEWAL_SHORTENS, 3),
        (false, BARGING, 6),
    ]);
}
