//! A login form: its field says where to, and where the form was made by another server than the user's own, the user's
//! own is asked for one of its own first.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;
use zproxy_protocol::Name;
use zproxy_protocol::http::forms::{self, Body, MAX_PAGE, Maker, set_cookies};
use zproxy_protocol::http::identify::remembered;
use zproxy_protocol::http::{LoginForm, Way};

use super::answer::Used;
use super::exchange::{Asked, Outcome};
use super::record::RequestRecord;
use super::upload::{self, Seen, Upload};
use super::whose::Whose;
use crate::Error;
use crate::pool::{BackendMark, Candidate};
use crate::route_cookie::Memory;

/// A body that was read for a name.
enum Read {
    Whole(Body),
    /// It is longer than any login.
    Long(Upload),
}

/// A login at another server than the one that made its form.
struct Renewed {
    body: Body,
    /// What the page sets, for the post and for the client.
    page: HeaderMap,
    candidate: Candidate,
}

impl Asked<'_> {
    /// Sends a form to the server of the user it names, and makes the browser remember.
    pub(super) async fn log_in(
        &self,
        form: &LoginForm,
        head: &mut Parts,
        body: Incoming,
        record: &mut RequestRecord,
    ) -> Result<Outcome, Error> {
        let (upload, seen) = Upload::new(body, self.connection.upload_terms());
        record.upload(&seen);
        let body = match read(upload, &seen).await? {
            Read::Whole(body) => body,
            Read::Long(upload) => return self.send_unread(head, (upload, seen), record).await,
        };
        let maker = self.maker(&head.headers);
        let name = form.name(&head.headers, body.as_slice());
        // By a stranger's page a browser would forget where its user is logged in.
        let Some(name) = name.ok().filter(|_| maker != Maker::Stranger) else {
            return self.send_unread(head, (whole(body), seen), record).await;
        };
        let whose = self.account(&name).await?;
        if let Whose::Account(route) = &whose {
            record.account(&route.account);
        }
        let candidates = self.candidates_of(&whose, &name).await?;
        record.way(Way::Form);
        let makers = self.makers(head).await?;
        record.routed();
        let patience = self.patience(false);
        let is_made_there = match (makers.first(), candidates.first()) {
            (Some(maker), Some(own)) => maker.backend.name == own.backend.name,
            _ => true,
        };
        if is_made_there || self.host.shared_sessions {
            let outcome = self.ask(head, (whole(body), seen), &candidates, patience, record).await?;
            return Ok(self.learned(outcome, &name, &whose));
        }
        if maker != Maker::Own {
            return self.ask(head, (whole(body), seen), &makers, patience, record).await;
        }
        match self.renew(form, head, &body, &candidates, record).await? {
            Some(renewed) => {
                let outcome = self.post(head, renewed, seen, record).await?;
                Ok(self.learned(outcome, &name, &whose))
            }
            None => self.ask(head, (whole(body), seen), &makers, patience, record).await,
        }
    }

    /// A form that teaches nothing goes where everything else of this browser does.
    async fn send_unread(
        &self,
        head: &mut Parts,
        body: (Upload, Rc<Seen>),
        record: &mut RequestRecord,
    ) -> Result<Outcome, Error> {
        let (who, way) = remembered(&head.headers, &self.host.rules);
        record.way(way);
        let place = self.place(&who, record).await?;
        let candidates = self.candidates(&place).await?;
        record.routed();
        self.ask(head, body, &candidates, self.patience(false), record).await
    }

    /// Where the page with the form came from: it was asked for as all else is that names nobody.
    async fn makers(&self, head: &Parts) -> Result<Vec<Candidate>, Error> {
        let (who, _) = remembered(&head.headers, &self.host.rules);
        self.candidates(&self.look_up(&who).await?).await
    }

    /// Whose page the form was on.
    fn maker(&self, headers: &HeaderMap) -> Maker {
        let authority = self.target.authority.as_ref();
        authority.map_or(Maker::Unsaid, |authority| forms::maker(headers, authority, self.origin.https))
    }

    /// Gets the login page from the user's own server and fills the form in anew. None: its page is not such a form's.
    async fn renew(
        &self,
        form: &LoginForm,
        head: &Parts,
        body: &Body,
        candidates: &[Candidate],
        record: &mut RequestRecord,
    ) -> Result<Option<Renewed>, Error> {
        let Some(page) = page_head(form, head) else { return Ok(None) };
        let (response, used) = self.call(page, upload::nothing(), candidates, self.patience(false), record).await?;
        if response.status() != StatusCode::OK {
            return Ok(None);
        }
        let (page, content) = response.into_parts();
        let candidate = used.candidate.clone();
        let text = self.read_page(content, used).await?;
        let fresh = forms::hidden(&text, form);
        let refilled = form.refill(&head.headers, body.as_slice(), &fresh).ok();
        Ok(refilled.map(|body| Renewed { body, page: page.headers, candidate }))
    }

    async fn read_page(&self, mut content: Incoming, used: Used) -> Result<Vec<u8>, Error> {
        let reading = async {
            let mut text = Vec::new();
            while let Some(frame) = poll_fn(|cx| Pin::new(&mut content).poll_frame(cx)).await {
                let frame = frame.map_err(|error| super::send::fault(&error, "login page"))?;
                text.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
                if text.len() > MAX_PAGE {
                    return Ok(text);
                }
            }
            used.give_back();
            Ok(text)
        };
        let patience = self.patience(false);
        tokio::time::timeout(patience, reading).await.unwrap_or(Err(Error::BackendTimeout("login page")))
    }

    /// Posts a form that was filled in anew, and gives the client both answers' cookies.
    async fn post(
        &self,
        head: &mut Parts,
        renewed: Renewed,
        seen: Rc<Seen>,
        record: &mut RequestRecord,
    ) -> Result<Outcome, Error> {
        let Renewed { body, page, candidate } = renewed;
        match set_cookies::request(&head.headers, &page) {
            Some(cookies) => head.headers.insert(header::COOKIE, cookies),
            None => head.headers.remove(header::COOKIE),
        };
        head.headers.remove(header::CONTENT_LENGTH);
        let taken = std::mem::replace(head, http::Request::new(()).into_parts().0);
        let patience = self.patience(false);
        let (mut response, used) = self.call(taken, (whole(body), seen), &[candidate], patience, record).await?;
        set_cookies::merge(&page, response.headers_mut());
        Ok(self.outcome(response, used, patience))
    }

    /// Makes the browser remember where its user lives; for a name that nobody has, where it was told so.
    fn learned(&self, mut outcome: Outcome, name: &Name, whose: &Whose) -> Outcome {
        if let (Outcome::Backend(response, used, _), Some(host)) = (&mut outcome, self.name())
            && self.host.rules.route_cookie
        {
            let account = match whose {
                Whose::Account(route) => Name::new(route.account.as_bytes()).ok(),
                Whose::Nobody => None,
            };
            let backend = BackendMark::of(&used.candidate.backend.name);
            let memory = Memory { name: account.unwrap_or_else(|| name.clone()), backend };
            if let Some(cookie) = self.connection.shared.route_cookies.seal(host, &memory) {
                response.headers_mut().append(header::SET_COOKIE, cookie);
            }
        }
        outcome
    }
}

