"""Management queries, at the router that the client is connected to and through it at every other one."""

from harness import Management, check

# Types with at least one row on every router of the tests.
PRESENT = [
    "router", "listener", "sslProfile", "connection", "router.link", "router.address", "router.node", "log",
    "logStats", "routerMetrics", "policy", "network",
]
# Types that must be known, with or without rows.
KNOWN = ["connector", "tcpListener", "tcpConnector", "router.config.address", "router.config.autoLink", "vhost",
         "tcpConnection", "listenerAddress", "connectorStats"]


def query(args):
    """Every type can be queried on every router, from either end."""
    ids = args.routers.split(",")
    for url in (args.send, args.recv):
        management = Management(url)
        for router in [None] + ids:
            present = [kind for kind in PRESENT if len(ids) > 1 or kind != "router.node"]
            for kind in present:
                rows = management.query(kind, router)
                check(rows, "no %s at %s" % (kind, router))
                unnamed = [row for row in rows if not row.get("identity")]
                check(not unnamed, "%s without identity at %s: %s" % (kind, router, unnamed[:1]))
            for kind in KNOWN[:5]:
                management.query(kind, router)
            if router:
                described = management.query("router", router)[0]
                check(described["id"] == router, "router %s calls itself %s" % (router, described["id"]))
        management.close()


THEMES = [query]
