"""`pcapsec rules`: which judgements there are."""
from __future__ import annotations

import click


@click.command("rules", short_help="List the rules.")
@click.option("--format", "format_", type=click.Choice(["text", "csv", "jsonl"]), default="text", show_default=True, help="csv and jsonl hold remediation and references too.")
def command(format_: str) -> None:
    """List the rules that `analyze` applies; `explain ID` tells more about one."""
    from ..rules import all_rules
    from ..tables.text import cell, json_cell, to_json

    rules = all_rules().values()
    if format_ == "text":
        for rule in rules:
            click.echo(f"{rule.id}  {rule.severity:<8}  {rule.slug:<28}  {rule.title}")
        return
    names = ("rule_id", "slug", "title", "severity", "confidence", "category", "remediation", "references")
    if format_ == "csv":
        click.echo(",".join(names))
    for rule in rules:
        values = (rule.id, rule.slug, rule.title, rule.severity, rule.confidence, rule.category, rule.remediation, list(rule.references))
        click.echo(",".join(json_cell(v) if isinstance(v, list) else cell(v) for v in values) if format_ == "csv" else to_json(dict(zip(names, values))))
