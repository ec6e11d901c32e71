//! Attachment of a socket: the subscriber that it keeps for the object, and the tag that it is found under.

use std::fmt::Write as _;

use mailbus_spec::Holder;
use mailbus_spec::wire::Protocol;
use mailbus_spec::wire::lease::Subscribe;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::endpoint::{Socket, number_of, protocol_of};
use crate::object::{Accept, Attachment};

/// Longest tag, in characters: the platform's bound.
const TAG_MAX: usize = 256;

/// State that a socket keeps for the object.
#[derive(Deserialize, Serialize)]
struct Kept {
    holder: Holder,
    protocol: u8,
}

/// The acceptance of a subscriber.
pub(super) fn accept(subscribe: Subscribe) -> Accept {
    let tags = vec![tag(&subscribe.holder, subscribe.protocol)];
    Accept { attachment: attachment(subscribe), tags, window: None }
}

fn attachment(subscribe: Subscribe) -> Attachment {
    let kept = Kept { holder: subscribe.holder, protocol: number_of(subscribe.protocol) };
    // Serialising to memory fails only for maps whose keys are not texts, and there are none here.
    serde_json::to_string(&kept).unwrap_or_default()
}

/// Reads what a socket keeps.
pub(super) fn socket(attachment: &str) -> Socket<Holder> {
    let kept = serde_json::from_str(attachment).ok();
    let open = kept.and_then(|Kept { holder, protocol }| Some((holder, protocol_of(protocol)?)));
    open.map_or(Socket::Foreign, |(holder, protocol)| Socket::Open(holder, protocol))
}

/// The name of a holder's sockets of one protocol. No two holders share one.
pub(super) fn tag(holder: &Holder, protocol: Protocol) -> String {
    // A name has no control characters, so the line feed parts the two.
    let protocol = number_of(protocol);
    let whole = format!("{protocol}{}\n{}", holder.agent, holder.session);
    if whole.chars().count() <= TAG_MAX {
        return whole;
    }
    let mut short = format!("{protocol}\n");
    for byte in Sha256::digest(whole.as_bytes()) {
        // Writing to a string does not fail.
        let _ = write!(short, "{byte:02x}");
    }
    short
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use mailbus_spec::{AgentId, SessionId};

    use super::*;

    fn holder(agent: &str, session: &str) -> Holder {
        Holder { agent: AgentId::new(agent).unwrap(), session: SessionId::new(session).unwrap() }
    }

    #[test]
    fn every_holder_has_its_own_tag_and_none_is_too_long() {
        let long = "x".repeat(128);
        let (nearly, other) = ("x".repeat(127), format!("{}y", "x".repeat(127)));
        let holders = [
            holder("a", ""),
            holder("a", "b"),
            holder("ab", ""),
            holder(&long, &long),
            holder(&long, &other),
            holder(&nearly, &long),
        ];
        let protocols = [Protocol::Original, Protocol::One];
        let tags: BTreeSet<String> = holders
            .iter()
            .flat_map(|holder| protocols.map(|protocol| tag(holder, protocol)))
            .collect();
        assert_eq!(tags.len(), holders.len() * protocols.len());
        assert!(tags.iter().all(|tag| tag.chars().count() <= TAG_MAX));
    }

    #[test]
    fn a_socket_keeps_whose_it_is() {
        for protocol in [Protocol::Original, Protocol::One] {
            let subscribe = Subscribe { holder: holder("a\"b", "s"), protocol };
            let kept = accept(subscribe.clone()).attachment;
            assert_eq!(socket(&kept), Socket::Open(subscribe.holder, protocol));
        }
        assert_eq!(socket("{}"), Socket::Foreign);
        assert_eq!(socket(""), Socket::Foreign);
    }
}
