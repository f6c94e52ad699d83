//! Login forms: whom they name, and how they are filled again.

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use proptest::prelude::*;
use zproxy_protocol::http::LoginForm;
use zproxy_protocol::http::forms::{Body, Encoding, NoName, NoRefill, hidden};
use zproxy_protocol::name::BadName;

const URLENCODED: &str = "application/x-www-form-urlencoded; charset=UTF-8";
const MULTIPART: &str = "multipart/form-data; boundary=----WebKitFormBoundaryx7";
const JSON: &str = "application/json";

fn headers(media_type: &str) -> HeaderMap {
    [(CONTENT_TYPE, media_type.parse().unwrap())].into_iter().collect()
}

fn name(form: &LoginForm, media_type: &str, body: &str) -> Result<String, NoName> {
    // As it may come: an octet at a time.
    let mut held = Body::new();
    for octet in body.as_bytes() {
        held.push(&[*octet]).unwrap();
    }
    form.name(&headers(media_type), held.as_slice()).map(|name| name.as_str().to_owned())
}

fn refill(form: &LoginForm, media_type: &str, body: &str, token: &str) -> Result<String, NoRefill> {
    let fresh = form.hidden.iter().map(|name| (name.clone(), token.as_bytes().to_vec())).collect::<Vec<_>>();
    let filled = form.refill(&headers(media_type), body.as_bytes(), &fresh)?;
    Ok(String::from_utf8(filled.as_slice().to_vec()).unwrap())
}

/// A form in another encoding.
fn as_multipart(form: LoginForm) -> LoginForm {
    LoginForm { encoding: Encoding::Multipart, ..form }
}

