"""The control plane's metrics, each defined once; whoever counts imports it from here.

Counted by batch, not by name: an increment costs as much as a look-up in a cache.
"""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

ROUTE_CACHE: Final = Counter(
    "zproxy_route_cache", "Questions to control's route caches", ["result"]
)  # hit | stale | negative | miss

MEMCACHED_UNSEALED: Final = Counter(
    "zproxy_memcached_unsealed", "Values in memcached that nobody who holds the seal key wrote for that name"
)
MEMCACHED_FAILURES: Final = Counter("zproxy_memcached_failures", "Round trips that failed or were too late", ["server"])

DIRECTORY_BATCH: Final = Histogram(
    "zproxy_directory_batch_names", "Names a batch to the directory", buckets=(1, 2, 4, 8, 16, 32, 64)
)
DIRECTORY_SECONDS: Final = Histogram("zproxy_directory_batch_seconds", "Time of a batch to the directory")
DIRECTORY_NAMES: Final = Counter("zproxy_directory_names", "Names the directory was asked for", ["result"])
# found | unknown | unavailable | fault
DIRECTORY_FAILURES: Final = Counter("zproxy_directory_failures", "Failures of a replica of the directory", ["replica"])
DIRECTORY_UP: Final = Gauge("zproxy_directory_up", "Whether the directory answered last time it was asked")

UNKNOWN_HOME: Final = Counter(
    "zproxy_unknown_home", "Answers that failed because the pool has no backend or group for the account's home"
)
AUTH_HTTP_OUTSIDE: Final = Counter(
    "zproxy_auth_http_outside", "Answers of auth_http with an address where the pool has no backend"
)
NGINX_LOOKUPS: Final = Counter("zproxy_nginx_lookups", "Questions of proxies that speak auth_http", ["result"])
# ok | refused | fault | unsupported | meaningless | forbidden
STALE_SERVED: Final = Counter(
    "zproxy_route_stale_served", "Routes served past their soft TTL because the directory could not be reached"
)
INVALIDATIONS: Final = Counter("zproxy_route_invalidations", "Invalidations of routes")

VERIFIED: Final = Counter("zproxy_verified", "Credentials that somebody was to be proved by", ["credential", "result"])
# password | token | none; verified | refused | fault
VERIFY_SECONDS: Final = Histogram("zproxy_verify_seconds", "Time of a verdict", ["credential"])
OAUTH_TOKENS: Final = Counter("zproxy_oauth_tokens", "Bearer tokens to be proved", ["result"])
# remembered | good | refused | fault
OAUTH_FAILURES: Final = Counter("zproxy_oauth_failures", "Requests to an OAuth endpoint that failed", ["endpoint"])

CALLS_REFUSED: Final = Counter(
    "zproxy_api_calls_refused", "Calls of the API that were refused for who made them", ["status"]
)  # unauthenticated | permission_denied | resource_exhausted
