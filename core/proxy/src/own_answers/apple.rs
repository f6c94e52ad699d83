//! Apple's configuration profile: a mail account, and accounts of calendars and address books where there are any.
//! Installed again it replaces itself, for its identifiers are made of what it is for.

use aws_lc_rs::digest::{SHA256, digest};
use zproxy_protocol::smtp::Path;

use super::xml::Xml;
use crate::config::{Autoconfig, MailServer};
use crate::service::Service;

const DOCTYPE: &str = "<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \
                       \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n";

/// The profile of an address.
pub(super) fn profile(autoconfig: &Autoconfig, address: &Path) -> String {
    let account = Account { autoconfig, address: address.as_str() };
    let mut xml = Xml::new(DOCTYPE);
    xml.element("plist", &[("version", "1.0")], |xml| xml.element("dict", &[], |xml| account.profile(xml)));
    xml.finish()
}

struct Account<'a> {
    autoconfig: &'a Autoconfig,
    address: &'a str,
}

impl Account<'_> {
    fn profile(&self, xml: &mut Xml) {
        self.payload(xml, "Configuration", "profile");
        string(xml, "PayloadDescription", self.address);
        xml.text("key", "PayloadContent");
        xml.element("array", &[], |xml| {
            xml.element("dict", &[], |xml| self.mail(xml));
            if let Some(web) = self.autoconfig.server(Service::Http).filter(|_| self.autoconfig.dav) {
                for prefix in ["CalDAV", "CardDAV"] {
                    xml.element("dict", &[], |xml| self.dav(xml, prefix, web));
                }
            }
        });
    }

    fn mail(&self, xml: &mut Xml) {
        self.payload(xml, "com.apple.mail.managed", "mail");
        let (imap, pop3) = (self.autoconfig.server(Service::Imap), self.autoconfig.server(Service::Pop3));
        string(xml, "EmailAccountDescription", &self.autoconfig.name);
        string(xml, "EmailAccountType", if imap.is_some() { "EmailTypeIMAP" } else { "EmailTypePOP" });
        string(xml, "EmailAddress", self.address);
        if let Some(server) = imap.or(pop3) {
            self.server(xml, "Incoming", server);
        }
        if let Some(server) = self.autoconfig.server(Service::Submission) {
            self.server(xml, "Outgoing", server);
            truth(xml, "OutgoingPasswordSameAsIncomingPassword");
        }
    }

    /// Whether TLS begins with the first octet or by STARTTLS, programs find out.
    fn server(&self, xml: &mut Xml, way: &str, server: MailServer) {
        string(xml, &format!("{way}MailServerAuthentication"), "EmailAuthPassword");
        string(xml, &format!("{way}MailServerHostName"), &self.autoconfig.host);
        number(xml, &format!("{way}MailServerPortNumber"), server.port);
        truth(xml, &format!("{way}MailServerUseSSL"));
        string(xml, &format!("{way}MailServerUsername"), self.address);
    }

    fn dav(&self, xml: &mut Xml, prefix: &str, server: MailServer) {
        self.payload(xml, &format!("com.apple.{}.account", prefix.to_ascii_lowercase()), prefix);
        string(xml, &format!("{prefix}AccountDescription"), &self.autoconfig.name);
        string(xml, &format!("{prefix}HostName"), &self.autoconfig.host);
        number(xml, &format!("{prefix}Port"), server.port);
        truth(xml, &format!("{prefix}UseSSL"));
        string(xml, &format!("{prefix}Username"), self.address);
    }

    /// What every payload has.
    fn payload(&self, xml: &mut Xml, kind: &str, part: &str) {
        let uuid = uuid(&[&self.autoconfig.host, self.address, part]);
        let reversed: Vec<_> = self.autoconfig.host.rsplit('.').collect();
        string(xml, "PayloadType", kind);
        number(xml, "PayloadVersion", 1);
        string(xml, "PayloadUUID", &uuid);
        string(xml, "PayloadIdentifier", &format!("{}.{uuid}", reversed.join(".")));
        string(xml, "PayloadDisplayName", &self.autoconfig.name);
        string(xml, "PayloadOrganization", &self.autoconfig.name);
    }
}

fn string(xml: &mut Xml, key: &str, text: &str) {
    xml.text("key", key);
    xml.text("string", text);
}

fn number(xml: &mut Xml, key: &str, number: u16) {
    xml.text("key", key);
    xml.text("integer", &number.to_string());
}

fn truth(xml: &mut Xml, key: &str) {
    xml.text("key", key);
    xml.empty("true");
}

/// The same for the same names: version 8 of a UUID (RFC 9562, section 5.8), by SHA-256.
fn uuid(names: &[&str]) -> String {
    let hash = digest(&SHA256, names.join("\0").as_bytes());
    let mut octets = [0; 16];
    octets.copy_from_slice(&hash.as_ref()[..16]);
    octets[6] = octets[6] & 0x0f | 0x80;
    octets[8] = octets[8] & 0x3f | 0x80;
    let hex: String = octets.iter().map(|octet| format!("{octet:02X}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
