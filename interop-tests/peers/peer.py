"""Runs one theme against routers that are up: peer.py THEME --send HOST:PORT --recv HOST:PORT ..."""

import argparse
import sys

import distribution
import manage
import policy
import settlement
import transfer

THEMES = {
    theme.__name__: theme
    for module in (transfer, settlement, distribution, manage, policy)
    for theme in module.THEMES
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("theme", choices=sorted(THEMES))
    parser.add_argument("--send", help="listener of the router where messages start")
    parser.add_argument("--recv", help="listener of the router where messages end")
    parser.add_argument("--send-tls", help="the first one's listener with TLS")
    parser.add_argument("--recv-tls", help="the second one's listener with TLS")
    parser.add_argument("--ca", help="certificate of the authority")
    parser.add_argument("--certificate", help="certificate of the client")
    parser.add_argument("--key", help="key of the client")
    parser.add_argument("--routers", help="ids of all routers, separated by commas")
    args = parser.parse_args()
    THEMES[args.theme](args)
    print("ok", args.theme)
    return 0


if __name__ == "__main__":
    sys.exit(main())
