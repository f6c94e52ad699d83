//! zproxy.
