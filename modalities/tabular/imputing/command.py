"""`omnimask impute` on a table."""

from modalities.tabular.imputing.draws import MaskDraws
from modalities.tabular.imputing.files import Imputed, ImputeFile, impute_file
from modalities.tabular.modality import TableCells
from modalities.tabular.readers.loading import SUFFIXES
from omnimask.foundation.errors import RecipeError
from omnimask.training.step import MaskedModel
from omnimask.transfer.imputing.request import Imputation, Request

_SHOWN_PROBLEMS = 10


class TableImputer:
    """Fills what is missing; nothing of a table is hidden from the model but for the draws."""

    suffixes = SUFFIXES

    def __call__(self, model: MaskedModel, name: str, request: Request, /) -> Imputation:
        if request.hide is not None:
            raise RecipeError(
                f"{request.path}: the cells that are missing in a table are filled; leave out "
                f"{' and '.join(request.hide.given)}"
            )
        job = ImputeFile(
            path=request.path,
            out=request.out,
            draws=MaskDraws(number=request.draws, share=request.draw_share, seed=request.seed),
            keep=request.keep,
            delimiter=request.delimiter,
            encoding=request.encoding,
        )
        done = impute_file(model, job)
        return Imputation(files=(done.out, done.uncertainty), notes=_notes(done))


def _notes(done: Imputed) -> tuple[str, ...]:
    notes = [f"filled {done.filled} cells in {done.rows} rows of the table {done.table!r}"]
    if done.num_problems:
        notes.append(f"{done.num_problems} rows or cells could not be read and stay as they are:")
        shown = done.problems[:_SHOWN_PROBLEMS]
        notes += [f"  row {row}: {reason}" for row, reason in shown]
    return tuple(notes)


IMPUTERS = {TableCells: TableImputer()}
