"""Logs in at a router: sasl.py HOST:PORT MECHANISM USER PASSWORD. Prints whether that went well."""

import sys

from proton import SASL, ConnectionException
from proton.utils import BlockingConnection


def main():
    if not SASL.extended():
        print("no library")
        return 0
    address, mechanism, user, password = sys.argv[1:]
    try:
        connection = BlockingConnection(
            address,
            allowed_mechs=mechanism,
            user=user,
            password=password,
            sasl_enabled=True,
            allow_insecure_mechs=True,
            reconnect=False,
            timeout=30,
        )
    except ConnectionException as error:
        print("refused", error)
        return 0
    print("accepted")
    connection.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
