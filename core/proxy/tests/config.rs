//! A config is taken whole, or every fault of it is named at once, by its key.

use prost::Message as _;
use zproxy_proxy::server::Setup;
use zproxy_proxy::wire;

fn listener() -> wire::Listener {
    wire::Listener {
        name: "imap".into(),
        protocol: wire::Protocol::Imap.into(),
        address: "127.0.0.1:0".into(),
        tls: wire::ListenerTls::Off.into(),
        ..Default::default()
    }
}

fn good() -> wire::Config {
    wire::Config {
        hostname: "mail.tgg.net.id".into(),
        state_directory: "/var/lib/zproxy".into(),
        listeners: vec![listener()],
        ..Default::default()
    }
}

fn faulty_keys(config: &wire::Config) -> Vec<String> {
    let faults = Setup::load(&config.encode_to_vec()).err().unwrap_or_default();
    faults.into_iter().map(|fault| fault.key).collect()
}

#[test]
fn the_least_config_is_taken() {
    assert_eq!(faulty_keys(&good()), [""; 0]);
}

#[test]
fn faults_of_keys_and_of_files_are_named_at_once() {
    let mut config = good();
    config.hostname = "mail tgg".into();
    config.backend_tls = Some(wire::BackendTlsSettings { ca_file: "/nonexistent/ca.pem".into(), ..Default::default() });
    config.certificates = vec![
        wire::Certificate {
            certificate_file: "/nonexistent/a.pem".into(),
            key_file: "/nonexistent/a.key".into(),
            names: vec!["*.*.x".into()],
            ..Default::default()
        },
        wire::Certificate { key_file: "/nonexistent/b.key".into(), ..Default::default() },
    ];
    config.api = Some(wire::Api { address: "192.0.2.1:7410".into(), ..Default::default() });
    config.sasl = Some(wire::Sasl { max_line: 100, salt_key: "short".into(), ..Default::default() });
    let mut keys = faulty_keys(&config);
    keys.sort_unstable();
    let expected = [
        "api.address",
        "backend_tls.ca_file",
        "certificates[0].certificate_file",
        "certificates[0].names[0]",
        "certificates[1].certificate_file",
        "hostname",
        "sasl.max_line",
        "sasl.salt_key",
    ];
    assert_eq!(keys, expected);
}

#[test]
fn passwords_cross_no_network_in_clear_unless_that_is_said() {
    let mut config = good();
    config.listeners[0].address = "192.0.2.1:143".into();
    assert_eq!(faulty_keys(&config), ["listeners[0].tls"]);
    config.listeners[0].plaintext_ok = true;
    assert_eq!(faulty_keys(&config), [""; 0]);
}

#[test]
fn client_certificates_want_tls_and_authorities_and_lists_that_can_be_read() {
    let mut config = good();
    config.listeners[0].client_certificates = Some(wire::ClientCertificates::default());
    assert_eq!(faulty_keys(&config), ["listeners[0].client_certificates.ca_file"]);
    let (ca_file, crl_files) = ("/nonexistent/ca.pem".into(), vec!["/nonexistent/ca.crl".into()]);
    config.listeners[0].client_certificates =
        Some(wire::ClientCertificates { ca_file, crl_files, ..Default::default() });
    let expected = ["listeners[0].client_certificates", "listeners[0].client_certificates.ca_file"];
    assert_eq!(faulty_keys(&config), expected);
}

#[test]
fn whom_a_certificate_proves_is_only_asked_where_clients_show_one() {
    let mut config = good();
    config.listeners[0].external_identity = wire::ExternalIdentity::Cn.into();
    assert_eq!(faulty_keys(&config), ["listeners[0].external_identity"]);
}

#[test]
fn our_certificate_for_backends_is_two_files_that_can_be_read() {
    let mut config = good();
    let certificate_file: String = "/nonexistent/edge.pem".into();
    config.backend_tls =
        Some(wire::BackendTlsSettings { certificate_file: certificate_file.clone(), ..Default::default() });
    assert_eq!(faulty_keys(&config), ["backend_tls.key_file"]);
    let key_file = "/nonexistent/edge.key".into();
    config.backend_tls = Some(wire::BackendTlsSettings { certificate_file, key_file, ..Default::default() });
    assert_eq!(faulty_keys(&config), ["backend_tls.certificate_file"]);
}

#[test]
fn a_staple_and_a_directory_of_certificates_must_be_there() {
    let mut config = good();
    let (certificate_file, key_file) = ("/nonexistent/a.pem".into(), "/nonexistent/a.key".into());
    let ocsp_file = "/nonexistent/a.ocsp".into();
    config.certificates = vec![wire::Certificate { certificate_file, key_file, ocsp_file, ..Default::default() }];
    config.certificate_directories = vec![wire::CertificateDirectory { path: "/nonexistent".into() }];
    assert_eq!(faulty_keys(&config), ["certificate_directories[0].path", "certificates[0].ocsp_file"]);
}

#[test]
fn a_directory_of_certificates_is_enough_for_tls() {
    let mut config = good();
    config.listeners[0].tls = wire::ListenerTls::Implicit.into();
    assert_eq!(faulty_keys(&config), ["certificates"]);
    config.certificate_directories = vec![wire::CertificateDirectory { path: "/".into() }];
    assert_eq!(faulty_keys(&config), [""; 0]);
}

