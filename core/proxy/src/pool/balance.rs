//! Which members of a group serve an account, and in which order. Pure: what the edge sees of them is an argument.

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use super::{BackendMark, Kind, State};
use crate::limits;

/// What must come to one member of a group: of two with the same stake both do, as long as it can be.
#[derive(Clone, Copy, Debug)]
pub enum Stake<'a> {
    /// A login of this account: its mailbox is behind one member of a shared group; in a stateless one it is nowhere, and
    /// each login draws a lot.
    Login(&'a str),
    /// The requests of this account: in a stateless group its web sessions are at one member.
    Account {
        /// Whose.
        account: &'a str,
        /// Who has served it, which outranks what the name says. Of a shared group it says nothing: that is the mailbox's
        /// to say.
        before: Option<BackendMark>,
    },
    /// The requests of nobody yet known, at this address (/32, /64). No mailbox is at stake: any member will do.
    Client {
        /// Whence.
        address: IpAddr,
        /// Who has served it, which outranks what the address says.
        before: Option<BackendMark>,
    },
    /// A login by a name that no account has: any member will do, yet always the same.
    Name(&'a str),
}

/// A member of a group, as this edge sees it now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member<'a> {
    pub(super) name: &'a str,
    pub(super) weight: u32,
    pub(super) state: State,
    pub(super) standing: Standing,
    /// Control calls it down, for all edges.
    pub(super) called_down: bool,
}

/// Whether a member can take a login, as far as this edge knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Standing {
    /// As far as is known.
    Able,
    /// Probes fail.
    Down,
    /// Logins failed in a row.
    Ejected,
    /// It cannot be tried at all, for this reason.
    Unable(&'static str),
}

/// The members to try, by index, in that order; an error says why there are none.
pub(super) fn choose(
    kind: Kind,
    members: &[Member<'_>],
    stake: Stake<'_>,
    draw: u64,
) -> Result<Vec<usize>, &'static str> {
    match (kind, stake) {
        (Kind::Shared, Stake::Login(account) | Stake::Account { account, .. }) => {
            shared(members, account).map(|index| vec![index])
        }
        (Kind::Stateless, Stake::Login(_)) => any(members, &draw.to_le_bytes(), None),
        (Kind::Stateless, Stake::Account { account, before }) => any(members, account.as_bytes(), before),
        (_, Stake::Name(name)) => any(members, name.as_bytes(), None),
        (_, Stake::Client { address, before }) => any(members, limits::key(address).to_string().as_bytes(), before),
    }
}

/// The one member that this account's sessions share. The edge's own view never moves a user, it only refuses him: two
/// servers writing one mailbox would be worse.
fn shared(members: &[Member<'_>], account: &str) -> Result<usize, &'static str> {
    let best = |state| {
        let up = members.iter().enumerate().filter(|(_, member)| takes_new(member, state) && !member.called_down);
        up.max_by(|(_, one), (_, other)| score(one, account.as_bytes()).total_cmp(&score(other, account.as_bytes())))
    };
    let (index, member) = best(State::Active).or_else(|| best(State::Standby)).ok_or("no member is up")?;
    match member.standing {
        // Sent to all the same: a login that fails there has nowhere else to go.
        Standing::Able | Standing::Ejected => Ok(index),
        Standing::Down => Err("the account's member of the group is down"),
        Standing::Unable(reason) => Err(reason),
    }
}

/// All members by their scores: the one of before, if it looks well, the able ones, standbys, then those that look bad,
/// because trying beats refusing.
fn any(members: &[Member<'_>], stake: &[u8], before: Option<BackendMark>) -> Result<Vec<usize>, &'static str> {
    let takes = |member: &Member<'_>| takes_new(member, State::Active) || takes_new(member, State::Standby);
    let bad = |member: &&Member<'_>| matches!(member.standing, Standing::Down | Standing::Ejected);
    let takers = members.iter().filter(|member| takes(member));
    // If more than half look bad it is more likely the edge that does: its own failures count for nothing then.
    let distrust = 2 * takers.clone().filter(bad).count() > takers.count();
    let rank = |member: &Member<'_>| match (member.standing, member.state) {
        (Standing::Unable(_), _) => None,
        (Standing::Down, _) => Some(4),
        _ if member.called_down => Some(4),
        (Standing::Ejected, _) if !distrust => Some(3),
        _ if before.is_some_and(|before| before == BackendMark::of(member.name)) => Some(0),
        (_, State::Standby) => Some(2),
        _ => Some(1),
    };
    let mut order = Vec::with_capacity(members.len());
    for (index, member) in members.iter().enumerate().filter(|(_, member)| takes(member)) {
        if let Some(rank) = rank(member) {
            order.push((rank, score(member, stake), index));
        }
    }
    order.sort_by(|(rank, score, _), (other_rank, other, _)| rank.cmp(other_rank).then(other.total_cmp(score)));
    if order.is_empty() {
        return Err("no member can take it");
    }
    Ok(order.into_iter().map(|(_, _, index)| index).collect())
}

fn takes_new(member: &Member<'_>, state: State) -> bool {
    member.state == state && member.weight > 0
}

/// Weighted rendezvous: the member with the highest score wins, each as often as its weight says, and a member that
/// leaves takes no one along but those it had won. The stake is the account, the client's network, or the number of a lot. Every edge must come to the same score, so
/// nothing here is random: FNV-1a (64 bits) over stake, NUL and lower-case name, splitmix64's finish, and weight / -ln of that as a fraction.
fn score(member: &Member<'_>, stake: &[u8]) -> f64 {
    let name = member.name.bytes().map(|octet| octet.to_ascii_lowercase());
    let hash = finish(fnv1a(stake.iter().copied().chain([0]).chain(name)));
    // The 53 bits a float holds, half a step from either end: never 0, never 1.
    #[allow(clippy::cast_precision_loss)]
    let fraction = ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    f64::from(member.weight) / -fraction.ln()
}

/// FNV-1a, 64 bits.
pub(super) fn fnv1a(octets: impl Iterator<Item = u8>) -> u64 {
    octets.fold(0xcbf2_9ce4_8422_2325, |hash, octet| (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3))
}

/// FNV leaves its high bits alike for names that differ in their last octet; this spreads them.
fn finish(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
