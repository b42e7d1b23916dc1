"""Views of one finished run: each report reads a run folder and judges nothing.

A report is a function ``write(run: Path)``, loaded by the entry point group ``scanner.reports``.
"""
