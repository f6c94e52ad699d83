//! Clients that let their certificate speak for them, before the server machines of all protocols.

use std::sync::Arc;

use zproxy_protocol::{Credential, LoginOffer, ServerSetting, Step};

use crate::client::{Talk, setting};
use crate::words::{ALL, Words};

fn open(words: &Words, login: LoginOffer, certificate: bool, shared: &[&str]) -> Talk {
    Talk::open(words, ServerSetting { login, certificate, ..setting(shared) })
}

/// Whom to act as.
fn login(step: Step) -> Option<String> {
    match step {
        Step::Login(login) => {
            assert!(matches!(login.credential, Credential::Certificate));
            assert_eq!((login.name, login.mechanism), (None, "EXTERNAL"));
            login.authzid.map(|name| name.as_str().to_owned())
        }
        other => panic!("no login: {other:?}"),
    }
}

#[test]
fn is_offered_where_every_backend_believes_us_to_whoever_has_shown_a_certificate() {
    for words in ALL {
        for (certificate, shared, offered) in
            [(true, &["AUTH=EXTERNAL"][..], true), (false, &["AUTH=EXTERNAL"], false), (true, &[], false)]
        {
            let mut talk = open(words, LoginOffer::Now, certificate, shared);
            talk.hear(words.list);
            assert_eq!(talk.said.matches("EXTERNAL").count(), usize::from(offered), "{}", talk.said);
            let step = talk.hear(&words.initial("EXTERNAL", ""));
            assert_eq!(matches!(step, Step::Login(_)), offered, "{}", talk.said);
            assert_eq!(talk.said == words.unknown, !offered, "{}", talk.said);
        }
    }
}

#[test]
fn what_starttls_has_proved_counts_and_nothing_before() {
    for words in ALL {
        for certificate in [true, false] {
            let mut talk = open(words, LoginOffer::NowOrAfterTls, !certificate, &["AUTH=EXTERNAL"]);
            assert!(matches!(talk.hear(words.starttls), Step::StartTls));
            talk.server.secured(certificate);
            talk.hear(words.list);
            assert_eq!(talk.said.contains("EXTERNAL"), certificate, "{}", talk.said);
        }
    }
}

#[test]
fn the_message_is_whom_to_act_as_or_nothing() {
    for words in ALL {
        for (message, authzid) in [("", None), ("budi@tgg.net.id", Some("budi@tgg.net.id"))] {
            let talk = || open(words, LoginOffer::Now, true, &["AUTH=EXTERNAL"]);
            let step = talk().hear(&words.initial("EXTERNAL", message));
            assert_eq!(login(step).as_deref(), authzid);
            let mut asked = talk();
            assert!(matches!(asked.hear(&words.begin("external")), Step::More));
            assert_eq!(asked.said, words.asked(""));
            assert_eq!(login(asked.hear(&words.response(message))).as_deref(), authzid);
        }
        for message in ["a\0b", "a\r\nb", "\t", &"x".repeat(2000)] {
            let mut talk = open(words, LoginOffer::Now, true, &["AUTH=EXTERNAL"]);
            let step = talk.hear(&words.initial("EXTERNAL", message));
            assert!(matches!(step, Step::More), "{message:?}");
        }
    }
}

#[test]
fn an_offer_that_ends_is_told_from_then_on() {
    for words in ALL {
        let mut talk = open(words, LoginOffer::Now, true, &["AUTH=EXTERNAL"]);
        talk.server.offer(Arc::from([]));
        assert!(matches!(talk.hear(&words.initial("EXTERNAL", "")), Step::More));
    }
}
