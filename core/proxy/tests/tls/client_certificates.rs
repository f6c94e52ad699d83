//! Who is let in by a certificate, and what is said of who is not.

use std::sync::Arc;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, SanType, SerialNumber, date_time_ymd};
use zproxy_proxy::wire::{ClientCertificateMode, ClientCertificates, Config};

use super::authority::{Authority, Directory, Pair};
use super::handshake::Edge;

const NAME: &str = "mail.tgg.net.id";
const REVOKED: u64 = 7;

/// An edge that asks for certificates of an authority, by which `REVOKED` is revoked.
struct Asking {
    edge: Edge,
    clients: Authority,
}

impl Asking {
    fn with(mode: ClientCertificateMode, list: Option<&dyn Fn(&Authority) -> String>) -> Self {
        let clients = Authority::new("of clients");
        let edge = Edge::with(|config, directory| {
            let crl_files = list.iter().map(|list| directory.write("clients.crl", list(&clients))).collect();
            ask(config, directory, &clients, crl_files, mode);
        });
        Self { edge, clients }
    }

    fn required() -> Self {
        Self::with(ClientCertificateMode::Unspecified, Some(&|clients| clients.revoke(&[REVOKED], 2099)))
    }

    fn pair(&self, change: impl FnOnce(&mut CertificateParams)) -> Pair {
        self.clients.issue_with(&[], change)
    }

    async fn refusal(&self, pair: &Pair) -> String {
        self.edge.meet(&Arc::new(self.edge.client_with(pair)), NAME).await.unwrap_err()
    }
}

fn ask(
    config: &mut Config,
    directory: &Directory,
    clients: &Authority,
    crl_files: Vec<String>,
    mode: ClientCertificateMode,
) {
    let ca_file = directory.write("clients.pem", clients.pem());
    config.listeners[0].client_certificates = Some(ClientCertificates { ca_file, crl_files, mode: mode.into() });
}

fn serial(number: u64) -> impl FnOnce(&mut CertificateParams) {
    move |params| params.serial_number = Some(SerialNumber::from(number))
}

#[tokio::test]
async fn a_good_certificate_is_let_in_and_its_names_are_known() {
    let asking = Asking::required();
    let pair = asking.pair(|params| {
        params.distinguished_name.push(DnType::CommonName, "Budi");
        params.subject_alt_names = vec![SanType::Rfc822Name("budi@tgg.net.id".try_into().unwrap())];
    });
    let facts = asking.edge.meet(&Arc::new(asking.edge.client_with(&pair)), NAME).await.unwrap();
    let certificate = facts.client_certificate.unwrap();
    assert_eq!(certificate.emails, ["budi@tgg.net.id"]);
    assert_eq!(certificate.common_name.as_deref(), Some("Budi"));
    assert!(certificate.issuer.contains("of clients"), "{}", certificate.issuer);
}

#[tokio::test]
async fn who_is_not_let_in_is_told_by_the_reason_in_the_record() {
    let asking = Asking::required();
    let table: [(Pair, &str); 6] = [
        (asking.pair(serial(REVOKED)), "is revoked"),
        (asking.pair(|params| params.not_after = date_time_ymd(2021, 1, 1)), "has expired"),
        (asking.pair(|params| params.not_before = date_time_ymd(2090, 1, 1)), "is not valid yet"),
        (
            asking.pair(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
            "is not for clients",
        ),
        (Authority::new("somebody else").issue(&[]), "is of no authority in ca_file"),
        (Authority::new("of clients").issue(&[]), "is not good: BadSignature"),
    ];
    for (pair, reason) in table {
        let error = asking.refusal(&pair).await;
        assert!(error.contains(reason), "{reason}: {error}");
    }
    let error = asking.edge.meet(&Arc::new(asking.edge.client()), NAME).await.unwrap_err();
    assert!(error.contains("shows no certificate"), "{error}");
}

#[tokio::test]
async fn without_a_list_that_is_in_force_nobody_is_let_in() {
    let run_out = Asking::with(ClientCertificateMode::Required, Some(&|clients| clients.revoke(&[REVOKED], 2021)));
    let error = run_out.refusal(&run_out.pair(|_| {})).await;
    assert!(error.contains("the revocation list of its authority has run out"), "{error}");
    let foreign = Asking::with(
        ClientCertificateMode::Required,
        Some(&|_| Authority::new("somebody else").revoke(&[REVOKED], 2099)),
    );
    let error = foreign.refusal(&foreign.pair(|_| {})).await;
    assert!(error.contains("crl_files has no list of its authority"), "{error}");
}

#[tokio::test]
async fn where_certificates_are_optional_one_without_goes_on_and_a_bad_one_is_refused() {
    let asking = Asking::with(ClientCertificateMode::Optional, Some(&|clients| clients.revoke(&[REVOKED], 2099)));
    let facts = asking.edge.meet(&Arc::new(asking.edge.client()), NAME).await.unwrap();
    assert_eq!(facts.client_certificate, None);
    assert!(asking.refusal(&asking.pair(serial(REVOKED))).await.contains("is revoked"));
}

#[tokio::test]
async fn a_listener_that_asks_for_certificates_gives_no_tickets() {
    let asking = Asking::with(ClientCertificateMode::Optional, None);
    for client in [asking.edge.client(), asking.edge.client_with(&asking.pair(|_| {}))] {
        let client = Arc::new(client);
        for _ in 0..2 {
            assert!(!asking.edge.meet(&client, NAME).await.unwrap().resumed);
        }
    }
}
