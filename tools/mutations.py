"""Single changes to the core that some test must notice; tools/mutate.py tries them.

A mutation is found by its text, which stands once in `omnimask` or `modalities`, so that files may
move. Its tests are named by file, wherever that lies, narrowest first. A change that nothing can
tell from the original does not belong here.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Mutation:
    """`old` becomes `new`; `breaks` says what is then wrong; `tests` ought to notice."""

    name: str
    old: str
    new: str
    breaks: str
    tests: tuple[str, ...]


OBJECTIVES_AND_REDUCTION = (
    Mutation(
        name="align-forgets-start",
        old="ids = (plan.predict_ids - span.start).clamp(0, len(span) - 1)",
        new="ids = plan.predict_ids.clamp(0, len(span) - 1)",
        breaks="tokens of a second modality are compared with other tokens' truth",
        tests=("objectives/test_objective.py",),
    ),
    Mutation(
        name="align-wrong-sample-of-copies",
        old=("[:, None] // plan.copies\n        return values[samples, ids]"),
        new=("[:, None] % values.shape[0]\n        return values[samples, ids]"),
        breaks="the second copy of a sample is compared with another sample's truth",
        tests=("objectives/test_objective.py",),
    ),
    Mutation(
        name="align-forgets-known",
        old="return taken & encoded.at_predicted(known, self.modality)",
        new="return taken",
        breaks="tokens without truth count",
        tests=("objectives/test_objective.py",),
    ),
    Mutation(
        name="where-ignored",
        old='taken = taken & (visible if self.where == "visible" else ~visible)',
        new="pass",
        breaks="hidden and visible tokens count alike",
        tests=("objectives/test_objective.py",),
    ),
    Mutation(
        name="where-swapped",
        old='if self.where == "visible" else ~visible)',
        new='if self.where == "hidden" else ~visible)',
        breaks="hidden tokens count where visible ones are meant",
        tests=("objectives/test_objective.py",),
    ),
    Mutation(
        name="asked-forgets-padding",
        old="return (ids >= span.start) & (ids < span.stop) & self.plan.predict_ok",
        new="return (ids >= span.start) & (ids < span.stop)",
        breaks="padding of short rows counts as token 0",
        tests=("objectives/test_objective.py",),
    ),
    Mutation(
        name="visible-padding",
        old="flags_of(self.visible_ids, self.visible_ok, num_tokens)",
        new="flags_of(self.visible_ids, self.visible_ids >= 0, num_tokens)",
        breaks="token 0 counts as visible in every short row",
        tests=("objectives/test_objective.py",),
    ),
    Mutation(
        name="unknown-losses-summed",
        old="return torch.where(counted, losses, 0.0)",
        new="return losses",
        breaks="losses of tokens without truth are in the sum",
        tests=("objectives/test_objective.py",),
    ),
    Mutation(
        name="count-of-everything",
        old="counts[objective.name] = counted.sum(dtype=torch.float32)",
        new="counts[objective.name] = counted.numel()",
        breaks="the mean is over tokens that have no loss, too",
        tests=(
            "training/test_step.py::test_a_step_counts_the_predicted_tokens_of_each_modality",
            "training/test_optimisation.py",
        ),
    ),
    Mutation(
        name="counts-not-added",
        old="count=self.count + other.count",
        new="count=self.count",
        breaks="a second group's tokens are not counted",
        tests=("objectives/test_objective.py",),
    ),
    Mutation(
        name="weight-ignored",
        old="weights.get(name, 1.0) * part.total",
        new="part.total",
        breaks="every objective weighs 1 in the total loss",
        tests=("objectives/test_objective.py",),
    ),
    Mutation(
        name="own-loss-unweighted-default",
        old="weights.get(name, 1.0) * part.total",
        new="weights.get(name, 0.0) * part.total",
        breaks="a codebook's own loss is dropped",
        tests=("objectives/test_objective.py",),
    ),
    Mutation(
        name="mean-over-micro-batch",
        old="/ counts[name].clamp_min(1.0)",
        new="/ part.count.clamp_min(1.0)",
        breaks="each micro-batch is a mean of its own",
        tests=("objectives/test_objective.py",),
    ),
    Mutation(
        name="empty-divides-by-zero",
        old="/ counts[name].clamp_min(1.0)",
        new="/ counts[name]",
        breaks="a modality with nothing to predict adds NaN",
        tests=("objectives/test_objective.py",),
    ),
)

LOSSES = (
    Mutation(
        name="mse-sums",
        old="return (predicted - truth).square().mean(dim=-1)",
        new="return (predicted - truth).square().sum(dim=-1)",
        breaks="squared errors are summed over values",
        tests=("objectives/test_losses.py",),
    ),
    Mutation(
        name="ranking-reversed",
        old="harder = losses[:, :, None] > losses[:, None, :]",
        new="harder = losses[:, :, None] < losses[:, None, :]",
        breaks="the loss predictor learns the opposite order",
        tests=("objectives/test_losses.py",),
    ),
    Mutation(
        name="ranking-counts-padding",
        old="pairs = (harder | easier) & counted[:, :, None] & counted[:, None, :]",
        new="pairs = (harder | easier) & counted[:, :, None]",
        breaks="tokens that do not count are compared with",
        tests=("objectives/test_losses.py",),
    ),
    Mutation(
        name="temperature-ignored",
        old="(predicted / self.temperature).log_softmax(dim=-1)",
        new="predicted.log_softmax(dim=-1)",
        breaks="the temperature has no effect",
        tests=("objectives/test_losses.py",),
    ),
    Mutation(
        name="hard-classes-off",
        old="classes = truth.squeeze(-1).long()",
        new="classes = truth.squeeze(-1).long().clamp_min(1)",
        breaks="class 0 is taken for class 1",
        tests=("objectives/test_losses.py",),
    ),
)

COUNTS_OF_A_STEP = (
    Mutation(
        name="codebook-counted-per-row",
        old="visible = sum(encoded.plan.num_visible)",
        new="visible = len(encoded.plan.num_visible)",
        breaks="a decoder's own loss is divided by rows instead of tokens",
        tests=("decoders/test_quantised.py::test_its_own_loss_is_a_mean_over_visible_tokens",),
    ),
    Mutation(
        name="only-last-micro-batch-counted",
        old="counted[name] = counted[name] + count if name in counted else count",
        new="counted[name] = count",
        breaks="the loss of an accumulated step is divided by the last micro-batch's count",
        tests=("training/test_loop.py::test_accumulation_equals_one_large_batch",),
    ),
    Mutation(
        name="counts-without-late-targets",
        old="encoded.counted[objective.name] = counted\n",
        new="encoded.counted[objective.name] = ~counted\n",
        breaks="counted ahead, a late target has other tokens than in the step",
        tests=("training/test_teacher_network.py::test_counts_ahead_hold_for_late_targets_too",),
    ),
    Mutation(
        name="truth-of-first-view",
        old="self.losses(masked, truth, outcome)",
        new="self.losses(masked, truths[0], outcome)",
        breaks="every group is compared with the first group's truth",
        tests=("training/test_step.py",),
    ),
)

TARGETS = (
    Mutation(
        name="content-biased-variance",
        old="variance, mean = torch.var_mean(parts, dim=-2, keepdim=True)",
        new="variance, mean = torch.var_mean(parts, dim=-2, keepdim=True, correction=0)",
        breaks="patches are normalised by the biased variance",
        tests=("objectives/test_targets.py",),
    ),
    Mutation(
        name="content-over-channels",
        old='self.num_channels if self.norm == "channel" else 1',
        new="1",
        breaks="channels are normalised together",
        tests=("objectives/test_targets.py",),
    ),
    Mutation(
        name="teacher-features-first-layer",
        old="mean = torch.stack(layers).mean(dim=0)",
        new="mean = layers[0]",
        breaks="only the first of several layers is a target",
        tests=("objectives/test_targets.py",),
    ),
    Mutation(
        name="instance-norm-over-padding",
        old="weight = valid[:, :, None].float()\n            count",
        new="weight = torch.ones_like(features[:, :, :1])\n            count",
        breaks="padding moves the statistics of a sample",
        tests=("objectives/test_targets.py",),
    ),
    Mutation(
        name="average-not-normalised",
        old="if self.layer_norm_mean else mean",
        new="if not self.layer_norm_mean else mean",
        breaks="the average of layers is normalised where it should not be",
        tests=("objectives/test_targets.py",),
    ),
    Mutation(
        name="pooled-over-padding",
        old="weight = self.known(tokens)[:, :, None].to(values.dtype)",
        new="weight = torch.ones_like(values[:, :, :1])",
        breaks="the pooled target is an average with padding",
        tests=("objectives/test_targets.py",),
    ),
    Mutation(
        name="late-loss-forgets-counted",
        old="torch.stack([encoded.losses[self.objective], counted.float()]",
        new="torch.stack([encoded.losses[self.objective], torch.ones_like(counted.float())]",
        breaks="tokens without a loss are ranked",
        tests=("objectives/test_late_targets.py",),
    ),
    Mutation(
        name="own-copy",
        old="return _partner(placed.scatter_add_(1, ids, real)).gather(1, ids)",
        new="return placed.scatter_add_(1, ids, real).gather(1, ids)",
        breaks="a copy agrees with itself",
        tests=("objectives/test_late_targets.py",),
    ),
    Mutation(
        name="copy-padding-on-token-0",
        old="real = torch.where(plan.predict_ok[:, :, None], features, 0.0)",
        new="real = features",
        breaks="padding is added to token 0 of the other copy",
        tests=("objectives/test_late_targets.py",),
    ),
    Mutation(
        name="teacher-cut-at-zero",
        old="self.teacher[output][:, span.start : span.stop]",
        new="self.teacher[output][:, : span.stop - span.start]",
        breaks="a second modality's target is the first one's features",
        tests=(
            "training/test_teacher_network.py::test_every_modality_is_asked_for_the_features_of_its_own_tokens",
        ),
    ),
)

PACKING = (
    Mutation(
        name="slots-of-longest",
        old="width * np.arange(len(lengths))",
        new="max(lengths) * np.arange(len(lengths))",
        breaks="rows padded beyond the longest are mixed",
        tests=("tokens/test_rows.py",),
    ),
    Mutation(
        name="rows-reversed",
        old="np.repeat(np.arange(len(lengths)), lengths)",
        new="np.repeat(np.arange(len(lengths)), lengths[::-1])",
        breaks="tokens are given to rows by the lengths of others",
        tests=("tokens/test_rows.py",),
    ),
    Mutation(
        name="padding-of-ones",
        old="padded = packed.new_zeros(len(lengths) * width",
        new="padded = packed.new_ones(len(lengths) * width",
        breaks="padding is one instead of zero",
        tests=("tokens/test_rows.py",),
    ),
    Mutation(
        name="parts-not-interleaved",
        old="lengths.T.cumsum().reshape(lengths.T.shape).T",
        new="lengths.cumsum().reshape(lengths.shape)",
        breaks="ragged parts stand one after another",
        tests=("tokens/test_rows.py",),
    ),
    Mutation(
        name="separate-not-inverse",
        old="order[inverse] = np.arange(len(inverse))",
        new="order[:] = inverse",
        breaks="ragged parts come apart wrongly",
        tests=("tokens/test_rows.py",),
    ),
)

ATTENTION = (
    Mutation(
        name="keys-of-padding",
        old="return real if mask is None else",
        new="return None if mask is None else",
        breaks="padding of short rows is attended to",
        tests=("network/test_attention.py",),
    ),
    Mutation(
        name="plain-scale",
        old="scores = (q * q.shape[-1] ** -0.5) @ k",
        new="scores = (q * q.shape[-1] ** -1.0) @ k",
        breaks="scores are divided by the width instead of its root",
        tests=("network/test_attention.py",),
    ),
    Mutation(
        name="plain-mask-inverted",
        old='scores.masked_fill(~mask, float("-inf"))',
        new='scores.masked_fill(mask, float("-inf"))',
        breaks="only masked keys are attended to",
        tests=("network/test_attention.py",),
    ),
    Mutation(
        name="rotation-mirrors",
        old="first * cos - second * sin",
        new="first * cos + second * sin",
        breaks="pairs are not rotated",
        tests=("network/test_attention.py",),
    ),
    Mutation(
        name="queries-alone-rotated",
        old="q, k = rotate(q, packing.angles), rotate(k, packing.angles)",
        new="q = rotate(q, packing.angles)",
        breaks="keys are not rotated",
        tests=("network/test_attention.py",),
    ),
    Mutation(
        name="bias-lets-padding-in",
        old='else mask.masked_fill(~real, float("-inf"))',
        new="else mask",
        breaks="with a relative bias padding is attended to",
        tests=("network/test_attention.py", "network/test_relative.py"),
    ),
    Mutation(
        name="bias-of-first-group",
        old="for entries in packing.pairs]",
        new="for entries in packing.pairs[:1] * len(packing.pairs)]",
        breaks="every group has the first group's distances",
        tests=("network/test_relative.py",),
    ),
    Mutation(
        name="keys-not-normalised",
        old="self.q_norm(q).to(v.dtype), self.k_norm(k).to(v.dtype)",
        new="self.q_norm(q).to(v.dtype), k",
        breaks="qk_norm leaves the keys as they are",
        tests=("network/test_attention.py",),
    ),
    Mutation(
        name="varlen-query-bounds",
        old="for n in (lengths, key_lengths)\n",
        new="for n in (lengths, lengths)\n",
        breaks="variable-length attention cuts keys where queries end",
        tests=("network/test_attention.py",),
    ),
    Mutation(
        name="varlen-longest",
        old="max(lengths), max(key_lengths))",
        new="max(lengths), max(lengths))",
        breaks="variable-length attention takes the longest row of queries for keys",
        tests=("network/test_attention.py",),
    ),
    Mutation(
        name="allowed-ignored",
        old="return [packing.allowed]",
        new="return None",
        breaks="narrowed attention is not narrowed",
        tests=("network/test_attention.py",),
    ),
)

POSITIONS = (
    Mutation(
        name="cos-before-sin",
        old="[angles.sin(), angles.cos()], dim=2",
        new="[angles.cos(), angles.sin()], dim=2",
        breaks="sine and cosine change places",
        tests=("network/test_positions.py",),
    ),
    Mutation(
        name="scale-ignored",
        old="coords.float()[:, :, None] * self.scale * self.frequencies",
        new="coords.float()[:, :, None] * self.frequencies",
        breaks="units of coordinates are not scaled",
        tests=("network/test_positions.py",),
    ),
    Mutation(
        name="trained-axes-from-the-edge",
        old="(x + 0.5) * axis.step - 0.5",
        new="x * axis.step",
        breaks="cells of another size stand half a cell aside",
        tests=("network/test_trained_axis.py",),
    ),
    Mutation(
        name="interpolation-reversed",
        old="table[low] * (1 - share) + table[(low + 1).clamp_max(last)] * share",
        new="table[low] * share + table[(low + 1).clamp_max(last)] * (1 - share)",
        breaks="learned positions are read backwards between rows",
        tests=("network/test_positions.py",),
    ),
    Mutation(
        name="table-columns-first",
        old="cell = cell * size + coords[:, axis].round().long().clamp(0, size - 1)",
        new="cell = cell + size * coords[:, axis].round().long().clamp(0, size - 1)",
        breaks="cells of a table collide",
        tests=("network/test_positions.py",),
    ),
    Mutation(
        name="extent-ignored",
        old="(axis - shift) * (2.0 / max(size, 1e-6))",
        new="(axis - shift) * 2.0",
        breaks="rotary angles count units instead of extents",
        tests=("network/test_positions.py",),
    ),
    Mutation(
        name="centre-of-cells",
        old="(size - 1) / 2 if style.centred",
        new="size / 2 if style.centred",
        breaks="the middle of a grid lies half a cell aside",
        tests=("network/test_positions.py",),
    ),
    Mutation(
        name="rotary-period-of-wrong-end",
        old="self.min_period * (self.max_period / self.min_period) ** steps",
        new="self.max_period * (self.max_period / self.min_period) ** steps",
        breaks="periods start at the longest",
        tests=("network/test_positions.py",),
    ),
    Mutation(
        name="distance-reversed",
        old="entry = query + cell[:, :, None] - cell[:, None, :]",
        new="entry = query - cell[:, :, None] + cell[:, None, :]",
        breaks="left and right of the relative bias change places",
        tests=("network/test_relative.py",),
    ),
    Mutation(
        name="relative-other-sample",
        old="APART)\n",
        new="query)\n",
        breaks="cells of several modalities share distances",
        tests=("network/test_relative.py",),
    ),
)

ENCODER = (
    Mutation(
        name="prefix-rotated",
        old="angles.new_zeros(num_prefix, angles.shape[1])",
        new="angles.new_ones(num_prefix, angles.shape[1])",
        breaks="[CLS] and registers have a place",
        tests=("network/test_encoder.py",),
    ),
    Mutation(
        name="places-once",
        old="if packing.positions is not None:\n",
        new="if False:\n",
        breaks="places_every_block adds no places at all",
        tests=("network/test_encoder.py",),
    ),
    Mutation(
        name="modality-vector-dropped",
        old="return self.positions[modality](coords) + vector",
        new="return self.positions[modality](coords)",
        breaks="tokens do not say which modality they are of",
        tests=("network/test_encoder.py",),
    ),
    Mutation(
        name="mask-tokens-without-places",
        old="masked, about_masked = self._placed(masks, layout, hidden)",
        new="masked, about_masked = masks, self._placed(masks, layout, hidden)[1]",
        breaks="mask tokens do not know where they stand",
        tests=("network/test_encoder.py",),
    ),
    Mutation(
        name="sample-of-copies",
        old=("[:, None] // copies\n    return Rows"),
        new=("[:, None] % max(ids.shape[0] // copies, 1)\n    return Rows"),
        breaks="the second copy of a sample reads another sample",
        tests=("network/test_encoder.py",),
    ),
    Mutation(
        name="layers-shifted",
        old="entries = [0, *(1 + among.index(layer) for layer in layers)]",
        new="entries = [0, *(among.index(layer) for layer in layers)]",
        breaks="a decoder reads the layer before the one it asked for",
        tests=("network/test_encoder.py",),
    ),
    Mutation(
        name="layers-sorted",
        old="*(outputs[number] for number in numbers)]",
        new="*(outputs[number] for number in sorted(numbers))]",
        breaks="layers come in another order than asked",
        tests=("network/test_encoder.py",),
    ),
    Mutation(
        name="layers-before-blocks",
        old="                outputs[number] = x\n",
        new="                outputs[number] = x * 1.5\n",
        breaks="returned layers are scaled",
        tests=("network/test_encoder.py",),
    ),
    Mutation(
        name="same-rows-dropped",
        old="kept = [rng.child(self.name).uniform(1)",
        new="kept = [rng.uniform(1)",
        breaks="every block drops the same rows",
        tests=("network/test_blocks.py",),
    ),
    Mutation(
        name="drop-path-unscaled",
        old="/ (1.0 - self.probability))",
        new="/ 1.0)",
        breaks="kept branches are not scaled up",
        tests=("network/test_blocks.py",),
    ),
    Mutation(
        name="drop-path-in-evaluation",
        old="if not self.training or self.probability == 0.0",
        new="if self.probability == 0.0",
        breaks="branches are dropped in evaluation",
        tests=("network/test_blocks.py",),
    ),
    Mutation(
        name="drop-path-constant",
        old="drop_path=config.drop_path * layer / last",
        new="drop_path=config.drop_path",
        breaks="all blocks drop as often as the last",
        tests=("network/test_blocks.py",),
    ),
    Mutation(
        name="branch-names-alike",
        old='name=f"block {layer}"',
        new='name="block"',
        breaks="all blocks have one stream of dropped branches",
        tests=("network/test_blocks.py",),
    ),
    Mutation(
        name="residual-lost",
        old="x = x + self.drop1(self.scale1(attended), packing)",
        new="x = self.drop1(self.scale1(attended), packing)",
        breaks="attention replaces the stream",
        tests=("network/test_blocks.py", "test_timm.py"),
    ),
    Mutation(
        name="cross-residual-lost",
        old="x = x + self.scale1(attended)\n",
        new="x = self.scale1(attended)\n",
        breaks="cross-attention replaces the stream",
        tests=("network/test_blocks.py",),
    ),
)

MASKING = (
    Mutation(
        name="counts-rounded-up",
        old="math.ceil(share * total - 0.5 - _SLACK)",
        new="math.ceil(share * total)",
        breaks="one token too many stays visible",
        tests=("masking/test_ratio.py",),
    ),
    Mutation(
        name="nothing-hidden",
        old="max(num_valid - 1, min(num_valid, 1))",
        new="num_valid",
        breaks="a mask may hide nothing",
        tests=("masking/test_ratio.py",),
    ),
    Mutation(
        name="one-stream-for-all-modalities",
        old=("SpanChoice.by_ratio(self.ratio, rng.child(span.modality).uniform(len(span)), span)"),
        new="SpanChoice.by_ratio(self.ratio, rng.uniform(len(span)), span)",
        breaks="modalities of one length have one mask",
        tests=("masking/test_random.py",),
    ),
    Mutation(
        name="padding-ranked",
        old="scores.masked_fill(~valid, torch.inf).argsort",
        new="scores.argsort",
        breaks="padding is shown",
        tests=("masking/test_plan.py",),
    ),
    Mutation(
        name="one-more-is-real",
        old="real = torch.arange(width, device=values.device) < per_row",
        new="real = torch.arange(width, device=values.device) <= per_row",
        breaks="short rows have a token 0 too many",
        tests=("masking/test_plan.py",),
    ),
    Mutation(
        name="surplus-overwrites",
        old="torch.where(flags, flags.cumsum(dim=1) - 1, width)",
        new="torch.where(flags, flags.cumsum(dim=1) - 1, width - 1)",
        breaks="ids that are not chosen overwrite the last",
        tests=("masking/test_plan.py",),
    ),
    Mutation(
        name="merged-without-start",
        old="[p.predict_ids + start for p, start in zip(plans, starts)]",
        new="[p.predict_ids for p, start in zip(plans, starts)]",
        breaks="a second modality's predictions are asked of the first",
        tests=("masking/test_plan.py",),
    ),
    Mutation(
        name="input-only-predicted",
        old="[n - k if n else 0 for n, k in",
        new="[n - k for n, k in",
        breaks="an input-only modality has tokens to predict",
        tests=("masking/test_plan.py",),
    ),
    Mutation(
        name="visible-predicted-jointly",
        old=(
            "layout.scorable & ~visible,\n"
            "            num_visible=num_visible,\n"
            "            num_predict=tuple(n - k"
        ),
        new=(
            "layout.scorable,\n"
            "            num_visible=num_visible,\n"
            "            num_predict=tuple(n - k"
        ),
        breaks="a joint plan predicts what it shows",
        tests=("masking/test_plan.py",),
    ),
    Mutation(
        name="plans-thinned-alike",
        old="self._thin(plan, drawn.child(number).repeat(plan.copies))",
        new="self._thin(plan, drawn.repeat(plan.copies))",
        breaks="several plans of a sample predict the same share",
        tests=("masking/test_predict.py",),
    ),
    Mutation(
        name="copies-alike",
        old="self.masker(layout.repeat(self.copies), rng.repeat(self.copies), hints, progress)",
        new=(
            "self.masker(layout.repeat(self.copies), "
            "Rng(keys=rng.keys.repeat_interleave(self.copies)), hints, progress)"
        ),
        breaks="all copies of a sample have one mask",
        tests=("masking/test_copies.py",),
    ),
    Mutation(
        name="layout-copies-tiled",
        old="valid=self.valid.repeat_interleave(copies, dim=0)",
        new="valid=self.valid.repeat(copies, 1)",
        breaks="copies have other samples' valid tokens",
        tests=("tokens/test_tokens.py",),
    ),
    Mutation(
        name="layout-counts-tiled",
        old=("return tuple(count for count in counts for _ in range(copies))\n\n\n@dataclass"),
        new=("return counts * copies\n\n\n@dataclass"),
        breaks="copies have other samples' counts",
        tests=("tokens/test_tokens.py",),
    ),
    Mutation(
        name="spans-overlap",
        old=("            start = stop\n        return cls("),
        new=("            start = 0\n        return cls("),
        breaks="modalities of a sequence stand on one another",
        tests=("tokens/test_tokens.py",),
    ),
)

DECODERS = (
    Mutation(
        name="padding-is-visible",
        old="counts.scatter_add(1, plan.visible_ids, plan.visible_ok.long())",
        new="counts.scatter_add(1, plan.visible_ids, torch.ones_like(plan.visible_ids))",
        breaks="token 0 of short rows is taken for visible",
        tests=("decoders/test_decoder.py",),
    ),
    Mutation(
        name="placed-side-by-side",
        old=(
            "placed = placed.scatter_add(1, plan.visible_ids[:, :, None].expand_as(padded), padded)"
        ),
        new="placed = torch.cat([padded, placed[:, padded.shape[1] :]], dim=1)",
        breaks="visible tokens are put at the front of the sequence",
        tests=("decoders/test_decoder.py",),
    ),
    Mutation(
        name="surplus-not-zero",
        old="return sequence.gather(1, ids) * plan.predict_ok[:, :, None]",
        new="return sequence.gather(1, ids)",
        breaks="surplus ids have token 0's vector",
        tests=("decoders/test_decoder.py",),
    ),
    Mutation(
        name="present-without-scorable",
        old="return (layout.valid | layout.scorable).repeat_interleave",
        new="return layout.valid.repeat_interleave",
        breaks="tokens that can only be predicted are absent from decoders",
        tests=("decoders/test_decoder.py", "decoders/test_span.py"),
    ),
    Mutation(
        name="queries-without-places",
        old="x = self.mask_token + self.places(layout, encoded.packed_predict())\n",
        new="x = self.mask_token.expand(sum(plan.num_predict), -1)\n",
        breaks="mask tokens of cross-attention do not know where they stand",
        tests=("decoders/test_every_decoder.py",),
    ),
    Mutation(
        name="one-mix-for-all-blocks",
        old="_weighted(contexts, self.mix[number])",
        new="_weighted(contexts, self.mix[0])",
        breaks="all blocks read the first block's mix",
        tests=("decoders/test_cross_attention.py",),
    ),
    Mutation(
        name="whole-rows-forget-what-was-visible",
        old="content = torch.where(is_visible[:, :, None], placed, mask_token.to(placed.dtype))",
        new="content = mask_token.to(placed.dtype).expand_as(placed)",
        breaks="visible tokens enter the decoder as mask tokens",
        tests=("decoders/test_self_attention.py",),
    ),
    Mutation(
        name="span-slots-from-one",
        old="slots = (present.long().cumsum(dim=1) - 1).clamp_min(0)",
        new="slots = present.long().cumsum(dim=1).clamp(0, max(self.rows.lengths) - 1)",
        breaks="a span's tokens get their neighbours' vectors",
        tests=("decoders/test_span.py",),
    ),
    Mutation(
        name="span-forgets-start",
        old="within = plan.predict_ids - self.start",
        new="within = plan.predict_ids",
        breaks="a second modality's rows are read as the first's",
        tests=("decoders/test_span.py",),
    ),
    Mutation(
        name="windows-never-move",
        old="offset = size - size // 2 if move and length > size else 0",
        new="offset = 0",
        breaks="shifted windows are not shifted",
        tests=("decoders/test_window.py",),
    ),
    Mutation(
        name="windows-join-modalities",
        old="start += 0 if window is None else count",
        new="start += 0",
        breaks="windows join modalities",
        tests=("decoders/test_window.py",),
    ),
)

TEACHER = (
    Mutation(
        name="ema-reversed",
        old="get_ema_multi_avg_fn(decay)(slow, fast, 0)",
        new="get_ema_multi_avg_fn(1.0 - decay)(slow, fast, 0)",
        breaks="the teacher jumps to the student",
        tests=("training/test_step.py::test_the_teacher_follows_slowly",),
    ),
    Mutation(
        name="decay-not-ramped",
        old="(self.final_decay - self.decay) * share",
        new="(self.final_decay - self.decay)",
        breaks="the decay is the final one from the start",
        tests=("recipe/test_teacher.py",),
    ),
    Mutation(
        name="ramp-ignored",
        old="min(progress / self.ramp, 1.0)",
        new="min(progress, 1.0)",
        breaks="the decay rises over the whole run",
        tests=("recipe/test_teacher.py",),
    ),
    Mutation(
        name="decay-one-step-early",
        old="model.after_step((batch.step + 1) / optim.steps)",
        new="model.after_step(batch.step / optim.steps)",
        breaks="the teacher follows by the decay of the step before",
        tests=("training/test_optimisation.py::test_a_run_is_that_of_a_plain_loop[with_teacher]",),
    ),
    Mutation(
        name="teacher-layer-before",
        old="encoded.visible[1 + self.blocks.index(layer) if layer else 0]",
        new="encoded.visible[self.blocks.index(layer) if layer else 0]",
        breaks="a target reads the layer before the one it names",
        tests=("training/test_teacher_network.py::test_targets_get_the_layers_that_they_name",),
    ),
    Mutation(
        name="teacher-trains",
        old="return super().train(False)",
        new="return super().train(mode)",
        breaks="the teacher drops branches while the student trains",
        tests=(
            "training/test_teacher_network.py::test_a_teacher_stays_in_evaluation_while_the_student_trains",
        ),
    ),
    Mutation(
        name="hints-of-others",
        old="predicted = torch.where(mine, predicted, 0.0)",
        new="pass",
        breaks="hints of one modality are put on others",
        tests=(
            "training/test_teacher_network.py::test_hints_are_the_teachers_predictions_for_every_token",
        ),
    ),
)

SCHEDULES_AND_OPTIMISER = (
    Mutation(
        name="warmup-from-zero",
        old="return optim.lr * (step + 1) / optim.warmup_steps",
        new="return optim.lr * step / optim.warmup_steps",
        breaks="the first step has rate zero",
        tests=("training/test_schedules.py",),
    ),
    Mutation(
        name="cosine-from-zero",
        old="share = (step - optim.warmup_steps) / max(end - optim.warmup_steps, 1)",
        new="share = step / optim.steps",
        breaks="the cosine starts before the warm-up ends",
        tests=("training/test_schedules.py",),
    ),
    Mutation(
        name="decay-falls",
        old="_half_cosine(optim.weight_decay, optim.final_weight_decay, step / end)",
        new="_half_cosine(optim.final_weight_decay, optim.weight_decay, step / end)",
        breaks="weight decay runs backwards",
        tests=("training/test_schedules.py",),
    ),
    Mutation(
        name="vectors-decay",
        old="return parameter.ndim >= 2 and not",
        new="return not",
        breaks="biases and norms decay",
        tests=("training/test_schedules.py",),
    ),
    Mutation(
        name="prefix-decays",
        old='and not name.endswith("prefix")',
        new="",
        breaks="[CLS] and registers decay",
        tests=("training/test_schedules.py",),
    ),
    Mutation(
        name="scales-ignored",
        old='group["lr"] = rate * group.get("lr_scale", 1.0)',
        new='group["lr"] = rate',
        breaks="layer-wise rates and those of targets have no effect",
        tests=("training/test_schedules.py",),
    ),
    Mutation(
        name="targets-with-the-model",
        old='"betas": optim.targets.betas,',
        new='"betas": optim.betas,',
        breaks="trained targets have the model's betas",
        tests=("training/test_schedules.py",),
    ),
    Mutation(
        name="prototypes-clipped-together",
        old="parts[is_of_target(name)].append(parameter)",
        new="parts[False].append(parameter)",
        breaks="prototypes are clipped together with the model",
        tests=(
            "training/test_optimisation.py::test_clipping_leaves_the_ratio_of_lengths_within_the_model_and_targets_apart",
        ),
    ),
    Mutation(
        name="never-clipped",
        old="            if clip_norm is not None:\n",
        new="            if False:\n",
        breaks="gradients are not clipped",
        tests=(
            "training/test_optimisation.py::test_clipping_leaves_the_ratio_of_lengths_within_the_model_and_targets_apart",
        ),
    ),
    Mutation(
        name="skip-without-norm",
        old="parts = torch.stack([norm, *(part.total for part in outcome.sums.values())])",
        new="parts = torch.stack([part.total for part in outcome.sums.values()])",
        breaks="a step with NaN gradients is taken",
        tests=(
            "training/test_optimisation.py::test_a_step_with_a_finite_loss_and_no_gradient_is_skipped",
        ),
    ),
    Mutation(
        name="clip-forgets-targets",
        old="norm = torch.where(torch.isfinite(other), norm, other)",
        new="pass",
        breaks="a step with NaN gradients of prototypes is taken",
        tests=(
            "training/test_optimisation.py::test_clipping_leaves_the_ratio_of_lengths_within_the_model_and_targets_apart",
        ),
    ),
)

TRAINING_STEP = (
    Mutation(
        name="sync-with-first",
        old="with nullcontext() if last else",
        new="with nullcontext() if number == 0 else",
        breaks="gradients travel with the first micro-batch instead of the last",
        tests=("test_two_processes.py::test_two_processes_equal_one[accumulating]",),
    ),
    Mutation(
        name="ranks-not-multiplied",
        old="training.accelerator.backward(loss * training.accelerator.num_processes)",
        new="training.accelerator.backward(loss)",
        breaks="gradients are divided by the number of ranks",
        tests=("test_two_processes.py::test_two_processes_equal_one[accumulating]",),
    ),
    Mutation(
        name="counts-of-own-rank",
        old="return _over_ranks(training, counted), hints",
        new="return counted, hints",
        breaks="each rank divides by its own tokens",
        tests=("test_two_processes.py::test_two_processes_equal_one[accumulating]",),
    ),
    Mutation(
        name="loss-waits",
        old="            loss = outcome.loss(weights, counts)\n",
        new=("            loss = outcome.loss(weights, counts)\n            loss.item()\n"),
        breaks="the host waits for the device in every step",
        tests=("training/test_optimisation.py::test_a_step_never_waits_for_the_device",),
    ),
    Mutation(
        name="step-forgets-weights",
        old=(
            "weights = {objective.name: objective.weight for objective in "
            "training.recipe.objectives}\n"
        ),
        new="weights = {}\n",
        breaks="objectives weigh 1 in training, whatever the log says",
        tests=("training/test_optimisation.py::test_a_run_is_that_of_a_plain_loop[weighted]",),
    ),
    Mutation(
        name="teacher-follows-before-the-step",
        old=(
            "    skipped = _apply(training, norm, whole)\n"
            "    model.after_step((batch.step + 1) / optim.steps)\n"
        ),
        new=(
            "    model.after_step((batch.step + 1) / optim.steps)\n"
            "    skipped = _apply(training, norm, whole)\n"
        ),
        breaks="the teacher follows the student of the step before",
        tests=("training/test_optimisation.py::test_a_run_is_that_of_a_plain_loop[with_teacher]",),
    ),
    Mutation(
        name="gradients-pile-up",
        old="training.optimizer.zero_grad(set_to_none=True)",
        new="pass",
        breaks="gradients of former steps are added",
        tests=("training/test_optimisation.py::test_a_run_is_that_of_a_plain_loop[weighted]",),
    ),
    Mutation(
        name="progress-of-next-step",
        old="progress = batch.step / optim.steps",
        new="progress = (batch.step + 1) / optim.steps",
        breaks="masks are those of a later time",
        tests=(
            "training/test_optimisation.py::test_hints_and_masks_are_those_of_the_progress_of_the_run",
        ),
    ),
)

METRICS = (
    Mutation(
        name="skipped-in-the-mean",
        old="summed = torch.where(skipped[:, None] > 0, 0.0, sums_of_steps).sum(dim=0)",
        new="summed = sums_of_steps.sum(dim=0)",
        breaks="skipped steps count into the logged loss",
        tests=("training/test_metrics.py",),
    ),
    Mutation(
        name="own-rank-logged",
        old='summed = self.accelerator.reduce(summed, reduction="sum")',
        new="pass",
        breaks="a rank logs its own loss",
        tests=("test_two_processes.py::test_two_processes_equal_one[accumulating]",),
    ),
    Mutation(
        name="logged-unweighted",
        old="weights.get(name, 1.0) * loss for name, loss in losses.items()",
        new="loss for name, loss in losses.items()",
        breaks="the logged loss has no weights",
        tests=("training/test_metrics.py",),
    ),
    Mutation(
        name="mean-of-means",
        old="losses = {name: total / max(count, 1.0) for name, (total, count) in totals.items()}",
        new="losses = {name: total / len(self.reports) for name, (total, count) in totals.items()}",
        breaks="the logged loss is a sum per step",
        tests=("training/test_metrics.py",),
    ),
    Mutation(
        name="skips-never-reset",
        old="self.skipped_in_a_row + 1 if was_skipped else 0",
        new="self.skipped_in_a_row + 1 if was_skipped else self.skipped_in_a_row",
        breaks="a run stops after many skips that were not in a row",
        tests=("training/test_metrics.py",),
    ),
)

DATA = (
    Mutation(
        name="key-from-index",
        old="return fold_key(self.seed, self.stream.name, epoch, self.name(index))",
        new="return fold_key(self.seed, self.stream.name, epoch, index)",
        breaks="a new file changes the masks of all others",
        tests=("data/test_streams.py",),
    ),
    Mutation(
        name="same-masks-every-epoch",
        old="return fold_key(self.seed, self.stream.name, epoch, self.name(index))",
        new="return fold_key(self.seed, self.stream.name, self.name(index))",
        breaks="every epoch has the same masks",
        tests=("data/test_streams.py",),
    ),
    Mutation(
        name="streams-share-keys",
        old="return fold_key(self.seed, self.stream.name, epoch, self.name(index))",
        new="return fold_key(self.seed, epoch, self.name(index))",
        breaks="streams of the same files have the same masks",
        tests=("data/test_streams.py",),
    ),
    Mutation(
        name="same-order-every-epoch",
        old="labels = self.seed, self.stream.name, epoch",
        new="labels = self.seed, self.stream.name",
        breaks="every epoch has the same order",
        tests=("data/test_streams.py",),
    ),
    Mutation(
        name="order-by-remainder",
        old="        beyond = np.flatnonzero(found >= length)",
        new="        found %= np.uint64(length)\n        beyond = np.flatnonzero(found >= length)",
        breaks="some samples come twice in an epoch and others never",
        tests=("data/test_order.py",),
    ),
    Mutation(
        name="parts-of-groups-lost",
        old="for start in range(0, len(positions), size)",
        new="for start in range(0, len(positions) - size + 1, size)",
        breaks="a group whose samples workers cannot share evenly loses some",
        tests=("data/test_loading.py",),
    ),
    Mutation(
        name="loader-budget-ignored",
        old="max(min(wanted, affordable), 1)",
        new="max(wanted, 1)",
        breaks="workers hold more samples than run.loader_memory_mb",
        tests=("data/test_loading.py",),
    ),
    Mutation(
        name="statistics-of-another-folder",
        old="to_json(files), found.fingerprint)",
        new="to_json(files))",
        breaks="a folder that has changed keeps its old statistics",
        tests=("training/test_fitting.py",),
    ),
    Mutation(
        name="stale-manifest-taken",
        old="if fresh(columns):",
        new="if True:",
        breaks="new files are never seen",
        tests=("data/test_manifest.py",),
    ),
    Mutation(
        name="damaged-manifest-taken",
        old="if _crc32(path) != entry",
        new="if False and _crc32(path) != entry",
        breaks="a flipped bit in a manifest changes a name",
        tests=("data/test_manifest.py",),
    ),
    Mutation(
        name="ranks-overlap",
        old="(number * self._at_once + micro) * batch_size",
        new="(number + micro) * batch_size",
        breaks="ranks and micro-batches take the same samples",
        tests=("data/test_streams.py",),
    ),
    Mutation(
        name="accumulation-forgotten",
        old="micro = self.recipe.optim.accumulate\n",
        new="micro = 1\n",
        breaks="micro-batches take the next step's samples",
        tests=("data/test_streams.py",),
    ),
    Mutation(
        name="resumed-from-zero",
        old="(taken - start[name]) * micro",
        new="taken * micro",
        breaks="a resumed run skips samples",
        tests=("data/test_streams.py",),
    ),
    Mutation(
        name="batch-of-each-process",
        old="size = batch_size // self.per_micro",
        new="size = batch_size",
        breaks="more processes than micro-batches take the same samples twice",
        tests=("recipe/test_batch_share.py",),
    ),
    Mutation(
        name="batch-may-change",
        old="check_batch(recipe, _trained(resumed), source=str(out))",
        new="pass",
        breaks="a run that goes on may have another batch without a word",
        tests=("training/test_going_on.py",),
    ),
    Mutation(
        name="aligned-by-order",
        old="place.take(taken).cast(pa.int64())",
        new="taken.cast(pa.int64())",
        breaks="files of different samples are paired",
        tests=("data/test_streams.py",),
    ),
    Mutation(
        name="held-out-augmented",
        old="self.read(index, Visit(key=key, augment=False)) for index",
        new="self.read(index, Visit(key=key)) for index",
        breaks="held-out samples are augmented",
        tests=("data/test_streams.py",),
    ),
    Mutation(
        name="two-draws-per-sample",
        old="name: read_sample(source, self.row(name, index), visit)",
        new=(
            "name: read_sample(source, self.row(name, index), Visit(key=fold_key(visit.key, name), "
            "augment=visit.augment))"
        ),
        breaks="aligned modalities are augmented apart",
        tests=("data/test_streams.py",),
    ),
    Mutation(
        name="stand-in-by-calls",
        old='index = fold_key(first_key, "replacement", attempt) % len(reader)',
        new=(
            'vars(self).setdefault("calls", []).append(0)\n            index = fold_key(first_key, '
            '"replacement", len(vars(self)["calls"])) % len(reader)'
        ),
        breaks="a bad file's stand-in depends on what a worker read before",
        tests=("data/test_streams.py",),
    ),
    Mutation(
        name="stand-in-with-old-key",
        old="key = reader.key(index, epoch)\n            try",
        new="key = visit\n            try",
        breaks="a stand-in has the key of the bad file",
        tests=("data/test_streams.py",),
    ),
    Mutation(
        name="fitted-on-held-out",
        old="s.files[modality.name] for s in data.streams",
        new="(s.held_out or s.files)[modality.name] for s in data.streams",
        breaks="statistics come from held-out files",
        tests=("data/test_streams.py",),
    ),
    Mutation(
        name="uniform-signed",
        old="return (bits >> count) & ((1 << (64 - count)) - 1)",
        new="return bits >> count",
        breaks="random numbers are negative",
        tests=("foundation/test_rng.py::test_uniform_numbers_are_the_highest_24_bits",),
    ),
    Mutation(
        name="children-alike",
        old="return Rng(keys=_mix((self.keys ^ bits) + _signed(_GOLDEN)))",
        new="return Rng(keys=_mix(self.keys + _signed(_GOLDEN)))",
        breaks="all purposes have one stream",
        tests=("foundation/test_rng.py::test_children_are_independent_of_each_other_and_of_order",),
    ),
)

CHECKPOINTS = (
    Mutation(
        name="no-sync",
        old="        for path in [*own, folder]:\n            _sync(path)\n",
        new="",
        breaks="a checkpoint may be empty after a power cut",
        tests=("training/test_checkpoint.py",),
    ),
    Mutation(
        name="one-too-many-kept",
        old="list_checkpoints(self.run)[: -self.keep]",
        new="list_checkpoints(self.run)[: -self.keep - 1]",
        breaks="one checkpoint too many is kept",
        tests=("training/test_checkpoint.py",),
    ),
    Mutation(
        name="no-copy",
        old='return tensor.to("cpu", copy=True).contiguous()',
        new='return tensor.to("cpu").contiguous()',
        breaks="a checkpoint has weights of later steps",
        tests=("training/test_checkpoint.py",),
    ),
    Mutation(
        name="parts-all-at-the-start",
        old="whole[tuple(slice(o, e) for o, e in zip(part.offsets, end))] = part.values",
        new="whole[: len(part.values)] = part.values",
        breaks="a sharded weight has its parts in one place",
        tests=("training/test_checkpoint.py",),
    ),
    Mutation(
        name="unfinished-listed",
        old="if not path.suffix",
        new="if path.name",
        breaks="half a checkpoint is taken for a whole one",
        tests=("training/test_checkpoint.py",),
    ),
    Mutation(
        name="optimizer-forgotten",
        old="load_optimizer_tensors(model, optimizer, resumed.optimizer)",
        new="pass",
        breaks="a resumed run starts with a new optimizer",
        tests=("training/test_loop.py::test_a_resumed_run_is_bit_equal",),
    ),
    Mutation(
        name="position-forgotten",
        old='samples_seen=resumed.state["samples_seen"] if resumed else None',
        new="samples_seen=None",
        breaks="a resumed run reads from the start",
        tests=("training/test_loop.py::test_a_resumed_run_is_bit_equal",),
    ),
    Mutation(
        name="json-in-place",
        old="temporary.replace(path)",
        new="path.write_text(temporary.read_text())",
        breaks="a record may be half written",
        tests=("training/test_checkpoint.py",),
    ),
)

PROBES = (
    Mutation(
        name="linear-chooses-on-test",
        old="strength = _choose(train)",
        new="strength = _choose(test)",
        breaks="a linear probe chooses its penalty on held-out samples",
        tests=("transfer/probing/test_linear.py",),
    ),
    Mutation(
        name="ridge-chooses-on-test",
        old="choice.fit(train.values, known)",
        new="choice.fit(test.values, truth)",
        breaks="ridge chooses its penalty on held-out samples",
        tests=("transfer/probing/test_linear.py",),
    ),
    Mutation(
        name="strongest-of-equals",
        old="return STRENGTHS[int(np.argmax(scores))]",
        new="return STRENGTHS[-1]",
        breaks="the penalty is not chosen",
        tests=("transfer/probing/test_linear.py",),
    ),
    Mutation(
        name="standardised-by-test",
        old="mean, scale = mean_and_scale(train.values)",
        new="mean, scale = mean_and_scale(test.values)",
        breaks="features are standardised by held-out samples",
        tests=("transfer/probing/test_knn.py",),
    ),
    Mutation(
        name="whitened-by-test",
        old="axes = white_axes(train.values)",
        new="axes = white_axes(test.values)",
        breaks="features are whitened by held-out samples",
        tests=("transfer/probing/test_knn.py",),
    ),
    Mutation(
        name="knn-euclidean",
        old='KNeighborsClassifier(k, metric="cosine"',
        new='KNeighborsClassifier(k, metric="euclidean"',
        breaks="neighbours are by distance",
        tests=("transfer/probing/test_knn.py",),
    ),
    Mutation(
        name="majority-of-test",
        old="return float(np.mean(np.asarray(test.labels) == names[counts.argmax()]))",
        new="return float(np.mean(np.asarray(test.labels) == names[counts.argmin()]))",
        breaks="the baseline is the rarest class",
        tests=("transfer/probing/test_knn.py",),
    ),
    Mutation(
        name="few-shot-same-episodes",
        old='seed, "few-shot", k, episode, str(name))',
        new='seed, "few-shot", k, str(name))',
        breaks="all episodes are one",
        tests=("transfer/probing/test_attentive.py",),
    ),
    Mutation(
        name="pool-with-padding",
        old=(
            "sums.index_add_(0, Rows.of(lengths).row_of_token(packed.device), packed)\n"
            "    return sums / torch.tensor(lengths, "
            "device=packed.device).clamp_min(1)[:, None]"
        ),
        new=(
            "sums.index_add_(0, Rows.of(lengths).row_of_token(packed.device), packed)\n"
            "    return sums / max(lengths)"
        ),
        breaks="the mean of a short sample is too small",
        tests=("transfer/probing/test_knn.py",),
    ),
    Mutation(
        name="register-for-cls",
        old="unflatten(0, (-1, encoded.num_prefix))[:, 0]",
        new="unflatten(0, (-1, encoded.num_prefix))[:, -1]",
        breaks="a register is taken for [CLS]",
        tests=("network/test_pooling.py",),
    ),
)

FINE_TUNING = (
    Mutation(
        name="own-statistics",
        old="return replace(recipe, encoder=encoder, modalities=adapted.info.modalities), adapted",
        new="return replace(recipe, encoder=encoder, modalities=_fitted(recipe)), adapted",
        breaks="fine-tuning takes its own data's statistics",
        tests=("transfer/finetuning/test_run.py::test_statistics_are_those_of_pretraining",),
    ),
    Mutation(
        name="average-reversed",
        old="update_ema(self.average, self, decay)",
        new="update_ema(self.average, self, 1.0 - decay)",
        breaks="the average of weights jumps",
        tests=("transfer/finetuning/test_model.py",),
    ),
    Mutation(
        name="rates-upside-down",
        old="return decay ** (depth + 1 - layer_of(name, depth))",
        new="return decay ** layer_of(name, depth)",
        breaks="the first layer learns fastest",
        tests=("transfer/finetuning/test_layers.py",),
    ),
    Mutation(
        name="mixed-with-itself",
        old="other = torch.where(part.valid.flip(0)[:, :, None], part.values.flip(0), 0.0)",
        new="other = torch.where(part.valid.flip(0)[:, :, None], part.values, 0.0)",
        breaks="samples are mixed with themselves",
        tests=("transfer/finetuning/test_mixing.py",),
    ),
    Mutation(
        name="class-weights-uncounted",
        old="return (targets * constant(self.class_weights, targets.device)).sum()",
        new="return _num_rows(targets)",
        breaks="the weighted loss is divided by samples instead of weights",
        tests=("transfer/finetuning/test_tasks.py",),
    ),
    Mutation(
        name="best-forgotten",
        old='self.best = dict(resumed.state["best"])',
        new="pass",
        breaks="a resumed run forgets its best score",
        tests=("transfer/finetuning/test_run.py::test_a_resumed_run_goes_on_with_its_best_score",),
    ),
    Mutation(
        name="batch-norm-biased",
        old="self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)",
        new="self.running_var.lerp_(variance, self.momentum)",
        breaks="several processes keep another variance than one",
        tests=("transfer/finetuning/test_batch_norm.py",),
    ),
)

IMPUTATION = (
    Mutation(
        name="observed-overwritten",
        old='"number": torch.where(missing, restored[..., NUMBER], number)',
        new='"number": restored[..., NUMBER]',
        breaks="observed numbers are replaced by predictions",
        tests=("test_tabular_impute.py",),
    ),
    Mutation(
        name="gaps-of-padding",
        old="(torch.arange(present.shape[1], device=present.device) < ends[:, None]) & ~present",
        new="~present",
        breaks="padding of narrower tables is filled",
        tests=("test_tabular_impute.py",),
    ),
    Mutation(
        name="imputed-surplus",
        old="kept = torch.where(plan.predict_ok[:, :, None], predicted.float(), 0.0)",
        new="kept = predicted.float()",
        breaks="surplus predictions are added to token 0",
        tests=("test_tabular_impute.py",),
    ),
    Mutation(
        name="units-forgotten",
        old="values = values * scale + mean\n",
        new="values = values * scale\n",
        breaks="imputed numbers are off by the column's mean",
        tests=("test_tabular_impute_files.py",),
    ),
    Mutation(
        name="draws-are-the-first",
        old="spread = float(inside[1:].std(correction=0)) if drawn else None",
        new="spread = float(inside[:1].std(correction=0)) if drawn else None",
        breaks="imputed numbers have no spread",
        tests=("test_tabular_impute_files.py",),
    ),
    Mutation(
        name="visible-restored",
        old="values = torch.where(visible[:, :, None], tokens.values, restored)",
        new="values = restored",
        breaks="visible tokens are replaced by predictions",
        tests=("transfer/imputing/test_restore.py",),
    ),
    Mutation(
        name="restored-side-by-side",
        old="return placed.scatter_(1, ids, predicted.float())",
        new="return torch.cat([predicted.float(), placed[:, predicted.shape[1] :]], dim=1)",
        breaks="predictions stand at the wrong tokens",
        tests=("transfer/imputing/test_restore.py",),
    ),
    Mutation(
        name="whole-rows-out-of-order",
        old="raw = impute_cells(model, reader.held_out_group(indices))",
        new="raw = impute_cells(model, reader.held_out_group(indices[::-1]))",
        breaks="filled rows are joined to others",
        tests=("test_tabular_impute.py",),
    ),
)

PROTOTYPES_AND_CODEBOOKS = (
    Mutation(
        name="sinkhorn-columns-last",
        old="assigned /= assigned.sum(dim=-1, keepdim=True).clamp_min_(least)",
        new="pass",
        breaks="rows are no distributions",
        tests=("objectives/test_sinkhorn.py",),
    ),
    Mutation(
        name="prototypes-train-teacher",
        old="features = F.normalize(teacher[0].detach().float()",
        new="features = F.normalize(teacher[0].float()",
        breaks="gradient reaches the teacher",
        tests=("objectives/test_clusters.py",),
    ),
    Mutation(
        name="codes-jump",
        old="kept = torch.where(self.usage[:, None] > 0, self.decay, 0.0)",
        new="kept = torch.zeros_like(self.usage[:, None])",
        breaks="codes follow one batch",
        tests=("objectives/test_codebook.py",),
    ),
    Mutation(
        name="kmeans-nearest",
        old="ids = (z @ centers.T).argmax(dim=-1)",
        new="ids = (z @ centers.T).argmin(dim=-1)",
        breaks="vectors go to the farthest centre",
        tests=("objectives/test_kmeans.py",),
    ),
)

VOLUMES_AND_SERIES = (
    Mutation(
        name="axes-run-backwards",
        old="cuts[axis] = slice(length - part.stop, length - part.start) if back else part",
        new="cuts[axis] = part",
        breaks="a box of a scan that is stored backwards is read from the other end",
        tests=("modalities/test_volume.py",),
    ),
    Mutation(
        name="classes-from-elsewhere",
        old="view = random_view(scan, grain, visit, zoom=files.zoom, flip=files.flip)",
        new="view = random_view(scan, grain, visit, zoom=files.zoom, flip=(0.0, 0.0, 0.0))",
        breaks="classes are not mirrored with their scan",
        tests=("modalities/test_volume.py::test_classes_follow_their_scans",),
    ),
    Mutation(
        name="gaps-are-shown",
        old="return known.unflatten(1, (-1, self.patch)).all(dim=2).flatten(1)",
        new="return known.unflatten(1, (-1, self.patch)).any(dim=2).flatten(1)",
        breaks="a token with a gap in it is shown and predicted",
        tests=("modalities/test_series.py",),
    ),
    Mutation(
        name="holes-are-bridged",
        old="return np.where(hole, np.nan, mixed), wanted_s",
        new="return mixed, wanted_s",
        breaks="what lies between two times far apart is made up",
        tests=("modalities/test_series.py",),
    ),
)

GUIDES_AND_DEPTHS = (
    Mutation(
        name="still-tokens-are-hidden",
        old='scores = likely + noise if self.hide == "high" else -(likely + noise)',
        new='scores = noise - likely if self.hide == "high" else likely - noise',
        breaks="what moves is shown, and what is still hidden",
        tests=("masking/test_by_hint.py",),
    ),
    Mutation(
        name="change-across-a-gap",
        old="change = values.diff(dim=1).abs().mean(dim=-1).masked_fill(~both, 0.0)",
        new="change = values.diff(dim=1).abs().mean(dim=-1)",
        breaks="the zeros of a gap count as motion",
        tests=("masking/test_by_hint.py",),
    ),
    Mutation(
        name="change-within-tokens",
        old="return (there & after).movedim(1, axis).flatten(1)",
        new="return there.movedim(1, axis).flatten(1)",
        breaks="the last step before a gap is compared with nothing",
        tests=("objectives/test_change.py",),
    ),
    Mutation(
        name="one-depth-for-all",
        old="self.entries = [1 + layers.index(layer) for layer in config.layers_read]",
        new="self.entries = [1 for layer in config.layers_read]",
        breaks="all blocks of a DepthDecoder read one depth",
        tests=("decoders/test_depth.py",),
    ),
)

RECIPE_PARTS = (
    Mutation(
        name="snapshot-student-stays",
        old='if not name.startswith("teacher."):\n                value.copy_(like(fresh',
        new='if name.startswith("teacher."):\n                value.copy_(like(fresh',
        breaks="the teacher is drawn anew at a stage, and the student goes on",
        tests=("recipes/test_dbot.py",),
    ),
    Mutation(
        name="fusion-without-softmax",
        old="weights = self.weights.softmax(dim=0)",
        new="weights = self.weights",
        breaks="blocks are summed by weights that do not add up to one",
        tests=("decoders/test_self_attention.py",),
    ),
    Mutation(
        name="cosines-of-plain-vectors",
        old="F.linear(F.normalize(x, dim=-1), weights)",
        new="F.linear(x, weights)",
        breaks="a cosine grows with the length of its token",
        tests=("objectives/test_heads.py",),
    ),
    Mutation(
        name="start-by-depth-from-zero",
        old="for number, block in enumerate(blocks, start=1):",
        new="for number, block in enumerate(blocks, start=2):",
        breaks="the first block starts as the second should",
        tests=("network/test_blocks.py",),
    ),
    Mutation(
        name="ista-with-a-residual",
        old="return self.dictionary.sparsen(self.norm2(x))",
        new="return x + self.dictionary.sparsen(self.norm2(x))",
        breaks="a white-box block is no sparse code",
        tests=("network/test_crate.py",),
    ),
    Mutation(
        name="histograms-with-signs",
        old=".floor().long() % bins",
        new=".floor().long().abs() % bins",
        breaks="an edge and its negative fall into different bins",
        tests=("modalities/test_image_hog.py",),
    ),
    Mutation(
        name="thaws-too-early",
        old='return progress >= frozen.until or not name.startswith("backbone.")',
        new="return True",
        breaks="an encoder that should wait learns from the first step",
        tests=("finetuning/test_layers.py",),
    ),
)

WHAT_FEATURES_KNOW = (
    Mutation(
        name="skill-of-chance",
        old="skill = ((np.array(scores) - chance) / (1.0 - chance)).mean(0)",
        new="skill = np.array(scores).mean(0)",
        breaks="a guess at the commonest class counts as skill",
        tests=("transfer/probing/test_columns.py",),
    ),
    Mutation(
        name="suffixes-wanted",
        old='return rows.get(name, rows.get(str(PurePosixPath(name).with_suffix(""))))',
        new="return rows.get(name)",
        breaks="a table that names samples without their suffix labels none",
        tests=("data/test_label_tables.py",),
    ),
    Mutation(
        name="hidden-when-alone",
        old="maskers = own | (dict(self.beside) if len(own) > 1 else {})",
        new="maskers = own | dict(self.beside)",
        breaks="a modality that others should tell is hidden where it stands alone",
        tests=("masking/test_per_modality.py",),
    ),
    Mutation(
        name="metres-for-units",
        old="places.unflatten(1, (self.group_size, 3)) / self.unit",
        new="places.unflatten(1, (self.group_size, 3))",
        breaks="points near their centre all look alike",
        tests=("modalities/test_points.py",),
    ),
)

FILES_AND_RUNS = (
    Mutation(
        name="held-out-files-are-trained-on",
        old='(aside if split == "held_out" else training)[base].append(path)',
        new="training[base].append(path)",
        breaks="a recipe that is chosen for a folder trains on its held-out files",
        tests=("inspection/test_folder.py",),
    ),
    Mutation(
        name="sets-of-mixed-variants",
        old="clean = len(variants) < 2 and not any(",
        new="clean = not any(",
        breaks="pictures of three and of ten channels become one stream, which stops the run",
        tests=("inspection/test_folder.py",),
    ),
    Mutation(
        name="every-table-is-a-recording",
        old="return not labelled and (joints > 1 or (times_s is not None and _is_even(times_s)))",
        new="return True",
        breaks="tables are taken for recordings, and their rows for steps",
        tests=("modalities/test_inspecting.py::test_tables_are_recordings_where_that_is_clear",),
    ),
    Mutation(
        name="every-array-is-a-scan",
        old="return named or min(scan.shape) >= _LEAST_EDGE",
        new="return True",
        breaks="pictures in arrays are taken for scans",
        tests=(
            "modalities/test_inspecting.py::test_arrays_go_to_the_modality_that_has_such_shapes",
        ),
    ),
    Mutation(
        name="a-done-run-is-done-again",
        old="due = [job for job in jobs if not _is_done(arguments.out / job.name)]",
        new="due = jobs",
        breaks="a sweep that goes on trains again what was trained",
        tests=("commands/test_sweep.py",),
    ),
    Mutation(
        name="every-field-differs",
        old='if len(set(values)) > 1 and path not in ("name", "format")',
        new='if path not in ("name", "format")',
        breaks="what two recipes share is listed as a difference",
        tests=("report/comparing/test_comparing.py",),
    ),
)

PICTURES = (
    Mutation(
        name="pictures-of-padding",
        old="_plain_weights(a, b, rows.narrowed(mask, q.device))",
        new="_plain_weights(a, b, mask)",
        breaks="attention of short rows is shown as going to padding too",
        tests=("network/test_attention_maps.py",),
    ),
    Mutation(
        name="clouds-squeezed",
        old="max(float((high - low).max()) / 2, 1e-9)",
        new="(high - low) / 2",
        breaks="clouds that turn are as wide as high, whatever they are",
        tests=("report/test_turning.py",),
    ),
    Mutation(
        name="red-token-elsewhere",
        old="colors[token] = torch.tensor(CHOSEN)",
        new="colors[0] = torch.tensor(CHOSEN)",
        breaks="pictures of likeness mark another token than the one that is compared",
        tests=("report/drawing/test_features.py",),
    ),
)

MUTATIONS: tuple[Mutation, ...] = (
    *PICTURES,
    *OBJECTIVES_AND_REDUCTION,
    *LOSSES,
    *COUNTS_OF_A_STEP,
    *TARGETS,
    *PACKING,
    *ATTENTION,
    *POSITIONS,
    *ENCODER,
    *MASKING,
    *DECODERS,
    *TEACHER,
    *SCHEDULES_AND_OPTIMISER,
    *TRAINING_STEP,
    *METRICS,
    *DATA,
    *CHECKPOINTS,
    *PROBES,
    *FINE_TUNING,
    *IMPUTATION,
    *PROTOTYPES_AND_CODEBOOKS,
    *VOLUMES_AND_SERIES,
    *GUIDES_AND_DEPTHS,
    *RECIPE_PARTS,
    *WHAT_FEATURES_KNOW,
    *FILES_AND_RUNS,
    Mutation(
        name="damage-overlooked",
        old="    if has_sums and (damage := find_damage(folder)):\n",
        new="    if False and (damage := find_damage(folder)):\n",
        breaks="a checkpoint with a flipped bit is trained on without a word",
        tests=("training/test_damaged_checkpoints.py",),
    ),
    Mutation(
        name="none-sound-begins-anew",
        old="    if damaged or aside:\n",
        new="    if damaged and aside:\n",
        breaks="a run whose checkpoints are all damaged begins anew",
        tests=("training/test_damaged_checkpoints.py",),
    ),
    Mutation(
        name="repeated-lines-stay",
        old="if at > step]",
        new="if at > step + 1]",
        breaks="the first step after a restart stands twice in the log",
        tests=("training/test_damaged_checkpoints.py",),
    ),
    Mutation(
        name="reader-error-escapes",
        old="    with named_errors(source.name(index)):\n        sample =",
        new="    if True:\n        sample =",
        breaks="a damaged file that a reader did not foresee ends the run",
        tests=("data/test_reading.py",),
    ),
    Mutation(
        name="infinite-samples",
        old="np.isfinite(value).all()",
        new="np.isnan(value).any() or True",
        breaks="infinite numbers of a file reach the tokens",
        tests=("data/test_reading.py",),
    ),
    Mutation(
        name="hub-unchecked",
        old="    if damage := find_damage(folder):\n        raise DamageError(",
        new="    if (damage := find_damage(folder)) and not damage:\n        raise DamageError(",
        breaks="weights that changed on the way from a hub are loaded",
        tests=("transfer/test_hub.py",),
    ),
    Mutation(
        name="search-anew",
        old="            load_if_exists=True,\n",
        new="            load_if_exists=False,\n",
        breaks="a search that was stopped does not go on",
        tests=("commands/test_sweep.py",),
    ),
)
