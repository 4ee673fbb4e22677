"""The command line: one small file per command; the only place that prints or exits."""
