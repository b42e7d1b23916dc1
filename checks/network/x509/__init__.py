"""Certificates as RFC 5280 has them: paths from a leaf to an anchor, and whether a certificate was revoked. Pure.

What the web's CAs promise each other beyond that (Baseline Requirements) is not here: a private CA need not keep it.
"""
