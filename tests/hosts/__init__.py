"""Hosts of distributions that cannot be installed here (Red Hat, Ubuntu, SUSE), as recorded answers; see README.md."""
