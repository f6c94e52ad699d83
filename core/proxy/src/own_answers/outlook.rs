//! Outlook's Autodiscover in plain XML (MS-OXDSCLI, section 2.2.4), and that of phones for ActiveSync (MS-ASAB).

use zproxy_protocol::smtp::Path;

use super::xml::Xml;
use crate::config::{Autoconfig, MailServer};
use crate::service::Service;

const ROOT: &str = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006";
const OUTLOOK: &str = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a";
const MOBILE_SYNC: &str = "http://schemas.microsoft.com/exchange/autodiscover/mobilesync/responseschema/2006";

/// The servers, the best one of each service: of two Outlook takes the first that it reads.
pub(super) fn servers(autoconfig: &Autoconfig, address: &Path) -> String {
    response(Some(OUTLOOK), |xml| {
        xml.element("User", &[], |xml| xml.text("DisplayName", address.as_str()));
        xml.element("Account", &[], |xml| {
            xml.text("AccountType", "email");
            xml.text("Action", "settings");
            for (service, kind) in [(Service::Imap, "IMAP"), (Service::Pop3, "POP3"), (Service::Submission, "SMTP")] {
                if let Some(server) = autoconfig.server(service) {
                    xml.element("Protocol", &[], |xml| {
                        xml.text("Type", kind);
                        xml.text("Server", &autoconfig.host);
                        protocol(xml, server, address);
                    });
                }
            }
        });
    })
}

fn protocol(xml: &mut Xml, server: MailServer, address: &Path) {
    xml.text("Port", &server.port.to_string());
    xml.text("LoginName", address.as_str());
    xml.text("DomainRequired", "off");
    xml.text("SPA", "off");
    // Who does not know `Encryption`, which outranks it, shall fail by a handshake rather than send a password in clear.
    xml.text("SSL", "on");
    xml.text("Encryption", if server.implicit_tls { "SSL" } else { "TLS" });
    xml.text("AuthRequired", "on");
    if server.service == Service::Submission {
        xml.text("UsePOPAuth", "on");
        xml.text("SMTPLast", "off");
    }
}

/// Where ActiveSync is.
pub(super) fn active_sync(autoconfig: &Autoconfig, address: &Path) -> String {
    let url = format!("{}/Microsoft-Server-ActiveSync", super::https(autoconfig).unwrap_or_default());
    response(Some(MOBILE_SYNC), |xml| {
        xml.text("Culture", "en:us");
        xml.element("User", &[], |xml| {
            xml.text("DisplayName", address.as_str());
            xml.text("EMailAddress", address.as_str());
        });
        xml.element("Action", &[], |xml| {
            xml.element("Settings", &[], |xml| {
                xml.element("Server", &[], |xml| {
                    xml.text("Type", "MobileSync");
                    xml.text("Url", &url);
                    xml.text("Name", &url);
                });
            });
        });
    })
}

/// As Exchange says it to who names nobody: by a browser one sees so that Autodiscover is there.
pub(super) fn invalid_request() -> String {
    error(600, "Invalid Request")
}

/// To who asks for what we do not have.
pub(super) fn no_provider() -> String {
    error(601, "Provider is not available")
}

fn error(code: u16, message: &str) -> String {
    response(None, |xml| {
        xml.element("Error", &[], |xml| {
            xml.text("ErrorCode", &code.to_string());
            xml.text("Message", message);
            xml.empty("DebugData");
        });
    })
}

fn response(schema: Option<&str>, inside: impl FnOnce(&mut Xml)) -> String {
    let mut xml = Xml::new("");
    let schema = schema.map(|schema| ("xmlns", schema));
    xml.element("Autodiscover", &[("xmlns", ROOT)], |xml| xml.element("Response", schema.as_slice(), inside));
    xml.finish()
}
