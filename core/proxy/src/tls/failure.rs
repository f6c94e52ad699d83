//! Why a handshake with a client failed, in words that an operator can act on.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

/// The reason for the record; what has no words of ours has rustls' own.
pub(super) fn reason(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(error) => of_tls(error),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "the client left during the handshake".into(),
        None => error.to_string(),
    }
}

fn of_tls(error: &Error) -> String {
    match error {
        Error::AlertReceived(AlertDescription::UnknownCA | AlertDescription::BadCertificate) => {
            format!("the client does not trust our certificate ({error})")
        }
        Error::General(why) if why == "no server certificate chain resolved" => {
            "there is no certificate for the name that the client asks for, nor a default in `certificates`".into()
        }
        Error::InvalidCertificate(problem) => of_certificate(problem),
        Error::InvalidMessage(_) => format!("what the client sent is no TLS ({error})"),
        Error::NoApplicationProtocol => "the client's ALPN protocols are none of this listener's".into(),
        Error::NoCertificatesPresented => "the client shows no certificate, and this listener requires one".into(),
        Error::PeerIncompatible(what) => format!("the client cannot do what this listener wants: {}", want(what)),
        other => other.to_string(),
    }
}

fn of_certificate(problem: &CertificateError) -> String {
    let told = match problem {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired",
        CertificateError::ExpiredRevocationList | CertificateError::ExpiredRevocationListContext { .. } => {
            "cannot be judged: the revocation list of its authority has run out, renew it in crl_files and reload"
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => "is not for clients",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "is not valid yet",
        CertificateError::Revoked => "is revoked",
        CertificateError::UnknownIssuer => "is of no authority in ca_file",
        CertificateError::UnknownRevocationStatus => {
            "cannot be judged: crl_files has no list of its authority, add it and reload"
        }
        other => return format!("the client's certificate is not good: {other}"),
    };
    format!("the client's certificate {told}")
}

fn want(what: &PeerIncompatible) -> String {
    match what {
        PeerIncompatible::NoCipherSuitesInCommon => "none of its cipher suites is ours".into(),
        PeerIncompatible::NoKxGroupsInCommon => "none of its key exchanges is ours".into(),
        PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::Tls13RequiredForQuic => "its TLS is older than tls_min_version".into(),
        other => format!("{other:?}"),
    }
}
