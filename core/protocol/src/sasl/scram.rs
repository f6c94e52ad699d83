//! SCRAM (RFC 5802, RFC 7677), relayed: the client and the backend prove themselves to each other through us.
//!
//! No message can be rewritten, for each is part of the proofs: the name in the first one says where to, and every
//! message is held to its grammar, so that whatever is odd is refused by us, alike for users who exist and who do not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::gs2::unescape;
use super::sent::Challenged;
use super::{Credential, Credentials, MAX_SENT, Mechanism, Refused, decode, encoded};
use crate::{Name, Secret};

/// Octets of a client's message, which goes on as it is. Refused by us, whoever it names: were it for the way to a backend
/// to say, only users who exist would be told otherwise than by a short one.
const MAX_MESSAGE: usize = MAX_SENT / 4 * 3;
/// Octets of a nonce; clients and servers draw some tens.
const MAX_NONCE: usize = 512;
/// Octets of a salt.
const MAX_SALT: usize = 512;
/// Letters that have a meaning in some message: no extension has their name.
const TAKEN: &[u8] = b"aceimnprsv";

/// A mechanism of the family, without channel binding: what a client would bind to is not the backend's channel.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ScramMechanism {
    /// RFC 5802.
    Sha1,
    /// RFC 7677.
    Sha256,
}

impl ScramMechanism {
    /// All, in the order in which they are offered.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha1];

    /// Its registered name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "SCRAM-SHA-1",
            Self::Sha256 => "SCRAM-SHA-256",
        }
    }

    /// The capability word that says that a backend takes it: that of IMAP, in every protocol.
    #[must_use]
    pub const fn capability(self) -> &'static str {
        match self {
            Self::Sha1 => "AUTH=SCRAM-SHA-1",
            Self::Sha256 => "AUTH=SCRAM-SHA-256",
        }
    }

    /// Octets of its hash, and so of a proof and of a server's signature.
    fn hash_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }
}

/// A client's first message.
#[derive(Clone, Debug)]
pub struct ScramFirst {
    mechanism: ScramMechanism,
    message: Secret,
    /// What the next message must begin with: the GS2 header said again, so that nobody can have changed it.
    binding: Box<[u8]>,
    nonce: Box<[u8]>,
}

/// What a server has a client make its proof from (RFC 5802, server-first-message).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Terms {
    /// The server's part of the nonce: printable ASCII but commas.
    pub nonce: Box<[u8]>,
    /// Not empty.
    pub salt: Box<[u8]>,
    /// Of the hash.
    pub iterations: u32,
}

/// What a backend asks of its client, and how the client may answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Challenge {
    mechanism: ScramMechanism,
    message: Box<[u8]>,
    answer: Answer,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Answer {
    /// The backend has proved that it knows the user; there is nothing to say.
    Empty,
    Proof {
        terms: Terms,
        prefix: Box<[u8]>,
        octets: usize,
    },
}

pub(super) fn parse(mechanism: ScramMechanism, message: &[u8]) -> Result<Credentials, Refused> {
    let bare_at = bare(message)?;
    let (header, bare) = message.split_at_checked(bare_at).ok_or(MALFORMED)?;
    let mut attributes = bare.split(|&octet| octet == b',');
    // One before the name would be `m=`, which whoever does not know it must refuse (RFC 5802, section 5.1).
    let name = attributes.next().and_then(|it| it.strip_prefix(b"n=")).ok_or(MALFORMED)?;
    let nonce = attributes.next().and_then(|it| it.strip_prefix(b"r=")).ok_or(MALFORMED)?;
    if message.len() > MAX_MESSAGE || !is_nonce(nonce) || !attributes.all(is_extension) {
        return Err(MALFORMED);
    }
    let name = saslname(name)?;
    let authzid = match header.get(b"n,".len()..).unwrap_or_default() {
        [b'a', b'=', authzid @ .., b','] => Some(saslname(authzid)?).filter(|authzid| *authzid != name),
        _ => None,
    };
    let first = ScramFirst {
        mechanism,
        message: Secret::new(message),
        binding: format!("c={},r=", STANDARD.encode(header)).into_bytes().into(),
        nonce: nonce.into(),
    };
    Ok(Credentials { authzid, name: Some(name), credential: Credential::Scram(first) })
}

