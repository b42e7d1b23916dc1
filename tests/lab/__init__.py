"""Real hosts for the tests: own root file system, own network, real sshd; see docs in `tests.lab.lab`."""
