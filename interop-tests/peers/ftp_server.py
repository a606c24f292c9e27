"""An FTP server for anybody, whose data connections come through another door.

    python ftp_server.py PORT DATA_PORT DATA_ENTRANCE FOLDER

It waits for data connections at DATA_PORT, and tells its clients to come to DATA_ENTRANCE instead.
"""

import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer


class Handler(FTPHandler):
    """A handler that knows of the other door."""

    entrance = None

    def respond(self, resp, *args, **kwargs):
        if resp.startswith("229 "):
            resp = f"229 Entering extended passive mode (|||{self.entrance}|)."
        super().respond(resp, *args, **kwargs)


def main():
    port, data_port, entrance = map(int, sys.argv[1:4])
    Handler.authorizer = DummyAuthorizer()
    Handler.authorizer.add_anonymous(sys.argv[4], perm="elradfmw")
    Handler.entrance = entrance
    Handler.passive_ports = [data_port]
    FTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main()
