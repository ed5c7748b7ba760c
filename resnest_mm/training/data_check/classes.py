"""The class names of data sets: a usable list, and the same one in every split."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from resnest_mm.errors import first_names
from resnest_mm.training.data_check.finding import Finding, tallied
from resnest_mm.training.data_check.source import Source


def check_classes(source: Source) -> list[Finding]:
    """Return what is wrong with the class names of one data set.

    Args:
        source: The data set; one without classes has no fault.
    """
    classes, key = source.classes, f'{source.key}.metainfo.classes'
    if classes is None:
        return []
    if isinstance(classes, str):
        what = f'the classes are the text {classes!r}, of which each letter would be a class'
        return [Finding(severity='error', key=key, what=what, remedy=f'write classes=({classes!r},), with the comma')]
    if not isinstance(classes, (list, tuple)) or not all(isinstance(name, str) for name in classes):
        what = f'the classes are {classes!r}, and must be a list of texts'
        return [Finding(severity='error', key=key, what=what)]
    if not classes:
        return [Finding(severity='error', key=key, what='the list of classes is empty', remedy='name the classes')]
    blank = [f'class {index}: {name!r}' for index, name in enumerate(classes) if not name.strip()]
    padded = [f'{name!r}' for name in classes if name.strip() and name != name.strip()]
    double = sorted({name for name in classes if classes.count(name) > 1})
    return [
        *tallied(key, 'error', 'class names are empty', blank, remedy='name them'),
        *tallied(key, 'error', 'class names stand there twice', double, remedy='keep each of them once'),
        *tallied(key, 'warning', 'class names begin or end with a blank', padded, remedy='remove it'),
    ]


def check_same_classes(sources: Sequence[Source]) -> list[Finding]:
    """Return every data set whose classes differ from those of the first one, which label 0, 1, ... are.

    Args:
        sources: Data sets of a config, those for training first.
    """
    findings = []
    named = [source for source in sources if source.things]
    for source in named[1:]:
        first = named[0]
        if source.things == first.things:
            continue
        if sorted(source.things) == sorted(first.things):
            what = f'the classes have another order than in {first.key}, so labels mean other classes'
        else:
            mine, theirs = set(source.things), set(first.things)
            what = (
                f'the classes differ from those of {first.key}: '
                f'only here {first_names(sorted(mine - theirs))}, only there {first_names(sorted(theirs - mine))}'
            )
        findings.append(
            Finding(severity='error', key=source.key, what=what, remedy='give all data sets the same classes')
        )
    return findings


def near_name(name: str, known: Iterable[str]) -> str | None:
    """Return the class that a name is probably meant to be: equal but for case and blanks, or with a small difference.

    Args:
        name: A name that is no class.
        known: The names to choose from.
    """
    plain = {_plain(other): other for other in known}
    if _plain(name) in plain:
        return plain[_plain(name)]
    close = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=0.7)
    return plain[close[0]] if close else None


def _plain(name: str) -> str:
    return ''.join(letter for letter in name.casefold() if letter.isalnum())
