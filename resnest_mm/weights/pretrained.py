"""Loading pretrained weights into a backbone: find the file, read it, rename its keys, fit and load."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mmengine.logging import print_log
from torch import Tensor, nn

from resnest_mm.errors import CheckpointError, ConversionError, first_names
from resnest_mm.registry import WEIGHT_INITIALIZERS
from resnest_mm.weights.convert.backbone import convert_backbone
from resnest_mm.weights.fit import fit_state
from resnest_mm.weights.hub.local import local_copy
from resnest_mm.weights.io.contents import FileError, UntrustedContentError
from resnest_mm.weights.io.plausible import check_values
from resnest_mm.weights.io.read import read_checkpoint
from resnest_mm.weights.layouts.names import with_dot
from resnest_mm.weights.records.record import Record


@WEIGHT_INITIALIZERS.register_module()
class Pretrained:
    """Initialise a ResNeSt with the weights of a checkpoint.

    Args:
        checkpoint: Name of a published file, such as `resnest50`, a path, a URL, or a name in a scheme of mmengine,
            such as `open-mmlab://resnest50`. A published file is checked by its checksum, and its keys are renamed to
            the key layout of this package. Any other file must have this layout already.
        prefix: Prefix of the backbone's keys if the file holds a whole model, e.g. `backbone.`. Not needed for
            published files.
        map_location: Device to load to.
        strict: Whether a checkpoint that does not fill the whole backbone is an error. With False, everything that fits
            is loaded, the rest keeps its initial values, and a warning is logged.

    Raises:
        CheckpointError: When called, on a file that cannot be found, cannot be read or does not fit, or whose values
            no training leaves behind: NaN, Inf, negative variances, weights that are not floating-point.

    Example:
        >>> import tempfile, torch
        >>> from resnest_mm import ResNeSt
        >>> from resnest_mm.weights import Pretrained
        >>> trained, other = (ResNeSt(14, stem_channels=8, base_channels=16) for _ in range(2))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     torch.save(trained.state_dict(), f'{folder}/trained.pth')
        ...     Pretrained(f'{folder}/trained.pth')(other)
        >>> torch.equal(other.stem[0].weight, trained.stem[0].weight)
        True
    """

    def __init__(
        self, checkpoint: str, *, prefix: str | None = None, map_location: str = 'cpu', strict: bool = True
    ) -> None:
        self.checkpoint = checkpoint
        self.prefix = prefix
        self.map_location = map_location
        self.strict = strict

    def __call__(self, module: nn.Module) -> None:
        """Load the checkpoint into `module`."""
        self.prepare(module)()

    def prepare(self, module: nn.Module) -> Callable[[], None]:
        """Read and check the checkpoint, and return a function that loads it; `module` is not changed until then.

        Args:
            module: The ResNeSt.

        Raises:
            CheckpointError: On a file that cannot be found, cannot be read or does not fit, or has wrong values.
        """
        tensors, record = read_tensors(self.checkpoint)
        if record is not None:
            state = backbone_of(tensors, record, prefix=self.prefix)
        else:
            state = under_prefix(tensors, self.prefix, checkpoint=self.checkpoint)
        state = {key: value.to(self.map_location) for key, value in state.items()}
        fitted = fit_state(module, state, source=self.checkpoint, strict=self.strict)
        check_values(fitted, source=f'checkpoint {self.checkpoint!r}', advice='take another file')

        def load() -> None:
            module.load_state_dict(fitted, strict=False)
            expected = '' if record is None else f', which expects {describe_input(record)}'
            print_log(f'{self.checkpoint}: loaded {len(fitted)} tensors into the backbone{expected}', logger='current')

        return load


def read_tensors(checkpoint: str) -> tuple[dict[str, Tensor], Record | None]:
    """Return all tensors of a checkpoint by name, on the CPU, and the record of the file if it is a published one.

    Args:
        checkpoint: As for `Pretrained`, or a path of another file backend of mmengine, such as `s3://`.

    Raises:
        CheckpointError: On a file that cannot be found or read, or that holds no tensors.
    """
    try:
        with local_copy(checkpoint) as local:
            # The file of a record has just been hashed.
            verified = local.record is not None and local.record.digest is not None
            return read_checkpoint(local.file, verified=verified).tensors, local.record
    except UntrustedContentError as error:
        advice = 'to tools/convert_checkpoint.py and load what it writes'
        raise CheckpointError(f'checkpoint {checkpoint!r} cannot be read: {error.reason} {advice}') from error
    except FileError as error:
        raise CheckpointError(f'checkpoint {checkpoint!r} cannot be read: {error.reason}') from error


def under_prefix(tensors: Mapping[str, Tensor], prefix: str | None, *, checkpoint: str) -> dict[str, Tensor]:
    """Return the tensors whose keys start with a prefix, without the prefix.

    Args:
        tensors: Tensors by name; not modified.
        prefix: The prefix, with or without a dot at its end; None returns all tensors.
        checkpoint: Name of the checkpoint in messages.

    Raises:
        CheckpointError: If no key starts with the prefix.
    """
    if prefix is None:
        return dict(tensors)
    dotted = with_dot(prefix)
    chosen = {key[len(dotted) :]: value for key, value in tensors.items() if key.startswith(dotted)}
    if not chosen:
        raise CheckpointError(
            f'checkpoint {checkpoint!r} has no key with prefix={prefix!r}; its first keys are '
            f'{first_names(sorted(tensors), most=3)}'
        )
    return chosen


def backbone_of(tensors: Mapping[str, Tensor], record: Record, *, prefix: str | None = None) -> dict[str, Tensor]:
    """Return the backbone in a published file, in the key layout of this package.

    Args:
        tensors: All tensors of the file by name; not modified.
        record: The record of the file.
        prefix: Prefix of the backbone's keys; None takes the record's if any key has it, else no prefix.

    Raises:
        CheckpointError: If the file does not have the key layout of its record.
    """
    if prefix is None:
        prefix = record.prefix if any(key.startswith(record.prefix) for key in tensors) else ''
    dotted = with_dot(prefix)
    if record.layout == 'mmdet':
        return {key[len(dotted) :]: value for key, value in tensors.items() if key.startswith(dotted)}
    try:
        return convert_backbone(tensors, source=record.layout, target='mmdet', prefix=dotted)
    except ConversionError as error:
        raise CheckpointError(f'{record.file_name} is not in the {record.layout} layout: {error}') from error


def describe_input(record: Record) -> str:
    """Return the images that a published network expects, e.g. "RGB images, mean [...], std [...]"."""
    return f'{record.channel_order} images, mean {list(record.mean)}, std {list(record.std)}'
