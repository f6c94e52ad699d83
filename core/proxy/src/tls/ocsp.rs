//! OCSP staples (RFC 6960): whether a file is the answer for a certificate, and until when.
//!
//! The signature is the client's to check; what is looked at here is what makes a staple worth sending.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use x509_parser::asn1_rs::{Any, Class, FromDer as _, Tag};
use x509_parser::prelude::X509Certificate;
use x509_parser::time::ASN1Time;

/// A staple that may be sent.
#[derive(Debug)]
pub(super) struct Staple {
    pub(super) der: Vec<u8>,
    /// Its `nextUpdate`.
    pub(super) until: SystemTime,
}

/// Checks that an OCSP response calls that certificate good at this time.
///
/// # Errors
/// Why it is not sent, and the mend.
pub(super) fn staple(der: Vec<u8>, leaf: &CertificateDer<'_>, now: SystemTime) -> Result<Staple, String> {
    let (_, leaf) = X509Certificate::from_der(leaf).map_err(|error| format!("fits no certificate we read: {error}"))?;
    let answers = answers(&der).ok_or("is no OCSP response in DER: write what `openssl ocsp -respout` does")?;
    let mut ours = answers.iter().filter(|answer| answer.serial == leaf.raw_serial());
    let answer = ours.next().ok_or("is for another certificate: ask anew after each renewal")?;
    if !answer.good {
        return Err("does not call the certificate good: replace the certificate".into());
    }
    let until = answer.next_update.ok_or("does not say when it runs out: ask a responder that does")?;
    if answer.this_update > now {
        return Err("is of the future: set the clock".into());
    }
    if until <= now {
        return Err("has run out: renew it".into());
    }
    Ok(Staple { der, until })
}

/// `SingleResponse`.
struct Answer<'a> {
    serial: &'a [u8],
    good: bool,
    this_update: SystemTime,
    next_update: Option<SystemTime>,
}

/// The answers of a successful `OCSPResponse`; none: it is something else.
fn answers(der: &[u8]) -> Option<Vec<Answer<'_>>> {
    let mut response = Fields(der).sequence()?;
    let [0] = response.value(Tag::Enumerated)? else { return None };
    let mut response_bytes = Fields(response.explicit(0)?).sequence()?;
    let id_pkix_ocsp_basic = [0x2b, 6, 1, 5, 5, 7, 48, 1, 1];
    if response_bytes.value(Tag::Oid)? != id_pkix_ocsp_basic {
        return None;
    }
    let mut basic = Fields(response_bytes.value(Tag::OctetString)?).sequence()?;
    let mut data = basic.sequence()?;
    // version [0], which is left out for v1, then responderID [1] or [2].
    let _version = data.explicit(0);
    data.explicit(1).or_else(|| data.explicit(2))?;
    data.time()?;
    let mut list = data.sequence()?;
    let mut answers = Vec::new();
    while !list.0.is_empty() {
        answers.push(answer(list.sequence()?)?);
    }
    Some(answers)
}

fn answer(mut fields: Fields<'_>) -> Option<Answer<'_>> {
    let mut id = fields.sequence()?;
    // hashAlgorithm, issuerNameHash, issuerKeyHash
    id.sequence()?;
    id.value(Tag::OctetString)?;
    id.value(Tag::OctetString)?;
    let serial = id.value(Tag::Integer)?;
    let good = fields.explicit(0).is_some();
    if !good {
        fields.explicit(1).or_else(|| fields.explicit(2))?;
    }
    let this_update = fields.time()?;
    let next_update = match fields.explicit(0) {
        Some(time) => Some(Fields(time).time()?),
        None => None,
    };
    Some(Answer { serial, good, this_update, next_update })
}

/// What is left of a constructed value.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, is_it: impl FnOnce(&Any<'a>) -> bool) -> Option<&'a [u8]> {
        let (rest, any) = Any::from_der(self.0).ok()?;
        if !is_it(&any) {
            return None;
        }
        self.0 = rest;
        Some(any.data)
    }

    fn value(&mut self, tag: Tag) -> Option<&'a [u8]> {
        self.take(|any| any.class() == Class::Universal && any.tag() == tag)
    }

    fn explicit(&mut self, number: u32) -> Option<&'a [u8]> {
        self.take(|any| any.class() == Class::ContextSpecific && any.tag().0 == number)
    }

    fn sequence(&mut self) -> Option<Self> {
        self.value(Tag::Sequence).map(Self)
    }

    fn time(&mut self) -> Option<SystemTime> {
        let (rest, time) = ASN1Time::from_der(self.0).ok()?;
        self.0 = rest;
        UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(time.timestamp()).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fixtures' `thisUpdate`, 2030-01-01; they run out a week later.
    const BEGAN: u64 = 1_893_456_000;
    const HOUR: u64 = 3600;

    fn judged(der: &[u8], seconds: u64) -> Result<Staple, String> {
        let leaf = CertificateDer::from(&include_bytes!("../../tests/data/ocsp/leaf.der")[..]);
        staple(der.to_vec(), &leaf, UNIX_EPOCH + Duration::from_secs(seconds))
    }

    const GOOD: &[u8] = include_bytes!("../../tests/data/ocsp/good.der");

    #[test]
    fn a_good_answer_is_sent_while_it_is_in_force() {
        let staple = judged(GOOD, BEGAN + HOUR).unwrap();
        assert_eq!(staple.der, GOOD);
        assert_eq!(staple.until, UNIX_EPOCH + Duration::from_secs(BEGAN + 7 * 24 * HOUR));
    }

    #[test]
    fn an_answer_that_would_not_help_is_not_sent() {
        let table: [(&[u8], u64, &str); 7] = [
            (GOOD, BEGAN - HOUR, "is of the future"),
            (GOOD, BEGAN + 7 * 24 * HOUR, "has run out"),
            (include_bytes!("../../tests/data/ocsp/endless.der"), BEGAN + HOUR, "does not say when it runs out"),
            (include_bytes!("../../tests/data/ocsp/other.der"), BEGAN + HOUR, "is for another certificate"),
            (include_bytes!("../../tests/data/ocsp/revoked.der"), BEGAN + HOUR, "does not call the certificate good"),
            (include_bytes!("../../tests/data/ocsp/try_later.der"), BEGAN + HOUR, "is no OCSP response"),
            (b"<html>503</html>", BEGAN + HOUR, "is no OCSP response"),
        ];
        for (der, now, reason) in table {
            let problem = judged(der, now).unwrap_err();
            assert!(problem.starts_with(reason), "{reason}: {problem}");
        }
    }

    #[test]
    fn a_file_cut_short_is_refused_wherever_it_ends() {
        for length in 0..GOOD.len() {
            assert!(judged(&GOOD[..length], BEGAN + HOUR).is_err(), "{length}");
        }
    }
}
