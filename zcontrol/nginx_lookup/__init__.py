"""Our side of auth_http: nginx's and Zimbra's proxies ask where logins live, and are answered as our edges are."""
