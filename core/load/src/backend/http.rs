//! HTTP/1.1: `GET /20m` answers with a body of that size, POST and PUT with the checksum of what they brought.
//!
//! Who asks is whom Basic names. Bodies come with Content-Length, as proxies send what came with one.

use memchr::memmem;

use super::{Conversation, Out, Turn, decoded, text};
use crate::body::Body;

/// One connection.
#[derive(Default)]
pub(super) struct Http(State);

/// What comes next.
#[derive(Default)]
enum State {
    #[default]
    Head,
    /// The rest of a body.
    Upload(Upload),
}

/// What is known of a body while it comes.
struct Upload {
    octets: usize,
    left: usize,
    checksum: crc32fast::Hasher,
    close: bool,
}

impl Conversation for Http {
    /// Clients speak first.
    const GREETING: &'static [u8] = b"";

    fn advance(&mut self, input: &mut Vec<u8>, out: &mut Out) -> Turn {
        loop {
            let close = match std::mem::take(&mut self.0) {
                State::Head => {
                    let Some(end) = memmem::find(input, b"\r\n\r\n") else { return Turn::More };
                    let head: Vec<u8> = input.drain(..end + 4).take(end).collect();
                    self.request(Head::read(&head), out)
                }
                State::Upload(mut upload) => {
                    let taken = upload.left.min(input.len());
                    upload.checksum.update(&input[..taken]);
                    input.drain(..taken);
                    upload.left -= taken;
                    if upload.left > 0 {
                        self.0 = State::Upload(upload);
                        return Turn::More;
                    }
                    out.moved(upload.octets);
                    answer(out, "200 OK", &format!("{:08x}\n", upload.checksum.finalize()));
                    upload.close
                }
            };
            if close {
                return Turn::Close;
            }
        }
    }
}

impl Http {
    /// Does what a head asks for, or begins to; says whether the connection ends with it.
    fn request(&mut self, head: Head, out: &mut Out) -> bool {
        if let Some(account) = head.account {
            out.logged_in(account);
        }
        match (head.method.as_str(), head.length) {
            ("GET" | "HEAD", None | Some(0)) => match head.target.trim_start_matches('/').parse() {
                Ok(body) => page(out, body, head.method == "GET"),
                Err(_) => answer(out, "404 Not Found", "/1k and other sizes are here\n"),
            },
            ("POST" | "PUT", Some(octets)) => {
                if head.expects {
                    out.say(b"HTTP/1.1 100 Continue\r\n\r\n");
                }
                let checksum = crc32fast::Hasher::new();
                self.0 = State::Upload(Upload { octets, left: octets, checksum, close: head.close });
                return false;
            }
            ("POST" | "PUT", None) => {
                answer(out, "411 Length Required", "");
                return true;
            }
            _ => {
                answer(out, "501 Not Implemented", "");
                return true;
            }
        }
        head.close
    }
}

/// What counts of a request's head.
#[derive(Default)]
struct Head {
    method: String,
    target: String,
    /// Of the body; none: nothing is said.
    length: Option<usize>,
    account: Option<String>,
    expects: bool,
    close: bool,
}

impl Head {
    fn read(head: &[u8]) -> Self {
        let head = text(head);
        let mut lines = head.split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
        let mut read = Self {
            method: words.next().unwrap_or_default(),
            target: words.next().unwrap_or_default(),
            ..Self::default()
        };
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "authorization" => read.account = basic_account(value),
                "connection" => read.close = value.eq_ignore_ascii_case("close"),
                "content-length" => read.length = value.parse::<u32>().ok().map(|length| length as usize),
                "expect" => read.expects = true,
                _ => {}
            }
        }
        read
    }
}

fn basic_account(credentials: &str) -> Option<String> {
    let credentials = text(&decoded(credentials.strip_prefix("Basic ")?.as_bytes())?);
    Some(credentials.split_once(':')?.0.to_owned())
}

fn page(out: &mut Out, body: Body, whole: bool) {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", body.len());
    out.say(head.as_bytes());
    if whole {
        out.body(body);
    }
}

fn answer(out: &mut Out, status: &str, said: &str) {
    let length = said.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{said}");
    out.say(head.as_bytes());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::link::converse;
    use super::*;

    #[test]
    fn answers_with_a_body_of_the_size_that_the_path_says() {
        let (said, counts) = converse::<Http>(b"GET /1k HTTP/1.1\r\nHost: a\r\n\r\nHEAD /20m HTTP/1.1\r\n\r\n");
        let (head, rest) = said.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("Content-Length: 1000"), "{head}");
        assert_eq!(crc32fast::hash(&rest.as_bytes()[..1000]), Body::from(1000).checksum());
        assert!(rest[1000..].starts_with("HTTP/1.1 200 OK\r\n") && rest.ends_with("Content-Length: 20000000\r\n\r\n"));
        assert_eq!((&counts["messages"], &counts["octets"]), (&json!(1), &json!(1000)));
    }

    #[test]
    fn answers_an_upload_with_its_checksum() {
        let (said, counts) =
            converse::<Http>(b"PUT /a HTTP/1.1\r\nContent-Length: 9\r\n\r\n123456789GET /0 HTTP/1.1\r\n\r\n");
        assert!(said.contains("\r\n\r\ncbf43926\nHTTP/1.1 200 OK\r\n"), "{said}");
        assert_eq!(counts["octets"], json!(9));
    }

    #[test]
    fn lets_who_asks_first_go_on_and_takes_no_body_of_unsaid_length() {
        let (said, _) = converse::<Http>(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n");
        assert_eq!(said, "HTTP/1.1 100 Continue\r\n\r\n");
        let (said, _) = converse::<Http>(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
        assert!(said.starts_with("HTTP/1.1 411 "), "{said}");
    }

    #[test]
    fn counts_whom_basic_names() {
        let request = b"GET /1 HTTP/1.1\r\nAuthorization: Basic c2l0aTpkZW1v\r\n\r\n";
        assert_eq!(converse::<Http>(request).1["accounts"], json!({"siti": 1}));
    }
}
