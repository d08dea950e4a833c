"""The wrong changes that can be made to a module, each as one replacement in its text.

Left alone: docstrings, annotations, literal types, decorators, the keywords of class statements, f-strings.
"""

import ast
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_COMPARISONS: Final = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: (r"is\s+not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: (r"not\s+in", "in"),
}
#: Comparisons whose mutant is their negation, so that negating the condition would be the same mutant again.
_NEGATED: Final = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)
_OPERATIONS: Final = {
    ast.Add: (r"\+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: (r"\*", "//"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "*"),
    ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"),
    ast.BitOr: (r"\|", "&"),
    ast.BitAnd: ("&", "|"),
}
_FUNCTIONS: Final = {"min": "max", "max": "min", "any": "all", "all": "any"}


class Mutant(NamedTuple):
    """One replacement; offsets are bytes of the UTF-8 text."""

    start: int
    end: int
    text: str
    what: str
    """Before and after, for people."""
    lines: tuple[int, int]
    """First and last line of the statement that it is in, or of its head."""


def applied(source: str, mutant: Mutant) -> str:
    """The module with the change in it."""
    raw = source.encode()
    return (raw[: mutant.start] + mutant.text.encode() + raw[mutant.end :]).decode()


def mutants(source: str) -> list[Mutant]:
    """Every change that can be made to the module, in the order of its text."""
    return sorted(set(_Finder(source).found(ast.parse(source))))


class _Finder:
    def __init__(self, source: str) -> None:
        self.raw = source.encode()
        self.line_starts = [0, *(match.end() for match in re.finditer(b"\n", self.raw))]

    def found(self, module: ast.Module) -> Iterator[Mutant]:
        yield from self._body(module)

    def _body(self, holder: ast.AST) -> Iterator[Mutant]:
        """The statements of a module, class, function or block."""
        for name in ("body", "orelse", "finalbody"):
            for statement in getattr(holder, name, ()):
                if isinstance(statement, ast.stmt) and not _is_docstring(statement):
                    yield from self._statement(statement)
        for handler in (*getattr(holder, "handlers", ()), *getattr(holder, "cases", ())):
            yield from self._body(handler)

    def _statement(self, statement: ast.stmt) -> Iterator[Mutant]:
        lines = (statement.lineno, _last_line_of_head(statement))
        yield from self._whole(statement, lines)
        for expression in _expressions(statement):
            yield from self._expression(expression, lines)
        yield from self._body(statement)

    def _whole(self, statement: ast.stmt, lines: tuple[int, int]) -> Iterator[Mutant]:
        match statement:
            case ast.Expr(value=ast.Call()) | ast.AugAssign() | ast.Raise() | ast.Delete():
                yield self._mutant(statement, "pass", lines)
            case ast.Continue():
                yield self._mutant(statement, "break", lines)
            case ast.Break():
                yield self._mutant(statement, "continue", lines)
            case ast.Return(value=ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value is None):
                yield self._mutant(value, "None", lines)

    def _expression(self, root: ast.expr, lines: tuple[int, int]) -> Iterator[Mutant]:
        waiting: list[ast.AST] = [root]
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.JoinedStr) or _is_type(node):
                continue
            waiting += ast.iter_child_nodes(node)
            yield from self._operators(node, lines)
            yield from self._words(node, lines)

    def _operators(self, node: ast.AST, lines: tuple[int, int]) -> Iterator[Mutant]:
        match node:
            case ast.Compare():
                operands = (node.left, *node.comparators)
                for left, operator, right in zip(operands, node.ops, operands[1:], strict=False):
                    yield from self._between(left, right, _COMPARISONS[type(operator)], lines)
            case ast.BoolOp():
                words = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
                for left, right in zip(node.values, node.values[1:], strict=False):
                    yield from self._between(left, right, words, lines)
            case ast.BinOp() if type(node.op) in _OPERATIONS:
                yield from self._between(node.left, node.right, _OPERATIONS[type(node.op)], lines)

    def _words(self, node: ast.AST, lines: tuple[int, int]) -> Iterator[Mutant]:
        match node:
            case ast.UnaryOp(op=ast.Not()):
                yield self._mutant(node, self._text(node.operand), lines)
            case ast.Call(func=ast.Name(id=name) as function) if name in _FUNCTIONS:
                yield self._mutant(function, _FUNCTIONS[name], lines)
            case ast.Call(func=ast.Name(id="sorted") as function) if not node.keywords:
                yield self._mutant(function, "list", lines)
            case ast.IfExp():
                yield from self.negated(node.test, lines)
            case ast.comprehension():
                for condition in node.ifs:
                    yield from self.negated(condition, lines)
            case ast.Constant():
                yield from self._constant(node, lines)

    def negated(self, condition: ast.expr, lines: tuple[int, int]) -> Iterator[Mutant]:
        """The opposite of a condition, where no smaller mutant says it already."""
        said = isinstance(condition, ast.UnaryOp) or (
            isinstance(condition, ast.Compare) and len(condition.ops) == 1 and isinstance(condition.ops[0], _NEGATED)
        )
        if not said:
            yield self._mutant(condition, f"(not ({self._text(condition)}))", lines)

    def _constant(self, node: ast.Constant, lines: tuple[int, int]) -> Iterator[Mutant]:
        if isinstance(node.value, bool):
            yield self._mutant(node, str(not node.value), lines)
        elif isinstance(node.value, int | float):
            yield self._mutant(node, repr(node.value + 1), lines)
        elif isinstance(node.value, str):
            yield self._mutant(node, repr(f"XX{node.value}XX" if node.value else "XX"), lines)

    def _between(
        self, left: ast.expr, right: ast.expr, words: tuple[str, str], lines: tuple[int, int]
    ) -> Iterator[Mutant]:
        """The operator between two operands, which the tree gives no place."""
        start, end = self._offset(left, last=True), self._offset(right)
        found = re.search(words[0].encode(), self.raw[start:end])
        if found is not None:
            yield self._replaced(start + found.start(), start + found.end(), words[1], lines)

    def _mutant(self, node: ast.expr | ast.stmt, text: str, lines: tuple[int, int]) -> Mutant:
        return self._replaced(self._offset(node), self._offset(node, last=True), text, lines)

    def _replaced(self, start: int, end: int, text: str, lines: tuple[int, int]) -> Mutant:
        first = self.raw.rfind(b"\n", 0, start) + 1
        last = self.raw.find(b"\n", end)
        before = self.raw[first:start].decode().lstrip()
        after = self.raw[end : last if last >= 0 else None].decode()
        was = self.raw[start:end].decode()
        return Mutant(start, end, text, f"{before}«{was} → {text}»{after}", lines)

    def _text(self, node: ast.expr) -> str:
        return self.raw[self._offset(node) : self._offset(node, last=True)].decode()

    def _offset(self, node: ast.expr | ast.stmt, *, last: bool = False) -> int:
        line, column = (node.end_lineno, node.end_col_offset) if last else (node.lineno, node.col_offset)
        assert line is not None
        assert column is not None
        return self.line_starts[line - 1] + column


def _is_type(node: ast.AST) -> bool:
    return isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "Literal"


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _expressions(statement: ast.stmt) -> Iterator[ast.expr]:
    """The expressions of a statement that are its own, without annotations, decorators and class keywords."""
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield from statement.args.defaults
            yield from (default for default in statement.args.kw_defaults if default is not None)
        case ast.ClassDef() | ast.Import() | ast.ImportFrom():
            return
        case ast.AnnAssign():
            yield from () if statement.value is None else (statement.value,)
        case ast.If() | ast.While():
            # A condition as an expression on its own gets its negation too.
            yield ast.copy_location(ast.IfExp(statement.test, statement.test, statement.test), statement.test)
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return
        case _:
            yield from (child for child in ast.iter_child_nodes(statement) if isinstance(child, ast.expr))
            for item in getattr(statement, "items", ()):
                yield item.context_expr


def _last_line_of_head(statement: ast.stmt) -> int:
    body = getattr(statement, "body", None)
    last = body[0].lineno - 1 if body else statement.end_lineno
    return max(statement.lineno, last or statement.lineno)
