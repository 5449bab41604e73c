"""What a cell is computed from, another cell or an expression over the columns; and expressions that are true in every row."""

from __future__ import annotations

import ast
from typing import Annotated, Any, Literal, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, StrictInt
from typing_extensions import Self

from clover_tvae.columns.people import People, least_rows
from clover_tvae.relations.expression import TARGET, quoted, read_expression
from clover_tvae.relations.reading import comparable, filled, known, labels, numbers
from clover_tvae.relations.relation import Cell, Name, Relation


def _readable(text: str) -> str:
    read_expression(text)
    return text


def _true_or_false(text: str) -> str:
    if not read_expression(text).is_truth:
        raise ValueError(
            "must be true or false in each row, such as bill > 0, found what is a number, a text or a date"
        )
    return text


ExpressionText = Annotated[str, AfterValidator(_readable)]
_RELATIVE_ERROR = 1e-9  # of numbers that are not rounded
INVERSE = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}


class Computed(Relation):
    """A column of numbers is computed from others.

    Sums (``room + drugs``), differences, products, ratios, other units (``1.8 * celsius + 32``), parts of packed
    numbers (``clock // 100``, ``clock % 100``), parts of dates (``year(hired)``), the time between two dates
    (``discharge - admission``, ``age(birth, admission)``).

    Args:
        target: The column.
        formula: The expression that gives its numbers.
        decimals: Decimals to which it is rounded; ``None`` if it is not.
        words: What the column holds in place of each number of the formula (``[0, Monday], [1, Tuesday], ...``);
            ``None``: the number itself. Without any words no row breaks it.
    """

    kind: Literal["computed"] = "computed"
    target: Name
    formula: ExpressionText
    decimals: StrictInt | None = None
    words: tuple[tuple[StrictInt, Cell], ...] | None = None

    @property
    def columns(self) -> tuple[Any, ...]:
        return (*read_expression(self.formula).columns, self.target)

    @property
    def determines(self) -> tuple[Any, ...]:
        return (self.target,)

    @property
    def tells_hour(self) -> bool:
        """Whether the column holds the hour of a date."""
        return self.words is None and len(self.sources) == 1 and self.formula == f"hour({quoted(self.sources[0])})"

    def exact(self, df: pd.DataFrame) -> NDArray[np.float64]:
        """Return the number in each row before rounding, NaN where the formula gives none."""
        made = read_expression(self.formula).numbers(df)
        return np.where(np.isfinite(made), made, np.nan)

    def applies(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        return super().applies(df) & ~np.isnan(self.exact(df))

    def _told(self, df: pd.DataFrame) -> pd.Series:
        """Return the word for the number in each row, missing where there is none."""
        return pd.Series(self.exact(df), index=df.index).map(dict(self.words or ())).astype(object)

    def learnt(self, df: pd.DataFrame, min_count: int, people: People | None = None) -> Self:
        if self.words is None:
            return self
        frame = pd.DataFrame({"number": self.exact(df), "word": labels(df[self.target]).to_numpy()})
        counts = frame.value_counts().rename("rows").reset_index()  # the most frequent first
        counts = counts[counts["rows"] >= least_rows(people, min_count)].drop_duplicates("number").sort_values("number")
        words = tuple((int(number), word) for number, word in zip(counts["number"], counts["word"], strict=True))
        return self.model_copy(update={"words": words})

    def breaks(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        if self.words is not None:
            word, cell = self._told(df), labels(df[self.target])
            return (word.notna() & cell.notna() & (word != cell)).to_numpy(dtype=bool)
        exact, found = self.exact(df), numbers(df[self.target])
        slack = _RELATIVE_ERROR * np.maximum(np.abs(exact), 1)
        if self.decimals is not None:  # half of the last place either way, so that any rule for halves will do
            slack = slack + 0.5 * 10.0**-self.decimals
        return np.abs(found - exact) > slack  # a comparison with NaN is False: where a cell is missing nothing breaks

    def complete(self, df: pd.DataFrame) -> pd.DataFrame:
        if self.words is not None:
            return filled(df, self.target, self._told(df))
        made = self.exact(df) if self.decimals is None else np.round(self.exact(df), self.decimals)
        return filled(df, self.target, pd.Series(made, index=df.index))

    def solved_for(self, name: Any, least: float | None = None) -> Computed | None:
        """Return the relation with another of its columns as the target; ``None`` where it cannot be solved.

        It can where the formula names the column once, under ``+ - * /`` and times of a clock only. Rounding is not
        carried over.

        Args:
            least: The lowest number that the column can hold. Times of a clock tell minutes but for whole days: the
                lowest minutes from there on are taken. ``None``: minutes are not solved for.
        """
        expression = read_expression(self.formula)
        node, answer, clock = expression.tree, cast(ast.expr, ast.Name(TARGET)), ""

        def names(tree: ast.AST) -> list[str]:
            return [expression.name(part) for part in ast.walk(tree) if isinstance(part, ast.Name)]

        if names(node).count(name) != 1:
            return None
        while not isinstance(node, ast.Name):
            match node:
                case ast.Call(func=ast.Name(id="clock" | "clock24" as called), args=[term]) if not clock:
                    node, clock, answer = term, called, ast.Call(ast.Name("minutes_of"), [answer], [])
                case ast.Call(func=ast.Name(id="minutes_of"), args=[term]) if clock:
                    node, clock, answer = term, "", ast.Call(ast.Name(clock), [answer], [])
                case ast.BinOp(op=op) if isinstance(op, ast.Add | ast.Sub) or (type(op) in INVERSE and not clock):
                    on_left = name in names(node.left)
                    node, other = (node.left, node.right) if on_left else (node.right, node.left)
                    if isinstance(op, ast.Add) and isinstance(other, ast.UnaryOp) and isinstance(other.op, ast.USub):
                        answer = ast.BinOp(answer, ast.Add(), other.operand)  # not x - -y
                    elif on_left or isinstance(op, ast.Add | ast.Mult):
                        answer = ast.BinOp(answer, INVERSE[type(op)](), other)
                    else:  # the target is other - x, or other / x
                        answer = ast.BinOp(other, op, answer)
                case _:
                    return None
        if clock:
            if least is None:
                return None
            days = ast.BinOp(ast.BinOp(answer, ast.Sub(), ast.Constant(least)), ast.Mod(), ast.Constant(1_440))
            answer = ast.BinOp(days, ast.Add(), ast.Constant(least))
        formula = expression.write(answer, self.target)
        return self.model_copy(update={"target": name, "formula": formula, "decimals": None})

    def __str__(self) -> str:
        if self.words is not None:
            return f"{self.target} is the word for {self.formula}"
        rounding = "" if self.decimals is None else f", to {self.decimals} decimals"
        return f"{self.target} = {self.formula}{rounding}"


class Predicate(Relation):
    """An expression that is true in every row.

    Args:
        expression: The expression.
    """

    kind: Literal["predicate"] = "predicate"
    expression: Annotated[str, AfterValidator(_true_or_false)]

    @property
    def columns(self) -> tuple[Any, ...]:
        return read_expression(self.expression).columns

    def applies(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        return known(df, read_expression(self.expression).needed)

    def breaks(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        return self.applies(df) & ~read_expression(self.expression).truth(df)

    def __str__(self) -> str:
        return self.expression


class Equal(Relation):
    """Two columns hold the same: in every row, in a share of the rows (a copy), or where a third says so.

    Args:
        source: A column.
        target: The column that equals it.
        share: Share of the rows in which it does, in (0, 1]. Below 1 no single row can break it.
        when: The column that says where; ``None``: everywhere.
        values: Its values there.
    """

    about = ("when", "source", "target")
    kind: Literal["equal"] = "equal"
    source: Name
    target: Name
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    when: Name | None = None
    values: tuple[Cell, ...] = ()

    @property
    def determines(self) -> tuple[Any, ...]:
        return (self.target,) if self.share == 1 else ()

    def _where(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        return np.full(len(df), self.share == 1) & (self.when is None or df[self.when].isin(self.values).to_numpy(bool))

    def applies(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        return super().applies(df) & self._where(df)

    def breaks(self, df: pd.DataFrame) -> NDArray[np.bool_]:
        first, second = comparable(df[self.source]), comparable(df[self.target])
        return self.applies(df) & ~np.asarray(first == second)

    def complete(self, df: pd.DataFrame) -> pd.DataFrame:
        return filled(df, self.target, df[self.source].where(self._where(df)))

    def __str__(self) -> str:
        where = f" in {self.share:.0%} of the rows" if self.share < 1 else ""
        if self.when is not None:
            where += f" where {self.when} is {' or '.join(map(repr, self.values))}"
        return f"{self.target} equals {self.source}{where}"
