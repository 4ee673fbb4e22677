"""`pcapsec explain`: the manual page of a rule."""
from __future__ import annotations

import click


@click.command("explain", short_help="Show the manual page of a rule.")
@click.argument("rule_id", metavar="ID")
def command(rule_id: str) -> None:
    """Show what a rule looks for, why it matters, what is not a finding, and where it is written. ID is PS101 or smtp-auth-plain."""
    from ..rules import all_rules

    rules = all_rules()
    wanted = rule_id.strip().lower()
    rule = rules.get(wanted.upper()) or next((r for r in rules.values() if r.slug == wanted), None)
    if rule is None:
        import difflib

        near = difflib.get_close_matches(wanted, [*(i.lower() for i in rules), *(r.slug for r in rules.values())], 3, 0.6)
        known = {r.slug: r.id for r in rules.values()}
        hint = "; did you mean " + ", ".join(known.get(name, name.upper()) for name in dict.fromkeys(near)) + "?" if near else "; `pcapsec rules` lists them"
        raise click.UsageError(f"there is no rule {rule_id}{hint}")
    click.echo(f"{rule.id} {rule.slug}: {rule.title}")
    click.echo(f"severity {rule.severity}, confidence {rule.confidence}, category {rule.category}")
    click.echo()
    click.echo(rule.page.rstrip())
    click.echo()
    click.echo("What to do")
    click.echo(f"    {rule.remediation}")
