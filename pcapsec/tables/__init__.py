"""Records as rows: every column declared once (`schema`), rows written in time order with bounded memory (`files`), or kept for pandas (`frames`)."""
