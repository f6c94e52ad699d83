"""zproxy beside nginx, HAProxy and Dovecot: the same backends, clients and TLS, measured in turn.

A file each: the peers, what they share (`site`), the rows of the table, how one is measured, what is left of it.
"""
