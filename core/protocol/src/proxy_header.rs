//! The PROXY protocol, versions 1 and 2 (haproxy `doc/proxy-protocol.txt`).
