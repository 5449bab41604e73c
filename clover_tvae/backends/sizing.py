"""How large a model and how long a training a table gets, where the user does not say."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, NamedTuple, TypeVar

from clover_tvae.backends.choosing import rows_to_choose_from
from clover_tvae.backends.lesson import (
    MOST_CHECKED,
    MOST_PARTS_CHECKED,
    TEACHER_MINUTES,
    Lesson,
    ToTeach,
    rows_to_judge,
)
from clover_tvae.model.build import ModelConfig
from clover_tvae.parameters import Parameters, listed
from clover_tvae.training import TrainingConfig, duration

_Config = TypeVar("_Config", ModelConfig, TrainingConfig)

#: What a plan tells, in this order. `dropout` and `free_bits` are no parameters of the constructor.
_IN_FORCE = (
    "decoder", "epochs", "batch_size", "compress_dims", "decompress_dims", "embedding_dim", "learning_rate", "weight_decay",
    "loss_factor", "gradient_clip", "validation_fraction", "patience", "max_minutes", "dropout", "free_bits", "precision",
)  # fmt: skip
#: A full covariance of more dimensions has more entries than rows could fill.
_WIDEST_FITTED_PRIOR = 32
#: A schedule holds a number for each pair of columns: of each quarter of the steps, of all steps, or none.
_FEW_COLUMNS, _MANY_COLUMNS = 100, 500
#: Fewer rows do not fix the mean and covariance of eight dimensions.
_FEWEST_PRIOR_ROWS = 100


#: Tables of fewer rows start from rows of a smooth model of the same table: so many, in so many passes.
_SMOOTH_BELOW, _SMOOTH_ROWS, _SMOOTH_PASSES = 5_000, 20_000, 2
#: Still fewer have one pass more, and keep newer weights only if they are surely better: benchmarks/README.md, "Private".
_VERY_FEW, _LEAST_LEAD = 500, 1.5
#: Students of fewer people are small: rows that a teacher of so few wrote hold no more.
_SMALL_STUDENT_BELOW = 2_500
#: Trees that judge the rows which small students draw.
_JUDGE_TREES = 100
#: The part of the learning rate that the table itself is then learnt with, and that of the minutes which the start has.
_GENTLE = 0.25
_START_MINUTES = 0.2
#: Tables of more people get more steps, by the root of how many more, up to so many times.
_LARGE, _MOST_MORE_STEPS = 30_000, 2.0
#: So many people get up to so many times their epochs, as long as the validation loss falls by so many nats a row in a quarter of those so
#: far; of fewer, longer trainings tell more.
_MANY_PEOPLE, _LONGER, _LEAST_FALL = 10_000, 2, 0.05
#: Trunks that are narrower take as long a step in float32.
_WIDE = 256
#: Seconds of a step of each decoder: of trunks 128 wide; and beside it for each cell of a batch.
_SECONDS_A_STEP = {"autoregressive": (0.010, 0.7e-6), "independent": (0.004, 0.11e-6)}
#: Of each cell of a table beyond memory, which is read, encoded and put into a file.
_SECONDS_A_CELL_DEALT = 0.5e-6
#: Of the check of membership, for each cell of a row and each part that its columns are left out in.
_SECONDS_A_CELL_CHECKED = 1.5e-6
#: Of each cell that a teacher writes, and that trees judge where rows are chosen.
_SECONDS_A_CELL_WRITTEN, _SECONDS_A_CELL_JUDGED = 6e-6, 3e-6


class Stretch(NamedTuple):
    """A part of a fit: so many steps, the seconds that each is planned to take, and the limit of all in seconds."""

    n_steps: int
    a_step: float
    most: float = math.inf

    def seconds(self, pace: float = 1.0) -> float:
        """About how long it takes at most, where steps take ``pace`` times what is planned."""
        return min(self.n_steps * self.a_step * pace, self.most)


@dataclass(frozen=True)
class Forecast:
    """How long a fit takes at most on one core that is free: told before it, and corrected by its first steps.

    Args:
        trainings: Those of the table, in their order.
        written: The writing of the rows for a student; ``None``: no student can follow.
        student: The student's training.
        judged: Seconds of drawing the rows from which its judge learns.
        minutes: The limit of all trainings.
        is_sure: Whether a student follows, whatever a check says.
        check: Seconds of the check of membership.
        dealt: Seconds, before the first step, of dealing rows that are not in memory.
    """

    trainings: list[Stretch]
    written: Stretch | None = None
    student: Stretch | None = None
    judged: float = 0.0
    minutes: float | None = None
    is_sure: bool = False
    check: float = 0.0
    dealt: float = 0.0

    def _student_seconds(self, before: float, pace: float) -> float:
        """Return the seconds from the end of the trainings of the table, which take ``before``, to that of the student."""
        if self.written is None or self.student is None:
            return 0.0
        minutes = 60 * (self.minutes or math.inf)
        left = minutes if math.isinf(minutes) else max(minutes - before, (1 - TEACHER_MINUTES) * minutes)
        return self.written.seconds(pace) + min(self.student.seconds(pace), left) + self.judged * pace

    def after(self, training: int, a_step: float) -> float:
        """Return the seconds of all that is sure to follow a training of the table, as its own steps have it.

        Args:
            training: Which one.
            a_step: Seconds that a step of it took.
        """
        pace = a_step / self.trainings[training].a_step
        seconds = [stretch.seconds(pace) for stretch in self.trainings]
        following = sum(seconds[training + 1 :]) + self.check * pace
        return following + (self._student_seconds(sum(seconds), pace) if self.is_sure else 0.0)

    def __str__(self) -> str:
        seconds = sum(stretch.seconds() for stretch in self.trainings)
        more, seconds = self._student_seconds(seconds, 1.0), seconds + self.check + self.dealt
        if self.is_sure:
            return f"{duration(seconds + more)} at most, its student included"
        return f"{duration(seconds)} at most" + (f", and {duration(more)} more if it needs a student" if more else "")


@dataclass(frozen=True)
class Plan:
    """What to build and how to train it.

    Args:
        model: The networks.
        training: How they learn the table.
        start: How they learn, before it, ``start_rows`` rows of a smooth model of the table; ``None``: not at all.
        start_rows: How many.
    """

    model: ModelConfig
    training: TrainingConfig
    start: TrainingConfig | None = None
    start_rows: int = 0

    @property
    def parameters(self) -> dict[str, Any]:
        """Every parameter in force, as plain values under the names of ``TVAESynthesizer``."""
        known = {**asdict(self.model), **asdict(self.training), "batch_size": self.training.batch_rows}
        return listed({name: known[name] for name in _IN_FORCE})

    @property
    def gains_from_bfloat16(self) -> bool:
        """Whether products are wide enough to be faster in it; others are the same on every machine, up to rounding."""
        return self.model.decoder == "independent" or max(self.model.decompress_dims) >= _WIDE

    def stretches(self, n_rows: int, n_columns: int) -> list[Stretch]:
        """Return the trainings in their order, as long as they take on one machine (benchmarks/README.md)."""
        width, (of_trunk, of_cell) = max(self.model.decompress_dims), _SECONDS_A_STEP[self.model.decoder]
        found = []
        for config, rows in ((self.start, self.start_rows), (self.training, n_rows)):
            if config is not None:
                rows = min(config.rows_an_epoch or rows, rows)
                a_step = of_trunk * (width / 128) ** 1.7 + of_cell * min(rows, config.batch_rows) * n_columns
                steps = config.epochs * math.ceil(rows / config.batch_rows)
                found.append(Stretch(steps, a_step, 60 * (config.max_minutes or math.inf)))
        return found

    def describe(self) -> str:
        """One line for the user."""
        model, training = self.model, self.training
        dropout = f", dropout {model.dropout:g}" if model.dropout else ""
        is_watched = training.patience and training.validation_fraction
        patience = f", until the validation ELBO has not improved for {training.patience}" if is_watched else ""
        return (
            f"{model.decoder} decoder {model.decompress_dims}, encoder {model.compress_dims}, latent "
            f"{model.embedding_dim}{dropout}; batches of {training.batch_rows} rows, at most {training.epochs} epochs{patience}"
        )


def _autoregressive(n_rows: int, n_columns: int, n_choices: int, n_people: int, validation_fraction: float) -> Plan:
    """Small tables want a narrow trunk, dropout and many epochs; large ones fewer epochs of larger batches."""
    if n_rows < 3_000:
        width, dropout, batch_rows, levels = 128, 0.3, 128, 1
    elif n_rows < 8_000:
        width, dropout, batch_rows, levels = 256, 0.1, 512, 4
    else:
        width, dropout, batch_rows, levels = 256, 0.0, 1024, 4
    if n_rows < 400 * n_columns:
        dropout = max(dropout, 0.15)
    # A step costs more the wider the table, so a wide table gets fewer of them: one to three minutes on two cores.
    # Columns of thousands of categories likewise, and smaller batches: a step holds a logit a row and choice.
    crowd = max(1.0, n_choices / 4_000)
    batch_rows = max(128, round(batch_rows / crowd))
    # Tables of a few hundred rows have learnt all they can after fewer; large ones have more to learn.
    steps = min(4_000, 97_000 / (n_columns + 19)) * min(1.0, 0.15 + n_rows / 1_200) / crowd**0.5
    steps *= min(_MOST_MORE_STEPS, max(1.0, (n_people / _LARGE) ** 0.5))
    a_pass = math.ceil(n_rows / batch_rows)
    epochs = max(2, round(steps / a_pass))
    may_go_on = n_people >= _MANY_PEOPLE
    return Plan(
        ModelConfig(
            decoder="autoregressive",
            compress_dims=(128, 128),
            decompress_dims=(width, width),
            embedding_dim=8,
            # What a prior that is not fitted, or a column alone, does not use turns their shares: benchmarks/README.md, "Free bits".
            free_bits=0.25 if n_rows >= _FEWEST_PRIOR_ROWS and n_columns > 1 else 0.0,
            dropout=dropout,
            # Of a single Gaussian even small tables gain much: benchmarks/README.md, "The prior".
            prior_components=min(32, max(1, n_rows // 1_000)) if n_rows >= _FEWEST_PRIOR_ROWS else 0,
            schedule_levels=0 if n_columns > _MANY_COLUMNS else 1 if n_columns > _FEW_COLUMNS else levels,
        ),
        TrainingConfig(
            epochs=_LONGER * epochs if may_go_on else epochs,
            batch_rows=batch_rows,
            learning_rate=3e-3,
            optimizer="muon",
            betas=(0.9, 0.98),
            weight_decay=0.02,
            gradient_clip=1.0,
            warmup_steps=100,
            schedule="trapezoid",
            average=0.995,
            validation_fraction=validation_fraction,
            # The average of the weights lags by 200 steps: fewer epochs without progress say nothing yet.
            patience=max(8, round(min(300, 60 + n_rows) / a_pass)),
            least_lead=_LEAST_LEAD if n_rows < _VERY_FEW else 0.0,
            least_fall=_LEAST_FALL if may_go_on else None,
            # Halves of a small batch are not worth a second thread.
            shards=2 if batch_rows >= 512 else 1,
        ),
    )


#: The paper's.
_INDEPENDENT = Plan(
    ModelConfig("independent", (128, 128), (128, 128), embedding_dim=128, loss_factor=2.0),
    TrainingConfig(epochs=300, batch_rows=500, learning_rate=1e-3, weight_decay=1e-5, validation_fraction=0.05),
)


def _small_student(plan: Plan, n_people: int) -> Plan:
    """Rows that hardly run out want no dropout, and two latent dimensions and AdamW do: benchmarks/README.md, "Students"."""
    # Of fewer than 150 people the best epoch came after 80 to 160 of 400 steps.
    width, batch_rows, steps = 128, 256, min(2_000, round(250 * min(1.0, n_people / 150) + 2.5 * n_people))
    epoch = max(n_people, batch_rows)
    model = replace(
        plan.model,
        decompress_dims=(width, width),
        embedding_dim=2,
        dropout=0.0,
        schedule_levels=min(1, plan.model.schedule_levels),
        judge_trees=_JUDGE_TREES,
    )
    training = replace(
        plan.training,
        epochs=max(2, round(steps / math.ceil(epoch / batch_rows))),
        batch_rows=batch_rows,
        optimizer="adamw",
        patience=max(8, round(300 * batch_rows / epoch)),
        shards=1,
    )
    return replace(plan, model=model, training=training)


def _large_student(plan: Plan, n_people: int, n_rows: int) -> Plan:
    """As long as any table of so many rows: in more epochs, each of which has only so many rows as there are people."""
    training, batch = plan.training, plan.training.batch_rows
    shorter = math.ceil(n_rows / batch) / math.ceil(max(n_people, batch) / batch)
    patience = training.patience and max(8, round(shorter * training.patience))
    return replace(plan, training=replace(training, epochs=round(shorter * training.epochs), patience=patience))


def plan_training(
    given: Parameters,
    n_rows: int,
    n_columns: int,
    *,
    n_choices: int = 0,
    lesson: Lesson | None = None,
    n_people: int | None = None,
) -> Plan:
    """Return the defaults for a table of this size, overruled by what the user gave.

    Args:
        given: The parameters, ``None`` where left to the table.
        n_rows: Training rows.
        n_columns: Modelled columns.
        n_choices: Choices of all columns together.
        lesson: What a student is taught.
        n_people: People whose rows they are, each held out with all of theirs or with none; ``None``: every row is one.

    Example:
        >>> plan_training(Parameters(decoder="independent", epochs=7), 1000, 5).training.epochs
        7
    """
    n_taught = n_rows if lesson is None else lesson.n_people
    # A few people judge nothing: fifty of a small table, as far as that is no more than 15% of it.
    watched = max(0.05, min(0.15, 50 / max(1, n_people or n_rows)))
    plan = _INDEPENDENT
    if given.decoder != "independent":
        plan = _autoregressive(n_rows, n_columns, n_choices, n_taught, watched)
    wanted = given.given()
    if lesson is not None:
        is_small = lesson.n_people < _SMALL_STUDENT_BELOW
        plan = _small_student(plan, lesson.n_people) if is_small else _large_student(plan, lesson.n_people, n_rows)
        epoch = max(lesson.n_people, plan.training.batch_rows)
        wanted["max_minutes"] = lesson.minutes
        plan = replace(plan, training=replace(plan.training, rows_an_epoch=epoch))
    elif given.decoder != "independent" and n_rows < _SMOOTH_BELOW and "epochs" not in wanted:
        rate = wanted.get("learning_rate", plan.training.learning_rate)
        start = replace(
            plan.training,
            epochs=_SMOOTH_PASSES + (n_rows < _VERY_FEW),
            learning_rate=rate,
            patience=None,
            schedule="constant",
            validation_fraction=0.0,
        )
        wanted["learning_rate"] = _GENTLE * rate
        if (minutes := wanted.get("max_minutes")) is not None:
            start = replace(start, max_minutes=_START_MINUTES * minutes)
            wanted["max_minutes"] = (1 - _START_MINUTES) * minutes
        plan = replace(plan, start=start, start_rows=min(_SMOOTH_ROWS, max(6_000, 36 * n_rows)))
    if "batch_size" in wanted:
        wanted["batch_rows"] = wanted["batch_size"]
    if "epochs" in wanted:
        # A number of epochs means exactly that many, as users of SDV expect.
        wanted |= {"patience": wanted.get("patience"), "least_fall": None}
    if wanted.get("embedding_dim", 0) > _WIDEST_FITTED_PRIOR:
        wanted["prior_components"] = 0
    return replace(plan, model=_overruled(plan.model, wanted), training=_overruled(plan.training, wanted))


def forecast(
    plan: Plan,
    given: Parameters,
    n_rows: int,
    n_columns: int,
    *,
    n_choices: int = 0,
    lesson: Lesson | None = None,
    to_teach: ToTeach | None = None,
    n_dealt: int = 0,
) -> Forecast:
    """Return how long a fit takes.

    Args:
        plan: What :func:`plan_training` returned for the arguments of the same names.
        given: The parameters.
        n_rows: Training rows.
        n_columns: Modelled columns.
        n_choices: Choices of all columns together.
        lesson: What a student is taught.
        to_teach: What it will teach, if it may have a student.
        n_dealt: Rows that are not in memory, but dealt into files first.
    """
    dealt = _SECONDS_A_CELL_DEALT * n_dealt * n_columns
    trainings, check = plan.stretches(n_rows, n_columns), 0.0
    if plan.model.decoder == "autoregressive":
        n_people = n_rows if lesson is None else lesson.n_people
        n_checked = min(MOST_CHECKED, n_people) + min(MOST_CHECKED, n_people * plan.training.validation_fraction)
        check = _SECONDS_A_CELL_CHECKED * n_checked * n_columns * min(n_columns, MOST_PARTS_CHECKED)
    if to_teach is None:
        return Forecast(trainings, check=check, dealt=dealt)
    taught = plan_training(given, to_teach.n_rows, n_columns, n_choices=n_choices, lesson=to_teach.lesson)
    n_written = rows_to_choose_from(to_teach.n_rows, to_teach.lesson.n_people, n_columns)
    a_cell = _SECONDS_A_CELL_WRITTEN + (_SECONDS_A_CELL_JUDGED if n_written > to_teach.n_rows else 0.0)
    written = Stretch(n_written * n_columns, a_cell)
    student = taught.stretches(to_teach.n_rows, n_columns)[0]
    n_drawn = rows_to_judge(to_teach.n_rows, n_columns) if taught.model.judge_trees else 0
    judged = n_drawn * n_columns * _SECONDS_A_CELL_WRITTEN
    minutes, is_sure = to_teach.lesson.minutes, to_teach.is_sure
    return Forecast(trainings, written, student, judged, minutes, is_sure, check, dealt)


def _overruled(config: _Config, wanted: dict[str, Any]) -> _Config:
    return replace(config, **{field.name: wanted[field.name] for field in fields(config) if field.name in wanted})
