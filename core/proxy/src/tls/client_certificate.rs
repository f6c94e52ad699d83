//! Who a client's certificate says it is, for records and for SASL EXTERNAL.
//!
//! An authority that we trust has signed these names, yet they are somebody else's bytes: what is taken as a name is
//! whole, short and free of control characters, or it is not taken; what is only shown is cut and cleaned.

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate, X509Name};
use zproxy_protocol::Name;

use crate::config::ExternalIdentity;

/// A verified certificate of a client.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ClientCertificate {
    /// Its subject as people write it, `CN=Budi, O=TGG`.
    pub subject: String,
    /// Its issuer, likewise.
    pub issuer: String,
    /// The subject's common name; none where it has none, or several.
    pub common_name: Option<String>,
    /// Mail addresses it is for (`rfc822Name` of its alternative names).
    pub emails: Vec<String>,
    /// Host names it is for (`dNSName` of its alternative names).
    pub hosts: Vec<String>,
    /// Hexadecimal SHA-256 of all of it.
    pub sha256: String,
}

/// RFC 5321, 4.5.3.1: 64 octets before the `@`, 255 behind it.
const LONGEST_NAME: usize = 320;
/// A person has a few addresses; more would only fill records.
const MOST_NAMES: usize = 16;
/// Enough to recognise somebody by.
const LONGEST_SHOWN: usize = 256;

impl ClientCertificate {
    /// Reads what a verified certificate says; one that our parser takes otherwise than the verifier has a fingerprint
    /// and no name.
    #[must_use]
    pub fn read(der: &CertificateDer<'_>) -> Self {
        let sha256 = fingerprint(der);
        let Ok((_, certificate)) = X509Certificate::from_der(der) else { return Self { sha256, ..Self::default() } };
        let mut read = Self {
            subject: shown(certificate.subject()),
            issuer: shown(certificate.issuer()),
            common_name: common_name(certificate.subject()),
            sha256,
            ..Self::default()
        };
        if let Ok(Some(names)) = certificate.subject_alternative_name() {
            for name in &names.value.general_names {
                match name {
                    GeneralName::RFC822Name(email) => take(&mut read.emails, email),
                    GeneralName::DNSName(host) => take(&mut read.hosts, host),
                    _ => {}
                }
            }
        }
        read
    }
}

impl ClientCertificate {
    /// Whom it proves by a rule; none: nobody.
    #[must_use]
    pub fn identity(&self, rule: ExternalIdentity) -> Option<Name> {
        let name = match rule {
            ExternalIdentity::CommonName => self.common_name.as_ref(),
            ExternalIdentity::Email => self.emails.first(),
            ExternalIdentity::Host => self.hosts.first(),
        };
        Name::new(name?.as_bytes()).ok()
    }
}

fn take(names: &mut Vec<String>, name: &str) {
    if names.len() < MOST_NAMES && is_name(name) {
        names.push(name.to_owned());
    }
}

/// Never a part of a name: `budi@tgg.net.id` and `budi@tgg.net.id\0.example` are two.
fn is_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len()) && !name.chars().any(char::is_control)
}

fn common_name(subject: &X509Name<'_>) -> Option<String> {
    let mut names = subject.iter_common_name();
    let (name, None) = (names.next()?.as_str().ok()?, names.next()) else { return None };
    is_name(name).then(|| name.to_owned())
}

fn shown(name: &X509Name<'_>) -> String {
    let clean = |character: char| if character.is_control() { char::REPLACEMENT_CHARACTER } else { character };
    name.to_string().chars().take(LONGEST_SHOWN).map(clean).collect()
}

fn fingerprint(der: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
    digest.as_ref().iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType, string::Ia5String};

    use super::*;

    fn read(change: impl FnOnce(&mut CertificateParams)) -> ClientCertificate {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        ClientCertificate::read(params.self_signed(&key).unwrap().der())
    }

    fn email(text: &str) -> SanType {
        SanType::Rfc822Name(Ia5String::try_from(text).unwrap())
    }

    #[test]
    fn names_are_read_by_their_kind() {
        let read = read(|params| {
            params.distinguished_name.push(DnType::CommonName, "Budi");
            params.distinguished_name.push(DnType::OrganizationName, "TGG");
            let host = SanType::DnsName(Ia5String::try_from("laptop.tgg.net.id").unwrap());
            params.subject_alt_names = vec![email("budi@tgg.net.id"), host, email("b@gec-course.com")];
        });
        assert_eq!(read.subject, "CN=Budi, O=TGG");
        assert_eq!(read.issuer, read.subject);
        assert_eq!(read.common_name.as_deref(), Some("Budi"));
        assert_eq!(read.emails, ["budi@tgg.net.id", "b@gec-course.com"]);
        assert_eq!(read.hosts, ["laptop.tgg.net.id"]);
        assert_eq!(read.sha256.len(), 64);
    }

    #[test]
    fn the_rule_says_which_name_it_proves() {
        let read = read(|params| {
            params.distinguished_name.push(DnType::CommonName, "budi");
            let host = |text| SanType::DnsName(Ia5String::try_from(text).unwrap());
            params.subject_alt_names =
                vec![host("laptop.tgg.net.id"), email("budi@tgg.net.id"), email("siti@tgg.net.id"), host("b.example")];
        });
        let proves = |rule| read.identity(rule).unwrap().as_str().to_owned();
        assert_eq!(proves(ExternalIdentity::Email), "budi@tgg.net.id");
        assert_eq!(proves(ExternalIdentity::CommonName), "budi");
        assert_eq!(proves(ExternalIdentity::Host), "laptop.tgg.net.id");
        for rule in [ExternalIdentity::Email, ExternalIdentity::CommonName, ExternalIdentity::Host] {
            assert_eq!(ClientCertificate::default().identity(rule), None);
        }
    }

    #[test]
    fn a_name_with_control_characters_or_too_long_is_no_name_and_no_part_of_one() {
        let long = format!("{}@tgg.net.id", "b".repeat(LONGEST_NAME));
        let read = read(|params| {
            params.distinguished_name.push(DnType::CommonName, "budi\0@tgg.net.id");
            params.subject_alt_names = vec![email("budi@tgg.net.id\0.example"), email(&long), email("\r\n")];
        });
        assert_eq!((read.common_name, read.emails), (None, vec![]));
        assert_eq!(read.subject, "CN=budi\u{fffd}@tgg.net.id");
    }

    #[test]
    fn of_two_common_names_neither_is_the_name() {
        let read = read(|params| {
            params.distinguished_name.push(DnType::CommonName, "Budi");
            params.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 3]), "Siti");
        });
        assert_eq!(read.common_name, None);
    }

    #[test]
    fn names_are_few_and_what_is_shown_is_short() {
        let read = read(|params| {
            params.distinguished_name.push(DnType::OrganizationName, "é".repeat(5000));
            params.subject_alt_names = (0..100).map(|number| email(&format!("{number}@tgg.net.id"))).collect();
        });
        assert_eq!((read.subject.chars().count(), read.emails.len()), (LONGEST_SHOWN, MOST_NAMES));
    }

    #[test]
    fn what_is_no_certificate_has_a_fingerprint_and_no_name() {
        let read = ClientCertificate::read(&CertificateDer::from(&b"\x30\x82"[..]));
        assert_eq!(read, ClientCertificate { sha256: read.sha256.clone(), ..ClientCertificate::default() });
    }
}
