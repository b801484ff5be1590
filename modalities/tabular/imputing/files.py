"""A file of a table with its gaps filled; every cell that is not missing stays as it is."""

from modalities.tabular.imputing.columns import reading_of
from modalities.tabular.imputing.csv_file import impute_csv
from modalities.tabular.imputing.draws import table_modality
from modalities.tabular.imputing.job import Imputed, ImputeFile
from modalities.tabular.imputing.parquet_file import impute_parquet
from modalities.tabular.readers.loading import DELIMITERS, PARQUET_SUFFIXES, SUFFIXES
from omnimask.foundation.errors import DataError
from omnimask.training.step import MaskedModel


def impute_file(model: MaskedModel, job: ImputeFile) -> Imputed:
    """Fills `job.path` into `job.out`, and says how sure the model is in `<out>.uncertainty.csv`.

    That file has a line per filled cell: `row` (from 1 below the header), `column`, `value`,
    `spread` (the deviation of a number over the draws, in its own units, days for dates) and
    `share` (the share of the draws that gave this category or truth value).

    Only one batch of rows is in memory. DataError for a file that is no table, or whose columns
    the run never saw; RecipeError where the run restores no hidden cell.
    """
    suffix = job.path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"{job.path} must end in one of {', '.join(SUFFIXES)}, got {suffix!r}")
    if not job.path.is_file():
        raise DataError(f"{job.path} does not exist")
    is_parquet = suffix in PARQUET_SUFFIXES
    if job.out.suffix.lower() not in (PARQUET_SUFFIXES if is_parquet else tuple(DELIMITERS)):
        raise DataError(f"{job.out}: the filled table has the format of {job.path}; write {suffix}")
    if job.out.exists() and job.out.samefile(job.path):
        raise DataError(f"{job.out} is the table itself; name another file, so that it stays")
    name, _ = table_modality(model)
    reading = reading_of(model.recipe, name)
    job.out.parent.mkdir(parents=True, exist_ok=True)
    return (impute_parquet if is_parquet else impute_csv)(model, job, reading)