/// Where the message behind the GS2 header begins.
fn bare(message: &[u8]) -> Result<usize, Refused> {
    match message {
        [b'p', b'=', ..] => return Err(Refused::ChannelBinding),
        [b'n' | b'y', b',', ..] => {}
        _ => return Err(MALFORMED),
    }
    let header = message.get(b"n,".len()..).unwrap_or_default();
    let authzid = header.iter().position(|&octet| octet == b',').ok_or(MALFORMED)?;
    match header.get(..authzid) {
        Some([] | [b'a', b'=', _, ..]) => Ok(authzid.saturating_add(b"n,,".len())),
        _ => Err(MALFORMED),
    }
}

fn saslname(text: &[u8]) -> Result<Name, Refused> {
    Name::new(&unescape(text).ok_or(MALFORMED)?).map_err(Refused::Name)
}

fn is_nonce(nonce: &[u8]) -> bool {
    !nonce.is_empty()
        && nonce.len() <= MAX_NONCE
        && nonce.iter().all(|&octet| octet.is_ascii_graphic() && octet != b',')
}

/// RFC 5802, `attr-val`: a letter and a value, which has no comma.
fn is_extension(attribute: &[u8]) -> bool {
    match attribute {
        [letter, b'=', _, ..] => letter.is_ascii_alphabetic() && !TAKEN.contains(letter) && !attribute.contains(&0),
        _ => false,
    }
}

const MALFORMED: Refused = Refused::MalformedScram;

impl ScramFirst {
    /// How it came, and how alone it goes on.
    #[must_use]
    pub fn mechanism(&self) -> ScramMechanism {
        self.mechanism
    }

    /// The base64 response that begins the exchange with a backend.
    #[must_use]
    pub fn response(&self) -> Secret {
        encoded(&[self.message.expose()])
    }

    /// The challenge of a server that has these terms.
    #[must_use]
    pub fn ask(&self, terms: Terms) -> Challenge {
        let nonce = [&*self.nonce, &*terms.nonce].concat();
        let salt_and_count = format!(",s={},i={}", STANDARD.encode(&terms.salt), terms.iterations);
        let message = [b"r=", nonce.as_slice(), salt_and_count.as_bytes()].concat();
        self.challenge(message.into(), terms)
    }

    fn challenge(&self, message: Box<[u8]>, terms: Terms) -> Challenge {
        let prefix = [&*self.binding, &*self.nonce, &*terms.nonce].concat().into();
        let octets = self.mechanism.hash_len();
        Challenge { mechanism: self.mechanism, message, answer: Answer::Proof { terms, prefix, octets } }
    }

    /// Reads a backend's first message; none: it is none, or the answer to another one than this.
    fn asked(&self, message: &[u8]) -> Option<Challenge> {
        let mut attributes = message.split(|&octet| octet == b',');
        let nonce = attributes.next()?.strip_prefix(b"r=")?.strip_prefix(&*self.nonce)?;
        let salt = decode(attributes.next()?.strip_prefix(b"s=")?).ok()?;
        let iterations = attributes.next()?.strip_prefix(b"i=")?;
        let is_number = iterations.iter().all(u8::is_ascii_digit) && !iterations.starts_with(b"0");
        let iterations = std::str::from_utf8(iterations).ok().filter(|_| is_number)?.parse().ok()?;
        let good = is_nonce(nonce) && (1..=MAX_SALT).contains(&salt.len()) && attributes.all(is_extension);
        good.then(|| {
            let terms = Terms { nonce: nonce.into(), salt: salt.as_slice().into(), iterations };
            self.challenge(message.into(), terms)
        })
    }