#[test]
fn master_users_have_a_name_of_their_own_a_user_and_a_password() {
    let mut config = good();
    let one = wire::MasterUser { name: "one".into(), user: "zproxy".into(), password: "geheim".into() };
    config.master_users = vec![
        one.clone(),
        wire::MasterUser { user: "zpro\rxy".into(), ..one.clone() },
        wire::MasterUser { name: String::new(), password: String::new(), ..one },
    ];
    config.listeners[0].master_logins_from = vec!["10.0.0.0/33".into()];
    let mut keys = faulty_keys(&config);
    keys.sort_unstable();
    let expected = [
        "listeners[0].master_logins_from[0]",
        "master_users[1].name",
        "master_users[1].user",
        "master_users[2].name",
        "master_users[2].password",
    ];
    assert_eq!(keys, expected);
}

#[test]
fn lmtp_is_for_whom_the_config_names_and_never_on_the_port_of_smtp() {
    let near = vec!["10.0.0.0/8".to_owned()];
    let table: &[(&str, Vec<String>, &[&str])] = &[
        ("127.0.0.1:24", vec![], &[]),
        ("[::1]:24", vec![], &[]),
        ("10.0.0.1:24", near.clone(), &[]),
        ("10.0.0.1:24", vec![], &["listeners[0].allowed_from"]),
        ("0.0.0.0:24", vec![], &["listeners[0].allowed_from"]),
        ("[::]:24", vec![], &["listeners[0].allowed_from"]),
        ("10.0.0.1:24", vec!["10.0.0.0/33".into()], &["listeners[0].allowed_from[0]"]),
        ("127.0.0.1:25", vec![], &["listeners[0].address"]),
        ("10.0.0.1:25", near, &["listeners[0].address"]),
    ];
    for (address, allowed_from, expected) in table {
        let mut config = good();
        config.listeners[0].protocol = wire::Protocol::Lmtp.into();
        config.listeners[0].address = (*address).into();
        config.listeners[0].allowed_from.clone_from(allowed_from);
        assert_eq!(faulty_keys(&config), *expected, "{address} {allowed_from:?}");
    }
}

#[test]
fn what_is_for_those_who_bring_mail_is_for_no_other_listener() {
    let mut config = good();
    config.listeners[0].mx = Some(wire::Mx::default());
    config.listeners[0].allowed_from = vec!["10.0.0.0/8".into()];
    config.listeners[0].bare_newline = wire::BareNewline::Pass.into();
    let of_imap = ["listeners[0].mx", "listeners[0].allowed_from", "listeners[0].bare_newline"];
    assert_eq!(faulty_keys(&config), of_imap);
    config.listeners[0].protocol = wire::Protocol::Mx.into();
    config.listeners[0].mx = Some(wire::Mx {
        refuse_unknown: vec!["*".into(), "tgg.net.id".into(), "a b".into(), "@tgg.net.id".into()],
        greeting_delay: Some(prost_types::Duration { seconds: 31, nanos: 0 }),
        ..Default::default()
    });
    let mut keys = faulty_keys(&config);
    keys.sort_unstable();
    let of_mx = [
        "listeners[0].allowed_from",
        "listeners[0].mx.greeting_delay",
        "listeners[0].mx.refuse_unknown[2]",
        "listeners[0].mx.refuse_unknown[3]",
    ];
    assert_eq!(keys, of_mx);
}

#[test]
fn control_elsewhere_is_reached_by_a_proof_and_by_files_that_can_be_read() {
    let faults = |control: wire::Control| {
        let mut config = good();
        config.control = Some(control);
        faulty_keys(&config)
    };
    assert_eq!(faults(wire::Control::default()), ["control.address", "control.ca_file", "control.certificate_file"]);
    let half = wire::Control {
        address: "control.tgg.net.id:7411".into(),
        ca_file: "/nonexistent/ca.pem".into(),
        certificate_file: "/nonexistent/edge.pem".into(),
        ..Default::default()
    };
    assert_eq!(faults(half.clone()), ["control.key_file"]);
    let authority = rcgen::generate_simple_self_signed(["control.tgg.net.id".to_owned()]).unwrap();
    let directory = std::env::temp_dir().join(format!("zproxy-config-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let file = |name: &str, holds: &str| {
        let path = directory.join(name);
        std::fs::write(&path, holds).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = wire::Control {
        ca_file: file("ca.pem", &authority.cert.pem()),
        certificate_file: String::new(),
        token_file: file("token", "zproxy_4f2c91d8_x\n"),
        ..half
    };
    assert_eq!(faults(good.clone()), [""; 0]);
    for (holds, what) in [("", "nothing"), ("two words", "a space"), (&*"x".repeat(5000), "a file of another kind")] {
        let bad = wire::Control { token_file: file("bad", holds), ..good.clone() };
        assert_eq!(faults(bad), ["control.token_file"], "{what}");
    }
    let strange = file("strange.key", &rcgen::KeyPair::generate().unwrap().serialize_pem());
    let pair = wire::Control { certificate_file: good.ca_file.clone(), key_file: strange, ..good };
    assert_eq!(faults(pair), ["control.key_file"]);
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn control_in_clear_is_on_this_machine_unless_that_is_said() {
    let mut config = good();
    for (address, open_to_anybody, faults) in [
        ("127.0.0.1:7410", false, &[][..]),
        ("192.0.2.1:7410", false, &["api.address"]),
        ("192.0.2.1:7410", true, &[]),
        ("control.tgg.net.id:7410", true, &["api.address"]),
    ] {
        config.api = Some(wire::Api { address: address.into(), open_to_anybody, ..Default::default() });
        assert_eq!(faulty_keys(&config), faults, "{address} {open_to_anybody}");
    }
}
