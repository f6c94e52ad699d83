//! Mozilla's config (version 1.1 of its file format), which Thunderbird, Evolution, KMail and K-9 read. Calendars and
//! address books they find by RFC 6764; the format's elements for them still change names.

use super::xml::Xml;
use crate::config::{Autoconfig, MailServer};
use crate::service::Service;

/// The servers, for a domain. Programs put the address in by themselves.
pub(super) fn config(autoconfig: &Autoconfig, domain: &str) -> String {
    let mut xml = Xml::new("");
    xml.element("clientConfig", &[("version", "1.1")], |xml| {
        xml.element("emailProvider", &[("id", &autoconfig.host)], |xml| {
            xml.text("domain", &domain.to_ascii_lowercase());
            xml.text("displayName", &autoconfig.name);
            xml.text("displayShortName", &autoconfig.name);
            for mail in &autoconfig.servers {
                let (element, kind) = match mail.service {
                    Service::Imap => ("incomingServer", "imap"),
                    Service::Pop3 => ("incomingServer", "pop3"),
                    Service::Submission => ("outgoingServer", "smtp"),
                    _ => continue,
                };
                xml.element(element, &[("type", kind)], |xml| server(xml, &autoconfig.host, *mail));
            }
        });
    });
    xml.finish()
}

fn server(xml: &mut Xml, host: &str, server: MailServer) {
    xml.text("hostname", host);
    xml.text("port", &server.port.to_string());
    xml.text("socketType", if server.implicit_tls { "SSL" } else { "STARTTLS" });
    xml.text("authentication", "password-cleartext");
    xml.text("username", "%EMAILADDRESS%");
}
