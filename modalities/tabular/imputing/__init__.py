"""A table's missing cells, filled by a trained model: of rows, and of whole files."""

from modalities.tabular.imputing.command import IMPUTERS as IMPUTERS
