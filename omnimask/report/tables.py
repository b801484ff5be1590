"""The result tables: what frozen features know of every label, their neighbours, and losses."""

from collections.abc import Mapping, Sequence

from omnimask.report.evaluate import MAX_RAW_VALUES, HeldOutLoss
from omnimask.report.html import (
    Html,
    element,
    folded,
    joined,
    paragraphs,
    styled,
    table,
    with_interval,
)
from omnimask.report.scores import NUM_NEIGHBOURS, StreamScore
from omnimask.transfer.probing.columns import ColumnScores, Estimate
from omnimask.transfer.searching.across import Retrieval

_SPACES = {"trained": "trained encoder", "untrained": "untrained encoder", "raw": "raw values"}


def knowledge_table(streams: Sequence[ColumnScores]) -> Html:
    """By stream, what a linear probe reads of its labels on the mean; each label folded below."""
    if not streams:
        return Html("")
    head = [
        "stream",
        "labels",
        "train / held out",
        *_SPACES.values(),
        "above untrained",
        "above raw",
    ]
    explanation = (
        "Read by a linear probe from frozen features, with nothing hidden: ridge regression on the "
        "mean of the encoder's output over a sample's tokens, whitened on the training samples. A "
        "label's skill is (accuracy - chance) / (1 - chance) where it is a class, with the share "
        "of the commonest class as chance, and R² where it is a number: 0 is a guess, 1 is "
        "certain. Untrained: the same encoder with random weights, the mean of three. Raw values: "
        f"the sample's token values, at most {MAX_RAW_VALUES:,} of them, in place of features. "
        "Intervals are of 95 %, from resampling held-out samples."
    )
    details = [folded(f"{part.stream}, label by label", _label_table(part)) for part in streams]
    rows = [_knowledge_row(part) for part in streams]
    return joined(table(head, rows, num_text=1), paragraphs([explanation]), *details)


def _knowledge_row(part: ColumnScores) -> list[Html | str]:
    return [
        part.stream,
        str(len(part.scores)),
        f"{part.num_train:,} / {part.num_test:,}",
        *_estimates(part.skill),
        *(_difference(part.ahead[space]) for space in ("untrained", "raw")),
    ]


def _difference(found: Estimate) -> Html:
    value, low, high = (f"{x:+.3f}" for x in (found.value, found.low, found.high))
    shown = with_interval(value, low, high)
    return styled("span", "strong", shown) if found.above_zero else shown


def _label_table(part: ColumnScores) -> Html:
    rows = [
        [
            score.column,
            score.measure,
            f"{score.chance:.2f}",
            *_estimates(score.values),
        ]
        for score in part.scores
    ]
    notes = [f"{column}: left out, {why}." for column, why in part.left_out.items()]
    head = ["label", "measure", "chance", *_SPACES.values()]
    return joined(table(head, rows, num_text=2), paragraphs(notes))


def _estimates(found: Mapping[str, Estimate]) -> list[Html]:
    """A cell for each space."""
    cells = []
    for space in _SPACES:
        part = found[space]
        value, low, high = (f"{x:.2f}" for x in (part.value, part.low, part.high))
        own_bar = bar(part.value, kind="" if space == "trained" else "other")
        cells.append(joined(with_interval(value, low, high), own_bar))
    return cells


def retrieval_table(ways: Sequence[Retrieval]) -> Html:
    """By query and answer, how often the right sample is among the first found."""
    ranks = list(ways[0].recall["trained"])
    head = ["query", "answer", "train / held out"]
    for rank in ranks:
        head += [f"first {rank}: {name}" for name in ("trained", "untrained", "raw", "chance")]
    rows = [
        [
            way.query,
            way.answer,
            f"{way.num_train:,} / {way.num_test:,}",
            *(cell for rank in ranks for cell in _recalls(way, rank)),
        ]
        for way in ways
    ]
    explanation = (
        "Samples that two streams call alike, each encoded alone, looked for in the other stream: "
        "the share that is among the nearest, by cosine in the space of regularised canonical "
        "correlations fitted on the training samples that both have. Nothing in training says "
        "which samples belong together, unless the recipe has streams of pairs."
    )
    every = folded("Every way between two streams", table(head, rows, num_text=2))
    return joined(paragraphs([explanation]), every)


