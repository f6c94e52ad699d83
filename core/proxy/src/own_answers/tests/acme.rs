//! Challenges: which files are answers, and which are nobody's.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use http::Request;

use super::*;

/// A directory that is gone with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("zproxy-acme-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn config(&self) -> (Config, Vec<String>) {
        let from = wire::acme::From::Directory(self.0.to_str().unwrap().to_owned());
        let acme = wire::Acme { from: Some(from) };
        checked(wire::Http { acme: Some(acme), ..wire::Http::default() }, listeners())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[tokio::test]
async fn a_challenge_is_a_file_of_the_directory_and_of_no_other() {
    let directory = Directory::new("files");
    let (config, faults) = directory.config();
    assert_eq!(faults, [""; 0]);
    let file = |name: &str| directory.0.join(name);
    let token = "A-z_".repeat(32);
    fs::write(file(&token), "token.thumbprint\n").unwrap();
    fs::write(file("secret.key"), "x").unwrap();
    fs::write(file("full"), vec![b'x'; 16 << 10]).unwrap();
    fs::write(file("long"), vec![b'x'; (16 << 10) + 1]).unwrap();
    fs::create_dir(file("directory")).unwrap();
    symlink("secret.key", file("link")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, file("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let table = [
        (token.as_str(), 200),
        ("full", 200),
        ("long", 404),
        ("directory", 404),
        ("link", 404),
        ("pipe", 404),
        ("none", 404),
        ("", 404),
        ("secret.key", 404),
        ("..", 404),
        ("../../etc/passwd", 404),
        ("%2e%2e", 404),
        ("full%00", 404),
        ("directory/", 404),
    ];
    for (name, status) in table {
        let path = format!("/.well-known/acme-challenge/{name}");
        for is_secure in [true, false] {
            let answer = ask(&config.http, is_secure, Request::get(&path).body("").unwrap()).await.unwrap();
            assert_eq!(answer.status().as_u16(), status, "{name}");
        }
    }
    let answer = get(&config.http, &format!("/.well-known/acme-challenge/{token}")).await;
    assert_eq!(answer, Some((200, "token.thumbprint\n".to_owned())));
    assert_eq!(get(&config.http, &format!("/.well-known/acme-challenge/{token}A")).await.unwrap().0, 404);
    let head = Request::head(format!("/.well-known/acme-challenge/{token}")).body("").unwrap();
    let answer = ask(&config.http, false, head).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()[CONTENT_LENGTH].as_bytes()), (200, &b"17"[..]));
    let post = Request::post("/.well-known/acme-challenge/full").body("").unwrap();
    assert_eq!(ask(&config.http, false, post).await.unwrap().status().as_u16(), 405);
}

#[test]
fn a_directory_that_is_not_there_is_a_fault_of_the_config() {
    let directory = Directory::new("gone");
    fs::remove_dir(&directory.0).unwrap();
    let (_, faults) = directory.config();
    fs::create_dir(&directory.0).unwrap();
    assert!(faults.len() == 1 && faults[0].starts_with("http.acme.directory: "), "{faults:?}");
}

#[test]
fn a_backend_that_answers_challenges_serves_no_other_path_to_all() {
    let from = wire::acme::From::Backend("mbox-1".to_owned());
    let http = wire::Http { acme: Some(wire::Acme { from: Some(from) }), ..wire::Http::default() };
    let (config, faults) = checked(http, listeners());
    assert_eq!(faults, [""; 0]);
    let is_acmes = |name: &str| config.http.host_of_path(&format!("/.well-known/acme-challenge/{name}")).is_some();
    assert!(is_acmes("A-z_09"));
    for name in ["", "../../admin", "..", "%2e%2e/%2e%2e/admin", "x/../../admin", "x;y", "x/", "a.b", &"x".repeat(129)]
    {
        assert!(!is_acmes(name), "{name}");
    }
}
