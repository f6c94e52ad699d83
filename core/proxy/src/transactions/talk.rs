//! The conversation with a client that brings mail: what it says step by step, how long it is waited for, and what its
//! transactions come to.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use zproxy_protocol::smtp::{Answer, Reception, Recipient, Step};

use super::courier::Courier;
use super::transaction::{Outcome, Transaction};
use crate::Error;
use crate::accept::Ends;
use crate::config::Transactions;
use crate::front::Front;
use crate::metrics::{RecipientLabels, TransactionLabels};
use crate::record;
use crate::sessions::Entry;
use crate::visit::Visit;

/// What one is made of.
pub(super) struct Talk<'a> {
    pub(super) visit: &'a mut Visit,
    pub(super) rules: &'a Transactions,
    pub(super) ends: Ends,
    pub(super) front: Front,
    pub(super) reception: Reception,
    pub(super) transaction: Option<Transaction>,
    pub(super) entry: &'a Entry,
    /// What to say when it shall end, once that is asked for.
    pub(super) ending: watch::Receiver<Option<Arc<str>>>,
    /// When the client's last command had its answer.
    pub(super) answered: Instant,
    /// When the message that is coming must be there; none: none is coming.
    pub(super) until: Option<Instant>,
}

impl Talk<'_> {
    /// From the greeting to the goodbye.
    ///
    /// # Errors
    /// Why it came to no goodbye; the last words are still to be sent.
    pub(super) async fn lead(&mut self) -> Result<(), Error> {
        self.visit.record.step(record::Step::Greet);
        self.greet().await?;
        self.visit.record.step(record::Step::Transactions);
        loop {
            let step = self.reception.advance(&mut self.front.input, &mut self.front.out)?;
            match step {
                Step::Body(octets) => self.body(octets).await,
                Step::Data => self.data().await,
                Step::End => self.end().await,
                Step::Goodbye => {
                    self.reset();
                    return Ok(());
                }
                Step::Mail(sender) => self.transaction = Some(Transaction::new(sender)),
                Step::More => {
                    if !self.front.out.is_empty() {
                        self.answered = Instant::now();
                    }
                    self.front.send().await?;
                    self.read().await?;
                }
                Step::Recipient(recipient) => self.recipient(recipient).await,
                Step::Reset => self.reset(),
                Step::StartTls => {
                    self.reset();
                    self.front.send().await?;
                    let facts = self.front.secure().await?;
                    self.visit.record.tls(facts);
                    self.answered = Instant::now();
                    self.reception.secured();
                }
                Step::TooLarge => {
                    if let Some(transaction) = &mut self.transaction {
                        transaction.cut(&zproxy_protocol::Error::MessageTooLong.into());
                    }
                }
            }
        }
    }

    /// Whoever is not served hears it first; and whoever does not wait for the greeting is not.
    async fn greet(&mut self) -> Result<(), Error> {
        let allowed = &self.rules.allowed_from;
        if !allowed.is_empty() && !allowed.contain(self.ends.client.ip()) {
            self.reception.turn_away("Your address is not served here.", &mut self.front.out);
            return Err(Error::NotServed);
        }
        let delay = self.rules.mx.greeting_delay;
        if !delay.is_zero() {
            tokio::select! {
                biased;
                read = self.front.read() => {
                    read?;
                    self.reception.turn_away("You spoke before your turn.", &mut self.front.out);
                    return Err(Error::SpokeEarly);
                }
                () = sleep(delay) => {}
            }
        }
        self.reception.greet(&mut self.front.out);
        self.front.send().await
    }

    /// Waits for the client, as long as it may be waited for.
    async fn read(&mut self) -> Result<(), Error> {
        let idle = self.visit.setup.config.timeouts.idle[self.visit.listening.listener.service.index()];
        let between = self.reception.is_between();
        // A command comes whole, not an octet now and then; a message has a time of its own.
        let silent = if self.until.is_some() { Instant::now() } else { self.answered } + idle;
        let until = self.until.unwrap_or(silent);
        let (what, text) = tokio::select! {
            biased;
            () = sleep_until(until), if until < silent => {
                (Error::ClientTimeout("message"), "your message took too long")
            }
            () = sleep_until(silent) => (Error::Idle, "you said nothing for too long"),
            read = self.front.read() => return read,
            ending = self.ending.wait_for(Option::is_some), if between => {
                let text = ending.ok().and_then(|text| (*text).clone()).unwrap_or_else(|| Arc::from("closing"));
                self.reception.goodbye(&text, &mut self.front.out);
                return Err(Error::Kicked);
            }
        };
        self.reception.goodbye(text, &mut self.front.out);
        Err(what)
    }

    async fn recipient(&mut self, recipient: Recipient) {
        let Some(mut transaction) = self.transaction.take() else { return };
        let answer = transaction.recipient(&self.courier(), recipient).await;
        self.transaction = Some(transaction);
        self.count_recipient(&answer);
        self.reception.judge(&answer, &mut self.front.out);
    }

    async fn data(&mut self) {
        let Some(mut transaction) = self.transaction.take() else { return };
        match transaction.begin_message(&self.courier()).await {
            Ok(()) => {
                self.transaction = Some(transaction);
                self.until = Some(Instant::now() + self.visit.setup.config.timeouts.message);
                self.reception.proceed(&mut self.front.out);
            }
            Err(answer) => {
                self.conclude(transaction, Transaction::outcome(std::slice::from_ref(&answer)));
                self.reception.refuse_data(&answer, &mut self.front.out);
            }
        }
    }

    async fn body(&mut self, octets: usize) {
        if let Some(mut transaction) = self.transaction.take() {
            let piece = &self.front.input.bytes()[..octets.min(self.front.input.len())];
            transaction.send(&self.courier(), piece).await;
            self.transaction = Some(transaction);
        }
        self.front.input.consume(octets);
        self.entry.live().from_client.fetch_add(octets as u64, Ordering::Relaxed);
    }

    async fn end(&mut self) {
        self.until = None;
        let Some(mut transaction) = self.transaction.take() else { return };
        let answers = transaction.finish(&self.courier()).await;
        self.conclude(transaction, Transaction::outcome(&answers));
        self.reception.finish(&answers, &mut self.front.out);
    }

    /// The transaction is over, and no message is under way.
    fn reset(&mut self) {
        self.until = None;
        if let Some(transaction) = self.transaction.take() {
            self.conclude(transaction, Outcome::Aborted);
        }
    }

    /// The conversation is over, maybe in the middle of a message.
    pub(super) fn abort(&mut self, error: &Error) {
        if let Some(mut transaction) = self.transaction.take() {
            if self.until.is_some() {
                transaction.cut(error);
            }
            self.conclude(transaction, Outcome::Aborted);
        }
    }

    fn conclude(&self, mut transaction: Transaction, outcome: Outcome) {
        if transaction.has_recipients() {
            let labels = TransactionLabels { service: self.service_name(), outcome: outcome.name() };
            self.visit.shared.metrics.transactions.get_or_create(&labels).inc();
            self.visit.shared.records.put(self.visit.record.transaction(&transaction.summary(outcome)));
        }
        transaction.leave();
    }

    fn count_recipient(&self, answer: &Answer) {
        let outcome = match answer.code() {
            200..300 => "taken",
            400..500 => "temporary",
            _ => "refused",
        };
        let labels = RecipientLabels { service: self.service_name(), outcome };
        self.visit.shared.metrics.recipients.get_or_create(&labels).inc();
    }

    fn service_name(&self) -> &'static str {
        self.visit.listening.listener.service.name()
    }

    fn courier(&self) -> Courier<'_> {
        Courier {
            shared: &self.visit.shared,
            setup: &self.visit.setup,
            service: self.visit.listening.listener.service,
            rules: self.rules,
            ends: &self.ends,
            session_id: self.visit.record.id(),
            server_name: self.visit.record.tls_facts().and_then(|facts| facts.server_name.as_deref()),
            hello: self.reception.hello(),
        }
    }
}
