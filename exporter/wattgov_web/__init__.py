"""Listening over HTTP(S) by exporter-toolkit's file: TLS, logins, limits. Both daemons use it.

It knows nothing of either: what is asked goes to the function that the daemon gives it.
"""
