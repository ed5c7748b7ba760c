"""Checks of the contents of data sets before a run: what a training would silently learn wrong, or stop at later.

    config -> source.py: each data set inside its wrappers -> its kind: findings, and the images it names
           -> images.py: missing, unreadable or of another size -> check.py: all findings -> plan.py refuses or warns

Add a kind of data set with a module that defines `KIND = Kind(...)` (see `source.py`), and list it in `KINDS` of
`check.py` before `generic`. A kind has three functions:

- `applies(source)`: whether it reads this class of data set, told by the names of the class's bases
  (`source.is_a('CocoDataset')`). The hosts are not imported here.
- `fingerprint(source)`: a text that changes with the annotations; the findings are cached under it.
  `fingerprints.py` hashes files by their contents, or by size and time.
- `read(source, settings)`: the annotations, read once. It returns `Contents`: a `Finding` for each sort of fault, with
  its count and examples, and an `ImageEntry` for each image, which `images.py` opens (a sample, or all).

`Tally` (see `finding.py`) collects the examples of one sort of fault. A fault is an error if a training with it cannot
be right, else a warning. A kind raises nothing for damaged data: what cannot be read is a finding as well.
"""
