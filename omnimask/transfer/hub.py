"""Encoder folders on a model hub, through huggingface_hub; nothing else here opens a connection."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omnimask.foundation.checksums import NAME as CHECKSUMS
from omnimask.foundation.checksums import find_damage
from omnimask.foundation.errors import DamageError, OmnimaskError, RecipeError
from omnimask.foundation.optional import needs
from omnimask.transfer.encoder_folder import INFO, WEIGHTS, read_encoder_folder
from omnimask.transfer.pretrained_encoder import PretrainedEncoder

CARD = "README.md"
FILES = (INFO, WEIGHTS, CHECKSUMS, CARD)
_LOADS_FOLDER = re.compile(r"omnimask\.load_encoder\((?:'[^'\n]*'|\"[^\"\n]*\")\)")


def push_to_hub(
    folder: Path | str, repo: str, *, private: bool = False, token: str | None = None
) -> str:
    """Puts an encoder folder that `export` has written on the hub as `repo` ("owner/name"), made
    where it is not there yet; returns its address.

    The card goes along as it stands, but for its line that loads the folder, which becomes one that
    loads `repo`. `token`: None takes that of `hf auth login`. RecipeError for a folder without a
    card or for a name that is none, DamageError for files that are not as they were written,
    OmnimaskError with the hub's words where it refuses.
    """
    needs("huggingface_hub", extra="hub", what="push_to_hub")
    from huggingface_hub import CommitOperationAdd, HfApi

    folder = Path(folder)
    if not (folder / INFO).is_file() or not (folder / CARD).is_file():
        raise RecipeError(
            f"{folder} is no encoder folder with a model card ({INFO} and {CARD}); write one with "
            "`omnimask export RUN --format encoder --out FOLDER`"
        )
    _checked(folder, "export it again")
    card = (folder / CARD).read_text()
    files = {name: folder / name for name in FILES if name != CARD}
    api = HfApi(token=token)
    with _words_of_the_hub(repo):
        address = api.create_repo(repo, private=private, exist_ok=True)
        said = {**files, CARD: _LOADS_FOLDER.sub(f"omnimask.from_pretrained({repo!r})", card)}
        operations = [
            CommitOperationAdd(
                path_in_repo=name,
                path_or_fileobj=content if isinstance(content, Path) else content.encode(),
            )
            for name, content in said.items()
        ]
        # One commit, so that nobody finds weights beside another encoder's description.
        api.create_commit(repo, operations, commit_message="An encoder exported by omnimask")
    return str(address)


def from_pretrained(
    name: Path | str, *, revision: str | None = None, token: str | None = None
) -> PretrainedEncoder:
    """The encoder of a folder, or of a repository "owner/name" that `push_to_hub` has written: on
    the CPU, in evaluation mode. A folder of that name comes first.

    `revision`: a branch, tag or commit of the repository. DamageError where a file is not as it was
    written, OmnimaskError with the hub's words where it has no such repository.
    """
    if Path(name).is_dir():
        if revision is not None:
            raise RecipeError(f"{name} is a folder, which has no revision; leave it out")
        return read_encoder_folder(Path(name))
    return read_encoder_folder(download_encoder(str(name), revision=revision, token=token))


def download_encoder(repo: str, *, revision: str | None = None, token: str | None = None) -> Path:
    """The encoder folder of `repo` in the hub's cache, with nothing else of the repository."""
    needs("huggingface_hub", extra="hub", what="from_pretrained")
    from huggingface_hub import snapshot_download

    with _words_of_the_hub(repo):
        folder = Path(
            snapshot_download(repo, revision=revision, token=token, allow_patterns=list(FILES))
        )
    if not (folder / INFO).is_file():
        raise RecipeError(f"{repo} holds no encoder of omnimask: it has no {INFO}")
    return _checked(folder, "fetch it again after removing this folder, or have it pushed again")


def _checked(folder: Path, mend: str) -> Path:
    """`folder`; DamageError unless it has checksums and every file fits them."""
    if damage := find_damage(folder):
        raise DamageError(f"{folder} is damaged: {damage}; {mend}")
    return folder


@contextmanager
def _words_of_the_hub(repo: str) -> Iterator[None]:
    from huggingface_hub.errors import HFValidationError, HTTPError  # pyright: ignore

    try:
        yield
    except HFValidationError as error:
        raise RecipeError(
            f"{repo!r} is neither a folder nor the name of a repository; write owner/name ({error})"
        ) from error
    # OSError: files of its cache, and a revision that is not there. ValueError: a card's head.
    except (HTTPError, OSError, ValueError) as error:
        raise OmnimaskError(
            f"{repo}: the hub said: {error}. `hf auth login` logs in, for private repositories "
            "and for pushing"
        ) from error
