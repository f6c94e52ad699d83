//! The exchange of RFC 5802, 5, as both sides say it.

pub(crate) const FIRST: &str = "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL";
pub(crate) const ASKED: &str = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";
pub(crate) const LAST: &str = "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=";
pub(crate) const SIGNED: &str = "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=";
