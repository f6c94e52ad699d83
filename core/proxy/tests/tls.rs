//! TLS with clients, over real connections: what is agreed on, who is let in, and what a record says of it.

mod tls {
    mod authority;
    mod certificates;
    mod client_certificates;
    mod handshake;
    mod hostile;
    mod records;
    mod tickets;
    mod versions;
}
