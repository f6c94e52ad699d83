//! The hidden fields of a login page: the page of a backend, so it is not hostile, but it may be broken, and what can
//! be made of it is taken.

use super::LoginForm;
use super::html::Tags;

/// Octets of a page that are read. A login page has some ten thousand.
pub const MAX_PAGE: usize = 256 * 1024;

/// The values of a rule's hidden fields on a login page: those of the form with the login field, or else of the first
/// form with any of them. Of two of one name the first counts.
#[must_use]
pub fn hidden(page: &[u8], rule: &LoginForm) -> Vec<(Box<str>, Vec<u8>)> {
    let inputs = inputs(page.get(..MAX_PAGE).unwrap_or(page), rule);
    let login = inputs.iter().find(|input| input.name == rule.field);
    let Some(form) = login.or(inputs.first()).map(|input| input.form) else { return Vec::new() };
    let mut found: Vec<(Box<str>, Vec<u8>)> = Vec::new();
    for input in inputs.into_iter().filter(|input| input.form == form && rule.hidden.contains(&input.name)) {
        if found.iter().all(|(name, _)| *name != input.name) {
            found.push((input.name, input.value));
        }
    }
    found
}

/// An input that the rule names.
struct Input {
    /// Which form it is in; nought: none.
    form: usize,
    name: Box<str>,
    value: Vec<u8>,
}

fn inputs(page: &[u8], rule: &LoginForm) -> Vec<Input> {
    let (mut inputs, mut form, mut forms) = (Vec::new(), 0, 0_usize);
    for tag in Tags(page) {
        match tag.element.as_slice() {
            // A form within a form is none.
            b"form" if form == 0 => {
                forms = forms.saturating_add(1);
                form = forms;
            }
            b"/form" => form = 0,
            b"input" => {
                let name = std::str::from_utf8(&tag.name).unwrap_or_default();
                if *rule.field == *name || rule.hidden.iter().any(|hidden| **hidden == *name) {
                    inputs.push(Input { form, name: name.into(), value: tag.value });
                }
            }
            _ => {}
        }
    }
    inputs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(page: &str) -> Vec<String> {
        let mut rule = LoginForm::roundcube("/");
        rule.hidden.push("_url".into());
        let found = hidden(page.as_bytes(), &rule).into_iter();
        found.map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(&value))).collect()
    }

    #[test]
    fn roundcubes_page_has_its_token() {
        let page = r#"<!DOCTYPE html><html><head><script>var t = "<input name='_token' value='x'>";</script></head><body>
            <form id="login-form" name="login-form" method="post" class="propform" action="/?_task=login">
            <input type="hidden" name="_token" value="Zz1&amp;k">
            <input type="hidden" name="_task" value="login"><input type="hidden" name="_action" value="login">
            <input type="hidden" name="_url" id="rcmloginurl"><table><tbody><tr><td class="input">
            <input name="_user" id="rcmloginuser" required size="40" class="form-control" autocapitalize="none" type="text">
            </td></tr></tbody></table></form></body></html>"#;
        assert_eq!(read(page), ["_token=Zz1&k", "_url="]);
    }

    #[test]
    fn the_form_with_the_login_field_is_the_one() {
        let token = |value: &str| format!("<input name=_token value={value}>");
        let page = format!("<form>{}</form><form>{}<input name=_user></form>", token("search"), token("login"));
        assert_eq!(read(&page), ["_token=login"]);
        assert_eq!(read(&format!("<form>{}</form><form>{}</form>", token("a"), token("b"))), ["_token=a"]);
        assert_eq!(read(&format!("<form>{}{}", token("a"), token("b"))), ["_token=a"]);
        assert_eq!(read(&format!("{}<form><input name=_user></form>", token("a"))), [""; 0]);
        assert_eq!(read("<form><input name=_user></form>"), [""; 0]);
        assert_eq!(read(""), [""; 0]);
    }

    #[test]
    fn a_page_is_read_to_its_bound() {
        let page = |before: usize| format!("{}<input name=_token value=a>", " ".repeat(before));
        assert_eq!(read(&page(MAX_PAGE - 64)), ["_token=a"]);
        assert_eq!(read(&page(MAX_PAGE)), [""; 0]);
    }
}
