"""The list `categories` of a COCO file against the classes of the config."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resnest_mm.errors import first_names
from resnest_mm.training.data_check.classes import near_name
from resnest_mm.training.data_check.finding import Finding, Tally, tallied


@dataclass(frozen=True)
class Categories:
    """The usable categories of a COCO file.

    Args:
        names: Name of each category by its id, in the order of the file.
        findings: What is wrong with the list, whatever the classes of the config are.
    """

    names: Mapping[Any, str]
    findings: tuple[Finding, ...]


def read_categories(key: str, categories: list[dict[str, Any]]) -> Categories:
    """Return the categories with an id and a name, and what is wrong with the others.

    Args:
        key: Where the data set stands in the config.
        categories: `categories` of the file.
    """
    broken = Tally('error', 'categories lack an id or a name', 'correct the annotation file')
    names: dict[Any, str] = {}
    twice = []
    for number, category in enumerate(categories):
        identity, name = category.get('id'), category.get('name')
        if type(identity) not in (int, str) or not isinstance(name, str) or not name.strip():
            broken.add(f'number {number}: {category!r}')
        elif identity in names:
            twice.append(f'id {identity}: {names[identity]!r} and {name!r}')
        else:
            names[identity] = name
    same = [f'{name!r}' for name, count in Counter(names.values()).items() if count > 1]
    remedy = 'give each category an id and a name of its own'
    findings = [
        *broken.findings(key, total=len(categories)),
        *tallied(key, 'error', 'category ids stand there twice', twice, remedy=remedy),
        *tallied(key, 'error', 'category names stand there twice', same, remedy=remedy),
    ]
    if not categories:
        findings.append(Finding(severity='error', key=key, what='the list of categories is empty'))
    return Categories(names, tuple(findings))


def compare_classes(
    key: str,
    names: Mapping[Any, str],
    classes: Sequence[str],
    counts: Mapping[Any, int],
    *,
    training: bool,
) -> list[Finding]:
    """Return where the categories of a file and the classes of the config differ.

    mmdet numbers the classes in the order of the file, and names them in the order of the config. So another order
    gives every prediction the name of another class.

    Args:
        key: Where the data set stands in the config.
        names: Name of each category by its id, in the order of the file.
        classes: Classes of the config, in order.
        counts: Number of annotations by id of the category.
        training: Whether the model learns from this data set.
    """
    in_file = list(names.values())
    findings = []
    absent = [name for name in classes if name not in in_file]
    if absent:
        unknown = [name for name in in_file if name not in classes]
        hints = {name: near_name(name, unknown) for name in absent}
        examples = [f'{name!r}' + (f', but the file has {near!r}' if near else '') for name, near in hints.items()]
        remedy = f'the file has {first_names(map(repr, in_file), most=8)}: write classes as there'
        what = 'classes of the config are no category of the file'
        findings += tallied(key, 'error', what, examples, total=len(classes), remedy=remedy)
    extra = {identity: name for identity, name in names.items() if name not in classes}
    if extra and len(absent) < len(classes):
        lost = sum(counts.get(identity, 0) for identity in extra)
        examples = [f'{name!r} with {counts.get(identity, 0)}' for identity, name in extra.items()]
        what = f'categories of the file are no class of the config, so {lost} annotations are dropped'
        findings += tallied(key, 'warning', what, examples, total=len(names), remedy='is that what you want?')
    shared = [name for name in in_file if name in classes]
    wanted = [name for name in classes if name in in_file]
    if shared != wanted and len(set(shared)) == len(shared):
        order = ', '.join(map(repr, shared))
        what = (
            f'the classes of the config have another order ({first_names(wanted)}) than the categories of the file '
            f'({first_names(shared)}); mmdet numbers them in the order of the file, so predictions get wrong names'
        )
        remedy = f'write classes=({order})' if len(shared) <= 20 else 'write the classes in the order of the file'
        findings.append(Finding(severity='error', key=key, what=what, remedy=remedy))
    if training:
        unseen = [f'{name!r}' for identity, name in names.items() if name in classes and not counts.get(identity)]
        if unseen and any(counts.values()):
            what = 'classes have no annotation to learn from'
            findings += tallied(key, 'warning', what, unseen, total=len(classes))
    return findings