fn multipart(fields: &[(&str, &str)]) -> String {
    let part = |(name, value): &(&str, &str)| {
        format!("------WebKitFormBoundaryx7\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let parts: String = fields.iter().map(part).collect();
    parts + "------WebKitFormBoundaryx7--\r\n"
}

const LOGIN: &str =
    "_token=old&_task=login&_action=login&_timezone=Asia%2FJakarta&_url=&_user=siti%40tgg.net.id&_pass=d%26%3Dmo";

#[test]
fn roundcubes_login_names_its_user() {
    let form = LoginForm::roundcube("/");
    let table = [
        (LOGIN, Ok("siti@tgg.net.id")),
        ("_task=login&_action=login&_user=siti+&_pass=x", Ok("siti")),
        ("_task=login&_action=login&%5fuser=%C3%A9lise", Ok("élise")),
        ("_task=login&_action=login&_user=siti&_user=budi", Err(NoName::Doubled)),
        ("_task=login&_action=login&_user=siti&%5Fuser=siti", Err(NoName::Doubled)),
        ("_task=login&_action=login&_user=", Err(NoName::Name(BadName::Empty))),
        ("_task=login&_action=login&_user", Err(NoName::Name(BadName::Empty))),
        ("_task=login&_action=login&_user=a%0d%0ab", Err(NoName::Name(BadName::Control))),
        ("_task=login&_action=login&_user=%ff", Err(NoName::Name(BadName::Utf8))),
        ("_task=login&_action=login&_user=%f", Err(NoName::Unreadable)),
        ("_task=login&_action=login&user=siti", Err(NoName::Missing)),
        ("_task=mail&_action=login&_user=siti", Err(NoName::Other)),
        ("_task=login&_task=login&_action=login&_user=siti", Err(NoName::Other)),
        ("_action=login&_user=siti", Err(NoName::Other)),
        ("", Err(NoName::Other)),
    ];
    for (body, expected) in table {
        assert_eq!(name(&form, URLENCODED, body), expected.map(str::to_owned), "{body}");
    }
    assert_eq!(name(&form, JSON, LOGIN), Err(NoName::Unreadable));
}

#[test]
fn scripts_post_json() {
    let sogo = LoginForm::sogo("/SOGo/");
    assert_eq!((&*sogo.path, &*sogo.page), ("/SOGo/connect", "/SOGo/"));
    let snappymail = LoginForm::snappymail("/");
    let table = [
        (&sogo, r#"{"userName":"siti","password":"demo","rememberLogin":0}"#, Ok("siti")),
        (&sogo, r#"{ "password" : "{\"userName\":1}", "userName" : "s\u0069ti@tgg.net.id" }"#, Ok("siti@tgg.net.id")),
        (&sogo, r#"{"userName":"siti","userName":"budi"}"#, Err(NoName::Doubled)),
        (&sogo, r#"{"userName":"siti","user\u004eame":"siti"}"#, Err(NoName::Doubled)),
        (&sogo, r#"{"userName":1}"#, Err(NoName::Unreadable)),
        (&sogo, r#"{"userName":"a\nb"}"#, Err(NoName::Name(BadName::Control))),
        (&sogo, r#"{"x":{"userName":"siti"}}"#, Err(NoName::Missing)),
        (&sogo, r#"[{"userName":"siti"}]"#, Err(NoName::Unreadable)),
        (&sogo, "userName=siti", Err(NoName::Unreadable)),
        (
            &snappymail,
            r#"{"Email":"siti@tgg.net.id","Password":"demo","Action":"Login","XToken":"t"}"#,
            Ok("siti@tgg.net.id"),
        ),
        (&snappymail, r#"{"Email":"siti@tgg.net.id","Action":"AccountSetup"}"#, Err(NoName::Other)),
    ];
    for (form, body, expected) in table {
        assert_eq!(name(form, JSON, body), expected.map(str::to_owned), "{body}");
    }
}

#[test]
fn a_form_in_parts_names_its_user() {
    let horde = as_multipart(LoginForm::horde("/horde/"));
    let login = |fields: &[(&str, &str)]| name(&horde, MULTIPART, &multipart(fields));
    assert_eq!(login(&[("login_post", "1"), ("horde_user", "siti"), ("horde_pass", "a\r\nb")]).as_deref(), Ok("siti"));
    assert_eq!(login(&[("horde_user", "siti"), ("horde_user", "budi")]), Err(NoName::Doubled));
    assert_eq!(login(&[("horde_user\"; filename=\"x", "siti")]), Err(NoName::Missing));
    assert_eq!(login(&[]), Err(NoName::Missing));
    let whole = multipart(&[("horde_user", "siti")]);
    for end in 0..whole.len() - 2 {
        assert_eq!(name(&horde, MULTIPART, &whole[..end]), Err(NoName::Unreadable), "{end} octets");
    }
}

#[test]
fn a_login_is_filled_again_and_nothing_else_changes() {
    let form = LoginForm::roundcube("/");
    let page = b"<form><input type=hidden name=_token value=\"n&amp;w\"><input name=_user></form>";
    let fresh = hidden(page, &form);
    let filled = form.refill(&headers(URLENCODED), LOGIN.as_bytes(), &fresh).unwrap();
    assert_eq!(filled.as_slice(), LOGIN.replace("_token=old", "_token=n%26w").as_bytes());

    let fields = |token| multipart(&[("_user", "siti"), ("_token", token), ("_pass", "_token=old")]);
    let filled = refill(&as_multipart(form.clone()), MULTIPART, &fields("old"), "new");
    assert_eq!(filled.as_deref(), Ok(fields("new").as_str()));

    let script = LoginForm { hidden: vec!["token".into(), "b".into()], ..LoginForm::sogo("/") };
    let filled = refill(&script, JSON, r#"{ "b":"", "userName" : "x", "token":"old" , "n":1.0 }"#, "n\"w");
    assert_eq!(filled.as_deref(), Ok(r#"{ "b":"n\"w", "userName" : "x", "token":"n\"w" , "n":1.0 }"#));
}

#[test]
fn a_login_that_cannot_be_filled_again_stays_as_it_is() {
    let form = LoginForm::roundcube("/");
    let nothing = form.refill(&headers(URLENCODED), LOGIN.as_bytes(), &[]).err();
    assert_eq!(nothing, Some(NoRefill::NotOnPage));
    let table = [
        (&form, URLENCODED, "_user=siti", "t", Ok("_user=siti")),
        (&form, URLENCODED, "_token=a&_token=a", "t", Err(NoRefill::Body(NoName::Doubled))),
        (&form, URLENCODED, "_token=a&%", "t", Err(NoRefill::Body(NoName::Unreadable))),
        (&form, JSON, "{}", "t", Err(NoRefill::Body(NoName::Unreadable))),
        (&as_multipart(form.clone()), MULTIPART, &multipart(&[("_token", "a")]), "a\r\nb", Err(NoRefill::Unwritable)),
    ];
    for (form, media_type, body, token, expected) in table {
        assert_eq!(refill(form, media_type, body, token), expected.map(str::to_owned), "{body}");
    }
    let long = "x".repeat(65_536);
    assert_eq!(refill(&form, URLENCODED, LOGIN, &long), Err(NoRefill::Unwritable));
}

proptest! {
    #[test]
    fn a_token_is_read_back_whatever_it_is(user in "[a-z]{1,9}", token in "\\PC{0,30}") {
        let urlencoded = LoginForm::horde("/");
        let json = LoginForm { encoding: Encoding::Json, ..urlencoded.clone() };
        let bodies = [
            (&urlencoded, URLENCODED, format!("t=old&horde_user={user}&x=1")),
            (&json, JSON, format!(r#"{{"t":"old","horde_user":"{user}","x":1}}"#)),
            (&as_multipart(urlencoded.clone()), MULTIPART, multipart(&[("t", "old"), ("horde_user", &user)])),
        ];
        for (form, media_type, body) in bodies {
            let form = LoginForm { hidden: vec!["t".into()], ..form.clone() };
            let filled = refill(&form, media_type, &body, &token).unwrap();
            prop_assert_eq!(name(&form, media_type, &filled), Ok(user.clone()));
            // The field itself is a name, where the token is one.
            let token_form = LoginForm { field: "t".into(), ..form };
            let expected = zproxy_protocol::Name::new(token.trim_matches([' ', '\t']).as_bytes());
            let read = name(&token_form, media_type, &filled);
            prop_assert_eq!(read, expected.map(|name| name.as_str().to_owned()).map_err(NoName::Name));
        }
    }
}
