"""Malicious files, built by code: see README.md in this folder."""
