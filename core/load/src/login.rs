//! Clients of mail log in: one account after another, by one protocol's script.

use std::rc::Rc;

use crate::accounts::Accounts;
use crate::connection::Connection;
use crate::door::{Door, DoorClient};
use crate::options::Options;
use crate::script::Script;
use crate::tally::{Tally, Watch};
use crate::tls::Start;

/// The same for all clients of a run.
pub(crate) struct Logins {
    /// What they say.
    pub(crate) script: Script,
    door: Rc<Door>,
    accounts: Accounts,
}

impl Logins {
    /// Through a door by a script, as the options say.
    pub(crate) fn new(script: Script, door: Door, options: &Options) -> Result<Self, String> {
        Ok(Self { script, door: Rc::new(door), accounts: Accounts::new(options)? })
    }

    /// A client that logs in.
    pub(crate) fn client(self: &Rc<Self>) -> LoginClient {
        LoginClient { logins: self.clone(), door: self.door.client() }
    }
}

/// One client.
pub(crate) struct LoginClient {
    logins: Rc<Logins>,
    door: DoorClient,
}

impl LoginClient {
    /// What it says.
    pub(crate) fn script(&self) -> Script {
        self.logins.script
    }

    /// From nothing to a session of the account of this number.
    pub(crate) async fn log_in(
        &self,
        number: u64,
        buffer: usize,
        (tally, watch): (&Tally, &mut Watch),
    ) -> Result<Connection, String> {
        let script = self.script();
        let mut connection = self.door.open(number, buffer, (tally, watch)).await?;
        script.greeting(&mut connection).await?;
        watch.lap("greeting");
        if self.door.start() == Some(Start::Starttls) {
            script.starttls(&mut connection).await?;
            watch.lap("starttls");
            connection = self.door.secure(connection, (tally, watch)).await?;
        }
        let (account, password) = self.logins.accounts.of(number);
        script.log_in(&mut connection, (&account, password)).await?;
        watch.lap("login");
        Ok(connection)
    }
}
