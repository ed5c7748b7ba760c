"""What follows from the findings of a data check: a refusal in one line, or notes for the user."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from resnest_mm.errors import UserError
from resnest_mm.training.data_check.finding import Finding

_LONGEST = 300


def judge(findings: Sequence[Finding], *, advice: str) -> list[str]:
    """Return the warnings and notes as lines for the user, or refuse the data after printing everything that was found.

    Args:
        findings: From `resnest_mm.training.data_check.check.check_datasets`, errors first.
        advice: What the user can do about a refusal, the end of its line.

    Raises:
        UserError: There is an error among the findings. All of them stand on stdout then, a line each.
    """
    lines = [f'{finding.severity}: {finding}' for finding in findings]
    errors = [finding for finding in findings if finding.severity == 'error']
    if not errors:
        return lines
    print(*lines, sep='\n', flush=True)
    first = str(errors[0])
    first = first if len(first) <= _LONGEST else f'{first[:_LONGEST]}...'
    rest = f' (and {len(errors) - 1} more, all listed on stdout)' if len(errors) > 1 else ''
    raise UserError(f'data check: {first}{rest}; {advice}')


def summarise(findings: Sequence[Finding]) -> str:
    """Return the numbers of findings in one line.

    Args:
        findings: All of them.
    """
    counts = Counter(finding.severity for finding in findings)
    parts = [
        f'{counts[name]} {name}{"s" * (counts[name] != 1)}' for name in ('error', 'warning', 'note') if counts[name]
    ]
    return ', '.join(parts) or 'no faults found'
