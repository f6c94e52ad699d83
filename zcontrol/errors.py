"""The exception tree of the control plane.

Foreign exceptions (ldap3, pymemcache, OSError …) become one of these at the door, once; whoever catches them decides
by class, never by text. The text is for the operator and says what to do next.
"""


class ZproxyError(Exception):
    """Anything that the control plane reports as its own failure."""


class DirectoryError(ZproxyError):
    """The directory could not say whether an account exists or where it lives."""


class DirectoryUnavailableError(DirectoryError):
    """No replica of the directory can be reached; what is cached may be served until its hard TTL."""


class DirectoryFileError(DirectoryError):
    """A directory file cannot be used; the text begins with `path:line`."""


class OAuthUnavailableError(ZproxyError):
    """Whoever issues or knows tokens cannot say now what one proves."""


class OAuthKeysError(OAuthUnavailableError):
    """A JWKS cannot be used; the text says what is wrong with it."""


class TokenRefusedError(ZproxyError):
    """A bearer token proves nothing; the text says why, for the record."""


class UnusableNameError(ZproxyError):
    """A typed login that can be nobody's name, e.g. one with control characters."""


class UnqualifiedNameError(UnusableNameError):
    """A login without a domain that no rule gives one."""


class StoreUnavailableError(ZproxyError):
    """What must survive a restart cannot be read or written now; nothing was changed."""
