//! The addresses that clients come from, in turn: a proxy counts sessions by address, and so do the people it serves.

use std::net::Ipv4Addr;
use std::str::FromStr;

/// A network such as 127.9.0.0/24; of 127/8 every address is this machine's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sources {
    network: u32,
    count: u32,
}

impl Sources {
    /// That of the client of this number.
    pub(crate) fn address(self, number: u64) -> Ipv4Addr {
        let place = u32::try_from(number % u64::from(self.count)).expect("less than the count");
        Ipv4Addr::from(self.network + place)
    }
}

impl FromStr for Sources {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (address, length) = text.split_once('/')?;
            let length: u32 = length.parse().ok().filter(|length| (1..=32).contains(length))?;
            let host_bits = 32 - length;
            let address = u32::from(address.parse::<Ipv4Addr>().ok()?);
            Some(Self { network: address >> host_bits << host_bits, count: 1 << host_bits })
        };
        read().ok_or_else(|| "a network of IPv4, such as 127.9.0.0/24".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_through_the_network_and_begins_again() {
        let sources: Sources = "127.9.0.5/30".parse().unwrap();
        let addresses: Vec<String> = (0..5).map(|number| sources.address(number).to_string()).collect();
        assert_eq!(addresses, ["127.9.0.4", "127.9.0.5", "127.9.0.6", "127.9.0.7", "127.9.0.4"]);
        assert_eq!("127.9.0.1/32".parse::<Sources>().unwrap().address(7).to_string(), "127.9.0.1");
    }

    #[test]
    fn refuses_what_is_no_network() {
        for text in ["127.9.0.0", "127.9.0.0/0", "127.9.0.0/33", "::1/64", "/24"] {
            assert!(text.parse::<Sources>().is_err(), "{text}");
        }
    }
}
