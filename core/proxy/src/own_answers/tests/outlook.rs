//! What Outlook and phones ask by Autodiscover.

use super::*;

const MOBILE: &str = "http://schemas.microsoft.com/exchange/autodiscover/mobilesync/responseschema/2006";

#[tokio::test]
async fn outlook_hears_of_the_best_server_of_each_service() {
    let config = config();
    let (status, body) = post(&config.http, "&quot;a&lt;b&quot;@tgg.net.id", OUTLOOK).await;
    assert_eq!(status, 200);
    let told: Vec<_> = body.lines().filter(|line| line.contains("<Type>") || line.contains("<Port>")).collect();
    let expected = [
        "<Type>IMAP</Type>",
        "<Port>993</Port>",
        "<Type>POP3</Type>",
        "<Port>995</Port>",
        "<Type>SMTP</Type>",
        "<Port>587</Port>",
    ];
    assert_eq!(told, expected);
    let encryption: Vec<_> = body.lines().filter(|line| line.starts_with("<Encryption>")).collect();
    assert_eq!(
        encryption,
        ["<Encryption>SSL</Encryption>", "<Encryption>SSL</Encryption>", "<Encryption>TLS</Encryption>"]
    );
    assert_eq!(body.matches("<LoginName>&quot;a&lt;b&quot;@tgg.net.id</LoginName>").count(), 3);
}

#[tokio::test]
async fn phones_are_led_to_active_sync_where_there_is_one() {
    let (_, body) = post(&config().http, "siti@tgg.net.id", MOBILE).await;
    assert!(body.contains("<Url>https://mail.tgg.net.id/Microsoft-Server-ActiveSync</Url>"));
    let autoconfig = wire::Autoconfig { active_sync: false, ..autoconfig() };
    let (without, _) = checked(wire::Http { autoconfig: Some(autoconfig), ..wire::Http::default() }, listeners());
    for schema in [MOBILE, "urn:x"] {
        let (status, body) = post(&without.http, "siti@tgg.net.id", schema).await;
        assert!(status == 200 && body.contains("<ErrorCode>601</ErrorCode>"), "{body}");
    }
}

#[tokio::test]
async fn outlook_is_told_what_it_asked_wrong() {
    let config = config();
    let (status, body) = get(&config.http, "/autodiscover/autodiscover.xml").await.unwrap();
    assert!(status == 200 && body.contains("<ErrorCode>600</ErrorCode>"), "{body}");
    for address in ["", "siti", "&xxe;@tgg.net.id", "a@tgg.net.id</EMailAddress>"] {
        let (status, body) = post(&config.http, address, OUTLOOK).await;
        assert!(status == 200 && body.contains("<ErrorCode>600</ErrorCode>"), "{address}: {body}");
    }
}
