//! Sixth step: lead the conversation with a backend to its end — logged in, refused, or probed.

use zeroize::Zeroizing;
use zproxy_protocol::{Client, ClientStep, Input, Secret};

use crate::Error;
use crate::dial::{self, Target, Terms};
use crate::stream::Stream;

/// Most bytes of a backend held while it has not let the client in; a machine refuses far less, this is the bound of
/// one read beyond it.
const MAX_UNREAD: usize = 128 * 1024;

/// A conversation to be led on.
#[derive(Debug)]
pub struct Open {
    stream: Stream,
    input: Input,
    // Sent it is wiped; this is for a login that is given up while the backend does not read.
    out: Zeroizing<Vec<u8>>,
}

impl From<Stream> for Open {
    fn from(stream: Stream) -> Self {
        Self { stream, input: Input::new(), out: Zeroizing::default() }
    }
}

/// A conversation that came to its end, or to a challenge.
#[derive(Debug)]
pub struct Conversed {
    /// The connection.
    pub stream: Stream,
    /// What the backend sent behind its last line: the client's.
    pub rest: Input,
    /// [`ClientStep::Success`], [`ClientStep::Refused`], [`ClientStep::Probed`] or [`ClientStep::Challenge`].
    pub end: ClientStep,
}

impl Conversed {
    /// Goes on from a challenge.
    #[must_use]
    pub fn answered(self, machine: &mut dyn Client, response: &Secret) -> Open {
        let mut out = Zeroizing::default();
        machine.respond(response, &mut out);
        Open { stream: self.stream, input: self.rest, out }
    }
}

/// Feeds a machine what the backend says and sends what it answers, through STARTTLS if it asks for it.
///
/// # Errors
/// The backend closed, broke its protocol or failed its handshake. The caller sets the deadline.
pub async fn converse(
    open: Open,
    machine: &mut dyn Client,
    target: Target<'_>,
    terms: Terms<'_>,
) -> Result<Conversed, Error> {
    let Open { mut stream, mut input, mut out } = open;
    loop {
        let step = machine.advance(&mut input, &mut out).map_err(|error| Error::of_backend(machine.phase(), error));
        let broken = |error: std::io::Error| Error::BackendIo { step: machine.phase(), kind: error.kind() };
        stream.send(&mut out).await.map_err(broken)?;
        match step? {
            ClientStep::More => {
                let room = MAX_UNREAD.saturating_sub(input.len());
                if room == 0 {
                    return Err(Error::of_backend(machine.phase(), zproxy_protocol::Error::BackendOverflow));
                }
                if stream.fill(&mut input, room).await.map_err(broken)? == 0 {
                    return Err(Error::BackendIo { step: machine.phase(), kind: std::io::ErrorKind::UnexpectedEof });
                }
            }
            ClientStep::StartTls => {
                stream = dial::secure(stream, target, terms).await?;
                machine.secured();
            }
            end => return Ok(Conversed { stream, rest: input, end }),
        }
    }
}
