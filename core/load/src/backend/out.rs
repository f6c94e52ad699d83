//! What comes out of a conversation: text, between it bodies that nobody keeps in memory, and what is to be counted.

use std::io;

use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::counts::Happened;
use crate::body::Body;

/// In the order of sending.
#[derive(Default)]
pub(super) struct Out {
    text: Vec<u8>,
    /// Bodies, and at which octet of the text each stands.
    bodies: Vec<(usize, Body)>,
    /// What has happened since somebody looked.
    pub(super) happened: Happened,
}

impl Out {
    /// Adds text.
    pub(super) fn say(&mut self, text: &[u8]) {
        self.text.extend_from_slice(text);
    }

    /// Adds a body.
    pub(super) fn body(&mut self, body: Body) {
        self.moved(body.len());
        if body.len() <= SMALL {
            self.text.extend_from_slice(body.at(0));
        } else {
            self.bodies.push((self.text.len(), body));
        }
    }

    /// Counts a message that was sent or taken.
    pub(super) fn moved(&mut self, octets: usize) {
        self.happened.messages += 1;
        self.happened.octets += octets as u64;
    }

    /// Counts a login.
    pub(super) fn logged_in(&mut self, account: String) {
        self.happened.logins.push(account);
    }

    /// Sends all there is.
    pub(super) async fn send(&mut self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let mut sent = 0;
        for (place, body) in self.bodies.drain(..) {
            to.write_all(&self.text[sent..place]).await?;
            sent = place;
            let mut offset = 0;
            while offset < body.len() {
                let chunk = body.at(offset);
                to.write_all(chunk).await?;
                offset += chunk.len();
            }
        }
        to.write_all(&self.text[sent..]).await?;
        self.text.clear();
        Ok(())
    }
}

/// Copied into the text, so that it goes with what is about it in one system call.
const SMALL: usize = 16 * 1024;
