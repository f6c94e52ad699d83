//! What every mail protocol asks of octets that are meant to be text.

/// Whether a line begins like a request of HTTP: a browser was made to talk to a mail port (ALPACA). Methods are
/// case-sensitive (RFC 9110, section 9.1), and no mail client begins a line so.
pub(crate) fn is_http(line: &[u8]) -> bool {
    const METHODS: [&[u8]; 10] =
        [b"CONNECT ", b"DELETE ", b"GET ", b"HEAD ", b"OPTIONS ", b"PATCH ", b"POST ", b"PRI * ", b"PUT ", b"TRACE "];
    METHODS.iter().any(|method| line.starts_with(method))
}

/// The printable ASCII of a text for people, `most` octets of it at most.
pub(crate) fn printable(text: &[u8], most: usize) -> String {
    text.iter().copied().filter(|&octet| is_printable(octet)).take(most).map(char::from).collect()
}

/// Whether an octet is a space or visible ASCII.
pub(crate) fn is_printable(octet: u8) -> bool {
    octet == b' ' || octet.is_ascii_graphic()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printable_text_has_no_control_and_an_end() {
        assert_eq!(printable(b"a\r\nb\xc3\xa9c", 80), "abc");
        assert_eq!(printable(&[b'x'; 300], 200).len(), 200);
    }

    #[test]
    fn a_request_of_http_is_known_by_its_method() {
        assert!(is_http(b"GET / HTTP/1.1\r\n") && is_http(b"PRI * HTTP/2.0"));
        assert!(!is_http(b"get / HTTP/1.1\r\n") && !is_http(b"GET") && !is_http(b"GETS "));
    }
}