/// Reads a body for as long as it may be a login's.
async fn read(mut upload: Upload, seen: &Seen) -> Result<Read, Error> {
    let mut body = Body::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut upload).poll_frame(cx)).await {
        let Ok(data) = frame?.into_data() else { continue };
        if body.push(&data).is_err() {
            return Ok(Read::Long(upload.after([Bytes::from_owner(body), data])));
        }
    }
    seen.end();
    Ok(Read::Whole(body))
}

/// It is wiped when the backend has it.
fn whole(body: Body) -> Upload {
    Upload::Whole(Some(Bytes::from_owner(body)).filter(|body| !body.is_empty()))
}

/// What a browser says of itself, and nothing that is about its post or its sessions.
const OF_BROWSER: [HeaderName; 2] = [header::ACCEPT_LANGUAGE, header::USER_AGENT];

/// Asks for the page with the form, as a browser does that was never there.
fn page_head(form: &LoginForm, head: &Parts) -> Option<Parts> {
    let mut page = http::Request::new(()).into_parts().0;
    page.method = Method::GET;
    page.uri = form.page.parse().ok()?;
    for name in OF_BROWSER {
        if let Some(value) = head.headers.get(&name) {
            page.headers.insert(name, value.clone());
        }
    }
    page.headers.insert(header::ACCEPT, HeaderValue::from_static("text/html, */*;q=0.8"));
    Some(page)
}
