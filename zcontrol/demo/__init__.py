"""What `zproxy demo` puts behind and around the proxy: mailbox servers, accounts, a certificate, a config."""
