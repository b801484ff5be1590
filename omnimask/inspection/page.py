"""What was found in a folder, as one HTML page that opens without a network."""

from io import BytesIO

from omnimask.inspection.choice import Choice
from omnimask.inspection.folder import FileSet, Found
from omnimask.inspection.text import labels_text, number, ranges, words
from omnimask.report.drawing.sheet import Sheet, paint
from omnimask.report.html import Html, element, folded, page, paragraphs, picture, section, table


def found_page(found: Found, choice: Choice, *, masks: Sheet, step: str, source: str) -> str:
    """`masks` are drawn on samples; `step` says what a step takes; `source` is the recipe's."""
    buffer = BytesIO()
    paint(masks).save(buffer, format="PNG", optimize=True)
    drawn = picture(buffer.getvalue(), media_type="image/png", alt="Samples and their masks")
    return page(
        f"What is in {found.root}",
        element("header", element("h1", found.root), element("p", _summary(found))),
        *(_set_section(part) for part in found.sets),
        section("Samples with masks", paragraphs([masks.note] if masks.note else []), drawn),
        section("A step", element("pre", step)),
        section(
            "The recipe that was chosen",
            element("ul", *(element("li", reason) for reason in choice.reasons)),
            element("pre", source),
        ),
    )


def _summary(found: Found) -> str:
    files = sum(len(part.names) + len(part.held_out) for part in found.sets)
    broken = sum(len(part.broken) for part in found.sets)
    kinds = ", ".join(dict.fromkeys(part.modality for part in found.sets))
    others = sum(found.others.values())
    rest = f"; {others} files of no known kind" if others else ""
    return f"{files} files ({kinds}), {broken} of those looked at broken{rest}"


def _set_section(part: FileSet) -> Html:
    facts = [
        (what, number(low), number(middle), number(high))
        for what, low, middle, high in ranges(part.looks)
    ]
    notes = [f"{len(part.names)} files to train on, {len(part.held_out)} held out"]
    notes += [f"held out in {part.held_out_path}"] if part.held_out_path else []
    notes += [labels_text(part.labels)] if part.labels else []
    notes += [f"{what}: {said}" for what, said in words(part.looks)]
    notes += [f"each with: {', '.join(part.also)}"] if part.also else []
    notes += [f"left out: {part.left_out}"] if part.left_out else []
    broken = [element("li", error) for error in part.broken.values()]
    return section(
        f"{part.path}: {part.modality}",
        paragraphs(notes),
        table(("", "lowest", "middle", "highest"), facts),
        *([folded(f"{len(broken)} broken files", element("ul", *broken))] if broken else []),
    )