    /// Reads a backend's last message: its signature.
    fn signed(&self, message: &[u8]) -> Option<Challenge> {
        let mut attributes = message.split(|&octet| octet == b',');
        let signature = decode(attributes.next()?.strip_prefix(b"v=")?).ok()?;
        let good = signature.len() == self.mechanism.hash_len() && attributes.all(is_extension);
        good.then(|| Challenge { mechanism: self.mechanism, message: message.into(), answer: Answer::Empty })
    }
}

impl Challenge {
    /// Of the exchange that it belongs to.
    #[must_use]
    pub fn mechanism(&self) -> Mechanism {
        Mechanism::Scram(self.mechanism)
    }

    /// The base64 text to send behind `+ `.
    #[must_use]
    pub fn base64(&self) -> String {
        STANDARD.encode(&self.message)
    }

    /// What the proof is to be made from; none: it is not asked for one.
    #[must_use]
    pub fn terms(&self) -> Option<&Terms> {
        match &self.answer {
            Answer::Empty => None,
            Answer::Proof { terms, .. } => Some(terms),
        }
    }

    /// Takes the client's answer, to be sent on in base64.
    pub(super) fn answer(&self, message: &[u8]) -> Result<Secret, Refused> {
        let good = match &self.answer {
            Answer::Empty => message.is_empty(),
            Answer::Proof { prefix, octets, .. } => {
                message.len() <= MAX_MESSAGE && message.strip_prefix(&**prefix).is_some_and(|it| proves(it, *octets))
            }
        };
        if good { Ok(encoded(&[message])) } else { Err(MALFORMED) }
    }
}

/// Whether what follows the nonce of a client's last message is a proof of that size, and extensions before it.
fn proves(rest: &[u8], octets: usize) -> bool {
    let mut attributes = rest.split(|&octet| octet == b',');
    let (Some(b""), Some(proof)) = (attributes.next(), attributes.next_back()) else { return false };
    let proof = proof.strip_prefix(b"p=").and_then(|proof| decode(proof).ok());
    proof.is_some_and(|proof| proof.len() == octets) && attributes.all(is_extension)
}

/// An exchange with a backend.
#[derive(Debug)]
pub(crate) struct ScramSent {
    first: ScramFirst,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    /// The first message is.
    First,
    /// The client is asked for its proof.
    Asked,
    /// The proof is.
    Proved,
    /// The client is shown the signature.
    Shown,
    /// All is said.
    Done,
    /// The backend said that it will not let the client in.
    Refused,
}

impl ScramSent {
    pub(crate) fn new(first: &ScramFirst) -> Self {
        Self { first: first.clone(), stage: Stage::First }
    }

    /// Hears a challenge; none: it does not belong here.
    ///
    /// An error (`e=`) never reaches the client: whom no backend knows would have to be told one too.
    pub(crate) fn challenged(&mut self, base64: &[u8]) -> Option<Challenged> {
        let message = decode(base64).ok()?;
        let (asked, next) = match self.stage {
            Stage::First => (self.first.asked(&message), Stage::Asked),
            Stage::Proved => (self.first.signed(&message), Stage::Shown),
            _ => return None,
        };
        if message.starts_with(b"e=") {
            self.stage = Stage::Refused;
            return Some(Challenged::Say(b""));
        }
        let asked = asked?;
        self.stage = next;
        Some(Challenged::Ask(asked))
    }

    /// The client has answered the challenge.
    pub(crate) fn responded(&mut self) {
        self.stage = match self.stage {
            Stage::Asked => Stage::Proved,
            Stage::Shown => Stage::Done,
            other => other,
        };
    }

    /// Whether all is said: the backend has proved that it knows the user too.
    pub(crate) fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }
}

/// Whether a backend that listed these names may be told of an exchange: where it can bind the channel it must refuse
/// whoever could too and was not told so (RFC 5802, section 6), and a client sees our channel, not the backend's.
pub(super) fn is_relayed<'a>(mut listed: impl Iterator<Item = &'a str>) -> bool {
    !listed.any(|name| name.starts_with("SCRAM-") && name.ends_with("-PLUS"))
}
