//! Which certificate is shown, and when its files are read.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, OFlags};
use zproxy_proxy::wire::{CertificateDirectory, Config, Tls};

use super::authority::{Authority, Directory, Pair};
use super::handshake::Edge;

fn write(directory: &Directory, [certificate, key]: [&str; 2], pair: &Pair) {
    directory.write(certificate, &pair.certificate);
    directory.write(key, &pair.key);
}

/// An edge with a directory of certificates, each of which says in its organisation where it lies.
struct Stocked {
    edge: Edge,
    authority: Authority,
}

impl Stocked {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        let edge = Edge::with(|config, directory| {
            config.certificate_directories =
                vec![CertificateDirectory { path: directory.path().to_str().unwrap().into() }];
            change(config);
        });
        Self { edge, authority: Authority::new("of many") }
    }

    fn stock(&self, files: [&str; 2], names: &[&str]) {
        write(&self.edge.directory, files, &self.authority.issue(names));
    }

    fn pipe(&self, name: &str) -> PathBuf {
        let file = self.edge.directory.path().join(name);
        rustix::fs::mknodat(CWD, &file, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        file
    }

    /// Whether a client that trusts only what lies in the directory is content.
    async fn serves(&self, name: &str) -> bool {
        let client = Arc::new(Edge::client_of_authority(&self.authority));
        self.edge.meet(&client, name).await.is_ok()
    }
}

#[tokio::test]
async fn certificates_are_found_in_the_layouts_of_acme_clients() {
    let stocked = Stocked::new(|_| {});
    std::fs::create_dir(stocked.edge.directory.path().join("certbot.example")).unwrap();
    stocked.stock(["plain.example.pem", "plain.example.key"], &["plain.example"]);
    stocked.stock(["lego.example.crt", "lego.example.key"], &["lego.example"]);
    stocked.stock(["certbot.example/fullchain.pem", "certbot.example/privkey.pem"], &["certbot.example"]);
    stocked.stock(["_.wild.example.pem", "_.wild.example.key"], &["*.wild.example"]);
    for name in ["plain.example", "PLAIN.example", "lego.example", "certbot.example", "a.wild.example"] {
        assert!(stocked.serves(name).await, "{name}");
    }
    for name in ["wild.example", "a.b.wild.example", "unknown.example"] {
        assert!(!stocked.serves(name).await, "{name}");
    }
    assert_eq!(stocked.edge.told(), "");
}

#[tokio::test]
async fn a_name_without_a_certificate_gets_the_default_and_none_where_there_is_no_default() {
    let stocked = Stocked::new(|_| {});
    assert!(stocked.edge.meet(&Arc::new(stocked.edge.client()), "mail.gec-course.com").await.is_ok());
    let stocked = Stocked::new(|config| config.certificates.clear());
    let error = stocked.edge.meet(&Arc::new(stocked.edge.client()), "mail.gec-course.com").await.unwrap_err();
    assert!(error.contains("there is no certificate for the name"), "{error}");
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_told_of_once_and_the_default_shown() {
    let stocked = Stocked::new(|_| {});
    let (one, other) = (stocked.authority.issue(&["bad.example"]), stocked.authority.issue(&["bad.example"]));
    write(
        &stocked.edge.directory,
        ["bad.example.pem", "bad.example.key"],
        &Pair { certificate: one.certificate, key: other.key },
    );
    for _ in 0..3 {
        assert!(!stocked.serves("bad.example").await);
    }
    let told = stocked.edge.told();
    assert_eq!(told.matches("does not fit the certificate").count(), 1, "{told}");
}

#[tokio::test]
async fn more_names_are_served_than_fit_in_memory() {
    let stocked = Stocked::new(|config| config.tls = Some(Tls { cached_certificates: 4, ..Tls::default() }));
    let names: Vec<_> = (0..12).map(|number| format!("{number}.example")).collect();
    for name in &names {
        stocked.stock([&format!("{name}.pem"), &format!("{name}.key")], &[name]);
    }
    for name in names.iter().chain(&names) {
        assert!(stocked.serves(name).await, "{name}");
    }
}

#[tokio::test]
async fn clients_that_leave_a_disk_that_hangs_leave_few_threads_behind() {
    let stocked = Stocked::new(|_| {});
    // Nobody writes to them: to open one for reading takes for ever.
    let hanging: Vec<_> = (0..12).map(|number| stocked.pipe(&format!("{number}.example.pem"))).collect();
    for number in 0..hanging.len() {
        let name = format!("{number}.example");
        assert!(tokio::time::timeout(Duration::from_millis(100), stocked.serves(&name)).await.is_err());
    }
    let is_being_read = |file: &&PathBuf| {
        // Refused where nobody reads; else whoever does is at the end of the file.
        rustix::fs::open(file.as_path(), OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty()).is_ok()
    };
    assert_eq!(hanging.iter().filter(is_being_read).count(), 8);
}
