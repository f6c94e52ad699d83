//! One connection's conversation, fed with what arrives: bodies are compared where they lie, the rest is its commands.

use std::cell::RefCell;
use std::rc::Rc;

use super::counts::Counts;
use super::out::Out;
use super::{Conversation, Turn};
use crate::body::Arrival;

/// One connection.
pub(super) struct Link<C> {
    conversation: C,
    counts: Rc<RefCell<Counts>>,
    /// Commands that are not complete; nothing while a body arrives.
    input: Vec<u8>,
    taking: Option<Arrival>,
    messages: u64,
    /// What is to be sent.
    pub(super) out: Out,
}

impl<C: Conversation> Link<C> {
    pub(super) fn new(counts: Rc<RefCell<Counts>>) -> Self {
        counts.borrow_mut().connected();
        Self { conversation: C::default(), counts, input: Vec::new(), taking: None, messages: 0, out: Out::default() }
    }

    /// Takes what arrived; says whether the connection is to be closed.
    pub(super) fn feed(&mut self, octets: &[u8]) -> bool {
        let taken = self.taking.as_mut().map_or(0, |arrival| arrival.take(octets));
        self.input.extend_from_slice(&octets[taken..]);
        let closes = self.advance();
        let happened = std::mem::take(&mut self.out.happened);
        self.messages += happened.messages;
        self.counts.borrow_mut().add(happened);
        closes
    }

    fn advance(&mut self) -> bool {
        loop {
            if let Some(mut arrival) = self.taking.take() {
                let taken = arrival.take(&self.input);
                self.input.drain(..taken);
                if arrival.left() > 0 {
                    self.taking = Some(arrival);
                    return false;
                }
                self.taken(&arrival);
            }
            match self.conversation.advance(&mut self.input, &mut self.out) {
                Turn::Close => return true,
                Turn::More => return false,
                Turn::Take(body) => self.taking = Some(Arrival::of(body)),
            }
        }
    }

    fn taken(&mut self, arrival: &Arrival) {
        let verdict = arrival.verdict();
        if let Err(damage) = verdict {
            self.counts.borrow_mut().damaged(damage.to_string());
        }
        self.out.moved(arrival.len());
        self.conversation.taken(verdict, &mut self.out);
    }

    /// The connection has ended.
    pub(super) fn end(self) {
        let mut counts = self.counts.borrow_mut();
        if let Some(Err(damage)) = self.taking.map(|arrival| arrival.verdict()) {
            counts.damaged(damage.to_string());
        }
        counts.ended(self.messages);
    }
}

/// Feeds a conversation one octet at a time; returns what it said, and what was counted.
#[cfg(test)]
pub(super) fn converse<C: Conversation>(input: &[u8]) -> (String, serde_json::Value) {
    let counts = Rc::new(RefCell::new(Counts::new(None)));
    let mut link = Link::<C>::new(counts.clone());
    for octet in input {
        link.feed(&[*octet]);
    }
    let mut said = Vec::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(link.out.send(&mut said)).unwrap();
    link.end();
    let report = counts.borrow().report();
    (String::from_utf8(said).unwrap(), report)
}
