//! Sixth step: lead the conversation with a backend to its end — logged in, refused, or probed.

use zeroize::Zeroizing;
use zproxy_protocol::{Client, ClientStep, Input};

use crate::Error;
use crate::dial::{self, Target, Terms};
use crate::stream::Stream;

/// Most bytes of a backend held while it has not let the client in; a machine refuses far less, this is the bound of
/// one read beyond it.
const MAX_UNREAD: usize = 128 * 1024;

/// A conversation that came to its end.
#[derive(Debug)]
pub struct Conversed {
    /// The connection.
    pub stream: Stream,
    /// What the backend sent behind its last line: the client's.
    pub rest: Input,
    /// [`ClientStep::Success`], [`ClientStep::Refused`] or [`ClientStep::Probed`].
    pub end: ClientStep,
}

/// Feeds a machine what the backend says and sends what it answers, through STARTTLS if it asks for it.
///
/// # Errors
/// The backend closed, broke its protocol or failed its handshake. The caller sets the deadline.
pub async fn converse(
    mut stream: Stream,
    machine: &mut dyn Client,
    target: Target<'_>,
    terms: Terms<'_>,
) -> Result<Conversed, Error> {
    let mut input = Input::new();
    // Sent it is wiped; this is for a login that is given up while the backend does not read.
    let mut out = Zeroizing::new(Vec::new());
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
