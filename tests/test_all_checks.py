"""Every law over every check."""

from scanner.testing import generic_tests

test_check = generic_tests("checks")