def _recalls(way: Retrieval, rank: int) -> list[Html | str]:
    found = way.recall["trained"][rank]
    value, low, high = (f"{x:.2f}" for x in (found.value, found.low, found.high))
    others = [f"{way.recall[space][rank].value:.2f}" for space in ("untrained", "raw")]
    return [with_interval(value, low, high), *others, f"{way.chance[rank]:.2f}"]


def loss_table(losses: Sequence[HeldOutLoss]) -> Html:
    """Held-out loss of every objective beside that of the best constant."""
    rows = [
        [
            loss.stream,
            loss.objective,
            f"{loss.samples:,}",
            f"{loss.tokens:,}",
            four_digits(loss.model) if loss.tokens else "–",
            "–" if loss.constant is None else four_digits(loss.constant),
            _ratio(loss),
        ]
        for loss in losses
    ]
    head = [
        *("stream", "objective", "samples", "predicted tokens"),
        *("model", "best constant", "model / constant"),
    ]
    notes = [f"{x.stream} · {x.objective}: no best constant, {x.note}." for x in losses if x.note]
    return joined(
        table(head, rows, num_text=2),
        paragraphs(
            [
                "Mean loss per predicted token on held-out files, under the recipe's own masks. "
                "The best constant is the one prediction, the same for every token, with the "
                "smallest loss on training samples (for a squared error that is the mean). A "
                "ratio below 1 is what the model took from the visible tokens.",
                *notes,
            ]
        ),
    )


def _ratio(loss: HeldOutLoss) -> Html | str:
    if loss.constant is None or loss.constant <= 0:
        return "–"
    ratio = loss.model / loss.constant
    return joined(
        styled("span", "strong", f"{ratio:.2f}"), bar(ratio, kind="over" if ratio > 1 else "")
    )


def score_table(scores: Sequence[StreamScore]) -> Html:
    """Frozen kNN of every labelled stream beside an untrained encoder, raw values and chance."""
    rows = [_score_row(score) for score in scores]
    head = [
        *("stream", "measure", "train / held out"),
        *("trained encoder", "untrained encoder", "raw values", "chance"),
    ]
    explanation = (
        f"Labels of the {NUM_NEIGHBOURS} nearest training samples by cosine distance, one vote "
        "each, features whitened on the training samples (principal components of deviation 1; "
        "otherwise a few directions that a young encoder uses most hide the rest). A sample's "
        "feature is the mean of the frozen encoder's output over all of its tokens, nothing "
        "hidden. The interval is of 95 "
        "%, from the number of held-out samples. Untrained: the same encoder with random weights, "
        "mean ± standard deviation of three. Raw values: the token values of the sample in a row, "
        "zero where a token is not valid, at most "
        f"{MAX_RAW_VALUES:,} of them chosen at random. Chance: the commonest class, or the mean."
    )
    shown = table(head, rows, num_text=2) if rows else Html("")
    return joined(shown, paragraphs([explanation] if rows else []))


def _score_row(score: StreamScore) -> list[str]:
    trained = score.trained
    measure = f"accuracy, {score.num_classes} classes" if score.measure == "accuracy" else "R²"
    percent = score.measure == "accuracy"
    value, low, high = (_share(x, percent) for x in (trained.value, trained.low, trained.high))
    spread = _share(score.untrained_deviation, percent)
    return [
        score.stream,
        measure,
        f"{trained.num_train:,} / {trained.num_test:,}",
        joined(with_interval(value, low, high), bar(trained.value)),
        joined(
            _share(score.untrained_mean, percent),
            styled("span", "small", f" ± {spread}"),
            bar(score.untrained_mean, kind="other"),
        ),
        joined(_share(score.raw, percent), bar(score.raw, kind="other")),
        joined(_share(score.chance, percent), bar(score.chance, kind="other")),
    ]


def _share(value: float, percent: bool) -> str:
    return f"{100 * value:.1f}" if percent else f"{value:.2f}"


def bar(share: float, *, kind: str = "") -> Html:
    """A thin bar of the given share of its width; `kind` is a class of the style sheet."""
    width = 100 * min(max(share, 0.0), 1.0)
    inner = element("span", attributes={"style": f"width:{width:.1f}%"})
    return styled("span", f"bar {kind}".strip(), inner)


def four_digits(value: float) -> str:
    return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
