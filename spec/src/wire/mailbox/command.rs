//! Decoders of each action's members.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::message::decode_message;
use super::request::Request;
use crate::id::AgentId;
use crate::limits;
use crate::mailbox::{
    Ask, Connection, Delay, Fence, Message, MessageId, Pattern, Patterns, Settled,
};
use crate::ordinal::Ordinal;
use crate::wire::field::Field;
use crate::wire::request::twice;
use crate::wire::{Code, Problem};

/// The actions, for those who ask for another.
pub(super) const ACTIONS: &str = "publish, send, acknowledge, nack, working, inbox, subscriptions, \
     agents, heartbeat, dead-letters, redrive, disconnect, forget or recover";

/// Decoder of the members of an action's command.
pub(super) type Decoder = fn(&Request<'_>) -> Result<Ask, Problem>;

/// The decoder of an action, or `None` if there is no such action.
pub(super) fn decoder(action: &str) -> Option<Decoder> {
    Some(match action {
        "publish" => publish,
        "send" => send,
        "acknowledge" => acknowledge,
        "nack" => nack,
        "working" => working,
        "inbox" => inbox,
        "subscriptions" => subscriptions,
        "agents" => agents,
        "heartbeat" => heartbeat,
        "dead-letters" => dead_letters,
        "redrive" => redrive,
        "disconnect" => disconnect,
        "forget" => forget,
        "recover" => recover,
        _ => return None,
    })
}

/// The decoder of an action that the original's client sends over its socket.
pub(super) fn of_original(action: &str) -> Option<Decoder> {
    Some(match action {
        "subscribe" => subscribe,
        "unsubscribe" => unsubscribe,
        _ => return None,
    })
}

fn publish(request: &Request<'_>) -> Result<Ask, Problem> {
    Ok(Ask::Publish { message: message(request)? })
}

fn send(request: &Request<'_>) -> Result<Ask, Problem> {
    let (original, other) = (request.target_agent(), request.to());
    let to = match (original.id(AgentId::new)?, other.id(AgentId::new)?) {
        (Some(_), Some(_)) => return Err(twice("`targetAgent`", "`to`")),
        (Some(agent), None) | (None, Some(agent)) => agent,
        (None, None) => return Err(other.malformed("the name of the agent to send to")),
    };
    let must_know = request.must_know().flag()?.unwrap_or(false);
    Ok(Ask::Send { to, message: message(request)?, must_know })
}

fn message(request: &Request<'_>) -> Result<Message, Problem> {
    decode_message(request.message_text()?, request.socket.map(|socket| &socket.agent))
}

fn acknowledge(request: &Request<'_>) -> Result<Ask, Problem> {
    let agent = request.agent()?;
    let named = [request.message_id(), request.seqs(), request.up_to(), request.gap()];
    let mut present = named.into_iter().filter(|field| field.is_present());
    let wanted = "`messageId`, `seqs`, `upTo` or `gap`";
    let (Some(field), None) = (present.next(), present.next()) else {
        let detail = format!("The command needs one of {wanted}, and one only.");
        return Err(Problem::new(Code::Malformed, detail));
    };
    let what = match field.name {
        "messageId" => field.id(MessageId::new)?.map(Settled::Id),
        "seqs" => Some(Settled::Seqs(seqs(field)?)),
        "upTo" => Some(Settled::UpTo(field.ordinal()?)),
        _ => field.whole().map(Settled::Gap),
    };
    let what = what.ok_or_else(|| field.malformed("a whole number"))?;
    Ok(Ask::Ack { agent, what })
}

fn nack(request: &Request<'_>) -> Result<Ask, Problem> {
    let agent = request.agent()?;
    let seq = request.seq().ordinal()?;
    let field = request.delay_ms();
    let delay = if field.is_present() {
        field.whole().and_then(Delay::from_ms).ok_or_else(|| {
            let most = limits::DELAY_MAX_MS;
            let wanted = format_args!("a whole number of milliseconds from 0 to {most}");
            field.refused(Code::TtlOutOfRange, wanted)
        })?
    } else {
        Delay::NONE
    };
    Ok(Ask::Nack { agent, seq, fence: fence(request)?, delay })
}

/// Both members or neither: one alone names no push.
fn fence(request: &Request<'_>) -> Result<Option<Fence>, Problem> {
    let (epoch, attempt) = (request.epoch(), request.attempt());
    if !epoch.is_present() && !attempt.is_present() {
        return Ok(None);
    }
    let number = attempt.whole().ok_or_else(|| {
        attempt.malformed("the `attempt` of the push, beside the `epoch` of its session")
    })?;
    Ok(Some(Fence { epoch: epoch.ordinal()?, attempt: number }))
}

fn working(request: &Request<'_>) -> Result<Ask, Problem> {
    Ok(Ask::Working { agent: request.agent()?, seq: request.seq().ordinal()? })
}

fn inbox(request: &Request<'_>) -> Result<Ask, Problem> {
    let agent = request.agent()?;
    Ok(Ask::Inbox { agent, after: after(request)?, limit: limit(request)? })
}

fn dead_letters(request: &Request<'_>) -> Result<Ask, Problem> {
    let agent = request.agent()?;
    Ok(Ask::DeadLetters { agent, after: after(request)?, limit: limit(request)? })
}

fn agents(request: &Request<'_>) -> Result<Ask, Problem> {
    Ok(Ask::Agents { after: request.after().id(AgentId::new)?, limit: limit(request)? })
}

fn heartbeat(request: &Request<'_>) -> Result<Ask, Problem> {
    Ok(Ask::Heartbeat { agent: request.agent()? })
}

fn redrive(request: &Request<'_>) -> Result<Ask, Problem> {
    Ok(Ask::Redrive { agent: request.agent()?, seqs: seqs(request.seqs())? })
}

/// Patterns to add or to take away; with neither the command changes nothing and asks.
fn subscriptions(request: &Request<'_>) -> Result<Ask, Problem> {
    let agent = request.agent()?;
    let (add, remove) = (request.add(), request.remove());
    match (add.is_present(), remove.is_present()) {
        (true, true) => Err(twice("`add`", "`remove`")),
        (true, false) => Ok(Ask::Subscribe { agent, types: patterns(add)? }),
        (false, _) => Ok(Ask::Unsubscribe { agent, types: patterns(remove)? }),
    }
}

fn subscribe(request: &Request<'_>) -> Result<Ask, Problem> {
    let agent = request.agent()?;
    Ok(Ask::Subscribe { agent, types: one_pattern(request)? })
}

fn unsubscribe(request: &Request<'_>) -> Result<Ask, Problem> {
    let agent = request.agent()?;
    Ok(Ask::Unsubscribe { agent, types: one_pattern(request)? })
}

/// Over a socket the session is its own unless another is named.
fn disconnect(request: &Request<'_>) -> Result<Ask, Problem> {
    let agent = request.agent()?;
    let epoch = match request.socket {
        Some(socket) if !request.epoch().is_present() => socket.epoch,
        _ => request.epoch().ordinal()?,
    };
    Ok(Ask::Disconnect { connection: Connection { agent, epoch } })
}

/// The agent is not the one that asks, so a socket does not say it.
fn forget(request: &Request<'_>) -> Result<Ask, Problem> {
    let field = request.agent_id();
    let agent = field.id(AgentId::new)?;
    let agent = agent.ok_or_else(|| field.malformed("the name of the agent to forget"))?;
    let epoch = request.epoch().is_present().then(|| request.epoch().ordinal()).transpose()?;
    Ok(Ask::Forget { agent, epoch })
}

fn recover(request: &Request<'_>) -> Result<Ask, Problem> {
    Ok(Ask::Recover { at_least: request.at_least().issuable("`seq`")? })
}

fn after(request: &Request<'_>) -> Result<Ordinal, Problem> {
    if request.after().is_present() { request.after().ordinal() } else { Ok(Ordinal::ZERO) }
}

fn limit(request: &Request<'_>) -> Result<usize, Problem> {
    let field = request.limit();
    match (field.is_present(), field.whole().map(usize::try_from)) {
        (false, _) => Ok(limits::LIST_DEFAULT),
        (true, Some(Ok(entries))) if (1..=limits::LIST_MAX).contains(&entries) => Ok(entries),
        (true, _) => {
            let most = limits::LIST_MAX;
            Err(field.malformed(format_args!("a whole number from 1 to {most}")))
        }
    }
}

fn seqs(field: Field<'_>) -> Result<Vec<Ordinal>, Problem> {
    field.ordinals(limits::ACK_SEQS)
}

fn patterns(field: Field<'_>) -> Result<Patterns, Problem> {
    let texts = Request::texts(field, limits::AGENT_PATTERNS)?;
    texts.into_iter().map(|text| pattern(field.name, text)).collect()
}

fn one_pattern(request: &Request<'_>) -> Result<Patterns, Problem> {
    let field = request.kind();
    let text = field.text()?.ok_or_else(|| field.malformed("a type, `prefix.*` or `*`"))?;
    Ok(Patterns::from([pattern(field.name, text)?]))
}

/// The pattern that somebody's text spells.
pub(super) fn pattern(name: &str, text: String) -> Result<Pattern, Problem> {
    Pattern::new(text).map_err(|invalid| {
        Problem::new(
            Code::Malformed,
            format!("`{name}`: a pattern {invalid}. Name a type, `prefix.*` or `*`."),
        )
    })
}
