//! Heads of requests: judged, identified and forwarded. An octet for the version, a line for method and target, and a
//! field a line.
#![no_main]

use http::request::{Parts, Request};
use http::{HeaderName, HeaderValue, Version};
use zproxy_protocol::http::forward::{Chain, Hops, Onward, origin, request};
use zproxy_protocol::http::identify::{Claim, Says};
use zproxy_protocol::http::target::check;
use zproxy_protocol::http::{LoginForm, Rules, Target, Who, cookies, identify};
use zproxy_protocol::name::MAX_NAME;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some(mut head) = head(data) else { return };
    let claims = ["email", "sub"].map(|name| Claim { name: name.into(), says: Says::Name });
    let forms = vec![LoginForm::roundcube("/"), LoginForm::sogo("/SOGo/")];
    let rules = Rules { bearer: claims.into(), forms, ..Rules::default() };
    match identify(&head, &rules).who {
        Who::AccountId(name) | Who::Name(name) => {
            assert!(name.as_str().len() <= MAX_NAME && !name.as_str().chars().any(char::is_control));
        }
        Who::Cookie(sealed) => {
            assert_eq!(cookies::values(&head.headers, cookies::ROUTE_COOKIE).collect::<Vec<_>>(), [sealed])
        }
        Who::Form(_) | Who::Nobody => {}
    }
    match check(&head, None, |authority| authority.host.as_str() == "a") {
        Ok(target) => forward(&mut head, &target),
        Err(refused) => assert!(refused.status().is_client_error() || refused.status().is_server_error()),
    }
});

fn head(data: &[u8]) -> Option<Parts> {
    let (version, data) = data.split_first()?;
    let version = [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2].get(usize::from(version % 3)).copied()?;
    let mut lines = data.split(|&octet| octet == b'\n');
    let mut line = lines.next()?.splitn(2, |&octet| octet == b' ');
    let head = Request::builder().version(version).method(line.next()?).uri(line.next()?).body(()).ok()?;
    let mut head = head.into_parts().0;
    for line in lines {
        let mut field = line.splitn(2, |&octet| octet == b':');
        let name = HeaderName::from_bytes(field.next()?).ok()?;
        head.headers.append(name, HeaderValue::from_bytes(field.next()?).ok()?);
    }
    Some(head)
}

/// What goes on says who the client is in our words, and has nothing of ours or of the connection.
fn forward(head: &mut Parts, target: &Target) {
    let hops = Hops { is_trusted: &|address| address.is_loopback(), chain: Chain::XForwardedFor, scheme: true };
    let origin = origin(&head.headers, [127, 0, 0, 1].into(), true, &hops);
    let request_id = HeaderValue::from_static("r1");
    let onward = Onward { origin: &origin, authority: target.authority.as_ref(), host: None, request_id: &request_id };
    let loops = head.headers.get_all("cdn-loop").iter().count();
    if request(head, &onward).is_err() {
        return assert!(loops > 0);
    }
    assert!(head.uri.authority().is_none() && head.uri.scheme().is_none());
    assert_eq!(cookies::values(&head.headers, cookies::ROUTE_COOKIE).count(), 0);
    for name in ["x-forwarded-for", "x-real-ip", "x-request-id", "forwarded"] {
        assert_eq!(head.headers.get_all(name).iter().count(), 1, "{name}");
    }
    for name in ["transfer-encoding", "keep-alive", "upgrade", "proxy", "expect", "x_forwarded_for"] {
        assert!(!head.headers.contains_key(name), "{name}");
    }
    assert_eq!(head.headers["x-real-ip"], origin.client.to_string());
    assert!(head.headers.get_all("host").iter().count() <= 1 && head.headers.get_all("cookie").iter().count() <= 1);
}
